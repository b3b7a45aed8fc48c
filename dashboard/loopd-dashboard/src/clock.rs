//! The wall clock, read at the rim and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use loopd_model::UnixNanos;

/// Now; 1970 on a machine whose clock is before that.
pub(crate) fn now() -> UnixNanos {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

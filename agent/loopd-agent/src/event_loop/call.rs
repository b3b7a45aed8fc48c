//! What a callback may return, and how one is called.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{Error, Result};

/// What a callback may return: nothing, or a result whose error goes to the exception handler.
pub trait CallbackResult {
    /// The error, if there is one.
    fn into_result(self) -> Result<()>;
}

impl CallbackResult for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Error>> CallbackResult for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Calls it; a panic is an error.
#[inline]
pub(super) fn caught<F, R>(call: F) -> Result<()>
where
    F: FnOnce() -> R,
    R: CallbackResult,
{
    match catch_unwind(AssertUnwindSafe(|| call().into_result())) {
        Ok(result) => result,
        Err(payload) => Err(Error::of_panic(payload)),
    }
}

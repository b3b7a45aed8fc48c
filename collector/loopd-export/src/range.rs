//! Which processes, and which stretch of time.

use loopd_store::{ProcessKey, UnixNanos, Value};

/// What is written.
#[derive(Clone, Debug)]
pub struct Selection {
    /// These processes.
    pub processes: Vec<ProcessKey>,
    /// Nothing that was over before this instant; from the beginning if `None`. Polls, parks and
    /// wakes have to begin at or after it.
    pub from: Option<UnixNanos>,
    /// Nothing that began at or after this instant; to the end if `None`.
    pub to: Option<UnixNanos>,
}

/// Which columns of a table say when a row was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// None: rows of any time are wanted.
    Ever,
    /// An instant.
    At(&'static str),
    /// A beginning and an end. A row without a beginning began before everything, one without an
    /// end still lasts.
    Lasts(&'static str, &'static str),
}

impl Selection {
    /// The first and the last instant, where they are not given the first and the last there are.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        (self.from.map_or(0, |at| at.0), self.to.map_or(i64::MAX, |at| at.0))
    }

    /// The condition for rows of one process, with `?1`, `?2` and `?3` as in [`Self::binds`].
    pub(crate) fn condition(when: When) -> String {
        let time = match when {
            When::Ever => String::new(),
            When::At(at) => format!(" AND {at} >= ?2 AND {at} < ?3"),
            When::Lasts(from, to) => {
                format!(" AND ifnull({from}, 0) < ?3 AND ifnull({to}, {}) >= ?2", i64::MAX)
            }
        };
        format!("process = ?1{time}")
    }

    /// What [`Self::condition`] binds.
    pub(crate) fn binds(process: ProcessKey, when: When, (from, to): (i64, i64)) -> Vec<Value> {
        let mut binds = vec![Value::Integer(process.0)];
        if when != When::Ever {
            binds.extend([Value::Integer(from), Value::Integer(to)]);
        }
        binds
    }
}

//! What is shown: one module for each page, plain values that become JSON and can be read back
//! from it, and the function that makes them from the store.
//!
//! The HTTP routes and the command line call the same functions. Instants and ids are text in
//! JSON (see [`text`]); lengths are numbers of nanoseconds. Numbers saturate and never wrap, since
//! what they are made of may be incomplete.

pub mod agent;
mod chains;
pub mod clock;
pub mod compare;
pub mod described;
pub mod disk;
pub mod dumps;
pub mod findings;
pub mod lanes;
pub mod leaks;
pub mod losses;
pub mod marks;
pub mod metrics;
pub mod notes;
pub mod overview;
pub mod params;
pub mod process;
pub mod query;
mod range;
pub mod region;
pub mod resources;
pub mod settings;
pub mod slow;
pub mod stacks;
pub mod status;
pub mod survivors;
pub mod task;
pub mod task_filter;
pub mod task_kin;
pub mod task_life;
pub mod tasks;
pub mod text;
pub mod tile;
pub mod timeline;
mod verdict;
pub(crate) mod vocabulary;
pub mod waits;
mod words;

use loopd_store::{ProcessKey, ProcessRow, Reader, StoreError};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A process number that the store does not have.
    #[error("there is no process {process}; /api/v1/processes lists those there are")]
    NoProcess {
        /// The number.
        process: i64,
    },
    /// A task that the process does not have.
    #[error("process {process} has no task {task}, or retention has removed it")]
    NoTask {
        /// The process.
        process: i64,
        /// The task.
        task: u64,
    },
    /// A resource that the process does not have.
    #[error("process {process} has no resource {resource}, or retention has removed it")]
    NoResource {
        /// The process.
        process: i64,
        /// The resource.
        resource: u64,
    },
    /// A dump that the process does not have.
    #[error("{}", no_dump(*process, *dump))]
    NoDump {
        /// The process.
        process: i64,
        /// The dump; `None` for the latest.
        dump: Option<u64>,
    },
    /// A note that is not there.
    #[error("there is no note {note}; /api/v1/notes lists those there are")]
    NoNote {
        /// Its number.
        note: i64,
    },
    /// No process was ever recorded.
    #[error("{}", NOTHING_YET)]
    Empty,
    /// A store that this is not, and what it is.
    #[error("this server shows the store {store}; load the page again")]
    OtherStore {
        /// The epoch of the store that there is.
        store: String,
    },
    /// A parameter that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A filter that cannot be read, and where; places count UTF-16 units, as browsers do.
    #[error("the filter cannot be read at character {}: {sentence}", from + 1)]
    Filter {
        /// What is wrong there.
        sentence: String,
        /// Where that begins.
        from: usize,
        /// Where it ends.
        to: usize,
    },
    /// A query that could not be answered, in words for the person who wrote it.
    #[error("{sentence}")]
    Sql {
        /// The words.
        sentence: String,
        /// Where in the query, if SQLite says so.
        at: Option<query::TextPlace>,
    },
    /// The store failed, or was asked for too much.
    #[error("{}", store_failed(.0))]
    Store(#[from] StoreError),
}

fn store_failed(error: &StoreError) -> String {
    if error.is_too_slow() {
        error.to_string()
    } else {
        format!("the store could not be read: {error}")
    }
}

/// What to say where no process is.
pub const NOTHING_YET: &str = "nothing has been recorded yet; start a program with loopd's agent in it \
     (Rust: loopd-agent, Python: pip install ./agent/loopd-asyncio)";

fn no_dump(process: i64, dump: Option<u64>) -> String {
    match dump {
        Some(dump) => format!("process {process} has no dump {dump}, or it is no longer kept"),
        None => format!(
            "nobody has asked yet where the tasks of process {process} wait, or the answer is no \
             longer kept"
        ),
    }
}

/// The process with this number; without a number, the one started last.
pub async fn find_process(reader: &Reader, process: Option<i64>) -> Result<ProcessRow, ViewError> {
    match process {
        Some(process) => {
            let row = reader.process(ProcessKey(process)).await?;
            row.ok_or(ViewError::NoProcess { process })
        }
        None => reader.latest_process().await?.ok_or(ViewError::Empty),
    }
}

/// What is false of nearly everything is left out of JSON.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this way")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_store_says_what_it_was() {
        let error = ViewError::from(StoreError::NoSuchProcess { process: 7 });
        assert_eq!(error.to_string(), "the store could not be read: the store has no process 7");
    }
}

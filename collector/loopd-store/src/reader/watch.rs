//! What readers send to SQLite, and what each statement cost, as SQLite itself counts it: for tests.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ffi};

/// One statement that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sql: String,
    /// Steps of SQLite's machine: the same for the same question, whatever the machine or its load.
    pub(super) steps: u64,
    /// Steps from row to row of a table, or of what was made of one, that no index was searched for.
    pub(super) scanned: u64,
}

type Log = Arc<Mutex<Vec<Sent>>>;

/// By file.
static WATCHED: Mutex<BTreeMap<PathBuf, Log>> = Mutex::new(BTreeMap::new());

/// Watches the connections to a file that are opened from now on.
pub(super) fn start(path: &Path) {
    locked(&WATCHED).insert(path.to_owned(), Log::default());
}

/// What was sent since it was asked last.
pub(super) fn take(path: &Path) -> Vec<Sent> {
    let log = locked(&WATCHED).get(path).cloned().unwrap_or_default();
    std::mem::take(&mut *locked(&log))
}

/// Called for every connection that is opened.
pub(crate) fn begin(connection: &Connection) {
    let path = connection.path().map(PathBuf::from).unwrap_or_default();
    let Some(log) = locked(&WATCHED).get(&path).cloned() else { return };
    #[expect(unsafe_code, reason = "rusqlite does not say which connection a statement is of")]
    // SAFETY: the log is never freed, so it outlives the connection; `note` takes it as what it is.
    unsafe {
        let log = Arc::into_raw(log).cast_mut().cast();
        ffi::sqlite3_trace_v2(connection.handle(), ffi::SQLITE_TRACE_PROFILE, Some(note), log);
    }
}

#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn note(
    _: c_uint,
    log: *mut c_void,
    statement: *mut c_void,
    _: *mut c_void,
) -> c_int {
    let statement: *mut ffi::sqlite3_stmt = statement.cast();
    // SAFETY: SQLite gives the log of `begin`, and a statement that has just ended.
    let (log, sql, counted) = unsafe {
        let counted = |what| ffi::sqlite3_stmt_status(statement, what, 1).max(0) as u64;
        let sql = ffi::sqlite3_sql(statement);
        let sql = if sql.is_null() { c"" } else { CStr::from_ptr(sql) };
        let counts = (
            counted(ffi::SQLITE_STMTSTATUS_VM_STEP),
            counted(ffi::SQLITE_STMTSTATUS_FULLSCAN_STEP),
        );
        (&*log.cast::<Mutex<Vec<Sent>>>(), sql.to_string_lossy().into_owned(), counts)
    };
    locked(log).push(Sent { sql, steps: counted.0, scanned: counted.1 });
    0
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What a connection for users' queries shares with the callbacks that SQLite makes from it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libsqlite3_sys as ffi;

/// The state of one connection, shared with its virtual tables, its progress handler and its
/// authorizer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether loopd itself is preparing a statement, from inside a virtual table.
    is_inside: AtomicBool,
    /// Milliseconds since the first guard, when the query has to be done; 0: never, [`OVER`]: it
    /// has to stop now.
    deadline: AtomicI64,
    /// When the query began, in unix nanoseconds; 0: none has.
    now: AtomicI64,
    /// Bytes of temporary files that the query may have, and that it has.
    spill_limit: AtomicI64,
    spilled: AtomicI64,
    /// What SQLite held in memory, in the whole process, when the query began.
    held: AtomicI64,
    /// Whether it wanted more of them, or of memory.
    is_too_large: AtomicBool,
    /// The names of everything that can be read without being part of the query.
    taken: OnceLock<HashSet<String>>,
}

/// By so much SQLite's memory may grow while a query runs. SQLite does not tell whose it is, so what
/// others take meanwhile counts as well; it is more than all caches can fill.
const MAX_GROWTH: i64 = 256 << 20;

/// A deadline that has always passed.
const OVER: i64 = -1;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Guard {
    /// Gives the query about to run this long.
    pub(crate) fn start(&self, limit: Duration) {
        let deadline = EPOCH.elapsed().saturating_add(limit).as_millis();
        self.0.deadline.store(deadline.clamp(1, 1 << 62) as i64, Ordering::Relaxed);
        self.0.now.store(wall_clock(), Ordering::Relaxed);
        self.0.held.store(memory_used(), Ordering::Relaxed);
        self.0.is_too_large.store(false, Ordering::Relaxed);
    }

    /// Gives it so many bytes of temporary files.
    pub(super) fn give_room(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.spill_limit.store(bytes, Ordering::Relaxed);
    }

    /// The time of the query that runs, in unix nanoseconds: when it began.
    pub(super) fn now(&self) -> i64 {
        match self.0.now.load(Ordering::Relaxed) {
            0 => wall_clock(),
            now => now,
        }
    }

    /// Makes the query that runs stop at the next look at the clock.
    pub(crate) fn expire(&self) {
        self.0.deadline.store(OVER, Ordering::Relaxed);
    }

    /// Lifts the deadline. Only when no query runs any more.
    pub(crate) fn stop(&self) {
        self.0.deadline.store(0, Ordering::Relaxed);
    }

    /// Whether the query has used up its time.
    pub(crate) fn is_late(&self) -> bool {
        let deadline = self.0.deadline.load(Ordering::Relaxed);
        deadline != 0 && EPOCH.elapsed().as_millis() as i64 >= deadline
    }

    /// Counts bytes of temporary files that come, or go if negative. False: they are too many, and
    /// must not come.
    pub(super) fn spill(&self, bytes: i64) -> bool {
        let spilled = self.0.spilled.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let fits = bytes <= 0 || spilled <= self.0.spill_limit.load(Ordering::Relaxed);
        if !fits {
            self.0.spilled.fetch_sub(bytes, Ordering::Relaxed);
            self.0.is_too_large.store(true, Ordering::Relaxed);
        }
        fits
    }

    /// Whether the query must stop now: it is late, or SQLite holds much more memory than before it.
    pub(super) fn must_stop(&self) -> bool {
        let is_fat = memory_used() - self.0.held.load(Ordering::Relaxed) > MAX_GROWTH;
        if is_fat {
            self.0.is_too_large.store(true, Ordering::Relaxed);
        }
        is_fat || self.is_late()
    }

    /// Whether the query was stopped for its size.
    pub(super) fn is_too_large(&self) -> bool {
        self.0.is_too_large.load(Ordering::Relaxed)
    }

    /// Whether it is the guard of the same connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Notes the names of all tables, views and virtual tables. Before the authorizer is there.
    pub(super) fn take_names(&self, connection: &rusqlite::Connection) -> rusqlite::Result<()> {
        let sql = "SELECT lower(name) FROM sqlite_schema UNION SELECT lower(name) FROM pragma_module_list";
        let mut statement = connection.prepare(sql)?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        // A connection is enclosed once.
        let _ = self.0.taken.set(names);
        Ok(())
    }

    /// Whether a name may stand for something else than a part of the query itself.
    pub(super) fn is_name_taken(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        name.starts_with("sqlite_")
            || name.starts_with("pragma_")
            || self.0.taken.get().is_none_or(|taken| taken.contains(&name))
    }

    /// Runs `work` with the authorizer looking away.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.is_inside.store(true, Ordering::Relaxed);
        let result = work();
        self.0.is_inside.store(false, Ordering::Relaxed);
        result
    }

    /// Whether the statement being prepared is loopd's own.
    pub(super) fn is_inside(&self) -> bool {
        self.0.is_inside.load(Ordering::Relaxed)
    }
}

/// In unix nanoseconds.
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What SQLite holds in memory in this process, in bytes.
fn memory_used() -> i64 {
    #[expect(unsafe_code, reason = "a counter of SQLite's")]
    // SAFETY: it may be called at any time.
    unsafe {
        ffi::sqlite3_memory_used()
    }
}

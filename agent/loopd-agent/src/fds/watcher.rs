//! The thread `loopd-fds`: looks once a second, and tells the exporter what has come and gone.

use std::collections::HashSet;
use std::sync::Once;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::noted::{self, Stacks};
use super::table::{Closed, Due, Table};
use super::{CHANGES, Change, IS_LOOKING, MAX_CHANGES, TABLE_BYTES, UNTRACKED, names, scan};
use crate::agent::{STATUS, spawn_thread};
use crate::clock::ticks;
use crate::recorder::{self, Recorder};
use crate::renewable::Renewable;
use crate::status::Status;

/// File descriptors known at once with the default memory limit, in proportion with another one:
/// about two megabytes.
const MAX_FDS: usize = 16 << 10;
const FULL_SIZE_AT: usize = 32 << 20;
/// Listed in one look; beyond that they are only counted.
const MAX_LISTED: usize = 4 * MAX_FDS;
/// Between looks: such that they take one part in [`LOOK_SHARE`] of the time, within these.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
const LOOK_SHARE: u32 = 100;
/// Between walks over the stacks that were noted, and between attempts to tell what found no room.
const STACK_INTERVAL: Duration = Duration::from_millis(50);

/// See the module.
struct Watcher {
    recorder: &'static Recorder,
    status: &'static Status,
    table: Table,
    stacks: Stacks,
    next_look: Instant,
    /// The exporter had no room for everything; the rest is told as soon as it has.
    has_more: bool,
}

/// Also when it panics, nobody waits for it.
struct Looking;

impl Drop for Looking {
    fn drop(&mut self) {
        IS_LOOKING.store(false, Relaxed);
    }
}

/// Of each agent there is one thread.
static ONCE: Renewable<Once> = Renewable::new(Once::new);

/// The next agent has none yet.
pub(super) fn renew() {
    ONCE.renew();
}

/// Starts the thread, once.
pub(super) fn ensure_running() -> Result<(), String> {
    let Some(recorder) = recorder::get() else {
        return Err("the agent has not started".to_owned());
    };
    let mut result = Ok(());
    ONCE.get().call_once(|| {
        let watcher = Watcher {
            recorder,
            status: STATUS.get(),
            table: Table::new(super::MEMORY_LIMIT.load(Relaxed) / (FULL_SIZE_AT / MAX_FDS)),
            stacks: Stacks::default(),
            next_look: Instant::now(),
            has_more: false,
        };
        IS_LOOKING.store(true, Relaxed);
        let started = spawn_thread("loopd-fds", move || {
            let _looking = Looking;
            watcher.run();
        });
        result = started.map_err(|error| error.to_string());
    });
    result.inspect_err(|_| IS_LOOKING.store(false, Relaxed))
}

impl Watcher {
    fn run(mut self) {
        loop {
            let is_tracking = super::is_tracking();
            if is_tracking {
                self.stacks.take_settled(false);
                if Instant::now() >= self.next_look {
                    self.look(false);
                } else if self.has_more {
                    self.report(false);
                }
            }
            let pause = if self.has_more || noted::IS_POSSIBLE {
                STACK_INTERVAL
            } else {
                self.next_look.saturating_duration_since(Instant::now()).max(STACK_INTERVAL)
            };
            if self.status.sleep(if is_tracking { pause } else { LOOK_INTERVAL }) {
                break;
            }
        }
        if super::is_tracking() {
            // What is open now has survived.
            self.stacks.take_settled(true);
            self.look(true);
            while self.has_more
                && self.status.shutdown_deadline().is_some_and(|at| Instant::now() < at)
            {
                std::thread::sleep(STACK_INTERVAL);
                self.report(true);
            }
        }
    }

    fn look(&mut self, is_last: bool) {
        let since = Instant::now();
        self.table.begin_look();
        let mut closed = Vec::new();
        let table = &mut self.table;
        let beyond = scan::each_open(MAX_LISTED, |fd| {
            // The number may have been closed since it was listed.
            if let Some(identity) = scan::identity(fd) {
                closed.extend(table.see(ticks(), fd, identity, noted::read(fd)));
            }
        });
        let Some(beyond) = beyond else { return };
        closed.extend(self.table.end_look(ticks(), noted::take_closed_at));
        tell_closed(closed);
        // Without the naming of stacks, which takes long once and then no more.
        let pause = (since.elapsed() * LOOK_SHARE).clamp(LOOK_INTERVAL, LONGEST_INTERVAL);
        self.report(is_last);
        self.stacks.forget_closed();
        UNTRACKED.store((self.table.beyond() + beyond) as u64, Relaxed);
        TABLE_BYTES.store(self.table.bytes() + self.stacks.bytes(), Relaxed);
        self.next_look = Instant::now() + pause;
    }

    /// Tells what has been open for long enough.
    fn report(&mut self, is_last: bool) {
        let due = self.table.due(is_last);
        self.has_more = false;
        if due.is_empty() {
            return;
        }
        let own = self.own();
        for due in due {
            if own.contains(&due.fd) {
                self.table.pass_over(due.fd);
            } else if !self.report_one(due) {
                self.has_more = true;
                return;
            }
        }
    }

    /// Whether there is room for more.
    fn report_one(&mut self, due: Due) -> bool {
        let Ok(waiting) = CHANGES.lock().map(|changes| changes.len()) else { return false };
        if waiting >= MAX_CHANGES {
            return false;
        }
        // Closed since the look: the next one finds that out.
        let Some((kind, name)) = names::describe(due.fd) else { return true };
        let resource = recorder::next_resource();
        let stack = self.stacks.take(due.fd, due.note);
        tell(due.at, Change::Opened { resource, kind, name, task: due.note.task, stack });
        self.table.set_reported(due.fd, resource);
        true
    }

    /// The agent's own: what wakes the exporter, the epoll instance that watches that, and whatever
    /// else that watches.
    fn own(&self) -> HashSet<i32> {
        let (ours, watched) = self.recorder.wakeup().numbers();
        let mut own: HashSet<_> = ours.into_iter().chain(watched).collect();
        let Some(watched) = watched else { return own };
        for epoll in self.table.with(|identity| identity.is_epoll()) {
            let others = scan::watched_by(epoll);
            if others.contains(&watched) {
                own.insert(epoll);
                own.extend(others);
            }
        }
        own
    }
}

fn tell_closed(closed: Vec<Closed>) {
    for Closed { resource, at } in closed {
        tell(at, Change::Closed { resource });
    }
}

fn tell(at: u64, change: Change) {
    if let Ok(mut changes) = CHANGES.lock() {
        changes.push_back((at, change));
    }
}

//! What asyncio itself complains of, and loopd's `EventLoop` as it, grouped by check and line, with what it means and how to mend it.
//!
//! Agents tell each complaint as a mark of the target [`TARGET`], with the check's name in the field
//! [`FIELD`]. A check that this version does not know is shown in its own words.

use std::cmp::Reverse;
use std::collections::HashMap;

use loopd_model::{MarkLevel, UnixNanos};

/// What the marks of checks are called.
pub const TARGET: &str = "asyncio";
/// The field that names the check.
pub const FIELD: &str = "check";

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// When.
    pub at: UnixNanos,
    /// How serious: warn or error.
    pub level: MarkLevel,
    /// What it says.
    pub message: String,
    /// Keys and values, the check's name among them.
    pub fields: Vec<(String, String)>,
    /// Where in the program, as `file:line`; `None` if not known.
    pub location: Option<String>,
}

/// All complaints of one check about one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check's name.
    pub check: String,
    /// `file:line`; `None` if not known.
    pub location: Option<String>,
    /// How serious the most serious was.
    pub level: MarkLevel,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first_seen_at: UnixNanos,
    /// The last.
    pub last_seen_at: UnixNanos,
    /// What the last one said.
    pub message: String,
    /// What else it said, without the check's name.
    pub fields: Vec<(String, String)>,
    /// What it means, and what to do.
    pub explanation: Explanation,
}

/// What a check found, why that is wrong, and how to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was found, as in "3 times: …".
    pub what: &'static str,
    /// Why that is wrong, in a sentence.
    pub why: &'static str,
    /// What to do, in a sentence.
    pub fix: &'static str,
}

/// Groups complaints by check and line: errors first, then those with most complaints.
pub fn findings(complaints: impl IntoIterator<Item = Complaint>) -> Vec<Finding> {
    let mut places: HashMap<(String, Option<String>), usize> = HashMap::new();
    let mut findings: Vec<Finding> = Vec::new();
    for complaint in complaints {
        let Some(check) = check(&complaint) else { continue };
        let key = (check.to_owned(), complaint.location.clone());
        match places.get(&key) {
            Some(&place) => findings[place].add(complaint),
            None => {
                places.insert(key, findings.len());
                findings.push(Finding::new(complaint));
            }
        }
    }
    findings.sort_by(|a, b| {
        let order = |it: &Finding| (Reverse(it.level), Reverse(it.count));
        (order(a), &a.check, &a.location).cmp(&(order(b), &b.check, &b.location))
    });
    findings
}

fn check(complaint: &Complaint) -> Option<&str> {
    let named = complaint.fields.iter().find(|(key, _)| key == FIELD);
    named.map(|(_, check)| check.as_str()).filter(|check| !check.is_empty())
}

impl Finding {
    fn new(complaint: Complaint) -> Self {
        let check = check(&complaint).unwrap_or_default().to_owned();
        Self {
            explanation: explain(&check),
            check,
            level: complaint.level,
            count: 1,
            first_seen_at: complaint.at,
            last_seen_at: complaint.at,
            fields: without_check(complaint.fields),
            message: complaint.message,
            location: complaint.location,
        }
    }

    fn add(&mut self, complaint: Complaint) {
        self.count += 1;
        self.level = self.level.max(complaint.level);
        self.first_seen_at = self.first_seen_at.min(complaint.at);
        if complaint.at > self.last_seen_at {
            self.last_seen_at = complaint.at;
            self.message = complaint.message;
            self.fields = without_check(complaint.fields);
        }
    }
}

fn without_check(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    fields.retain(|(key, _)| key != FIELD);
    fields
}

/// The name of a check that this version knows.
pub fn known_name(check: &str) -> Option<&'static str> {
    EXPLANATIONS.iter().map(|(name, _)| *name).find(|name| *name == check)
}

/// What a check means.
pub fn explain(check: &str) -> Explanation {
    let known = EXPLANATIONS.iter().find(|(name, _)| *name == check);
    known.map_or(UNKNOWN, |(_, explanation)| *explanation)
}

const UNKNOWN: Explanation = Explanation {
    what: "something that asyncio complains of",
    why: "This version of loopd does not know the check.",
    fix: "See the message, and use the same version of agent and loopd.",
};

const EXPLANATIONS: [(&str, Explanation); 27] = [
    (
        "never_awaited",
        Explanation {
            what: "a coroutine that was never awaited",
            why: "Calling a coroutine function only makes a coroutine: nothing of its body has run.",
            fix: "Write `await` before the call, or give it to `asyncio.create_task(…)`.",
        },
    ),
    (
        "exception_never_retrieved",
        Explanation {
            what: "an exception of a task that nobody looked at",
            why: "The task failed, and whoever started it went on as if it had not.",
            fix: "Await the task, start it in an `asyncio.TaskGroup`, or look at `task.exception()` \
                  in `task.add_done_callback(…)`.",
        },
    ),
    (
        "task_destroyed_pending",
        Explanation {
            what: "a task that was destroyed while it was pending",
            why: "The loop holds its tasks only weakly: one that nothing else refers to may vanish in \
                  the middle, without running its `finally`.",
            fix: "Keep what `asyncio.create_task(…)` returns until it is done (in a set, from which a \
                  done callback discards it), or use an `asyncio.TaskGroup`.",
        },
    ),
    (
        "slow_selector",
        Explanation {
            what: "a look at sockets that took long, though callbacks were ready and it was not to wait",
            why: "The thread had no processor, or the global lock was another thread's meanwhile: the \
                  callbacks that were ready waited for it.",
            fix: "Look whether the machine is short of processors (the finding `descheduled`) or other \
                  threads hold the lock (`gc_gil`).",
        },
    ),
    (
        "unclosed_loop",
        Explanation {
            what: "a loop that was freed without being closed",
            why: "Its selector and its pair of sockets stayed open until the garbage collector came.",
            fix: "Use `asyncio.run(…)` or `asyncio.Runner`, or call `loop.close()` in a `finally`.",
        },
    ),
    (
        "unclosed_transport",
        Explanation {
            what: "a transport that was freed without being closed",
            why: "Its connection or pipe stayed open until the garbage collector came, and the other \
                  side waited.",
            fix: "Call `writer.close()` and `await writer.wait_closed()` (or `transport.close()`) in a \
                  `finally`; `await process.wait()` for a subprocess.",
        },
    ),
    (
        "unclosed_socket",
        Explanation {
            what: "a socket that was freed without being closed",
            why: "Its descriptor stayed open until the garbage collector came.",
            fix: "Use it in `with`, or call `close()` in a `finally`.",
        },
    ),
    (
        "unclosed_server",
        Explanation {
            what: "a server that was freed without being closed",
            why: "It went on listening, though nobody could stop it any more.",
            fix: "Use `async with server:`, or call `server.close()` and `await server.wait_closed()`.",
        },
    ),
    (
        "unclosed_session",
        Explanation {
            what: "an HTTP session or its connections that were never closed",
            why: "Each keeps its connections open, and a new one for each request also loses all use \
                  of keep-alive.",
            fix: "Make one `ClientSession` for the program, in `async with`, and release each response \
                  with `async with session.get(…) as response`.",
        },
    ),
    (
        "wrong_thread",
        Explanation {
            what: "a loop that was called from a thread that does not run it",
            why: "Loops are not thread-safe: the callback may run late, as the loop does not wake up \
                  for it, and its queues may be damaged.",
            fix: "Use `loop.call_soon_threadsafe(…)` or `asyncio.run_coroutine_threadsafe(…, loop)`.",
        },
    ),
    (
        "asyncgen_finalized",
        Explanation {
            what: "an asynchronous generator that was left in the middle",
            why: "Its `finally` and `async with` run only when the garbage collector finds it, in a \
                  task of their own.",
            fix: "Iterate it in `async with contextlib.aclosing(…) as items`, or `await it.aclose()`.",
        },
    ),
    (
        "asyncgen_after_shutdown",
        Explanation {
            what: "an asynchronous generator that began after the loop had shut its generators down",
            why: "Nobody will close it.",
            fix: "Start none in what runs while the loop shuts down, such as done callbacks and \
                  `finally` of cancelled tasks.",
        },
    ),
    (
        "asyncgen_error",
        Explanation {
            what: "an asynchronous generator that failed while it was being closed",
            why: "Its `finally` raised, and what it was to clean up may be left over.",
            fix: "Iterate it in `async with contextlib.aclosing(…) as items`, so that the exception \
                  reaches who iterates, and mend that.",
        },
    ),
    (
        "callback_exception",
        Explanation {
            what: "an exception in a callback",
            why: "Nobody awaits a callback: the exception is only logged, and what the callback was to \
                  do is not done.",
            fix: "Catch it in the callback, or make the callback a task that somebody awaits.",
        },
    ),
    (
        "connection_exception",
        Explanation {
            what: "an exception in the handler of a connection",
            why: "The connection may be left open, and its client without an answer.",
            fix: "Catch it in the handler given to `asyncio.start_server(…)`, and close the writer in \
                  a `finally`.",
        },
    ),
    (
        "shutdown_exception",
        Explanation {
            what: "an exception of a task that `asyncio.run` cancelled at its end",
            why: "The task did not take its cancellation well, and nobody waits for it any more.",
            fix: "Let `asyncio.CancelledError` pass, and await or cancel the task before `main` \
                  returns, as an `asyncio.TaskGroup` does.",
        },
    ),
    (
        "out_of_file_descriptors",
        Explanation {
            what: "a connection that could not be accepted for want of file descriptors",
            why: "Clients wait until others have left.",
            fix: "See what stays open with `loopd leaks`, and raise the limit (`ulimit -n`) if all of \
                  it is needed.",
        },
    ),
    (
        "loop_exception",
        Explanation {
            what: "an error that the loop was told of",
            why: "asyncio, or a library on top, met an error that belongs to nobody's await.",
            fix: "See the message and the exception; `loop.set_exception_handler(…)` sees them too.",
        },
    ),
    (
        "callback_failed",
        Explanation {
            what: "a callback of an `EventLoop` that failed",
            why: "Nobody awaits a callback: its error or panic goes to the exception handler, and what it was to do is not done.",
            fix: "Handle the error in the callback, or make the callback a task that somebody awaits.",
        },
    ),
    (
        "error_never_retrieved",
        Explanation {
            what: "an error of a task that nobody looked at",
            why: "The task failed, and whoever started it went on as if it had not.",
            fix: "Await the task, start it in a `TaskGroup`, or look at `task.exception()` in `task.add_done_callback(…)`.",
        },
    ),
    (
        "pending_task_destroyed",
        Explanation {
            what: "a task that was dropped while it was pending",
            why: "Its loop was closed before it was done, so that what it had still to do is not done.",
            fix: "Await or cancel the task before the loop is closed, as `loopd_agent::run(…)` does.",
        },
    ),
    (
        "slow_callback",
        Explanation {
            what: "a callback or step that held an `EventLoop` for long",
            why: "Everything else on the loop waited meanwhile.",
            fix: "Move blocking work to `run_in_executor(…)`, and divide long computations by `yield_now().await`.",
        },
    ),
    (
        "event_loop_unclosed",
        Explanation {
            what: "an `EventLoop` that was dropped without being closed",
            why: "What it had scheduled was dropped without a word, and so were its tasks.",
            fix: "Use `loopd_agent::run(…)`, or call `close()` when the loop is not needed any more.",
        },
    ),
    (
        "callback_never_run",
        Explanation {
            what: "a callback that was still to run when its `EventLoop` was closed",
            why: "What it was to do is not done.",
            fix: "Run the loop until it has run, or cancel its handle.",
        },
    ),
    (
        "shutdown_failed",
        Explanation {
            what: "an error of a task that `loopd_agent::run` cancelled at its end",
            why: "The task did not take its cancellation well, and nobody waits for it any more.",
            fix: "Let the cancellation pass with `?`, and await or cancel the task before the main one returns.",
        },
    ),
    (
        "finalizer_failed",
        Explanation {
            what: "a finalizer of an `EventLoop` that failed",
            why: "What it was to clean up may be left over.",
            fix: "See the error, and handle it in the finalizer.",
        },
    ),
    (
        "executor_unfinished",
        Explanation {
            what: "an executor of an `EventLoop` whose jobs did not end",
            why: "`loopd_agent::run(…)` waited for them at its end, and then left them to themselves: they end with the process, wherever they are.",
            fix: "Have long jobs look for a sign to end, such as an `AtomicBool` or a closed channel, and give it before the main task returns.",
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `7 never_awaited app.py:3 error: coroutine 'a'`.
    fn complaint(text: &str) -> Complaint {
        let (head, message) = text.split_once(": ").unwrap();
        let words: Vec<_> = head.split(' ').collect();
        let [at, check, place, level] = words[..] else { panic!("{text}") };
        Complaint {
            at: UnixNanos(at.parse().unwrap()),
            level: if level == "warn" { MarkLevel::Warn } else { MarkLevel::Error },
            message: message.to_owned(),
            fields: vec![(FIELD.into(), check.into()), ("said_at".into(), at.into())],
            location: (place != "-").then(|| place.to_owned()),
        }
    }

    fn picture(complaints: &[&str]) -> String {
        let line = |it: Finding| {
            let place = it.location.as_deref().unwrap_or("-");
            let fields: Vec<_> =
                it.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!(
                "{:?} {} {place} {} times {}..{}: {} {}\n",
                it.level,
                it.check,
                it.count,
                it.first_seen_at.0,
                it.last_seen_at.0,
                it.message,
                fields.join(" "),
            )
        };
        findings(complaints.iter().map(|text| complaint(text))).into_iter().map(line).collect()
    }

    #[test]
    fn complaints_of_one_check_about_one_line_are_one_finding_in_any_order() {
        let complaints = [
            "5 never_awaited app.py:3 error: coroutine 'a'",
            "9 never_awaited app.py:3 error: coroutine 'c'",
            "7 never_awaited app.py:3 error: coroutine 'b'",
        ];
        insta::assert_snapshot!(picture(&complaints), @"Error never_awaited app.py:3 3 times 5..9: coroutine 'c' said_at=9");
    }

    #[test]
    fn errors_come_first_and_then_what_is_most_frequent() {
        let complaints = [
            "1 unclosed_socket app.py:9 warn: a socket",
            "2 unclosed_socket app.py:9 warn: a socket",
            "3 unclosed_socket app.py:9 warn: a socket",
            "4 never_awaited app.py:4 error: coroutine",
            "5 never_awaited - error: coroutine",
            "6 never_awaited - error: coroutine",
        ];
        insta::assert_snapshot!(picture(&complaints), @r"
        Error never_awaited - 2 times 5..6: coroutine said_at=6
        Error never_awaited app.py:4 1 times 4..4: coroutine said_at=4
        Warn unclosed_socket app.py:9 3 times 1..3: a socket said_at=3
        ");
    }

    #[test]
    fn a_mark_that_names_no_check_is_no_complaint() {
        let mut other = complaint("1 never_awaited app.py:3 error: coroutine");
        other.fields.remove(0);
        assert_eq!(findings([other]), []);
    }

    #[test]
    fn every_check_is_explained_and_an_unknown_one_says_so() {
        for (name, explanation) in EXPLANATIONS {
            assert!(explanation.why.ends_with('.') && explanation.fix.ends_with('.'), "{name}");
            assert_eq!(explain(name), explanation, "{name} is there twice");
        }
        assert_eq!(explain("from_the_future"), UNKNOWN);
    }
}

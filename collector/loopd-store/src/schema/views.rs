//! Every view and column, in words; a test compares them with the views themselves.

use super::{SchemaColumn, SchemaFunction, SchemaView};

const fn column(name: &'static str, kind: &'static str, about: &'static str) -> SchemaColumn {
    SchemaColumn { name, kind, about }
}

// What a resource tells of itself, in two views.
const DEPTH: SchemaColumn = column("depth", "integer", "values in a queue; NULL if never told");
const CAPACITY: SchemaColumn = column("capacity", "integer", "values or permits that there can be");
const PERMITS: SchemaColumn = column("permits", "integer", "permits that are free");
const WAITERS: SchemaColumn = column("waiters", "integer", "waits that last");
const SENDERS: SchemaColumn = column("senders", "integer", "handles that can send");
const RECEIVERS: SchemaColumn = column("receivers", "integer", "handles that can receive");
const LOCKED: SchemaColumn = column("locked", "integer", "1: somebody has it");
const ACQUIRED: SchemaColumn = column("acquired", "integer", "how often it was taken, in all");
const CONTENDED: SchemaColumn = column("contended", "integer", "how often somebody waited, in all");
const WAITED_TIME: SchemaColumn = column("waited_time", "integer", "ns of all waits");
const HELD_TIME: SchemaColumn = column("held_time", "integer", "ns of all holds");
const SENT: SchemaColumn = column("sent", "integer", "values sent, in all");
const RECEIVED: SchemaColumn = column("received", "integer", "values received, in all");
const LAGGED: SchemaColumn = column("lagged", "integer", "values that a receiver missed, in all");

const ROLLUP: &[SchemaColumn] = &[
    column("process", "integer", "its process"),
    column("start_at", "integer", "when the minute or hour began, unix ns"),
    column("location", "text", "where the tasks were spawned, file:line; NULL if not seen in time"),
    column("spawned", "integer", "tasks spawned"),
    column("ended", "integer", "tasks that ended"),
    column("panicked", "integer", "of these, those that panicked or raised"),
    column("cancelled", "integer", "of those that ended, the ones that were cancelled"),
    column("polls", "integer", "polls that began; NULL where single polls were not recorded"),
    column("busy_time", "integer", "ns inside them"),
    column("max_poll_time", "integer", "ns of the longest"),
    column("p50", "integer", "ns that half of the polls do not exceed, to within 3.2 %"),
    column("p90", "integer", "ns that nine of ten polls do not exceed, to within 3.2 %"),
    column("p99", "integer", "ns that 99 of 100 polls do not exceed, to within 3.2 %"),
    column("wakes", "integer", "wakes, coalesced ones counted singly; 0 where none were seen"),
    column("scheduled_time", "integer", "ns between wakes and the polls they led to"),
    column(
        "wake_p50",
        "integer",
        "ns from wake to poll that half do not exceed; NULL without wakes",
    ),
    column("wake_p99", "integer", "ns from wake to poll that 99 of 100 do not exceed"),
];

pub(super) const FUNCTIONS: &[SchemaFunction] = &[
    SchemaFunction {
        signature: "wall_time(ns)",
        about: "unix ns as text: 2026-11-22T17:13:07.000000042Z",
    },
    SchemaFunction { signature: "duration(ns)", about: "ns as text: 1.25 ms" },
    SchemaFunction {
        signature: "short_path(path)",
        about: "a path or location as pages show it, from the folder of its crate on: \
                orders/src/main.rs:10",
    },
    SchemaFunction {
        signature: "now()",
        about: "when the query began, unix ns; the same for every row",
    },
    SchemaFunction {
        signature: "unix(text)",
        about: "unix ns of now, -5m, 14:03:07 (the last time the collector's clock showed it), \
                2026-11-22 14:03:07 (on that clock) or 2026-11-22T14:03:07Z",
    },
    SchemaFunction {
        signature: "ns(text)",
        about: "ns of a length such as 150us, 2.5ms or 1h 30m",
    },
    SchemaFunction {
        signature: "bucket(ns, step)",
        about: "rounded down to a multiple of step: group by bucket(start_at, ns('1s'))",
    },
    SchemaFunction { signature: "p50(x)", about: "aggregate: percentile(x, 50), the median" },
    SchemaFunction { signature: "p90(x)", about: "aggregate: percentile(x, 90)" },
    SchemaFunction { signature: "p99(x)", about: "aggregate: percentile(x, 99)" },
    SchemaFunction {
        signature: "percentile(x, p)",
        about: "aggregate: the smallest x that at least p % (0 to 100) of all do not exceed, NULL \
                left out; beyond 4,096 values to within 2 %",
    },
];

pub(super) const VIEWS: &[SchemaView] = &[
    SchemaView {
        name: "processes",
        about: "one run of one program",
        columns: &[
            column(
                "process",
                "integer",
                "key of the process in this store; every other view has it",
            ),
            column("id", "text", "the process's own id, 32 hexadecimal digits"),
            column("app", "text", "what people call the program"),
            column("app_version", "text", "empty if the program did not say"),
            column("host", "text", "empty if not known"),
            column("pid", "integer", "the operating system's process id"),
            column("labels", "text", "JSON object of the program's own key=value pairs"),
            column("agent", "text", "which agent records it"),
            column("agent_version", "text", "the agent's version"),
            column("state", "text", "live, lost (went without a goodbye) or ended"),
            column("started_at", "integer", "instant 0 of its clock, unix ns"),
            column("last_at", "integer", "up to when telemetry is known, unix ns"),
            column("ended_at", "integer", "unix ns; NULL while live"),
            column("slow_threshold", "integer", "polls at least this long are slow, ns"),
            column("tasks_spawned", "integer", "tasks whose spawn was seen, callbacks aside"),
        ],
    },
    SchemaView {
        name: "loops",
        about: "one event loop, such as a tokio runtime",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "its id"),
            column("name", "text", "what the program calls it; NULL if not seen"),
            column("flavor", "text", "such as tokio multi_thread; NULL if not seen"),
            column("workers", "integer", "0 if not known; NULL if not seen"),
            column("opened_at", "integer", "unix ns; NULL if not seen"),
            column("closed_at", "integer", "unix ns; NULL while open"),
        ],
    },
    SchemaView {
        name: "workers",
        about: "one thread that runs a loop",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "its loop"),
            column("worker", "integer", "its number in the loop, from 0"),
            column("thread_name", "text", "NULL if not seen"),
            column("thread_id", "integer", "the operating system's; NULL if not seen"),
            column("started_at", "integer", "unix ns; NULL if not seen"),
            column("stopped_at", "integer", "unix ns; NULL while it runs"),
        ],
    },
    SchemaView {
        name: "locations",
        about: "one place in source code",
        columns: &[
            column("process", "integer", "its process"),
            column("location_id", "integer", "its id in that process"),
            column("file", "text", "as the compiler knew it"),
            column("line", "integer", "from 1"),
            column("column", "integer", "from 1; 0 if not known"),
            column("location", "text", "file:line, as other views have it"),
        ],
    },
    SchemaView {
        name: "tasks",
        about: "one task",
        columns: &[
            column("process", "integer", "its process"),
            column("task", "integer", "its id"),
            column("name", "text", "NULL if it has none"),
            column(
                "kind",
                "text",
                "async, local, block_on, blocking, or callback: no task, but all runs of one function that a loop was given; NULL if its spawn was not seen",
            ),
            column("state", "text", "alive or ended"),
            column(
                "outcome",
                "text",
                "completed, panicked, raised, cancelled, destroyed (garbage-collected while pending) or unknown; NULL while alive",
            ),
            column("location", "text", "where it was spawned, file:line; NULL if not seen"),
            column("loop", "integer", "its loop; NULL if its spawn was not seen"),
            column("parent", "integer", "the task that spawned it; NULL outside any"),
            column("spawned_at", "integer", "unix ns; NULL if not seen"),
            column("ended_at", "integer", "unix ns; NULL while alive"),
            column("lifetime", "integer", "ns from spawn to end, or to the process's last instant"),
            column("polls", "integer", "how often it was polled"),
            column("busy_time", "integer", "ns inside finished polls"),
            column(
                "max_poll_time",
                "integer",
                "ns of its longest poll; NULL where polls are only counted and that is not known",
            ),
            column(
                "slow_polls",
                "integer",
                "how many of its polls were slow; NULL where polls are only counted and that is not known",
            ),
            column("wakes", "integer", "how often it was woken; NULL if no wake was seen"),
            column("self_wakes", "integer", "wakes by itself; NULL if no wake was seen"),
            column(
                "scheduled_time",
                "integer",
                "ns between wakes and the polls they led to; NULL if no wake was seen",
            ),
            column("last_waker", "integer", "the task that woke it last; NULL if none did"),
            column("fields", "text", "JSON object of what the program says of it; NULL if nothing"),
            column(
                "unwakeable",
                "integer",
                "1: it is pending and nothing is left that could wake it",
            ),
            column("children", "integer", "tasks that it spawned"),
        ],
    },
    SchemaView {
        name: "polls",
        about: "one poll of a task, for as long as raw polls are kept; say process and start_at where you can, it is large",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "the worker's loop"),
            column("worker", "integer", "the worker"),
            column("start_at", "integer", "unix ns"),
            column("length", "integer", "ns"),
            column("task", "integer", "the task polled"),
            column("location", "text", "where that task was spawned, file:line; NULL if not seen"),
        ],
    },
    SchemaView {
        name: "rollups",
        about: "what the tasks of one spawn location did in one minute; kept longer than polls, and quick to read",
        columns: ROLLUP,
    },
    SchemaView {
        name: "hourly_rollups",
        about: "the same, in one hour; kept longest",
        columns: ROLLUP,
    },
    SchemaView {
        name: "parks",
        about: "one sleep of a worker that had nothing to do",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "the worker's loop"),
            column("worker", "integer", "the worker"),
            column("start_at", "integer", "unix ns"),
            column("length", "integer", "ns"),
        ],
    },
    SchemaView {
        name: "wakes",
        about: "one wake that led to a poll",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "loop of the worker that ran the poll"),
            column("worker", "integer", "that worker"),
            column("woken_at", "integer", "unix ns"),
            column("delay", "integer", "ns from the wake to the poll"),
            column("task", "integer", "the task woken"),
            column("by_task", "integer", "the task that woke it; NULL outside any"),
            column("count", "integer", "wakes that led to this one poll"),
        ],
    },
    SchemaView {
        name: "callbacks",
        about: "one run of a callback of an event loop, which is a poll of a task of kind callback, for as long as raw polls are kept; say process and start_at where you can, it is large",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "the loop"),
            column("worker", "integer", "the worker"),
            column("start_at", "integer", "unix ns"),
            column("length", "integer", "ns"),
            column(
                "late_time",
                "integer",
                "ns after it was due; NULL, since no agent tells it of a single run: see wakes",
            ),
            column(
                "kind",
                "text",
                "how it was scheduled; NULL, since no agent tells it of a single run",
            ),
            column(
                "location",
                "text",
                "where its function is defined, file:line; NULL if not seen",
            ),
        ],
    },
    SchemaView {
        name: "findings",
        about: "what a rule found wrong while the process ran, such as a blocking call at one line; see loopd findings for any other range",
        columns: &[
            column("process", "integer", "its process"),
            column("rule", "text", "which rule found it, such as blocking_call"),
            column("subject", "text", "what it is about, mostly file:line"),
            column("first_seen_at", "integer", "unix ns"),
            column("last_seen_at", "integer", "unix ns"),
            column("harm_time", "integer", "ns that it cost others; 0 where that is not known"),
            column("occurrences", "integer", "how often it was seen within one analysis, at most"),
            column("title", "text", "what is wrong, in a sentence"),
            column("level", "text", "info, warning or error"),
            column("score", "integer", "0 to 100, by harm"),
            column("confidence", "text", "possible, likely or certain"),
            column("location", "text", "the line to look at, file:line; NULL if none is known"),
            column(
                "resolved_at",
                "integer",
                "when it was no longer found, unix ns; NULL while it is open",
            ),
            column("openings", "integer", "how often it opened"),
            column("muted", "text", "why nobody wants to hear of it; NULL if it is not muted"),
        ],
    },
    SchemaView {
        name: "notes",
        about: "what somebody wrote to a time of a recording; kept for as long as its process",
        columns: &[
            column("note", "integer", "its number"),
            column("process", "integer", "the process it is about; NULL for all of them"),
            column("from_at", "integer", "unix ns"),
            column("to_at", "integer", "unix ns; from_at if it is about an instant"),
            column("text", "text", "what it says"),
            column("author", "text", "who says so; NULL if nobody said"),
            column("made_at", "integer", "unix ns"),
            column("changed_at", "integer", "unix ns; NULL if it was not changed"),
        ],
    },
    SchemaView {
        name: "slow",
        about: "one poll at or over the process's slow_threshold",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "the worker's loop"),
            column("worker", "integer", "the worker"),
            column("start_at", "integer", "unix ns"),
            column("length", "integer", "ns; NULL while its end has not been seen"),
            column("task", "integer", "the task polled"),
            column("location", "text", "where that task was spawned, file:line; NULL if not seen"),
            column("samples", "integer", "stacks taken in it"),
        ],
    },
    SchemaView {
        name: "samples",
        about: "one stack taken in the middle of a long poll",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "the worker's loop"),
            column("worker", "integer", "the worker"),
            column(
                "poll_started_at",
                "integer",
                "with loop and worker this names the poll; unix ns",
            ),
            column("at", "integer", "unix ns"),
            column("task", "integer", "the task polled"),
            column("stack", "integer", "see frames"),
            column("running", "text", "on_cpu or off_cpu; NULL if not known"),
            column(
                "syscall",
                "text",
                "such as futex or read, or page_fault; NULL if in none, or not known",
            ),
            column(
                "wchan",
                "text",
                "where in the kernel it slept, or runqueue; NULL if not asleep, or not known",
            ),
        ],
    },
    SchemaView {
        name: "stacks",
        about: "one call stack",
        columns: &[
            column("process", "integer", "its process"),
            column("stack", "integer", "its id"),
            column("leaf", "text", "the function that was running"),
            column("depth", "integer", "frames"),
        ],
    },
    SchemaView {
        name: "frames",
        about: "one frame of a call stack",
        columns: &[
            column("process", "integer", "its process"),
            column("stack", "integer", "its stack"),
            column("depth", "integer", "0 is what was running"),
            column("function", "text", "empty if no symbol is known"),
            column("file", "text", "NULL without line tables"),
            column("line", "integer", "NULL without line tables"),
        ],
    },
    SchemaView {
        name: "resources",
        about: "one thing that was opened and must be closed",
        columns: &[
            column("process", "integer", "its process"),
            column("resource", "integer", "its id"),
            column("kind", "text", "file, socket, or what the program calls it"),
            column("name", "text", "a path or an address; NULL if not given"),
            column("location", "text", "where it was opened, file:line; NULL if not known"),
            column("task", "integer", "the task that opened it; NULL outside any"),
            column("opened_at", "integer", "unix ns"),
            column("closed_at", "integer", "unix ns; NULL while open"),
            column("how", "text", "closed, dropped or unclosed; NULL while open"),
            column(
                "open_stack",
                "integer",
                "the stack that opened it, see frames; NULL if not taken",
            ),
            DEPTH,
            CAPACITY,
            PERMITS,
            WAITERS,
            SENDERS,
            RECEIVERS,
            LOCKED,
            ACQUIRED,
            CONTENDED,
            WAITED_TIME,
            HELD_TIME,
            SENT,
            RECEIVED,
            LAGGED,
            column("state_at", "integer", "when the latest of these was told, unix ns"),
        ],
    },
    SchemaView {
        name: "resource_states",
        about: "how things stood with a resource; told when it changed, at most once a second; the latest million",
        columns: &[
            column("process", "integer", "its process"),
            column("resource", "integer", "the resource"),
            column("at", "integer", "unix ns"),
            DEPTH,
            CAPACITY,
            PERMITS,
            WAITERS,
            SENDERS,
            RECEIVERS,
            LOCKED,
            ACQUIRED,
            CONTENDED,
            WAITED_TIME,
            HELD_TIME,
            SENT,
            RECEIVED,
            LAGGED,
        ],
    },
    SchemaView {
        name: "waits",
        about: "one wait of a task for a resource; those below a millisecond may be in the resource's totals only",
        columns: &[
            column("process", "integer", "its process"),
            column("wait", "integer", "its id"),
            column("task", "integer", "who waits; NULL outside any task"),
            column("resource", "integer", "for what; NULL if not known"),
            column("op", "text", "to do what: lock, acquire, send, recv …"),
            column("location", "text", "where it waits, file:line; NULL if not known"),
            column("amount", "integer", "permits wanted; 0 where nothing is counted"),
            column("began_at", "integer", "unix ns"),
            column("ended_at", "integer", "unix ns; NULL while it lasts"),
            column("length", "integer", "ns; up to the last data while it lasts"),
            column(
                "state",
                "text",
                "pending, ready, cancelled, or unfinished: its task or process ended first, its end may be lost, or nobody knows how it ended",
            ),
            column("holder", "integer", "the first task that held it then; NULL if not known"),
            column(
                "holders",
                "integer",
                "how many held it then, as far as known; see wait_holders",
            ),
        ],
    },
    SchemaView {
        name: "wait_holders",
        about: "one task that held what another began to wait for",
        columns: &[
            column("process", "integer", "its process"),
            column("wait", "integer", "the wait"),
            column("task", "integer", "who held it; NULL outside any task"),
            column("since_at", "integer", "unix ns"),
            column("location", "text", "where it was taken, file:line; NULL if not known"),
            column("amount", "integer", "permits; 0 where nothing is counted"),
        ],
    },
    SchemaView {
        name: "holds",
        about: "one hold of a lock or of permits that somebody waited for, or that took as long as a slow poll",
        columns: &[
            column("process", "integer", "its process"),
            column("resource", "integer", "what was held"),
            column("task", "integer", "by whom; NULL outside any task"),
            column("since_at", "integer", "unix ns"),
            column("ended_at", "integer", "unix ns"),
            column("length", "integer", "ns"),
            column("location", "text", "where it was taken, file:line; NULL if not known"),
            column("amount", "integer", "permits; 0 where nothing is counted"),
            column("waits", "integer", "waits that began meanwhile"),
        ],
    },
    SchemaView {
        name: "task_dumps",
        about: "where one task waited when somebody asked, as by loopd awaits; one that awaited several tasks at once has a row for each of them; of each process the latest 20 dumps",
        columns: &[
            column("process", "integer", "its process"),
            column("dump", "integer", "which dump, from 1 on in each process"),
            column("task", "integer", "the task"),
            column("at", "integer", "when it was looked at, unix ns"),
            column(
                "stack",
                "integer",
                "its chain of coroutines, innermost first, see frames; NULL if not known",
            ),
            column(
                "awaits",
                "text",
                "what the innermost awaited, such as Future, Lock or sleep; NULL if not known",
            ),
            column("awaits_task", "integer", "the task that it awaited; NULL if that was no task"),
            column(
                "resource",
                "integer",
                "the resource that it awaited; NULL if that was none that is tracked",
            ),
        ],
    },
    SchemaView {
        name: "marks",
        about: "one mark of the program's own, or one event that it traced",
        columns: &[
            column("process", "integer", "its process"),
            column("at", "integer", "unix ns"),
            column("task", "integer", "the task polled then; NULL outside any"),
            column("level", "text", "trace, debug, info, warn or error; NULL for a mark"),
            column("target", "text", "the module that traced it; the name of a mark"),
            column("message", "text", "may be empty"),
            column("fields", "text", "JSON object"),
            column("location", "text", "file:line; NULL if not known"),
        ],
    },
    SchemaView {
        name: "app_spans",
        about: "one span of the program's own tracing, once it has closed",
        columns: &[
            column("process", "integer", "its process"),
            column("span", "integer", "its id"),
            column("parent", "integer", "the span that it is in; NULL at the top"),
            column("task", "integer", "the task polled when it opened; NULL outside any"),
            column("name", "text", "what the program calls it"),
            column("target", "text", "the module that made it"),
            column("opened_at", "integer", "unix ns"),
            column("closed_at", "integer", "unix ns"),
            column("length", "integer", "ns between the two"),
            column("busy_time", "integer", "ns for which it was entered"),
            column("fields", "text", "JSON object"),
            column("location", "text", "file:line; NULL if not known"),
        ],
    },
    SchemaView {
        name: "coverage",
        about: "one capture layer, as it was from an instant on",
        columns: &[
            column("process", "integer", "its process"),
            column("at", "integer", "unix ns"),
            column("layer", "text", "hooks, wrapped, watchdog, metrics, tracing, guards, fds …"),
            column("state", "text", "on, off or unavailable"),
            column("reason", "text", "why not, and what would turn it on; NULL when on"),
            column("settings", "text", "JSON object of the settings in force; {} if not told"),
        ],
    },
    SchemaView {
        name: "metrics",
        about: "one reading",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "NULL for readings of the process"),
            column("worker", "integer", "NULL where it belongs to none"),
            column("name", "text", "such as alive_tasks, global_queue_depth, rss_bytes"),
            column("at", "integer", "unix ns"),
            column("value", "real", "counters count from the start"),
        ],
    },
    SchemaView {
        name: "losses",
        about: "telemetry that was produced and will never arrive",
        columns: &[
            column("process", "integer", "its process"),
            column(
                "kind",
                "text",
                "poll, park, wake, task, resource, sample, metric, loop, wait or mark; NULL: anything",
            ),
            column(
                "cause",
                "text",
                "ring_full, no_ring, window_evicted, agent_limit, shutdown_deadline, malformed, storage_full, store_rollback or unknown_tail",
            ),
            column("count", "integer", "0 if not known"),
            column("from_at", "integer", "not before, unix ns"),
            column("to_at", "integer", "not after, unix ns"),
        ],
    },
    SchemaView {
        name: "ledger",
        about: "the books of one kind of record: produced = stored + dropped + lost, up to the last batch",
        columns: &[
            column("process", "integer", "its process"),
            column(
                "kind",
                "text",
                "poll, park, wake, task, resource, sample, metric, loop, wait or mark",
            ),
            column("produced", "integer", "recorded or dropped, says the agent"),
            column("stored", "integer", "stored here, ever"),
            column("dropped", "integer", "dropped by the agent"),
            column("lost", "integer", "lost between the two"),
        ],
    },
    SchemaView {
        name: "tiles",
        about: "one stored piece of the timeline",
        columns: &[
            column("process", "integer", "its process"),
            column("loop", "integer", "the lane's loop"),
            column("worker", "integer", "the lane's worker"),
            column("level", "integer", "its buckets are 2^(20 + 2 * level) ns long"),
            column("tile", "integer", "unix ns / (256 * length of a bucket)"),
            column("folded", "integer", "1: a coarser tile has it too"),
            column("bytes", "integer", "size of its cells"),
        ],
    },
];

//! Programs with `console-subscriber`, as scripts over real connections, recorded by a real collector.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod program;
mod store;

use std::time::Duration;

use console_api::field::Value;
use console_api::instrument::Update;
use loopd_analysis::findings::analyse;
use loopd_console::attach::{Bridge, Collector};
use loopd_store::ProcessKey;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use program::{Counts, MS, Program, SPAWN, Script, details};
use store::{LIMIT, Store};

/// A bridge that runs.
struct Attached {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Attached {
    fn to(target: &str, collector: Collector) -> Self {
        let bridge = Bridge::new(target.parse().unwrap(), Some("shop".into()), collector);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(bridge.run(async move { drop(stopped.await) }));
        Self { stop, running }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.running).await.unwrap().unwrap();
    }
}

async fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !is_true() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn first() -> Script {
    Script::at(1_000).callsites(&[(SPAWN, "runtime.spawn")])
}

fn counts(polls: u64, busy: u64) -> Counts {
    Counts { polls, busy, last: Some((700, 701)), ..Counts::default() }
}

const TASKS: &str =
    "SELECT task, name, kind, state, location, polls, busy_time, wakes, max_poll_time,
    slow_polls FROM tasks ORDER BY task";

#[tokio::test]
async fn a_program_is_recorded_and_what_snapshots_do_not_carry_is_not_known() {
    let store = Store::new().await;
    let fields =
        [("kind", "task"), ("task.name", "serve"), ("task.id", "41"), ("size.bytes", "96")];
    let initial = first()
        .task(5, 10, &fields)
        .counted(5, 10, Counts { wakes: 3, self_wakes: 1, scheduled: 9, ..counts(4, 2 * MS) })
        .task(6, 20, &[("kind", "blocking")])
        .done();
    let program = Program::new(initial);
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    let blocking = format!("{} - blocking alive shop/src/main.rs:7 0 0 - 0 0", (1u64 << 62) + 1);
    let serve = "41 serve async alive shop/src/main.rs:7 4 2000000 3 - -";
    store.gives(TASKS, &[serve, &blocking]).await;
    // Counters go on, and each is told once.
    let later = Counts { wakes: 5, ..counts(7, 5 * MS) };
    program.say(Script::at(2_000).counted(5, 10, later).done()).await;
    let serve = "41 serve async alive shop/src/main.rs:7 7 5000000 5 - -";
    store.gives(TASKS, &[serve, &blocking]).await;
    program
        .say(Script::at(9_000).counted(5, 10, Counts { dropped: Some(8_500), ..later }).done())
        .await;
    let ended = "SELECT state, outcome, (ended_at - spawned_at) / 1000000, fields FROM tasks WHERE task = 41";
    let fields = r#"{"size.bytes":"96","task.id":"41"}"#;
    store.gives(ended, &[&format!("ended unknown 8490 {fields}")]).await;
    let process = "SELECT app, host, pid, agent, state FROM processes";
    store.gives(process, &["shop  0 console-subscriber live"]).await;
    // No poll was made up, and no rule says that all is well with what it could not see.
    assert_eq!(store.sql("SELECT count(*) FROM polls").await, ["0"]);
    let facts = store.reader.facts(ProcessKey(1), None, None).await.unwrap().unwrap();
    let analysis = analyse(&facts);
    let ok = analysis.rules.iter().filter(|rule| rule.state == "ok").map(|rule| rule.rule);
    let expected = ["capture_incomplete", "task_leak", "resource_leak", "large_future"];
    assert_eq!(ok.collect::<Vec<_>>(), expected);
    let blocking = analysis.rules.iter().find(|rule| rule.rule == "blocking_call").unwrap();
    assert!(blocking.reason.contains("not captured by console snapshots"), "{blocking:?}");
    attached.end().await;
    store.gives("SELECT state FROM processes", &["ended"]).await;
}

#[tokio::test]
async fn a_connection_that_comes_back_goes_on_where_it_was() {
    let store = Store::new().await;
    let tasks = |script: Script| {
        let script = script.task(5, 10, &[("task.id", "41")]).task(6, 20, &[("task.id", "42")]);
        script.counted(5, 10, counts(4, MS)).counted(6, 20, counts(1, MS))
    };
    let program = Program::new(tasks(first()).done());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const STATES: &str = "SELECT process, task, state, polls FROM tasks ORDER BY process, task";
    store.gives(STATES, &["1 41 alive 4", "1 42 alive 1"]).await;
    // Meanwhile one has ended, and is no longer kept; another has its span.
    let again = Script::at(30_000)
        .callsites(&[(SPAWN, "runtime.spawn")])
        .task(5, 10, &[("task.id", "41")])
        .counted(5, 10, counts(9, MS))
        .task(6, 25_000, &[("task.id", "43")])
        .done();
    program.set_first(again);
    program.hang_up();
    store.gives(STATES, &["1 41 alive 9", "1 42 ended 1", "1 43 alive 0"]).await;
    attached.end().await;
}

#[tokio::test]
async fn a_program_that_was_restarted_is_another_run_whatever_its_ids() {
    let store = Store::new().await;
    let task = [("task.id", "1"), ("task.name", "main")];
    let program = Program::new(first().task(1, 10, &task).counted(1, 10, counts(4, MS)).done());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const STATES: &str = "SELECT process, task, state, polls FROM tasks ORDER BY process, task";
    store.gives(STATES, &["1 1 alive 4"]).await;
    // The same span, the same id of tokio's, the same callsite at the same address: but made at another time.
    let again = Script::at(60_000).callsites(&[(SPAWN, "runtime.spawn")]);
    program.set_first(again.task(1, 59_000, &task).counted(1, 59_000, counts(2, MS)).done());
    program.hang_up();
    store.gives(STATES, &["1 1 alive 4", "2 1 alive 2"]).await;
    store.gives("SELECT state FROM processes ORDER BY process", &["lost", "live"]).await;
    // And what says that it was made at the same time, by a callsite that has become another one.
    let other = Script::at(90_000).callsites(&[(SPAWN, "runtime.resource")]);
    program.set_first(other.task(1, 59_000, &task).counted(1, 59_000, counts(3, MS)).done());
    program.hang_up();
    store.gives(STATES, &["1 1 alive 4", "2 1 alive 2", "3 1 alive 3"]).await;
    attached.end().await;
}

#[tokio::test]
async fn a_span_that_is_used_again_is_another_task_and_what_ended_is_told_once() {
    let store = Store::new().await;
    let program = Program::new(first().task(5, 10, &[("task.id", "41")]).done());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const STATES: &str = "SELECT task, state, polls, wakes FROM tasks ORDER BY task";
    store.gives(STATES, &["41 alive 0 -"]).await;
    let reused = Script::at(2_000).task(5, 1_500, &[("task.id", "42")]);
    program.say(reused.counted(5, 1_500, counts(3, MS)).done()).await;
    store.gives(STATES, &["41 ended 0 -", "42 alive 3 -"]).await;
    let ended = Counts { dropped: Some(2_500), ..counts(4, MS) };
    program.say(Script::at(3_000).counted(5, 1_500, ended).done()).await;
    store.gives(STATES, &["41 ended 0 -", "42 ended 4 -"]).await;
    // A waker outlives it and is used: that is no news, and no task that nobody introduced.
    program.say(Script::at(4_000).counted(5, 1_500, Counts { wakes: 9, ..ended }).done()).await;
    program.say(Script::at(5_000).task(7, 4_900, &[("task.id", "44")]).done()).await;
    store.gives(STATES, &["41 ended 0 -", "42 ended 4 -", "44 alive 0 -"]).await;
    assert_eq!(store.sql("SELECT count(*) FROM losses").await, ["0"]);
    attached.end().await;
}

#[tokio::test]
async fn what_the_program_drops_is_lost_by_cause_and_its_lag_is_measured() {
    let store = Store::new().await;
    let program = Program::new(first().done());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    let late = Script::at(9_000).dropped([3, 2, 1]).task(5, 2_000, &[]).done();
    wait_until("it is attached", || program.viewers() == 1).await;
    program.say(late).await;
    let losses = "SELECT kind, cause, count FROM losses ORDER BY kind";
    let expected = ["resource ring_full 2", "task ring_full 3", "wait ring_full 1"];
    store.gives(losses, &expected).await;
    let ledger = "SELECT kind, produced - stored - dropped - lost FROM ledger ORDER BY kind";
    let even = ["metric 0", "resource 0", "task 0", "wait 0"];
    store.gives(ledger, &even).await;
    // The task was made seven seconds before the update that told of it.
    let lag = "SELECT count(*) FROM metrics a JOIN metrics b USING (process, at)
        WHERE a.name = 'console_lag_nanos' AND b.name = 'console_delivery_nanos'
            AND abs(a.value - b.value - 7e9) < 1e6";
    store.gives(lag, &["1"]).await;
    attached.end().await;
}

#[tokio::test]
async fn what_the_program_says_again_is_no_news_and_no_lag() {
    let store = Store::new().await;
    let initial = first()
        .task(5, 10, &[("task.id", "41")])
        .resource(100, 30, "Mutex", false)
        .resource(101, 30, "Mutex", false)
        .state(101, 30, &[], Some(800))
        .op(201, 30, 101, "Mutex::lock")
        .polled(201, 30, Some(5), 4, 700, Some(800))
        .done();
    let program = Program::new(initial);
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    wait_until("it is attached", || program.viewers() == 1).await;
    // It has all of the first in it, also what was over by then.
    program.say(Script::at(2_000).task(6, 1_500, &[("task.id", "42")]).done()).await;
    store.gives("SELECT task FROM tasks ORDER BY task", &["41", "42"]).await;
    let resources = "SELECT kind, closed_at IS NULL FROM resources";
    store.gives(resources, &["tokio::sync::Mutex 1"]).await;
    assert_eq!(store.sql("SELECT count(*) FROM waits").await, ["0"]);
    let lag = "SELECT max(a.value - b.value) BETWEEN 4.9e8 AND 5.1e8 FROM metrics a
        JOIN metrics b USING (process, at)
        WHERE a.name = 'console_lag_nanos' AND b.name = 'console_delivery_nanos'";
    store.gives(lag, &["1"]).await;
    attached.end().await;
}

#[tokio::test]
async fn a_program_that_has_too_much_to_tell_at_first_is_followed_and_what_is_not_known_is_lost() {
    let store = Store::new().await;
    // News only, of a task, a resource and an operation that nobody introduced.
    let news = |ms| Script::at(ms).counted(5, 10, counts(4, MS)).state(100, 30, &[], None);
    let op = |script: Script| script.polled(200, 500, Some(5), 2, 501, None);
    let program = Program::new(op(news(1_000)).task(6, 900, &[("task.id", "42")]).done());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const STATES: &str = "SELECT process, task, state, polls FROM tasks ORDER BY process, task";
    store.gives(STATES, &["1 42 alive 0"]).await;
    let losses = "SELECT kind, cause, count FROM losses ORDER BY kind";
    let expected = ["resource agent_limit 1", "task agent_limit 1", "wait agent_limit 1"];
    store.gives(losses, &expected).await;
    // Said again they are not lost again.
    program.say(op(news(2_000)).counted(6, 900, counts(1, MS)).done()).await;
    store.gives(STATES, &["1 42 alive 1"]).await;
    store.gives(losses, &expected).await;
    // Another connection, and nothing is said of what is known: that is no restart. Then something is.
    program.set_first(Script::at(3_000).task(7, 2_900, &[("task.id", "43")]).done());
    program.hang_up();
    store.gives(STATES, &["1 42 alive 1", "1 43 alive 0"]).await;
    program.say(Script::at(4_000).counted(6, 900, counts(2, MS)).done()).await;
    store.gives(STATES, &["1 42 alive 2", "1 43 alive 0"]).await;
    // Here it is one: the span of a task is that of another.
    program.set_first(Script::at(60_000).counted(6, 59_000, counts(1, MS)).done());
    program.hang_up();
    store.gives("SELECT state FROM processes ORDER BY process", &["lost", "live"]).await;
    attached.end().await;
}

#[tokio::test]
async fn what_was_done_before_it_was_attached_is_of_no_time_and_the_rest_is_of_its_own() {
    let store = Store::new().await;
    let initial = first().task(5, 10, &[]).counted(5, 10, counts(400, 900_000 * MS)).done();
    let program = Program::new(initial);
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    store.gives("SELECT busy_time / 1000000 FROM tasks", &["900000"]).await;
    let busy = async || {
        let facts = store.reader.facts(ProcessKey(1), None, None).await.unwrap().unwrap();
        facts.sites.iter().map(|site| site.cell.busy_time).sum::<u64>() / MS
    };
    assert_eq!(busy().await, 0);
    let later = counts(500, 915_000 * MS);
    program.say(Script::at(31_000).counted(5, 10, later).done()).await;
    store.gives("SELECT busy_time / 1000000 FROM tasks", &["915000"]).await;
    assert_eq!(busy().await, 15_000);
    // Longer than there was time: a poll that began before, and was seen to be under way.
    let polled = Counts { last: Some((31_100, 31_050)), ..later };
    program.say(Script::at(32_000).counted(5, 10, polled).done()).await;
    let over = Counts { last: Some((31_100, 41_100)), ..counts(501, 925_000 * MS) };
    program.say(Script::at(41_500).counted(5, 10, over).done()).await;
    store.gives("SELECT busy_time / 1000000 FROM tasks", &["925000"]).await;
    assert_eq!(busy().await, 25_000);
    attached.end().await;
}

#[tokio::test]
async fn who_waits_for_what_is_told_where_that_is_known() {
    let store = Store::new().await;
    let initial = first()
        .task(5, 10, &[("task.id", "41")])
        .task(6, 10, &[("task.id", "42")])
        .resource(100, 30, "Mutex", false)
        .state(100, 30, &[("locked", Value::BoolVal(true)), ("permits", Value::U64Val(0))], None)
        .resource(101, 30, "Semaphore", true)
        .resource(102, 40, "Sleep", false)
        .op(200, 500, 100, "Mutex::lock")
        .polled(200, 500, Some(5), 2, 501, None)
        .op(201, 500, 101, "Acquire::new")
        .polled(201, 500, Some(5), 2, 501, None)
        .op(202, 40, 102, "Sleep::new_timeout")
        .polled(202, 40, Some(6), 3, 600, None)
        .done();
    let program = Program::new(initial);
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const WAITS: &str = "SELECT op, task, resource, state FROM waits ORDER BY began_at";
    const OPEN: &str = "SELECT kind, location, locked, permits FROM resources ORDER BY resource";
    // A lock's own op goes away when it is ready, so it waits; of a timer nobody knows yet.
    store.gives(WAITS, &["lock 41 1 pending"]).await;
    let mutex = "tokio::sync::Mutex shop/src/stock.rs:3 1 -";
    store.gives(OPEN, &[mutex]).await;
    let later = Script::at(2_000)
        .polled(200, 500, Some(5), 3, 1_800, Some(1_800))
        .polled(202, 40, Some(6), 4, 1_900, None)
        .came_to(200, true)
        .came_to(202, false);
    program.say(later.done()).await;
    store.gives(WAITS, &["lock 41 1 ready", "sleep 42 2 pending"]).await;
    store.gives(OPEN, &[mutex, "tokio::time::Sleep shop/src/stock.rs:3 - -"]).await;
    // It is given up, and gone. One that came and went between two updates is told of as well.
    let last = Script::at(3_000)
        .polled(202, 40, Some(6), 4, 1_900, Some(2_500))
        .state(102, 40, &[], Some(2_500))
        .state(100, 30, &[("locked", Value::BoolVal(false))], None)
        .op(203, 2_100, 100, "Mutex::lock")
        .polled(203, 2_100, Some(6), 3, 2_600, Some(2_600))
        .came_to(203, true);
    program.say(last.done()).await;
    program.say(Script::at(4_000).done()).await;
    let waits = ["lock 41 1 ready", "sleep 42 2 cancelled", "lock 42 1 ready"];
    store.gives(WAITS, &waits).await;
    let open = [
        "tokio::sync::Mutex shop/src/stock.rs:3 0 -",
        "tokio::time::Sleep shop/src/stock.rs:3 - -",
    ];
    store.gives(OPEN, &open).await;
    attached.end().await;
}

#[tokio::test]
async fn how_a_wait_ended_is_not_told_where_it_is_not_certain() {
    let store = Store::new().await;
    let initial = first().task(5, 10, &[("task.id", "41")]).resource(100, 30, "Mutex", false);
    let program = Program::new(initial.done());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    wait_until("it is attached", || program.viewers() == 1).await;
    const WAITS: &str =
        "SELECT op, state, ended_at / 1000000 % 1000000 FROM waits ORDER BY began_at";
    let mut waiting = Script::at(2_000);
    for span in [200, 201, 202, 203] {
        let at = 1_000 + span;
        waiting = waiting.op(span, at, 100, "Mutex::lock").polled(span, at, Some(5), 2, at, None);
        waiting = waiting.came_to(span, false);
    }
    program.say(waiting.done()).await;
    store.gives(WAITS, &["lock pending -"; 4]).await;
    // They are polled once more, and gone: what that came to is told of the first, later of the second,
    // and never of the third. The fourth was not polled again.
    let gone = Script::at(3_000)
        .polled(200, 1_200, Some(5), 3, 2_500, Some(2_600))
        .came_to(200, true)
        .polled(201, 1_201, Some(5), 3, 2_500, Some(2_600))
        .polled(202, 1_202, Some(5), 3, 2_500, Some(2_600))
        .polled(203, 1_203, Some(5), 2, 1_203, Some(2_600));
    program.say(gone.done()).await;
    program.say(Script::at(4_000).came_to(201, true).done()).await;
    let ended =
        ["lock ready 2500", "lock ready 2500", "lock unfinished 2600", "lock cancelled 2600"];
    store.gives(WAITS, &ended).await;
    // What was dropped may have been the word of it.
    let again = Script::at(5_000)
        .op(204, 4_500, 100, "Mutex::lock")
        .polled(204, 4_500, Some(5), 2, 4_500, None)
        .came_to(204, false);
    program.say(again.done()).await;
    let gone = Script::at(6_000).polled(204, 4_500, Some(5), 2, 4_500, Some(5_500));
    program.say(gone.dropped([0, 0, 1]).done()).await;
    program.say(Script::at(7_000).done()).await;
    let last = "SELECT state, ended_at IS NULL FROM waits ORDER BY began_at DESC LIMIT 1";
    store.gives(last, &["unfinished 0"]).await;
    attached.end().await;
}

#[tokio::test]
async fn absent_and_senseless_fields_are_passed_over() {
    use console_api::tasks::{Stats, Task, TaskUpdate};
    let store = Store::new().await;
    let program = Program::new(Update::default());
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    wait_until("it is attached", || program.viewers() == 1).await;
    let no_id = Task::default();
    let no_stats = Task { id: Some(1.into()), ..Task::default() };
    let no_time = Task { id: Some(2.into()), ..Task::default() };
    let stats = [(2, Stats::default()), (3, Stats { wakes: u64::MAX, ..Stats::default() })];
    let update = TaskUpdate {
        new_tasks: vec![no_id, no_stats, no_time],
        stats_update: stats.into(),
        dropped_events: 0,
    };
    let senseless = Update { task_update: Some(update), ..Update::default() };
    program.say(senseless).await;
    let long = "x".repeat(10_000);
    let mut script = Script::at(2_000).task(9, 1_000, &[("task.id", "7"), ("task.name", &long)]);
    let fields = &mut script.tasks().new_tasks[0].fields;
    let many = std::iter::repeat_n(fields[1].clone(), 1_000);
    let many: Vec<_> = many
        .enumerate()
        .map(|(i, mut field)| {
            field.name = Some(console_api::field::Name::StrName(format!("{i} {long}")));
            field
        })
        .collect();
    fields.extend(many);
    let huge = Counts { polls: u64::MAX, busy: u64::MAX, wakes: u64::MAX, ..Counts::default() };
    program.say(script.counted(9, 1_000, huge).done()).await;
    let named = "SELECT task, length(name), length(fields) < 20000 FROM tasks";
    store.gives(named, &["7 256 1"]).await;
    // It goes on.
    program.say(Script::at(3_000).task(10, 2_000, &[("task.id", "8")]).done()).await;
    store.gives("SELECT task FROM tasks WHERE task = 8", &["8"]).await;
    attached.end().await;
}

#[tokio::test]
async fn the_histograms_of_tasks_that_may_have_been_slow_are_read_one_by_one() {
    let store = Store::new().await;
    let busy = counts(3, 400 * MS);
    let initial = first()
        .task(5, 10, &[("task.id", "41")])
        .counted(5, 10, busy)
        .task(6, 10, &[("task.id", "42")])
        .counted(6, 10, counts(3, 40 * MS))
        .done();
    let program = Program::new(initial);
    program.set_details(details(histogram(), 1_500 * MS));
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const LONGEST: &str = "SELECT task, max_poll_time FROM tasks ORDER BY task";
    store.gives(LONGEST, &["41 1500000000", "42 -"]).await;
    // Not busy enough since to have been slow again, and then ended: it was looked at once.
    let ended = Counts { dropped: Some(1_900), ..counts(4, 450 * MS) };
    program.say(Script::at(2_000).counted(5, 10, ended).done()).await;
    let state = "SELECT state FROM tasks WHERE task = 41";
    store.gives(state, &["ended"]).await;
    assert_eq!(program.asked(), [5]);
    attached.end().await;
}

#[tokio::test]
async fn the_longest_poll_is_known_only_as_long_as_no_later_one_can_be_longer() {
    let store = Store::new().await;
    // One is in its first poll, and does not come out of it.
    let stuck = Counts { polls: 1, last: Some((700, 600)), ..Counts::default() };
    let initial = first()
        .task(5, 10, &[("task.id", "41")])
        .counted(5, 10, counts(3, 150 * MS))
        .task(6, 10, &[("task.id", "42")])
        .counted(6, 10, stuck)
        .done();
    let program = Program::new(initial);
    program.set_details(details(histogram(), 120 * MS));
    let addr = program.serve().await;
    let attached = Attached::to(&format!("http://{addr}"), store.collector());
    const LONGEST: &str = "SELECT task, max_poll_time, slow_polls FROM tasks ORDER BY task";
    store.gives(LONGEST, &["41 120000000 0", "42 - -"]).await;
    // A little more cannot have been longer, nor slow.
    program.say(Script::at(2_000).counted(5, 10, counts(4, 240 * MS)).done()).await;
    store.gives("SELECT polls FROM tasks WHERE task = 41", &["4"]).await;
    store.gives(LONGEST, &["41 120000000 0", "42 - -"]).await;
    // What is asked then is not answered.
    program.be_silent();
    program.say(Script::at(3_000).counted(5, 10, counts(5, 400 * MS)).done()).await;
    store.gives(LONGEST, &["41 - -", "42 - -"]).await;
    // Only another reading makes it known again.
    program.set_details(details(histogram(), 160 * MS));
    program.say(Script::at(4_000).counted(5, 10, counts(6, 600 * MS)).done()).await;
    store.gives(LONGEST, &["41 160000000 0", "42 - -"]).await;
    attached.end().await;
}

/// A histogram with nothing in it.
fn histogram() -> Vec<u8> {
    let mut empty = 0x1c84_9313u32.to_be_bytes().to_vec();
    empty.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    empty.extend(1u64.to_be_bytes());
    empty.extend((1_000 * MS).to_be_bytes());
    empty.extend(1f64.to_be_bytes());
    empty
}

#[tokio::test]
async fn a_socket_is_followed_and_found_again() {
    let store = Store::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console.sock");
    let attached = Attached::to(&format!("file://{}", path.display()), store.collector());
    // It waits for the program.
    let program = Program::new(first().task(5, 10, &[("task.id", "41")]).done());
    program.serve_on(&path);
    store.gives("SELECT task, state FROM tasks", &["41 alive"]).await;
    program.say_paused(true).await;
    let console = "SELECT state FROM coverage WHERE layer = 'console' ORDER BY at DESC LIMIT 1";
    store.gives(console, &["off"]).await;
    program.say_paused(false).await;
    store.gives(console, &["on"]).await;
    attached.end().await;
}

#[tokio::test]
async fn what_comes_while_loopd_is_away_is_told_when_it_is_back() {
    let store = Store::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let program = Program::new(first().task(5, 10, &[("task.id", "41")]).done());
    let target = program.serve().await;
    drop(listener);
    let collector = Collector::at(&addr.to_string(), None).unwrap();
    let attached = Attached::to(&format!("http://{target}"), collector);
    wait_until("it is attached", || program.viewers() == 1).await;
    for second in 2..400 {
        let polls = counts(second, second * MS);
        program.say(Script::at(second * 1_000).counted(5, 10, polls).done()).await;
    }
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    let serving = store.serve(listener).await;
    store.gives("SELECT task, polls, busy_time FROM tasks", &["41 399 399000000"]).await;
    // Of the readings only the last is there, and the rest is no loss.
    assert_eq!(store.sql("SELECT count(*) FROM losses").await, ["0"]);
    attached.end().await;
    serving.abort();
}

#[tokio::test]
async fn another_store_is_told_everything_as_another_run() {
    let store = Store::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let program = Program::new(first().task(5, 10, &[("task.id", "41")]).done());
    let target = program.serve().await;
    let serving = store.serve(listener).await;
    let collector = Collector::at(&format!("http://{addr}"), None).unwrap();
    let attached = Attached::to(&format!("http://{target}"), collector);
    store.gives("SELECT task FROM tasks", &["41"]).await;
    // Something is asked, and not answered before that.
    program.be_silent();
    let busy = counts(3, 400 * MS);
    program.say(Script::at(2_000).counted(5, 10, busy).done()).await;
    program.set_first(first().task(5, 10, &[("task.id", "41")]).counted(5, 10, busy).done());
    wait_until("it is asked", || program.asked() == [5]).await;
    serving.abort();
    let _ = serving.await;
    let store = store.replaced().await;
    let bound = async {
        loop {
            match tokio::net::TcpListener::bind(addr).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let listener = tokio::time::timeout(LIMIT, bound).await.unwrap();
    let serving = store.serve(listener).await;
    // It heard of the run before when that came back, and of nothing that was in it.
    store.gives("SELECT process, task FROM tasks", &["2 41"]).await;
    // What it is asked then is answered.
    program.set_details(details(histogram(), 300 * MS));
    program.say(Script::at(3_000).counted(5, 10, counts(4, 800 * MS)).done()).await;
    store.gives("SELECT max_poll_time / 1000000 FROM tasks", &["300"]).await;
    store.gives("SELECT state FROM processes ORDER BY process", &["lost", "live"]).await;
    attached.end().await;
    serving.abort();
}

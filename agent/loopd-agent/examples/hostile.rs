//! A program whose every name is an attack: on a page that shows it, a shell that it is pasted into, a
//! spreadsheet that opens it, a terminal that prints it. Whoever shows what it recorded has to show text.
//!
//! It tells the agent of an event loop as an agent of another language would, since no Rust program can
//! give its functions and files such names. It ends after the seconds that its argument says.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loopd_agent::embed::{self, DumpedTask, EmbeddedLoop, Guarded, GuardedKind, Op, Spawn, Thread};
use loopd_agent::{Config, Coverage, CoverageState};
use loopd_model::{CloseHow, Frame, MarkLevel, Outcome, TaskKind};

/// What it is called: as long as names can be, and what runs if it is taken for markup.
const APP: &str = "<img src=x onerror=\"window.hacked='app'\">";

/// What everything else is called, in turn.
fn names() -> Vec<String> {
    vec![
        "<script>window.hacked='script'</script>".into(),
        "\"><img src=x onerror=\"window.hacked='attribute'\">".into(),
        "'><svg onload=window.hacked='svg'>".into(),
        "</title></style></textarea><iframe src=javascript:window.hacked='frame'>".into(),
        // What follows a right-to-left override reads backwards, on a page that lets it.
        "safe\u{202e}gpj.exe\u{202c} \u{2066}isolated\u{2069}".into(),
        "שלום עולם مرحبا".into(),
        "💥👩‍👩‍👧‍👦🏳️‍🌈 e\u{301}\u{320}\u{333}\u{33f}".into(),
        "line one\nline two\r\nline\tthree".into(),
        "bell\u{7} escape\u{1b}[31mred\u{1b}[0m nul\u{0} del\u{7f} c1\u{9b}31m".into(),
        "=HYPERLINK(\"http://127.0.0.1:9/\",\"click\")".into(),
        "@SUM(1+1)*cmd|' /C calc'!A0".into(),
        "$(touch /tmp/hacked) `touch /tmp/hacked` ; touch /tmp/hacked #".into(),
        "it's \"quoted\" \\ and 'more'; DROP TABLE tasks; --".into(),
        "%2e%2e%2f..%2f?q=1&r=2#hash".into(),
        "javascript:window.hacked='link'".into(),
        "${7*7}{{7*7}}__proto__".into(),
        "constructor".into(),
        "W".repeat(10_000),
        "\u{200b}\u{feff}".into(),
        " ".into(),
    ]
}

/// What a looked-at thread is found in.
static LOOKED_AT: AtomicU64 = AtomicU64::new(0);

fn frames(k: usize) -> Vec<Frame> {
    let names = names();
    let frame = |k: usize| {
        let name = &names[k % names.len()];
        Frame { function: name.clone(), file: format!("/app/{name}/{k}.py"), line: 7, address: 0 }
    };
    (0..4).map(|depth| frame(k + depth)).collect()
}

fn stack_of(_tid: i32) -> Vec<Frame> {
    frames(LOOKED_AT.load(Relaxed) as usize)
}

fn coverage(layer: &str, state: CoverageState, reason: &str) -> Coverage {
    Coverage { layer: layer.into(), state, reason: reason.into() }
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(3.0);
    let names = names();
    let mut config = Config::from_env()
        .app(APP)
        .app_version(names[1].clone())
        .slow_threshold(Duration::from_millis(5));
    for (key, value) in names.iter().zip(names.iter().rev()) {
        config = config.label(key.clone(), value.clone());
    }
    let embedded = embed::Embedded {
        agent: "loopd",
        sampler: Some(stack_of),
        coverage: vec![
            coverage("hooks", CoverageState::On, ""),
            coverage("guards", CoverageState::On, ""),
            coverage("tracing", CoverageState::Off, &names[0]),
        ],
    };
    let agent = match embed::start(config, embedded) {
        Ok(agent) => agent,
        Err(error) => return println!("{error}"),
    };
    embed::name_thread(&names[1]);
    embed::on_dump(answer_dump);
    let loop_ = EmbeddedLoop::open(&names[0], "asyncio");
    run(&loop_, &names, Duration::from_secs_f64(seconds));
    loop_.begin_closing();
    loop_.close();
    agent.shutdown(Duration::from_secs(5));
}

fn run(loop_: &EmbeddedLoop, names: &[String], length: Duration) {
    let ends_at = Instant::now() + length;
    let thread = Thread::current();
    let place_of = |k: usize| embed::place_of(&format!("/app/{}/{k}.py", names[k]), 7);

    // A task and a callback of each name, with fields, a resource and a mark; every task runs once.
    let count = names.len() as u64;
    let (task_of, callback_of) = (|k: usize| k as u64 + 1, |k: usize| k as u64 + 1 + count);
    for (k, name) in names.iter().enumerate() {
        let other = &names[(k + 1) % names.len()];
        let spawn = |task, kind, parent| {
            let (at, place, label) = (embed::ticks(), place_of(k), embed::label(name));
            embed::spawned(Spawn { at, task, loop_id: loop_.id(), place, parent, kind, label });
        };
        spawn(task_of(k), TaskKind::Async, if k == 0 { 0 } else { task_of(k - 1) });
        spawn(callback_of(k), TaskKind::Callback, 0);
        embed::task_fields(
            task_of(k),
            vec![(name.clone(), other.clone()), ("plain".into(), name.clone())],
        );
        let resource = embed::opened(name, other, place_of(k), task_of(k));
        if k % 4 == 3 {
            embed::closed(resource, CloseHow::Unclosed);
        }
        // Taken for one of asyncio's own complaints, which become findings.
        let fields = vec![
            ("check".into(), "task_exception_never_retrieved".into()),
            (name.clone(), other.clone()),
        ];
        embed::mark(MarkLevel::Warn, "asyncio", name, (task_of(k), place_of(k)), fields);
        embed::mark(
            MarkLevel::Error,
            name,
            other,
            (task_of(k), place_of(k)),
            vec![(other.clone(), name.clone())],
        );
    }

    // Slow steps, each looked at while it blocks.
    for k in 0..names.len() {
        LOOKED_AT.store(k as u64, Relaxed);
        step(thread, loop_, task_of(k), Duration::from_millis(if k < 12 { 40 } else { 1 }));
        step(thread, loop_, callback_of(k), Duration::from_millis(if k < 4 { 30 } else { 1 }));
    }

    // A circle of two tasks, and everybody else behind them.
    let open = |k: usize| Guarded::open(GuardedKind::Lock, place_of(k), task_of(k), 1);
    let (one, two) = (open(0), open(1));
    let holds = [
        one.hold(task_of(0), embed::ticks(), place_of(0)),
        two.hold(task_of(1), embed::ticks(), place_of(1)),
    ];
    let mut waits = vec![
        two.wait(Op::Lock, task_of(0), place_of(0)),
        one.wait(Op::Lock, task_of(1), place_of(1)),
    ];
    two.tell(&mut waits[0]);
    one.tell(&mut waits[1]);
    for k in 2..12 {
        waits.push(one.wait(Op::Lock, task_of(k), place_of(k)));
        one.tell(&mut waits[k]);
    }

    // Tasks that pile up, one after the other.
    let mut next = 2 * count + 1;
    while Instant::now() < ends_at {
        let (at, place, label) = (embed::ticks(), place_of(2), embed::label(&names[2]));
        let kind = TaskKind::Async;
        embed::spawned(Spawn {
            at,
            task: next,
            loop_id: loop_.id(),
            place,
            parent: task_of(2),
            kind,
            label,
        });
        step(thread, loop_, next, Duration::from_micros(50));
        if next.is_multiple_of(16) {
            embed::ended(next, Outcome::Raised);
        }
        next += 1;
        let parked_at = embed::ticks();
        std::thread::sleep(Duration::from_millis(5));
        thread.parked(loop_, parked_at, embed::ticks());
    }
    drop(holds);
    drop(waits);
}

/// Runs a task for as long as that.
fn step(thread: Thread, loop_: &EmbeddedLoop, task: u64, length: Duration) {
    let began = thread.begin_step(loop_, task);
    std::thread::sleep(length);
    thread.end_step(loop_, began, None);
}

/// Where each of the first tasks waits.
fn answer_dump(dump: u64) {
    let names = names();
    let tasks = (0..names.len()).map(|k| DumpedTask {
        task: k as u64 + 1,
        frames: frames(k),
        awaits: names[k].clone(),
        awaits_task: if k % 3 == 1 { k as u64 } else { 0 },
        resource: 0,
    });
    embed::dumped(dump, tasks.collect());
    embed::dump_ended(dump, names.len() as u64, 3, &names[0]);
}

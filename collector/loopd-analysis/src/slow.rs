//! Groups slow polls by what blocked them, and says what to do about it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use loopd_model::{Frame, Running};

mod advice;
mod doing;
mod weights;

use self::advice::advice;
pub use self::doing::Doing;
pub use self::weights::weights;
use crate::runtime::Runtime;

/// One slow poll, as far as grouping is concerned.
#[derive(Clone, Debug, Default)]
pub struct SlowPoll {
    /// How long it took so far, in nanoseconds.
    pub length: u64,
    /// Stacks taken while it ran.
    pub samples: Vec<Sample>,
    /// Where its task was spawned, as `file:line`; `None` if not known.
    pub spawn_location: Option<String>,
    /// Whether it was on an `EventLoop` of loopd's agent for Rust.
    pub is_event_loop: bool,
}

/// One stack of a slow poll.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Leaf first.
    pub frames: Arc<[Frame]>,
    /// What the thread was doing.
    pub running: Running,
    /// The system call it was in, or [`loopd_model::PAGE_FAULT`]; empty if in none, or not known.
    pub syscall: String,
    /// Where in the kernel it slept, or [`loopd_model::RUNQUEUE`]; empty if not asleep, or not known.
    pub wchan: String,
}

/// What a site was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The first frame of a stack that is the program's own.
    Stack,
    /// No stack was taken: where the task was spawned.
    SpawnLocation,
}

impl By {
    /// The word for it in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::SpawnLocation => "spawn_location",
        }
    }
}

/// One place that makes polls slow.
#[derive(Clone, Debug)]
pub struct Site {
    /// `file:line`; the function where line tables are missing; empty if nothing is known.
    pub location: String,
    /// The function there; empty when found by spawn location.
    pub function: String,
    /// What it was found by.
    pub by: By,
    /// Which polls, as indices into the input, longest first.
    pub polls: Vec<usize>,
    /// How many of them have no stack that tells of this place, and are here for where their tasks were
    /// spawned; of [`causes`] only.
    pub inferred: u64,
    /// Sum of their lengths, in nanoseconds. Sites are ranked by it.
    pub total_time: u64,
    /// The longest.
    pub max: u64,
    /// The median length.
    pub p50: u64,
    /// Samples that found the thread computing.
    pub on_cpu: u64,
    /// Samples that found it asleep in the kernel, there for a file, or without a processor.
    pub off_cpu: u64,
    /// What most of them found it doing.
    pub doing: Doing,
    /// How many found just that.
    pub found_so: u64,
    /// The function most often found running; empty without stacks.
    pub leaf: String,
    /// In whose words that is told.
    pub runtime: Runtime,
    /// What to do about it, in one or two sentences.
    pub advice: String,
    /// The different stacks seen, most frequent first, at most [`MAX_STACKS`].
    pub stacks: Vec<SiteStack>,
}

/// One stack and how often it was seen.
#[derive(Clone, Debug)]
pub struct SiteStack {
    /// In how many samples.
    pub count: u64,
    /// Leaf first.
    pub frames: Arc<[Frame]>,
}

/// More different stacks of one site than this say nothing new.
pub const MAX_STACKS: usize = 10;

/// Groups polls by what blocked them, most harmful first.
///
/// The site of a stack is its first frame that is the program's own. A thread blocked in the kernel
/// sleeps at a line; a thread that computes wanders over the lines of a function, as does one that waits
/// for memory, so those are grouped by function and shown at the line seen most often. A poll with
/// stacks of several sites belongs to the one seen most often; a poll without stacks, to its task's spawn
/// location. What to do about a site is said in the words of `runtime`, or of `EventLoop` where all its
/// polls were on such loops.
pub fn sites(polls: &[SlowPoll], runtime: Runtime) -> Vec<Site> {
    let keys = polls.iter().map(Key::of_poll).collect();
    grouped(polls, runtime, keys)
}

/// The same for those who want to know of each cause once: a poll without stacks belongs to the site of the
/// other polls of its task's spawn location, if those have one and the same.
pub fn causes(polls: &[SlowPoll], runtime: Runtime) -> Vec<Site> {
    let mut keys: Vec<Option<Key>> = polls.iter().map(Key::of_poll).collect();
    let of_spawns = keys_by_spawn(polls, &keys);
    for (poll, key) in polls.iter().zip(&mut keys) {
        if let (None, Some(spawned)) = (&key, &poll.spawn_location) {
            *key = of_spawns.get(spawned.as_str()).cloned().flatten();
        }
    }
    grouped(polls, runtime, keys)
}

fn grouped(polls: &[SlowPoll], runtime: Runtime, keys: Vec<Option<Key>>) -> Vec<Site> {
    let mut groups: HashMap<Key, Vec<usize>> = HashMap::new();
    for (index, (poll, key)) in polls.iter().zip(keys).enumerate() {
        let spawned = || Key::SpawnLocation(poll.spawn_location.clone().unwrap_or_default());
        groups.entry(key.unwrap_or_else(spawned)).or_default().push(index);
    }
    let mut sites: Vec<Site> =
        groups.into_iter().map(|(key, indices)| site(&key, indices, polls, runtime)).collect();
    sites.sort_by(|a, b| (b.total_time, &a.location).cmp(&(a.total_time, &b.location)));
    sites
}

/// For each spawn location of which a stack tells, the place that all stacks of its tasks tell of; `None` if
/// they tell of several.
fn keys_by_spawn<'p>(polls: &'p [SlowPoll], keys: &[Option<Key>]) -> HashMap<&'p str, Option<Key>> {
    let mut places: HashMap<&str, Option<Key>> = HashMap::new();
    for (poll, key) in polls.iter().zip(keys) {
        let (Some(spawned), Some(key)) = (&poll.spawn_location, key) else { continue };
        let known = places.entry(spawned).or_insert_with(|| Some(key.clone()));
        if known.as_ref() != Some(key) {
            *known = None;
        }
    }
    places
}

/// Whether a frame is the program's own: not std's, a dependency's, tokio's or loopd's. Without
/// line tables nobody can know, and it is not.
pub fn is_own(frame: &Frame) -> bool {
    const FOREIGN_PATHS: [&str; 5] =
        ["/rustc/", "/.cargo/registry/", "/.cargo/git/", "/rustlib/src/rust/", "/loopd-agent/src/"];
    if is_python(frame) {
        return !FOREIGN_PYTHON.iter().any(|path| frame.file.contains(path));
    }
    // C has line tables too: libc's sleep is not what the program's author wrote.
    frame.file.ends_with(".rs")
        && !FOREIGN_PATHS.iter().any(|path| frame.file.contains(path))
        && !is_foreign_name(&frame.function)
}

/// Where Python keeps what is not the program's: packages, its own library, what has no file.
const FOREIGN_PYTHON: [&str; 6] = [
    "/site-packages/",
    "/dist-packages/",
    "/lib/python3",
    "/lib64/python3",
    "/loopd/__main__.py",
    "<frozen ",
];

/// Whether a frame is of a Python function. Scripts need not end in `.py`, but their frames have no
/// address.
fn is_python(frame: &Frame) -> bool {
    frame.file.ends_with(".py") || (frame.address == 0 && frame.line > 0 && !is_native(&frame.file))
}

fn is_native(file: &str) -> bool {
    [".rs", ".c", ".h", ".S", ".cc", ".cpp"].iter().any(|ending| file.ends_with(ending))
}

/// Crates that stand between a program's code and the processor.
const FOREIGN_CRATES: [&str; 17] = [
    "alloc",
    "axum",
    "backtrace",
    "core",
    "futures_core",
    "futures_util",
    "h2",
    "hyper",
    "hyper_util",
    "loopd_agent",
    "mio",
    "std",
    "tokio",
    "tokio_util",
    "tonic",
    "tower",
    "tracing",
];

fn is_foreign_name(function: &str) -> bool {
    let name = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let name = name.strip_prefix("dyn ").unwrap_or(name);
    let first = name.split("::").next().unwrap_or(name);
    FOREIGN_CRATES.contains(&first)
}

/// What makes two polls the same site.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Function(String),
    Line(String),
    SpawnLocation(String),
}

impl Key {
    /// What its stacks tell of; `None` if they tell nothing.
    fn of_poll(poll: &SlowPoll) -> Option<Self> {
        let mut votes: Vec<(Self, u64)> = Vec::new();
        for sample in &poll.samples {
            let Some(key) = Self::of_sample(sample) else { continue };
            match votes.iter_mut().find(|(voted, _)| *voted == key) {
                Some((_, count)) => *count += 1,
                None => votes.push((key, 1)),
            }
        }
        // Of equally many, the one seen first.
        votes.into_iter().rev().max_by_key(|(_, count)| *count).map(|(key, _)| key)
    }

    fn of_sample(sample: &Sample) -> Option<Self> {
        let frame = blocking_frame(&sample.frames)?;
        Some(match sample.doing() {
            Doing::Blocked if frame.line > 0 => Self::Line(place(frame)),
            _ => Self::Function(frame.function.clone()),
        })
    }
}

/// The first frame that is the program's own; where nothing has line tables, the first whose name
/// is of no crate known to be foreign.
fn blocking_frame(frames: &[Frame]) -> Option<&Frame> {
    let named = |frame: &&Frame| frame.function.contains("::") && !is_foreign_name(&frame.function);
    frames.iter().find(|frame| is_own(frame)).or_else(|| frames.iter().find(named))
}

fn place(frame: &Frame) -> String {
    if frame.file.is_empty() {
        frame.function.clone()
    } else {
        format!("{}:{}", short_path(&frame.file), frame.line)
    }
}

/// A place in a program for people: `file:line`, the file as [`short_path`] has it.
pub fn place_text(file: &str, line: u32) -> String {
    format!("{}:{line}", short_path(file))
}

/// The part of a source path that tells people where to look: from the folder of the crate on, or of
/// the Python package; of Python files of no package, the last three names. Where only the `/` in front
/// would be cut, the path stays whole: `app/src/main.rs` would be one below wherever its reader is. A line
/// may follow it.
pub fn short_path(path: &str) -> &str {
    if is_python_path(path) {
        return short_python_path(path);
    }
    let Some(src) = path.rfind("/src/") else { return path };
    from_behind(path, path[..src].rfind('/'))
}

fn is_python_path(path: &str) -> bool {
    let is_number = |line: &str| !line.is_empty() && line.bytes().all(|c| c.is_ascii_digit());
    let file =
        path.rsplit_once(':').filter(|(_, line)| is_number(line)).map_or(path, |(file, _)| file);
    file.ends_with(".py")
}

fn short_python_path(path: &str) -> &str {
    for packages in ["/site-packages/", "/dist-packages/"] {
        if let Some(at) = path.rfind(packages) {
            return &path[at + packages.len()..];
        }
    }
    for library in ["/lib/python3", "/lib64/python3"] {
        let version = path.find(library).map(|at| &path[at + library.len()..]);
        if let Some((_, module)) = version.and_then(|version| version.split_once('/')) {
            return module;
        }
    }
    from_behind(path, path.rmatch_indices('/').nth(2).map(|(at, _)| at))
}

/// What follows this `/`, unless it is the one that makes the path absolute.
fn from_behind(path: &str, slash: Option<usize>) -> &str {
    slash.filter(|&at| at > 0).map_or(path, |at| &path[at + 1..])
}

fn site(key: &Key, mut indices: Vec<usize>, polls: &[SlowPoll], runtime: Runtime) -> Site {
    indices.sort_by_key(|&index| (Reverse(polls[index].length), index));
    let lengths: Vec<u64> = indices.iter().map(|&index| polls[index].length).collect();
    let samples: Vec<&Sample> = indices
        .iter()
        .flat_map(|&index| &polls[index].samples)
        .filter(|sample| Key::of_sample(sample).as_ref() == Some(key))
        .collect();
    let on_cpu = samples.iter().filter(|s| s.doing() == Doing::Computing).count() as u64;
    let off_cpu = samples.iter().filter(|s| s.is_off_cpu()).count() as u64;
    let runtime = runtime.on(indices.iter().all(|&index| polls[index].is_event_loop));
    let (doing, found_so) = Doing::of_most(&samples, on_cpu, off_cpu);
    let frames = samples.iter().filter_map(|sample| blocking_frame(&sample.frames));
    let (location, function, by) = match key {
        Key::SpawnLocation(location) => (location.clone(), String::new(), By::SpawnLocation),
        _ => (
            most_frequent(frames.clone().map(place)),
            most_frequent(frames.map(|frame| frame.function.clone())),
            By::Stack,
        ),
    };
    let leaves = samples.iter().filter_map(|sample| sample.frames.first());
    let has_no_stack = |index: &&usize| Key::of_poll(&polls[**index]).is_none();
    let inferred = match by {
        By::Stack => indices.iter().filter(has_no_stack).count() as u64,
        By::SpawnLocation => 0,
    };
    Site {
        location,
        function,
        by,
        inferred,
        total_time: lengths.iter().fold(0, |sum, length| sum.saturating_add(*length)),
        max: lengths.first().copied().unwrap_or(0),
        p50: lengths.get(lengths.len() / 2).copied().unwrap_or(0),
        on_cpu,
        off_cpu,
        doing,
        found_so,
        leaf: most_frequent(leaves.map(|frame| frame.function.clone())),
        runtime,
        advice: advice(runtime, &samples, doing).to_string(),
        stacks: stacks(&samples),
        polls: indices,
    }
}

/// The value seen most often; of equally many, the first in order.
fn most_frequent(values: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let best = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    best.map(|(value, _)| value).unwrap_or_default()
}

fn stacks(samples: &[&Sample]) -> Vec<SiteStack> {
    let mut stacks: Vec<SiteStack> = Vec::new();
    for sample in samples {
        match stacks.iter_mut().find(|stack| looks_alike(&stack.frames, &sample.frames)) {
            Some(stack) => stack.count += 1,
            None => stacks.push(SiteStack { count: 1, frames: sample.frames.clone() }),
        }
    }
    stacks.sort_by_key(|stack| Reverse(stack.count));
    stacks.truncate(MAX_STACKS);
    stacks
}

/// Whether two stacks say the same to a reader, who sees no addresses.
fn looks_alike(a: &[Frame], b: &[Frame]) -> bool {
    let is_same =
        |(a, b): (&Frame, &Frame)| a.line == b.line && a.function == b.function && a.file == b.file;
    a.len() == b.len() && a.iter().zip(b).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        let (function, place) = text.split_once(" at ").unwrap_or((text, ":0"));
        let (file, line) = place.rsplit_once(':').unwrap();
        Frame {
            function: function.to_string(),
            file: file.to_string(),
            line: line.parse().unwrap(),
            address: 0,
        }
    }

    fn poll(length: u64, samples: &[(Running, &[&str])]) -> SlowPoll {
        let sample = |(running, frames): &(Running, &[&str])| Sample {
            running: *running,
            frames: frames.iter().map(|text| frame(text)).collect(),
            syscall: String::new(),
            wchan: String::new(),
        };
        SlowPoll {
            length,
            samples: samples.iter().map(sample).collect(),
            spawn_location: Some("src/main.rs:9".to_string()),
            is_event_loop: false,
        }
    }

    fn picture(polls: &[SlowPoll]) -> String {
        let line = |site: Site| {
            format!(
                "{} {} polls {} total, {} max, on {} off {}: {}\n",
                site.location,
                site.polls.len(),
                site.total_time,
                site.max,
                site.on_cpu,
                site.off_cpu,
                site.advice.split_whitespace().take(4).collect::<Vec<_>>().join(" "),
            )
        };
        sites(polls, Runtime::Tokio).into_iter().map(line).collect()
    }

    const SLEEP: &[&str] = &[
        "__clock_nanosleep",
        "std::thread::functions::sleep at /rustc/5980/library/std/src/thread/functions.rs:294",
        "shop::pay::{{closure}} at src/pay.rs:7",
        "tokio::runtime::task::core::Core<T,S>::poll",
    ];

    #[test]
    fn a_sleeping_poll_is_found_at_its_line() {
        let polls =
            [poll(180, &[(Running::OffCpu, SLEEP)]), poll(200, &[(Running::OffCpu, SLEEP)])];
        insta::assert_snapshot!(picture(&polls), @"src/pay.rs:7 2 polls 380 total, 200 max, on 0 off 2: `std::thread::sleep` puts the worker");
    }

    #[test]
    fn a_computing_function_is_one_site_over_all_its_lines() {
        let at = |line: &'static str| (Running::OnCpu, line);
        let polls =
            ["src/sum.rs:3", "src/sum.rs:4", "src/sum.rs:4"].map(at).map(|(running, place)| {
                let text = format!("shop::sum at {place}");
                poll(50, &[(running, &[&text, "shop::serve at src/main.rs:20"])])
            });
        insta::assert_snapshot!(picture(&polls), @"src/sum.rs:4 3 polls 150 total, 50 max, on 3 off 0: the worker computed for");
    }

    #[test]
    fn a_call_for_a_file_blocks_though_the_disk_leaves_no_time_to_sleep() {
        let own = "shop::save at src/save.rs:8";
        let sync: &[&str] =
            &["fdatasync at :0", "std::fs::File::sync_data at /rustc/1/fs.rs:9", own];
        let copy: &[&str] = &["memcpy at :0", "flate2::read at /.cargo/registry/z/a.rs:1", own];
        let polls = [
            poll(180, &[(Running::OnCpu, sync), (Running::OffCpu, sync)]),
            poll(90, &[(Running::OnCpu, copy)]),
        ];
        insta::assert_snapshot!(picture(&polls), @r"
        src/save.rs:8 1 polls 180 total, 180 max, on 0 off 2: file access blocks the
        src/save.rs:8 1 polls 90 total, 90 max, on 1 off 0: the worker computed for
        ");
    }

    #[test]
    fn the_worst_site_comes_first() {
        let polls = [
            poll(10, &[(Running::OnCpu, &["shop::a at src/a.rs:1"])]),
            poll(90, &[(Running::OnCpu, &["shop::b at src/b.rs:2"])]),
        ];
        insta::assert_snapshot!(picture(&polls), @r"
        src/b.rs:2 1 polls 90 total, 90 max, on 1 off 0: the worker computed for
        src/a.rs:1 1 polls 10 total, 10 max, on 1 off 0: the worker computed for
        ");
    }

    #[test]
    fn a_poll_belongs_to_the_site_seen_most_often() {
        let polls = [poll(
            70,
            &[
                (Running::OnCpu, &["shop::rare at src/a.rs:1"]),
                (Running::OnCpu, &["shop::often at src/b.rs:2"]),
                (Running::OnCpu, &["shop::often at src/b.rs:3"]),
            ],
        )];
        insta::assert_snapshot!(picture(&polls), @"src/b.rs:2 1 polls 70 total, 70 max, on 2 off 0: the worker computed for");
    }

    #[test]
    fn without_stacks_the_spawn_location_stands_in() {
        insta::assert_snapshot!(picture(&[poll(70, &[])]), @"src/main.rs:9 1 polls 70 total, 70 max, on 0 off 0: no stack was taken");
    }

    #[test]
    fn a_poll_without_stacks_has_the_cause_of_the_others_of_its_spawn_location() {
        let asleep = |length| poll(length, &[(Running::OffCpu, SLEEP)]);
        let polls = [asleep(180), poll(70, &[]), asleep(200)];
        let causes = causes(&polls, Runtime::Tokio);
        let [cause] = &causes[..] else { panic!("{causes:?}") };
        assert_eq!((cause.location.as_str(), cause.polls.len()), ("src/pay.rs:7", 3));
        assert_eq!((cause.inferred, cause.off_cpu), (1, 2));
        assert_eq!(sites(&polls, Runtime::Tokio).len(), 2);
    }

    #[test]
    fn a_poll_without_stacks_stays_where_it_may_have_several_causes() {
        let other = &[(Running::OnCpu, ["shop::sum at src/sum.rs:3"].as_slice())];
        let polls = [poll(180, &[(Running::OffCpu, SLEEP)]), poll(90, other), poll(70, &[])];
        let causes = causes(&polls, Runtime::Tokio);
        let places: Vec<_> = causes.iter().map(|it| (it.location.as_str(), it.inferred)).collect();
        assert_eq!(places, [("src/pay.rs:7", 0), ("src/sum.rs:3", 0), ("src/main.rs:9", 0)]);
    }

    #[test]
    fn without_line_tables_the_first_name_of_no_known_crate_is_the_site() {
        let polls = [poll(70, &[(Running::OnCpu, &["core::fmt::write", "shop::render", "main"])])];
        insta::assert_snapshot!(picture(&polls), @"shop::render 1 polls 70 total, 70 max, on 1 off 0: the worker computed for");
    }

    #[test]
    fn stacks_that_differ_only_in_addresses_are_one() {
        let first = poll(9, &[(Running::OnCpu, &["shop::a at src/a.rs:1"])]);
        let mut polls = [first.clone(), first];
        let mut frames = polls[1].samples[0].frames.to_vec();
        frames[0].address = 77;
        polls[1].samples[0].frames = frames.into();
        let sites = sites(&polls, Runtime::Tokio);
        assert_eq!(sites[0].stacks.iter().map(|stack| stack.count).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn paths_are_shown_from_the_crate_or_package_on() {
        for (path, short) in [
            ("/home/u/shop/orders/src/pay/mod.rs", "orders/src/pay/mod.rs"),
            ("orders/src/pay.rs", "orders/src/pay.rs"),
            ("src/main.rs", "src/main.rs"),
            (
                "/home/u/.cargo/registry/src/index-1/axum-0.8.9/src/serve.rs",
                "axum-0.8.9/src/serve.rs",
            ),
            ("tests/it.rs", "tests/it.rs"),
            ("/home/u/.venv/lib/python3.13/site-packages/aiohttp/web.py", "aiohttp/web.py"),
            ("/usr/lib/python3/dist-packages/yaml/reader.py:7", "yaml/reader.py:7"),
            ("/usr/lib/python3.12/asyncio/base_events.py", "asyncio/base_events.py"),
            ("/opt/py/lib64/python3.10/subprocess.py:1211", "subprocess.py:1211"),
            ("/home/u/shop/src/orders/app.py", "src/orders/app.py"),
            ("/home/u/shop/src/orders/app.py:12", "src/orders/app.py:12"),
            ("/app/main.py", "/app/main.py"),
            ("/home/u/app.py", "/home/u/app.py"),
            ("/srv/shop/app.py:12", "/srv/shop/app.py:12"),
            ("/app/src/main.rs", "/app/src/main.rs"),
            ("/usr/src/shop/main.rs", "/usr/src/shop/main.rs"),
            ("/src/main.rs", "/src/main.rs"),
            ("app.py", "app.py"),
        ] {
            assert_eq!(short_path(path), short);
        }
    }

    /// What is said of a poll of Python that slept with these frames in this system call.
    fn advice_for(runtime: Runtime, syscall: &str, frames: &[&str]) -> String {
        let mut poll = poll(180, &[(Running::OffCpu, frames)]);
        poll.samples[0].syscall = syscall.to_owned();
        sites(&[poll], runtime).remove(0).advice
    }

    #[test]
    fn python_is_advised_by_what_it_called_and_by_the_system_call() {
        const LIB: &str = "/usr/lib/python3.13";
        const PACKAGES: &str = "/home/u/.venv/lib/python3.13/site-packages";
        let own = "handle at /srv/shop/app.py:7";
        let run = format!("run at {LIB}/subprocess.py:556");
        let send = format!("send at {PACKAGES}/requests/adapters.py:4");
        let read = format!("readinto at {LIB}/socket.py:719");
        let query = format!("execute at {PACKAGES}/sqlalchemy/engine/base.py:10");
        let result = format!("result at {LIB}/concurrent/futures/_base.py:5");
        for (syscall, frames, expected) in [
            ("clock_nanosleep", vec![own], "await asyncio.sleep("),
            ("pselect6", vec![own], "await asyncio.sleep("),
            ("wait4", vec![&run, own], "asyncio.create_subprocess_exec("),
            ("wait4", vec![own], "asyncio.create_subprocess_exec("),
            ("poll", vec![&read, &send, own], "httpx.AsyncClient"),
            ("recvfrom", vec![&read, &query, own], "AsyncSession"),
            ("futex", vec![&result, own], "asyncio.wrap_future("),
            ("futex", vec![own], "asyncio.Lock"),
            ("fsync", vec![own], "file access stops the loop"),
            ("io_uring_enter", vec![own], "await asyncio.to_thread("),
        ] {
            let advice = advice_for(Runtime::Asyncio, syscall, &frames);
            assert!(advice.contains(expected), "{syscall} {frames:?}: {advice}");
            assert!(!advice.contains("tokio"), "{advice}");
        }
    }

    #[test]
    fn an_event_loop_is_advised_in_its_own_words() {
        let lock = ["std::sync::poison::mutex::Mutex<T>::lock", "shop::pay at src/pay.rs:7"];
        let file = ["std::fs::read", "shop::pay at src/pay.rs:7"];
        let other = ["ioctl", "shop::pay at src/pay.rs:7"];
        let page = ["shop::pay at src/pay.rs:7"];
        for (running, frames, expected) in [
            (Running::OffCpu, SLEEP, "event_loop::sleep("),
            (Running::OffCpu, &lock, "`tokio::sync`"),
            (Running::OffCpu, &file, "`run_in_executor`"),
            (Running::OffCpu, &other, "`run_in_executor`"),
            (Running::OffCpu, &page, "memory"),
            (Running::OnCpu, &page, "`run_in_executor`"),
        ] {
            let poll = SlowPoll { is_event_loop: true, ..poll(180, &[(running, frames)]) };
            let site = sites(std::slice::from_ref(&poll), Runtime::Tokio).remove(0);
            assert_eq!(site.runtime, Runtime::EventLoop);
            assert!(site.advice.contains(expected), "{frames:?}: {}", site.advice);
            assert!(!site.advice.contains("spawn_blocking"), "{}", site.advice);
            // Where the same line is also on another loop of tokio's, tokio's words are true of both.
            let both = [SlowPoll { is_event_loop: false, ..poll.clone() }, poll];
            assert_eq!(sites(&both, Runtime::Tokio)[0].runtime, Runtime::Tokio);
        }
    }

    #[test]
    fn advice_for_a_runtime_that_is_not_known_names_no_function() {
        let advice = advice_for(Runtime::Unknown, "futex", SLEEP);
        assert!(!advice.contains('`') && advice.contains("another thread"), "{advice}");
        let computing = [poll(50, &[(Running::OnCpu, &["shop::sum at src/sum.rs:3"])])];
        let advice = &sites(&computing, Runtime::Unknown)[0].advice;
        assert!(!advice.contains('`'), "{advice}");
    }

    #[test]
    fn own_frames_are_those_of_the_program() {
        for (text, own) in [
            ("shop::pay at src/pay.rs:7", true),
            ("<shop::Pay as core::future::Future>::poll at src/pay.rs:9", true),
            ("serde_json::from_str at /home/u/.cargo/registry/src/x/serde_json/src/de.rs:1", false),
            (
                "<alloc::boxed::Box<F> as core::ops::FnOnce>::call_once at /rustc/1/library/alloc/src/boxed.rs:1",
                false,
            ),
            (
                "loopd_agent::wrapped::Recorded<F>::poll at agent/loopd-agent/src/wrapped.rs:1",
                false,
            ),
            ("__GI___clock_nanosleep at ./time/../sysdeps/unix/clock_nanosleep.c:48", false),
            ("poll<F> at /home/u/loopd/agent/loopd-agent/src/wrapped.rs:9", false),
            ("shop::pay", false),
            ("handle at /srv/shop/app.py:7", true),
            ("_run at /home/u/.venv/lib/python3.13/site-packages/aiohttp/web.py:7", false),
            ("run at /usr/lib64/python3.12/asyncio/runners.py:118", false),
            ("main at /srv/loopd/python/loopd/__main__.py:72", false),
        ] {
            assert_eq!(is_own(&frame(text)), own, "{text}");
        }
    }
}

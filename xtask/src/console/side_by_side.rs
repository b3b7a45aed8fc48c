//! One program with `console-subscriber` and our agent, in two real `tokio-console`s: one asks the program itself,
//! the other loopd. What they show is the same. And programs that are too large for either.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::attach::free_address;
use super::running::{Ask, Running, command};
use super::terminal::{Terminal, has};

/// What the two may differ by in polls and busy time, as a share.
const TOLERANCE: f64 = 0.01;
/// Of so many tasks the busy time may differ by more: a thread may lose its processor between the two
/// readings of the clock.
const UNLUCKY: usize = 1;
/// Tasks of the program by name, and so many of each.
const TASKS: [(&str, usize); 6] =
    [("steady", 8), ("greedy", 1), ("selfish", 1), ("forgotten", 1), ("large", 1), ("boxed", 1)];
/// What tokio-console warns of, in its words, and of how many of these tasks: what waits for ever has no
/// waker, which is so of all but two.
const WARNINGS: [(&str, u64); 5] = [
    ("have woken themselves over", 1),
    ("have lost their wakers", 11),
    ("have never yielded", 1),
    ("have been boxed by the runtime", 1),
    ("bytes or larger", 1),
];
const MANY: u64 = 100_000;
/// Of these console-subscriber keeps some 50 kB each.
const MANY_OF_THEIRS: u64 = 10_000;
/// Of so many tasks, loopd shows these at once.
const SHOWN: &str = "Tasks (10000)";

pub(super) fn check(tui: &Path, plain: &Path, both: &Path, folder: &Path) -> anyhow::Result<()> {
    same(tui, both, folder)?;
    large(tui, plain, both, folder)
}

fn same(tui: &Path, both: &Path, folder: &Path) -> anyhow::Result<()> {
    println!("one program in two consoles");
    let loopd = Running::serve(&folder.join("same.db"), &["--listen", "127.0.0.1:0"], folder)?;
    let place = free_address()?;
    let mut run = Command::new(both);
    run.args([&place, "sick"]).env("LOOPD_ENDPOINT", format!("http://{}", loopd.addr));
    let program = Running::start(run, folder)?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    let theirs = Terminal::console(tui, &format!("http://{place}"), folder)?;
    let mut ours = Terminal::console(tui, &format!("http://{}", loopd.addr), folder)?;
    let differences = RefCell::new(Vec::new());
    let seen = ours.until("both show the same", |lines| {
        let (theirs, ours) = (Screen::read(&theirs.shows()), Screen::read(lines));
        *differences.borrow_mut() = differences_of(&theirs, &ours);
        differences.borrow().is_empty()
    });
    let differences = differences.into_inner().join("\n");
    seen.with_context(|| format!("{differences}\nthe other:\n{}", theirs.shows().join("\n")))?;
    let screen = Screen::read(&ours.shows());
    let steady = screen.tasks.values().filter(|task| task.name == "steady");
    let busy: Vec<f64> = steady.map(|task| task.busy).collect();
    println!("{} tasks, {} warnings, busy {busy:?} s", screen.tasks.len(), screen.warnings.len());
    ends([theirs, ours])
}

/// What is told of a hundred thousand tasks has bounds in one direction, and none in the other that it meets.
fn large(tui: &Path, plain: &Path, both: &Path, folder: &Path) -> anyhow::Result<()> {
    println!("{MANY} tasks, in tokio-console");
    let loopd = Running::serve(&folder.join("large.db"), &["--listen", "127.0.0.1:0"], folder)?;
    let ask = Ask::of(&loopd);
    let mut run = Command::new(both);
    run.args(["-", &MANY.to_string()]);
    run.env("LOOPD_ENDPOINT", &ask.url).env("LOOPD_APP", "recorded");
    let program = Running::start(run, folder)?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    let count = |app: &str| {
        format!(
            "SELECT count(*), (SELECT count(*) FROM losses WHERE losses.process = processes.process)
             FROM tasks JOIN processes USING (process)
             WHERE app = '{app}' AND location LIKE '%main.rs:%' AND tasks.state = 'alive'"
        )
    };
    ask.until(&count("recorded"), |row| row == [MANY, 0])?;
    let mut viewer = Terminal::console(tui, &ask.url, folder)?;
    viewer.until("as many as there may be", |lines| has(lines, &[SHOWN]))?;
    viewer.types("\x1b[B\r")?;
    viewer.until("one of them", |lines| has(lines, &["Poll Times Histogram"]))?;
    ends([viewer])?;
    drop(program);

    println!("{MANY_OF_THEIRS} tasks, attached to");
    let place = free_address()?;
    let mut run = Command::new(plain);
    run.args([&place, &MANY_OF_THEIRS.to_string()]);
    let program = Running::start(run, folder)?;
    ensure!(program.line()?.trim() == "done", "the program is not done");
    let mut attach = command("loopd");
    attach.args(["attach", &format!("http://{place}"), "--name", "attached", "--url", &ask.url]);
    let attached = Running::start(attach, folder)?;
    ask.until(&count("attached"), |row| row == [MANY_OF_THEIRS, 0])?;
    drop((attached, program));
    Ok(())
}

fn ends<const N: usize>(consoles: [Terminal; N]) -> anyhow::Result<()> {
    for mut console in consoles {
        console.types("q")?;
        let status = console.ends()?;
        ensure!(status.success(), "tokio-console failed: {status}");
    }
    Ok(())
}

/// What a console shows.
#[derive(Debug, Default)]
struct Screen {
    /// By their ids.
    tasks: BTreeMap<u64, Task>,
    warnings: BTreeMap<&'static str, u64>,
}

#[derive(Debug, PartialEq)]
struct Task {
    warnings: u64,
    state: String,
    name: &'static str,
    /// In seconds.
    busy: f64,
    shown_to: f64,
    polls: u64,
    kind: String,
    location: String,
}

impl Screen {
    fn read(lines: &[String]) -> Self {
        let mut screen = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some((id, task)) = Task::read(&words) {
                screen.tasks.insert(id, task);
            } else if let Some((said, _)) = WARNINGS.iter().find(|it| line.contains(it.0)) {
                let count = words.iter().find_map(|word| word.parse().ok());
                screen.warnings.insert(said, count.unwrap_or(0));
            }
        }
        screen
    }
}

impl Task {
    /// Warnings, id, state, name, total, busy, scheduled, idle, polls, kind, location, fields.
    fn read(words: &[&str]) -> Option<(u64, Self)> {
        let at = words.iter().position(|word| TASKS.iter().any(|(name, _)| name == word))?;
        let (name, _) = TASKS.iter().find(|(name, _)| *name == words[at])?;
        let id = words.get(at.checked_sub(2)?)?.parse().ok()?;
        let warnings = words[..at - 2].iter().find_map(|word| word.trim_matches('⚠').parse().ok());
        let (busy, shown_to) = seconds(words.get(at + 2)?)?;
        let task = Self {
            warnings: warnings.unwrap_or(0),
            state: words[at - 1].to_owned(),
            name,
            busy,
            shown_to,
            polls: words.get(at + 5)?.parse().ok()?,
            kind: (*words.get(at + 6)?).to_owned(),
            location: (*words.get(at + 7)?).to_owned(),
        };
        Some((id, task))
    }

    fn is_like(&self, other: &Self) -> bool {
        let polls = self.polls.max(other.polls) as f64 * TOLERANCE;
        self.polls.abs_diff(other.polls) as f64 <= polls
            && (self.warnings, &self.state, self.name) == (other.warnings, &other.state, other.name)
            && (&self.kind, &self.location) == (&other.kind, &other.location)
    }

    /// Of the others, busy for microseconds or for as long as one looks, there is nothing to compare.
    fn is_as_busy(&self, other: &Self) -> bool {
        let busy = self.busy.max(other.busy) * TOLERANCE + self.shown_to.max(other.shown_to);
        self.name != "steady" || (self.busy - other.busy).abs() <= busy
    }
}

/// As it is shown there, with a unit, and what its last digit stands for.
fn seconds(text: &str) -> Option<(f64, f64)> {
    let (number, unit) =
        text.split_at(text.find(|char: char| char.is_alphabetic() || char == 'µ')?);
    let factor = match unit {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        // Minutes, which only one has that is not compared.
        _ => return Some((0.0, 0.0)),
    };
    let digits = number.split_once('.').map_or(0, |(_, digits)| digits.len());
    let digits = i32::try_from(digits).ok()?;
    Some((number.parse::<f64>().ok()? * factor, factor * 10f64.powi(-digits)))
}

fn differences_of(theirs: &Screen, ours: &Screen) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, count) in TASKS {
        let found = theirs.tasks.values().filter(|task| task.name == name).count();
        if found != count {
            differences.push(format!("of {name} there are {found}"));
        }
    }
    for (said, count) in WARNINGS {
        let told = [theirs, ours].map(|screen| screen.warnings.get(said).copied().unwrap_or(0));
        if told != [count; 2] {
            differences.push(format!("{told:?} tasks {said}, and not {count}"));
        }
    }
    let mut unlucky = 0;
    for (id, task) in &theirs.tasks {
        match ours.tasks.get(id) {
            Some(other) if task.is_like(other) && task.is_as_busy(other) => {}
            Some(other) if task.is_like(other) && unlucky < UNLUCKY => unlucky += 1,
            other => differences.push(format!("task {id}: {task:?}\n  and {other:?}")),
        }
    }
    let more = ours.tasks.iter().filter(|(id, _)| !theirs.tasks.contains_key(id));
    differences.extend(more.map(|(id, task)| format!("only in loopd: {id}: {task:?}")));
    differences
}

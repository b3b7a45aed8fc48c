//! Real recordings in real files, looked at through keys, and the screens that come of it.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use loopd_model::{
    Anchor, Batch, Event, EventKind, Nanos, RecordKind, ResourceId, Span, StackId, TaskId,
    TaskKind, UnixNanos,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tempfile::TempDir;

use self::recording::{SECOND, START};
use tokio::time::Instant;

use super::ask::{Answer, Page};
use super::grid::Tone;
use super::model::{Flow, Model, When};
use super::{draw, fetch};
use crate::commands::source::Source;

#[path = "../../../../../dashboard/loopd-dashboard/tests/support/recording.rs"]
#[expect(dead_code, reason = "the dashboard's own tests use all of it")]
mod recording;

/// What `loopd top` looks at, and what it shows.
struct Top {
    _folder: TempDir,
    source: Arc<Source>,
    model: Model,
}

impl Top {
    /// Of `orders` alone.
    async fn of_orders() -> Self {
        let (folder, path) = folder();
        drop(recording::orders(&path).await);
        Self::open(folder, &path).await
    }

    /// Of a program that still runs, and in which tasks wait for each other.
    async fn of_waiting() -> Self {
        let (folder, path) = folder();
        let (mut writer, _reader) = recording::orders(&path).await;
        recording::add_waiting(&mut writer).await;
        drop(writer);
        Self::open(folder, &path).await
    }

    async fn open(folder: TempDir, path: &std::path::Path) -> Self {
        let source = Arc::new(Source::file(path).await.unwrap());
        let mut model = Model::new("a.db".into(), TimeZone::UTC, false);
        model.is_windowed = false;
        let mut top = Self { _folder: folder, source, model };
        top.answer().await;
        top
    }

    /// Fetches what the model asks for.
    async fn answer(&mut self) {
        if let Some(ask) = self.model.ask() {
            let answer = self.fetch(&ask).await;
            self.model.on_answer(ask, answer.map_err(|error| format!("{error:#}")));
        }
    }

    async fn fetch(&self, ask: &super::ask::Ask) -> anyhow::Result<Answer> {
        fetch::answer(&self.source, ask, Instant::now() + fetch::PATIENCE).await
    }

    /// As it was so long after the beginning.
    async fn go_to(&mut self, nanos: u64) {
        self.model.when = When::Past(UnixNanos(START).at(Nanos(nanos)));
        self.answer().await;
    }

    /// Draws another answer than that which came.
    fn pretend(&mut self, change: impl FnOnce(&mut Answer)) {
        let (ask, mut answer) = self.model.shown.clone().unwrap();
        change(&mut answer);
        self.model.on_answer(ask, Ok(answer));
    }

    /// The text of one column in the row of a task.
    fn cell(&self, task: u64, title: &str) -> String {
        let columns = super::table::columns(self.model.view);
        let place = |title| columns.iter().position(|column| column.title == title).unwrap();
        let row = self.model.rows.iter().find(|row| row.cells[place("ID")].0 == task.to_string());
        row.unwrap().cells[place(title)].0.clone()
    }

    /// Types keys, and answers what each asks anew: letters, and Enter and Esc as `\n` and `\x1b`.
    async fn keys(&mut self, keys: &str) {
        for key in keys.chars() {
            let before = self.model.ask();
            assert_eq!(self.model.on_key(key_of(key)), Flow::GoOn, "{key:?}");
            if self.model.ask() != before {
                self.answer().await;
            }
        }
    }

    fn screen(&mut self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw::draw(&mut self.model, frame)).unwrap();
        let screen = terminal.backend().to_string();
        // Quotes around each line are of no use here.
        let lines = screen.lines().map(|line| line.trim_matches('"').trim_end());
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loopd.db");
    (folder, path)
}

fn key_of(key: char) -> KeyEvent {
    let code = match key {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        key => KeyCode::Char(key),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_have_the_columns_of_tokio_console() {
    let mut top = Top::of_orders().await;
    insta::assert_snapshot!("tasks", top.screen(150, 12));
    insta::assert_snapshot!("tasks_narrow", top.screen(60, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_opened_with_both_histograms() {
    let mut top = Top::of_orders().await;
    top.keys("/reporter\n\n").await;
    insta::assert_snapshot!("task", top.screen(120, 46));
    // Scrolling ends with the text.
    top.keys("G").await;
    assert!(top.screen(80, 10).contains("socket"), "{}", top.screen(80, 10));
    assert!(top.model.scroll < 100);
    top.keys("\x1b").await;
    assert!(top.screen(120, 10).contains("1 task,"), "{}", top.screen(120, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_views_and_what_they_open() {
    let mut top = Top::of_waiting().await;
    insta::assert_snapshot!("tasks_live", top.screen(130, 12));
    top.keys("r").await;
    insta::assert_snapshot!("resources", top.screen(120, 8));
    top.keys("/config\n\n").await;
    insta::assert_snapshot!("resource", top.screen(100, 24));
    top.keys("w").await;
    insta::assert_snapshot!("waits", top.screen(140, 10));
    top.keys("f").await;
    insta::assert_snapshot!("findings", top.screen(140, 10));
    top.keys("\n").await;
    assert!(top.screen(100, 40).contains("What to do"), "{}", top.screen(100, 40));
    top.keys("?").await;
    insta::assert_snapshot!("help", top.screen(100, 44));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_as_it_was() {
    let mut top = Top::of_orders().await;
    // In the middle of the poll that blocked a worker from 2 s to 2.3 s.
    top.model.when = When::Past(UnixNanos(START + (2 * SECOND + 100_000_000) as i64));
    top.answer().await;
    insta::assert_snapshot!("past", top.screen(150, 8));
    // Ten seconds on, ten of the tasks are there that were spawned one every 5 s.
    top.keys("]").await;
    let screen = top.screen(150, 10);
    assert!(screen.contains("past, 2026-11-22 14:00:12.100"), "{screen}");
    assert!(screen.contains("leak.rs:12"), "{screen}");
    assert!(!screen.contains("running  reporter"), "{screen}");
    // Later than everything is now.
    top.keys("}}}}}").await;
    assert_eq!(top.model.when, When::Past(UnixNanos(START).at(Nanos(512_100_000_000))));
    top.keys("r").await;
    let screen = top.screen(120, 8);
    assert!(screen.contains("orders.csv") && !screen.contains("socket"), "{screen}");
    top.keys("}").await;
    assert_eq!(top.model.when, When::Live);
    // Before the beginning nobody was there.
    top.model.when = When::Past(UnixNanos(START - 1));
    top.keys("t").await;
    assert!(top.screen(120, 8).contains("no program ran then"), "{}", top.screen(120, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_narrows_by_terms_and_by_expressions() {
    let mut top = Top::of_orders().await;
    assert_eq!(top.model.rows.len(), 121);
    for (filter, rows) in [
        ("loc:leak ~^$", 0),
        ("loc:leak", 120),
        ("-loc:leak", 1),
        ("~leak\\.rs:1", 120),
        ("-~leak polls>1", 1),
    ] {
        top.keys(&format!("/{filter}\n")).await;
        assert_eq!(top.model.rows.len(), rows, "{filter}");
        top.keys("\x1b").await;
        assert_eq!(top.model.rows.len(), 121, "{filter}");
    }
    // What cannot be read stays to be corrected.
    top.keys("/busy>\n").await;
    let screen = top.screen(120, 8);
    assert!(screen.contains("/busy>  the filter cannot be read"), "{screen}");
    top.keys("\x1b").await;
    assert!(top.model.prompt.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_stays_until_something_else_is_asked() {
    let mut top = Top::of_orders().await;
    let before = top.screen(150, 8);
    top.keys(" ").await;
    assert_eq!(top.model.ask(), None);
    let paused = top.screen(150, 8);
    assert_eq!(
        before.lines().skip(2).collect::<Vec<_>>(),
        paused.lines().skip(2).collect::<Vec<_>>()
    );
    assert!(paused.contains("paused at 2026-11-22 14:10:00.000"), "{paused}");
    // The order is no question.
    top.keys("hi").await;
    assert!(matches!(top.model.when, When::Paused(_)));
    // Elsewhere it is the same instant, and what was there is there again.
    for keys in ["w", "t\n", "\x1b"] {
        top.keys(keys).await;
        let screen = top.screen(150, 8);
        assert!(screen.contains("paused at 2026-11-22 14:10:00.000"), "{keys:?}: {screen}");
    }
    assert_eq!(top.model.ask(), None);
    assert_eq!(top.model.rows.len(), 121);
    top.keys(" ").await;
    assert_eq!(top.model.when, When::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_as_in_tokio_console() {
    let mut top = Top::of_orders().await;
    let last = top.model.rows.len() - 1;
    let selected = |top: &Top| top.model.looks().selected;
    for (keys, at) in [("j", 1), ("k", 0), ("k", last), ("j", 0), ("G", last), ("gg", 0), ("jg", 1)]
    {
        top.keys(keys).await;
        assert_eq!(selected(&top), at, "{keys}");
    }
    // The selection is on a task, not on a place.
    top.keys("gg").await;
    let key = top.model.rows[0].key.clone();
    top.keys("i").await;
    assert_eq!(top.model.rows[selected(&top)].key, key);
    // The oldest but one, which is as old, comes after it still.
    assert_eq!(selected(&top), last - 1);
    // All columns come round.
    let sort = top.model.looks().sort;
    top.keys(&"l".repeat(13)).await;
    assert_eq!(top.model.looks().sort, sort);
    assert_eq!(top.model.on_key(key_of('q')), Flow::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    top.model.prompt = Some(super::model::Prompt::default());
    assert_eq!(top.model.on_key(interrupt), Flow::Quit);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_came_too_late_changes_nothing_and_trouble_keeps_what_there_was() {
    let mut top = Top::of_orders().await;
    let ask = top.model.ask().unwrap();
    let late = top.fetch(&ask).await.unwrap();
    assert_eq!(top.model.on_key(key_of('w')), Flow::GoOn);
    top.model.on_answer(ask, Ok(late));
    assert!(top.screen(100, 8).contains("reading"), "{}", top.screen(100, 8));
    top.keys("t").await;
    let ask = top.model.ask().unwrap();
    top.model.on_answer(ask, Err("no answer from http://x".into()));
    let screen = top.screen(150, 8);
    let notice =
        "no answer from http://x; trying again, what is shown goes up to 2026-11-22 14:10:00.000";
    assert!(screen.contains(notice) && screen.contains("reporter"), "{screen}");
    // Nobody tries while the screen is stopped.
    top.keys(" ").await;
    assert!(!top.screen(150, 8).contains("trying again"));
    top.keys(" ").await;
    top.answer().await;
    assert!(!top.screen(150, 8).contains("no answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_not_fetched_are_counted() {
    let mut top = Top::of_orders().await;
    top.pretend(|answer| {
        let Page::Tasks(list) = &mut answer.page else { panic!("{answer:?}") };
        (list.total, list.more, answer.more_apps) = (50_000, true, 3);
    });
    let screen = top.screen(150, 6);
    let said = "the newest 1 of 4 programs  121 of 50,000+ tasks, only 121 were fetched";
    assert!(screen.contains(said), "{screen}");
    assert!(screen.contains("ended, 2026-11-22 14:10:00.000"), "{screen}");
    assert!(!screen.contains("idle,"), "{screen}");
    // The server does not sort by what is waited.
    top.keys("lll").await;
    top.pretend(|answer| {
        let Page::Tasks(list) = &mut answer.page else { panic!("{answer:?}") };
        (list.total, list.searched_from) = (50_000, Some(UnixNanos(START)));
    });
    let screen = top.screen(150, 6);
    assert!(screen.contains("of 50,000 tasks, sorted among the 121 that were fetched"), "{screen}");
    // What was not fetched may meet the filter.
    top.keys("/~nothing\n").await;
    let screen = top.screen(150, 6);
    assert!(screen.contains("none of the 121 that were fetched meets the filter"), "{screen}");
    top.keys("\x1b").await;
    top.keys("a").await;
    top.pretend(|answer| {
        let Page::Tasks(list) = &mut answer.page else { panic!("{answer:?}") };
        list.searched_from = Some(UnixNanos(START));
    });
    let screen = top.screen(170, 6);
    assert!(screen.contains("with those that ended since 2026-11-22 14:00:00.000"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_size_can_be_drawn() {
    let mut top = Top::of_waiting().await;
    for keys in ["t", "\n", "r", "\n", "w", "f", "\n", "?", "?", "\x1b/some words ~(\n"] {
        top.keys(keys).await;
        for (width, height) in [(1, 1), (19, 4), (40, 3), (20, 4), (21, 5), (40, 10), (300, 100)] {
            let screen = top.screen(width, height);
            let lines: Vec<_> = screen.lines().collect();
            if width < 20 || height < 4 {
                assert_eq!(lines[0], &"too small"[..usize::from(width).min(9)], "{keys:?}");
                continue;
            }
            assert!(lines[0].starts_with("loopd top  t tasks"), "{keys:?}: {screen}");
            // The keys, or the filter that is typed, have the last line.
            let last = lines[usize::from(height) - 1];
            assert!(last.starts_with(['E', '/', '?']), "{keys:?}: {screen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_programs_share_the_rows_that_are_fetched() {
    let mut top = Top::of_waiting().await;
    // `orders` has ended.
    let (_, answer) = top.model.shown.as_ref().unwrap();
    let apps: Vec<_> = answer.processes.iter().map(|(_, app)| &**app).collect();
    assert_eq!(apps, ["waiting"]);
    top.model.app = Some("orders".into());
    top.answer().await;
    assert_eq!(top.model.rows.len(), 121);
    let screen = top.screen(150, 8);
    assert!(!screen.contains("App"), "{screen}");
}

#[test]
fn without_colours_weight_alone_is_left() {
    use ratatui::style::Color;
    for tone in
        [Tone::Plain, Tone::Title, Tone::Dim, Tone::Place, Tone::Good, Tone::Warn, Tone::Bad]
    {
        let style = tone.style(false);
        assert_eq!((style.fg, style.bg), (None, None), "{tone:?}");
    }
    assert_eq!(Tone::Place.style(true).fg, Some(Color::Cyan));
}

#[test]
fn lengths_have_bounds() {
    assert_eq!(super::length("30s"), Ok(30 * SECOND));
    for wrong in ["", "soon", "-5s", "0s", "2h"] {
        assert!(super::length(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_lead_over_gaps_and_from_run_to_run() {
    let mut top = Top::of_waiting().await;
    // From 16:00:20, where one program lives, into the hours when none ran, and out again.
    top.keys("[{").await;
    let screen = top.screen(120, 8);
    assert!(screen.contains("past, 2026-11-22 15:58:30.000"), "{screen}");
    assert!(screen.contains("no program ran then"), "{screen}");
    top.keys("[]").await;
    assert!(top.screen(120, 8).contains("past, 2026-11-22 15:58:30.000"));
    top.go_to(30 * SECOND).await;
    assert!(top.screen(120, 8).contains("leak.rs:12"), "{}", top.screen(120, 8));
    top.keys("{").await;
    assert_eq!(top.model.when, When::Past(UnixNanos(START)));
    top.model.when = When::Past(UnixNanos(START + 7_210_000_000_000));
    top.answer().await;
    assert!(top.screen(120, 8).contains("reloader"), "{}", top.screen(120, 8));
    top.keys("}").await;
    assert_eq!(top.model.when, When::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_program_all_runs_can_be_stepped_through() {
    let (folder, path) = folder();
    let (mut writer, _reader) = recording::orders(&path).await;
    let mut again = recording::process(21, "orders");
    again.anchor.unix = UnixNanos(START).at(Nanos(610 * SECOND));
    let now = Nanos(20 * SECOND);
    let batch = Batch {
        seq: 1,
        anchor: Anchor { at: now, unix: again.anchor.unix.at(now) },
        events: vec![recording::opened(), recording::spawned(SECOND, 5, recording::LEAK)],
        ..Batch::default()
    };
    recording::store(&mut writer, &again, with_ledger(batch)).await;
    drop(writer);
    let mut top = Top::open(folder, &path).await;
    top.model.app = Some("orders".into());
    // The last of the first run.
    top.go_to(599 * SECOND + 500_000_000).await;
    assert_eq!(top.model.rows.len(), 121);
    top.keys("]]").await;
    assert_eq!(top.model.when, When::Past(UnixNanos(START).at(Nanos(619_500_000_000))));
    assert_eq!(top.model.rows.len(), 1, "{}", top.screen(120, 8));
    top.keys("[[").await;
    assert_eq!(top.model.rows.len(), 121);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_names_the_instant_of_what_is_shown() {
    let mut top = Top::of_orders().await;
    assert_eq!(top.model.on_key(key_of('[')), Flow::GoOn);
    let screen = top.screen(150, 8);
    let said = "ended, 2026-11-22 14:10:00.000  reading 2026-11-22 14:09:50.000 …  1 program";
    assert!(screen.contains(said), "{screen}");
    assert!(!screen.contains("before"), "{screen}");
    top.answer().await;
    let screen = top.screen(150, 8);
    assert!(screen.contains("past, 2026-11-22 14:09:50.000  the 10.0 s before"), "{screen}");
    assert!(!screen.contains("reading"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_opened_is_that_of_the_instant() {
    let mut top = Top::of_waiting().await;
    top.keys("r/config\n\n").await;
    assert!(top.screen(100, 24).contains("Total      19.0 s"), "{}", top.screen(100, 24));
    top.keys("[").await;
    let screen = top.screen(100, 24);
    assert!(screen.contains("Total      9.00 s") && !screen.contains("Told at"), "{screen}");
    top.keys("[").await;
    let screen = top.screen(100, 24);
    assert!(screen.contains("it was not open then"), "{screen}");
    // A finding, too.
    top.keys(" f\n").await;
    assert!(top.screen(100, 40).contains("What to do"), "{}", top.screen(100, 40));
    assert!(!top.screen(100, 40).contains("not found any more"));
    top.keys("[[").await;
    assert!(top.screen(100, 40).contains("not found any more, or not yet"));
    top.keys(" \x1b").await;
    top.pretend(|answer| {
        let Page::Findings(list) = &mut answer.page else { panic!("{answer:?}") };
        list.rows[0].it.muted = Some("known".into());
    });
    assert!(top.screen(140, 10).contains("muted: deadlock"), "{}", top.screen(140, 10));
}

fn with_ledger(mut batch: Batch) -> Batch {
    batch.ledger = recording::ledger(&batch);
    batch
}

fn at(second: u64, kind: EventKind) -> Event {
    Event { at: Nanos(second * SECOND), kind }
}

/// A program that began at [`START`] and of which this came up to 100 s.
async fn of_program(agent: &str, events: Vec<Event>, wakes: &[Span]) -> Top {
    let (folder, path) = folder();
    let options = loopd_store::StoreOptions::new(&path);
    let (mut writer, _reader) = loopd_store::open(options).await.unwrap();
    let mut process = recording::process(22, "it");
    process.agent = agent.into();
    let now = Nanos(100 * SECOND);
    let mut batch = Batch {
        seq: 1,
        anchor: Anchor { at: now, unix: process.anchor.unix.at(now) },
        events,
        ..Batch::default()
    };
    batch.events.insert(0, recording::opened());
    if !wakes.is_empty() {
        batch.segments.push(recording::segment(0, RecordKind::Wake, wakes));
    }
    recording::store(&mut writer, &process, with_ledger(batch)).await;
    drop(writer);
    Top::open(folder, &path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_polls_are_only_counted_the_past_knows_none() {
    let events = vec![recording::spawned(SECOND, 5, recording::LEAK)];
    let mut top = of_program("console-subscriber", events, &[]).await;
    top.go_to(50 * SECOND).await;
    for title in ["State", "Busy", "Sched", "Idle", "Polls"] {
        assert_eq!(top.cell(5, title), "-", "{title}");
    }
    assert_eq!(top.cell(5, "Total"), "49.0 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_job_runs_from_its_start_on() {
    let spawned = |second, task| {
        let mut event = recording::spawned(second * SECOND, task, recording::LEAK);
        let EventKind::TaskSpawned { kind, .. } = &mut event.kind else { panic!("{event:?}") };
        *kind = TaskKind::Blocking;
        event
    };
    let started = |second, task| {
        let task = TaskId(task);
        at(second, EventKind::BlockingStarted { task })
    };
    let outcome = loopd_model::Outcome::Completed;
    let ended = at(60, EventKind::TaskEnded { task: TaskId(6), outcome });
    let events = vec![spawned(1, 5), spawned(1, 6), started(10, 5), started(40, 6), ended];
    let mut top = of_program("loopd-agent", events, &[]).await;
    assert_eq!((&*top.cell(5, "State"), &*top.cell(5, "Busy")), ("running", "1 min 30 s"));
    for (second, task, state, busy, polls) in [
        (5, 5, "idle", "0 s", "0"),
        (15, 5, "running", "5.00 s", "1"),
        (15, 6, "idle", "0 s", "0"),
        (50, 5, "running", "10.0 s", "1"),
        (45, 6, "running", "5.00 s", "1"),
    ] {
        top.go_to(second * SECOND).await;
        let cells = (top.cell(task, "State"), top.cell(task, "Busy"), top.cell(task, "Polls"));
        assert_eq!(cells, (state.into(), busy.into(), polls.into()), "{task} at {second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_starves_is_scheduled() {
    let wake = |second: u64, task, delay: u64| Span {
        start: Nanos(second * SECOND),
        length: delay * SECOND,
        task: TaskId(task),
        by: TaskId::NONE,
        count: 1,
    };
    let events = [5, 6].map(|task| recording::spawned(SECOND, task, recording::LEAK)).to_vec();
    let mut top = of_program("loopd-agent", events, &[wake(2, 5, 60), wake(35, 6, 20)]).await;
    top.go_to(50 * SECOND).await;
    for task in [5, 6] {
        let cells = (top.cell(task, "State"), top.cell(task, "Sched"));
        assert_eq!(cells, ("scheduled".into(), "10.0 s".into()), "{task}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_resources_the_oldest_are_fetched_unless_the_youngest_are_wanted() {
    let opened = |id: u64| EventKind::ResourceOpened {
        resource: ResourceId(id),
        kind: "file".into(),
        name: format!("/{id}"),
        open_location: recording::LEAK,
        task: TaskId::NONE,
        stack: StackId(0),
    };
    let events = (1..=1_100).map(|id| at(id / 100, opened(id))).collect();
    let mut top = of_program("loopd-agent", events, &[]).await;
    top.keys("r").await;
    let screen = top.screen(120, 8);
    assert!(screen.contains("1,000 of 1,100 resources, only 1,000 were fetched"), "{screen}");
    assert_eq!(top.model.rows[0].key.rsplit('/').next(), Some("1"));
    top.keys("i").await;
    let ids: Vec<u64> = top
        .model
        .rows
        .iter()
        .map(|row| row.key.rsplit('/').next().unwrap().parse().unwrap())
        .collect();
    assert!(ids.contains(&1_100) && !ids.contains(&1), "{ids:?}");
    assert!(top.model.rows[0].key.ends_with("/1100"), "{:?}", top.model.rows[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_does_not_find_the_dash_for_nothing() {
    let mut top = Top::of_orders().await;
    for (filter, rows) in [("~^-$", 0), ("-~^-$", 121), ("~^$", 0)] {
        top.keys(&format!("/{filter}\n")).await;
        assert_eq!(top.model.rows.len(), rows, "{filter}");
        top.keys("\x1b").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_another_view_keeps_the_selection() {
    let mut top = Top::of_orders().await;
    top.keys("jjj").await;
    let key = top.model.rows[3].key.clone();
    // The order is another one when it comes back.
    top.keys("rti").await;
    assert_eq!(top.model.rows[top.model.looks().selected].key, key);
}

#[tokio::test(flavor = "multi_thread")]
async fn chords_are_not_the_keys_that_are_part_of_them() {
    let mut top = Top::of_orders().await;
    let chord = |key, modifiers| KeyEvent::new(KeyCode::Char(key), modifiers);
    for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT] {
        for key in ['q', 'w', '?', ' ', '['] {
            assert_eq!(top.model.on_key(chord(key, modifiers)), Flow::GoOn, "{key}");
        }
    }
    assert_eq!(top.model.view, super::ask::View::Tasks);
    assert_eq!((top.model.when, top.model.is_helping), (When::Live, false));
    assert_eq!(top.model.on_key(chord('d', KeyModifiers::CONTROL)), Flow::Quit);
    assert_eq!(top.model.on_key(chord('z', KeyModifiers::CONTROL)), Flow::Suspend);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_live_and_a_program_without_answer_is_named() {
    let mut top = Top::of_waiting().await;
    top.model.is_file = true;
    assert!(top.screen(130, 8).contains("file, up to 2026-11-22 16:00:20.000"));
    top.pretend(|answer| {
        answer.failed = vec![("orders".into(), "no answer within 10 s".into())];
    });
    let screen = top.screen(130, 8);
    assert!(screen.contains("nothing of orders: no answer within 10 s"), "{screen}");
    assert!(screen.contains("reloader"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_screen_keeps_what_matters() {
    let mut top = Top::of_orders().await;
    insta::assert_snapshot!("tasks_80", top.screen(80, 6));
    // The column that is sorted by stays.
    top.keys("lll").await;
    assert!(top.screen(80, 6).contains("Idle▾"), "{}", top.screen(80, 6));
}

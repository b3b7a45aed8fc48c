//! Real recordings in real files, looked at through keys, and the screens that come of it.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use loopd_model::UnixNanos;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tempfile::TempDir;

use self::recording::{SECOND, START};
use super::model::{Flow, Model, When};
use super::{draw, fetch};
use crate::commands::source::Source;

#[path = "../../../../../dashboard/loopd-dashboard/tests/support/recording.rs"]
#[expect(dead_code, reason = "the dashboard's own tests use all of it")]
mod recording;

/// What `loopd top` looks at, and what it shows.
struct Top {
    _folder: TempDir,
    source: Source,
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
        let source = Source::file(path).await.unwrap();
        let mut model = Model::new("a.db".into(), TimeZone::UTC, false);
        model.is_windowed = false;
        let mut top = Self { _folder: folder, source, model };
        top.answer().await;
        top
    }

    /// Fetches what the model asks for.
    async fn answer(&mut self) {
        if let Some(ask) = self.model.ask() {
            let answer = fetch::answer(&self.source, &ask).await;
            self.model.on_answer(ask, answer.map_err(|error| format!("{error:#}")));
        }
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
    // Later than everything is the end, and Space goes on from there.
    top.keys("}}}}}}}").await;
    assert_eq!(top.model.when, When::Past(top.model.newest().unwrap()));
    top.keys("r").await;
    let screen = top.screen(120, 8);
    assert!(screen.contains("orders.csv") && !screen.contains("socket"), "{screen}");
    top.keys(" ").await;
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
    top.keys("w").await;
    assert!(matches!(top.model.when, When::Past(_)));
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
    let late = fetch::answer(&top.source, &ask).await.unwrap();
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
    top.answer().await;
    assert!(!top.screen(150, 8).contains("no answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_not_fetched_are_counted() {
    let mut top = Top::of_orders().await;
    let (ask, mut answer) = top.model.shown.clone().unwrap();
    let super::ask::Page::Tasks(list) = &mut answer.page else { panic!("{answer:?}") };
    (list.total, list.more, answer.more_apps) = (50_000, true, 3);
    top.model.on_answer(ask, Ok(answer));
    let screen = top.screen(150, 6);
    let said = "the newest 1 of 4 programs  121 of 50,000+ tasks, only 121 were fetched";
    assert!(screen.contains(said), "{screen}");
    assert!(screen.contains("ended, 2026-11-22 14:10:00.000"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_size_can_be_drawn() {
    let mut top = Top::of_waiting().await;
    for keys in ["t", "\n", "r", "\n", "w", "f", "\n", "?", "?", "\x1b/some words ~(\n"] {
        top.keys(keys).await;
        for (width, height) in [(1, 1), (20, 4), (21, 5), (40, 10), (300, 100)] {
            let screen = top.screen(width, height);
            assert_eq!(screen.lines().count(), usize::from(height), "{keys:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_programs_share_the_rows_that_are_fetched() {
    let mut top = Top::of_waiting().await;
    // `orders` has ended.
    let apps = top.model.shown.as_ref().map(|(_, answer)| answer.apps.clone()).unwrap();
    assert_eq!(apps, ["waiting"]);
    top.model.app = Some("orders".into());
    top.answer().await;
    assert_eq!(top.model.rows.len(), 121);
    let screen = top.screen(150, 8);
    assert!(!screen.contains("App"), "{screen}");
}

#[test]
fn without_colours_weight_alone_is_left() {
    use super::grid::Tone;
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

//! One task, resource or finding in full, as lines that can be scrolled.

use jiff::tz::TimeZone;
use loopd_dashboard::views::findings::Finding;
use loopd_dashboard::views::marks::fields_text;
use loopd_dashboard::views::task::TaskView;
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_dashboard::views::waits::Wait;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::ask::{Of, Page};
use super::grid::Tone;
use super::lines::{ResourceLine, state, warnings};
use super::model::{Model, Opened, When};
use super::table::level_tone;
use crate::commands::render::{clean, shorten};
use crate::commands::resources::inside;
use crate::commands::time_arg::clock_text;

/// So many of each sort are listed; `loopd task --json` has them all.
const SHOWN: usize = 10;
/// How wide the bars of a histogram are at most.
const BAR: usize = 30;
/// Two histograms side by side need so much.
const SIDE_BY_SIDE: usize = 100;

/// Lines that are being written.
struct Text<'m> {
    lines: Vec<Line<'static>>,
    width: usize,
    zone: &'m TimeZone,
    has_color: bool,
}

/// What is opened, in lines as wide as `width`.
pub(super) fn lines(model: &Model, opened: &Opened, width: usize) -> Vec<Line<'static>> {
    let mut text = Text { lines: Vec::new(), width, zone: &model.zone, has_color: model.has_color };
    match (opened, model.page()) {
        (Opened::Task { task, app, .. }, Some(Page::Task(view))) => {
            text.title(&format!("task {task} of {app}"));
            if model.when != When::Live {
                text.say(Tone::Dim, "of its whole recording, not only until the instant shown");
            }
            text.task(view);
        }
        (Opened::Task { task, app, .. }, _) => {
            text.title(&format!("task {task} of {app}"));
            text.say(Tone::Dim, "reading …");
        }
        (Opened::Resource(line), page) => {
            if matches!(page, Some(Page::Resource(None, _))) {
                text.say(Tone::Warn, "it was not open then; this is how it was seen last");
            }
            text.resource(line);
            match page {
                Some(Page::Resource(_, waits)) => text.waits("who waits for it", waits),
                _ => text.say(Tone::Dim, "reading who waits for it …"),
            }
        }
        (Opened::Finding(finding), page) => {
            if matches!(page, Some(Page::Finding(None))) {
                text.say(
                    Tone::Warn,
                    "it is not found any more, or not yet; this is how it was seen last",
                );
            }
            text.finding(finding);
        }
    }
    text.lines
}

impl Text<'_> {
    fn line(&mut self, parts: impl IntoIterator<Item = (String, Tone)>) {
        let span =
            |(text, tone): (String, Tone)| Span::styled(clean(&text), tone.style(self.has_color));
        self.lines.push(Line::from(parts.into_iter().map(span).collect::<Vec<_>>()));
    }

    /// A sentence, over as many lines as it needs.
    fn say(&mut self, tone: Tone, sentence: &str) {
        let width = self.width.max(1);
        let mut line = String::new();
        for word in clean(sentence).split(' ') {
            if !line.is_empty() && line.width() + 1 + word.width() > width {
                self.line([(std::mem::take(&mut line), tone)]);
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        self.line([(line, tone)]);
    }

    fn title(&mut self, title: &str) {
        self.line([(title.to_owned(), Tone::Title)]);
    }

    fn heading(&mut self, title: &str) {
        self.lines.push(Line::default());
        self.title(title);
    }

    /// Names and values; a long value is shortened, because the rest of the page matters more.
    fn facts(&mut self, facts: &[(&str, String, Tone)]) {
        let names = facts.iter().map(|(name, ..)| name.width()).max().unwrap_or(0);
        let left = self.width.saturating_sub(names + 2);
        for (name, value, tone) in facts {
            let value = shorten(&clean(value), left, *tone == Tone::Place);
            self.line([(format!("{name:names$}  "), Tone::Dim), (value, *tone)]);
        }
    }

    fn task(&mut self, view: &TaskView) {
        let task = &view.task;
        let zone = self.zone;
        let at = |at: Option<i64>| at.map_or("not known".into(), |at| clock_text(at, zone));
        let location = task.location.as_ref().map_or("not known".into(), ToString::to_string);
        let mut facts = vec![
            ("Name", task.name.clone().unwrap_or_else(|| "-".into()), Tone::Plain),
            ("State", state(task), Tone::Plain),
            ("Kind", task.kind.clone(), Tone::Plain),
            ("Location", location, Tone::Place),
            ("Spawned", at(task.spawned_at.map(|at| at.0)), Tone::Plain),
            ("Total", duration_text(task.lifetime), Tone::Plain),
            ("Busy", share(task.busy_time, task.lifetime), Tone::Plain),
        ];
        if let Some(scheduled) = task.scheduled_time {
            let idle = task.lifetime.saturating_sub(task.busy_time.saturating_add(scheduled));
            facts.push(("Sched", share(scheduled, task.lifetime), Tone::Plain));
            facts.push(("Idle", share(idle, task.lifetime), Tone::Plain));
        }
        let longest = task.max_poll_time.map_or("not known".into(), duration_text);
        facts.push((
            "Polls",
            format!("{}, longest {longest}", count_text(task.polls)),
            Tone::Plain,
        ));
        if let Some(wakes) = task.wakes {
            let own = count_text(task.self_wakes.unwrap_or(0));
            facts.push(("Wakes", format!("{}, {own} by itself", count_text(wakes)), Tone::Plain));
        }
        if let Some(waker) = task.last_waker {
            facts.push(("Last waker", format!("task {waker}"), Tone::Plain));
        }
        if let Some(parent) = task.parent {
            facts.push(("Parent", format!("task {parent}"), Tone::Plain));
        }
        facts.push(("Children", count_text(view.children), Tone::Plain));
        if let Some(ended_at) = task.ended_at {
            facts.push(("Ended", at(Some(ended_at.0)), Tone::Plain));
        }
        if !task.fields.is_empty() {
            facts.push(("Fields", fields_text(&task.fields), Tone::Plain));
        }
        self.facts(&facts);
        let warnings = warnings(task);
        if !warnings.is_empty() {
            self.heading("Warnings");
            for warning in warnings {
                self.say(Tone::Warn, &format!("! {warning}"));
            }
        }
        self.histograms(view);
        if !view.slowest.is_empty() {
            self.heading("Longest polls");
            for poll in view.slowest.iter().take(SHOWN) {
                let length = duration_text(poll.length);
                let started = clock_text(poll.start_at.0, self.zone);
                let worker = format!("  worker {}", poll.worker);
                self.line([
                    (format!("{length:>9}  "), Tone::Plain),
                    (started, Tone::Dim),
                    (worker, Tone::Dim),
                ]);
            }
        }
        if !view.waits.is_empty() {
            self.waits("Waits now", &view.waits);
        }
        if !view.past_waits.is_empty() {
            self.waits("Waits", &view.past_waits);
        }
        if !view.marks.is_empty() {
            self.heading("What it said");
            for mark in view.marks.iter().take(SHOWN) {
                let when = clock_text(mark.at.0, self.zone);
                let said = format!("  {} {}", mark.message, fields_text(&mark.fields));
                self.line([(when, Tone::Dim), (said, Tone::Plain)]);
            }
        }
        if !view.resources.is_empty() {
            self.heading("Resources that it opened");
            for resource in view.resources.iter().take(SHOWN) {
                let how = resource.how.as_deref().unwrap_or("open");
                let name =
                    format!("{:>6}  {} {}  ", resource.resource, resource.kind, resource.name);
                self.line([(name, Tone::Plain), (how.to_owned(), Tone::Dim)]);
            }
        }
    }

    fn histograms(&mut self, view: &TaskView) {
        let polls = view.poll_histogram.iter().map(|class| (class.le_ns, class.count)).collect();
        let of_all = if view.polls_complete { "" } else { ", of those that are still stored" };
        // Where single polls are not recorded, there are no classes either.
        let longest = view.task.max_poll_time.unwrap_or(0);
        let polls = histogram(&format!("Poll times{of_all}"), polls, longest);
        let delays: Vec<u64> = view.wakes.iter().map(|wake| wake.delay).collect();
        let longest = delays.iter().copied().max().unwrap_or(0);
        let title = match delays.len() {
            0 => "Scheduled times".to_owned(),
            n => format!("Scheduled times, of its last {}", wakes(n)),
        };
        let scheduled = histogram(&title, doubling(&delays), longest);
        self.lines.push(Line::default());
        if self.width < SIDE_BY_SIDE {
            self.columns(&polls, &[]);
            self.lines.push(Line::default());
            self.columns(&scheduled, &[]);
        } else {
            self.columns(&polls, &scheduled);
        }
    }

    /// Texts beside each other, the first of each as titles.
    fn columns(&mut self, left: &[String], right: &[String]) {
        let half = if right.is_empty() { self.width } else { self.width / 2 };
        for i in 0..left.len().max(right.len()) {
            let tone = if i == 0 { Tone::Title } else { Tone::Plain };
            let side = |texts: &[String]| {
                shorten(texts.get(i).map_or("", |text| text), half.saturating_sub(2), false)
            };
            let (left, right) = (side(left), side(right));
            let padding = " ".repeat(half.saturating_sub(left.width()));
            self.line([(left, tone), (padding, Tone::Plain), (right, tone)]);
        }
    }

    fn waits(&mut self, title: &str, waits: &[Wait]) {
        self.heading(title);
        if waits.is_empty() {
            self.say(Tone::Dim, "nobody, as far as is known");
        }
        for wait in waits.iter().take(SHOWN) {
            let who = match (wait.task, &wait.task_name) {
                (Some(task), Some(name)) => format!("task {task} ({name})"),
                (Some(task), None) => format!("task {task}"),
                (None, _) => "somebody outside any task".into(),
            };
            let tone = if wait.cycle { Tone::Bad } else { Tone::Plain };
            self.say(tone, &format!("{who} {}", wait.text));
        }
        if waits.len() > SHOWN {
            self.say(Tone::Dim, &format!("{} more", count_text((waits.len() - SHOWN) as u64)));
        }
    }

    fn resource(&mut self, line: &ResourceLine) {
        self.title(&format!("{} {} of {}", line.kind, line.resource, line.app));
        let state = line.state.as_ref();
        let count = |value: Option<u64>| value.map_or("-".into(), count_text);
        let time = |value: Option<u64>| value.map_or("-".into(), duration_text);
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".into());
        let task = line.task.map_or("no task".into(), |task| format!("task {task}"));
        let mut facts = vec![
            ("Name", line.name.clone(), Tone::Plain),
            ("State", line.how.clone().unwrap_or_else(|| "open".into()), Tone::Plain),
            ("Location", known(&line.location), Tone::Place),
            ("Opened by", task, Tone::Plain),
            ("Total", duration_text(line.total), Tone::Plain),
        ];
        if let Some(state) = state {
            facts.extend([
                ("Inside", inside(Some(state)), Tone::Plain),
                ("Waiters", count(state.waiters), Tone::Plain),
                ("Acquired", count(state.acquired), Tone::Plain),
                ("Contended", count(state.contended), Tone::Plain),
                ("Waited", time(state.waited_time), Tone::Plain),
                ("Held", time(state.held_time), Tone::Plain),
                ("Sent", count(state.sent), Tone::Plain),
                ("Received", count(state.received), Tone::Plain),
                ("Told at", clock_text(state.at.0, self.zone), Tone::Plain),
            ]);
        }
        self.facts(&facts);
    }

    fn finding(&mut self, Of { app, it, .. }: &Of<Finding>) {
        self.line([
            (it.level.as_str().to_owned(), level_tone(it.level)),
            (format!("  {}  of {app}", it.rule), Tone::Plain),
        ]);
        self.say(Tone::Title, &it.title);
        let harm = if it.harm == 0 { "not known".into() } else { duration_text(it.harm) };
        let place = it.location.clone().unwrap_or_else(|| "no line of code".into());
        self.facts(&[
            ("Location", place, Tone::Place),
            ("Confidence", it.confidence.clone(), Tone::Plain),
            ("Harm", harm, Tone::Plain),
            ("Times", count_text(it.occurrences), Tone::Plain),
            ("First", clock_text(it.first_seen_at.0, self.zone), Tone::Plain),
            ("Last", clock_text(it.last_seen_at.0, self.zone), Tone::Plain),
        ]);
        if let Some(reason) = &it.muted {
            self.say(Tone::Dim, &format!("muted: {reason}"));
        }
        self.heading("Proof");
        for evidence in &it.evidence {
            self.say(Tone::Plain, &format!("- {}", evidence.text));
        }
        self.heading("Why it is wrong");
        self.say(Tone::Plain, &it.why);
        self.heading("What to do");
        self.say(Tone::Plain, &it.fix);
        for line in it.snippet.iter().flat_map(|snippet| snippet.code.lines()) {
            self.line([(format!("    {line}"), Tone::Dim)]);
        }
    }
}

fn wakes(n: usize) -> String {
    if n == 1 { "wake".into() } else { format!("{} wakes", count_text(n as u64)) }
}

/// `800 ms (13.4 %)`.
fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => duration_text(part),
        whole => {
            format!("{} ({:.1} %)", duration_text(part), part as f64 * 100.0 / whole as f64)
        }
    }
}

/// Lengths in classes that double.
fn doubling(lengths: &[u64]) -> Vec<(u64, u64)> {
    let mut classes = std::collections::BTreeMap::new();
    for length in lengths {
        let class = length.checked_next_power_of_two().unwrap_or(u64::MAX);
        *classes.entry(class).or_insert(0) += 1;
    }
    classes.into_iter().collect()
}

/// A title, percentiles, and a bar for each class.
fn histogram(title: &str, classes: Vec<(u64, u64)>, longest: u64) -> Vec<String> {
    let mut lines = vec![title.to_owned()];
    let all: u64 = classes.iter().map(|(_, count)| count).sum();
    let Some(most) = classes.iter().map(|(_, count)| *count).max().filter(|most| *most > 0) else {
        lines.push("none are known".into());
        return lines;
    };
    // Of a class only its longest is known, and of the last one the longest of all.
    let quantile = |q: f64| {
        let wanted = (all as f64 * q).ceil() as u64;
        let mut seen = 0;
        let class = classes.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        duration_text(class.map_or(longest, |(le, _)| *le).min(longest.max(1)))
    };
    lines.push(format!(
        "p50 ≤ {}  p90 ≤ {}  p99 ≤ {}  max {}",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        duration_text(longest)
    ));
    for (le, count) in &classes {
        // What is there is seen.
        let bar = (*count as f64 / most as f64 * BAR as f64).ceil() as usize;
        let (le, count) = (duration_text(*le), count_text(*count));
        lines.push(format!("≤ {le:>8} {:BAR$} {count}", "█".repeat(bar)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_every_class_and_its_percentiles() {
        let lines = histogram("Poll times", doubling(&[900, 1_000, 1_024, 5_000_000]), 5_000_000);
        assert_eq!(lines[0], "Poll times");
        assert_eq!(lines[1], "p50 ≤ 1.02 µs  p90 ≤ 5.00 ms  p99 ≤ 5.00 ms  max 5.00 ms");
        assert_eq!(lines[2], format!("≤  1.02 µs {} 3", "█".repeat(30)));
        assert_eq!(lines[3], format!("≤  8.39 ms {:30} 1", "█".repeat(10)));
        assert_eq!(histogram("x", Vec::new(), 0), ["x", "none are known"]);
    }
}

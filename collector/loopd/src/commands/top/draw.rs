//! The model as a picture. Nothing here remembers anything, but for where scrolling ends.

use loopd_dashboard::views::text::{at_least_text, count_text, duration_text};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::ask::{Page, View, clock};
use super::details;
use super::grid::{self, Cell, Place, Tone};
use super::help::{KEYS, NOTES};
use super::model::{Model, When};
use super::table;
use crate::commands::render::{clean, shorten};

/// Draws everything.
pub(super) fn draw(model: &mut Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.height < 4 || area.width < 20 {
        frame.render_widget(Paragraph::new("too small"), area);
        return;
    }
    let row = |y: u16| Rect { y: area.y + y, height: 1, ..area };
    head(model, frame, row(0));
    status(model, frame, row(1));
    let mut body = Rect { y: area.y + 2, height: area.height - 3, ..area };
    if let Some(text) = notice(model) {
        let style = Tone::Bad.style(model.has_color);
        let line = Line::styled(shorten(&text, usize::from(area.width), false), style);
        frame.render_widget(line, Rect { height: 1, ..body });
        body = Rect { y: body.y + 1, height: body.height - 1, ..body };
    }
    if model.is_helping {
        let lines = help(model, usize::from(body.width));
        scrolled(model, frame, body, lines);
    } else if let Some(opened) = model.opened.clone() {
        let lines = details::lines(model, &opened, usize::from(body.width));
        scrolled(model, frame, body, lines);
    } else {
        list(model, frame, body);
    }
    foot(model, frame, row(area.height - 1));
}

/// What is wrong, and what is seen meanwhile.
fn notice(model: &Model) -> Option<String> {
    let Some(trouble) = model.trouble() else {
        let (_, answer) = model.shown.as_ref()?;
        let (app, error) = answer.failed.first()?;
        let more = match answer.failed.len() - 1 {
            0 => String::new(),
            more => format!(", and nothing of {more} more"),
        };
        return Some(format!("nothing of {}: {}{more}", clean(app), clean(error)));
    };
    Some(match model.newest() {
        Some(newest) if model.when == When::Live => format!(
            "{}; trying again, what is shown goes up to {}",
            clean(trouble),
            clock(newest, &model.zone)
        ),
        _ => format!("{}; trying again", clean(trouble)),
    })
}

/// The views, and what is read.
fn head(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = vec![Span::styled("loopd top", Tone::Title.style(model.has_color))];
    for view in View::ALL {
        let style = match view == model.view {
            true => Style::default().add_modifier(Modifier::REVERSED),
            false => Style::default(),
        };
        spans.push(Span::raw("  "));
        spans.push(Span::styled(format!("{} {}", view.key(), view.name()), style));
    }
    let line = Line::from(spans);
    let left = usize::from(area.width).saturating_sub(line.width() + 2);
    let source = shorten(&clean(&model.source), left, true);
    let x = area.right().saturating_sub(source.width() as u16);
    frame.render_widget(line, area);
    if left > 8 {
        let style = Tone::Dim.style(model.has_color);
        frame.buffer_mut().set_stringn(x, area.y, &source, left, style);
    }
}

/// Of when it is, how much there is, and what of it is shown.
fn status(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let color = model.has_color;
    let mut spans = Vec::new();
    if let Some((word, tone)) = when(model) {
        spans.push(Span::styled(word, tone.style(color)));
    }
    let mut say = |text: String| {
        let gap = if spans.is_empty() { "" } else { "  " };
        spans.push(Span::raw(format!("{gap}{text}")));
    };
    if let Some(text) = reading(model) {
        say(text);
    }
    if let Some((ask, answer)) = &model.shown {
        if let Some(window) = ask.window
            && model.view == View::Tasks
            && model.opened.is_none()
        {
            say(format!("the {} before", duration_text(window)));
        }
        if let (Some(at), Some(newest)) = (ask.at, answer.newest)
            && newest < at
            && ask.among.is_none()
        {
            say(format!("data up to {}", clock(newest, &model.zone)));
        }
        match (&model.app, answer.processes.len()) {
            (Some(app), _) => say(clean(app)),
            (None, n) if answer.more_apps > 0 => {
                say(format!("the newest {n} of {} programs", n + answer.more_apps));
            }
            (None, 1) => say("1 program".into()),
            (None, n) => say(format!("{n} programs")),
        }
    }
    if model.opened.is_none()
        && let Some(page) = model.page()
    {
        say(counts(model, page));
    }
    let filter = &model.looks().filter.text;
    if !filter.is_empty() && model.opened.is_none() {
        say(format!("filter: {}", clean(filter)));
    }
    frame.render_widget(Line::from(spans), area);
}

/// Of when is what is shown.
fn when(model: &Model) -> Option<(String, Tone)> {
    if let When::Paused(at) = model.when {
        return Some((format!("paused at {}", clock(at, &model.zone)), Tone::Warn));
    }
    let (ask, answer) = model.shown.as_ref()?;
    let newest = answer.newest.map(|newest| clock(newest, &model.zone));
    Some(match (ask.at, newest) {
        (Some(at), _) => (format!("past, {}", clock(at, &model.zone)), Tone::Warn),
        (None, Some(newest)) if answer.is_live && model.is_file => {
            (format!("file, up to {newest}"), Tone::Plain)
        }
        (None, _) if answer.is_live => ("live".to_owned(), Tone::Good),
        (None, Some(newest)) => (format!("ended, {newest}"), Tone::Plain),
        (None, None) => ("nothing yet".into(), Tone::Plain),
    })
}

/// What is not shown yet.
fn reading(model: &Model) -> Option<String> {
    let ask = model.ask()?;
    let shown = model.shown.as_ref().map(|(ask, _)| ask);
    if shown == Some(&ask) {
        return None;
    }
    Some(match ask.at {
        _ if shown.is_none_or(|shown| shown.at == ask.at) => "reading …".into(),
        Some(at) => format!("reading {} …", clock(at, &model.zone)),
        None => "reading what is now …".into(),
    })
}

/// `12 of 12,345 tasks, only 1,000 were fetched`.
fn counts(model: &Model, page: &Page) -> String {
    let Some((fetched, total, more)) = page.counts() else { return String::new() };
    let view = model.view;
    let shown = count_text(model.rows.len() as u64);
    let all = at_least_text(total, more);
    let mut text = match model.rows.len() as u64 == total && !more {
        true => view.counted(&shown),
        false => format!("{shown} of {}", view.counted(&all)),
    };
    if !page.is_whole() {
        let fetched = count_text(fetched as u64);
        let (sort, is_descending) = (model.looks().sort, model.is_descending());
        text.push_str(&match table::is_fetched_in_order(view, sort, is_descending) {
            true => format!(", only {fetched} were fetched"),
            false => format!(", sorted among the {fetched} that were fetched"),
        });
    }
    if let Page::Tasks(list) = page {
        if page.is_whole() {
            let in_state = |state: &str| list.rows.iter().filter(|it| it.state == state).count();
            let (running, idle) = (in_state("running"), in_state("idle"));
            text.push_str(&format!(", {running} running, {idle} idle"));
        }
        if model.with_ended && model.can_list_ended() {
            text.push_str(", with those that ended");
            if let Some(from) = list.searched_from {
                text.push_str(&format!(" since {}", clock(from, &model.zone)));
            }
        }
    }
    text
}

fn list(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let hidden = model.first_column();
    let kept = |i: usize| Some(i) != hidden;
    let columns: Vec<_> = table::columns(model.view).to_vec();
    let columns: Vec<_> =
        columns.into_iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, it)| it).collect();
    let rows: Vec<Vec<Cell>> = model
        .rows
        .iter()
        .map(|row| {
            let cells = row.cells.iter().enumerate().filter(|(i, _)| kept(*i));
            cells.map(|(_, cell)| cell.clone()).collect()
        })
        .collect();
    let rows: Vec<&[Cell]> = rows.iter().map(Vec::as_slice).collect();
    let looks = model.looks();
    // The selected row is in the middle, unless an end of the list is near.
    let height = usize::from(area.height.saturating_sub(1));
    let first = looks.selected.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let sorted = looks.sort - usize::from(hidden.is_some_and(|hidden| looks.sort > hidden));
    let place =
        Place { first, selected: looks.selected, sorted, is_descending: model.is_descending() };
    grid::draw(frame.buffer_mut(), area, &columns, &rows, place, model.has_color);
    if rows.is_empty() && area.height > 1 {
        let area = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let style = Tone::Dim.style(model.has_color);
        let text = Paragraph::new(nothing(model)).style(style);
        frame.render_widget(text.wrap(ratatui::widgets::Wrap { trim: true }), area);
    }
}

/// Why the list is empty.
fn nothing(model: &Model) -> String {
    let Some((_, answer)) = model.shown.as_ref().filter(|_| model.page().is_some()) else {
        return "reading …".into();
    };
    if answer.processes.is_empty() {
        return match model.when {
            When::Past(_) => "no program ran then; [ and ] go elsewhere, Space goes on".into(),
            _ => loopd_dashboard::views::NOTHING_YET.into(),
        };
    }
    if !model.looks().filter.text.is_empty() {
        return match answer.page.counts() {
            Some((fetched @ 1.., ..)) if !answer.page.is_whole() => format!(
                "none of the {} that were fetched meets the filter, and there are more; --app and terms \
                 that the server looks for reach further, Esc takes the filter away",
                count_text(fetched as u64)
            ),
            _ => "nothing meets the filter; Esc takes it away".into(),
        };
    }
    match model.view {
        View::Tasks if !model.with_ended && model.can_list_ended() => {
            "no task is alive; a shows those that ended".into()
        }
        View::Tasks => "no task is known".into(),
        View::Resources => "nothing that is tracked is open".into(),
        View::Waits => "nobody waits for anything that is tracked".into(),
        View::Findings => "nothing is wrong as far as was seen".into(),
    }
}

/// Draws lines from where they are scrolled to, and keeps that within them.
fn scrolled(model: &mut Model, frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    let height = usize::from(area.height);
    model.scroll = model.scroll.min(lines.len().saturating_sub(height));
    let shown: Vec<_> = lines.into_iter().skip(model.scroll).take(height).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

fn help(model: &Model, width: usize) -> Vec<Line<'static>> {
    let keys = KEYS.iter().map(|(keys, _)| keys.width()).max().unwrap_or(0);
    let bold = Tone::Title.style(model.has_color);
    let mut lines: Vec<_> = KEYS
        .iter()
        .map(|(keys_text, what)| {
            let padding = " ".repeat(keys - keys_text.width() + 2);
            Line::from(vec![Span::styled(*keys_text, bold), Span::raw(padding), Span::raw(*what)])
        })
        .collect();
    for note in NOTES {
        lines.push(Line::default());
        let mut line = String::new();
        for word in note.split(' ') {
            if !line.is_empty() && line.width() + 1 + word.width() > width {
                lines.push(Line::raw(std::mem::take(&mut line)));
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        lines.push(Line::raw(line));
    }
    lines
}

/// The filter that is typed, or the keys that matter most.
fn foot(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let Some(prompt) = &model.prompt else {
        let keys = match (model.is_helping, &model.opened) {
            (true, _) => "? Esc back  j k scroll  q quit",
            (_, Some(_)) => "Esc back  j k scroll  Space pause  ? help  q quit",
            _ => {
                "Enter details  / filter  h l sort  i invert  Space pause  [ ] step  ? help  q quit"
            }
        };
        frame.render_widget(Line::styled(keys, Tone::Dim.style(model.has_color)), area);
        return;
    };
    let width = usize::from(area.width);
    let error = prompt.error.as_deref().map(|error| format!("  {}", clean(error)));
    let error = error.unwrap_or_default();
    // What is wrong is read before all that was typed.
    let error = shorten(&error, width / 2, false);
    let left = width.saturating_sub(error.width() + 2);
    let text = shorten(&clean(&prompt.text), left, true);
    let x = area.x + 1 + text.width() as u16;
    let line = Line::from(vec![
        Span::styled("/", Tone::Title.style(model.has_color)),
        Span::raw(text),
        Span::styled(error, Tone::Bad.style(model.has_color)),
    ]);
    frame.render_widget(line, area);
    frame.set_cursor_position(Position { x: x.min(area.right().saturating_sub(1)), y: area.y });
}

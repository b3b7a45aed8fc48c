//! Rows under titles in a part of the screen: of what does not fit the columns that matter least are left out,
//! and the rest is shortened.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::commands::render::shorten;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Title,
    Dim,
    Place,
    Good,
    Warn,
    Bad,
}

impl Tone {
    /// How it looks; without colours by weight alone.
    pub(super) fn style(self, has_color: bool) -> Style {
        let style = Style::default();
        let fg = |color| if has_color { style.fg(color) } else { style };
        match self {
            Self::Plain => style,
            Self::Title => style.add_modifier(Modifier::BOLD),
            Self::Dim => style.add_modifier(Modifier::DIM),
            Self::Place => fg(Color::Cyan),
            Self::Good => fg(Color::Green),
            Self::Warn => fg(Color::Yellow).add_modifier(Modifier::BOLD),
            Self::Bad => fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// Text with what it is.
pub(super) type Cell = (String, Tone);

/// How a column is aligned, and which end of its texts matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Place,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    /// Those of the lowest rank are left out first.
    pub(super) rank: u8,
}

const GAP: u16 = 2;
/// No column of texts is squeezed below this.
const MIN_WIDTH: usize = 6;
/// Texts beyond this give way to other columns.
const MAX_WIDTH: usize = 40;
/// Before texts are squeezed below this, a column is left out;
const EASY_WIDTH: usize = 10;
/// and places below this.
const EASY_PLACE: usize = 20;

/// Which rows are looked at, and which column they are sorted by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) first: usize,
    pub(super) selected: usize,
    pub(super) sorted: usize,
    pub(super) is_descending: bool,
}

/// Draws the titles and the rows from `place.first` on.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    rows: &[&[Cell]],
    place: Place,
    has_color: bool,
) {
    if area.is_empty() {
        return;
    }
    let shown = rows.iter().skip(place.first).take(usize::from(area.height.saturating_sub(1)));
    let shown: Vec<_> = shown.copied().collect();
    let titles: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| match (i == place.sorted, place.is_descending) {
            (true, true) => format!("{}▾", column.title),
            (true, false) => format!("{}▴", column.title),
            (false, _) => column.title.to_owned(),
        })
        .collect();
    let widths = widths(columns, &titles, &shown, place.sorted, usize::from(area.width));
    let bold = Style::default().add_modifier(Modifier::BOLD);
    let titles: Vec<Cell> = titles.into_iter().map(|title| (title, Tone::Title)).collect();
    line(buffer, Rect { height: 1, ..area }, columns, &titles, &widths, has_color);
    buffer.set_style(Rect { height: 1, ..area }, bold.add_modifier(Modifier::UNDERLINED));
    for (i, row) in shown.iter().enumerate() {
        let row_area = Rect { y: area.y + 1 + i as u16, height: 1, ..area };
        line(buffer, row_area, columns, row, &widths, has_color);
        if place.first + i == place.selected {
            buffer.set_style(row_area, Style::default().add_modifier(Modifier::REVERSED));
        }
    }
}

/// As wide as what is shown; if that is too much, columns that say nothing and then those of the lowest rank
/// are left out, but not the one that is sorted by, and then the widest columns of texts give way.
fn widths(
    columns: &[Column],
    titles: &[String],
    rows: &[&[Cell]],
    sorted: usize,
    available: usize,
) -> Vec<Option<usize>> {
    let texts = |i: usize| rows.iter().filter_map(move |row| row.get(i)).map(|(text, _)| &**text);
    let is_last = |i: usize| i + 1 == columns.len();
    let mut widths: Vec<Option<usize>> = (0..columns.len())
        .map(|i| {
            let needed = texts(i).map(UnicodeWidthStr::width).max().unwrap_or(0);
            let is_whole = columns[i].kind == Kind::Number || is_last(i);
            let needed = if is_whole { needed } else { needed.min(MAX_WIDTH) };
            Some(needed.max(titles[i].width()))
        })
        .collect();
    let says_nothing = |i: usize| {
        texts(i).all(|text| matches!(text, "" | "-"))
            || (columns[i].title == "App" && texts(i).all(|text| texts(i).next() == Some(text)))
    };
    let easy = |i: usize, width: usize| match columns[i].kind {
        Kind::Number => width,
        Kind::Text => width.min(EASY_WIDTH.max(titles[i].width())),
        Kind::Place => width.min(EASY_PLACE),
    };
    let sum = |widths: &[Option<usize>], of: &dyn Fn(usize, usize) -> usize| {
        let kept = widths.iter().enumerate().filter_map(|(i, width)| Some(of(i, (*width)?)));
        kept.map(|width| width + usize::from(GAP)).sum::<usize>().saturating_sub(usize::from(GAP))
    };
    while sum(&widths, &easy) > available {
        let others = (0..columns.len()).filter(|&i| i != sorted && widths[i].is_some());
        // Of those that matter as much the right one.
        let least = others.min_by_key(|&i| (!says_nothing(i), columns[i].rank, columns.len() - i));
        let Some(least) = least else { break };
        widths[least] = None;
    }
    while sum(&widths, &|_, width| width) > available {
        let least = |i: usize| MIN_WIDTH.max(titles[i].width());
        let gives = |&i: &usize| {
            columns[i].kind != Kind::Number && widths[i].is_some_and(|width| width > least(i))
        };
        let widest = (0..columns.len()).filter(gives).max_by_key(|&i| widths[i]);
        let Some(width) = widest.and_then(|widest| widths[widest].as_mut()) else { break };
        *width -= 1;
    }
    widths
}

fn line(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    cells: &[Cell],
    widths: &[Option<usize>],
    has_color: bool,
) {
    let mut x = area.x;
    for ((column, (text, tone)), width) in columns.iter().zip(cells).zip(widths) {
        let Some(width) = *width else { continue };
        let text = shorten(text, width, column.kind == Kind::Place);
        let padding = match column.kind {
            Kind::Number => width.saturating_sub(text.width()) as u16,
            Kind::Text | Kind::Place => 0,
        };
        let at = x.saturating_add(padding);
        if at >= area.right() {
            return;
        }
        let left = usize::from(area.right() - at);
        buffer.set_stringn(at, area.y, &text, left, tone.style(has_color));
        x = x.saturating_add(width as u16).saturating_add(GAP);
    }
}

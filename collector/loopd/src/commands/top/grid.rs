//! Rows under titles in a part of the screen: what does not fit is shortened, then left out from the right.

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
}

const GAP: u16 = 2;
/// No column of texts is squeezed below this.
const MIN_WIDTH: usize = 6;
/// Texts beyond this give way to other columns.
const MAX_WIDTH: usize = 40;

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
    let widths = widths(columns, &titles, &shown, usize::from(area.width));
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

/// As wide as what is shown; if that is too much, the widest columns of texts give way, then those at the
/// right are left out.
fn widths(columns: &[Column], titles: &[String], rows: &[&[Cell]], available: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let cells = rows.iter().filter_map(|row| row.get(i)).map(|(text, _)| text.width());
            let needed = cells.max().unwrap_or(0);
            let is_last = i + 1 == columns.len();
            let capped = column.kind == Kind::Number || is_last;
            (if capped { needed } else { needed.min(MAX_WIDTH) }).max(titles[i].width())
        })
        .collect();
    let sum = |widths: &[usize]| {
        widths.iter().sum::<usize>() + usize::from(GAP) * widths.len().saturating_sub(1)
    };
    while sum(&widths) > available {
        let least = |i: usize| MIN_WIDTH.max(titles[i].width());
        let gives = |i: &usize| columns[*i].kind != Kind::Number && widths[*i] > least(*i);
        match (0..widths.len()).filter(gives).max_by_key(|&i| widths[i]) {
            Some(widest) => widths[widest] -= 1,
            None if widths.len() > 1 => {
                widths.pop();
            }
            None => break,
        }
    }
    widths
}

fn line(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    cells: &[Cell],
    widths: &[usize],
    has_color: bool,
) {
    let mut x = area.x;
    for ((column, (text, tone)), &width) in columns.iter().zip(cells).zip(widths) {
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

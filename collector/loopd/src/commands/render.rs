//! Text for people: tables that fit the terminal, colours when wanted, and names from recorded
//! programs made harmless.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use clap::ColorChoice;
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where output goes and what it can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    has_color: bool,
    /// `None`: as wide as needed, as for a pipe.
    width: Option<usize>,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A heading.
    Title,
    /// What matters less.
    Dim,
    /// A place in source code.
    Place,
    /// Fine.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Screen {
    /// Looks at the flags, the environment and the terminal.
    pub(crate) fn new(color: ColorChoice) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set("NO_COLOR") => false,
            ColorChoice::Auto => is_set("CLICOLOR_FORCE") || (is_terminal && !is_dumb),
        };
        Self { has_color, width: if is_terminal { terminal_width() } else { None } }
    }

    /// Whether colours are wanted.
    pub(crate) const fn has_color(self) -> bool {
        self.has_color
    }

    /// The same, but as wide as needed.
    pub(crate) const fn unlimited(self) -> Self {
        Self { width: None, ..self }
    }

    /// The text in the colours of `style`.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if !self.has_color || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Title => "1",
            Style::Dim => "2",
            Style::Place => "36",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The table as lines, each with its end.
    pub(crate) fn table(&self, table: &Table) -> String {
        let widths = table.widths(self.width);
        let mut out = String::new();
        let titles = table.columns.iter().map(|column| (column.title.to_owned(), None));
        self.line(&mut out, table, &widths, titles, Some(Style::Title));
        for row in &table.rows {
            self.line(&mut out, table, &widths, row.iter().cloned(), None);
        }
        out
    }

    fn line(
        &self,
        out: &mut String,
        table: &Table,
        widths: &[usize],
        cells: impl Iterator<Item = Cell>,
        style: Option<Style>,
    ) {
        let last = table.columns.len().saturating_sub(1);
        for (i, ((text, cell_style), (column, &width))) in
            cells.zip(table.columns.iter().zip(widths)).enumerate()
        {
            let text = shorten(&text, width, column.keep_end);
            let padding = " ".repeat(width.saturating_sub(text.width()));
            let painted = match style.or(cell_style) {
                Some(style) => self.paint(style, &text),
                None => text,
            };
            let gap = if i == last { "" } else { GAP };
            if column.is_number {
                let _ = write!(out, "{padding}{painted}{gap}");
            } else if i == last {
                out.push_str(&painted);
            } else {
                let _ = write!(out, "{painted}{padding}{gap}");
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
}

const GAP: &str = "  ";
/// No column is squeezed below this.
const MIN_WIDTH: usize = 8;

type Cell = (String, Option<Style>);

/// Rows under titles.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    title: String,
    is_number: bool,
    keep_end: bool,
}

impl Table {
    /// Adds a column of words.
    pub(crate) fn text(self, title: &str) -> Self {
        self.column(title, false, false)
    }

    /// Adds a column of numbers, which are aligned to the right.
    pub(crate) fn number(self, title: &str) -> Self {
        self.column(title, true, false)
    }

    /// Adds a column of places, of which the end matters most.
    pub(crate) fn place(self, title: &str) -> Self {
        self.column(title, false, true)
    }

    fn column(mut self, title: &str, is_number: bool, keep_end: bool) -> Self {
        self.columns.push(Column { title: clean(title), is_number, keep_end });
        self
    }

    /// Adds a row of plain cells.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.styled_row(cells.into_iter().map(|cell| (cell, None)));
    }

    /// Adds a row of cells, some of them coloured.
    pub(crate) fn styled_row<T: AsRef<str>>(
        &mut self,
        cells: impl IntoIterator<Item = (T, Option<Style>)>,
    ) {
        self.rows
            .push(cells.into_iter().map(|(cell, style)| (clean(cell.as_ref()), style)).collect());
    }

    /// What each column needs; if that is more than there is, the widest columns of words give way.
    fn widths(&self, available: Option<usize>) -> Vec<usize> {
        let needed = |(i, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(i)).map(|(text, _)| text.width());
            cells.chain([column.title.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(needed).collect();
        let Some(available) = available else { return widths };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > available {
            let can_give = |i: &usize| !self.columns[*i].is_number && widths[*i] > MIN_WIDTH;
            match (0..widths.len()).filter(can_give).max_by_key(|&i| widths[i]) {
                Some(widest) => widths[widest] -= 1,
                None => break,
            }
        }
        widths
    }
}

/// The text in at most `width` columns, with `…` for what was left out.
pub(super) fn shorten(text: &str, width: usize, keep_end: bool) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut fits = |c: &char| {
        let needed = c.width().unwrap_or(0);
        let does = needed <= left;
        left = left.saturating_sub(needed);
        does
    };
    if keep_end {
        let end: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
        std::iter::once('…').chain(end.into_iter().rev()).collect()
    } else {
        text.chars().take_while(&mut fits).chain(['…']).collect()
    }
}

/// The text without what a terminal would obey: escape sequences, control characters, and marks
/// that reorder or hide text. Line ends and tabs become spaces.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(' '),
            '\x1b' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            c if c.is_control() || is_invisible_mark(c) => {}
            c => out.push(c),
        }
    }
    out
}

const fn is_invisible_mark(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}')
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Writes to the standard output; a reader that went away is an error that ends the program
/// quietly.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes one line of JSON for each item.
pub(crate) fn print_lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for item in items {
        serde_json::to_writer(&mut out, &item)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Says something beside the output, on the standard error.
#[expect(clippy::print_stderr, reason = "notes must not mix with what is piped on")]
pub(crate) fn note(text: &str) {
    eprintln!("note: {}", clean(text));
}

/// Warns beside the output, on the standard error.
#[expect(clippy::print_stderr, reason = "warnings must not mix with what is piped on")]
pub(crate) fn warn(text: &str) {
    eprintln!("warning: {}", clean(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Screen = Screen { has_color: false, width: None };

    fn table() -> Table {
        let mut table = Table::default().text("NAME").number("POLLS").place("LOCATION");
        table.row(["worker", "12", "crates/orders/src/handlers/report.rs:41"]);
        table.row(["日本", "3,000", "src/main.rs:7"]);
        table
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            PLAIN.table(&table()),
            "NAME    POLLS  LOCATION\n\
             worker     12  crates/orders/src/handlers/report.rs:41\n\
             日本    3,000  src/main.rs:7\n"
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_the_ends_of_places() {
        let screen = Screen { has_color: false, width: Some(32) };
        assert_eq!(
            screen.table(&table()),
            "NAME    POLLS  LOCATION\n\
             worker     12  …ers/report.rs:41\n\
             日本    3,000  src/main.rs:7\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_removed() {
        assert_eq!(clean("a\x1b[31mb\x1b[0m\u{9b}1mc\rd\ne"), "ab1mcd e");
        assert_eq!(clean("abc\u{202e}fed\u{200b}"), "abcfed");
        assert_eq!(clean("\x1b]0;title\x07x"), "]0;titlex");
    }
}

//! Text that becomes HTML in one place only.

use std::fmt::Write as _;

use jiff::Timestamp;

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html {
    text: String,
}

impl Html {
    /// Adds markup of our own.
    pub(super) fn raw(&mut self, markup: &str) -> &mut Self {
        self.text.push_str(markup);
        self
    }

    /// Adds text of anybody's.
    pub(super) fn escaped(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                '\n' | '\t' => self.text.push(c),
                // What reorders or hides text is shown, not obeyed.
                c if c.is_control() || is_mark(c) => {
                    let _ = write!(self.text, "\u{fffd}");
                }
                c => self.text.push(c),
            }
        }
        self
    }

    /// Adds an element with a text in it.
    pub(super) fn element(&mut self, tag: &str, text: &str) -> &mut Self {
        self.raw("<").raw(tag).raw(">").escaped(text).raw("</").raw(tag).raw(">\n")
    }

    /// Adds a sentence, with what is between backticks as code.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        let parts: Vec<_> = text.split('`').collect();
        // A backtick without its partner is only a character.
        if parts.len().is_multiple_of(2) {
            return self.escaped(text);
        }
        for (i, part) in parts.iter().enumerate() {
            match i % 2 {
                0 => self.escaped(part),
                _ => self.raw("<code>").escaped(part).raw("</code>"),
            };
        }
        self
    }

    /// Adds a table, or nothing if it has no rows. Columns whose title ends with `#` are numbers.
    pub(super) fn table(&mut self, titles: &[&str], rows: &[Vec<String>]) -> &mut Self {
        if rows.is_empty() {
            return self;
        }
        let class = |title: &str| if title.ends_with('#') { " class=\"n\"" } else { "" };
        self.raw("<div class=\"wide\"><table>\n<tr>");
        for title in titles {
            self.raw("<th").raw(class(title)).raw(">").escaped(title.trim_end_matches('#'));
            self.raw("</th>");
        }
        self.raw("</tr>\n");
        for row in rows {
            self.raw("<tr>");
            for (title, cell) in titles.iter().zip(row) {
                self.raw("<td").raw(class(title)).raw(">").escaped(cell).raw("</td>");
            }
            self.raw("</tr>\n");
        }
        self.raw("</table></div>\n")
    }

    /// What was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

const fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}')
}

/// An instant in unix nanoseconds: `2026-11-22 14:03:07.412`.
pub(super) fn instant(at: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(at)) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_recorded_is_markup() {
        let mut html = Html::default();
        html.element("p", "<script>alert(\"1\" & '2')</script>\u{1b}[31m\u{202e}x");
        let text = "<p>&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\
            \u{fffd}[31m\u{fffd}x</p>\n";
        assert_eq!(html.text(), text);
    }

    #[test]
    fn code_is_between_backticks_that_have_a_partner() {
        let mut html = Html::default();
        html.prose("use `a < b`, it`s").raw(" ").prose("use `a < b`");
        assert_eq!(html.text(), "use `a &lt; b`, it`s use <code>a &lt; b</code>");
    }

    #[test]
    fn instants_are_utc() {
        assert_eq!(instant(1_795_356_000_412_000_000), "2026-11-22 14:00:00.412");
    }
}

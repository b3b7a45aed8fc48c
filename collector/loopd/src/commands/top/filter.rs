//! What is typed after `/`: words and terms of the task filter language, and regular expressions.
//!
//! ```text
//! filter = (term | regex)*        all of them are met
//! regex  = ["-"] "~" (word | "words")
//! ```
//!
//! Terms of tasks are looked for where the data is. Regular expressions look at rows that were fetched, and
//! so do the words of other views.

use loopd_dashboard::views::{ViewError, task_filter};
use regex::{Regex, RegexBuilder};

use super::ask::View;

/// A longer filter is not taken.
pub(super) const MAX_LENGTH: usize = 1_000;
/// A compiled expression beyond this is refused: it would cost more than all rows.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// More are refused: each looks at every row.
const MAX_REGEXES: usize = 8;

/// A filter that could be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// As it was typed.
    pub(super) text: String,
    /// Its terms without the regular expressions, for the server; empty in views other than tasks.
    pub(super) terms: String,
    local: Vec<Test>,
}

#[derive(Clone, Debug)]
struct Test {
    is_negated: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// In lower case.
    Word(String),
    Regex(Regex),
}

impl Filter {
    /// Reads what was typed for `view`.
    pub(super) fn parse(text: &str, view: View) -> Result<Self, String> {
        let mut filter = Self { text: text.trim().to_owned(), ..Self::default() };
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let is_negated = rest.starts_with('-');
            let positive = &rest[usize::from(is_negated)..];
            let is_nothing = positive.is_empty() || positive.starts_with(char::is_whitespace);
            let read_at = |left: &str, error| shifted(error, &text[..text.len() - left.len()]);
            let length = if let Some(regex) = positive.strip_prefix('~') {
                let read = task_filter::first_text(regex);
                let (regex, length) = read.map_err(|error| read_at(regex, error))?;
                filter.local.push(Test { is_negated, what: What::Regex(expression(&regex)?) });
                rest.len() - positive.len() + 1 + length
            } else if view == View::Tasks || is_nothing {
                let read = task_filter::first_term(rest);
                let length = read.map_err(|error| read_at(rest, error))?;
                filter.terms.push_str(if filter.terms.is_empty() { "" } else { " " });
                filter.terms.push_str(&rest[..length]);
                length
            } else {
                let read = task_filter::first_text(positive);
                let (word, length) = read.map_err(|error| read_at(positive, error))?;
                filter.local.push(Test { is_negated, what: What::Word(word.to_lowercase()) });
                rest.len() - positive.len() + length
            };
            rest = rest[length..].trim_start();
        }
        let regexes = filter.local.iter().filter(|test| matches!(test.what, What::Regex(_)));
        if regexes.count() > MAX_REGEXES {
            return Err(format!("more than {MAX_REGEXES} regular expressions"));
        }
        task_filter::parse(&filter.terms).map_err(|error| error.to_string())?;
        Ok(filter)
    }

    /// Whether some rows are left out here, and not where the data is.
    pub(super) const fn is_local(&self) -> bool {
        !self.local.is_empty()
    }

    /// Whether a row with these texts is shown.
    pub(super) fn lets_through(&self, texts: &[&str]) -> bool {
        self.local.iter().all(|test| {
            let is_found = match &test.what {
                What::Word(word) => texts.iter().any(|text| text.to_lowercase().contains(word)),
                What::Regex(regex) => texts.iter().any(|text| regex.is_match(text)),
            };
            is_found != test.is_negated
        })
    }
}

fn expression(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("after ~ comes a regular expression, as in ~^src/(api|db)".into());
    }
    let regex = RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
    regex.map_err(|error| {
        let error = error.to_string();
        // The last line says what is wrong; those before draw it.
        let last = error.lines().next_back().unwrap_or_default();
        format!("~{text}: {}", last.trim_start_matches("error: "))
    })
}

/// An error with its place in all that was typed; places count UTF-16 units.
fn shifted(error: ViewError, before: &str) -> String {
    let units = before.encode_utf16().count();
    match error {
        ViewError::Filter { sentence, from, to } => {
            ViewError::Filter { sentence, from: from + units, to: to + units }.to_string()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(view: View, filter: &str, row: &[&str], is_shown: bool) {
        let read = Filter::parse(filter, view).unwrap();
        assert_eq!(read.lets_through(row), is_shown, "{filter:?} of {row:?}");
    }

    #[test]
    fn an_expression_looks_at_each_text_of_a_row() {
        let row = ["reporter", "orders/src/report.rs:30"];
        check(View::Tasks, "~^rep", &row, true);
        check(View::Tasks, "~^src", &row, false);
        check(View::Tasks, "-~^rep", &row, false);
        check(View::Tasks, "~^rep ~:3\\d$", &row, true);
        check(View::Tasks, "~\"a b\"", &["a b"], true);
        check(View::Tasks, "~\"a b\"", &["ab"], false);
    }

    #[test]
    fn words_are_left_to_the_server_for_tasks_and_looked_for_here_in_other_views() {
        let filter = "state:idle name:\"a b\" ~x$";
        assert_eq!(Filter::parse(filter, View::Tasks).unwrap().terms, "state:idle name:\"a b\"");
        check(View::Tasks, "nothing", &["else"], true);
        check(View::Waits, "LOCK -config", &["lock", "left"], true);
        check(View::Waits, "LOCK -config", &["lock", "config"], false);
    }

    #[test]
    fn quotes_are_those_of_the_task_filter() {
        let terms = |filter| Filter::parse(filter, View::Tasks).unwrap().terms;
        assert_eq!(terms("name:\"a \\\" b\"  loc:x"), "name:\"a \\\" b\" loc:x");
        // A quote within a word is one of its letters.
        assert_eq!(terms("a\"b c\"d ~x"), "a\"b c\"d");
        check(View::Waits, "a\"b c", &["a\"b", "c"], true);
        check(View::Waits, "\"a \\\"b\\\"\"", &["a \"b\""], true);
        check(View::Tasks, "~\"a \\\"b\"", &["a \"b"], true);
        let nothing = Filter::parse("lock - x", View::Waits).unwrap_err();
        assert!(nothing.contains("at character 6: after `-` comes"), "{nothing}");
        let unclosed = Filter::parse("~\"a", View::Tasks).unwrap_err();
        assert!(unclosed.contains("the quote is not closed"), "{unclosed}");
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = |text| Filter::parse(text, View::Tasks).unwrap_err();
        assert!(wrong("~(").contains("unclosed group"), "{}", wrong("~("));
        assert!(wrong("~").contains("comes a regular expression"));
        assert!(wrong("busy>soon").contains("cannot be read"));
        assert!(wrong("~\\w{9999}{999}").contains("size limit"), "{}", wrong("~\\w{9999}{999}"));
        assert!(wrong(&"~a ".repeat(9)).contains("more than 8"));
    }
}

//! What is typed after `/`: words and terms of the task filter language, and regular expressions.
//!
//! ```text
//! filter = (term | regex)*        all of them are met
//! regex  = ["-"] "~" (word | '"' anything '"')
//! ```
//!
//! Terms of tasks are looked for where the data is. Regular expressions look at rows that were fetched, and
//! so do the words of other views.

use loopd_dashboard::views::task_filter;
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
        for token in tokens(text) {
            let (is_negated, rest) = match token.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, token),
            };
            if let Some(regex) = rest.strip_prefix('~') {
                let what = What::Regex(expression(unquoted(regex))?);
                filter.local.push(Test { is_negated, what });
            } else if view == View::Tasks {
                filter.terms.push_str(if filter.terms.is_empty() { "" } else { " " });
                filter.terms.push_str(token);
            } else {
                let what = What::Word(unquoted(rest).to_lowercase());
                filter.local.push(Test { is_negated, what });
            }
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

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"');
    inner.map_or(text, |inner| inner.strip_suffix('"').unwrap_or(inner))
}

/// What is between spaces that are outside of quotes.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let is_gap = move |c: char| {
        is_quoted ^= c == '"';
        c.is_whitespace() && !is_quoted
    };
    text.split(is_gap).filter(|token| !token.is_empty())
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
    fn mistakes_are_told() {
        let wrong = |text| Filter::parse(text, View::Tasks).unwrap_err();
        assert!(wrong("~(").contains("unclosed group"), "{}", wrong("~("));
        assert!(wrong("~").contains("comes a regular expression"));
        assert!(wrong("busy>soon").contains("cannot be read"));
        assert!(wrong("~\\w{9999}{999}").contains("size limit"), "{}", wrong("~\\w{9999}{999}"));
        assert!(wrong(&"~a ".repeat(9)).contains("more than 8"));
    }
}

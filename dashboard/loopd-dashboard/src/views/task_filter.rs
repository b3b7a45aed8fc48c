//! The language in which a list of tasks is narrowed down: `state:idle loc:handler busy>5ms`.
//!
//! ```text
//! filter  = term*                      all of them are met
//! term    = ["-"] (text | field)       with "-": it is not met
//! text    = word | "words"             in the name or the spawn location, or the id
//! field   = NAME (":" | "=" | "<" | "<=" | ">" | ">=") value ("," value)*
//! ```
//!
//! `:` asks whether a text contains the value (`:=` and `=` whether it is the value), and of everything else
//! whether it is the value. A mistake is reported with its place, so that a page can underline it.

use loopd_model::Outcome;
use loopd_store::{Compare, TaskAmount, TaskCondition, TaskIdOf, TaskTerm, TaskText};

use super::{ViewError, words};

/// Longer ones are not read: nobody types them.
const MAX_LENGTH: usize = 2_000;
/// More values than that, of all terms together, are refused: each costs a look at every task.
const MAX_VALUES: usize = 32;

/// What a field is.
#[derive(Clone, Copy, Debug)]
enum Field {
    Text(TaskText),
    Time(TaskAmount),
    Count(TaskAmount),
    Id(TaskIdOf),
    State,
    Outcome,
    Kind,
}

/// The names of the fields. Of those that mean the same the first is the one to show.
const FIELDS: [(&str, Field); 26] = [
    ("name", Field::Text(TaskText::Name)),
    ("loc", Field::Text(TaskText::Location)),
    ("location", Field::Text(TaskText::Location)),
    ("field", Field::Text(TaskText::Fields)),
    ("fields", Field::Text(TaskText::Fields)),
    ("state", Field::State),
    ("outcome", Field::Outcome),
    ("kind", Field::Kind),
    ("id", Field::Id(TaskIdOf::Task)),
    ("task", Field::Id(TaskIdOf::Task)),
    ("parent", Field::Id(TaskIdOf::Parent)),
    ("waker", Field::Id(TaskIdOf::LastWaker)),
    ("loop", Field::Id(TaskIdOf::Loop)),
    ("life", Field::Time(TaskAmount::Lifetime)),
    ("lifetime", Field::Time(TaskAmount::Lifetime)),
    ("busy", Field::Time(TaskAmount::BusyTime)),
    ("busy_time", Field::Time(TaskAmount::BusyTime)),
    ("scheduled", Field::Time(TaskAmount::ScheduledTime)),
    ("ready", Field::Time(TaskAmount::ScheduledTime)),
    ("worst", Field::Time(TaskAmount::MaxPollTime)),
    ("max_poll_time", Field::Time(TaskAmount::MaxPollTime)),
    ("polls", Field::Count(TaskAmount::Polls)),
    ("slow", Field::Count(TaskAmount::SlowPolls)),
    ("wakes", Field::Count(TaskAmount::Wakes)),
    ("self", Field::Count(TaskAmount::SelfWakes)),
    ("self_wakes", Field::Count(TaskAmount::SelfWakes)),
];

const OUTCOMES: [(&str, Outcome); 6] = [
    ("completed", Outcome::Completed),
    ("panicked", Outcome::Panicked),
    ("raised", Outcome::Raised),
    ("cancelled", Outcome::Cancelled),
    ("destroyed", Outcome::Destroyed),
    ("unknown", Outcome::Unknown),
];

const STATES: [(&str, TaskCondition); 5] = [
    ("alive", TaskCondition::Alive),
    ("idle", TaskCondition::Idle),
    ("running", TaskCondition::Running),
    ("ended", TaskCondition::Ended),
    ("unwakeable", TaskCondition::Unwakeable),
];

/// Reads a filter.
pub fn parse(text: &str) -> Result<Vec<TaskTerm>, ViewError> {
    if text.len() > MAX_LENGTH {
        let sentence = format!("it is longer than {MAX_LENGTH} bytes");
        return Err(Parser { text, at: 0, values: 0 }.wrong(sentence, 0, text.len()));
    }
    let mut parser = Parser { text, at: 0, values: 0 };
    let mut terms = Vec::new();
    while parser.skip_space() {
        terms.push(parser.term()?);
    }
    Ok(terms)
}

/// Reads the term that a filter begins with. Gives how long it is in bytes, for those who have terms of
/// their own between these.
pub fn first_term(text: &str) -> Result<usize, ViewError> {
    let mut parser = Parser { text, at: 0, values: 0 };
    parser.term()?;
    Ok(parser.at)
}

/// Reads the word, or the text in quotes, that a filter begins with. Gives what it says, and how long it is
/// in bytes.
pub fn first_text(text: &str) -> Result<(String, usize), ViewError> {
    let mut parser = Parser { text, at: 0, values: 0 };
    let (value, _, to) = parser.value(false)?;
    Ok((value, to))
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// How many values there were so far.
    values: usize,
}

impl<'t> Parser<'t> {
    /// Whether something is left.
    fn skip_space(&mut self) -> bool {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.at < self.text.len()
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn take(&mut self, what: &str) -> bool {
        let is_next = self.rest().starts_with(what);
        self.at += if is_next { what.len() } else { 0 };
        is_next
    }

    /// An error with its place, which counts as browsers do.
    fn wrong(&self, sentence: impl Into<String>, from: usize, to: usize) -> ViewError {
        let units = |at: usize| self.text[..at].encode_utf16().count();
        ViewError::Filter { sentence: sentence.into(), from: units(from), to: units(to.max(from)) }
    }

    fn term(&mut self) -> Result<TaskTerm, ViewError> {
        let start = self.at;
        let is_negated = self.take("-");
        if is_negated && (self.rest().is_empty() || self.rest().starts_with(char::is_whitespace)) {
            let sentence = "after `-` comes what a task should not be, as in `-state:ended`";
            return Err(self.wrong(sentence, start, self.at));
        }
        let any = match self.field()? {
            Some((field, name, place)) => self.condition(field, name, place)?,
            None => {
                let (text, ..) = self.value(false)?;
                vec![TaskCondition::Text(TaskText::Any, text, false)]
            }
        };
        Ok(TaskTerm { any, is_negated })
    }

    /// The field that the next word begins with, its name, and where that stands.
    fn field(&mut self) -> Result<Option<(Field, &'t str, usize)>, ViewError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        // `tokio::spawn` is a path of Rust.
        let is_field =
            !name.is_empty() && after.starts_with([':', '=', '<', '>']) && !after.starts_with("::");
        if !is_field {
            return Ok(None);
        }
        let place = self.at;
        let lower = name.to_ascii_lowercase();
        let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == lower) else {
            let known = "name, loc, field, state, outcome, kind, id, parent, waker, loop, life, busy, \
                 scheduled, worst, polls, slow, wakes, self";
            let near = FIELDS.iter().find(|(known, _)| is_near(known, &lower));
            let hint =
                near.map(|(known, _)| format!("did you mean `{known}`? ")).unwrap_or_default();
            let sentence = format!(
                "there is no field `{name}`; {hint}There are {known}. To search for the text itself, \
                 put it in quotes"
            );
            return Err(self.wrong(sentence, place, place + end));
        };
        self.at += end;
        Ok(Some((*field, name, place)))
    }

    fn condition(
        &mut self,
        field: Field,
        name: &str,
        place: usize,
    ) -> Result<Vec<TaskCondition>, ViewError> {
        let start = self.at;
        const OPERATORS: [(&str, Option<Compare>, bool); 8] = [
            (":~", None, false),
            (":=", None, true),
            ("<=", Some(Compare::UpTo), false),
            (">=", Some(Compare::From), false),
            ("<", Some(Compare::Less), false),
            (">", Some(Compare::More), false),
            ("=", None, true),
            (":", None, false),
        ];
        let operator = OPERATORS.into_iter().find(|(sign, ..)| self.take(sign));
        let (_, compare, is_whole) = operator.unwrap_or((":", None, false));
        let is_amount = matches!(field, Field::Time(_) | Field::Count(_));
        if compare.is_some() && !is_amount {
            let sentence = format!("`{name}` has no more and no less; write `{name}:…`");
            return Err(self.wrong(sentence, place, self.at));
        }
        let mut any = Vec::new();
        loop {
            let (text, from, to) = self.value(true)?;
            if text.is_empty() && !(is_whole && to > from) {
                let sentence = format!("a value is missing after `{}`", &self.text[place..from]);
                return Err(self.wrong(sentence, place, from.max(start)));
            }
            any.push(self.one(field, &text, compare, is_whole, (from, to))?);
            if !self.take(",") {
                return Ok(any);
            }
        }
    }

    fn one(
        &self,
        field: Field,
        text: &str,
        compare: Option<Compare>,
        is_whole: bool,
        (from, to): (usize, usize),
    ) -> Result<TaskCondition, ViewError> {
        let lower = text.to_lowercase();
        let wrong = |sentence: String| Err(self.wrong(sentence, from, to));
        let compare = compare.unwrap_or(Compare::Equal);
        match field {
            Field::Text(of) => Ok(TaskCondition::Text(of, text.to_owned(), is_whole)),
            Field::Time(of) => match time(&lower) {
                Some(time) => Ok(TaskCondition::Amount(of, compare, time)),
                None => {
                    wrong(format!("{text:?} is no length; write one as 250us, 5ms, 1.5s or 2m"))
                }
            },
            Field::Count(of) => match count(&lower) {
                Some(count) => Ok(TaskCondition::Amount(of, compare, count)),
                None => wrong(format!("{text:?} is no number; write one as 100, 5k or 2M")),
            },
            Field::Id(of) => match text.parse() {
                Ok(id) => Ok(TaskCondition::Id(of, id)),
                Err(_) => wrong(format!("{text:?} is no id: those are whole numbers")),
            },
            Field::State => {
                let state = STATES.iter().find(|(word, _)| *word == lower);
                let state = state.map(|(_, condition)| condition.clone());
                let outcome = || outcome(&lower).filter(|it| *it != Outcome::Unknown);
                match state.or_else(|| outcome().map(TaskCondition::Outcome)) {
                    Some(condition) => Ok(condition),
                    None => wrong(format!(
                        "{text:?} is no state; there are alive, idle, running, ended, unwakeable, \
                         completed, panicked, raised, cancelled, destroyed"
                    )),
                }
            }
            Field::Outcome => match outcome(&lower) {
                Some(outcome) => Ok(TaskCondition::Outcome(outcome)),
                None => wrong(format!(
                    "{text:?} is no outcome; there are completed, panicked, raised, cancelled, \
                     destroyed, unknown"
                )),
            },
            Field::Kind => match words::KINDS.iter().find(|(word, _)| *word == lower) {
                Some((_, kind)) => Ok(TaskCondition::Kind(*kind)),
                None => wrong(format!(
                    "{text:?} is no kind; there are async, local, block_on, blocking, callback"
                )),
            },
        }
    }

    /// A value that ends here, if it is not one too many.
    fn counted(
        &mut self,
        value: String,
        start: usize,
    ) -> Result<(String, usize, usize), ViewError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            let sentence = format!("there are more than {MAX_VALUES} values");
            return Err(self.wrong(sentence, start, self.at));
        }
        Ok((value, start, self.at))
    }

    /// A word or a text in quotes, and where it stands. Of several values a comma ends a word.
    fn value(&mut self, is_one_of_several: bool) -> Result<(String, usize, usize), ViewError> {
        let start = self.at;
        if self.take("\"") {
            let mut value = String::new();
            while let Some(next) = self.rest().chars().next() {
                self.at += next.len_utf8();
                match next {
                    '"' => return self.counted(value, start),
                    '\\' if self.rest().starts_with(['"', '\\']) => {
                        value.extend(self.rest().chars().next());
                        self.at += 1;
                    }
                    _ => value.push(next),
                }
            }
            return Err(self.wrong("the quote is not closed", start, self.at));
        }
        let is_end = |c: char| c.is_whitespace() || (is_one_of_several && c == ',');
        self.at += self.rest().find(is_end).unwrap_or(self.rest().len());
        self.counted(self.text[start..self.at].to_owned(), start)
    }
}

fn outcome(text: &str) -> Option<Outcome> {
    OUTCOMES.iter().find(|(word, _)| *word == text).map(|(_, outcome)| *outcome)
}

/// A length in nanoseconds: a number with its unit.
fn time(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3_600e9,
        "d" => 86_400e9,
        "" if number == "0" => 1.0,
        _ => return None,
    };
    scaled(number, unit)
}

fn count(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    match unit {
        "" => number.parse().ok(),
        "k" => scaled(number, 1e3),
        "m" => scaled(number, 1e6),
        _ => None,
    }
}

fn scaled(number: &str, unit: f64) -> Option<u64> {
    // A float would round what is whole.
    if let Ok(whole) = number.parse::<u64>() {
        return Some(whole.saturating_mul(unit as u64));
    }
    number.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| (value * unit) as u64)
}

/// Whether a word is one letter away from another, or begins it.
fn is_near(known: &str, word: &str) -> bool {
    if word.len() >= 3 && (known.starts_with(word) || word.starts_with(known)) {
        return true;
    }
    let (known, word): (Vec<char>, Vec<char>) = (known.chars().collect(), word.chars().collect());
    if word.len() < 3 || known.len().abs_diff(word.len()) > 1 {
        return false;
    }
    let same = known.iter().zip(&word).take_while(|(a, b)| a == b).count();
    let from_end = |list: &[char]| list.iter().rev().copied().collect::<Vec<_>>();
    let (known_end, word_end) = (from_end(&known), from_end(&word));
    let same_end = known_end.iter().zip(&word_end).take_while(|(a, b)| a == b).count();
    same + same_end + 1 >= known.len().max(word.len())
}

/// The same as a condition on the view `tasks` of SQL; empty if everything meets it. That view does not
/// tell whether a task runs at this moment.
pub fn sql(terms: &[TaskTerm]) -> String {
    let terms: Vec<_> = terms.iter().map(term_sql).collect();
    terms.join("\n  AND ")
}

fn term_sql(term: &TaskTerm) -> String {
    let any: Vec<_> = term.any.iter().map(condition_sql).collect();
    let any = any.join(" OR ");
    match term.is_negated {
        true => format!("NOT coalesce({any}, 0)"),
        false if term.any.len() > 1 => format!("({any})"),
        false => any,
    }
}

fn condition_sql(condition: &TaskCondition) -> String {
    let literal = |text: &str| format!("'{}'", text.to_ascii_lowercase().replace('\'', "''"));
    match condition {
        TaskCondition::Text(of, text, is_whole) => {
            let one = |column: &str| match is_whole {
                true => format!("lower({column}) = {}", literal(text)),
                false => format!("instr(lower({column}), {}) > 0", literal(text)),
            };
            match of {
                TaskText::Name => one("name"),
                TaskText::Location => one("location"),
                TaskText::Fields => one("fields"),
                TaskText::Any => match text.parse::<u64>() {
                    Ok(id) => format!("({} OR {} OR task = {id})", one("name"), one("location")),
                    Err(_) => format!("({} OR {})", one("name"), one("location")),
                },
            }
        }
        TaskCondition::Amount(of, compare, value) => {
            let column = match of {
                TaskAmount::Lifetime => "lifetime",
                TaskAmount::BusyTime => "busy_time",
                TaskAmount::ScheduledTime => "scheduled_time",
                TaskAmount::MaxPollTime => "max_poll_time",
                TaskAmount::Polls => "polls",
                TaskAmount::SlowPolls => "slow_polls",
                TaskAmount::Wakes => "wakes",
                TaskAmount::SelfWakes => "self_wakes",
            };
            format!("{column} {} {value}", compare.as_str())
        }
        TaskCondition::Id(of, id) => {
            let column = match of {
                TaskIdOf::Task => "task",
                TaskIdOf::Parent => "parent",
                TaskIdOf::LastWaker => "last_waker",
                TaskIdOf::Loop => "loop",
            };
            format!("{column} = {id}")
        }
        TaskCondition::Alive | TaskCondition::Idle | TaskCondition::Running => {
            "state = 'alive'".into()
        }
        TaskCondition::Ended => "state = 'ended'".into(),
        TaskCondition::Outcome(outcome) => format!("outcome = '{}'", words::outcome(*outcome)),
        TaskCondition::Kind(kind) => format!("kind = '{}'", words::kind(*kind)),
        TaskCondition::Unwakeable => "unwakeable = 1".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(sql(&parse(text).unwrap()), expected, "{text}");
    }

    #[test]
    fn terms_are_conditions() {
        check("", "");
        check("fetch", "(instr(lower(name), 'fetch') > 0 OR instr(lower(location), 'fetch') > 0)");
        check("name:Fetch", "instr(lower(name), 'fetch') > 0");
        check("name:~Fetch", "instr(lower(name), 'fetch') > 0");
        check("name=Fetch", "lower(name) = 'fetch'");
        check("loc:\"src/my file.rs:4\"", "instr(lower(location), 'src/my file.rs:4') > 0");
        check("loc:src/main.rs:40", "instr(lower(location), 'src/main.rs:40') > 0");
        check(
            "busy>5ms polls<=2k life>=1.5s",
            "busy_time > 5000000\n  AND polls <= 2000\n  AND lifetime >= 1500000000",
        );
        check("state:idle,panicked", "(state = 'alive' OR outcome = 'panicked')");
        check("-state:ended", "NOT coalesce(state = 'ended', 0)");
        check("-kind:blocking,local", "NOT coalesce(kind = 'blocking' OR kind = 'local', 0)");
        check("parent:17 WORST>1m", "parent = 17\n  AND max_poll_time > 60000000000");
        check("name:ÄRZTE", "instr(lower(name), 'Ärzte') > 0");
        check("name:o'clock", "instr(lower(name), 'o''clock') > 0");
        check("slow:0", "slow_polls = 0");
    }

    #[test]
    fn what_looks_like_a_place_or_a_path_is_text() {
        let text = |text: &str| {
            let lower = text.to_lowercase();
            format!("(instr(lower(name), '{lower}') > 0 OR instr(lower(location), '{lower}') > 0)")
        };
        for word in ["src/main.rs:40", "tokio::spawn", "10.0.0.1:8080", "<script>", "a,b"] {
            check(word, &text(word));
        }
        check("\"busy>5ms\"", &text("busy>5ms"));
        check("\"say \\\"x\\\"\"", &text("say \"x\""));
    }

    #[test]
    fn a_filter_can_be_read_piece_by_piece() {
        let text = "name:\"a \\\"b\" loc:x";
        assert_eq!(first_term(text).unwrap(), 12);
        assert_eq!(first_text("\"a \\\"b\" c").unwrap(), ("a \"b".to_owned(), 7));
        assert_eq!(first_text("a\"b c").unwrap(), ("a\"b".to_owned(), 3));
        assert!(first_term("busi>5ms x").is_err());
    }

    #[track_caller]
    fn check_wrong(text: &str, place: (usize, usize), expected: &str) {
        match parse(text) {
            Err(ViewError::Filter { sentence, from, to }) => {
                assert!(sentence.contains(expected), "{sentence}");
                assert_eq!((from, to), place, "{text}: {sentence}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_mistake_has_its_place() {
        check_wrong("alive busi>5ms", (6, 10), "did you mean `busy`?");
        check_wrong("foo:bar", (0, 3), "There are name, loc");
        check_wrong("busy>5", (5, 6), "is no length");
        check_wrong("busy>", (0, 5), "a value is missing after `busy>`");
        check_wrong("polls>many", (6, 10), "is no number");
        check_wrong("name:x -", (7, 8), "should not be");
        check_wrong("name>x", (0, 5), "no more and no less");
        check_wrong("state:alive,ded", (12, 15), "is no state");
        check_wrong("outcome:ended", (8, 13), "is no outcome");
        check_wrong("parent:main", (7, 11), "is no id");
        check_wrong("name:\"x", (5, 7), "not closed");
        // As JavaScript counts: the emoji is two.
        check_wrong("😀 kind:x", (8, 9), "is no kind");
        check_wrong(&"x ".repeat(40), (64, 65), "more than 32 values");
        check_wrong(&format!("loc:{}", "a,".repeat(40)), (68, 69), "more than 32 values");
        check_wrong(&format!("-loc:{}b \"c\"", "a,".repeat(31)), (69, 72), "more than 32 values");
        check_wrong(&"x".repeat(3_000), (0, 3_000), "longer than");
    }
}

//! The parameters of requests, described for people and programs that read `GET /api/v1/openapi.json`.
//!
//! A filter says here what its `parse` takes. A test asks the real routes for every name, word and bound that is
//! said, so that what is said cannot stray from what is done.

/// A filter that says which parameters make it.
pub trait Described {
    /// One for each name that a request may have, in the order in which they are best read.
    fn params() -> Vec<Param>;
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it does, and what holds if it is not given.
    pub about: &'static str,
    /// Which values it takes.
    pub kind: ParamKind,
    /// Whether a request without it is refused.
    pub is_required: bool,
}

/// Which values a parameter takes.
#[derive(Clone, Debug)]
pub enum ParamKind {
    /// Any text.
    Text,
    /// The number of a process.
    Process,
    /// The decimal id of a task, a resource or a location.
    Id,
    /// Decimal nanoseconds since 1970.
    Instant,
    /// `0` or `1`; `0` if not given.
    Flag,
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
        /// What is meant if it is not given, where that is one number.
        default: Option<u64>,
    },
    /// One of a few words.
    Words {
        /// All of them.
        words: Vec<&'static str>,
        /// The one that is meant if it is not given.
        default: Option<&'static str>,
    },
}

/// The process whose data is wanted.
pub fn process() -> Param {
    let about =
        "The process, by its number in `/api/v1/processes`; the one started last if not given.";
    new("process", ParamKind::Process, about)
}

/// A process that has to be named.
pub fn process_named(name: &'static str, about: &'static str) -> Param {
    Param { is_required: true, ..new(name, ParamKind::Process, about) }
}

/// Text.
pub fn text(name: &'static str, about: &'static str) -> Param {
    new(name, ParamKind::Text, about)
}

/// Text without which there is no answer.
pub fn needed_text(name: &'static str, about: &'static str) -> Param {
    Param { is_required: true, ..text(name, about) }
}

/// An id.
pub fn id(name: &'static str, about: &'static str) -> Param {
    new(name, ParamKind::Id, about)
}

/// An id without which there is no answer.
pub fn needed_id(name: &'static str, about: &'static str) -> Param {
    Param { is_required: true, ..id(name, about) }
}

/// An instant.
pub fn instant(name: &'static str, about: &'static str) -> Param {
    new(name, ParamKind::Instant, about)
}

/// An instant without which there is no answer.
pub fn needed_instant(name: &'static str, about: &'static str) -> Param {
    Param { is_required: true, ..instant(name, about) }
}

/// `0` or `1`.
pub fn flag(name: &'static str, about: &'static str) -> Param {
    new(name, ParamKind::Flag, about)
}

/// A number within bounds.
pub fn number(name: &'static str, default: u64, min: u64, max: u64, about: &'static str) -> Param {
    new(name, ParamKind::Number { min, max, default: Some(default) }, about)
}

/// A number within bounds, without which there is no answer.
pub fn needed_number(name: &'static str, min: u64, max: u64, about: &'static str) -> Param {
    let kind = ParamKind::Number { min, max, default: None };
    Param { is_required: true, ..new(name, kind, about) }
}

/// A number within bounds that need not be given.
pub fn optional_number(name: &'static str, min: u64, max: u64, about: &'static str) -> Param {
    new(name, ParamKind::Number { min, max, default: None }, about)
}

/// How many rows come before the first that is wanted.
pub fn offset() -> Param {
    number("offset", 0, 0, i64::MAX as u64, "How many rows to skip.")
}

/// One of a few words, as `Params::one_of` reads them.
pub fn words<T>(
    name: &'static str,
    words: &[(&'static str, T)],
    default: Option<&'static str>,
    about: &'static str,
) -> Param {
    let words = words.iter().map(|(word, _)| *word).collect();
    new(name, ParamKind::Words { words, default }, about)
}

fn new(name: &'static str, kind: ParamKind, about: &'static str) -> Param {
    Param { name, about, kind, is_required: false }
}

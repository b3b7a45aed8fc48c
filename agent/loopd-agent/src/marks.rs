//! Marks: instants that the program finds worth showing on the timeline.

use std::cell::Cell;
use std::fmt::Display;
use std::panic::Location;
use std::time::{Duration, Instant};

use loopd_model::{MarkLevel, RecordKind};

use crate::clock::ticks;
use crate::notes::{self, Fields, Note};
use crate::place;
use crate::record::Record;
use crate::recorder;
use crate::resource::current_task;

/// Marks, and events and spans of tracing, that one thread may record in a second: they are for
/// people to read, and one in each poll would push out everything else. More are counted as lost.
pub(crate) const MAX_PER_SECOND: u32 = 1_000;

thread_local! {
    /// When the running second began, and how many more fit into it.
    static BUDGET: Cell<(Option<Instant>, u32)> = const { Cell::new((None, 0)) };
}

/// Whether this thread may record one more now; if not, it is counted.
pub(crate) fn is_within_budget() -> bool {
    let (since, left) = BUDGET.get();
    let now = Instant::now();
    let is_same = since.is_some_and(|since| now - since < Duration::from_secs(1));
    let (since, left) = if is_same { (since, left) } else { (Some(now), MAX_PER_SECOND) };
    BUDGET.set((since, left.saturating_sub(1)));
    if left == 0 {
        recorder::count_over_limit(RecordKind::Mark);
    }
    left > 0
}

/// Marks this instant, in the task being polled: `loopd_agent::mark("cache warm").record()`.
///
/// A thread can record a thousand marks a second; more are counted as lost. A name is cut at 256
/// bytes. See [`mark!`](crate::mark!) for a shorter form.
#[track_caller]
pub fn mark(name: &str) -> Mark<'_> {
    let is_on = recorder::is_recording();
    Mark { name, message: String::new(), fields: Vec::new(), location: Location::caller(), is_on }
}

/// Made by [`mark`].
#[derive(Debug)]
#[must_use = "nothing is marked before `record`"]
pub struct Mark<'a> {
    name: &'a str,
    message: String,
    fields: Fields,
    location: &'static Location<'static>,
    is_on: bool,
}

impl Mark<'_> {
    /// What there is to say, at most 1024 bytes.
    pub fn message(mut self, message: impl Display) -> Self {
        if self.is_on {
            self.message = message.to_string();
        }
        self
    }

    /// Adds a pair of a key and a value; 32 at most, of 256 bytes each.
    pub fn field(mut self, key: &str, value: impl Display) -> Self {
        if self.is_on && self.fields.len() < notes::MAX_FIELDS {
            self.fields.push((key.to_owned(), value.to_string()));
        }
        self
    }

    /// Records it.
    pub fn record(self) {
        if self.is_on && is_within_budget() {
            recorder::write(&Record::Note(Note::Mark {
                at: ticks(),
                task: current_task(),
                location: place::number(self.location),
                level: MarkLevel::None,
                target: self.name.to_owned(),
                message: self.message,
                fields: self.fields,
            }));
        }
    }
}

/// Marks this instant, in the task being polled.
///
/// ```
/// let (order, items) = (17, 3);
/// loopd_agent::mark!("order paid");
/// loopd_agent::mark!("order paid", order, items = items + 1);
/// ```
#[macro_export]
macro_rules! mark {
    ($name:expr $(, $key:ident $(= $value:expr)?)* $(,)?) => {
        $crate::mark($name)$(.field(stringify!($key), $crate::mark!(@value $key $(= $value)?)))*.record()
    };
    (@value $key:ident) => { &$key };
    (@value $key:ident = $value:expr) => { $value };
}

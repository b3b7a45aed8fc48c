//! What the screen asks for, and what it gets.

use jiff::tz::TimeZone;
use loopd_dashboard::views::findings::Finding;
use loopd_dashboard::views::task::TaskView;
use loopd_dashboard::views::waits::Wait;
use loopd_model::UnixNanos;
use loopd_store::TaskSort;

use super::lines::{ResourceLine, TaskLine};
use crate::commands::time_arg::clock_text;

/// The lists, in the order of their keys in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Tasks,
    Resources,
    Waits,
    Findings,
}

impl View {
    pub(super) const ALL: [Self; 4] = [Self::Tasks, Self::Resources, Self::Waits, Self::Findings];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Resources => "resources",
            Self::Waits => "waits",
            Self::Findings => "findings",
        }
    }

    /// So many of what is listed.
    pub(super) fn counted(self, count: &str) -> String {
        match (count, self.name()) {
            ("1", name) => format!("1 {}", name.trim_end_matches('s')),
            (count, name) => format!("{count} {name}"),
        }
    }

    pub(super) const fn key(self) -> char {
        match self {
            Self::Tasks => 't',
            Self::Resources => 'r',
            Self::Waits => 'w',
            Self::Findings => 'f',
        }
    }
}

/// One thing of which everything is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Task { process: i64, task: u64 },
    Resource { process: i64, resource: u64 },
    Finding { process: i64, rule: String, subject: String },
}

impl Detail {
    /// Whether this is that finding.
    pub(super) fn is_finding(&self, of: &Of<Finding>) -> bool {
        matches!(self, Self::Finding { process, rule, subject }
            if *process == of.process && *rule == of.it.rule && *subject == of.it.subject)
    }
}

/// A question. Two that are equal have the same answer, but for the time that has passed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) view: View,
    pub(super) detail: Option<Detail>,
    /// `None`: now.
    pub(super) at: Option<UnixNanos>,
    /// What is counted is what happened so long before the instant; `None`: all of it.
    pub(super) window: Option<u64>,
    /// Of one program; `None`: of all.
    pub(super) app: Option<String>,
    /// Of these processes and no others, whatever ran at the instant: those that are on the screen that was
    /// stopped.
    pub(super) among: Option<Vec<i64>>,
    /// Terms of the filter that the server can look for.
    pub(super) filter: String,
    /// Whether tasks that ended are listed too.
    pub(super) with_ended: bool,
    pub(super) sort: TaskSort,
    /// Of resources: whether the oldest come first.
    pub(super) is_descending: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// Processes that were looked at, with the names of their programs.
    pub(super) processes: Vec<(i64, String)>,
    /// Programs that were not, because they are too many.
    pub(super) more_apps: usize,
    /// Programs of which nothing came, and why.
    pub(super) failed: Vec<(String, String)>,
    /// Whether any of them runs.
    pub(super) is_live: bool,
    /// Up to when there is data of them.
    pub(super) newest: Option<UnixNanos>,
    /// From when to when there is data of all that the question may be about at other instants.
    pub(super) extent: Option<(UnixNanos, UnixNanos)>,
    pub(super) page: Page,
}

/// Rows of one view, or one thing in full.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Page {
    Tasks(List<TaskLine>),
    Resources(List<ResourceLine>),
    /// With the program of each.
    Waits(List<Of<Wait>>),
    Findings(List<Of<Finding>>),
    Task(Box<TaskView>),
    /// A resource, unless it was not there then, and who waits for it.
    Resource(Option<Box<ResourceLine>>, Vec<Wait>),
    /// A finding, unless it is not found.
    Finding(Option<Box<Of<Finding>>>),
}

/// Rows that were fetched, of so many.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List<T> {
    pub(super) rows: Vec<T>,
    pub(super) total: u64,
    /// Whether there are more than that.
    pub(super) more: bool,
    /// What ended before this was not looked through; `None` if all was.
    pub(super) searched_from: Option<UnixNanos>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), total: 0, more: false, searched_from: None }
    }
}

impl<T> List<T> {
    pub(super) fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.total = self.total.saturating_add(other.total);
        self.more |= other.more;
        self.searched_from = self.searched_from.max(other.searched_from);
    }
}

/// Something of one process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Of<T> {
    pub(super) process: i64,
    pub(super) app: String,
    pub(super) it: T,
}

impl Page {
    /// A list without rows.
    pub(super) fn empty(view: View) -> Self {
        match view {
            View::Tasks => Self::Tasks(List::default()),
            View::Resources => Self::Resources(List::default()),
            View::Waits => Self::Waits(List::default()),
            View::Findings => Self::Findings(List::default()),
        }
    }

    /// Adds the rows of another program to a list.
    pub(super) fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Tasks(list), Self::Tasks(other)) => list.add(other),
            (Self::Resources(list), Self::Resources(other)) => list.add(other),
            (Self::Waits(list), Self::Waits(other)) => list.add(other),
            (Self::Findings(list), Self::Findings(other)) => list.add(other),
            (page, other) => *page = other,
        }
    }

    /// How many rows there are, and of how many.
    pub(super) const fn counts(&self) -> Option<(usize, u64, bool)> {
        match self {
            Self::Tasks(list) => Some((list.rows.len(), list.total, list.more)),
            Self::Resources(list) => Some((list.rows.len(), list.total, list.more)),
            Self::Waits(list) => Some((list.rows.len(), list.total, list.more)),
            Self::Findings(list) => Some((list.rows.len(), list.total, list.more)),
            Self::Task(_) | Self::Resource(..) | Self::Finding(_) => None,
        }
    }

    /// Whether a list has all rows that there are.
    pub(super) fn is_whole(&self) -> bool {
        self.counts().is_none_or(|(fetched, total, more)| fetched as u64 >= total && !more)
    }
}

/// An instant on the clock of this machine.
pub(super) fn clock(at: UnixNanos, zone: &TimeZone) -> String {
    clock_text(at.0, zone)
}

//! One row of each view, as plain values: what the API gives now, and what SQL gives of the past.

use loopd_dashboard::views::marks::fields_text;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::resources::{Resource, State};
use loopd_dashboard::views::tasks::Task;
use loopd_dashboard::views::text::{count_text, duration_text};

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TaskLine {
    pub(super) process: i64,
    pub(super) app: String,
    pub(super) task: u64,
    pub(super) name: Option<String>,
    pub(super) kind: String,
    /// `running`, `scheduled`, `idle`, or how it ended; empty if that is not known.
    pub(super) state: String,
    pub(super) location: Option<String>,
    /// From spawn to the instant or its end; `None` if its spawn was not seen.
    pub(super) total: Option<u64>,
    /// `None` if its polls of that time are not kept, or were never recorded one by one; likewise `polls`.
    pub(super) busy: Option<u64>,
    /// `None` if its wakes are not recorded.
    pub(super) scheduled: Option<u64>,
    /// `None` if that is not known.
    pub(super) idle: Option<u64>,
    pub(super) polls: Option<u64>,
    pub(super) fields: String,
    /// What looks wrong with it, each a sentence.
    pub(super) warnings: Vec<String>,
}

/// So long in its first poll, and a task has never yielded.
const NEVER_YIELDED: u64 = 1_000_000_000;

impl TaskLine {
    /// A task as it is now.
    pub(super) fn now(process: &Process, task: &Task) -> Self {
        let waited = |scheduled| task.lifetime.saturating_sub(task.busy_time + scheduled);
        Self {
            process: process.process,
            app: process.app.clone(),
            task: task.task.0,
            name: task.name.clone(),
            kind: task.kind.clone(),
            state: state(task),
            location: task.location.as_ref().map(ToString::to_string),
            total: Some(task.lifetime),
            busy: Some(task.busy_time),
            scheduled: task.scheduled_time,
            idle: task.scheduled_time.map(waited),
            polls: Some(task.polls),
            fields: fields_text(&task.fields),
            warnings: warnings(task),
        }
    }
}

/// `alive` is what cannot be told from idle; tokio-console's users look for `idle`.
pub(super) fn state(task: &Task) -> String {
    match task.outcome.as_deref() {
        Some("unknown") => "ended".into(),
        Some(outcome) => outcome.to_owned(),
        None if task.state == "alive" => "idle".into(),
        None => task.state.clone(),
    }
}

/// What looks wrong with a task, by the same signs as in tokio-console and by our own.
pub(super) fn warnings(task: &Task) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_async = !matches!(task.kind.as_str(), "blocking" | "block_on");
    if task.unwakeable_at.is_some() {
        warnings.push("it is pending, and nothing is left that could wake it".into());
    }
    if let Some(failed @ ("panicked" | "raised" | "destroyed")) = task.outcome.as_deref() {
        warnings.push(match failed {
            "panicked" => "it panicked".into(),
            "raised" => "it raised an exception".into(),
            _ => "it was destroyed while it was pending".into(),
        });
    }
    if let (Some(own), Some(wakes)) = (task.self_wakes, task.wakes)
        && is_async
        && own.saturating_mul(2) > wakes
    {
        let (own, wakes) = (count_text(own), count_text(wakes));
        warnings.push(format!("it woke itself {own} of {wakes} times"));
    }
    if is_async && task.state == "running" && task.polls <= 1 && task.busy_time >= NEVER_YIELDED {
        warnings.push(format!("it has not yielded for {}", duration_text(task.busy_time)));
    }
    warnings.extend(task.slow_polls.and_then(slow));
    warnings
}

/// The warning about slow polls.
pub(super) fn slow(polls: u64) -> Option<String> {
    (polls > 0).then(|| match polls {
        1 => "1 of its polls was slow".into(),
        n => format!("{} of its polls were slow", count_text(n)),
    })
}

/// A resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ResourceLine {
    pub(super) process: i64,
    pub(super) app: String,
    pub(super) resource: u64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) location: Option<String>,
    /// Who opened it.
    pub(super) task: Option<u64>,
    /// From its opening to the instant or its end.
    pub(super) total: u64,
    /// How it was closed; `None` while it is open.
    pub(super) how: Option<String>,
    pub(super) state: Option<State>,
}

impl ResourceLine {
    /// A resource as it is now.
    pub(super) fn now(process: &Process, resource: &Resource) -> Self {
        let end = resource.closed_at.unwrap_or(process.last_at).0;
        Self {
            process: process.process,
            app: process.app.clone(),
            resource: resource.resource.0,
            kind: resource.kind.clone(),
            name: resource.name.clone(),
            location: resource.location.as_ref().map(ToString::to_string),
            task: resource.task.map(|task| task.0),
            total: end.saturating_sub(resource.opened_at.0).max(0).cast_unsigned(),
            how: resource.how.clone(),
            state: resource.state.clone(),
        }
    }
}

//! Says in a sentence what is wrong with a process. Pure: values in, sentences out.

use loopd_model::DropCause;
use loopd_store::LossRow;

use super::leaks::{LeaksView, ResourceLeak, TaskLeak};
use super::overview::{Headline, HeadlineKind, Level, Verdict};
use super::process::Process;
use super::slow::{Site, SlowView};
use super::tasks::Location;
use super::text::{at_least_text, count_text, duration_text};

/// How many headlines of each sort are worth a reader's time.
const MAX_OF_A_KIND: usize = 3;
/// From this much time in slow polls on, a site is bad rather than worth a look: people notice a
/// second.
const BAD_SLOW_TIME: u64 = 1_000_000_000;

/// What is wrong, worst first; losses come before everything else, because they make every other
/// number a lower bound.
pub(crate) fn headlines(
    process: &Process,
    slow: &SlowView,
    leaks: &LeaksView,
    losses: &[LossRow],
) -> Vec<Headline> {
    let process = process.process;
    let growing_tasks = leaks.tasks.iter().filter(|leak| leak.verdict == "growing");
    let leaking = |leak: &&ResourceLeak| leak.verdict == "growing" || leak.unclosed > 0;
    let resources = leaks.resources.iter().filter(leaking);

    let mut headlines: Vec<_> = loss(process, losses).into_iter().collect();
    headlines.extend(slow.sites.iter().take(MAX_OF_A_KIND).map(|site| slow_site(process, site)));
    headlines.extend(growing_tasks.take(MAX_OF_A_KIND).map(|leak| task_leak(process, leak, leaks)));
    headlines.extend(resources.take(MAX_OF_A_KIND).map(|leak| resource_leak(process, leak)));
    headlines
}

/// One sentence: what was lost if something was, then the worst of each other sort.
pub(crate) fn verdict(process: &Process, headlines: &[Headline]) -> Verdict {
    let is_a = |kind| move |headline: &&Headline| headline.kind == kind;
    let sorts = [
        HeadlineKind::Loss,
        HeadlineKind::Slow,
        HeadlineKind::TaskLeak,
        HeadlineKind::ResourceLeak,
    ];
    let worst = sorts.into_iter().filter_map(|kind| headlines.iter().find(is_a(kind)));
    let worst: Vec<_> = worst.map(|headline| headline.sentence.as_str()).collect();
    let level = level(process, headlines);
    let sentence = match (worst.is_empty(), level) {
        (false, _) => worst.join("; "),
        (true, Level::Incomplete) => {
            "no polls have been recorded yet, so there is nothing to judge".into()
        }
        (true, _) => {
            let slow = duration_text(process.slow_threshold);
            format!("no poll took {slow} or longer, and nothing only grows")
        }
    };
    Verdict { level, sentence }
}

fn level(process: &Process, headlines: &[Headline]) -> Level {
    let any = |test: fn(&Headline) -> bool| headlines.iter().any(test);
    if any(|headline| headline.kind == HeadlineKind::Loss)
        || (process.polls == 0 && headlines.is_empty())
    {
        Level::Incomplete
    } else if any(|headline| match headline.kind {
        HeadlineKind::Slow => headline.weight_ns >= Some(BAD_SLOW_TIME),
        HeadlineKind::TaskLeak | HeadlineKind::ResourceLeak => true,
        HeadlineKind::Loss => false,
    }) {
        Level::Bad
    } else if headlines.is_empty() {
        Level::Ok
    } else {
        Level::Warn
    }
}

fn loss(process: i64, losses: &[LossRow]) -> Option<Headline> {
    let count = losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count));
    let most = losses.iter().max_by_key(|loss| loss.count)?;
    let sentence = if count > 0 {
        let kind = most.kind.map_or("record", loopd_model::RecordKind::as_str);
        format!(
            "capture incomplete: {} {} lost, mostly {kind}s ({}), so all counts are lower bounds",
            count_text(count),
            if count == 1 { "record was" } else { "records were" },
            cause(most.cause),
        )
    } else {
        format!("capture incomplete: {}, so some of its data is missing", cause(most.cause))
    };
    Some(Headline {
        kind: HeadlineKind::Loss,
        sentence,
        location: String::new(),
        href: format!("/sources?process={process}"),
        weight_ns: None,
        count,
    })
}

/// What happened, as a clause.
const fn cause(cause: DropCause) -> &'static str {
    match cause {
        DropCause::RingFull => "a thread recorded faster than could be sent",
        DropCause::NoRing => "the agent had no buffer left for another thread",
        DropCause::WindowEvicted => "the collector was away for too long",
        DropCause::AgentLimit => "a limit of the agent was reached",
        DropCause::ShutdownDeadline => "the process ended before everything was sent",
        DropCause::Malformed => "the collector could not read it",
        DropCause::StorageFull => "the collector's disk was full",
        DropCause::StoreRollback => "the database was replaced meanwhile",
        DropCause::UnknownTail => "the process went away without a goodbye",
    }
}

fn slow_site(process: i64, site: &Site) -> Headline {
    let place = match (site.by.as_str(), site.location.as_str()) {
        (_, "") => "something".into(),
        ("stack", location) => format!("`{location}`"),
        // Without a stack the line that blocked is not known, only where the task came from.
        (_, location) => format!("a task spawned at `{location}`"),
    };
    let polls = if site.polls == 1 { "poll" } else { "polls" };
    Headline {
        kind: HeadlineKind::Slow,
        sentence: format!(
            "{place} blocked a worker for {} in {} {polls}",
            duration_text(site.total_time),
            count_text(site.polls),
        ),
        location: site.location.clone(),
        href: format!("/slow?process={process}"),
        weight_ns: Some(site.total_time),
        count: site.polls,
    }
}

fn task_leak(process: i64, leak: &TaskLeak, leaks: &LeaksView) -> Headline {
    let location = location_text(leak.location.as_ref());
    // "Never" is claimed only where an end could not have been missed.
    let fate = if leaks.complete { "never ended" } else { "have not been seen to end" };
    Headline {
        kind: HeadlineKind::TaskLeak,
        sentence: format!(
            "{} tasks spawned at `{location}` {fate} ({:+.1} per minute)",
            at_least_text(leak.alive, leak.more),
            leak.growth_per_min,
        ),
        location,
        href: format!("/leaks?process={process}"),
        weight_ns: None,
        count: leak.alive,
    }
}

fn resource_leak(process: i64, leak: &ResourceLeak) -> Headline {
    let location = location_text(leak.location.as_ref());
    let sentence = if leak.verdict == "growing" {
        format!(
            "{} opened at `{location}` are open ({:+.1} per minute)",
            things(leak.open, leak.more, &leak.kind),
            leak.growth_per_min,
        )
    } else {
        format!(
            "{} opened at `{location}` {} dropped without being closed",
            things(leak.unclosed, false, &leak.kind),
            if leak.unclosed == 1 { "was" } else { "were" },
        )
    };
    Headline {
        kind: HeadlineKind::ResourceLeak,
        sentence,
        location,
        href: format!("/leaks?process={process}"),
        weight_ns: None,
        count: leak.open.max(leak.unclosed),
    }
}

/// `1 socket`, `2 sockets`.
fn things(count: u64, more: bool, kind: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {kind}{plural}", at_least_text(count, more))
}

fn location_text(location: Option<&Location>) -> String {
    location.map_or_else(|| "an unknown place".into(), ToString::to_string)
}

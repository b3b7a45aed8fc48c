//! Records were lost: every other number is a lower bound. Always the first finding.

use loopd_model::{DropCause, RecordKind};

use crate::findings::{Facts, Finding, Level, Link, Lost, Rule, Verdict};
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "capture_incomplete", title: "Records that were lost", check };

fn check(facts: &Facts) -> Verdict {
    let Some(worst) = facts.losses.iter().max_by_key(|lost| (lost.count, lost.from)) else {
        return Verdict::Ok;
    };
    let count = facts.losses.iter().fold(0u64, |sum, lost| sum.saturating_add(lost.count));
    let title = match count {
        0 => format!("capture incomplete: {}, so some of its data is missing", cause(worst.cause)),
        _ => format!(
            "capture incomplete: {} {} lost, mostly {}s ({}), so all counts are lower bounds",
            count_text(count),
            if count == 1 { "record was" } else { "records were" },
            kind(worst),
            cause(worst.cause),
        ),
    };
    let first = facts.losses.iter().map(|lost| lost.from).min().unwrap_or(facts.from);
    let last = facts.losses.iter().map(|lost| lost.to).max().unwrap_or(facts.to);
    let mut finding = Finding::new(RULE.id, "capture", Level::Info)
        .title(title)
        .seen(count.max(1), first, last)
        .advice(
            "What was lost cannot be looked at. Where an end, a close or a wake may be among it, \
             nothing is said to have never come.",
            fix(worst.cause),
        );
    for lost in &facts.losses {
        if finding.evidence.len() == MAX_EVIDENCE {
            break;
        }
        let text = match lost.count {
            0 => format!("some {}s: {}", kind(lost), cause(lost.cause)),
            n => format!("{} {}s: {}", count_text(n), kind(lost), cause(lost.cause)),
        };
        finding = finding.proof(text, Some(Link::At(lost.from)));
    }
    Verdict::Found(vec![
        finding.proof("the books of every kind of record", Some(Link::Page("sources"))),
    ])
}

/// More losses than these say the same.
const MAX_EVIDENCE: usize = 5;

fn kind(lost: &Lost) -> &'static str {
    lost.kind.map_or("record", RecordKind::as_str)
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

const fn fix(cause: DropCause) -> &'static str {
    match cause {
        DropCause::RingFull | DropCause::NoRing | DropCause::AgentLimit => {
            "Give the agent more memory (`LOOPD_MEMORY_LIMIT`), or have it record less: `loopd capture`."
        }
        DropCause::WindowEvicted => {
            "Keep the collector near and running; more memory for the agent (`LOOPD_MEMORY_LIMIT`) \
             bridges longer gaps."
        }
        DropCause::ShutdownDeadline => {
            "Let the agent's `shutdown` have its time before the process ends."
        }
        DropCause::Malformed => "Use the same version of agent and loopd.",
        DropCause::StorageFull => "Free disk space, or lower what is kept (`loopd serve --help`).",
        DropCause::StoreRollback => "Nothing: what the older copy has not is gone.",
        DropCause::UnknownTail => {
            "See why it went: a crash, `kill -9`, or the machine. Everything up to its last batch is \
             here."
        }
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::check;

    fn lost(kind: Option<RecordKind>, cause: DropCause, count: u64) -> Lost {
        Lost { kind, cause, count, from: UnixNanos(1), to: UnixNanos(2) }
    }

    #[test]
    fn what_was_lost_most_is_named() {
        let losses = vec![
            lost(Some(RecordKind::Poll), DropCause::RingFull, 7),
            lost(Some(RecordKind::Task), DropCause::AgentLimit, 1_200),
        ];
        check(
            &RULE,
            &Facts { losses, ..Facts::default() },
            &[
                "info capture: capture incomplete: 1,207 records were lost, mostly tasks (a limit of the agent was reached), so all counts are lower bounds",
            ],
        );
    }

    #[test]
    fn a_loss_that_nobody_could_count_is_one_too() {
        let losses = vec![lost(None, DropCause::UnknownTail, 0)];
        check(
            &RULE,
            &Facts { losses, ..Facts::default() },
            &[
                "info capture: capture incomplete: the process went away without a goodbye, so some of its data is missing",
            ],
        );
        check(&RULE, &Facts::default(), &["ok"]);
    }
}

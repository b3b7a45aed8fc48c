//! One finding for each subject of a rule: whoever mutes one, or looks for it in the next run, knows it by
//! these two.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::finding::{Finding, Level, score_of};
use crate::text::count_text;

/// So many of those that are added to another are told with it.
const MAX_TOLD: usize = 3;

/// Puts those together that are about the same: the worst stays, with the occurrences and the harm of all,
/// and names some of the others.
pub(super) fn by_subject(findings: Vec<Finding>) -> Vec<Finding> {
    let mut groups: BTreeMap<(&'static str, String), Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        groups.entry((finding.rule, finding.subject.clone())).or_default().push(finding);
    }
    groups.into_values().filter_map(merge).collect()
}

fn merge(mut group: Vec<Finding>) -> Option<Finding> {
    group.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.title.cmp(&b.title)));
    let mut group = group.into_iter();
    let mut worst = group.next()?;
    let left_out = group.len().saturating_sub(MAX_TOLD);
    for (i, other) in group.enumerate() {
        worst.occurrences = worst.occurrences.saturating_add(other.occurrences);
        worst.first_seen_at = worst.first_seen_at.min(other.first_seen_at);
        worst.last_seen_at = worst.last_seen_at.max(other.last_seen_at);
        // What is only worth knowing makes nothing worse.
        if other.level == worst.level {
            worst.harm = worst.harm.saturating_add(other.harm);
            worst.confidence = worst.confidence.max(other.confidence);
        }
        if i < MAX_TOLD {
            let link = other.evidence.iter().find_map(|it| it.link);
            worst = worst.proof(format!("also: {}", other.title), link);
        }
    }
    if worst.level > Level::Info {
        worst.score = worst.score.max(score_of(worst.harm));
    }
    if left_out > 0 {
        worst = worst.proof(format!("and {} more like it", count_text(left_out as u64)), None);
    }
    Some(worst)
}

/// What is worse has a higher one.
fn rank(finding: &Finding) -> (Level, u8, u64, Reverse<loopd_model::UnixNanos>) {
    (finding.level, finding.score, finding.harm, Reverse(finding.first_seen_at))
}

#[cfg(test)]
mod tests {
    use loopd_model::{ResourceId, UnixNanos};

    use super::*;
    use crate::findings::Link;

    fn found(subject: &str, level: Level, harm_s: u64) -> Finding {
        Finding::new("lock_convoy", subject, level)
            .harm(harm_s * 1_000_000_000)
            .seen(2, UnixNanos(harm_s.cast_signed()), UnixNanos(90 + harm_s.cast_signed()))
            .title(format!("{harm_s} s"))
            .proof("measured", Some(Link::Resource(ResourceId(harm_s))))
    }

    #[test]
    fn the_worst_of_a_subject_stays_with_what_all_did() {
        let merged = by_subject(vec![
            found("b.rs:1", Level::Warning, 1),
            found("a.rs:1", Level::Warning, 10),
            found("a.rs:1", Level::Info, 500),
            found("a.rs:1", Level::Warning, 90),
        ]);
        let subjects: Vec<_> = merged.iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(subjects, ["a.rs:1", "b.rs:1"]);
        let worst = &merged[0];
        assert_eq!((worst.level, worst.title.as_str()), (Level::Warning, "90 s"));
        assert_eq!((worst.occurrences, worst.harm, worst.score), (6, 100_000_000_000, 83));
        assert_eq!((worst.first_seen_at, worst.last_seen_at), (UnixNanos(10), UnixNanos(590)));
        let told: Vec<_> = worst.evidence.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(told, ["measured", "also: 10 s", "also: 500 s"]);
        assert_eq!(worst.evidence[1].link, Some(Link::Resource(ResourceId(10))));
        assert_eq!(merged[1], found("b.rs:1", Level::Warning, 1));
    }

    #[test]
    fn of_many_some_are_told_and_the_others_counted() {
        let merged = by_subject((1..=9).map(|i| found("a.rs:1", Level::Warning, i)).collect());
        assert_eq!(merged.len(), 1);
        let told: Vec<_> = merged[0].evidence.iter().map(|it| it.text.as_str()).collect();
        let expected = ["measured", "also: 8 s", "also: 7 s", "also: 6 s", "and 5 more like it"];
        assert_eq!(told, expected);
    }
}

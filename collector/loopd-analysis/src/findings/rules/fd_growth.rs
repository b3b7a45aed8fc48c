//! File descriptors become more, towards the limit of the process.

use super::kinds::is_of_the_system;
use super::{trend, waiting};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, ThingPopulation, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "fd_growth", title: "File descriptors that become more", check };

/// A pool, a cache or a start opens as many.
const MIN_GROWTH: f64 = 32.0;
/// From this share of the limit on there is little time left.
const NEAR: f64 = 0.5;
/// From here on the next burst fails.
const AT_THE_LIMIT: f64 = 0.9;
/// Sooner than this, at the rate of the range, the limit is reached.
const SOON: f64 = 3_600.0;
/// What was seen for some time says nothing of what comes later than so many times that.
const MAX_AHEAD: f64 = 10.0;

fn check(facts: &Facts) -> Verdict {
    let own = |name| facts.metric(name).iter().find(|series| series.worker.is_none());
    let Some(open) = own("open_fds") else {
        return match facts.missing("metrics") {
            Some(missing) => Verdict::Needs(missing),
            None => Verdict::Needs("the metric `open_fds`, which is told on Linux only".into()),
        };
    };
    let limit = own("max_fds").and_then(|series| series.last());
    let rise = trend::rise(&open.values).filter(|rise| *rise >= MIN_GROWTH);
    let (Some(rise), Some(now)) = (rise, open.last()) else { return Verdict::Ok };
    Verdict::of(vec![finding(facts, now, rise, limit)])
}

fn finding(facts: &Facts, now: f64, rise: f64, limit: Option<f64>) -> Finding {
    let per_second = rise / (facts.length() as f64 / 1e9);
    let ahead = MAX_AHEAD * facts.length() as f64 / 1e9;
    let left = limit.map(|limit| (limit - now).max(0.0) / per_second);
    let is_foreseen = left.is_some_and(|left| left <= ahead);
    let share = limit.map_or(0.0, |limit| now / limit.max(1.0));
    let too_short = trend::too_short(facts.length());
    let level = match share {
        AT_THE_LIMIT.. => Level::Error,
        _ if too_short.is_some() => Level::Info,
        _ if share >= NEAR || is_foreseen && left.is_some_and(|left| left < SOON) => Level::Warning,
        _ => Level::Info,
    };
    let of = limit.map_or_else(String::new, |limit| format!(" of {}", count_text(limit as u64)));
    let mut finding = Finding::new(RULE.id, "open_fds", level)
        .confidence(Confidence::Likely)
        .at_least((share * 100.0).clamp(0.0, 100.0) as u8)
        .seen(now as u64, facts.from, facts.to)
        .title(format!(
            "{}{of} file descriptors are open, and they became more all the time ({:+.1} per minute)",
            count_text(now as u64),
            per_second * 60.0,
        ))
        .advice(
            "At the limit nothing can be opened any more: no file, no connection, no accept.",
            fix(facts.runtime),
        );
    let text = |seconds: f64| duration_text((seconds * 1e9).min(1e18) as u64);
    finding = finding.proof(
        match left {
            Some(left) if is_foreseen => {
                format!("at this rate the limit is reached in {}", text(left))
            }
            Some(_) => format!("at this rate the limit is not reached within {}", text(ahead)),
            None => "the limit is not known".to_owned(),
        },
        None,
    );
    if let Some(text) = too_short {
        finding = finding.proof(text, None);
    }
    let mut sites: Vec<&ThingPopulation> =
        facts.resources.iter().filter(|site| is_of_the_system(&site.kind)).collect();
    sites.sort_by_key(|site| std::cmp::Reverse(site.opened.saturating_sub(site.closed)));
    for site in sites.iter().filter(|site| site.opened > site.closed).take(3) {
        let text = format!(
            "{} more of kind `{}` opened {}",
            count_text(site.opened - site.closed),
            site.kind,
            waiting::at(site.location.as_deref()),
        );
        finding = finding.proof(text, Some(Link::Page("leaks")));
    }
    if let Some(missing) = facts.missing("fds") {
        let text = format!("which files and sockets these are would be told by {missing}");
        finding = finding.proof(text, Some(Link::Page("sources")));
    }
    finding
}

const fn fix(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio | Runtime::EventLoop => {
            "See what stays open with `loopd leaks`; drop sockets with their task, and give idle \
             connections a timeout."
        }
        Runtime::Asyncio => {
            "See what stays open with `loopd leaks`; close writers and sessions in a `finally`, and give \
             idle connections a timeout."
        }
        Runtime::Unknown => "See what stays open with `loopd leaks`.",
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::Series;
    use crate::findings::rules::tests::check;

    /// In ten minutes.
    fn facts(limit: f64, open: impl Fn(u32) -> u32) -> Facts {
        let series = |values| vec![Series { values, ..Series::default() }];
        let open = (0..60).map(|i| Some(f64::from(open(i)))).collect();
        Facts {
            to: UnixNanos(600_000_000_000),
            metrics: [
                ("open_fds".to_owned(), series(open)),
                ("max_fds".to_owned(), series(vec![Some(limit); 60])),
            ]
            .into(),
            ..Facts::default()
        }
    }

    #[test]
    fn what_grows_towards_the_limit_is_found() {
        check(
            &RULE,
            &facts(1_024.0, |i| 20 + i * 4),
            &[
                "warning open_fds: 256 of 1,024 file descriptors are open, and they became more all the time (+23.6 per minute)",
            ],
        );
        check(
            &RULE,
            &facts(1_024.0, |i| 20 + i * 17),
            &[
                "error open_fds: 1,023 of 1,024 file descriptors are open, and they became more all the time (+100.3 per minute)",
            ],
        );
    }

    #[test]
    fn of_seconds_nothing_is_said_of_the_hours_after_them() {
        let told = |seconds: i64, limit: f64| {
            let mut facts = facts(limit, |i| 20 + i * 4);
            facts.to = UnixNanos(seconds * 1_000_000_000);
            let Verdict::Found(found) = (RULE.check)(&facts) else { panic!() };
            let proof: Vec<_> = found[0].evidence.iter().map(|it| it.text.clone()).collect();
            (found[0].level, proof[..proof.len() - 1].join("; "))
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(
            told(10, 4_096.0),
            (Level::Info, text("at this rate the limit is not reached within 1 min 40 s"))
        );
        assert_eq!(
            told(10, 1_024.0),
            (Level::Warning, text("at this rate the limit is reached in 32.5 s"))
        );
        assert_eq!(
            told(8, 1_024.0),
            (
                Level::Info,
                text("at this rate the limit is reached in 26.0 s; seen for 8.00 s only")
            )
        );
    }

    #[test]
    fn far_from_the_limit_it_is_only_worth_knowing() {
        check(
            &RULE,
            &facts(1_048_576.0, |i| 20 + i * 4),
            &[
                "info open_fds: 256 of 1,048,576 file descriptors are open, and they became more all the time (+23.6 per minute)",
            ],
        );
    }

    #[test]
    fn a_full_pool_and_coming_and_going_are_none() {
        check(&RULE, &facts(1_024.0, |i| 20 + (i * 30).min(800)), &["ok"]);
        check(&RULE, &facts(1_024.0, |i| 900 + i % 9), &["ok"]);
        check(&RULE, &facts(1_024.0, |i| 20 + i / 4), &["ok"]);
        check(&RULE, &facts(1_024.0, |i| 20 + (i % 15) * 40), &["ok"]);
    }

    #[test]
    fn without_the_metric_nothing_is_known() {
        check(
            &RULE,
            &Facts::default(),
            &["needs the layer `metrics`, which this process does not record"],
        );
    }
}

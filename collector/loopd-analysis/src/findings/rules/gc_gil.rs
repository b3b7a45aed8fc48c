//! Python's collector of garbage and its interpreter lock keep the loop from running.

use crate::findings::load::{self, LATE};
use crate::findings::{Confidence, Facts, Finding, Level, Link, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::text::{count_text, duration_text};

pub(in crate::findings) const RULE: Rule =
    Rule { id: "gc_gil", title: "Pauses of garbage collection and waits for the GIL", check };

/// Of the range, the time in collections that is worth a word.
const GC_NOTABLE: f64 = 0.02;
/// From here on it is wrong.
const GC_LONG: f64 = 0.05;
/// Python hands the lock on after 5 ms of computing (`sys.getswitchinterval()`). A wait of about that is one
/// busy thread, such as the loop's; a longer one is several, or code that does not let go.
const GIL_NOTABLE: f64 = 8e6;
/// So long the lock is kept only by several threads that compute, or by an extension that never lets go.
const GIL_LONG: f64 = 20e6;
/// Of fewer probes nothing is concluded.
const MIN_PROBES: f64 = 20.0;

fn check(facts: &Facts) -> Verdict {
    if facts.runtime != Runtime::Asyncio {
        return Verdict::NotApplicable("there is no Python in it");
    }
    // Both are told from when they are first more than nothing.
    Verdict::of(gc(facts).into_iter().chain(gil(facts)).collect())
}

fn gc(facts: &Facts) -> Option<Finding> {
    let time = facts.rise("gc_pause_nanos")?;
    let share = time / facts.length() as f64;
    if share < GC_NOTABLE {
        return None;
    }
    let level = if share >= GC_LONG { Level::Warning } else { Level::Info };
    let count = facts.rise("gc_collections").unwrap_or(0.0);
    let title = format!(
        "garbage collection stopped the program for {} ({:.0} % of the time)",
        duration_text(time as u64),
        share * 100.0,
    );
    Some(
        Finding::new(RULE.id, "garbage collection", level)
            .harm(if level == Level::Warning { time as u64 } else { 0 })
            .title(title)
            .seen((count as u64).max(1), facts.from, facts.to)
            .proof(
                format!(
                    "{} collections, of {} on average",
                    count_text(count as u64),
                    duration_text((time / count.max(1.0)) as u64),
                ),
                Some(Link::At(facts.from)),
            )
            .advice(
                "A collection runs in the middle of whatever made the last object, looks at all objects \
                 of its generation, and nothing else runs meanwhile.",
                "Call `gc.freeze()` after start-up, so that what stays is not looked at again; raise the \
                 thresholds; and make fewer objects that refer to each other in cycles.",
            )
            .snippet(Some(Snippet {
                language: "python",
                code: "gc.collect()\n\
                       gc.freeze()  # what was loaded until now stays, and is not looked at any more\n\
                       gc.set_threshold(50_000, 20, 100)",
            })),
    )
}

fn gil(facts: &Facts) -> Option<Finding> {
    let (waited, probes) = (facts.rise("gil_wait_nanos")?, facts.rise("gil_probes")?);
    let wait = waited / probes.max(1.0);
    if probes < MIN_PROBES || wait < GIL_NOTABLE {
        return None;
    }
    let is_noticed = load::wake_delay(facts).is_some_and(|delay| delay >= LATE);
    let is_wrong = wait >= GIL_LONG && is_noticed;
    let level = if is_wrong { Level::Warning } else { Level::Info };
    let title = format!(
        "a thread that asks for the GIL waits {} for it on average",
        duration_text(wait as u64),
    );
    Some(
        Finding::new(RULE.id, "GIL", level)
            .harm(if is_wrong { waited as u64 } else { 0 })
            .confidence(Confidence::Likely)
            .title(title)
            .seen(probes as u64, facts.from, facts.to)
            .proof(
                format!(
                    "{} probes waited {} in all",
                    count_text(probes as u64),
                    duration_text(waited as u64),
                ),
                None,
            )
            .proof("what the loop was in meanwhile, as far as it was slow", Some(Link::Page("slow")))
            .advice(
                "Only one thread runs Python at a time. Threads that compute take turns with the loop, \
                 which waits for the lock each time that it has slept.",
                "Move what computes from threads to processes (`ProcessPoolExecutor`); in extensions, \
                 release the lock around what takes long.",
            )
            .snippet(Some(Snippet {
                language: "python",
                code: "total = await loop.run_in_executor(process_pool, add_up, orders)",
            })),
    )
}

#[cfg(test)]
mod tests {
    use loopd_model::UnixNanos;

    use super::*;
    use crate::findings::rules::tests::{MS, check, counter, site};

    /// A minute with these readings, in seconds, of 600 probes.
    fn facts(gc: f64, gil: f64, delay: u64) -> Facts {
        let metrics = [
            counter("gc_pause_nanos", gc * 1e9),
            counter("gc_collections", 100.0),
            counter("gil_wait_nanos", gil * 1e9),
            counter("gil_probes", 600.0),
        ];
        Facts {
            to: UnixNanos(60_000 * MS as i64),
            runtime: Runtime::Asyncio,
            metrics: metrics.into(),
            sites: vec![site("shop/app.py:8", &[(900, MS)], &[(900, delay)])],
            ..Facts::default()
        }
    }

    #[test]
    fn a_collector_that_takes_a_share_of_the_time_is_told() {
        let title = "garbage collection: garbage collection stopped the program for";
        check(
            &RULE,
            &facts(6.0, 0.1, MS),
            &[&format!("warning {title} 6.00 s (10 % of the time)")],
        );
        check(&RULE, &facts(1.8, 0.1, MS), &[&format!("info {title} 1.80 s (3 % of the time)")]);
        check(&RULE, &facts(0.3, 0.1, MS), &["ok"]);
    }

    #[test]
    fn a_lock_that_is_kept_for_long_is_told() {
        check(
            &RULE,
            &facts(0.0, 18.0, 40 * MS),
            &["warning GIL: a thread that asks for the GIL waits 30.0 ms for it on average"],
        );
    }

    #[test]
    fn a_thread_that_computes_beside_a_loop_that_keeps_up_is_worth_knowing_only() {
        check(&RULE, &facts(0.0, 3.0, 40 * MS), &["ok"]);
        check(
            &RULE,
            &facts(0.0, 18.0, MS),
            &["info GIL: a thread that asks for the GIL waits 30.0 ms for it on average"],
        );
    }

    #[test]
    fn there_is_none_in_rust() {
        let rust = Facts { runtime: Runtime::Tokio, ..facts(6.0, 18.0, MS) };
        check(&RULE, &rust, &["not applicable: there is no Python in it"]);
    }
}

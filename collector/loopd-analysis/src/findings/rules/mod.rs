//! The registry: one rule a file.

use super::Rule;

mod agent_overhead;
mod await_without_timeout;
mod blocking_call;
mod blocking_pool_saturated;
mod busy_poll;
mod cancellation_ignored;
mod capture_incomplete;
mod channel_full;
mod channel_growing;
mod complaints;
mod cpu_bound_poll;
mod deadlock;
mod descheduled;
mod fd_growth;
mod gc_gil;
mod idle_workers;
mod kinds;
mod large_future;
mod late_timers;
mod lock_across_await;
mod lock_convoy;
mod loop_saturated;
mod lost_waker;
mod memory_wait;
mod never_yields;
mod panicked;
mod permits_exhausted;
mod regression;
mod resource_leak;
mod resource_outlives_loop;
mod serial_awaits;
mod spawn_storm;
mod starvation;
mod task_leak;
mod trend;
mod two_loops_in_one_thread;
mod unclosed_loop;
mod unclosed_resource;
mod waiting;

pub(super) const CAPTURE_INCOMPLETE: &str = capture_incomplete::RULE.id;

/// Every rule, roughly from what harms at once to what is worth knowing.
pub(super) const ALL: &[Rule] = &[
    capture_incomplete::RULE,
    deadlock::RULE,
    never_yields::RULE,
    blocking_call::RULE,
    memory_wait::RULE,
    cpu_bound_poll::RULE,
    lost_waker::RULE,
    panicked::RULE,
    complaints::RULE,
    lock_across_await::RULE,
    lock_convoy::RULE,
    permits_exhausted::RULE,
    channel_full::RULE,
    channel_growing::RULE,
    await_without_timeout::RULE,
    starvation::RULE,
    late_timers::RULE,
    loop_saturated::RULE,
    idle_workers::RULE,
    blocking_pool_saturated::RULE,
    descheduled::RULE,
    gc_gil::RULE,
    busy_poll::RULE,
    task_leak::RULE,
    resource_leak::RULE,
    unclosed_resource::RULE,
    fd_growth::RULE,
    resource_outlives_loop::RULE,
    unclosed_loop::RULE,
    two_loops_in_one_thread::RULE,
    cancellation_ignored::RULE,
    serial_awaits::RULE,
    spawn_storm::RULE,
    regression::RULE,
    large_future::RULE,
    agent_overhead::RULE,
];

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use loopd_model::{Coverage, CoverageState, Frame, LoopId, Running, TaskId, UnixNanos};

    use super::*;
    use crate::findings::{Facts, Level, Series, SlowPoll, SpawnSite, Verdict, Victims, analyse};
    use crate::runtime::Runtime;
    use crate::slow;

    /// A millisecond.
    pub(in crate::findings) const MS: u64 = 1_000_000;

    /// Every layer records.
    pub(in crate::findings) fn covered() -> Vec<Coverage> {
        let layers = [
            "hooks",
            "wrapped",
            "schedule_latency",
            "watchdog",
            "metrics",
            "tracing",
            "guards",
            "steps",
            "callbacks",
            "waits",
            "stacks",
        ];
        let on = |layer: &str| Coverage {
            layer: layer.to_owned(),
            state: CoverageState::On,
            reason: String::new(),
        };
        layers.map(on).into()
    }

    /// A slow poll of a task spawned at `shop/src/main.rs:9`, with stacks at `shop/src/pay.rs:7`.
    pub(in crate::findings) fn slow_poll(
        length: u64,
        samples: &[Running],
        victims: Option<Victims>,
    ) -> SlowPoll {
        let frame = |function: &str, file: &str, line| Frame {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
            address: 0,
        };
        let frames: Arc<[Frame]> = Arc::new([
            frame("clock_nanosleep", "", 0),
            frame("shop::pay", "/home/u/shop/src/pay.rs", 7),
        ]);
        let sample = |&running: &Running| slow::Sample {
            frames: frames.clone(),
            running,
            syscall: if running == Running::OffCpu { "clock_nanosleep" } else { "" }.to_owned(),
            wchan: String::new(),
        };
        let poll = slow::SlowPoll {
            length,
            samples: samples.iter().map(sample).collect(),
            spawn_location: Some("shop/src/main.rs:9".to_owned()),
            is_event_loop: false,
        };
        SlowPoll { poll, has_ended: true, task: TaskId(5), victims, ..SlowPoll::default() }
    }

    /// A spawn location with so many polls of a length, and so many wakes of a delay.
    pub(in crate::findings) fn site(
        location: &str,
        polls: &[(u64, u64)],
        delays: &[(u64, u64)],
    ) -> SpawnSite {
        let mut site = SpawnSite { location: Some(location.to_owned()), ..SpawnSite::default() };
        for &(count, length) in polls {
            (0..count).for_each(|_| site.cell.add_poll(length));
        }
        for &(count, delay) in delays {
            (0..count).for_each(|_| site.cell.add_wake(delay, 1));
        }
        site
    }

    fn series(value: impl Fn(usize) -> f64) -> Series {
        let values = (0..Facts::POINTS).map(|step| Some(value(step))).collect();
        Series { loop_id: LoopId(1), worker: None, values }
    }

    /// A worker of loop 1 that is busy for this share of a minute.
    pub(in crate::findings) fn busy(share: f64) -> Series {
        series(|step| share * step as f64 * 1e9)
    }

    /// A reading at each step.
    pub(in crate::findings) fn gauge(
        name: &str,
        value: impl Fn(usize) -> f64,
    ) -> (String, Vec<Series>) {
        (name.to_owned(), vec![series(value)])
    }

    /// A counter that rises by so much over the range.
    pub(in crate::findings) fn counter(name: &str, rise: f64) -> (String, Vec<Series>) {
        gauge(name, |step| 7.0 + rise * step as f64 / (Facts::POINTS - 1) as f64)
    }

    /// Whether there is a number in it by itself: no run gives the same thing the same one.
    fn names_an_id(subject: &str) -> bool {
        subject.split_whitespace().any(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// What a rule says of these facts: a line for each finding, the most harmful first, or the state and
    /// its reason. Each finding must be told in full.
    #[track_caller]
    pub(in crate::findings) fn check(rule: &Rule, facts: &Facts, expected: &[&str]) {
        let found = match (rule.check)(facts) {
            Verdict::Found(findings) => {
                let mut subjects: Vec<_> =
                    findings.iter().map(|it| (it.rule, it.subject.as_str())).collect();
                subjects.sort_unstable();
                assert!(subjects.windows(2).all(|pair| pair[0] != pair[1]), "{subjects:?}");
                for it in &findings {
                    assert!(!names_an_id(&it.subject), "not the same in the next run: {it:?}");
                    // Each of asyncio's own checks is told by its own name.
                    let is_named = it.rule == rule.id || rule.id == complaints::RULE.id;
                    assert!(is_named, "{it:?}");
                    assert!(!it.evidence.is_empty(), "nothing proves it: {it:?}");
                    assert!(it.why.ends_with('.') && it.fix.ends_with('.'), "{it:?}");
                    assert!(!it.title.ends_with('.') && !it.subject.is_empty(), "{it:?}");
                }
                let line = |it: &crate::findings::Finding| {
                    format!("{} {}: {}", it.level.as_str(), it.subject, it.title)
                };
                findings.iter().map(line).collect()
            }
            Verdict::Ok => vec!["ok".to_owned()],
            Verdict::NotApplicable(reason) => vec![format!("not applicable: {reason}")],
            Verdict::Needs(what) => vec![format!("needs {what}")],
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn subjects_that_name_ids_are_known_as_such() {
        for (subject, expected) in [
            ("task 12 → task 15", true),
            ("loop 3", true),
            ("blocking pool of loop 1", true),
            ("mutex 41", true),
            ("mutex stock", false),
            ("a.rs:3 mutex", false),
            ("lock mutex", false),
            ("loop main", false),
        ] {
            assert_eq!(names_an_id(subject), expected, "{subject}");
        }
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let mut names: Vec<_> = ALL.iter().map(|rule| rule.id).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn of_nothing_nothing_is_found() {
        let analysis = analyse(&Facts::default());
        assert_eq!(analysis.findings, []);
        assert_eq!(analysis.rules.len(), ALL.len());
    }

    /// A minute of a server: it had a burst of tasks that waited for each other, computes on threads of
    /// its pool that crowd the processors, had one short outlier, and one slow poll that nobody waited for.
    #[test]
    fn of_a_healthy_program_nothing_is_wrong() {
        let mut burst = site("shop/src/import.rs:9", &[(20_000, 9_000)], &[(20_000, 80 * MS)]);
        burst.cell.spawned = 20_000;
        let nobody = Some(Victims::default());
        let outlier = slow_poll(120 * MS, &[], None);
        let facts = Facts {
            to: UnixNanos(60_000 * MS as i64),
            slow_threshold: 100 * MS,
            coverage: covered(),
            busy: vec![busy(0.15)],
            sites: vec![burst, site("shop/src/serve.rs:8", &[(900, MS)], &[(900, MS / 5)])],
            before: vec![site("shop/src/import.rs:9", &[(900, 9_000)], &[(900, MS)])],
            before_length: 60_000 * MS,
            slow_polls: vec![outlier, slow_poll(3_000 * MS, &[Running::OnCpu], nobody)],
            metrics: [
                counter("cpu_nanos", 110e9),
                counter("agent_cpu_nanos", 0.5e9),
                counter("run_queue_wait_nanos", 90e9),
                counter("gil_wait_nanos", 3e9),
                counter("gil_probes", 600.0),
                gauge("spawned_tasks", |step| if step < 30 { 5.0 } else { 20_005.0 }),
                gauge("global_queue_depth", |step| if step == 30 { 9_000.0 } else { 0.0 }),
                gauge("blocking_queue_depth", |_| 0.0),
                gauge("idle_blocking_threads", |_| 0.0),
            ]
            .into(),
            ..Facts::default()
        };
        for runtime in [Runtime::Tokio, Runtime::Asyncio, Runtime::Unknown] {
            let found = analyse(&Facts { runtime, ..facts.clone() }).findings;
            let wrong: Vec<_> = found.iter().filter(|it| it.level > Level::Info).collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
    }
}

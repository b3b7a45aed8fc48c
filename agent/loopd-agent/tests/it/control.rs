//! What a collector changes while the program runs, and what the agent says of it.

use loopd_agent::{CoverageState, RecordKind};
use loopd_model::{DumpId, EventKind};
use loopd_wire::pb;

use crate::collector::{Collector, Script, Seen};
use crate::{FLUSH, agent_for, current_thread, spawn};

fn state(coverage: &[loopd_agent::Coverage], layer: &str) -> (CoverageState, String) {
    let layer = coverage.iter().find(|known| known.layer == layer).unwrap();
    (layer.state, layer.reason.clone())
}

fn polls(seen: &Seen) -> u64 {
    seen.stored_and_lost(RecordKind::Poll).0
}

#[test]
fn settings_change_on_the_open_stream_and_the_agent_says_what_is_in_force() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let poll = || runtime.block_on(async { spawn(tokio::task::yield_now()).await.unwrap() });
    let seen =
        collector.wait("what is captured, after the welcome", |seen| seen.coverage().len() == 1);
    let configured = seen.coverage()[0].1;
    assert_eq!(configured.record_polls, Some(true));
    assert_eq!(seen.hellos[0].settings, Some(configured));
    assert_eq!(seen.hellos[0].configured, Some(configured));

    collector.script(|script| {
        script.asks = Some(pb::Settings {
            record_polls: Some(false),
            sample_stacks: Some(false),
            // Less than an agent takes.
            slow_threshold_nanos: Some(1),
            ..pb::Settings::default()
        });
    });
    let seen = collector.wait("the change", |seen| seen.coverage().len() == 2);
    let (coverage, changed) = seen.coverage()[1];
    assert_eq!((changed.record_polls, changed.sample_stacks), (Some(false), Some(false)));
    assert_eq!(changed.slow_threshold, Some(1_000_000));
    assert_eq!(changed.record_wakes, configured.record_wakes);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let (watchdog, reason) = state(coverage, "watchdog");
        assert_eq!(watchdog, CoverageState::Off);
        assert!(reason.starts_with("the taking of stacks is switched off"), "{reason}");
    }
    assert!(state(coverage, "hooks").1.contains("single polls") == cfg!(tokio_unstable));
    let before = polls(&seen);
    poll();

    collector.script(|script| {
        let on = pb::Settings { record_polls: Some(true), ..pb::Settings::default() };
        script.asks = Some(on);
    });
    let seen = collector.wait("polls again", |seen| seen.coverage().len() == 3);
    assert_eq!(polls(&seen), before, "polls while they were off");
    poll();
    collector.wait("a poll", |seen| polls(seen) > before);
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
}

#[cfg(target_os = "linux")]
#[test]
fn the_tracking_of_file_descriptors_can_be_switched_on_and_what_cannot_be_had_says_why() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    collector.wait("the welcome to be heard", |seen| seen.coverage().len() == 1);
    let both = pb::Settings { track_fds: Some(true), app_events: Some(true), ..Default::default() };
    collector.script(|script| script.asks = Some(both));
    let seen = collector.wait("the change", |seen| seen.coverage().len() >= 2);
    let (coverage, settings) = seen.coverage()[1];
    assert_eq!((settings.track_fds, settings.app_events), (Some(true), Some(true)));
    assert_eq!(state(coverage, "fds").0, CoverageState::On);
    let (app_events, reason) = state(coverage, "app_events");
    assert_eq!(app_events, CoverageState::Unavailable);
    assert!(!reason.is_empty());
    let off = pb::Settings { track_fds: Some(false), ..Default::default() };
    collector.script(|script| script.asks = Some(off));
    let is_off = |seen: &Seen| {
        seen.coverage()
            .last()
            .is_some_and(|(layers, _)| state(layers, "fds").0 == CoverageState::Off)
    };
    collector.wait("file descriptors left alone", is_off);
    assert!(agent.shutdown(FLUSH).complete);
}

#[test]
fn a_new_connection_says_what_is_in_force_and_what_was_configured() {
    let asked = pb::Settings { slow_threshold_nanos: Some(7_000_000), ..Default::default() };
    let collector = Collector::start_with(Script {
        settings: Some(asked),
        hangs_up_after: Some(2),
        ..Script::default()
    });
    let agent = agent_for(&collector);
    let seen = collector.wait("a second hello", |seen| seen.hellos.len() == 2);
    let (first, second) = (&seen.hellos[0], &seen.hellos[1]);
    assert_eq!(first.process.slow_threshold, 100_000_000);
    assert_eq!(second.process.slow_threshold, 7_000_000);
    assert_eq!(second.settings.unwrap().slow_threshold, Some(7_000_000));
    assert_eq!(second.configured, first.configured);
    assert_eq!(second.configured.unwrap().slow_threshold, Some(100_000_000));
    drop(agent);
}

#[test]
fn the_collector_has_polls_off_from_the_start() {
    let off = pb::Settings { record_polls: Some(false), ..pb::Settings::default() };
    let collector = Collector::start_with(Script { settings: Some(off), ..Script::default() });
    let agent = agent_for(&collector);
    collector.wait("the welcome to be heard", |seen| !seen.coverage().is_empty());
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async { spawn(tokio::task::yield_now()).await.unwrap() });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    assert_eq!(seen.stored_and_lost(RecordKind::Poll), (0, 0));
    assert_eq!(seen.stored_and_lost(RecordKind::Task).0, 4);
}

#[test]
fn an_agent_that_cannot_tell_where_its_tasks_wait_says_so() {
    let collector = Collector::start();
    let _agent = agent_for(&collector);
    let ends = |seen: &Seen| -> Vec<EventKind> {
        let kinds = seen.events().map(|event| event.kind.clone());
        kinds.filter(|kind| matches!(kind, EventKind::DumpEnded { .. })).collect()
    };
    collector.script(|script| script.asks_dump = Some(7));
    let seen = collector.wait("an answer", |seen| !ends(seen).is_empty());
    let reason = "this agent cannot tell where its tasks wait".to_owned();
    let ended = EventKind::DumpEnded { dump: DumpId(7), tasks: 0, left_out: 0, reason };
    assert_eq!(ends(&seen), [ended]);
}

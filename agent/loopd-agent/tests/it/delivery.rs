//! What arrives, however the collector behaves.

use std::time::{Duration, Instant};

use loopd_agent::{Config, RecordKind, Tracked};

use crate::collector::{Collector, LIMIT, Port, Script};
use crate::{FLUSH, agent_for, current_thread};

fn wait_until(what: &str, is_so: impl Fn(&loopd_agent::Stats) -> bool) {
    let since = Instant::now();
    while !is_so(&loopd_agent::stats()) {
        assert!(since.elapsed() < LIMIT, "{what}: {:?}", loopd_agent::stats());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn produced(stats: &loopd_agent::Stats, kind: RecordKind) -> u64 {
    stats.produced.iter().find(|(of, _)| *of == kind).map_or(0, |(_, count)| *count)
}

/// Records `count` resources and waits until they are in batches.
fn record_resources(prefix: &str, count: u64) {
    let before = produced(&loopd_agent::stats(), RecordKind::Resource);
    for index in 0..count {
        drop(Tracked::new("thing", &format!("{prefix}{index}"), ()));
    }
    wait_until("sealing", |stats| produced(stats, RecordKind::Resource) >= before + 2 * count);
}

#[test]
fn a_collector_that_comes_later_gets_everything() {
    let port = Port::take();
    let agent = Config::from_env().endpoint(port.endpoint()).start().unwrap();
    record_resources("early", 100);
    assert!(!loopd_agent::stats().connected);
    let collector = Collector::start_on(port.listen(), Script::default());
    let seen =
        collector.wait("arrival", |seen| seen.stored_and_lost(RecordKind::Resource).0 == 200);
    assert_eq!(seen.hellos[0].first_seq, 1);
    assert_eq!(seen.seqs[0], 1);
    wait_until("being connected", |stats| stats.connected && stats.durable_seq > 0);
    assert!(agent.shutdown(FLUSH).complete);
}

#[test]
fn a_broken_connection_loses_nothing_and_repeats_nothing() {
    let collector = Collector::start_with(Script { hangs_up_after: Some(2), ..Script::default() });
    let agent = agent_for(&collector);
    for round in 0..4 {
        record_resources(&format!("round{round}-"), 50);
        let hellos = collector.seen().hellos.len();
        collector.script(|script| script.hangs_up_after = Some(1));
        record_resources(&format!("again{round}-"), 1);
        collector.wait("a new connection", |seen| seen.hellos.len() > hellos);
        collector.script(|script| script.hangs_up_after = None);
    }
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    assert_eq!(seen.stored_and_lost(RecordKind::Resource), (4 * 51 * 2, 0));
    let last = *seen.batches.keys().last().unwrap();
    assert_eq!(seen.batches.keys().copied().collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());
}

#[test]
fn unacknowledged_batches_are_sent_again() {
    let collector = Collector::start_with(Script { acks: false, ..Script::default() });
    let agent = agent_for(&collector);
    record_resources("a", 10);
    collector.wait("the first batch", |seen| !seen.batches.is_empty());
    assert_eq!(loopd_agent::stats().durable_seq, 0);
    collector.script(|script| {
        script.acks = true;
        script.hangs_up_after = Some(1);
    });
    record_resources("b", 10);
    wait_until("an acknowledgement", |stats| stats.durable_seq > 0);
    assert!(agent.shutdown(FLUSH).complete);
    assert_eq!(collector.seen().stored_and_lost(RecordKind::Resource), (40, 0));
}

#[test]
fn a_refused_batch_is_counted_and_the_rest_goes_on() {
    let collector = Collector::start_with(Script { refuses: vec![2], ..Script::default() });
    let agent = agent_for(&collector);
    record_resources("a", 10);
    collector.wait("the first batch", |seen| !seen.batches.is_empty());
    record_resources("b", 10);
    collector.wait("the second batch", |seen| seen.batches.contains_key(&2));
    record_resources("c", 10);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let (stored, lost) = seen.stored_and_lost(RecordKind::Resource);
    assert_eq!(stored + lost, 60);
    let second = &seen.batches[&2];
    assert!(second.events.is_empty() && !second.losses.is_empty(), "{second:?}");
    let malformed = |loss: &loopd_model::Loss| loss.cause == loopd_agent::DropCause::Malformed;
    assert!(second.losses.iter().all(malformed));
}

#[test]
fn batches_are_cut_to_what_the_collector_takes() {
    let collector = Collector::start_with(Script { max_batch_bytes: 2_000, ..Script::default() });
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async {
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
    });
    record_resources(&"x".repeat(100), 300);
    drop(runtime);
    let flushed = agent.shutdown(FLUSH);
    assert!(flushed.complete, "{:?}", loopd_agent::stats());
    let seen = collector.seen();
    assert!(seen.batches.len() > 20, "{}", seen.batches.len());
    assert_eq!(seen.stored_and_lost(RecordKind::Resource), (600, 0));
    for entry in &seen.goodbyes[0].ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        assert_eq!((entry.produced, entry.dropped), (stored + lost, lost), "{:?}", entry.kind);
    }
}

#[test]
fn the_goodbye_counts_what_could_not_be_sent_in_time() {
    let script = Script { acks: false, max_batch_bytes: 2_000, ..Script::default() };
    let collector = Collector::start_with(script);
    let agent = agent_for(&collector);
    wait_until("being connected", |stats| stats.connected);
    // More batches than are sent without an acknowledgement.
    for _ in 0..8 {
        record_resources(&"x".repeat(200), 100);
    }
    // All of it is waited for, in vain.
    let flushed = agent.shutdown(Duration::from_secs(5));
    assert!(!flushed.complete);
    let seen = collector.wait("the goodbye", |seen| !seen.goodbyes.is_empty());
    let ledger = &seen.goodbyes[0].ledger;
    let resources = ledger.iter().find(|entry| entry.kind == RecordKind::Resource).unwrap();
    let (stored, lost) = seen.stored_and_lost(RecordKind::Resource);
    assert_eq!(lost, 0);
    assert!(stored > 0 && resources.dropped > 0, "{resources:?}");
    assert_eq!((resources.produced, resources.dropped), (1_600, 1_600 - stored));
}

#[test]
fn at_the_end_no_answer_is_waited_for_before_everything_is_sent() {
    let collector = Collector::start_with(Script { is_silent: true, ..Script::default() });
    let agent = agent_for(&collector);
    drop(Tracked::new("thing", "one", ()));
    // Nobody has acknowledged it, and so it is sent again, but not for ever.
    assert!(!agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    assert_eq!(seen.stored_and_lost(RecordKind::Resource), (2, 0));
    let resources = |goodbye: &loopd_wire::Goodbye| {
        let entry = goodbye.ledger.iter().find(|entry| entry.kind == RecordKind::Resource).unwrap();
        (entry.produced, entry.dropped)
    };
    assert_eq!(seen.goodbyes.iter().map(resources).collect::<Vec<_>>(), [(2, 0); 3]);
}

#[test]
fn a_batch_that_is_refused_after_the_goodbye_is_sent_again() {
    // It is in the first, unless the machine stops before it is made.
    let script = Script { refuses: (1..100).collect(), ..Script::default() };
    let collector = Collector::start_with(script);
    let agent = agent_for(&collector);
    drop(Tracked::new("thing", "one", ()));
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    assert_eq!(seen.stored_and_lost(RecordKind::Resource), (0, 2));
}

#[test]
fn a_full_window_drops_the_oldest_and_says_so() {
    let port = Port::take();
    let agent = Config::from_env().endpoint(port.endpoint()).memory_limit(1 << 20).start().unwrap();
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    let since = Instant::now();
    while loopd_agent::stats().evicted == 0 {
        assert!(since.elapsed() < LIMIT);
        runtime.block_on(async {
            loopd_agent::task("early bird").spawn(async {}).await.unwrap();
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
        });
        record_resources("filler", 200);
    }
    assert!(loopd_agent::stats().memory <= 1 << 20, "{:?}", loopd_agent::stats());
    drop(runtime);
    let collector = Collector::start_on(port.listen(), Script::default());
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    let names = seen.batches.values().flat_map(|batch| &batch.names);
    assert!(names.into_iter().any(|name| name.text == "early bird"), "the dictionary is kept");
    let evicted: u64 = seen
        .batches
        .values()
        .flat_map(|batch| &batch.losses)
        .filter(|loss| loss.cause == loopd_agent::DropCause::WindowEvicted)
        .map(|loss| loss.count)
        .sum();
    assert!(evicted > 0);
    for entry in &seen.goodbyes[0].ledger {
        let (stored, lost) = seen.stored_and_lost(entry.kind);
        assert_eq!(entry.produced, stored + lost, "{:?}", entry.kind);
    }
}

#[test]
fn another_database_is_told_the_names_again() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", current_thread()).build().unwrap();
    runtime.block_on(async { loopd_agent::task("known").spawn(async {}).await.unwrap() });
    collector.wait("the name", |seen| seen.task_named("known").is_some());
    wait_until("an acknowledgement", |stats| stats.durable_seq > 0);
    collector.script(|script| (script.hangs_up_after, script.loses_database) = (Some(1), true));
    collector.wait("a new connection", |seen| seen.hellos.len() == 2);
    runtime.block_on(async { loopd_agent::task("known").spawn(async {}).await.unwrap() });
    let seen = collector.wait("the name again", |seen| {
        let names = seen.batches.values().flat_map(|batch| &batch.names);
        names.into_iter().any(|name| name.text == "known")
    });
    assert!(seen.hellos[1].first_seq > 1);
    drop(runtime);
    drop(agent);
}

//! A worker given away in the middle of a poll, by `block_in_place`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use loopd_agent::RecordKind;
use loopd_model::{Span, TaskId};

use crate::collector::{Collector, Seen};
use crate::{FLUSH, agent_for, multi_thread};

/// Polls of one worker, in order, with the worker.
fn lanes(seen: &Seen) -> BTreeMap<(u64, u32), Vec<Span>> {
    let mut lanes: BTreeMap<_, Vec<Span>> = BTreeMap::new();
    for kind in [RecordKind::Poll, RecordKind::Park] {
        for (loop_id, worker, span) in seen.spans(kind) {
            lanes.entry((loop_id, worker)).or_default().push(span);
        }
    }
    lanes.values_mut().for_each(|spans| spans.sort_by_key(|span| (span.start, span.end())));
    lanes
}

fn check_no_overlap(seen: &Seen) {
    for (lane, spans) in lanes(seen) {
        for pair in spans.windows(2) {
            assert!(pair[0].end() <= pair[1].start, "{lane:?}: {pair:?}");
        }
    }
}

/// One task blocks its worker, of one there is, until others have been polled many times.
fn check(block: fn(&mut dyn FnMut())) -> Seen {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    #[cfg(tokio_unstable)]
    let metrics = runtime.metrics();
    runtime.block_on(async move {
        for _ in 0..5 {
            let is_over = Arc::new(AtomicBool::new(false));
            let others_over = is_over.clone();
            let others = loopd_agent::task("others").spawn(async move {
                for _ in 0..500 {
                    tokio::task::yield_now().await;
                }
                others_over.store(true, Release);
            });
            let blocker = loopd_agent::task("blocker").spawn(async move {
                block(&mut || {
                    while !is_over.load(Acquire) {
                        std::thread::yield_now();
                    }
                });
            });
            others.await.unwrap();
            blocker.await.unwrap();
        }
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    let seen = collector.seen();
    check_no_overlap(&seen);
    let polls = seen.spans(RecordKind::Poll);
    let of_worker = |of: u32| polls.iter().filter(move |(_, worker, _)| *worker == of);
    #[cfg(tokio_unstable)]
    {
        // What tokio counted as the worker's is the worker's. It does not count polls from the
        // slot for the task woken last.
        let own = metrics.worker_poll_count(0);
        assert!(of_worker(0).count() as u64 >= own, "{own}");
    }
    let rest: Vec<_> = polls.iter().filter(|(_, worker, _)| *worker > 1).collect();
    assert!(!rest.is_empty() && rest.len() <= 5, "{rest:?}");
    for (_, worker, piece) in &rest {
        assert!(piece.task < TaskId::FIRST_ROOT);
        assert!(seen.thread_of(piece_loop(&seen), *worker).is_some(), "it is on a named lane");
        // The first piece is the worker's, and ends where the second begins.
        assert!(
            of_worker(0).any(|(.., first)| first.task == piece.task && first.end() == piece.start)
        );
    }
    seen
}

fn piece_loop(seen: &Seen) -> u64 {
    seen.loop_named("main").unwrap()
}

#[test]
fn a_poll_that_gives_its_worker_away_overlaps_no_other() {
    check(|wait| tokio::task::block_in_place(wait));
}

#[test]
fn a_poll_that_says_so_is_cut_where_it_says() {
    check(|wait| loopd_agent::block_in_place(wait));
}

#[test]
fn a_worker_that_comes_back_at_once_is_not_cut() {
    let collector = Collector::start();
    let agent = agent_for(&collector);
    let runtime = agent.attach("main", multi_thread(1)).build().unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            let task = async { loopd_agent::block_in_place(|| ()) };
            loopd_agent::spawn(task).await.unwrap();
        }
    });
    drop(runtime);
    assert!(agent.shutdown(FLUSH).complete);
    check_no_overlap(&collector.seen());
}

//! Whatever the order, the size of batches and the moment of upkeep: the same picture.

use crate::support::*;
use loopd_analysis::tiles::{BUCKETS, Cell, LEVELS, Strip, bucket_of, bucket_width};
use loopd_model::*;
use proptest::prelude::*;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What is told of three tasks, by several threads.
pub(crate) fn facts() -> Vec<Batch> {
    let event = |ms, kind| Batch { events: vec![at(ms, kind)], ..Batch::default() };
    let segment = |segment| Batch { segments: vec![segment], ..Batch::default() };
    let name = |name| EventKind::TaskNamed { task: TaskId(7), name: NameId(name) };
    let wake = |ms: u64, by| Span {
        start: Nanos(ms * MS),
        length: MS,
        task: TaskId(7),
        by: TaskId(by),
        count: 2,
    };
    let sample = EventKind::StackSample {
        loop_id: LoopId(1),
        worker: WorkerId(0),
        task: TaskId(7),
        poll_started_at: Nanos(30 * MS),
        stack: StackId(1),
        running: Running::OffCpu,
        syscall: String::new(),
        wchan: String::new(),
    };
    vec![
        event(1, spawned(7, 1)),
        event(2, name(1)),
        event(3, name(2)),
        event(500, ended(7)),
        event(501, EventKind::TaskEnded { task: TaskId(7), outcome: Outcome::Unknown }),
        segment(polls(0, &[(10, 5, 7), (30, 150, 7)])),
        segment(polls(1, &[(4, 1, 7), (200, 90, 7)])),
        segment(segment_of(RecordKind::Wake, 0, &[wake(9, 7), wake(29, 8)])),
        event(140, sample),
        event(5, EventKind::BlockingStarted { task: TaskId(8) }),
        event(6, ended(8)),
        event(7, ended(9)),
        event(11, crate::waits::began(1, 7, &[(8, 3)])),
        event(14, crate::waits::over(1, WaitHow::Ready)),
        Batch {
            names: vec![
                Name { id: NameId(1), text: "first".into() },
                Name { id: NameId(2), text: "last".into() },
            ],
            locations: locations(1),
            ..Batch::default()
        },
    ]
}

/// Everything that pages show of them.
async fn picture(facts: Vec<Batch>) -> Vec<String> {
    let mut store = Store::new().await;
    for fact in facts {
        store.stored(fact).await;
    }
    let mut picture = store.sql("SELECT * FROM tasks ORDER BY task").await;
    picture.extend(store.sql("SELECT * FROM slow ORDER BY start_at").await);
    picture.extend(store.sql("SELECT * FROM samples").await);
    picture.extend(store.sql("SELECT * FROM waits").await);
    picture
}

#[tokio::test]
async fn tasks_are_summed_up() {
    let picture = picture(facts()).await;
    let o = ORIGIN / MS as i64;
    assert_eq!(
        picture,
        [
            format!(
                "1 7 last async ended completed src/main.rs:10 1 - {}000000 {}000000 500000000 4 \
                 246000000 150000000 1 4 2 2000000 8 - 0 0",
                o + 1,
                o + 501
            ),
            format!(
                "1 8 - - ended completed - - - - {}000000 0 1 1000000 1000000 0 - - - - - 0 0",
                o + 6
            ),
            format!("1 1 0 {}000000 150000000 7 src/main.rs:10 1", o + 30),
            format!("1 1 0 {}000000 {}000000 7 1 off_cpu - -", o + 30, o + 140),
            format!(
                "1 1 7 5 lock src/main.rs:10 1 {}000000 {}000000 3000000 ready 8 1",
                o + 11,
                o + 14
            ),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn facts_may_come_in_any_order(order in Just(facts()).prop_shuffle()) {
        let (usual, shuffled) = block_on(async { (picture(facts()).await, picture(order).await) });
        prop_assert_eq!(usual, shuffled);
    }

    #[test]
    fn produced_is_stored_and_dropped_and_lost_whatever_was_evicted(
        batches in proptest::collection::vec((1..40u64, 0..5u64, any::<bool>(), 0..3usize), 1..20),
    ) {
        block_on(async {
            let mut store = Store::new().await;
            let (mut produced, mut dropped) = (0, 0);
            for (i, &(polled, ring_full, is_evicted, resends)) in batches.iter().enumerate() {
                produced += polled + ring_full;
                dropped += ring_full;
                let start = i as u64 * 100;
                let spans: Vec<_> = (0..polled).map(|i| (start + i * 2, 1, 7)).collect();
                let loss = |cause, count| Loss {
                    kind: RecordKind::Poll,
                    cause,
                    count,
                    from: Nanos(start * MS),
                    to: Nanos((start + 100) * MS),
                };
                let mut losses = vec![loss(DropCause::RingFull, ring_full)];
                let mut segments = vec![polls(0, &spans)];
                if is_evicted {
                    losses.push(loss(DropCause::WindowEvicted, polled));
                    segments.clear();
                }
                let ledger = vec![LedgerEntry { kind: RecordKind::Poll, produced, dropped }];
                let batch = Batch { segments, losses, ledger, ..Batch::default() };
                store.stored(batch.clone()).await;
                for _ in 0..resends {
                    let again = Batch { seq: store.seq, ..batch.clone() };
                    store.writer.commit(vec![(store.process, again)]).await.unwrap();
                }
                let row = store.reader.ledger(store.process).await.unwrap()[0];
                prop_assert_eq!(row.produced, row.stored + row.dropped + row.lost);
                prop_assert_eq!(row.produced, produced);
                let rows = store.sql("SELECT count(*) FROM polls").await;
                prop_assert_eq!(&rows, &[row.stored.to_string()]);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_timeline_is_what_the_polls_say_at_every_level_before_and_after_upkeep(
        gaps in proptest::collection::vec((0..40u64, 1..60u64), 20..120),
        long in 300..50_000u64,
        per_batch in 1..30usize,
        upkeep_after in 0..100usize,
        restart_after in 0..100usize,
        lost in 0..100usize,
        level in 0..LEVELS,
    ) {
        block_on(async {
            let mut store = Store::new().await;
            let (mut start, mut spans) = (3, Vec::new());
            for (i, &(gap, length)) in gaps.iter().enumerate() {
                let length = if i == 7 { long } else { length };
                spans.push((start + gap, length, 1 + i as u64 % 5));
                start += gap + length;
            }
            let end = ORIGIN + (start * MS) as i64;
            // Late batches: the second half is told first. Two workers take turns, and one batch is
            // evicted before it is sent.
            let (first, second) = spans.split_at(spans.len() / 2);
            let mut kept: [Vec<(u64, u64, u64)>; 2] = Default::default();
            let mut is_one_lost = false;
            for (i, part) in second.chunks(per_batch).chain(first.chunks(per_batch)).enumerate() {
                let worker = i % 2;
                if i == lost {
                    is_one_lost = true;
                    let loss = Loss {
                        kind: RecordKind::Poll,
                        cause: DropCause::WindowEvicted,
                        count: part.len() as u64,
                        from: Nanos(part[0].0 * MS),
                        to: Nanos((part[part.len() - 1].0 + 1) * MS),
                    };
                    store.stored(Batch { losses: vec![loss], ..Batch::default() }).await;
                    continue;
                }
                kept[worker].extend(part);
                let segments = vec![polls(worker as u32, part)];
                store.stored(Batch { segments, ..Batch::default() }).await;
                if i == upkeep_after {
                    store.maintain_all(end + 400 * S as i64, &KEEP_ALL).await;
                }
                if i == restart_after {
                    store = store.reopen(i % 2 == 0).await;
                }
            }
            let from = bucket_of(level, ORIGIN) * bucket_width(level) as i64;
            let buckets = (end - from) / bucket_width(level) as i64 + 1;
            let brute = kept.each_ref().map(|polls| {
                let mut brute = Strip::new(level, bucket_of(level, ORIGIN), buckets as usize);
                for &(start, length, _) in polls {
                    brute.add_poll(ORIGIN + (start * MS) as i64, length * MS);
                }
                let cells = brute.filled().map(|(place, cell)| (place as u32, cell));
                cells.collect::<Vec<(u32, Cell)>>()
            });
            let longest = kept.iter().flatten().map(|&(_, length, _)| length * MS).max();
            for _ in 0..2 {
                let timeline = store
                    .reader
                    .timeline(store.process, UnixNanos(from), UnixNanos(end), buckets as u32)
                    .await
                    .unwrap();
                prop_assert!(timeline.level <= level);
                let cells = |worker: usize| {
                    let is_it = |lane: &&loopd_store::TimelineLane| {
                        lane.lane.worker == WorkerId(worker as u32)
                    };
                    let lane = timeline.lanes.iter().find(is_it);
                    lane.map(|lane| lane.cells.clone()).unwrap_or_default()
                };
                if timeline.level == level {
                    prop_assert_eq!(cells(0), brute[0].clone());
                    prop_assert_eq!(cells(1), brute[1].clone());
                }
                // However far away one looks: no slow poll vanishes, and no lane is busier than time.
                let all = || (0..2).flat_map(&cells);
                prop_assert_eq!(all().map(|(_, cell)| cell.max).max(), longest);
                prop_assert!(all().all(|(_, cell)| cell.busy_time() <= timeline.step));
                let was_lost = timeline.losses.iter().any(|loss| loss.count > 0);
                prop_assert_eq!(was_lost, is_one_lost);
                let sql = "SELECT start_at, length, task FROM polls ORDER BY 1";
                let mut told: Vec<_> = kept.iter().flatten().collect();
                told.sort();
                let told: Vec<String> = told
                    .iter()
                    .map(|(s, l, t)| format!("{} {} {t}", ORIGIN + (s * MS) as i64, l * MS))
                    .collect();
                prop_assert_eq!(store.sql(sql).await, told);
                store.maintain_all(end + (400 + 80_000 * BUCKETS as i64) * S as i64, &KEEP_ALL).await;
            }
            Ok(())
        })?;
    }
}

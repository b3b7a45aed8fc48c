//! Any batch and any process that keep within the limits.

use loopd_model::segment::{self, Effort};
use loopd_model::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::limits::MAX_NUMBER;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100u64, 0..=MAX_NUMBER, Just(MAX_NUMBER)]
}

/// Of what an event is about.
fn id() -> impl Strategy<Value = u64> {
    number().prop_map(|number| number.max(1))
}

fn at() -> impl Strategy<Value = Nanos> {
    number().prop_map(Nanos)
}

fn text() -> impl Strategy<Value = String> {
    ".{0,20}"
}

fn loop_id() -> impl Strategy<Value = LoopId> {
    id().prop_map(LoopId)
}

fn worker() -> impl Strategy<Value = WorkerId> {
    any::<u32>().prop_map(WorkerId)
}

fn task() -> impl Strategy<Value = TaskId> {
    id().prop_map(TaskId)
}

fn task_or_none() -> impl Strategy<Value = TaskId> {
    number().prop_map(TaskId)
}

fn anchor() -> impl Strategy<Value = Anchor> {
    (at(), any::<i64>()).prop_map(|(at, unix)| Anchor { at, unix: UnixNanos(unix) })
}

fn record_kind() -> impl Strategy<Value = RecordKind> {
    prop::sample::select(RecordKind::ALL.to_vec())
}

fn coverage() -> impl Strategy<Value = Coverage> {
    let states = [CoverageState::On, CoverageState::Off, CoverageState::Unavailable];
    (text(), prop::sample::select(states.to_vec()), text())
        .prop_map(|(layer, state, reason)| Coverage { layer, state, reason })
}

pub(super) fn process() -> impl Strategy<Value = Process> {
    let texts = (text(), text(), text(), text(), text());
    let labels = prop::collection::btree_map(text(), text(), 0..4);
    (any::<[u8; 16]>(), texts, any::<u32>(), labels, anchor(), vec(coverage(), 0..4), id())
        .prop_map(|(mut id, texts, pid, labels, anchor, coverage, slow_threshold)| {
            id[0] = id[0].max(1);
            let (app, app_version, host, agent, agent_version) = texts;
            let id = ProcessId(id);
            let labels = labels.into_iter().collect();
            Process {
                id,
                app,
                app_version,
                host,
                pid,
                labels,
                agent,
                agent_version,
                anchor,
                coverage,
                slow_threshold,
            }
        })
}

fn loop_event() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        (loop_id(), text(), text(), any::<u32>()).prop_map(|(loop_id, name, flavor, workers)| {
            EventKind::LoopOpened { loop_id, name, flavor, workers }
        }),
        loop_id().prop_map(|loop_id| EventKind::LoopClosed { loop_id }),
        (loop_id(), worker(), text(), number()).prop_map(
            |(loop_id, worker, thread_name, thread_id)| EventKind::WorkerStarted {
                loop_id,
                worker,
                thread_name,
                thread_id,
            }
        ),
        (loop_id(), worker())
            .prop_map(|(loop_id, worker)| EventKind::WorkerStopped { loop_id, worker }),
    ]
}

fn task_event() -> impl Strategy<Value = EventKind> {
    use TaskKind::{Async, BlockOn, Blocking, Local};
    let kinds = prop::sample::select(vec![Async, Local, BlockOn, Blocking]);
    let outcomes = [Outcome::Unknown, Outcome::Completed, Outcome::Panicked, Outcome::Cancelled];
    prop_oneof![
        (task(), number(), number(), task_or_none(), kinds).prop_map(
            |(task, loop_id, location, parent, kind)| EventKind::TaskSpawned {
                task,
                loop_id: LoopId(loop_id),
                spawn_location: LocationId(location),
                parent,
                kind,
            }
        ),
        (task(), id()).prop_map(|(task, name)| EventKind::TaskNamed { task, name: NameId(name) }),
        task().prop_map(|task| EventKind::BlockingStarted { task }),
        (task(), prop::sample::select(outcomes.to_vec()))
            .prop_map(|(task, outcome)| EventKind::TaskEnded { task, outcome }),
    ]
}

fn resource_event() -> impl Strategy<Value = EventKind> {
    let hows = [CloseHow::Closed, CloseHow::Dropped, CloseHow::Unclosed];
    prop_oneof![
        (id(), text(), text(), number(), task_or_none()).prop_map(
            |(resource, kind, name, location, task)| EventKind::ResourceOpened {
                resource: ResourceId(resource),
                kind,
                name,
                open_location: LocationId(location),
                task,
            }
        ),
        (id(), prop::sample::select(hows.to_vec())).prop_map(|(resource, how)| {
            EventKind::ResourceClosed { resource: ResourceId(resource), how }
        }),
    ]
}

fn other_event() -> impl Strategy<Value = EventKind> {
    let runnings = [Running::Unknown, Running::OnCpu, Running::OffCpu];
    let value = prop::num::f64::NORMAL | prop::num::f64::ZERO;
    let metric = (text(), option::of(worker()), value).prop_map(|(name, worker, value)| Metric {
        name,
        worker,
        value,
    });
    prop_oneof![
        (number(), worker(), task_or_none(), at(), id(), prop::sample::select(runnings.to_vec()))
            .prop_map(|(loop_id, worker, task, poll_started_at, stack, running)| {
                let (loop_id, stack) = (LoopId(loop_id), StackId(stack));
                EventKind::StackSample { loop_id, worker, task, poll_started_at, stack, running }
            }),
        (number(), vec(metric, 0..4)).prop_map(|(loop_id, metrics)| EventKind::Metrics {
            loop_id: LoopId(loop_id),
            metrics
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![loop_event(), task_event(), resource_event(), other_event()];
    (at(), kind).prop_map(|(at, kind)| Event { at, kind })
}

fn segment() -> impl Strategy<Value = Segment> {
    let small = 0..1u64 << 40;
    let span = (small.clone(), small, number(), number(), number()).prop_map(
        |(start, length, task, by, count)| Span {
            start: Nanos(start),
            length,
            task: TaskId(task),
            by: TaskId(by),
            count,
        },
    );
    let kinds = prop::sample::select(vec![RecordKind::Poll, RecordKind::Park, RecordKind::Wake]);
    (number(), worker(), kinds, vec(span, 1..50)).prop_map(|(loop_id, worker, kind, spans)| {
        Segment {
            loop_id: LoopId(loop_id),
            worker,
            kind,
            count: spans.len() as u32,
            data: segment::encode(kind, &spans, Effort::Fast),
        }
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    (text(), text(), any::<u32>(), number()).prop_map(|(function, file, line, address)| Frame {
        function,
        file,
        line,
        address,
    })
}

fn loss() -> impl Strategy<Value = Loss> {
    let cause = prop::sample::select(DropCause::ALL.to_vec());
    (record_kind(), cause, number(), at(), at()).prop_map(|(kind, cause, count, from, to)| Loss {
        kind,
        cause,
        count,
        from,
        to,
    })
}

fn ledger() -> impl Strategy<Value = LedgerEntry> {
    (record_kind(), number(), number()).prop_map(|(kind, produced, dropped)| LedgerEntry {
        kind,
        produced,
        dropped,
    })
}

pub(super) fn batch() -> impl Strategy<Value = Batch> {
    let name = (id(), text()).prop_map(|(id, text)| Name { id: NameId(id), text });
    let location = (id(), text(), any::<u32>(), any::<u32>())
        .prop_map(|(id, file, line, column)| Location { id: LocationId(id), file, line, column });
    let stack =
        (id(), vec(frame(), 0..5)).prop_map(|(id, frames)| Stack { id: StackId(id), frames });
    let lists = (
        vec(name, 0..4),
        vec(location, 0..4),
        vec(stack, 0..4),
        vec(event(), 0..12),
        vec(segment(), 0..4),
        vec(loss(), 0..4),
        vec(ledger(), 0..8),
    );
    (id(), anchor(), lists).prop_map(|(seq, anchor, lists)| {
        let (names, locations, stacks, events, segments, losses, ledger) = lists;
        Batch { seq, anchor, names, locations, stacks, events, segments, losses, ledger }
    })
}

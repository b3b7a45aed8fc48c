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
    use Outcome::{Cancelled, Completed, Destroyed, Panicked, Raised, Unknown};
    use TaskKind::{Async, BlockOn, Blocking, Callback, Local};
    let kinds = prop::sample::select(vec![Async, Local, BlockOn, Blocking, Callback]);
    let outcomes = [Unknown, Completed, Panicked, Cancelled, Raised, Destroyed];
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
        (id(), text(), text(), number(), task_or_none(), number()).prop_map(
            |(resource, kind, name, location, task, stack)| EventKind::ResourceOpened {
                resource: ResourceId(resource),
                kind,
                name,
                open_location: LocationId(location),
                task,
                stack: StackId(stack),
            }
        ),
        (id(), prop::sample::select(hows.to_vec())).prop_map(|(resource, how)| {
            EventKind::ResourceClosed { resource: ResourceId(resource), how }
        }),
        (id(), vec(metric(), 0..4)).prop_map(|(resource, readings)| {
            EventKind::ResourceState { resource: ResourceId(resource), readings }
        }),
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    let value = prop::num::f64::NORMAL | prop::num::f64::ZERO;
    (text(), option::of(worker()), value).prop_map(|(name, worker, value)| Metric {
        name,
        worker,
        value,
    })
}

fn location() -> impl Strategy<Value = LocationId> {
    number().prop_map(LocationId)
}

fn holder() -> impl Strategy<Value = Holder> {
    (task_or_none(), at(), location(), number())
        .prop_map(|(task, since, location, amount)| Holder { task, since, location, amount })
}

fn wait_event() -> impl Strategy<Value = EventKind> {
    let hows = [WaitHow::Ready, WaitHow::Cancelled, WaitHow::Unknown];
    let ids = (id().prop_map(WaitId), task_or_none(), id().prop_map(ResourceId));
    prop_oneof![
        (ids, text(), location(), number(), vec(holder(), 0..=MAX_HOLDERS)).prop_map(
            |((wait, task, resource), op, location, amount, holders)| EventKind::WaitBegan {
                wait,
                task,
                resource,
                op,
                location,
                amount,
                holders,
            }
        ),
        (id(), prop::sample::select(hows.to_vec()))
            .prop_map(|(wait, how)| EventKind::WaitEnded { wait: WaitId(wait), how }),
        (id(), holder(), number()).prop_map(|(resource, hold, waits)| EventKind::HoldEnded {
            resource: ResourceId(resource),
            hold,
            waits,
        }),
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..4)
}

fn counts() -> impl Strategy<Value = TaskCounts> {
    let sums = (number(), number(), number(), number(), number(), number(), number());
    let instants = (at(), at(), at(), at(), at());
    let are_known = prop::sample::select(vec![None, Some(false), Some(true)]);
    (sums, instants, are_known).prop_map(|(sums, instants, are_lengths_known)| TaskCounts {
        polls: sums.0,
        busy_time: sums.1,
        wakes: sums.2,
        self_wakes: sums.3,
        scheduled_time: sums.4,
        max_poll_time: sums.5,
        slow_polls: sums.6,
        first_poll_at: instants.0,
        last_poll_started_at: instants.1,
        last_poll_ended_at: instants.2,
        last_woken_at: instants.3,
        since: instants.4,
        are_lengths_known,
    })
}

fn app_event() -> impl Strategy<Value = EventKind> {
    use MarkLevel::{Debug, Error, Info, None, Trace, Warn};
    let levels = prop::sample::select(vec![None, Trace, Debug, Info, Warn, Error]);
    let span = (id().prop_map(AppSpanId), number().prop_map(AppSpanId), task_or_none());
    prop_oneof![
        task().prop_map(|task| EventKind::TaskUnwakeable { task }),
        (task(), fields()).prop_map(|(task, fields)| EventKind::TaskFields { task, fields }),
        (task(), counts()).prop_map(|(task, counts)| EventKind::TaskCounted { task, counts }),
        (task_or_none(), levels, text(), text(), fields(), location()).prop_map(
            |(task, level, target, message, fields, location)| EventKind::Mark {
                task,
                level,
                target,
                message,
                fields,
                location,
            }
        ),
        (span, text(), text(), at(), number(), fields(), location()).prop_map(
            |((span, parent, task), name, target, opened_at, busy_time, fields, location)| {
                EventKind::AppSpan {
                    span,
                    parent,
                    task,
                    name,
                    target,
                    opened_at,
                    busy_time,
                    fields,
                    location,
                }
            }
        ),
        (vec(coverage(), 0..4), settings())
            .prop_map(|(coverage, settings)| { EventKind::CoverageChanged { coverage, settings } }),
    ]
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let switch = || option::of(any::<bool>());
    (switch(), switch(), switch(), switch(), switch(), switch(), option::of(number())).prop_map(
        |(polls, wakes, waits, stacks, fds, app_events, slow_threshold)| Settings {
            record_polls: polls,
            record_wakes: wakes,
            record_waits: waits,
            sample_stacks: stacks,
            track_fds: fds,
            app_events,
            slow_threshold,
        },
    )
}

fn other_event() -> impl Strategy<Value = EventKind> {
    let runnings = [Running::Unknown, Running::OnCpu, Running::OffCpu];
    let poll = (number().prop_map(LoopId), worker(), task_or_none(), at());
    let running = prop::sample::select(runnings.to_vec());
    prop_oneof![
        (poll, id(), running, text(), text()).prop_map(
            |((loop_id, worker, task, poll_started_at), stack, running, syscall, wchan)| {
                EventKind::StackSample {
                    loop_id,
                    worker,
                    task,
                    poll_started_at,
                    stack: StackId(stack),
                    running,
                    syscall,
                    wchan,
                }
            }
        ),
        (number(), vec(metric(), 0..4)).prop_map(|(loop_id, metrics)| EventKind::Metrics {
            loop_id: LoopId(loop_id),
            metrics
        }),
    ]
}

fn dump_event() -> impl Strategy<Value = EventKind> {
    let ids = (id().prop_map(DumpId), task(), number(), task_or_none(), number());
    prop_oneof![
        (ids, text()).prop_map(|((dump, task, stack, awaits_task, resource), awaits)| {
            EventKind::TaskDumped {
                dump,
                task,
                stack: StackId(stack),
                awaits,
                awaits_task,
                resource: ResourceId(resource),
            }
        }),
        (id(), number(), number(), text()).prop_map(|(dump, tasks, left_out, reason)| {
            EventKind::DumpEnded { dump: DumpId(dump), tasks, left_out, reason }
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        dump_event().boxed(),
        loop_event().boxed(),
        task_event().boxed(),
        resource_event().boxed(),
        wait_event().boxed(),
        app_event().boxed(),
        other_event().boxed(),
    ];
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

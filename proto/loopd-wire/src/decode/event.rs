//! One event.

use loopd_model as model;
use model::{
    AppSpanId, CloseHow, DumpId, EventKind, LocationId, LoopId, MarkLevel, NameId, Nanos, Outcome,
    ResourceId, Running, StackId, TaskCounts, TaskId, TaskKind, WaitHow, WaitId, WorkerId,
};

use super::check::Place;
use super::{DecodeError, Tolerated, process};
use crate::{limits, pb};

/// Reads an event; `None` if it is of a kind that is not known here.
pub(super) fn decode(
    place: Place,
    event: pb::Event,
    tolerated: &mut Tolerated,
) -> Result<Option<model::Event>, DecodeError> {
    let at = Nanos(place.number("at", event.at)?);
    let Some(kind) = event.kind else {
        tolerated.unknown_kinds += 1;
        return Ok(None);
    };
    Ok(Some(model::Event { at, kind: decode_kind(place, kind, tolerated)? }))
}

fn decode_kind(
    place: Place,
    kind: pb::event::Kind,
    tolerated: &mut Tolerated,
) -> Result<EventKind, DecodeError> {
    use pb::event::Kind;
    let subject_loop = |id| place.required("loop_id", id).map(LoopId);
    let subject_task = |id| place.required("task_id", id).map(TaskId);
    let subject_resource = |id| place.required("resource_id", id).map(ResourceId);
    Ok(match kind {
        Kind::LoopOpened(e) => EventKind::LoopOpened {
            loop_id: subject_loop(e.loop_id)?,
            name: tolerated.text(e.name),
            flavor: tolerated.text(e.flavor),
            workers: e.workers,
        },
        Kind::LoopClosed(e) => EventKind::LoopClosed { loop_id: subject_loop(e.loop_id)? },
        Kind::WorkerStarted(e) => EventKind::WorkerStarted {
            loop_id: subject_loop(e.loop_id)?,
            worker: WorkerId(e.worker),
            thread_name: tolerated.text(e.thread_name),
            thread_id: place.number("thread_id", e.thread_id)?,
        },
        Kind::WorkerStopped(e) => EventKind::WorkerStopped {
            loop_id: subject_loop(e.loop_id)?,
            worker: WorkerId(e.worker),
        },
        Kind::TaskSpawned(e) => EventKind::TaskSpawned {
            task: subject_task(e.task_id)?,
            loop_id: LoopId(place.number("loop_id", e.loop_id)?),
            spawn_location: LocationId(place.number("spawn_location_id", e.spawn_location_id)?),
            parent: TaskId(place.number("parent_task_id", e.parent_task_id)?),
            kind: decode_task_kind(e.kind, tolerated),
        },
        Kind::TaskNamed(e) => EventKind::TaskNamed {
            task: subject_task(e.task_id)?,
            name: NameId(place.required("name_id", e.name_id)?),
        },
        Kind::BlockingStarted(e) => EventKind::BlockingStarted { task: subject_task(e.task_id)? },
        Kind::TaskEnded(e) => EventKind::TaskEnded {
            task: subject_task(e.task_id)?,
            outcome: decode_outcome(e.outcome, tolerated),
        },
        Kind::ResourceOpened(e) => EventKind::ResourceOpened {
            resource: subject_resource(e.resource_id)?,
            kind: tolerated.text(e.kind),
            name: tolerated.cut(e.name, limits::MAX_PATH_BYTES),
            open_location: LocationId(place.number("open_location_id", e.open_location_id)?),
            task: TaskId(place.number("task_id", e.task_id)?),
            stack: StackId(place.number("stack_id", e.stack_id)?),
        },
        Kind::ResourceClosed(e) => EventKind::ResourceClosed {
            resource: subject_resource(e.resource_id)?,
            how: decode_how(e.how, tolerated),
        },
        Kind::StackSample(e) => EventKind::StackSample {
            loop_id: LoopId(place.number("loop_id", e.loop_id)?),
            worker: WorkerId(e.worker),
            task: TaskId(place.number("task_id", e.task_id)?),
            poll_started_at: Nanos(place.number("poll_started_at", e.poll_started_at)?),
            stack: StackId(place.required("stack_id", e.stack_id)?),
            running: decode_running(e.running, tolerated),
            syscall: tolerated.text(e.syscall),
            wchan: tolerated.text(e.wchan),
        },
        Kind::Metrics(e) => EventKind::Metrics {
            loop_id: LoopId(place.number("loop_id", e.loop_id)?),
            metrics: decode_metrics(place, "metrics", e.metrics, tolerated)?,
        },
        Kind::ResourceState(e) => EventKind::ResourceState {
            resource: subject_resource(e.resource_id)?,
            readings: decode_metrics(place, "readings", e.readings, tolerated)?,
        },
        Kind::WaitBegan(e) => {
            place.at_most("holders", e.holders.len(), limits::MAX_HOLDERS)?;
            let holders = e.holders.into_iter().map(|holder| decode_holder(place, holder));
            EventKind::WaitBegan {
                wait: WaitId(place.required("wait_id", e.wait_id)?),
                task: TaskId(place.number("task_id", e.task_id)?),
                resource: subject_resource(e.resource_id)?,
                op: tolerated.text(e.op),
                location: LocationId(place.number("location_id", e.location_id)?),
                amount: place.number("amount", e.amount)?,
                holders: holders.collect::<Result<_, _>>()?,
            }
        }
        Kind::WaitEnded(e) => EventKind::WaitEnded {
            wait: WaitId(place.required("wait_id", e.wait_id)?),
            how: decode_wait_how(e.how, tolerated),
        },
        Kind::HoldEnded(e) => EventKind::HoldEnded {
            resource: subject_resource(e.resource_id)?,
            hold: decode_holder(place, e.hold.ok_or_else(|| place.missing("hold"))?)?,
            waits: place.number("waits", e.waits)?,
        },
        Kind::TaskUnwakeable(e) => EventKind::TaskUnwakeable { task: subject_task(e.task_id)? },
        Kind::TaskCounted(e) => EventKind::TaskCounted {
            task: subject_task(e.task_id)?,
            counts: TaskCounts {
                polls: place.number("polls", e.polls)?,
                busy_time: place.number("busy_nanos", e.busy_nanos)?,
                wakes: place.number("wakes", e.wakes)?,
                self_wakes: place.number("self_wakes", e.self_wakes)?,
                scheduled_time: place.number("scheduled_nanos", e.scheduled_nanos)?,
                first_poll_at: Nanos(place.number("first_poll_at", e.first_poll_at)?),
                last_poll_started_at: Nanos(
                    place.number("last_poll_started_at", e.last_poll_started_at)?,
                ),
                last_poll_ended_at: Nanos(
                    place.number("last_poll_ended_at", e.last_poll_ended_at)?,
                ),
                last_woken_at: Nanos(place.number("last_woken_at", e.last_woken_at)?),
                max_poll_time: place.number("max_poll_nanos", e.max_poll_nanos)?,
                slow_polls: place.number("slow_polls", e.slow_polls)?,
                since: Nanos(place.number("since", e.since)?),
                are_lengths_known: e.are_lengths_known,
            },
        },
        Kind::TaskFields(e) => EventKind::TaskFields {
            task: subject_task(e.task_id)?,
            fields: decode_fields(place, e.fields, tolerated)?,
        },
        Kind::Mark(e) => EventKind::Mark {
            task: TaskId(place.number("task_id", e.task_id)?),
            level: decode_level(e.level, tolerated),
            target: tolerated.text(e.target),
            message: tolerated.cut(e.message, limits::MAX_MESSAGE_TEXT_BYTES),
            fields: decode_fields(place, e.fields, tolerated)?,
            location: LocationId(place.number("location_id", e.location_id)?),
        },
        Kind::AppSpan(e) => EventKind::AppSpan {
            span: AppSpanId(place.required("span_id", e.span_id)?),
            parent: AppSpanId(place.number("parent_span_id", e.parent_span_id)?),
            task: TaskId(place.number("task_id", e.task_id)?),
            name: tolerated.text(e.name),
            target: tolerated.text(e.target),
            opened_at: Nanos(place.number("opened_at", e.opened_at)?),
            busy_time: place.number("busy_nanos", e.busy_nanos)?,
            fields: decode_fields(place, e.fields, tolerated)?,
            location: LocationId(place.number("location_id", e.location_id)?),
        },
        Kind::TaskDumped(e) => EventKind::TaskDumped {
            dump: DumpId(place.required("dump_id", e.dump_id)?),
            task: subject_task(e.task_id)?,
            stack: StackId(place.number("stack_id", e.stack_id)?),
            awaits: tolerated.text(e.awaits),
            awaits_task: TaskId(place.number("awaits_task_id", e.awaits_task_id)?),
            resource: ResourceId(place.number("resource_id", e.resource_id)?),
        },
        Kind::DumpEnded(e) => EventKind::DumpEnded {
            dump: DumpId(place.required("dump_id", e.dump_id)?),
            tasks: place.number("tasks", e.tasks)?,
            left_out: place.number("left_out", e.left_out)?,
            reason: tolerated.text(e.reason),
        },
        Kind::CoverageChanged(e) => {
            let settings = e.settings.ok_or_else(|| place.missing("settings"))?;
            if let Some(nanos) = settings.slow_threshold_nanos {
                place.number("settings.slow_threshold_nanos", nanos)?;
            }
            EventKind::CoverageChanged {
                coverage: process::decode_coverages(place, "coverage", e.coverage, tolerated)?,
                settings: super::decode_settings(settings),
            }
        }
    })
}

fn decode_holder(place: Place, holder: pb::Holder) -> Result<model::Holder, DecodeError> {
    Ok(model::Holder {
        task: TaskId(place.number("holder.task_id", holder.task_id)?),
        since: Nanos(place.number("holder.since_at", holder.since_at)?),
        location: LocationId(place.number("holder.location_id", holder.location_id)?),
        amount: place.number("holder.amount", holder.amount)?,
    })
}

fn decode_fields(
    place: Place,
    fields: Vec<pb::Pair>,
    tolerated: &mut Tolerated,
) -> Result<Vec<(String, String)>, DecodeError> {
    place.at_most("fields", fields.len(), limits::MAX_FIELDS)?;
    let mut pair = |pair: pb::Pair| {
        (tolerated.text(pair.key), tolerated.cut(pair.value, limits::MAX_MESSAGE_TEXT_BYTES))
    };
    Ok(fields.into_iter().map(&mut pair).collect())
}

fn decode_metrics(
    place: Place,
    list: &'static str,
    metrics: Vec<pb::Metric>,
    tolerated: &mut Tolerated,
) -> Result<Vec<model::Metric>, DecodeError> {
    place.at_most(list, metrics.len(), limits::MAX_METRICS)?;
    Ok(metrics.into_iter().filter_map(|metric| decode_metric(metric, tolerated)).collect())
}

/// A reading that is no number is left out: neither SQL nor JSON has a word for it.
fn decode_metric(metric: pb::Metric, tolerated: &mut Tolerated) -> Option<model::Metric> {
    if !metric.value.is_finite() {
        tolerated.unknown_values += 1;
        return None;
    }
    Some(model::Metric {
        name: tolerated.text(metric.name),
        worker: metric.worker.map(WorkerId),
        value: metric.value,
    })
}

fn decode_task_kind(number: i32, tolerated: &mut Tolerated) -> TaskKind {
    let kind = match pb::TaskKind::try_from(number) {
        Ok(pb::TaskKind::Async) => Some(TaskKind::Async),
        Ok(pb::TaskKind::Local) => Some(TaskKind::Local),
        Ok(pb::TaskKind::BlockOn) => Some(TaskKind::BlockOn),
        Ok(pb::TaskKind::Blocking) => Some(TaskKind::Blocking),
        Ok(pb::TaskKind::Callback) => Some(TaskKind::Callback),
        Ok(pb::TaskKind::Unspecified) | Err(_) => None,
    };
    tolerated.known(kind, TaskKind::Async)
}

fn decode_outcome(number: i32, tolerated: &mut Tolerated) -> Outcome {
    use pb::task_ended::Outcome as Pb;
    let outcome = match Pb::try_from(number) {
        Ok(Pb::Unspecified) => Some(Outcome::Unknown),
        Ok(Pb::Completed) => Some(Outcome::Completed),
        Ok(Pb::Panicked) => Some(Outcome::Panicked),
        Ok(Pb::Cancelled) => Some(Outcome::Cancelled),
        Ok(Pb::Raised) => Some(Outcome::Raised),
        Ok(Pb::Destroyed) => Some(Outcome::Destroyed),
        Err(_) => None,
    };
    tolerated.known(outcome, Outcome::Unknown)
}

/// A resource closed in a way that is not known here is closed all the same.
fn decode_how(number: i32, tolerated: &mut Tolerated) -> CloseHow {
    use pb::resource_closed::How;
    let how = match How::try_from(number) {
        Ok(How::Closed) => Some(CloseHow::Closed),
        Ok(How::Dropped) => Some(CloseHow::Dropped),
        Ok(How::Unclosed) => Some(CloseHow::Unclosed),
        Ok(How::Unspecified) | Err(_) => None,
    };
    tolerated.known(how, CloseHow::Closed)
}

/// A wait that ended in a way that is not known here is over all the same.
fn decode_wait_how(number: i32, tolerated: &mut Tolerated) -> WaitHow {
    use pb::wait_ended::How;
    let how = match How::try_from(number) {
        Ok(How::Ready) => Some(WaitHow::Ready),
        Ok(How::Cancelled) => Some(WaitHow::Cancelled),
        Ok(How::Unspecified) => Some(WaitHow::Unknown),
        Err(_) => None,
    };
    tolerated.known(how, WaitHow::Unknown)
}

fn decode_level(number: i32, tolerated: &mut Tolerated) -> MarkLevel {
    use pb::mark::Level;
    let level = match Level::try_from(number) {
        Ok(Level::Unspecified) => Some(MarkLevel::None),
        Ok(Level::Trace) => Some(MarkLevel::Trace),
        Ok(Level::Debug) => Some(MarkLevel::Debug),
        Ok(Level::Info) => Some(MarkLevel::Info),
        Ok(Level::Warn) => Some(MarkLevel::Warn),
        Ok(Level::Error) => Some(MarkLevel::Error),
        Err(_) => None,
    };
    tolerated.known(level, MarkLevel::None)
}

fn decode_running(number: i32, tolerated: &mut Tolerated) -> Running {
    use pb::stack_sample::Running as Pb;
    let running = match Pb::try_from(number) {
        Ok(Pb::Unspecified) => Some(Running::Unknown),
        Ok(Pb::OnCpu) => Some(Running::OnCpu),
        Ok(Pb::OffCpu) => Some(Running::OffCpu),
        Err(_) => None,
    };
    tolerated.known(running, Running::Unknown)
}

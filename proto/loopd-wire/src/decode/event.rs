//! One event.

use loopd_model as model;
use model::{
    CloseHow, EventKind, LocationId, LoopId, NameId, Nanos, Outcome, ResourceId, Running, StackId,
    TaskId, TaskKind, WorkerId,
};

use super::check::Place;
use super::{DecodeError, Tolerated};
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
        },
        Kind::Metrics(e) => {
            place.at_most("metrics", e.metrics.len(), limits::MAX_METRICS)?;
            EventKind::Metrics {
                loop_id: LoopId(place.number("loop_id", e.loop_id)?),
                metrics: e
                    .metrics
                    .into_iter()
                    .filter_map(|m| decode_metric(m, tolerated))
                    .collect(),
            }
        }
    })
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

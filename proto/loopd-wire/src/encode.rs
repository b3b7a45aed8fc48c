//! Model values as protobuf. Nothing here can fail: every value of the model has a protobuf form.
//!
//! The functions take their values by move, so that segments and strings are not copied.

use loopd_model as model;
use model::{CoverageState, DropCause, EventKind, RecordKind};

use crate::pb;

/// One message of an agent as protobuf.
pub fn encode_batch(batch: model::Batch) -> pb::Batch {
    pb::Batch {
        seq: batch.seq,
        anchor: Some(encode_anchor(batch.anchor)),
        names: batch.names.into_iter().map(encode_name).collect(),
        locations: batch.locations.into_iter().map(encode_location).collect(),
        stacks: batch.stacks.into_iter().map(encode_stack).collect(),
        events: batch.events.into_iter().map(encode_event).collect(),
        segments: batch.segments.into_iter().map(encode_segment).collect(),
        losses: batch.losses.into_iter().map(encode_loss).collect(),
        ledger: encode_ledger(batch.ledger),
    }
}

/// What is said about a process, as protobuf.
pub fn encode_process(process: model::Process) -> pb::Process {
    pb::Process {
        id: process.id.0.to_vec(),
        app: process.app,
        app_version: process.app_version,
        host: process.host,
        pid: process.pid,
        labels: process.labels.into_iter().collect(),
        agent: process.agent,
        agent_version: process.agent_version,
        anchor: Some(encode_anchor(process.anchor)),
        coverage: process.coverage.into_iter().map(encode_coverage).collect(),
        slow_threshold_nanos: process.slow_threshold,
    }
}

/// What the collector asks of an agent, as protobuf.
pub fn encode_settings(settings: model::Settings) -> pb::Settings {
    pb::Settings {
        record_polls: settings.record_polls,
        record_wakes: settings.record_wakes,
        record_waits: settings.record_waits,
        sample_stacks: settings.sample_stacks,
        track_fds: settings.track_fds,
        app_events: settings.app_events,
        slow_threshold_nanos: settings.slow_threshold,
    }
}

/// Running totals as protobuf.
pub fn encode_ledger(ledger: Vec<model::LedgerEntry>) -> Vec<pb::Ledger> {
    let entry = |entry: model::LedgerEntry| pb::Ledger {
        kind: encode_record_kind(entry.kind).into(),
        produced: entry.produced,
        dropped: entry.dropped,
    };
    ledger.into_iter().map(entry).collect()
}

/// A reading of both clocks as protobuf.
pub fn encode_anchor(anchor: model::Anchor) -> pb::Anchor {
    pb::Anchor { at: anchor.at.0, unix_nanos: anchor.unix.0 }
}

fn encode_coverage(coverage: model::Coverage) -> pb::Coverage {
    let state = match coverage.state {
        CoverageState::On => pb::coverage::State::On,
        CoverageState::Off => pb::coverage::State::Off,
        CoverageState::Unavailable => pb::coverage::State::Unavailable,
    };
    pb::Coverage { layer: coverage.layer, state: state.into(), reason: coverage.reason }
}

fn encode_name(name: model::Name) -> pb::Name {
    pb::Name { id: name.id.0, text: name.text }
}

fn encode_location(location: model::Location) -> pb::Location {
    pb::Location {
        id: location.id.0,
        file: location.file,
        line: location.line,
        column: location.column,
    }
}

fn encode_stack(stack: model::Stack) -> pb::Stack {
    let frame = |frame: model::Frame| pb::Frame {
        function: frame.function,
        file: frame.file,
        line: frame.line,
        address: frame.address,
    };
    pb::Stack { id: stack.id.0, frames: stack.frames.into_iter().map(frame).collect() }
}

fn encode_segment(segment: model::Segment) -> pb::Segment {
    pb::Segment {
        loop_id: segment.loop_id.0,
        worker: segment.worker.0,
        kind: encode_record_kind(segment.kind).into(),
        count: segment.count,
        data: segment.data.into(),
    }
}

/// Telemetry that was lost, as protobuf.
pub fn encode_loss(loss: model::Loss) -> pb::Loss {
    pb::Loss {
        kind: encode_record_kind(loss.kind).into(),
        cause: encode_cause(loss.cause).into(),
        count: loss.count,
        from_at: loss.from.0,
        to_at: loss.to.0,
    }
}

pub(crate) fn encode_event(event: model::Event) -> pb::Event {
    use pb::event::Kind;
    let kind = match event.kind {
        EventKind::LoopOpened { loop_id, name, flavor, workers } => {
            Kind::LoopOpened(pb::LoopOpened { loop_id: loop_id.0, name, flavor, workers })
        }
        EventKind::LoopClosed { loop_id } => {
            Kind::LoopClosed(pb::LoopClosed { loop_id: loop_id.0 })
        }
        EventKind::WorkerStarted { loop_id, worker, thread_name, thread_id } => {
            Kind::WorkerStarted(pb::WorkerStarted {
                loop_id: loop_id.0,
                worker: worker.0,
                thread_name,
                thread_id,
            })
        }
        EventKind::WorkerStopped { loop_id, worker } => {
            Kind::WorkerStopped(pb::WorkerStopped { loop_id: loop_id.0, worker: worker.0 })
        }
        EventKind::TaskSpawned { task, loop_id, spawn_location, parent, kind } => {
            Kind::TaskSpawned(pb::TaskSpawned {
                task_id: task.0,
                loop_id: loop_id.0,
                spawn_location_id: spawn_location.0,
                parent_task_id: parent.0,
                kind: encode_task_kind(kind).into(),
            })
        }
        EventKind::TaskNamed { task, name } => {
            Kind::TaskNamed(pb::TaskNamed { task_id: task.0, name_id: name.0 })
        }
        EventKind::BlockingStarted { task } => {
            Kind::BlockingStarted(pb::BlockingStarted { task_id: task.0 })
        }
        EventKind::TaskEnded { task, outcome } => Kind::TaskEnded(pb::TaskEnded {
            task_id: task.0,
            outcome: encode_outcome(outcome).into(),
        }),
        EventKind::ResourceOpened { resource, kind, name, open_location, task, stack } => {
            Kind::ResourceOpened(pb::ResourceOpened {
                resource_id: resource.0,
                kind,
                name,
                open_location_id: open_location.0,
                task_id: task.0,
                stack_id: stack.0,
            })
        }
        EventKind::ResourceClosed { resource, how } => Kind::ResourceClosed(pb::ResourceClosed {
            resource_id: resource.0,
            how: encode_how(how).into(),
        }),
        EventKind::StackSample {
            loop_id,
            worker,
            task,
            poll_started_at,
            stack,
            running,
            syscall,
            wchan,
        } => Kind::StackSample(pb::StackSample {
            loop_id: loop_id.0,
            worker: worker.0,
            task_id: task.0,
            poll_started_at: poll_started_at.0,
            stack_id: stack.0,
            running: encode_running(running).into(),
            syscall,
            wchan,
        }),
        EventKind::Metrics { loop_id, metrics } => Kind::Metrics(pb::Metrics {
            loop_id: loop_id.0,
            metrics: metrics.into_iter().map(encode_metric).collect(),
        }),
        EventKind::ResourceState { resource, readings } => Kind::ResourceState(pb::ResourceState {
            resource_id: resource.0,
            readings: readings.into_iter().map(encode_metric).collect(),
        }),
        EventKind::WaitBegan { wait, task, resource, op, location, amount, holders } => {
            Kind::WaitBegan(pb::WaitBegan {
                wait_id: wait.0,
                task_id: task.0,
                resource_id: resource.0,
                op,
                location_id: location.0,
                amount,
                holders: holders.into_iter().map(encode_holder).collect(),
            })
        }
        EventKind::WaitEnded { wait, how } => {
            Kind::WaitEnded(pb::WaitEnded { wait_id: wait.0, how: encode_wait_how(how).into() })
        }
        EventKind::HoldEnded { resource, hold, waits } => Kind::HoldEnded(pb::HoldEnded {
            resource_id: resource.0,
            hold: Some(encode_holder(hold)),
            waits,
        }),
        EventKind::TaskUnwakeable { task } => {
            Kind::TaskUnwakeable(pb::TaskUnwakeable { task_id: task.0 })
        }
        EventKind::TaskCounted { task, counts } => Kind::TaskCounted(pb::TaskCounted {
            task_id: task.0,
            polls: counts.polls,
            busy_nanos: counts.busy_time,
            wakes: counts.wakes,
            self_wakes: counts.self_wakes,
            scheduled_nanos: counts.scheduled_time,
            first_poll_at: counts.first_poll_at.0,
            last_poll_started_at: counts.last_poll_started_at.0,
            last_poll_ended_at: counts.last_poll_ended_at.0,
            last_woken_at: counts.last_woken_at.0,
            max_poll_nanos: counts.max_poll_time,
            slow_polls: counts.slow_polls,
            since: counts.since.0,
            are_lengths_known: counts.are_lengths_known,
        }),
        EventKind::TaskFields { task, fields } => {
            Kind::TaskFields(pb::TaskFields { task_id: task.0, fields: encode_fields(fields) })
        }
        EventKind::Mark { task, level, target, message, fields, location } => {
            Kind::Mark(pb::Mark {
                task_id: task.0,
                level: encode_level(level).into(),
                target,
                message,
                fields: encode_fields(fields),
                location_id: location.0,
            })
        }
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
        } => Kind::AppSpan(pb::AppSpan {
            span_id: span.0,
            parent_span_id: parent.0,
            task_id: task.0,
            name,
            target,
            opened_at: opened_at.0,
            busy_nanos: busy_time,
            fields: encode_fields(fields),
            location_id: location.0,
        }),
        EventKind::TaskDumped { dump, task, stack, awaits, awaits_task, resource } => {
            Kind::TaskDumped(pb::TaskDumped {
                dump_id: dump.0,
                task_id: task.0,
                stack_id: stack.0,
                awaits,
                awaits_task_id: awaits_task.0,
                resource_id: resource.0,
            })
        }
        EventKind::DumpEnded { dump, tasks, left_out, reason } => {
            Kind::DumpEnded(pb::DumpEnded { dump_id: dump.0, tasks, left_out, reason })
        }
        EventKind::CoverageChanged { coverage, settings } => {
            Kind::CoverageChanged(pb::CoverageChanged {
                coverage: coverage.into_iter().map(encode_coverage).collect(),
                settings: Some(encode_settings(settings)),
            })
        }
    };
    pb::Event { at: event.at.0, kind: Some(kind) }
}

fn encode_holder(holder: model::Holder) -> pb::Holder {
    pb::Holder {
        task_id: holder.task.0,
        since_at: holder.since.0,
        location_id: holder.location.0,
        amount: holder.amount,
    }
}

fn encode_fields(fields: Vec<(String, String)>) -> Vec<pb::Pair> {
    fields.into_iter().map(|(key, value)| pb::Pair { key, value }).collect()
}

pub(crate) fn encode_wait_how(how: model::WaitHow) -> pb::wait_ended::How {
    match how {
        model::WaitHow::Ready => pb::wait_ended::How::Ready,
        model::WaitHow::Cancelled => pb::wait_ended::How::Cancelled,
        model::WaitHow::Unknown => pb::wait_ended::How::Unspecified,
    }
}

fn encode_level(level: model::MarkLevel) -> pb::mark::Level {
    match level {
        model::MarkLevel::None => pb::mark::Level::Unspecified,
        model::MarkLevel::Trace => pb::mark::Level::Trace,
        model::MarkLevel::Debug => pb::mark::Level::Debug,
        model::MarkLevel::Info => pb::mark::Level::Info,
        model::MarkLevel::Warn => pb::mark::Level::Warn,
        model::MarkLevel::Error => pb::mark::Level::Error,
    }
}

fn encode_metric(metric: model::Metric) -> pb::Metric {
    pb::Metric {
        name: metric.name,
        worker: metric.worker.map(|worker| worker.0),
        value: metric.value,
    }
}

pub(crate) fn encode_task_kind(kind: model::TaskKind) -> pb::TaskKind {
    match kind {
        model::TaskKind::Async => pb::TaskKind::Async,
        model::TaskKind::Local => pb::TaskKind::Local,
        model::TaskKind::BlockOn => pb::TaskKind::BlockOn,
        model::TaskKind::Blocking => pb::TaskKind::Blocking,
        model::TaskKind::Callback => pb::TaskKind::Callback,
    }
}

pub(crate) fn encode_outcome(outcome: model::Outcome) -> pb::task_ended::Outcome {
    match outcome {
        model::Outcome::Unknown => pb::task_ended::Outcome::Unspecified,
        model::Outcome::Completed => pb::task_ended::Outcome::Completed,
        model::Outcome::Panicked => pb::task_ended::Outcome::Panicked,
        model::Outcome::Cancelled => pb::task_ended::Outcome::Cancelled,
        model::Outcome::Raised => pb::task_ended::Outcome::Raised,
        model::Outcome::Destroyed => pb::task_ended::Outcome::Destroyed,
    }
}

pub(crate) fn encode_how(how: model::CloseHow) -> pb::resource_closed::How {
    match how {
        model::CloseHow::Closed => pb::resource_closed::How::Closed,
        model::CloseHow::Dropped => pb::resource_closed::How::Dropped,
        model::CloseHow::Unclosed => pb::resource_closed::How::Unclosed,
    }
}

fn encode_running(running: model::Running) -> pb::stack_sample::Running {
    match running {
        model::Running::Unknown => pb::stack_sample::Running::Unspecified,
        model::Running::OnCpu => pb::stack_sample::Running::OnCpu,
        model::Running::OffCpu => pb::stack_sample::Running::OffCpu,
    }
}

fn encode_record_kind(kind: RecordKind) -> pb::RecordKind {
    match kind {
        RecordKind::Poll => pb::RecordKind::Poll,
        RecordKind::Park => pb::RecordKind::Park,
        RecordKind::Wake => pb::RecordKind::Wake,
        RecordKind::Task => pb::RecordKind::Task,
        RecordKind::Resource => pb::RecordKind::Resource,
        RecordKind::Sample => pb::RecordKind::Sample,
        RecordKind::Metric => pb::RecordKind::Metric,
        RecordKind::Loop => pb::RecordKind::Loop,
        RecordKind::Wait => pb::RecordKind::Wait,
        RecordKind::Mark => pb::RecordKind::Mark,
    }
}

fn encode_cause(cause: DropCause) -> pb::loss::Cause {
    match cause {
        DropCause::RingFull => pb::loss::Cause::RingFull,
        DropCause::NoRing => pb::loss::Cause::NoRing,
        DropCause::WindowEvicted => pb::loss::Cause::WindowEvicted,
        DropCause::AgentLimit => pb::loss::Cause::AgentLimit,
        DropCause::ShutdownDeadline => pb::loss::Cause::ShutdownDeadline,
        DropCause::Malformed => pb::loss::Cause::Malformed,
        DropCause::StorageFull => pb::loss::Cause::StorageFull,
        DropCause::StoreRollback => pb::loss::Cause::StoreRollback,
        DropCause::UnknownTail => pb::loss::Cause::UnknownTail,
    }
}

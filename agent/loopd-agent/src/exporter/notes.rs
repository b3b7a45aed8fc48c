//! Notes of the program as events.

use loopd_model::{AppSpanId, EventKind, Nanos, TaskId};

use crate::exporter::stage::Stage;
use crate::exporter::tables::Tables;
use crate::notes::Note;

/// Puts a note into the stage.
pub(crate) fn take(note: Note, stage: &mut Stage, tables: &mut Tables) {
    match note {
        Note::Unwakeable { at, task } => {
            stage.event(at, EventKind::TaskUnwakeable { task: TaskId(task) });
        }
        Note::Fields { at, task, fields } => {
            stage.event(at, EventKind::TaskFields { task: TaskId(task), fields });
        }
        Note::Mark { at, task, location, level, target, message, fields } => {
            let (task, location) = (TaskId(task), tables.location(location));
            stage.event(at, EventKind::Mark { task, level, target, message, fields, location });
        }
        Note::AppSpan(span) => {
            let event = EventKind::AppSpan {
                span: AppSpanId(span.span),
                parent: AppSpanId(span.parent),
                task: TaskId(span.task),
                name: span.name,
                target: span.target,
                // In ticks until the stage is sealed, and so is the length.
                opened_at: Nanos(span.opened_at),
                busy_time: span.busy_time,
                fields: span.fields,
                location: tables.location(span.location),
            };
            stage.event(span.at, event);
        }
    }
}

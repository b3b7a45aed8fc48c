//! Puts what became of file descriptors into the stage.

use loopd_model::{CloseHow, EventKind, LocationId, ResourceId, StackId, TaskId};

use crate::exporter::stage::Stage;
use crate::exporter::tables::Tables;
use crate::fds::{self, Change, Stack};

/// Stages what is to be told; says whether that was all, or the stage is full.
pub(crate) fn stage_changes(stage: &mut Stage, tables: &mut Tables) -> bool {
    while !stage.is_full() {
        let Some((at, change)) = fds::next_change() else { return true };
        let event = match change {
            Change::Opened { resource, kind, name, task, stack } => {
                let (stack, open_location) =
                    stack.map_or((StackId::NONE, LocationId::NONE), |stack| ids(&stack, tables));
                EventKind::ResourceOpened {
                    resource: ResourceId(resource),
                    kind: kind.to_owned(),
                    name,
                    open_location,
                    task: TaskId(task),
                    stack,
                }
            }
            Change::Closed { resource } => {
                EventKind::ResourceClosed { resource: ResourceId(resource), how: CloseHow::Closed }
            }
        };
        stage.event(at, event);
    }
    false
}

/// None when a table is full.
fn ids(stack: &Stack, tables: &mut Tables) -> (StackId, LocationId) {
    let known = tables.known_stack(&stack.addresses);
    let id = known.or_else(|| tables.stack(stack.addresses.clone(), stack.frames.clone()));
    let place = stack.place.as_ref();
    let location = place.map_or(LocationId::NONE, |(file, line)| tables.location_at(file, *line));
    (id.unwrap_or(StackId::NONE), location)
}

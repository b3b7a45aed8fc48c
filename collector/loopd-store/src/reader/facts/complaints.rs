//! What asyncio complained of in a range.

use loopd_analysis::checks::{self, Complaint};
use loopd_model::UnixNanos;
use rusqlite::Connection;

use super::lookup::Lookup;
use super::{Range, place};
use crate::reader::Reader;
use crate::{MarkQuery, MarkRow, StoreError};

/// A task that is freed in the middle has to be kept by whoever spawned it; when it is freed, another
/// line runs that has nothing to do with it.
const TOLD_OF_THE_SPAWNER: &str = "task_destroyed_pending";
/// The field with the task's id.
const TASK: &str = "task_id";

impl Reader {
    pub(super) async fn complaints_of(&self, range: Range) -> Result<Vec<Complaint>, StoreError> {
        let query = MarkQuery {
            process: range.process,
            from: Some(UnixNanos(range.from)),
            to: Some(UnixNanos(range.end())),
            ..MarkQuery::default()
        };
        let marks = self.complaints(&query).await?.rows;
        let complaints: Vec<_> = marks.into_iter().map(complaint).collect();
        let spawned = move |db: &Connection| {
            let mut lookup = Lookup::new(db, range.process.0, range.to)?;
            let mut complaints = complaints;
            for complaint in &mut complaints {
                let Some(task) = task_to_keep(complaint) else { continue };
                if let Some(place) = lookup.task(task)?.and_then(|task| task.place) {
                    complaint.location = Some(place);
                }
            }
            Ok(complaints)
        };
        self.raw.ask(spawned).await.map_err(StoreError::sqlite("read what complaints are about"))
    }
}

fn complaint(mark: MarkRow) -> Complaint {
    Complaint {
        at: mark.at,
        level: mark.level,
        message: mark.message,
        fields: mark.fields,
        location: mark.location.as_ref().map(place),
    }
}

/// The task whose spawner is to blame.
fn task_to_keep(complaint: &Complaint) -> Option<i64> {
    let field = |name| complaint.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    field(checks::FIELD).filter(|check| *check == TOLD_OF_THE_SPAWNER)?;
    field(TASK)?.parse::<u64>().ok().map(u64::cast_signed)
}

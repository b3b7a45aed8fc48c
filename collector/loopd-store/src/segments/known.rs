//! Whose the spans of segments are, of those that were read last. To unpack that takes most of the time of a look at
//! a few pages, and whoever looks at some mostly looks at their neighbours at once: the pieces of a view are asked
//! for side by side.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopd_model::stored::{Directory, Group, Page, Subject};
use rusqlite::Result;

use super::Read;

/// So many bytes are kept: segments of a view of dozens of workers.
const MAX_BYTES: usize = 16 << 20;

/// Task columns that were unpacked. Cheap to clone: all clones keep the same.
#[derive(Clone, Debug)]
pub(crate) struct KnownTasks {
    /// The one used last comes last. `None`: nothing is kept.
    kept: Option<Arc<Mutex<Vec<Arc<Known>>>>>,
}

/// One segment.
#[derive(Debug)]
struct Known {
    id: i64,
    /// It has the checksums of what was unpacked: a segment that took this one's place and number is not taken for it.
    directory: Directory,
    /// Locked while one unpacks it and the others wait.
    tasks: Mutex<Option<Arc<Tasks>>>,
}

/// The task column of a segment.
#[derive(Debug)]
pub(super) struct Tasks {
    /// For each span the place of its task.
    slots: Vec<u32>,
    subjects: Vec<Subject>,
}

impl Default for KnownTasks {
    fn default() -> Self {
        Self { kept: Some(Arc::default()) }
    }
}

impl KnownTasks {
    /// For one look that keeps nothing.
    pub(super) const fn none() -> Self {
        Self { kept: None }
    }

    /// The tasks of a segment, unpacked if they are not known.
    pub(super) fn of(
        &self,
        id: i64,
        directory: &Directory,
        unpack: impl FnOnce() -> Result<Read<(Vec<u32>, Vec<Subject>)>>,
    ) -> Result<Read<Arc<Tasks>>> {
        let unpack = || {
            let unpacked = unpack()?;
            Ok(unpacked.map(|(slots, subjects)| Arc::new(Tasks { slots, subjects })))
        };
        let Some(kept) = &self.kept else { return unpack() };
        let known = find(kept, id, directory);
        let mut tasks = locked(&known.tasks);
        if let Some(tasks) = &*tasks {
            return Ok(Ok(Arc::clone(tasks)));
        }
        let unpacked = unpack()?;
        if let Ok(unpacked) = &unpacked {
            *tasks = Some(Arc::clone(unpacked));
            drop(tasks);
            trim(kept);
        }
        Ok(unpacked)
    }
}

/// What is kept of a segment, which is now the one used last.
fn find(kept: &Mutex<Vec<Arc<Known>>>, id: i64, directory: &Directory) -> Arc<Known> {
    let mut kept = locked(kept);
    let at = kept.iter().position(|known| known.id == id);
    let known = at.map(|at| kept.remove(at)).filter(|known| known.directory == *directory);
    let known = known.unwrap_or_else(|| {
        Arc::new(Known { id, directory: directory.clone(), tasks: Mutex::default() })
    });
    kept.push(Arc::clone(&known));
    known
}

/// Forgets what was used longest ago.
fn trim(kept: &Mutex<Vec<Arc<Known>>>) {
    let mut kept = locked(kept);
    let mut left = MAX_BYTES;
    let mut is_kept = |known: &Arc<Known>| {
        let bytes = known.bytes();
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    };
    let count = kept.iter().rev().take_while(|known| is_kept(known)).count();
    let forgotten = kept.len() - count;
    kept.drain(..forgotten);
}

impl Known {
    fn bytes(&self) -> usize {
        let Directory { locations, pages, groups, .. } = &self.directory;
        // Whoever unpacks it just now makes room himself.
        let of_tasks =
            self.tasks.try_lock().ok().and_then(|tasks| tasks.as_ref().map(|it| it.bytes()));
        size_of_val(&locations[..])
            + pages.len() * size_of::<Page>()
            + groups.len() * size_of::<Group>()
            + of_tasks.unwrap_or(0)
    }
}

impl Tasks {
    /// Whose a span is.
    pub(super) fn of(&self, position: usize) -> Subject {
        self.slots.get(position).map_or_else(Subject::default, |&slot| self.subjects[slot as usize])
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.slots[..]) + size_of_val(&self.subjects[..])
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use loopd_model::stored::{Columns, encode};
    use loopd_model::{RecordKind, TaskId};

    use super::*;

    /// Of a segment with one span, which begins at `start`.
    fn directory(start: u64) -> Directory {
        let tasks = [Subject { task: TaskId(7), ..Subject::default() }];
        let kind = RecordKind::Poll;
        let (start, length, slot) = (&[start][..], &[1][..], &[0][..]);
        let bytes =
            encode(&Columns { kind, start, length, slot, tasks: &tasks, by: &[], count: &[] });
        Directory::read(&bytes).unwrap()
    }

    /// Asks for a segment that would have so many spans; whether it had to be unpacked.
    fn is_unpacked(known: &KnownTasks, id: i64, directory: &Directory, spans: usize) -> bool {
        let mut is_unpacked = false;
        let unpack = || {
            is_unpacked = true;
            Ok(Ok((
                vec![0; spans],
                vec![Subject { task: TaskId(id as u64), ..Subject::default() }],
            )))
        };
        let tasks = known.of(id, directory, unpack).unwrap().unwrap();
        assert_eq!(tasks.of(spans - 1).task, TaskId(id as u64));
        assert_eq!(tasks.of(spans), Subject::default());
        is_unpacked
    }

    #[test]
    fn a_segment_is_unpacked_once_until_another_has_its_number() {
        let known = KnownTasks::default();
        let (one, other) = (directory(1), directory(2));
        assert!(is_unpacked(&known, 1, &one, 10));
        assert!(!is_unpacked(&known.clone(), 1, &one, 10));
        assert!(is_unpacked(&known, 2, &one, 10));
        assert!(is_unpacked(&known, 1, &other, 10));
        assert!(is_unpacked(&known, 1, &one, 10), "only the latest of a number is kept");
        assert!(is_unpacked(&KnownTasks::none(), 1, &one, 10));
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_first() {
        let (known, directory) = (KnownTasks::default(), directory(1));
        let quarter = MAX_BYTES / 4 / size_of::<u32>();
        for id in 1..=3 {
            assert!(is_unpacked(&known, id, &directory, quarter));
        }
        assert!(!is_unpacked(&known, 1, &directory, quarter));
        assert!(is_unpacked(&known, 4, &directory, quarter), "it is a little more than a quarter");
        assert!(!is_unpacked(&known, 1, &directory, quarter));
        assert!(is_unpacked(&known, 2, &directory, quarter));
        assert!(is_unpacked(&known, 5, &directory, 5 * quarter), "more than is kept in all");
        assert!(is_unpacked(&known, 5, &directory, 5 * quarter));
    }

    #[test]
    fn what_cannot_be_read_is_not_kept() {
        let (known, directory) = (KnownTasks::default(), directory(1));
        let unreadable = || Ok(Err(loopd_model::segment::SegmentError::Magic));
        assert!(known.of(1, &directory, unreadable).unwrap().is_err());
        assert!(is_unpacked(&known, 1, &directory, 10));
    }
}

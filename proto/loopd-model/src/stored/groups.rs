//! Groups: which spans are whose, as the positions of each task's.

use super::directory::GROUP_TASKS;
use super::{Directory, Subject};
use crate::bits::{BitReader, BitWriter, bit_length};
use crate::head::check_part;
use crate::segment::{SegmentError, unzigzag};
use crate::{LocationId, TaskId};

/// The greatest parameter of a task's distances: they are less than [`super::MAX_SPANS`].
pub(super) const MAX_RICE: u32 = 20;
const BAD: SegmentError = SegmentError::Invalid("group");
/// The slot of a span that no task has claimed yet.
const UNCLAIMED: u32 = u32::MAX;

/// What a group says about one task before the positions.
#[derive(Clone, Copy, Default)]
struct Entry {
    subject: Subject,
    spans: usize,
    first: u32,
    rice: u32,
}

impl Directory {
    /// The whole task column out of the bytes of all groups: for every span the place of its task in
    /// the list, which is in ascending order of ids.
    pub fn tasks(&self, bytes: &[u8]) -> Result<(Vec<u32>, Vec<Subject>), SegmentError> {
        let range = self.groups_range();
        if bytes.len() != range.len() {
            return Err(SegmentError::Length { expected: range.len(), actual: bytes.len() });
        }
        let mut slots = vec![UNCLAIMED; self.header.count];
        let mut tasks = Vec::with_capacity(self.header.tasks);
        let mut claimed = 0;
        for (place, group) in self.groups.iter().enumerate() {
            let (begin, end) = (group.range.start - range.start, group.range.end - range.start);
            claimed += self.claim(place, &bytes[begin..end], &mut slots, &mut tasks)?;
        }
        let last = tasks.last().map(|subject: &Subject| subject.task);
        // No span is claimed twice, so that as many claims as spans leave none out.
        if claimed != slots.len() || last != Some(self.header.max_task) {
            return Err(BAD);
        }
        Ok((slots, tasks))
    }

    /// The tasks of one group out of its bytes, each with its number of spans, behind those in `out`.
    pub fn subjects(
        &self,
        group: usize,
        bytes: &[u8],
        out: &mut Vec<(Subject, usize)>,
    ) -> Result<(), SegmentError> {
        let mut entries = [Entry::default(); GROUP_TASKS];
        let (entries, _) = self.entries(group, bytes, &mut entries)?;
        out.extend(entries.iter().map(|entry| (entry.subject, entry.spans)));
        Ok(())
    }

    /// The positions of one task's spans out of the bytes of its group, ascending; they replace
    /// what was in `out`. `None` if the group does not have the task.
    pub fn positions(
        &self,
        group: usize,
        bytes: &[u8],
        task: TaskId,
        out: &mut Vec<u32>,
    ) -> Result<Option<LocationId>, SegmentError> {
        out.clear();
        let mut entries = [Entry::default(); GROUP_TASKS];
        let (entries, mut bits) = self.entries(group, bytes, &mut entries)?;
        let Ok(place) = entries.binary_search_by_key(&task, |entry| entry.subject.task) else {
            return Ok(None);
        };
        let entry = entries[place];
        if self.header.tasks == 1 {
            out.extend(0..self.header.count as u32);
            return Ok(Some(entry.subject.location));
        }
        for before in &entries[..place] {
            for _ in 1..before.spans {
                bits.rice(before.rice).ok_or(BAD)?;
            }
        }
        out.reserve(entry.spans);
        let mut position = u64::from(entry.first);
        out.push(entry.first);
        for _ in 1..entry.spans {
            position += 1 + bits.rice(entry.rice).ok_or(BAD)?;
            if position >= self.header.count as u64 {
                return Err(BAD);
            }
            out.push(position as u32);
        }
        Ok(Some(entry.subject.location))
    }

    /// Appends the group's tasks, and writes their slots where their spans are. Tells how many spans.
    fn claim(
        &self,
        group: usize,
        bytes: &[u8],
        slots: &mut [u32],
        tasks: &mut Vec<Subject>,
    ) -> Result<usize, SegmentError> {
        let mut entries = [Entry::default(); GROUP_TASKS];
        let (entries, mut bits) = self.entries(group, bytes, &mut entries)?;
        let mut claimed = 0;
        for entry in entries {
            let slot = tasks.len() as u32;
            tasks.push(entry.subject);
            claimed += entry.spans;
            if self.header.tasks == 1 {
                slots.fill(slot);
                continue;
            }
            let mut position = u64::from(entry.first);
            claim_one(slots, position, slot)?;
            for _ in 1..entry.spans {
                position += 1 + bits.rice(entry.rice).ok_or(BAD)?;
                claim_one(slots, position, slot)?;
            }
        }
        if bits.is_done() { Ok(claimed) } else { Err(BAD) }
    }

    /// What a group says before the positions, and the bits behind it.
    fn entries<'a, 'b>(
        &self,
        group: usize,
        bytes: &'a [u8],
        entries: &'b mut [Entry; GROUP_TASKS],
    ) -> Result<(&'b [Entry], BitReader<'a>), SegmentError> {
        let next = self.groups.get(group + 1).map(|next| next.first_task);
        let group = self.groups.get(group).ok_or(BAD)?;
        check_part(bytes, &group.range, group.crc)?;
        let entries = &mut entries[..group.tasks];
        let mut bits = BitReader::new(bytes);
        let n = self.header.count;
        if let ([entry], 1) = (&mut *entries, self.header.tasks) {
            let location = LocationId(self.locations[0]);
            let subject = Subject { task: group.first_task, location };
            *entry = Entry { subject, spans: n, ..Entry::default() };
            return Ok((entries, bits));
        }
        let parameters = Parameters::take(&mut bits);
        let location_bits = bit_length(self.locations.len() as u64 - 1);
        let mut task = group.first_task.0;
        let (mut before, mut total) = (0, 0);
        for (place, entry) in entries.iter_mut().enumerate() {
            if place > 0 {
                let distance = bits.gamma(parameters.id).ok_or(BAD)?;
                let next = distance.checked_add(1).and_then(|distance| task.checked_add(distance));
                task = next.ok_or(BAD)?;
            }
            let location = self.locations.get(bits.take(location_bits) as usize).ok_or(BAD)?;
            let spans = bits.gamma(parameters.spans).filter(|&more| more < n as u64).ok_or(BAD)?;
            let first = bits.gamma(parameters.first).ok_or(BAD)?;
            let first = match parameters.is_relative {
                true => before + unzigzag(first),
                false => first as i64,
            };
            if !(0..n as i64).contains(&first) {
                return Err(BAD);
            }
            before = first;
            let rice = if spans > 0 { bits.take(5) as u32 } else { 0 };
            let subject = Subject { task: TaskId(task), location: LocationId(*location) };
            *entry = Entry { subject, spans: spans as usize + 1, first: first as u32, rice };
            total += spans as usize;
            if rice > MAX_RICE {
                return Err(BAD);
            }
        }
        // Each position takes a bit at least.
        let is_too_great = TaskId(task) > self.header.max_task
            || next.is_some_and(|next| TaskId(task) >= next)
            || total > bits.left();
        if is_too_great { Err(BAD) } else { Ok((entries, bits)) }
    }
}

#[inline(always)]
fn claim_one(slots: &mut [u32], position: u64, slot: u32) -> Result<(), SegmentError> {
    match slots.get_mut(position as usize) {
        Some(claimed) if *claimed == UNCLAIMED => {
            *claimed = slot;
            Ok(())
        }
        _ => Err(BAD),
    }
}

/// How the numbers of a group are coded.
pub(super) struct Parameters {
    pub(super) id: u32,
    pub(super) spans: u32,
    pub(super) first: u32,
    pub(super) is_relative: bool,
}

impl Parameters {
    fn take(bits: &mut BitReader<'_>) -> Self {
        Self {
            id: bits.take(6) as u32,
            spans: bits.take(5) as u32,
            first: bits.take(5) as u32,
            is_relative: bits.take(1) == 1,
        }
    }

    pub(super) fn put(&self, bits: &mut BitWriter<'_>) {
        bits.put(u64::from(self.id), 6);
        bits.put(u64::from(self.spans), 5);
        bits.put(u64::from(self.first), 5);
        bits.put(u64::from(self.is_relative), 1);
    }
}

//! The positions of each task's spans, and how groups are made of them. Spans are sorted by task without
//! hashing, since their tasks are numbered already.

use std::ops::Range;

use super::directory::GROUP_TASKS;
use super::groups::{MAX_RICE, Parameters};
use super::{Group, Subject};
use crate::bits::{BitWriter, best_gamma, best_rice, bit_length};
use crate::segment::zigzag;

/// A group ends before a task that would bring it over so many spans, so that finding one task does
/// not mean to read all of a program that has few.
const GROUP_SPANS: usize = 2_048;

/// The positions of each task's spans.
pub(super) struct Postings {
    /// The tasks that have spans, ascending.
    pub(super) tasks: Vec<Subject>,
    /// Where the positions of each begin, and where those of the last end.
    begins: Vec<u32>,
    positions: Vec<u32>,
}

impl Postings {
    pub(super) fn of(slot: &[u32], subjects: &[Subject]) -> Self {
        let mut spans = vec![0u32; subjects.len()];
        slot.iter().for_each(|&slot| spans[slot as usize] += 1);
        let used = (0..subjects.len() as u32).filter(|&slot| spans[slot as usize] > 0);
        let mut used: Vec<(u64, u32)> = used.map(|s| (subjects[s as usize].task.0, s)).collect();
        used.sort_unstable();

        let mut tasks: Vec<Subject> = Vec::with_capacity(used.len());
        let mut begins = Vec::with_capacity(used.len() + 1);
        // From here on, of each slot the place in `begins`.
        let mut places = vec![0u32; subjects.len()];
        let mut total = 0;
        for &(task, slot) in &used {
            if tasks.last().is_none_or(|last| last.task.0 != task) {
                tasks.push(subjects[slot as usize]);
                begins.push(total);
            }
            places[slot as usize] = tasks.len() as u32 - 1;
            total += spans[slot as usize];
        }
        let mut next = begins.clone();
        let mut positions = vec![0; slot.len()];
        for (position, &slot) in slot.iter().enumerate() {
            let next = &mut next[places[slot as usize] as usize];
            positions[*next as usize] = position as u32;
            *next += 1;
        }
        begins.push(total);
        Self { tasks, begins, positions }
    }

    /// The positions of one task's spans, by its place in `tasks`; ascending, at least one.
    fn positions(&self, task: usize) -> &[u32] {
        &self.positions[self.begins[task] as usize..self.begins[task + 1] as usize]
    }

    /// Appends the groups to `body`.
    pub(super) fn put(&self, locations: &[u64], body: &mut Vec<u8>) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut first = 0;
        while first < self.tasks.len() {
            let (mut last, mut spans) = (first, 0);
            while last < self.tasks.len() && last - first < GROUP_TASKS {
                spans += self.positions(last).len();
                if spans > GROUP_SPANS && last > first {
                    break;
                }
                last += 1;
            }
            let begin = body.len();
            if self.tasks.len() > 1 {
                self.put_group(first..last, locations, body);
            }
            groups.push(Group {
                range: begin..body.len(),
                first_task: self.tasks[first].task,
                tasks: last - first,
                crc: crc32fast::hash(&body[begin..]),
            });
            first = last;
        }
        groups
    }

    fn put_group(&self, range: Range<usize>, locations: &[u64], body: &mut Vec<u8>) {
        let tasks = &self.tasks[range.clone()];
        let positions = |place: usize| self.positions(range.start + place);
        let spans: Vec<u64> =
            (0..tasks.len()).map(|task| positions(task).len() as u64 - 1).collect();
        let ids = tasks.windows(2).map(|pair| pair[1].task.0 - pair[0].task.0 - 1);
        let ids: Vec<u64> = ids.collect();
        let absolute: Vec<u64> =
            (0..tasks.len()).map(|task| u64::from(positions(task)[0])).collect();
        let mut before = 0;
        let relative = absolute.iter().map(|&first| {
            let distance = zigzag(first as i64 - before);
            before = first as i64;
            distance
        });
        let relative: Vec<u64> = relative.collect();
        let (alone, alone_bits) = best_gamma(&absolute, 31);
        let (chained, chained_bits) = best_gamma(&relative, 31);
        let is_relative = chained_bits < alone_bits;
        let parameters = Parameters {
            id: best_gamma(&ids, 63).0,
            spans: best_gamma(&spans, 31).0,
            first: if is_relative { chained } else { alone },
            is_relative,
        };
        let firsts = if is_relative { relative } else { absolute };

        let mut bits = BitWriter::new(body);
        parameters.put(&mut bits);
        let location_bits = bit_length(locations.len() as u64 - 1);
        let mut distances: Vec<u32> = Vec::new();
        let mut rices = [0; GROUP_TASKS];
        for (place, subject) in tasks.iter().enumerate() {
            if place > 0 {
                bits.gamma(ids[place - 1], parameters.id);
            }
            let location = locations.binary_search(&subject.location.0).unwrap_or(0);
            bits.put(location as u64, location_bits);
            bits.gamma(spans[place], parameters.spans);
            bits.gamma(firsts[place], parameters.first);
            if spans[place] > 0 {
                let begin = distances.len();
                distances.extend(positions(place).windows(2).map(|pair| pair[1] - pair[0] - 1));
                rices[place] = best_rice(&distances[begin..], MAX_RICE);
                bits.put(u64::from(rices[place]), 5);
            }
        }
        let mut distances = distances.into_iter();
        for (place, &spans) in spans.iter().enumerate() {
            for distance in distances.by_ref().take(spans as usize) {
                bits.rice(u64::from(distance), rices[place]);
            }
        }
        bits.finish();
    }
}

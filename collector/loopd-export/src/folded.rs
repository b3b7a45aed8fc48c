//! Stacks taken in long polls as folded lines, for flame graphs.
//!
//! A line is `program;loop;spawn location;outermost frame;…;innermost frame weight`. The weight is
//! in microseconds: the part of its poll that a sample stands for, so that the weights of a poll
//! add up to its length.

use std::collections::BTreeMap;
use std::io::Write;

use loopd_analysis::slow;
use loopd_store::{ProcessKey, Value};

use crate::names::Names;
use crate::source::{integer, text};
use crate::{ExportError, Source};

/// So many different lines are added up before they are written. Readers add up again.
const MAX_LINES: usize = 1 << 14;

/// Writes the stacks.
pub fn folded(source: &Source, out: impl Write) -> Result<(), ExportError> {
    let mut programs = Vec::new();
    source.each("processes", "process, app", |row| {
        programs.push((ProcessKey(integer(&row[0])), text(&row[1]).to_owned()));
        Ok::<_, ExportError>(())
    })?;
    let mut lines = Lines { out, weights: BTreeMap::new() };
    for (process, app) in programs {
        of_process(source, process, &app, &mut lines)?;
    }
    lines.flush()?;
    Ok(lines.out.flush()?)
}

fn of_process<W: Write>(
    source: &Source,
    process: ProcessKey,
    app: &str,
    lines: &mut Lines<W>,
) -> Result<(), ExportError> {
    let mut loops = BTreeMap::new();
    source.each_of(process, "loops", "loop, name", |row| {
        loops.insert(integer(&row[0]), text(&row[1]).to_owned());
        Ok::<_, ExportError>(())
    })?;
    let mut names = Names::new(process);
    let mut poll: Option<Poll> = None;
    let columns = "loop, worker, poll_started_at, at, task, stack";
    let order = "loop, worker, poll_started_at, at";
    let mut tell = |poll: Poll| -> Result<(), ExportError> {
        let end_at = end_of(source, process, &poll)?;
        let task = names.task(source, poll.task)?;
        let of_loop = loops.get(&poll.key.0).map_or("", String::as_str);
        for (weight, stack) in poll.weights(end_at) {
            let mut line = String::new();
            for part in [app, of_loop, task.of_polls()] {
                push(&mut line, part);
            }
            for frame in names.stack(source, stack)?.iter().rev() {
                push(&mut line, &frame.function);
            }
            lines.add(line, weight)?;
        }
        Ok(())
    };
    source.each_by(process, "samples", columns, order, |row| {
        let key = (integer(&row[0]), integer(&row[1]), integer(&row[2]));
        let sample = (integer(&row[3]), integer(&row[5]));
        match &mut poll {
            Some(poll) if poll.key == key => poll.samples.push(sample),
            other => {
                let next = Poll { key, task: integer(&row[4]), samples: vec![sample] };
                if let Some(done) = other.replace(next) {
                    tell(done)?;
                }
            }
        }
        Ok::<_, ExportError>(())
    })?;
    poll.map_or(Ok(()), tell)
}

/// A poll in which stacks were taken.
struct Poll {
    /// Loop, worker, and start.
    key: (i64, i64, i64),
    task: i64,
    /// Instants and stacks, in order. A poll has only so many.
    samples: Vec<(i64, i64)>,
}

impl Poll {
    /// How long each stack stands for, in nanoseconds.
    fn weights(&self, end_at: i64) -> impl Iterator<Item = (u64, i64)> {
        let taken_at: Vec<_> = self.samples.iter().map(|&(at, _)| at).collect();
        let weights = slow::weights(self.key.2, end_at, &taken_at);
        weights.into_iter().zip(self.samples.iter().map(|&(_, stack)| stack))
    }
}

/// When a poll ended; the instant of its last sample if that is not known.
fn end_of(source: &Source, process: ProcessKey, poll: &Poll) -> Result<i64, ExportError> {
    let (loop_id, worker, start_at) = poll.key;
    let mut end_at = poll.samples.last().map_or(start_at, |(at, _)| *at);
    let binds = [process.0, loop_id, worker, start_at].map(Value::Integer);
    let mut is_known = false;
    // Polls that are near the threshold but not over it are among all polls only.
    for view in ["slow", "polls"] {
        let sql = format!(
            "SELECT length FROM {view} WHERE process = ?1 AND loop = ?2 AND worker = ?3
             AND start_at = ?4 AND length IS NOT NULL LIMIT 1"
        );
        if !is_known {
            source.rows(&sql, &binds, |row| {
                is_known = true;
                end_at = end_at.max(start_at.saturating_add(integer(&row[0])));
                Ok::<_, ExportError>(())
            })?;
        }
    }
    Ok(end_at)
}

struct Lines<W> {
    out: W,
    /// In nanoseconds: rounded once, not sample by sample.
    weights: BTreeMap<String, u64>,
}

impl<W: Write> Lines<W> {
    fn add(&mut self, line: String, weight: u64) -> Result<(), ExportError> {
        let sum = self.weights.entry(line).or_default();
        *sum = sum.saturating_add(weight);
        if self.weights.len() >= MAX_LINES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        for (line, nanos) in std::mem::take(&mut self.weights) {
            writeln!(self.out, "{line} {}", nanos.saturating_add(500) / 1_000)?;
        }
        Ok(())
    }
}

/// Adds a part to a line; what would end it or the line is replaced.
fn push(line: &mut String, part: &str) {
    if !line.is_empty() {
        line.push(';');
    }
    let part = if part.is_empty() { "?" } else { part };
    line.extend(part.chars().map(|c| match c {
        ';' => ',',
        c if c.is_control() => ' ',
        c => c,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_of_a_poll_has_its_part_of_it() {
        let poll = Poll { key: (1, 0, 100), task: 1, samples: vec![(150, 1), (170, 2), (200, 1)] };
        assert!(poll.weights(240).eq([(60, 1), (25, 2), (55, 1)]));
    }

    #[test]
    fn names_cannot_end_a_part_or_a_line() {
        let mut line = String::new();
        ["a;b", "", "c\nd"].iter().for_each(|part| push(&mut line, part));
        assert_eq!(line, "a,b;?;c d");
    }
}

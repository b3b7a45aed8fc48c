//! Which file descriptors are open, from one look to the next. Pure: looks and notes come in,
//! openings to report and closings go out.

use std::collections::HashMap;

use super::scan::Identity;

/// What was noted when a file descriptor was opened or closed; nothing is noted of those that are
/// only found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// Counts what was noted of this number; 0 for nothing.
    pub(super) generation: u32,
    /// When it was opened, in ticks; 0 when the last thing noted is a close.
    pub(super) opened_at: u64,
    /// When it was first closed after this was last asked; 0 if it was not.
    pub(super) closed_at: u64,
    /// The task that opened it; 0 for none.
    pub(super) task: u64,
}

/// A resource whose file descriptor is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) resource: u64,
    pub(super) at: u64,
}

/// One that has been open for long enough to be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) fd: i32,
    /// When it was opened, or first found.
    pub(super) at: u64,
    pub(super) note: Note,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not reported yet.
    New,
    /// The agent's own, or none of anybody's business.
    Passed,
    /// Reported as this resource.
    Reported(u64),
}

struct Known {
    identity: Identity,
    /// What was noted of its opening; nothing of an older one.
    note: Note,
    /// What the number's notes counted when this was last looked at.
    generation: u32,
    found_at: u64,
    found_in: u64,
    seen_in: u64,
    state: State,
}

/// See the module.
pub(super) struct Table {
    known: HashMap<i32, Known>,
    limit: usize,
    /// Counts looks.
    look: u64,
    /// Open in the latest look, and not in the table for want of room.
    beyond: usize,
}

impl Table {
    /// An empty table for this many file descriptors; of more, those found later are left out.
    pub(super) fn new(limit: usize) -> Self {
        Self { known: HashMap::new(), limit, look: 0, beyond: 0 }
    }

    /// A look begins: [`Table::see`] is called for everything open, then [`Table::end_look`].
    pub(super) fn begin_look(&mut self) {
        self.look += 1;
        self.beyond = 0;
    }

    /// This one is open. Gives what its number stood for before, if that was reported.
    pub(super) fn see(
        &mut self,
        now: u64,
        fd: i32,
        identity: Identity,
        note: Note,
    ) -> Option<Closed> {
        let look = self.look;
        let fresh = Known {
            identity,
            note,
            generation: note.generation,
            found_at: now,
            found_in: look,
            seen_in: look,
            state: State::New,
        };
        let Some(known) = self.known.get_mut(&fd) else {
            if self.known.len() < self.limit {
                self.known.insert(fd, fresh);
            } else {
                self.beyond += 1;
            }
            return None;
        };
        known.seen_in = look;
        let is_reopened = note.generation != known.generation && note.opened_at != 0;
        // Noted after it was found: still the same one.
        let is_late = is_reopened && known.note.generation == 0 && known.state == State::New;
        if known.identity == identity && (!is_reopened || is_late) {
            // Also with a close noted: by a child that shares our memory, so not here.
            if is_late {
                (known.note, known.generation) = (note, note.generation);
            }
            return None;
        }
        let at = if note.closed_at != 0 { note.closed_at } else { now };
        // Another file without another note: its opening was not noted.
        let note = if is_reopened { note } else { Note::default() };
        let before = std::mem::replace(known, Known { note, ..fresh });
        before.closed(at)
    }

    /// Everything open has been seen; the rest is closed, at the instant that `closed_at` knows for
    /// the number and what was last noted of it.
    pub(super) fn end_look(
        &mut self,
        now: u64,
        closed_at: impl Fn(i32, u32) -> u64,
    ) -> Vec<Closed> {
        let look = self.look;
        let gone = self.known.extract_if(|_, known| known.seen_in != look);
        let closed = gone.filter_map(|(fd, known)| {
            let at = closed_at(fd, known.generation);
            known.closed(if at != 0 { at } else { now })
        });
        closed.collect()
    }

    /// What is to be reported: seen in two looks, so that it is no passing thing. In the last look
    /// everything.
    pub(super) fn due(&self, is_last: bool) -> Vec<Due> {
        let is_due =
            |known: &Known| known.state == State::New && (is_last || known.found_in < self.look);
        let due = self.known.iter().filter(|(_, known)| is_due(known)).map(|(&fd, known)| Due {
            fd,
            at: if known.note.opened_at != 0 { known.note.opened_at } else { known.found_at },
            note: known.note,
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|due| (due.at, due.fd));
        due
    }

    /// It was reported as this resource.
    pub(super) fn set_reported(&mut self, fd: i32, resource: u64) {
        self.set(fd, State::Reported(resource));
    }

    /// It will not be reported.
    pub(super) fn pass_over(&mut self, fd: i32) {
        self.set(fd, State::Passed);
    }

    fn set(&mut self, fd: i32, state: State) {
        if let Some(known) = self.known.get_mut(&fd) {
            known.state = state;
        }
    }

    /// The numbers whose identity is so.
    pub(super) fn with(&self, is_it: impl Fn(&Identity) -> bool) -> Vec<i32> {
        let found = self.known.iter().filter(|(_, known)| is_it(&known.identity));
        found.map(|(&fd, _)| fd).collect()
    }

    /// Open in the latest look, and left out.
    pub(super) fn beyond(&self) -> usize {
        self.beyond
    }

    /// Roughly what the table takes.
    pub(super) fn bytes(&self) -> usize {
        self.known.capacity() * (size_of::<(i32, Known)>() + 1)
    }
}

impl Known {
    fn closed(&self, at: u64) -> Option<Closed> {
        match self.state {
            State::Reported(resource) => Some(Closed { resource, at }),
            State::New | State::Passed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity = Identity { device: 1, inode: 7, what: 0 };
    const OTHER: Identity = Identity { device: 1, inode: 8, what: 0 };

    /// One look at `now` that sees these; reports what is due as resource 100 + its number.
    fn look(table: &mut Table, now: u64, seen: &[(i32, Identity, Note)]) -> String {
        let mut told = Vec::new();
        table.begin_look();
        let replaced: Vec<_> =
            seen.iter().filter_map(|&(fd, who, note)| table.see(now, fd, who, note)).collect();
        let gone = table.end_look(now, |_, _| 0);
        for closed in replaced.iter().chain(&gone) {
            told.push(format!("{} closed at {}", closed.resource, closed.at));
        }
        for due in table.due(false) {
            told.push(format!("{} opened at {} by {}", due.fd, due.at, due.note.task));
            table.set_reported(due.fd, 100 + due.fd as u64);
        }
        told.join(", ")
    }

    fn noted(generation: u32, opened_at: u64, closed_at: u64) -> Note {
        Note { generation, opened_at, closed_at, task: 9 }
    }

    #[test]
    fn what_is_found_twice_is_reported_once_and_closed_when_it_is_gone() {
        let mut table = Table::new(8);
        let found = [(3, FILE, Note::default())];
        assert_eq!(look(&mut table, 10, &found), "");
        assert_eq!(look(&mut table, 20, &found), "3 opened at 10 by 0");
        assert_eq!(look(&mut table, 30, &found), "");
        assert_eq!(look(&mut table, 40, &[]), "103 closed at 40");
        assert_eq!(look(&mut table, 50, &[]), "");
    }

    #[test]
    fn what_passes_between_two_looks_is_not_reported() {
        let mut table = Table::new(8);
        assert_eq!(look(&mut table, 10, &[(3, FILE, Note::default())]), "");
        assert_eq!(look(&mut table, 20, &[(3, OTHER, Note::default())]), "");
        assert_eq!(look(&mut table, 30, &[]), "");
    }

    #[test]
    fn a_number_used_again_is_another_resource() {
        let mut table = Table::new(8);
        let with = |who| [(3, who, Note::default())];
        look(&mut table, 10, &with(FILE));
        assert_eq!(look(&mut table, 20, &with(FILE)), "3 opened at 10 by 0");
        assert_eq!(look(&mut table, 30, &with(OTHER)), "103 closed at 30");
        assert_eq!(look(&mut table, 40, &with(OTHER)), "3 opened at 30 by 0");
        // The same file opened anew is told apart by what was noted only.
        let again = [(3, OTHER, noted(1, 45, 44))];
        assert_eq!(look(&mut table, 50, &again), "103 closed at 44");
        assert_eq!(look(&mut table, 60, &again), "3 opened at 45 by 9");
    }

    #[test]
    fn what_was_noted_of_an_older_file_is_not_believed_of_a_newer_one() {
        let mut table = Table::new(8);
        let with = |who, note| [(3, who, note)];
        look(&mut table, 10, &with(FILE, noted(1, 9, 0)));
        assert_eq!(look(&mut table, 20, &with(FILE, noted(1, 9, 0))), "3 opened at 9 by 9");
        // Neither the close nor the opening was noted.
        assert_eq!(look(&mut table, 30, &with(OTHER, noted(1, 9, 0))), "103 closed at 30");
        assert_eq!(look(&mut table, 40, &with(OTHER, noted(1, 9, 0))), "3 opened at 30 by 0");
        // What is noted from now on is.
        assert_eq!(look(&mut table, 50, &with(OTHER, noted(2, 45, 44))), "103 closed at 44");
        assert_eq!(look(&mut table, 60, &with(OTHER, noted(2, 45, 0))), "3 opened at 45 by 9");
    }

    #[test]
    fn a_note_that_comes_after_a_file_was_replaced_is_believed() {
        let mut table = Table::new(8);
        let with = |who, note| [(3, who, note)];
        look(&mut table, 10, &with(FILE, noted(1, 9, 0)));
        assert_eq!(look(&mut table, 20, &with(OTHER, noted(1, 9, 0))), "");
        assert_eq!(look(&mut table, 30, &with(OTHER, noted(2, 19, 0))), "3 opened at 19 by 9");
    }

    #[test]
    fn what_was_noted_after_it_was_found_is_believed() {
        let mut table = Table::new(8);
        look(&mut table, 10, &[(3, FILE, Note::default())]);
        assert_eq!(look(&mut table, 20, &[(3, FILE, noted(1, 9, 0))]), "3 opened at 9 by 9");
    }

    #[test]
    fn a_close_noted_of_what_is_still_open_is_not_believed() {
        let mut table = Table::new(8);
        look(&mut table, 10, &[(3, FILE, noted(1, 9, 0))]);
        assert_eq!(look(&mut table, 20, &[(3, FILE, noted(1, 9, 0))]), "3 opened at 9 by 9");
        assert_eq!(look(&mut table, 30, &[(3, FILE, noted(2, 0, 25))]), "");
        assert_eq!(look(&mut table, 40, &[]), "103 closed at 40");
    }

    #[test]
    fn a_full_table_leaves_out_what_comes_later_and_says_so() {
        let mut table = Table::new(2);
        let many: Vec<_> = (3..8).map(|fd| (fd, FILE, Note::default())).collect();
        look(&mut table, 10, &many);
        assert_eq!(table.beyond(), 3);
        assert_eq!(look(&mut table, 20, &many), "3 opened at 10 by 0, 4 opened at 10 by 0");
        look(&mut table, 30, &many[2..]);
        assert_eq!(table.beyond(), 3, "those gone make room only at the end of the look");
        look(&mut table, 40, &many[2..]);
        assert_eq!(table.beyond(), 1);
    }
}

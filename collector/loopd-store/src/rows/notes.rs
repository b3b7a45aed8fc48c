//! What people write to times of a recording.

use loopd_model::UnixNanos;

use crate::ProcessKey;

/// So many notes are kept in all: people write them by hand.
pub const MAX_NOTES: usize = 2_000;
/// A note has no more bytes of text than this.
pub const MAX_NOTE_TEXT: usize = 4_096;
/// And its author's name no more than this.
pub const MAX_NOTE_AUTHOR: usize = 128;

/// A note as somebody writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteText {
    /// About which process; `None` for all of them.
    pub process: Option<ProcessKey>,
    /// From when on,
    pub from: UnixNanos,
    /// and to when; the same for an instant.
    pub to: UnixNanos,
    /// What it says.
    pub text: String,
    /// Who says so; `None` if nobody said.
    pub author: Option<String>,
}

/// What is to be different of a note; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteEdit {
    /// About which process; `Some(None)` for all of them.
    pub process: Option<Option<ProcessKey>>,
    /// From when on. An instant that is moved stays one.
    pub from: Option<UnixNanos>,
    /// To when; `Some(None)` for an instant.
    pub to: Option<Option<UnixNanos>>,
    /// What it says.
    pub text: Option<String>,
    /// Who says so; `Some(None)` for nobody.
    pub author: Option<Option<String>>,
}

impl NoteEdit {
    pub(crate) fn apply(&self, it: &mut NoteText) {
        let was_instant = it.from == it.to;
        it.from = self.from.unwrap_or(it.from);
        it.to = match self.to {
            Some(to) => to.unwrap_or(it.from),
            None if was_instant => it.from,
            None => it.to,
        };
        it.process = self.process.unwrap_or(it.process);
        if let Some(text) = &self.text {
            it.text.clone_from(text);
        }
        if let Some(author) = &self.author {
            it.author.clone_from(author);
        }
    }
}

/// A note as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteRow {
    /// Its number, which no other note ever has.
    pub note: i64,
    /// What somebody wrote.
    pub note_text: NoteText,
    /// When it was made.
    pub made_at: UnixNanos,
    /// When it was changed last; `None` if it was not.
    pub changed_at: Option<UnixNanos>,
}

/// Which notes.
#[derive(Clone, Debug, Default)]
pub struct NoteQuery {
    /// Those about this process and about all; `None` for every note.
    pub process: Option<ProcessKey>,
    /// Not over before; `None` from the beginning.
    pub from: Option<UnixNanos>,
    /// Begun before; `None` to the end.
    pub to: Option<UnixNanos>,
    /// With this in its text or author.
    pub contains: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// What is to become of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteChange {
    /// Make it.
    Add(NoteText),
    /// Change some of it.
    Edit {
        /// Which.
        note: i64,
        /// What of it.
        edit: NoteEdit,
    },
    /// Remove it.
    Remove {
        /// Which.
        note: i64,
    },
}

/// What became of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteOutcome {
    /// The note, as it is now or was at last.
    Done(NoteRow),
    /// There is no such note.
    Unknown,
    /// It would end before it begins, and stays as it was.
    Backwards {
        /// It would begin then,
        from: UnixNanos,
        /// and end then.
        to: UnixNanos,
    },
    /// There are [`MAX_NOTES`] already.
    Full,
}

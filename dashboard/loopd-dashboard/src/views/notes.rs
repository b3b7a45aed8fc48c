//! What people wrote to times of a recording.

use loopd_model::UnixNanos;
use loopd_store::{MAX_NOTES, NoteQuery, NoteRow, ProcessKey, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{Described, Param};
use super::params::{Params, QueryPairs};
use super::text::UnixNanosText;
use super::{ViewError, is_false};
use crate::csv::{Csv, optional};

/// `GET /api/v1/notes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotesView {
    /// By time.
    pub notes: Vec<Note>,
    /// Whether there are more, which were left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// One note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// Its number, which no other note ever has.
    pub note: i64,
    /// About which process; null for all of them.
    pub process: Option<i64>,
    /// From when on,
    pub from: UnixNanosText,
    /// and to when; the same if it is about an instant.
    pub to: UnixNanosText,
    /// What it says: text that somebody typed.
    pub text: String,
    /// Who says so; null if nobody said.
    pub author: Option<String>,
    /// When it was made.
    pub made_at: UnixNanosText,
    /// When it was changed last; null if it was not.
    pub changed_at: Option<UnixNanosText>,
}

/// Which notes.
#[derive(Clone, Debug, Default)]
pub struct NoteFilter {
    /// Those about this process and about all of them; every note if not given.
    pub process: Option<i64>,
    /// Not over before.
    pub from: Option<UnixNanos>,
    /// Begun before.
    pub to: Option<UnixNanos>,
    /// With this in the text or the author's name.
    pub q: Option<String>,
    /// How many, at most.
    pub limit: usize,
}

const DEFAULT_LIMIT: usize = 500;

const ABOUT_PROCESS: &str =
    "Those about this process and about all of them; every note if not given.";

impl Described for NoteFilter {
    fn params() -> Vec<Param> {
        use super::described::{instant, number, process, text};
        vec![
            Param { about: ABOUT_PROCESS, ..process() },
            instant("from", "Only those that are not over before."),
            instant("to", "Only those that begin before."),
            text("q", "Only those with this in the text or in the author's name."),
            number("limit", DEFAULT_LIMIT as u64, 1, MAX_NOTES as u64, "How many to give."),
        ]
    }
}

impl NoteFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 5] = ["process", "from", "to", "q", "limit"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self {
            process: params.parsed("process")?,
            from: params.instant("from")?,
            to: params.instant("to")?,
            q: params.text("q").map(str::to_owned),
            limit: params.between("limit", DEFAULT_LIMIT, 1, MAX_NOTES)?,
        })
    }

    /// The request that [`Self::parse`] reads back.
    pub fn to_query(&self) -> QueryPairs {
        QueryPairs::default()
            .add("process", self.process)
            .add("from", self.from)
            .add("to", self.to)
            .add("q", self.q.as_ref())
            .add("limit", Some(self.limit))
    }
}

/// Notes by time.
pub async fn notes(reader: &Reader, filter: &NoteFilter) -> Result<NotesView, ViewError> {
    let query = NoteQuery {
        process: filter.process.map(ProcessKey),
        from: filter.from,
        to: filter.to,
        contains: filter.q.clone(),
        limit: filter.limit,
    };
    let (notes, more) = reader.notes(&query).await?;
    Ok(NotesView { notes: notes.into_iter().map(Note::from).collect(), more })
}

/// One note.
pub async fn note(reader: &Reader, note: i64) -> Result<Note, ViewError> {
    let row = reader.note(note).await?;
    Ok(row.ok_or(ViewError::NoNote { note })?.into())
}

impl From<NoteRow> for Note {
    fn from(row: NoteRow) -> Self {
        let it = row.note_text;
        Self {
            note: row.note,
            process: it.process.map(|process| process.0),
            from: it.from.into(),
            to: it.to.into(),
            text: it.text,
            author: it.author,
            made_at: row.made_at.into(),
            changed_at: row.changed_at.map(Into::into),
        }
    }
}

/// As a table.
pub fn csv(view: &NotesView) -> Csv {
    let columns = ["note", "process", "from", "to", "text", "author", "made_at", "changed_at"];
    let mut csv = Csv::new(columns);
    for note in &view.notes {
        csv.row([
            note.note.to_string(),
            optional(note.process),
            note.from.to_string(),
            note.to.to_string(),
            note.text.clone(),
            note.author.clone().unwrap_or_default(),
            note.made_at.to_string(),
            optional(note.changed_at),
        ]);
    }
    csv
}

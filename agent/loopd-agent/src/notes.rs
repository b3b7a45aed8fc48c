//! What the program says of itself, and what we found out about its tasks: marks, fields, spans of
//! its own tracing, tasks that nothing can wake. How such records look in a [`Ring`].
//!
//! All of them share one kind of record; the payload of its first word says which it is and how
//! long its texts are together. Instants are ticks, places are numbers of [`crate::place`].

use loopd_model::{MarkLevel, RecordKind};

use crate::ring::{Class, Pushed, Ring};

/// Pairs that one record carries; the wire allows as many. Later ones are left out.
pub(crate) const MAX_FIELDS: usize = 32;
/// Bytes of a name, target, key or value; the wire allows as many.
pub(crate) const MAX_TEXT: usize = 256;
/// Bytes of a message; the wire allows as many.
pub(crate) const MAX_MESSAGE: usize = 1024;
/// Bytes of all texts of one record together, so that it is no longer than a ring allows.
pub(crate) const MAX_TEXTS: usize = 3072;

const UNWAKEABLE: u64 = 1;
const FIELDS: u64 = 2;
const MARK: u64 = 3;
const APP_SPAN: u64 = 4;

const WHICH_MASK: u64 = 0xf;
const LEVEL_SHIFT: u32 = 4;
const LEN_SHIFT: u32 = 8;

/// Keys and values.
pub(crate) type Fields = Vec<(String, String)>;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A pending task that nothing can wake.
    Unwakeable { at: u64, task: u64 },
    /// What the program says about a task.
    Fields { at: u64, task: u64, fields: Fields },
    /// A mark or a traced event.
    Mark {
        at: u64,
        task: u64,
        location: u64,
        level: MarkLevel,
        target: String,
        message: String,
        fields: Fields,
    },
    /// A span of the program's own tracing closed.
    AppSpan(Box<AppSpan>),
}

/// See [`Note::AppSpan`]; `busy_time` is in ticks too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppSpan {
    pub(crate) at: u64,
    pub(crate) span: u64,
    pub(crate) parent: u64,
    pub(crate) task: u64,
    pub(crate) opened_at: u64,
    pub(crate) busy_time: u64,
    pub(crate) location: u64,
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) fields: Fields,
}

impl Note {
    /// What it counts as.
    pub(crate) fn kind(&self) -> RecordKind {
        match self {
            Self::Unwakeable { .. } | Self::Fields { .. } => RecordKind::Task,
            Self::Mark { .. } | Self::AppSpan(_) => RecordKind::Mark,
        }
    }

    /// Writes it; `head` is what says in the first word that a record is one of these, and `shift`
    /// where the payload begins.
    pub(crate) fn push(&self, ring: &Ring, head: u64, shift: u32) -> Pushed {
        let first = |which: u64, len: usize| head | (which | (len as u64) << LEN_SHIFT) << shift;
        match self {
            Self::Unwakeable { at, task } => {
                ring.push_texts(&[first(UNWAKEABLE, 0), *at, *task], &[], Class::Lifecycle)
            }
            Self::Fields { at, task, fields } => {
                let texts = Texts::of(&[], fields);
                ring.push_texts(
                    &[first(FIELDS, texts.len()), *at, *task],
                    &[&texts.0],
                    Class::Lifecycle,
                )
            }
            Self::Mark { at, task, location, level, target, message, fields } => {
                let texts = Texts::of(&[(target, MAX_TEXT), (message, MAX_MESSAGE)], fields);
                let first = first(MARK, texts.len()) | (*level as u64) << LEVEL_SHIFT << shift;
                ring.push_texts(&[first, *at, *task, *location], &[&texts.0], Class::Detail)
            }
            Self::AppSpan(span) => {
                let names = [(&span.name, MAX_TEXT), (&span.target, MAX_TEXT)];
                let texts = Texts::of(&names, &span.fields);
                let words = [
                    first(APP_SPAN, texts.len()),
                    span.at,
                    span.span,
                    span.parent,
                    span.task,
                    span.opened_at,
                    span.busy_time,
                    span.location,
                ];
                ring.push_texts(&words, &[&texts.0], Class::Detail)
            }
        }
    }

    /// Reads the one at `position`, whose first word has this payload; also says how many words it
    /// took.
    pub(crate) fn read(ring: &Ring, position: u64, payload: u64) -> Option<(Self, usize)> {
        let word = |i: usize| ring.word(position, i);
        let len = (payload >> LEN_SHIFT) as usize;
        let texts = |words: usize| Reader::new(ring, position, words, len);
        let (note, words) = match payload & WHICH_MASK {
            UNWAKEABLE => (Self::Unwakeable { at: word(1), task: word(2) }, 3),
            FIELDS => (Self::Fields { at: word(1), task: word(2), fields: texts(3).fields() }, 3),
            MARK => {
                let (at, task, location) = (word(1), word(2), word(3));
                let level = level(payload >> LEVEL_SHIFT & 0xf);
                let mut texts = texts(4);
                let (target, message) = (texts.text(), texts.text());
                let fields = texts.fields();
                (Self::Mark { at, task, location, level, target, message, fields }, 4)
            }
            APP_SPAN => {
                let mut texts = texts(8);
                let span = AppSpan {
                    at: word(1),
                    span: word(2),
                    parent: word(3),
                    task: word(4),
                    opened_at: word(5),
                    busy_time: word(6),
                    location: word(7),
                    name: texts.text(),
                    target: texts.text(),
                    fields: texts.fields(),
                };
                (Self::AppSpan(Box::new(span)), 8)
            }
            _ => return None,
        };
        Some((note, words + len.div_ceil(8)))
    }
}

fn level(number: u64) -> MarkLevel {
    use MarkLevel::{Debug, Error, Info, None, Trace, Warn};
    let known = [None, Trace, Debug, Info, Warn, Error];
    known.into_iter().find(|&known| known as u64 == number).unwrap_or(None)
}

/// The texts of a record in one piece: each with its length, two bytes, in front.
struct Texts(Vec<u8>);

impl Texts {
    /// Texts with their limits, then pairs, as many as fit.
    fn of(texts: &[(&String, usize)], fields: &Fields) -> Self {
        let mut all = Self(Vec::with_capacity(128));
        for (text, limit) in texts {
            all.put(cut(text, *limit));
        }
        for (key, value) in fields.iter().take(MAX_FIELDS) {
            let (key, value) = (cut(key, MAX_TEXT), cut(value, MAX_TEXT));
            if all.len() + key.len() + value.len() + 4 > MAX_TEXTS {
                break;
            }
            all.put(key);
            all.put(value);
        }
        all
    }

    fn put(&mut self, text: &str) {
        self.0.extend((text.len() as u16).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// As much of a text as `limit` allows, cut between characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Takes [`Texts`] apart again.
struct Reader {
    bytes: Vec<u8>,
    position: usize,
}

impl Reader {
    fn new(ring: &Ring, position: u64, offset: usize, len: usize) -> Self {
        let words = 0..len.min(MAX_TEXTS).div_ceil(8);
        let mut bytes: Vec<u8> =
            words.flat_map(|i| ring.word(position, offset + i).to_le_bytes()).collect();
        bytes.truncate(len);
        Self { bytes, position: 0 }
    }

    fn text(&mut self) -> String {
        self.next().unwrap_or_default()
    }

    fn next(&mut self) -> Option<String> {
        let (len, rest) = self.bytes.get(self.position..)?.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_le_bytes(*len));
        let text = rest.get(..len)?.to_vec();
        self.position += 2 + len;
        String::from_utf8(text).ok()
    }

    fn fields(&mut self) -> Fields {
        std::iter::from_fn(|| Some((self.next()?, self.next()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(count: usize, len: usize) -> Fields {
        (0..count).map(|i| (format!("key{i}"), "v".repeat(len))).collect()
    }

    fn mark(target: &str, message: &str, fields: Fields) -> Note {
        let (target, message) = (target.to_owned(), message.to_owned());
        Note::Mark { at: 1, task: 2, location: 3, level: MarkLevel::Warn, target, message, fields }
    }

    fn through_a_ring(notes: &[Note]) -> Vec<Note> {
        let ring = Ring::new(1 << 12);
        for note in notes {
            assert_eq!(note.push(&ring, 13, 4), Pushed::Yes);
        }
        let (mut position, head) = ring.readable();
        let mut all = Vec::new();
        while position < head {
            let (note, words) = Note::read(&ring, position, ring.word(position, 0) >> 4).unwrap();
            all.push(note);
            position += words as u64;
        }
        all
    }

    #[test]
    fn every_note_survives_the_ring() {
        let span = AppSpan {
            at: 1,
            span: 2,
            parent: 3,
            task: 4,
            opened_at: 5,
            busy_time: 6,
            location: 7,
            name: "handle ✓".into(),
            target: "orders::http".into(),
            fields: pairs(2, 5),
        };
        let notes = [
            Note::Unwakeable { at: 1, task: 2 },
            Note::Fields { at: 1, task: 2, fields: pairs(3, 0) },
            mark("checkout", "", Vec::new()),
            mark("", "paid", pairs(1, 9)),
            Note::AppSpan(Box::new(span)),
        ];
        assert_eq!(through_a_ring(&notes), notes);
    }

    #[test]
    fn texts_are_cut_at_their_limits() {
        let long = mark(&"t".repeat(300), &"é".repeat(2000), pairs(40, 300));
        let notes = through_a_ring(&[long]);
        let [Note::Mark { target, message, fields, .. }] = &notes[..] else { panic!("{notes:?}") };
        assert_eq!((target.len(), message.len()), (MAX_TEXT, MAX_MESSAGE));
        let bytes: usize = fields.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(bytes < MAX_TEXTS && fields.iter().all(|(_, value)| value.len() == MAX_TEXT));
        assert!(fields.len() > 5 && fields.len() < 40, "{}", fields.len());
    }
}

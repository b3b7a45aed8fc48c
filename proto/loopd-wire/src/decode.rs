//! Protobuf as model values. The bytes may come from anybody, so everything is checked.
//!
//! Three things can be wrong with a message, and each has its own answer. What breaks the contract
//! is refused, with an error that names the field. What a newer agent says and this crate does not
//! know is skipped and counted in [`Tolerated`]. A text over its limit is cut, and counted there
//! too. What is returned fits the limits in this crate, and every integer in it fits an `i64`.

mod check;
mod event;
mod process;

use std::fmt;

use loopd_model as model;
use model::{DropCause, Nanos, RecordKind, UnixNanos};

use crate::{limits, pb};
use check::{Place, at_most, fits};

/// What an agent said.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentMessage {
    /// Always first.
    Hello(Hello),
    /// Telemetry.
    Batch(model::Batch, Tolerated),
    /// Nothing more will come.
    Goodbye(Goodbye),
    /// A kind of message that this version does not know.
    Unknown,
}

/// How an agent introduces itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// The process that speaks.
    pub process: model::Process,
    /// The lowest sequence number that it can still send; at least 1.
    pub first_seq: u64,
    /// What is in force; `None` if the agent does not say.
    pub settings: Option<model::Settings>,
    /// What the agent's own configuration says; `None` if the agent does not say.
    pub configured: Option<model::Settings>,
}

/// An agent's last words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Why the process ends; may be empty.
    pub reason: String,
    /// Final totals.
    pub ledger: Vec<model::LedgerEntry>,
}

/// What in a message was not kept as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerated {
    /// Events, segments, losses and ledger lines of a kind that is not known here. They are left
    /// out of the batch.
    pub unknown_kinds: u64,
    /// Fields with a value that is not known here, or readings that are no number. They have their
    /// "unknown" value instead, or are left out.
    pub unknown_values: u64,
    /// Texts longer than their limit.
    pub cut_texts: u64,
}

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The agent speaks another version of the protocol.
    #[error("protocol version {given} is not known here, only {known}")]
    Protocol {
        /// What the agent speaks.
        given: u32,
        /// What this crate speaks.
        known: u32,
    },
    /// A field that must be there is absent or 0.
    #[error("{field} is missing")]
    Missing {
        /// Which.
        field: Field,
    },
    /// A list has too many entries, or a number is too large.
    #[error("{field} is {given}, the limit is {limit}")]
    Limit {
        /// Which.
        field: Field,
        /// The number, or the length of the list.
        given: u64,
        /// The most it may be.
        limit: u64,
    },
    /// A field contradicts another, or has a length it cannot have.
    #[error("{field} is {given}, expected {expected}")]
    Mismatch {
        /// Which.
        field: Field,
        /// What it says.
        given: u64,
        /// What it must say.
        expected: u64,
    },
    /// The bytes of a segment cannot be read.
    #[error("{field} is not readable: {source}")]
    Segment {
        /// Which.
        field: Field,
        /// Why.
        source: model::segment::SegmentError,
    },
}

/// A field of a message, printed as in `events[17].task_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The list that it is in an entry of, and the entry's place; absent for fields of the message
    /// itself.
    pub entry: Option<(&'static str, usize)>,
    /// Its name.
    pub name: &'static str,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((list, index)) = self.entry {
            write!(f, "{list}[{index}].")?;
        }
        f.write_str(self.name)
    }
}

/// Reads whatever an agent may say.
pub fn decode_message(message: pb::AgentMessage) -> Result<AgentMessage, DecodeError> {
    use pb::agent_message::Kind;
    Ok(match message.kind {
        Some(Kind::Hello(hello)) => AgentMessage::Hello(decode_hello(hello)?),
        Some(Kind::Batch(batch)) => {
            let (batch, tolerated) = decode_batch(batch)?;
            AgentMessage::Batch(batch, tolerated)
        }
        Some(Kind::Goodbye(goodbye)) => AgentMessage::Goodbye(decode_goodbye(goodbye)?),
        None => AgentMessage::Unknown,
    })
}

/// Reads an introduction. The version is checked first, since nothing else may be what it seems
/// if that differs.
pub fn decode_hello(hello: pb::Hello) -> Result<Hello, DecodeError> {
    if hello.protocol != limits::PROTOCOL {
        return Err(DecodeError::Protocol { given: hello.protocol, known: limits::PROTOCOL });
    }
    let process = hello.process.ok_or_else(|| Place::MESSAGE.missing("process"))?;
    let process = process::decode(process, &mut Tolerated::default())?;
    let first_seq = Place::MESSAGE.required("first_seq", hello.first_seq)?;
    let settings = |settings: Option<pb::Settings>| {
        let settings = settings.map(decode_settings);
        let threshold = settings.and_then(|settings| settings.slow_threshold).unwrap_or_default();
        Place::MESSAGE.number("settings.slow_threshold_nanos", threshold)?;
        Ok(settings)
    };
    Ok(Hello {
        process,
        first_seq,
        settings: settings(hello.settings)?,
        configured: settings(hello.configured)?,
    })
}

/// Reads a goodbye.
pub fn decode_goodbye(goodbye: pb::Goodbye) -> Result<Goodbye, DecodeError> {
    let mut tolerated = Tolerated::default();
    Ok(Goodbye {
        reason: tolerated.text(goodbye.reason),
        ledger: decode_ledger(goodbye.ledger, &mut tolerated)?,
    })
}

/// Reads what the collector asks of an agent.
pub fn decode_settings(settings: pb::Settings) -> model::Settings {
    model::Settings {
        record_polls: settings.record_polls,
        record_wakes: settings.record_wakes,
        record_waits: settings.record_waits,
        sample_stacks: settings.sample_stacks,
        track_fds: settings.track_fds,
        app_events: settings.app_events,
        slow_threshold: settings.slow_threshold_nanos,
    }
}

/// How many bytes a batch takes up on the wire.
pub fn encoded_len(batch: &pb::Batch) -> usize {
    prost::Message::encoded_len(batch)
}

/// Reads a batch, and says what in it was not understood.
pub fn decode_batch(batch: pb::Batch) -> Result<(model::Batch, Tolerated), DecodeError> {
    let mut tolerated = Tolerated::default();
    let seq = Place::MESSAGE.required("seq", batch.seq)?;
    at_most("names", batch.names.len(), limits::MAX_DEFINITIONS)?;
    at_most("locations", batch.locations.len(), limits::MAX_DEFINITIONS)?;
    at_most("stacks", batch.stacks.len(), limits::MAX_DEFINITIONS)?;
    at_most("events", batch.events.len(), limits::MAX_EVENTS)?;
    at_most("segments", batch.segments.len(), limits::MAX_SEGMENTS)?;
    at_most("losses", batch.losses.len(), limits::MAX_LOSSES)?;
    let decoded = model::Batch {
        seq,
        anchor: decode_anchor(batch.anchor)?,
        names: every("names", batch.names, |place, name| decode_name(place, name, &mut tolerated))?,
        locations: every("locations", batch.locations, |place, location| {
            decode_location(place, location, &mut tolerated)
        })?,
        stacks: every("stacks", batch.stacks, |place, stack| {
            decode_stack(place, stack, &mut tolerated)
        })?,
        events: every("events", batch.events, |place, event| {
            event::decode(place, event, &mut tolerated)
        })?,
        segments: decode_segments(batch.segments, &mut tolerated)?,
        losses: every("losses", batch.losses, |place, loss| {
            decode_loss(place, loss, &mut tolerated)
        })?,
        ledger: decode_ledger(batch.ledger, &mut tolerated)?,
    };
    Ok((decoded, tolerated))
}

/// Decodes a list; an entry decoded to `None` is left out.
fn every<P, M>(
    list: &'static str,
    entries: Vec<P>,
    mut decode: impl FnMut(Place, P) -> Result<Option<M>, DecodeError>,
) -> Result<Vec<M>, DecodeError> {
    let mut decoded = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        decoded.extend(decode(Place::entry(list, index), entry)?);
    }
    Ok(decoded)
}

fn decode_anchor(anchor: Option<pb::Anchor>) -> Result<model::Anchor, DecodeError> {
    let anchor = anchor.ok_or_else(|| Place::MESSAGE.missing("anchor"))?;
    let at = Nanos(Place::MESSAGE.number("anchor.at", anchor.at)?);
    Ok(model::Anchor { at, unix: UnixNanos(anchor.unix_nanos) })
}

fn decode_name(
    place: Place,
    name: pb::Name,
    tolerated: &mut Tolerated,
) -> Result<Option<model::Name>, DecodeError> {
    let id = model::NameId(place.required("id", name.id)?);
    Ok(Some(model::Name { id, text: tolerated.text(name.text) }))
}

fn decode_location(
    place: Place,
    location: pb::Location,
    tolerated: &mut Tolerated,
) -> Result<Option<model::Location>, DecodeError> {
    Ok(Some(model::Location {
        id: model::LocationId(place.required("id", location.id)?),
        file: tolerated.cut(location.file, limits::MAX_PATH_BYTES),
        line: location.line,
        column: location.column,
    }))
}

fn decode_stack(
    place: Place,
    stack: pb::Stack,
    tolerated: &mut Tolerated,
) -> Result<Option<model::Stack>, DecodeError> {
    let id = model::StackId(place.required("id", stack.id)?);
    place.at_most("frames", stack.frames.len(), limits::MAX_FRAMES)?;
    let mut frames = Vec::with_capacity(stack.frames.len());
    for frame in stack.frames {
        frames.push(model::Frame {
            function: tolerated.cut(frame.function, limits::MAX_FUNCTION_BYTES),
            file: tolerated.cut(frame.file, limits::MAX_PATH_BYTES),
            line: frame.line,
            address: address(frame.address, tolerated),
        });
    }
    Ok(Some(model::Stack { id, frames }))
}

/// An address beyond the program's half of memory comes of a bad unwind, which is no reason to
/// refuse the rest.
fn address(address: u64, tolerated: &mut Tolerated) -> u64 {
    tolerated.known((address <= limits::MAX_NUMBER).then_some(address), 0)
}

/// Reads segments to their last column: a segment that passes here decodes in the store, so that
/// one agent's bad bytes never stop a commit that holds other agents' batches.
fn decode_segments(
    segments: Vec<pb::Segment>,
    tolerated: &mut Tolerated,
) -> Result<Vec<model::Segment>, DecodeError> {
    let mut spans = 0;
    every("segments", segments, |place, segment| {
        let Some(kind) = record_kind(segment.kind) else {
            tolerated.unknown_kinds += 1;
            return Ok(None);
        };
        let loop_id = model::LoopId(place.number("loop_id", segment.loop_id)?);
        let unreadable = |source| DecodeError::Segment { field: place.field("data"), source };
        let header = model::segment::header(&segment.data).map_err(unreadable)?;
        place.equal("kind", kind as u64, header.kind as u64)?;
        place.equal("count", u64::from(segment.count), header.count as u64)?;
        spans += header.count;
        place.at_most("spans", spans, limits::MAX_SPANS)?;
        let (header, columns) =
            model::segment::decode_columns(&segment.data).map_err(unreadable)?;
        let numbers = [&columns.task, &columns.by, &columns.count].into_iter().flatten();
        let largest = numbers.fold(header.end.0, |largest, &number| largest.max(number));
        place.number("spans", largest)?;
        Ok(Some(model::Segment {
            loop_id,
            worker: model::WorkerId(segment.worker),
            kind,
            count: segment.count,
            data: segment.data.into(),
        }))
    })
}

fn decode_loss(
    place: Place,
    loss: pb::Loss,
    tolerated: &mut Tolerated,
) -> Result<Option<model::Loss>, DecodeError> {
    let Some(kind) = record_kind(loss.kind) else {
        tolerated.unknown_kinds += 1;
        return Ok(None);
    };
    // A count must not vanish because its cause is new. All causes that are the collector's to
    // count are known, so a new one can only be a limit of the agent.
    let cause = fits(loss.cause).and_then(DropCause::from_number).unwrap_or_else(|| {
        tolerated.unknown_values += 1;
        DropCause::AgentLimit
    });
    Ok(Some(model::Loss {
        kind,
        cause,
        count: place.number("count", loss.count)?,
        from: Nanos(place.number("from_at", loss.from_at)?),
        to: Nanos(place.number("to_at", loss.to_at)?),
    }))
}

fn decode_ledger(
    ledger: Vec<pb::Ledger>,
    tolerated: &mut Tolerated,
) -> Result<Vec<model::LedgerEntry>, DecodeError> {
    at_most("ledger", ledger.len(), limits::MAX_LEDGER)?;
    every("ledger", ledger, |place, entry| {
        let Some(kind) = record_kind(entry.kind) else {
            tolerated.unknown_kinds += 1;
            return Ok(None);
        };
        Ok(Some(model::LedgerEntry {
            kind,
            produced: place.number("produced", entry.produced)?,
            dropped: place.number("dropped", entry.dropped)?,
        }))
    })
}

fn record_kind(number: i32) -> Option<RecordKind> {
    fits(number).and_then(RecordKind::from_number)
}

#[cfg(test)]
mod tests;

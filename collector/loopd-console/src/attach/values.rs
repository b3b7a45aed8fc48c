//! What the protocol says in pieces, as plain values. Every piece may be absent or senseless.

use std::time::{Duration, SystemTime};

use console_api::{Field, Location, field};

/// An instant as unix nanoseconds; `None` if there is none, or none that fits.
pub(super) fn unix<T: Clone>(at: &Option<T>) -> Option<i64>
where
    SystemTime: TryFrom<T>,
{
    let at = SystemTime::try_from(at.as_ref()?.clone()).ok()?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// A length in nanoseconds; `None` if there is none, or a negative one.
pub(super) fn nanos<T: Clone>(length: &Option<T>) -> Option<u64>
where
    Duration: TryFrom<T>,
{
    let length = Duration::try_from(length.as_ref()?.clone()).ok()?;
    u64::try_from(length.as_nanos()).ok()
}

/// The wall time here.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The name of a field, which may be a number in a list of names; empty if it has none.
pub(super) fn name<'f>(field: &'f Field, names: &'f [String]) -> &'f str {
    match &field.name {
        Some(field::Name::StrName(name)) => name,
        Some(field::Name::NameIdx(index)) => {
            usize::try_from(*index).ok().and_then(|index| names.get(index)).map_or("", |name| name)
        }
        None => "",
    }
}

/// The value as text.
pub(super) fn text(field: &Field) -> Option<String> {
    field.value.as_ref().map(ToString::to_string)
}

/// The value as a number; `true` is 1. What was written as text counts if it is one.
pub(super) fn number(field: &Field) -> Option<u64> {
    match field.value.as_ref()? {
        field::Value::U64Val(value) => Some(*value),
        field::Value::I64Val(value) => u64::try_from(*value).ok(),
        field::Value::BoolVal(value) => Some(u64::from(*value)),
        field::Value::StrVal(text) | field::Value::DebugVal(text) => match text.as_str() {
            "true" => Some(1),
            "false" => Some(0),
            text => text.parse().ok(),
        },
    }
}

/// The file, line and column of a place; `None` if it has no file.
pub(super) fn place(location: &Option<Location>) -> Option<(&str, u32, u32)> {
    let location = location.as_ref()?;
    let file = location.file.as_deref().filter(|file| !file.is_empty())?;
    Some((file, location.line.unwrap_or(0), location.column.unwrap_or(0)))
}

/// At most so many bytes of a text.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

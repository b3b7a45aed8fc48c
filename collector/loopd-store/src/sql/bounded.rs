//! SQLite's functions on text that take longer than their text is long, made anew in linear time.
//!
//! SQLite looks at the clock between its steps, never inside of one: what a function does with one
//! row must be bounded by itself.

use std::collections::HashSet;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

/// No value of a query is longer.
pub(super) const MAX_LENGTH: usize = 1 << 20;

/// Puts them in front of SQLite's own.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(c"instr", 2, flags, |context| {
        let both = text(context, 0).zip(text(context, 1));
        Ok(both.map(|(text, part)| instr(&text, &part)))
    })?;
    connection.create_scalar_function(c"replace", 3, flags, |context| {
        let parts = text(context, 0).zip(text(context, 1)).zip(text(context, 2));
        parts.map(|((text, from), to)| replace(&text, &from, &to)).transpose()
    })?;
    let trims = [(c"trim", true, true), (c"ltrim", true, false), (c"rtrim", false, true)];
    for (name, start, end) in trims {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(text(context, 0).map(|text| trim(&text, " ", start, end).to_owned()))
        })?;
        connection.create_scalar_function(name, 2, flags, move |context| {
            let both = text(context, 0).zip(text(context, 1));
            Ok(both.map(|(text, chars)| trim(&text, &chars, start, end).to_owned()))
        })?;
    }
    Ok(())
}

/// An argument as text; `None` for NULL.
pub(super) fn text(context: &Context<'_>, place: usize) -> Option<String> {
    match context.get_raw(place) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("{number:?}")),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// In characters, from 1; 0: not in it.
fn instr(text: &str, part: &str) -> i64 {
    text.find(part).map_or(0, |at| text[..at].chars().count() as i64 + 1)
}

fn replace(text: &str, from: &str, to: &str) -> Result<String> {
    if from.is_empty() {
        return Ok(text.to_owned());
    }
    let added = text.matches(from).count().saturating_mul(to.len().saturating_sub(from.len()));
    if text.len().saturating_add(added) > MAX_LENGTH {
        return Err(Error::UserFunctionError("replace: the result is longer than 1 MB".into()));
    }
    Ok(text.replace(from, to))
}

fn trim<'t>(mut text: &'t str, chars: &str, start: bool, end: bool) -> &'t str {
    let chars: HashSet<char> = chars.chars().collect();
    let is_cut = |c: char| chars.contains(&c);
    if start {
        text = text.trim_start_matches(is_cut);
    }
    if end {
        text = text.trim_end_matches(is_cut);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_give_what_sqlites_own_give() {
        let calls = [
            "instr('abcabc', 'ca')",
            "instr('äöü', 'ü')",
            "instr('abc', 'x')",
            "instr('abc', '')",
            "instr(NULL, 'x')",
            "instr(12345, 34)",
            "instr(1.5, '.')",
            "replace('aXbX', 'X', 'yy')",
            "replace('abc', '', 'x')",
            "replace('abc', 'b', NULL)",
            "replace('aaa', 'aa', '')",
            "trim('  a b  ')",
            "ltrim('xxaxx', 'x')",
            "rtrim('äaä', 'ä')",
            "trim('xyaxy', 'yx')",
            "trim('abc', '')",
            "trim(NULL)",
        ];
        let queries = calls.map(|call| format!("SELECT {call}"));
        crate::sql::own_functions::assert_same(register, &queries);
    }
}

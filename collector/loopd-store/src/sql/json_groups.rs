//! `json_group_array` and `json_group_object` for users' queries, no longer than any other value.
//!
//! SQLite's own grow to 2 GB before they look at a limit. These give what they give, but as
//! aggregates only, not over windows.

use std::ffi::c_uint;

use rusqlite::functions::{Aggregate, Context, FunctionFlags, SubType};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

use super::bounded::{MAX_LENGTH, text};

/// By this SQLite knows a text that one of its functions made as JSON.
const JSON: c_uint = 'J' as c_uint;

/// Puts them in front of SQLite's own.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS
        | FunctionFlags::SQLITE_SUBTYPE
        | FunctionFlags::SQLITE_RESULT_SUBTYPE;
    connection.create_aggregate_function(c"json_group_array", 1, flags, Array)?;
    connection.create_aggregate_function(c"json_group_object", 2, flags, Object)
}

struct Array;
struct Object;

impl Aggregate<String, (String, SubType)> for Array {
    fn init(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(String::new())
    }

    fn step(&self, context: &mut Context<'_>, items: &mut String) -> Result<()> {
        let item = value(context, 0)?;
        add(items, &[&item])
    }

    fn finalize(&self, _: &mut Context<'_>, items: Option<String>) -> Result<(String, SubType)> {
        Ok((format!("[{}]", items.unwrap_or_default()), Some(JSON)))
    }
}

impl Aggregate<String, (String, SubType)> for Object {
    fn init(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(String::new())
    }

    fn step(&self, context: &mut Context<'_>, items: &mut String) -> Result<()> {
        // A member without a name is left out.
        let Some(key) = text(context, 0) else { return Ok(()) };
        let value = value(context, 1)?;
        add(items, &[&quoted(&key)?, ":", &value])
    }

    fn finalize(&self, _: &mut Context<'_>, items: Option<String>) -> Result<(String, SubType)> {
        Ok((format!("{{{}}}", items.unwrap_or_default()), Some(JSON)))
    }
}

/// Adds an item behind a comma, if it still fits.
fn add(items: &mut String, item: &[&str]) -> Result<()> {
    if !items.is_empty() {
        items.push(',');
    }
    item.iter().for_each(|part| items.push_str(part));
    // Two brackets come around it.
    if items.len() + 2 > MAX_LENGTH {
        return Err(failed("the result is longer than 1 MB"));
    }
    Ok(())
}

/// An argument as JSON.
fn value(context: &Context<'_>, place: usize) -> Result<String> {
    let is_json = context.get_subtype(place) == JSON;
    match context.get_raw(place) {
        ValueRef::Null => Ok("null".to_owned()),
        ValueRef::Integer(n) => Ok(n.to_string()),
        // JSON has no infinities; whoever reads this one gets them.
        ValueRef::Real(x) if x.is_infinite() => {
            Ok(if x > 0.0 { "9e999" } else { "-9e999" }.to_owned())
        }
        ValueRef::Real(x) => Ok(format!("{x:?}")),
        ValueRef::Text(bytes) if is_json => Ok(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Text(bytes) => quoted(&String::from_utf8_lossy(bytes)),
        ValueRef::Blob(_) => Err(failed("JSON cannot hold bytes; hex() makes them text")),
    }
}

fn quoted(text: &str) -> Result<String> {
    serde_json::to_string(text).map_err(|error| failed(&error.to_string()))
}

fn failed(why: &str) -> Error {
    Error::UserFunctionError(format!("json_group: {why}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_give_what_sqlites_own_give() {
        let calls = [
            "json_group_array(a)",
            "json_group_array(b)",
            "json_group_array(json_object('a', a, 'b', b))",
            "json_group_array(json_array(a))",
            "json_group_object(b, a)",
            "json_group_object(a, json_object('b', b))",
            "json_array(json_group_array(a))",
            "json_extract(json_group_array(b), '$[0]')",
            "json_group_array(a) filter (where a > 1)",
            "json_group_array(a) filter (where false)",
            "json_group_object(a, b) filter (where false)",
            "json_group_array(b order by a desc)",
        ];
        let values = "(SELECT 1 a, 'x' b UNION ALL SELECT 2, NULL UNION ALL
            SELECT 0.25, 'quote \" slash \\ tab\t ü' UNION ALL SELECT NULL, '[1]')";
        let queries = calls.map(|call| format!("SELECT {call} FROM {values}"));
        crate::sql::own_functions::assert_same(register, &queries);
    }
}

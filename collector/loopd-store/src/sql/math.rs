//! SQLite's mathematical functions, which the library is built without.
//! See <https://www.sqlite.org/lang_mathfunc.html>: NULL stands for what is no number.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

type OfOne = fn(f64) -> f64;
type OfTwo = fn(f64, f64) -> f64;

const ROUNDED: [(&str, OfOne); 4] =
    [("ceil", f64::ceil), ("ceiling", f64::ceil), ("floor", f64::floor), ("trunc", f64::trunc)];

const OF_ONE: [(&str, OfOne); 6] = [
    ("exp", f64::exp),
    ("ln", f64::ln),
    ("log", f64::log10),
    ("log10", f64::log10),
    ("log2", f64::log2),
    ("sqrt", f64::sqrt),
];

const OF_TWO: [(&str, OfTwo); 4] = [
    ("log", |base, x| x.log(base)),
    ("mod", |x, y| x % y),
    ("pow", f64::powf),
    ("power", f64::powf),
];

/// Makes the functions known to a connection.
pub(super) fn register(connection: &Connection, flags: FunctionFlags) -> Result<()> {
    for (name, round) in ROUNDED {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(match context.get_raw(0) {
                ValueRef::Integer(whole) => Value::Integer(whole),
                _ => number(context, 0).map_or(Value::Null, |x| Value::Real(round(x))),
            })
        })?;
    }
    for (name, compute) in OF_ONE {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(number(context, 0).map(compute).filter(|x| !x.is_nan()))
        })?;
    }
    for (name, compute) in OF_TWO {
        connection.create_scalar_function(name, 2, flags, move |context| {
            let (x, y) = (number(context, 0), number(context, 1));
            Ok(x.zip(y).map(|(x, y)| compute(x, y)).filter(|x| !x.is_nan()))
        })?;
    }
    connection.create_scalar_function("pi", 0, flags, |_| Ok(std::f64::consts::PI))
}

/// `None` for what is no number and does not read as one.
fn number(context: &Context<'_>, place: usize) -> Option<f64> {
    match context.get_raw(place) {
        ValueRef::Integer(whole) => Some(whole as f64),
        ValueRef::Real(x) => Some(x),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(call: &str) -> Value {
        let db = Connection::open_in_memory().unwrap();
        register(&db, FunctionFlags::SQLITE_UTF8).unwrap();
        db.query_row(&format!("SELECT {call}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn they_compute_as_sqlite_documents() {
        for (call, given) in [
            ("ceil(1.2)", Value::Real(2.0)),
            ("ceiling(-1.2)", Value::Real(-1.0)),
            ("floor(-1.2)", Value::Real(-2.0)),
            ("trunc(-1.8)", Value::Real(-1.0)),
            ("floor(9223372036854775807)", Value::Integer(i64::MAX)),
            ("floor('1.5')", Value::Real(1.0)),
            ("exp(0)", Value::Real(1.0)),
            ("ln(exp(1))", Value::Real(1.0)),
            ("log(100)", Value::Real(2.0)),
            ("log(2, 8)", Value::Real(3.0)),
            ("log2(8)", Value::Real(3.0)),
            ("pow(2, 10)", Value::Real(1024.0)),
            ("mod(7, 4)", Value::Real(3.0)),
            ("sqrt(16)", Value::Real(4.0)),
            ("sqrt(-1)", Value::Null),
            ("ceil(NULL)", Value::Null),
            ("pow('abc', 2)", Value::Null),
        ] {
            assert_eq!(give(call), given, "{call}");
        }
    }
}

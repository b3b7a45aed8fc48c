//! `format`, `printf` and `unhex` for users' queries, bounded in what they do with one row.
//!
//! SQLite's own fill a width or a precision of nine digits without looking at the clock, and search
//! one text for every character of another.
//!
//! They give what SQLite's own give, but for some letters that are not known here, and for two things:
//! `%f` gives the digits of the number itself (`%.20f` of 0.1 ends in 00555, where SQLite gives zeros
//! after 16 digits), and infinity is `Inf` in whatever width, also if that is filled with zeros.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

use super::bounded::{MAX_LENGTH, text};

/// Nobody reads wider columns.
const MAX_WIDTH: usize = 1_000;
/// A double has no more digits that say anything.
const MAX_PRECISION: usize = 100;

/// Puts them in front of SQLite's own.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    for name in [c"format", c"printf"] {
        connection.create_scalar_function(name, -1, flags, |context| {
            if context.is_empty() {
                return Ok(None);
            }
            text(context, 0).map(|template| format(&template, context)).transpose()
        })?;
    }
    connection.create_scalar_function(c"unhex", 1, flags, |context| {
        Ok(text(context, 0).and_then(|digits| unhex(&digits, "")))
    })?;
    connection.create_scalar_function(c"unhex", 2, flags, |context| {
        let both = text(context, 0).zip(text(context, 1));
        Ok(both.and_then(|(digits, ignored)| unhex(&digits, &ignored)))
    })
}

/// What stands between `%` and the letter.
#[derive(Debug, Default)]
struct Spec {
    is_left: bool,
    has_plus: bool,
    has_space: bool,
    has_zeros: bool,
    has_commas: bool,
    width: usize,
    precision: Option<usize>,
}

fn format(template: &str, context: &Context<'_>) -> Result<String> {
    let mut out = String::new();
    let mut rest = template;
    let mut place = 1;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let spec = spec(&mut rest)?;
        let Some(letter) = rest.chars().next() else { return Ok(out + "%") };
        rest = &rest[letter.len_utf8()..];
        if letter == '%' {
            out.push('%');
            continue;
        }
        out.push_str(&one(letter, &spec, context, place)?);
        place += 1;
        if out.len() > MAX_LENGTH {
            return Err(failed("the result is longer than 1 MB"));
        }
    }
    Ok(out + rest)
}

/// Reads flags, width and precision from the front of `rest`.
fn spec(rest: &mut &str) -> Result<Spec> {
    let mut spec = Spec::default();
    loop {
        match rest.as_bytes().first() {
            Some(b'-') => spec.is_left = true,
            Some(b'+') => spec.has_plus = true,
            Some(b' ') => spec.has_space = true,
            Some(b'0') => spec.has_zeros = true,
            Some(b',') => spec.has_commas = true,
            _ => break,
        }
        *rest = &rest[1..];
    }
    spec.width = number(rest, MAX_WIDTH)?;
    if let Some(after) = rest.strip_prefix('.') {
        *rest = after;
        spec.precision = Some(number(rest, MAX_PRECISION)?);
    }
    Ok(spec)
}

fn number(rest: &mut &str, max: usize) -> Result<usize> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    let number = if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    number.filter(|&n| n <= max).ok_or_else(|| failed("a width or precision is too large"))
}

/// One value; NULL and what is missing count as 0 or nothing.
fn one(letter: char, spec: &Spec, context: &Context<'_>, place: usize) -> Result<String> {
    let value = if place < context.len() { context.get_raw(place) } else { ValueRef::Null };
    let words = if place < context.len() { text(context, place) } else { None };
    let words = words.unwrap_or_default();
    let integer = || match value {
        ValueRef::Integer(n) => n,
        ValueRef::Real(x) => x as i64,
        _ => whole_prefix(&words),
    };
    let (sign, digits) = match letter {
        'd' | 'i' => {
            (sign(integer() < 0, spec), grouped(integer().unsigned_abs().to_string(), spec))
        }
        'u' => ("", grouped((integer() as u64).to_string(), spec)),
        'x' => ("", format!("{:x}", integer())),
        'X' => ("", format!("{:X}", integer())),
        'o' => ("", format!("{:o}", integer())),
        'f' => {
            let x = match value {
                ValueRef::Integer(n) => n as f64,
                ValueRef::Real(x) => x,
                _ => prefix(&words, true).parse().unwrap_or(0.0),
            };
            if x.is_infinite() {
                return Ok(padded(sign(x < 0.0, spec), "Inf".to_owned(), spec, false));
            }
            let digits = format!("{:.*}", spec.precision.unwrap_or(6), x.abs());
            (sign(x < 0.0, spec), grouped(digits, spec))
        }
        's' => {
            let cut = words.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
            return Ok(padded("", cut, spec, false));
        }
        'c' => return Ok(padded("", words.chars().take(1).collect(), spec, false)),
        _ => return Err(failed("only %d %i %u %s %c %f %x %X %o and %% are known here")),
    };
    Ok(padded(sign, digits, spec, spec.has_zeros && !spec.is_left))
}

/// The number at the beginning of a text, as SQLite reads it: `12abc` is 12. Empty or a mere sign if
/// there is none.
fn prefix(words: &str, is_real: bool) -> &str {
    let text = words.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let digits = |from: usize| {
        let rest = &text.as_bytes()[from..];
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(text.starts_with(['+', '-']));
    let mut end = digits(sign);
    if !is_real {
        return &text[..end];
    }
    let mut has_digits = end > sign;
    if text[end..].starts_with('.') {
        let after = digits(end + 1);
        has_digits |= after > end + 1;
        end = after;
    }
    if has_digits && text[end..].starts_with(['e', 'E']) {
        let from = end + 1 + usize::from(text[end + 1..].starts_with(['+', '-']));
        let after = digits(from);
        end = if after > from { after } else { end };
    }
    if has_digits { &text[..end] } else { "" }
}

/// The whole number at the beginning of a text; the nearest there is if it is too large.
fn whole_prefix(words: &str) -> i64 {
    let digits = prefix(words, false);
    let nearest = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    match digits.parse::<i64>() {
        Ok(number) => number,
        Err(_) if digits.trim_start_matches(['+', '-']).is_empty() => 0,
        Err(_) => nearest,
    }
}

fn sign(is_negative: bool, spec: &Spec) -> &'static str {
    match (is_negative, spec) {
        (true, _) => "-",
        (_, Spec { has_plus: true, .. }) => "+",
        (_, Spec { has_space: true, .. }) => " ",
        _ => "",
    }
}

/// Commas between thousands, if they are asked for.
fn grouped(digits: String, spec: &Spec) -> String {
    if !spec.has_commas {
        return digits;
    }
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

fn padded(sign: &str, text: String, spec: &Spec, has_zeros: bool) -> String {
    let missing = spec.width.saturating_sub(sign.len() + text.chars().count());
    match (spec.is_left, has_zeros) {
        (true, _) => format!("{sign}{text}{}", " ".repeat(missing)),
        (_, true) => format!("{sign}{}{text}", "0".repeat(missing)),
        _ => format!("{}{sign}{text}", " ".repeat(missing)),
    }
}

/// The bytes that pairs of hexadecimal digits stand for; characters of `ignored` may stand between
/// pairs. `None` for anything else.
fn unhex(digits: &str, ignored: &str) -> Option<Vec<u8>> {
    let ignored: std::collections::HashSet<char> =
        ignored.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut chars = digits.chars();
    while let Some(high) = chars.next() {
        if ignored.contains(&high) {
            continue;
        }
        let (high, low) = (high.to_digit(16)?, chars.next()?.to_digit(16)?);
        bytes.push((high * 16 + low) as u8);
    }
    Some(bytes)
}

fn failed(why: &str) -> Error {
    Error::UserFunctionError(format!("format: {why}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_give_what_sqlites_own_give() {
        let calls = [
            "format('%d of %s', 3, 'ü')",
            "printf('%5d|%-5d|%05d|%+d|% d', 42, 42, 42, 42, 42)",
            "printf('%,d %,d %,d', 1234567, -1234, 12)",
            "printf('%d %d %d %d', '12abc', ' -7 ', '+5', '3.9')",
            "printf('%d %d %d %d', '', '-', 'abc', '1e3')",
            "printf('%d %d', '99999999999999999999', '-99999999999999999999x')",
            "printf('%d %d', 9e999, -9e999)",
            "printf('%.2f %.2f %.2f %.2f', '12.5abc', ' -.5', '5.', '1e2x')",
            "printf('%.1f %.1f %.1f %.1f %.1f', '', '.', 'inf', 'nan', '1e')",
            "printf('%f %f %+f|%8.2f|%-8f|', 9e999, -9e999, 9e999, 9e999, -9e999)",
            "printf('%.10f %.3f', 0.1, 2.0 / 3)",
            "printf('%d %d %d', '12', 3.9, NULL)",
            "printf('%.2f %8.3f %f', 1.25, -2.5, 3)",
            "printf('%x %X %o', 255, 255, 8)",
            "printf('%10s|%-10s|%.2s', 'abc', 'abc', 'abc')",
            "printf('%c%c', 'xyz', 'b')",
            "printf('100%% %s')",
            "printf('no more')",
            "printf(NULL)",
            "printf('%u', 7)",
            "unhex('48656c6C6f')",
            "unhex('48-65', '-')",
            "unhex('4')",
            "unhex('4-8', '-')",
            "unhex('xy')",
            "unhex(NULL)",
            "unhex('')",
        ];
        let queries = calls.map(|call| format!("SELECT {call}"));
        crate::sql::own_functions::assert_same(register, &queries);
    }

    #[test]
    fn where_they_differ_from_sqlites_own() {
        let db = Connection::open_in_memory().unwrap();
        register(&db).unwrap();
        let give = |call: &str| -> String {
            db.query_row(&format!("SELECT {call}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!(give("printf('%.20f', 0.1)"), "0.10000000000000000555");
        assert_eq!(give("printf('%06f', 9e999)"), "   Inf");
    }

    #[test]
    fn what_would_take_for_ever_is_refused() {
        let db = Connection::open_in_memory().unwrap();
        register(&db).unwrap();
        for call in [
            "printf('%900000000d', 1)",
            "printf('%.900000f', 1.0)",
            "printf('%*d', 900000000, 1)",
            "printf('%99999999999999999999999d', 1)",
            "printf('%g', 1.0)",
        ] {
            let given: Result<String> =
                db.query_row(&format!("SELECT {call}"), [], |row| row.get(0));
            assert!(given.is_err(), "{call}: {given:?}");
        }
    }
}

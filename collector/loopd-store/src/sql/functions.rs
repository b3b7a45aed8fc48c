//! The SQL functions that loopd adds, for instants and lengths, and [`percentile`]s.

use jiff::tz::TimeZone;
use loopd_analysis::slow::short_path;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

use super::bounded::text;
use super::guard::Guard;
use super::{math, percentile, time_text};

/// Makes the functions known to a connection. `guard` says what time it is, so that it is the same
/// for every row of a query: what depends on it is as good as constant.
pub(super) fn register(connection: &Connection, guard: &Guard) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(c"wall_time", 1, flags, |context| {
        Ok(context.get::<Option<i64>>(0)?.map(wall_time))
    })?;
    connection.create_scalar_function(c"duration", 1, flags, |context| {
        Ok(context.get::<Option<f64>>(0)?.map(duration))
    })?;
    connection.create_scalar_function(c"short_path", 1, flags, |context| {
        let path = context.get::<Option<String>>(0)?;
        Ok(path.map(|path| short_path(&path).to_owned()))
    })?;
    connection.create_scalar_function(c"ns", 1, flags, |context| {
        text(context, 0).map(|text| time_text::nanos(&text).map_err(failed)).transpose()
    })?;
    let clock = guard.clone();
    connection.create_scalar_function(c"now", 0, flags, move |_| Ok(clock.now()))?;
    let clock = guard.clone();
    connection.create_scalar_function(c"unix", 1, flags, move |context| {
        let read = |text: String| time_text::unix(&text, clock.now(), &TimeZone::system());
        text(context, 0).map(|text| read(text).map_err(failed)).transpose()
    })?;
    connection.create_scalar_function(c"bucket", 2, flags, |context| {
        let (at, step) = (whole(context, 0)?, whole(context, 1)?);
        at.zip(step).map(|(at, step)| bucket(at, step)).transpose()
    })?;
    math::register(connection, flags)?;
    percentile::register(connection, flags)
}

/// Unix nanoseconds as RFC 3339 in UTC, to the nanosecond.
fn wall_time(at: i64) -> String {
    let (seconds, nanos) = (at.div_euclid(1_000_000_000), at.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March, so that the leap day is the last of the year.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Nanoseconds in the unit that keeps the number short: `1.25 ms`.
fn duration(nanos: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match units.into_iter().find(|&(unit, _)| nanos.abs() >= unit) {
        Some((unit, name)) => format!("{:.2} {name}", nanos / unit),
        None => format!("{nanos:.0} ns"),
    }
}

/// A number without its fraction; `None` for NULL.
fn whole(context: &Context<'_>, place: usize) -> Result<Option<i64>> {
    match context.get_raw(place) {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(n) => Ok(Some(n)),
        ValueRef::Real(x) => Ok(Some(x.floor() as i64)),
        _ => Err(failed("bucket(ns, step): both must be numbers, as in ns('1s')".to_owned())),
    }
}

/// The start of the stretch of `step` nanoseconds, counted from 1970, that an instant falls into.
fn bucket(at: i64, step: i64) -> Result<i64> {
    if step <= 0 {
        return Err(failed("bucket(ns, step): step must be more than 0".to_owned()));
    }
    // The very first bucket begins before the first number there is.
    Ok(at.saturating_sub(at.rem_euclid(step)))
}

fn failed(why: String) -> Error {
    Error::UserFunctionError(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_rfc_3339_before_and_after_1970() {
        assert_eq!(wall_time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(wall_time(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(wall_time(951_782_400_000_000_000), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(wall_time(1_795_367_587_000_000_042), "2026-11-22T17:13:07.000000042Z");
        assert!(wall_time(i64::MIN).starts_with("1677-09-21") && wall_time(i64::MAX).len() == 30);
    }

    #[test]
    fn durations_are_short() {
        let text = [0.0, 999.0, 1_250.0, 1_250_000.0, 61e9, -2e6].map(duration);
        assert_eq!(text, ["0 ns", "999 ns", "1.25 µs", "1.25 ms", "61.00 s", "-2.00 ms"]);
    }

    #[test]
    fn buckets_round_down_on_both_sides_of_1970() {
        let buckets = [(0, 10), (19, 10), (-1, 10), (-10, 10), (i64::MIN, 10), (i64::MAX, 1)];
        let starts = buckets.map(|(at, step)| bucket(at, step).unwrap());
        assert_eq!(starts, [0, 10, -10, -10, i64::MIN, i64::MAX]);
        assert!(bucket(5, 0).is_err() && bucket(5, -1).is_err());
    }
}

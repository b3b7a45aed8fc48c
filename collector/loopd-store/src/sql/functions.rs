//! The SQL functions that loopd adds: `wall_time`, `duration`, `short_path`, `percentile`.

use loopd_analysis::histogram::Histogram;
use loopd_analysis::slow::short_path;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Error, Result};

/// Makes the functions known to a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
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
    connection.create_aggregate_function(c"percentile", 2, flags, Percentile)
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

/// `percentile(x, p)`: the smallest value that at least p % of all values do not exceed.
struct Percentile;

/// So many values are kept as they are; of more only a histogram is, which bounds the memory.
const EXACT_VALUES: usize = 1 << 20;

struct Values {
    exact: Vec<f64>,
    rest: Histogram,
    p: f64,
}

impl Aggregate<Values, Option<f64>> for Percentile {
    fn init(&self, _: &mut Context<'_>) -> Result<Values> {
        Ok(Values { exact: Vec::new(), rest: Histogram::default(), p: 50.0 })
    }

    fn step(&self, context: &mut Context<'_>, values: &mut Values) -> Result<()> {
        let p: f64 = context.get(1)?;
        if !(0.0..=100.0).contains(&p) {
            let text = "percentile(x, p): p must be between 0 and 100";
            return Err(Error::UserFunctionError(text.into()));
        }
        values.p = p;
        let Some(value) = context.get::<Option<f64>>(0)? else { return Ok(()) };
        values.exact.push(value);
        if values.exact.len() >= EXACT_VALUES {
            values.exact.drain(..).for_each(|value| values.rest.add(value as u64));
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, values: Option<Values>) -> Result<Option<f64>> {
        let Some(mut values) = values else { return Ok(None) };
        let q = values.p / 100.0;
        if values.rest.count() > 0 {
            values.exact.drain(..).for_each(|value| values.rest.add(value as u64));
            return Ok(values.rest.quantile(q).map(|value| value as f64));
        }
        values.exact.sort_unstable_by(f64::total_cmp);
        let rank = (q * values.exact.len() as f64).ceil() as usize;
        Ok(values.exact.get(rank.max(1) - 1).copied())
    }
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
}

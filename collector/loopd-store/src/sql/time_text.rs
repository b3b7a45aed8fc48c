//! Instants and lengths as people type them: the functions `unix`, `now` and `ns`.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The units that lengths are written in, in nanoseconds.
const UNITS: [(&str, i128); 11] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Nanoseconds of a length: `150us`, `2.5ms`, `1h 30m`, `-1.25 s`.
pub(super) fn nanos(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "ns: {} is no length; write one as 150us, 2.5ms or 1h 30m, in ns, us, ms, s, m, h, d or w",
            quoted(text)
        )
    };
    let trimmed = text.trim();
    let (sign, mut rest) = match trimmed.strip_prefix('-') {
        Some(rest) => (-1, rest.trim_start()),
        None => (1, trimmed),
    };
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut sum = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part = decimal(number)
            .and_then(|(digits, scale)| digits.checked_mul(*unit).map(|n| n / scale));
        sum = part.and_then(|part| sum.checked_add(part)).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    i64::try_from(sign * sum).map_err(|_| wrong())
}

/// A number without a sign as its digits, and what they must be divided by.
fn decimal(number: &str) -> Option<(i128, i128)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Digits beyond a thousandth of a nanosecond say nothing; those of a week need not fit.
    let fraction = fraction.get(..fraction.len().min(15))?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, 10_i128.checked_pow(fraction.len() as u32)?))
}

/// Unix nanoseconds of an instant: `now`, `-5m` (so long before `now`), `14:03:07` (the last time
/// that the clock of `zone` showed it), `2026-11-22 14:03:07` (on that clock) or RFC 3339.
pub(super) fn unix(text: &str, now: i64, zone: &TimeZone) -> Result<i64, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    if text.starts_with('-') {
        let length = nanos(text).map_err(|_| wrong(text))?;
        return now.checked_add(length).ok_or_else(|| wrong(text));
    }
    let at = match text.parse::<Timestamp>() {
        Ok(at) => Some(at),
        // A bare date-time would also parse as a time of day, with its date ignored.
        Err(_) if text.contains('-') => {
            text.parse::<DateTime>().ok().and_then(|local| zone.to_timestamp(local).ok())
        }
        Err(_) => text.parse::<Time>().ok().and_then(|time| last(time, now, zone)),
    };
    let at = at.and_then(|at| i64::try_from(at.as_nanosecond()).ok());
    at.ok_or_else(|| wrong(text))
}

/// The last time up to `now` that the clock of `zone` showed `time`.
fn last(time: Time, now: i64, zone: &TimeZone) -> Option<Timestamp> {
    let now = Timestamp::from_nanosecond(i128::from(now)).ok()?;
    let today = Zoned::new(now, zone.clone()).date();
    let at = zone.to_timestamp(today.to_datetime(time)).ok()?;
    if at <= now {
        return Some(at);
    }
    zone.to_timestamp(today.yesterday().ok()?.to_datetime(time)).ok()
}

fn wrong(text: &str) -> String {
    format!(
        "unix: {} is no instant; write now, -5m, 14:03:07, 2026-11-22 14:03:07 or \
         2026-11-22T14:03:07Z",
        quoted(text)
    )
}

/// What somebody typed, short enough for a message.
fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T14:00:00Z.
    const NOW: i64 = 1_795_356_000_000_000_000;
    const S: i64 = 1_000_000_000;

    #[test]
    fn lengths_are_read_in_every_unit_and_exactly() {
        for (text, expected) in [
            ("150us", 150_000),
            ("2.5ms", 2_500_000),
            ("1h", 3_600 * S),
            ("1h 30m", 5_400 * S),
            ("1.25 ms", 1_250_000),
            ("1.25 µs", 1_250),
            ("0.1s", S / 10),
            ("9007199254740993ns", 9_007_199_254_740_993),
            (" -2 min ", -120 * S),
            ("2w1d", 15 * 86_400 * S),
            ("0.0000000019s", 1),
            ("1.00000000000000000000000000000000000001s", S),
        ] {
            assert_eq!(nanos(text), Ok(expected), "{text}");
        }
        for text in
            ["", "5", "ms", "5 parsecs", "1..2s", "--1s", ".s", "300000w", "1s-", "1e9s", "5ß"]
        {
            let error = nanos(text).unwrap_err();
            assert!(error.contains("is no length") && error.contains("2.5ms"), "{text}: {error}");
        }
        let long = nanos(&"ä".repeat(1_000)).unwrap_err();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn instants_are_read_in_every_form() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, expected) in [
            ("now", NOW),
            ("NOW ", NOW),
            ("-5m", NOW - 300 * S),
            ("-1h30m", NOW - 5_400 * S),
            ("2026-11-22T14:00:01.000000042Z", NOW + S + 42),
            ("2026-11-22T15:00:00+01:00", NOW),
            // The clock here shows 15:00:00 now.
            ("2026-11-22 15:00", NOW),
            ("15:00:00", NOW),
            ("14:59:59.5", NOW - S / 2),
            ("15:00:01", NOW + S - 86_400 * S),
        ] {
            assert_eq!(unix(text, NOW, &zone), Ok(expected), "{text}");
        }
        for text in ["", "noon", "-", "-5 parsecs", "25:00", "2026-13-01", "5m", "1795356000"] {
            let error = unix(text, NOW, &zone).unwrap_err();
            assert!(error.contains("is no instant") && error.contains("-5m"), "{text}: {error}");
        }
        assert!(unix("9999-01-01T00:00:00Z", NOW, &zone).is_err());
    }
}

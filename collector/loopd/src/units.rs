//! Lengths of time and sizes, as people type them.

use std::time::Duration;

/// A limit that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(crate) Option<T>);

/// Reads `90s`, `30m`, `12h`, `7d`, or `off`.
pub(crate) fn age(text: &str) -> Result<Limit<Duration>, String> {
    let seconds = |unit: &str| match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = limit(text, seconds)
        .ok_or("expected a number and s, m, h or d, as in 12h or 7d, or `off`")?;
    Ok(Limit(seconds.map(Duration::from_secs)))
}

/// Reads `500MB`, `10GiB`, or `off`. Bytes where there is no unit.
pub(crate) fn size(text: &str) -> Result<Limit<u64>, String> {
    let bytes = |unit: &str| match unit {
        "" | "B" => Some(1),
        "kB" | "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    limit(text, bytes)
        .map(Limit)
        .ok_or_else(|| "expected a number and a unit, as in 500MB or 10GiB, or `off`".into())
}

/// A size for people: `12.3 MB`.
pub(crate) fn size_text(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..999_950 => ("kB", 1e3),
        999_950..999_950_000 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    format!("{:.1} {unit}", bytes as f64 / factor)
}

/// From which length a poll is slow, in nanoseconds; `None`: nothing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold(pub(crate) Option<u64>);

/// Reads `50ms`, `1.5s`, `1h`, or `default`.
pub(crate) fn threshold(text: &str) -> Result<Threshold, String> {
    let text = text.trim();
    if text == "default" {
        return Ok(Threshold(None));
    }
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, unit) = text.split_at(text.find(|c| !number(c)).unwrap_or(text.len()));
    let unit = match unit.trim_start() {
        "us" | "µs" => Some(1e3),
        "ms" => Some(1e6),
        "s" => Some(1e9),
        "m" | "min" => Some(60e9),
        "h" => Some(3_600e9),
        _ => None,
    };
    let (least, most) = loopd_store::SLOW_THRESHOLDS;
    let nanos = number.parse().ok().zip(unit).map(|(number, unit): (f64, f64)| number * unit);
    match nanos.map(|nanos| nanos.round() as u64) {
        Some(nanos) if (least..=most).contains(&nanos) => Ok(Threshold(Some(nanos))),
        _ => Err("expected a time from 1ms to 1h, as in 50ms or 1.5s, or `default`".into()),
    }
}

/// `None` if it cannot be read, `Some(None)` for `off`. A limit of nothing would keep nothing,
/// which nobody means.
fn limit(text: &str, unit_of: impl Fn(&str) -> Option<u64>) -> Option<Option<u64>> {
    let text = text.trim();
    if text == "off" {
        return Some(None);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    number.checked_mul(unit_of(unit.trim_start())?).filter(|&n| n > 0).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_as_people_write_them() {
        assert_eq!(age("7d"), Ok(Limit(Some(Duration::from_secs(604_800)))));
        assert_eq!(age("off"), Ok(Limit(None)));
        assert_eq!(size("10GiB"), Ok(Limit(Some(10 << 30))));
        assert_eq!(size("1 MB"), Ok(Limit(Some(1_000_000))));
        assert_eq!(size("4096"), Ok(Limit(Some(4096))));
    }

    #[test]
    fn sizes_are_shown_to_one_place() {
        let shown = [0, 999, 1_000, 999_949, 999_950, 12_345_678, 5_000_000_000].map(size_text);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "12.3 MB", "5.0 GB"]);
    }

    #[test]
    fn thresholds_are_within_what_agents_take() {
        assert_eq!(threshold("50ms"), Ok(Threshold(Some(50_000_000))));
        assert_eq!(threshold("1.5 s"), Ok(Threshold(Some(1_500_000_000))));
        assert_eq!(threshold("1h"), Ok(Threshold(Some(3_600_000_000_000))));
        assert_eq!(threshold("default"), Ok(Threshold(None)));
        for text in ["", "50", "ms", "999us", "61m", "-5ms", "1.2.3s", "99999999999999h", "NaNs"] {
            assert!(threshold(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "7", "d", "-1d", "0d", "7 days", "99999999999999999999d"] {
            assert!(age(text).is_err(), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "0", "1 XB", "20000000TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}

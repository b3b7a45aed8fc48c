//! Numbers that JSON must carry as text, because a browser's numbers end at 2^53.

use std::fmt;
use std::str::FromStr;

use loopd_model::UnixNanos;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in wall time, in JSON the decimal text of its nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanosText(pub i64);

/// An id of a task, a resource, a loop or a location, in JSON its decimal text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdText(pub u64);

impl From<UnixNanos> for UnixNanosText {
    fn from(at: UnixNanos) -> Self {
        Self(at.0)
    }
}

macro_rules! as_text {
    ($name:ident, $expected:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|_| {
                    serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &$expected)
                })
            }
        }
    };
}

as_text!(UnixNanosText, "decimal nanoseconds since 1970");
as_text!(IdText, "a decimal id");

/// A length of time for people: three digits and a unit, or two units from a minute on.
pub fn duration_text(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let seconds = nanos / SECOND;
    match nanos {
        0 => "0 s".into(),
        1..1_000 => format!("{nanos} ns"),
        // Just below a unit's end three digits would round up to 1000.
        1_000..999_500 => three_digits(nanos as f64 / 1e3, "µs"),
        999_500..999_500_000 => three_digits(nanos as f64 / 1e6, "ms"),
        999_500_000..59_950_000_000 => three_digits(nanos as f64 / 1e9, "s"),
        _ if seconds < 3_600 => {
            let seconds = (nanos as f64 / 1e9).round() as u64;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
        _ if seconds < 86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn three_digits(value: f64, unit: &str) -> String {
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// A count of what may have been too much to be counted to the end: `100,000+`.
pub fn at_least_text(count: u64, more: bool) -> String {
    format!("{}{}", count_text(count), if more { "+" } else { "" })
}

/// A count for people: `12,345`.
pub fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well() {
        let cases = [
            (0, "0 s"),
            (999, "999 ns"),
            (1_250, "1.25 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (2_300_000_000, "2.30 s"),
            (59_949_000_000, "59.9 s"),
            (59_999_000_000, "1 min 0 s"),
            (125_000_000_000, "2 min 5 s"),
            (3_725_000_000_000, "1 h 2 min"),
            (90_000_000_000_000, "1 d 1 h"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration_text(nanos), text, "{nanos}");
        }
        assert_eq!(count_text(0), "0");
        assert_eq!(count_text(1_234_567), "1,234,567");
    }

    #[test]
    fn extremes_survive_the_way_through_json() {
        for value in [i64::MIN, -1, 0, i64::MAX] {
            let text = serde_json::to_string(&UnixNanosText(value)).unwrap();
            assert_eq!(text, format!("\"{value}\""));
            assert_eq!(serde_json::from_str::<UnixNanosText>(&text).unwrap().0, value);
        }
        let text = serde_json::to_string(&IdText(u64::MAX)).unwrap();
        assert_eq!(serde_json::from_str::<IdText>(&text).unwrap().0, u64::MAX);
        assert!(serde_json::from_str::<IdText>("\"-1\"").is_err());
    }
}

//! Lengths and counts in words, the same in every sentence and on every page.

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
}

//! What a reading did over the range, and whether that is long enough to say so.

use crate::text::duration_text;

/// Fewer readings than these are no trend.
const MIN_READINGS: usize = 8;
/// Of its whole growth at least this share comes in the last quarter: what has filled up and stays grows
/// no more.
const LATE_SHARE: f64 = 0.1;
/// At the end at least this share of the highest is there: otherwise it already drains.
const STAYS: f64 = 0.75;

/// What has become more for less than this may only be filling up, as caches and pools do after a start: it
/// is worth knowing, and no warning.
pub(super) const MIN_WINDOW: u64 = 9_000_000_000;
/// Where at least this share of what comes goes as well, more may simply be in use.
const CHURN: f64 = 0.5;

/// Why a growth is no warning yet, by how long it was seen; `None` if that was long enough.
pub(super) fn too_short(window: u64) -> Option<String> {
    (window < MIN_WINDOW).then(|| format!("seen for {} only", duration_text(window)))
}

/// Whether what became more comes and goes.
pub(super) fn is_churn(came: u64, went: u64) -> bool {
    went as f64 >= CHURN * came as f64
}

/// How far what only ever rises has risen: by how much the lowest of each quarter lies above that of the
/// one before. `None` if it does not: a burst that drains comes down once a quarter, and what is full
/// stays as it is.
pub(super) fn rise(readings: &[Option<f64>]) -> Option<f64> {
    let told: Vec<f64> = readings.iter().flatten().copied().collect();
    if told.len() < MIN_READINGS {
        return None;
    }
    let lowest = |quarter: usize| {
        let part = &told[told.len() * quarter / 4..told.len() * (quarter + 1) / 4];
        part.iter().copied().fold(f64::INFINITY, f64::min)
    };
    let lows: [f64; 4] = std::array::from_fn(lowest);
    let highest = told.iter().copied().fold(0.0, f64::max);
    let last = told.last().copied().unwrap_or(0.0);
    let whole = lows[3] - lows[0];
    let rises = lows.windows(2).all(|pair| pair[1] > pair[0])
        && lows[3] - lows[2] >= LATE_SHARE * whole
        && last >= STAYS * highest;
    rises.then_some(last - told[0])
}

/// The share of told readings for which something holds; 0 if none was told.
pub(super) fn share(readings: &[Option<f64>], holds: impl Fn(usize, f64) -> bool) -> f64 {
    let told = readings.iter().enumerate().filter_map(|(i, it)| Some((i, (*it)?)));
    let (mut all, mut some) = (0u32, 0u32);
    for (i, reading) in told {
        all += 1;
        some += u32::from(holds(i, reading));
    }
    if all == 0 { 0.0 } else { f64::from(some) / f64::from(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(readings: impl IntoIterator<Item = u32>, expected: Option<f64>) {
        let readings: Vec<_> = readings.into_iter().map(|it| Some(f64::from(it))).collect();
        assert_eq!(rise(&readings), expected, "{readings:?}");
    }

    #[test]
    fn what_rises_all_the_time_has_a_rise() {
        check(0..60, Some(59.0));
        // A consumer takes some now and then.
        check((0..60).map(|i| i * 10 + (i % 3) * 7), Some(604.0));
    }

    #[test]
    fn what_comes_down_or_is_full_has_none() {
        check((0..60).map(|i| (i % 20) * 50), None);
        check((0..60).map(|i| (i * 10).min(300)), None);
        check((0..60).map(|i| if i < 45 { i * 10 } else { 450 - (i - 45) * 30 }), None);
        check((0..60).map(|_| 7), None);
        check(0..7, None);
        assert_eq!(rise(&[None; 60]), None);
    }

    #[test]
    fn shares_are_of_what_was_told() {
        assert_eq!(share(&[None, Some(0.0), Some(1.0), None], |_, it| it > 0.0), 0.5);
        assert_eq!(share(&[None], |_, _| true), 0.0);
    }
}

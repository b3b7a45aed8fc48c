//! Reads histograms of poll times, in HdrHistogram's format V2 without compression.
//!
//! Only what pages show is taken from one: the longest poll, and how many were slow. The bytes come from
//! another program, so nothing in them decides how much is allocated or how long this takes.

use console_api::tasks::DurationHistogram;

/// What a histogram tells. Lengths are rounded down, by less than 1 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PollTimes {
    /// The longest poll, in nanoseconds.
    pub(super) max: u64,
    /// Polls at least as long as the threshold.
    pub(super) slow: u64,
}

const COOKIE: u32 = 0x1c84_9303;
/// The digits of the cookie that say how wide counts are.
const WIDTHS: u32 = 0xf0;
/// Values have at most as many digits as the format has.
const MAX_DIGITS: u32 = 5;

/// Reads a histogram; `None` if the bytes are no such thing.
pub(super) fn read(histogram: &DurationHistogram, threshold: u64) -> Option<PollTimes> {
    let mut times = read_bytes(&histogram.raw_histogram, threshold)?;
    // What was longer than the histogram is wide is counted at its end, and the longest kept.
    if histogram.high_outliers > 0 {
        times.max = times.max.max(histogram.highest_outlier.unwrap_or(histogram.max_value));
    }
    Some(times)
}

/// Reads the bytes of one, which is all that older programs send.
pub(super) fn read_bytes(mut bytes: &[u8], threshold: u64) -> Option<PollTimes> {
    if take_u32(&mut bytes)? & !WIDTHS != COOKIE {
        return None;
    }
    let length = usize::try_from(take_u32(&mut bytes)?).ok()?;
    let offset = take_u32(&mut bytes)?;
    let digits = take_u32(&mut bytes)?;
    let lowest = take_u64(&mut bytes)?;
    let (_highest, _ratio) = (take_u64(&mut bytes)?, take_u64(&mut bytes)?);
    if offset != 0 || digits > MAX_DIGITS || lowest == 0 {
        return None;
    }
    let mut counts = bytes.get(..length)?;
    let scale = Scale::new(lowest, digits);
    let mut times = PollTimes::default();
    let mut index = 0u64;
    while !counts.is_empty() {
        let number = take_varint(&mut counts)?;
        // Zigzag: a negative number is a run of zeros.
        let value = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        if value < 0 {
            index = index.checked_add(value.unsigned_abs())?;
            continue;
        }
        if value > 0 {
            let lowest = scale.value(index)?;
            times.max = lowest;
            if lowest >= threshold {
                times.slow = times.slow.saturating_add(value.cast_unsigned());
            }
        }
        index = index.checked_add(1)?;
    }
    Some(times)
}

/// How places in the histogram stand for values.
struct Scale {
    unit: u32,
    /// Places of one power of two, as a power of two.
    half: u32,
}

impl Scale {
    fn new(lowest: u64, digits: u32) -> Self {
        let resolution = 2 * 10u64.pow(digits);
        let magnitude = resolution.next_power_of_two().trailing_zeros().max(1);
        Self { unit: lowest.ilog2(), half: magnitude - 1 }
    }

    /// The least value that is counted at a place; `None` if it is beyond all values.
    fn value(&self, index: u64) -> Option<u64> {
        let half_count = 1u64 << self.half;
        let (bucket, within) = match index >> self.half {
            0 => (0, index),
            power => (power - 1, (index & (half_count - 1)) + half_count),
        };
        let shift = u32::try_from(bucket).ok()?.checked_add(self.unit)?;
        let value = within.checked_shl(shift)?;
        (value >> shift == within).then_some(value)
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*head))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*head))
}

/// Seven bits a byte, the lowest first; the ninth byte has eight.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for place in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let is_last = place == 8;
        let bits = if is_last { byte } else { byte & 0x7f };
        value |= u64::from(bits) << (7 * place);
        if is_last || byte & 0x80 == 0 {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The bytes of a histogram as `console-subscriber` makes it: two digits, up to a second.
    fn bytes(values: &[u64]) -> Vec<u8> {
        let mut histogram = hdrhistogram::Histogram::<u64>::new_with_max(1_000 * MS, 2).unwrap();
        values.iter().for_each(|&value| histogram.record(value).unwrap());
        let counts: Vec<u64> = (0..histogram.distinct_values())
            .scan(histogram.iter_all(), |all, _| all.next().map(|it| it.count_at_value()))
            .collect();
        let mut payload = Vec::new();
        let mut zeros = 0i64;
        for count in counts {
            if count == 0 {
                zeros += 1;
                continue;
            }
            if zeros > 0 {
                put(&mut payload, -std::mem::take(&mut zeros));
            }
            put(&mut payload, count.cast_signed());
        }
        let mut out = Vec::new();
        out.extend_from_slice(&(COOKIE | 0x10).to_be_bytes());
        out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        out.extend_from_slice(&0u32.to_be_bytes());
        out.extend_from_slice(&2u32.to_be_bytes());
        out.extend_from_slice(&1u64.to_be_bytes());
        out.extend_from_slice(&(1_000 * MS).to_be_bytes());
        out.extend_from_slice(&1f64.to_be_bytes());
        out.extend(payload);
        out
    }

    fn put(out: &mut Vec<u8>, value: i64) {
        let mut value = ((value << 1) ^ (value >> 63)).cast_unsigned();
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                return out.push(byte);
            }
            out.push(byte | 0x80);
        }
    }

    #[test]
    fn the_longest_poll_and_the_slow_ones_are_read_to_within_a_percent() {
        let values = [300, 5_000, 5_000, 99 * MS, 130 * MS, 700 * MS];
        let times = read_bytes(&bytes(&values), 100 * MS).unwrap();
        assert_eq!(times.slow, 2);
        assert!(times.max <= 700 * MS && times.max >= 693 * MS, "{}", times.max);
        let short = read_bytes(&bytes(&[0, 7, 255, 256]), 100 * MS).unwrap();
        assert_eq!((short.max, short.slow), (256, 0));
        assert_eq!(read_bytes(&bytes(&[]), 1), Some(PollTimes::default()));
    }

    #[test]
    fn an_outlier_is_the_longest() {
        let histogram = DurationHistogram {
            raw_histogram: bytes(&[1_000 * MS]),
            max_value: 1_000 * MS,
            high_outliers: 1,
            highest_outlier: Some(4_000 * MS),
        };
        let times = read(&histogram, 100 * MS).unwrap();
        assert_eq!((times.max, times.slow), (4_000 * MS, 1));
    }

    #[test]
    fn bytes_that_are_no_histogram_are_not_read() {
        let good = bytes(&[5_000, 700 * MS]);
        assert_eq!(read_bytes(&good[..good.len() - 1], 1), None);
        assert_eq!(read_bytes(b"", 1), None);
        // A run of zeros up to the last place there is, and one more.
        let mut long = good[..40].to_vec();
        let payload = [&[0xff; 9][..], &[0xfd], &[0xff; 8], &[0]].concat();
        long[7] = payload.len() as u8;
        long.extend(payload);
        assert_eq!(read_bytes(&long, 1), None);
        // Whatever one byte becomes, it ends, and claims nothing beyond what can be.
        for place in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[place] = byte;
                let _ = read_bytes(&bad, 1);
            }
        }
    }
}

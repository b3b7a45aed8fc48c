//! Which base and width make a block smallest.

use super::{BLOCK, MAX_EXCEPTIONS, place_parameter};
use crate::bits::bit_length;

/// How a block will be written.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) base: u64,
    pub(super) width: u32,
    /// About what it takes, in bits, beside a few bytes that every plan takes.
    pub(super) bits: usize,
}

impl Plan {
    /// The cheapest for these numbers.
    pub(super) fn of(values: &[u64]) -> Self {
        let min = values.iter().map(|&value| value as i64).min().unwrap_or(0);
        let plan = Self::above(min as u64, values);
        // Numbers far below the rest (none among ids, a clock that steps back) would widen all of it,
        // unless they are exceptions.
        let distance = |value: u64| value.wrapping_sub(min as u64);
        let [median, upper] = sample(values).map(distance);
        let mut least = u64::MAX;
        for &value in values {
            let distance = distance(value);
            least = least.min(if distance < median / 2 { u64::MAX } else { distance });
        }
        // Most often the least is as near to the rest as any, and nothing can be won.
        if bit_length(upper.saturating_sub(least)) + 1 > bit_length(upper) {
            return plan;
        }
        let other = Self::above(least.wrapping_add(min as u64), values);
        if other.bits < plan.bits { other } else { plan }
    }

    fn above(base: u64, values: &[u64]) -> Self {
        // How many distances from the base are so many bits long; those below it apart.
        let (mut above, mut below) = ([0u32; 65], [0u32; 65]);
        let mut all = 0;
        for &value in values {
            let distance = value.wrapping_sub(base) as i64;
            if distance >= 0 {
                above[bit_length(distance as u64) as usize] += 1;
                all |= distance as u64;
            } else {
                below[bit_length(!distance as u64) as usize] += 1;
            }
        }
        let has_below = below.iter().any(|&n| n > 0);
        let sign = usize::from(has_below);
        // Exceptions below the base, and the bits of their heights.
        let lows = |width: u32| {
            let (mut exceptions, mut bits) = (0, 0);
            for (&n, length) in below.iter().zip(0u32..) {
                exceptions += n as usize;
                bits += n as usize * (2 * length.saturating_sub(width) as usize + 1);
            }
            (exceptions, bits)
        };
        let longest = bit_length(all);
        let mut best = Self { base, width: 64, bits: 64 * BLOCK };
        // Exceptions above it, and the bits of their heights, of which each takes two more when
        // the width is one less.
        let (mut highs, mut high_bits) = (0, 0);
        for width in (0..=longest).rev() {
            let (lows, low_bits) = if has_below { lows(width) } else { (0, 0) };
            let exceptions = highs + lows;
            if exceptions > MAX_EXCEPTIONS {
                break;
            }
            let k = place_parameter(exceptions);
            let places = exceptions * (k as usize + 1) + ((BLOCK - exceptions) >> k);
            let bits = width as usize * BLOCK + high_bits + low_bits + places;
            if bits < best.bits {
                best = Self { base, width, bits };
            }
            let n = above[width as usize] as usize;
            high_bits += 2 * highs + n * (1 + 2 * sign);
            highs += n;
        }
        best
    }
}

/// About the median and the upper quartile, as signed numbers.
fn sample(values: &[u64]) -> [u64; 2] {
    const SAMPLES: usize = 9;
    let mut sample = [0; SAMPLES];
    for (place, sampled) in sample.iter_mut().enumerate() {
        *sampled = values[place * values.len() / SAMPLES] as i64;
    }
    sample.sort_unstable();
    [sample[SAMPLES / 2] as u64, sample[SAMPLES * 3 / 4] as u64]
}

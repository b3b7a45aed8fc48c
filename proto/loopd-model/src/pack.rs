//! A run of numbers in as few bits as the cheapest of a few simple encodings takes.
//!
//! The bytes are described in `pack.md`, which the modules that use them show.

use bitpacking::{BitPacker, BitPacker4x};

use crate::bits::bit_length;
use crate::segment::{SegmentError, put_varint, take_varint, unzigzag, zigzag};

const BLOCK: usize = BitPacker4x::BLOCK_LEN;
const VARINTS: u8 = 65;
const CONSTANT: u8 = 66;

/// Appends the run.
pub(crate) fn put(out: &mut Vec<u8>, values: &[u64]) {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => {
            out.push(CONSTANT);
            put_varint(out, zigzag(*first as i64));
        }
        _ => values.chunks(BLOCK).for_each(|block| put_block(out, block)),
    }
}

/// Splits a run of `n` numbers off the front of `bytes`, and appends them to `out`.
pub(crate) fn take(bytes: &mut &[u8], n: usize, out: &mut Vec<u64>) -> Result<(), SegmentError> {
    if let [CONSTANT, rest @ ..] = bytes {
        *bytes = rest;
        let value = unzigzag(take_varint(bytes)?) as u64;
        out.resize(out.len() + n, value);
        return Ok(());
    }
    let mut left = n;
    while left > 0 {
        let block = left.min(BLOCK);
        take_block(bytes, block, out)?;
        left -= block;
    }
    Ok(())
}

/// How a block will be written.
#[derive(Clone, Copy)]
struct Plan {
    base: u64,
    width: u32,
    /// What it takes beside a few bytes that every plan takes.
    bytes: usize,
}

impl Plan {
    /// The cheapest for these numbers.
    fn of(values: &[u64]) -> Self {
        let min = values.iter().map(|&value| value as i64).min().unwrap_or(0);
        let plan = Self::above(min as u64, values);
        // A few numbers far below the rest (none among ids, a clock that steps back) would widen
        // all of it, unless they are exceptions.
        let distance = |value: u64| value.wrapping_sub(min as u64);
        let middle = distance(sampled_median(values)) / 2;
        let (mut few, mut least) = (0, u64::MAX);
        for &value in values {
            few += usize::from(distance(value) < middle);
            least = least.min(if distance(value) < middle { u64::MAX } else { distance(value) });
        }
        if few == 0 || few > values.len() / 4 {
            return plan;
        }
        let other = Self::above(least.wrapping_add(min as u64), values);
        if other.bytes < plan.bytes { other } else { plan }
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
        let longest = bit_length(all);
        let bytes = |width: u32| {
            let mut bytes = width as usize * BLOCK / 8;
            for length in width + 1..=longest {
                bytes += above[length as usize] as usize * (1 + varint_len(length - width + 1));
            }
            if has_below && width < 64 {
                for (length, &n) in below.iter().enumerate() {
                    let high = (length as u32).saturating_sub(width);
                    bytes += n as usize * (1 + varint_len(high + 1));
                }
            }
            bytes
        };
        let mut best = Self { base, width: longest, bytes: bytes(longest) };
        for width in (0..longest).rev().chain(has_below.then_some(64)) {
            let bytes = bytes(width);
            if bytes < best.bytes {
                best = Self { base, width, bytes };
            }
        }
        best
    }
}

/// About the median, as signed numbers.
fn sampled_median(values: &[u64]) -> u64 {
    const SAMPLES: usize = 9;
    let mut sample = [0; SAMPLES];
    for (place, sampled) in sample.iter_mut().enumerate() {
        *sampled = values[place * values.len() / SAMPLES] as i64;
    }
    sample.sort_unstable();
    sample[SAMPLES / 2] as u64
}

/// The bytes of a varint of so many bits.
const fn varint_len(bits: u32) -> usize {
    bits.div_ceil(7) as usize
}

fn put_block(out: &mut Vec<u8>, values: &[u64]) {
    let plan = Plan::of(values);
    let Plan { base, width, .. } = plan;
    if values.len() < BLOCK {
        let distances = values.iter().map(|value| value.wrapping_sub(base));
        let varints = distances.clone().map(|d| varint_len(bit_length(d).max(1))).sum::<usize>();
        if varints <= plan.bytes {
            out.push(VARINTS);
            put_varint(out, zigzag(base as i64));
            distances.for_each(|distance| put_varint(out, distance));
            return;
        }
    }
    out.push(width as u8);
    let exceptions_at = out.len();
    out.push(0);
    put_varint(out, zigzag(base as i64));

    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut low, mut high) = ([0u32; BLOCK], [0u32; BLOCK]);
    let mut places = [0u8; BLOCK];
    let mut exceptions = 0;
    for (place, &value) in values.iter().enumerate() {
        let distance = value.wrapping_sub(base);
        low[place] = (distance & mask) as u32;
        high[place] = ((distance & mask) >> 32) as u32;
        places[exceptions] = place as u8;
        exceptions += usize::from(distance & !mask != 0);
    }
    pack(out, &low, width.min(32));
    pack(out, &high, width.saturating_sub(32));
    out[exceptions_at] = exceptions as u8;
    out.extend_from_slice(&places[..exceptions]);
    for &place in &places[..exceptions] {
        let distance = values[place as usize].wrapping_sub(base) as i64;
        put_varint(out, zigzag(distance >> width));
    }
}

fn pack(out: &mut Vec<u8>, values: &[u32; BLOCK], width: u32) {
    if width > 0 {
        let at = out.len();
        out.resize(at + width as usize * BLOCK / 8, 0);
        BitPacker4x::new().compress(values, &mut out[at..], width as u8);
    }
}

fn take_block(bytes: &mut &[u8], n: usize, out: &mut Vec<u64>) -> Result<(), SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("block");
    let width = u32::from(take_byte(bytes)?);
    if width == u32::from(VARINTS) {
        let base = unzigzag(take_varint(bytes)?) as u64;
        for _ in 0..n {
            out.push(base.wrapping_add(take_varint(bytes)?));
        }
        return Ok(());
    }
    let exceptions = usize::from(take_byte(bytes)?);
    if width > 64 || exceptions > n || (width == 64 && exceptions > 0) {
        return Err(BAD);
    }
    let base = unzigzag(take_varint(bytes)?) as u64;
    let begin = out.len();
    let low = unpack(bytes, width.min(32))?;
    if width <= 32 {
        out.extend(low[..n].iter().map(|&low| base.wrapping_add(u64::from(low))));
    } else {
        let high = unpack(bytes, width - 32)?;
        let wide = low[..n].iter().zip(&high);
        let wide = wide.map(|(&low, &high)| u64::from(high) << 32 | u64::from(low));
        out.extend(wide.map(|distance| base.wrapping_add(distance)));
    }
    let (places, rest) = bytes.split_at_checked(exceptions).ok_or(BAD)?;
    *bytes = rest;
    let values = &mut out[begin..];
    let mut least = 0;
    for &place in places {
        let high = unzigzag(take_varint(bytes)?);
        let value = values.get_mut(usize::from(place)).filter(|_| place >= least).ok_or(BAD)?;
        *value = value.wrapping_add((high << width) as u64);
        least = place + 1;
    }
    Ok(())
}

fn unpack(bytes: &mut &[u8], width: u32) -> Result<[u32; BLOCK], SegmentError> {
    let mut values = [0; BLOCK];
    let len = width as usize * BLOCK / 8;
    let (packed, rest) = bytes.split_at_checked(len).ok_or(SegmentError::Invalid("block"))?;
    *bytes = rest;
    if width > 0 {
        BitPacker4x::new().decompress(packed, &mut values, width as u8);
    }
    Ok(values)
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8, SegmentError> {
    let (&byte, rest) = bytes.split_first().ok_or(SegmentError::Invalid("block"))?;
    *bytes = rest;
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(values: &[u64], at_most: usize) {
        let mut bytes = Vec::new();
        put(&mut bytes, values);
        assert!(bytes.len() <= at_most, "{} bytes", bytes.len());
        let (mut rest, mut decoded) = (&bytes[..], Vec::new());
        take(&mut rest, values.len(), &mut decoded).unwrap();
        assert_eq!(decoded, values);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_constant_run_is_one_number() {
        check(&[7; 256], 2);
        check(&[u64::MAX; 255], 2);
    }

    #[test]
    fn one_outlier_does_not_widen_the_rest() {
        let mut values: Vec<u64> = (0..128).map(|i| 1_000 + i % 16).collect();
        check(&values, 5 + 64);
        values[5] = 1 << 50;
        values[90] = 0;
        check(&values, 5 + 64 + 2 * 10);
        values[3] = -400i64 as u64;
        check(&values, 5 + 64 + 3 * 10);
    }

    #[test]
    fn what_is_left_after_full_blocks_is_packed_if_that_is_smaller() {
        let values: Vec<u64> = (0..120).map(|i| i * 37 % 1024).collect();
        check(&values, 5 + 160);
        check(&values[..3], 2 + 6);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(
            values in proptest::collection::vec((any::<u64>(), 0..64u32), 1..300),
            flat in 0..64u32,
        ) {
            let shifted: Vec<u64> = values.iter().map(|(value, shift)| value >> shift).collect();
            check(&shifted, 12 * shifted.len() + 12);
            let flat: Vec<u64> = values.iter().map(|(v, _)| (*v as i64 >> flat) as u64).collect();
            check(&flat, 12 * flat.len() + 12);
        }
    }
}

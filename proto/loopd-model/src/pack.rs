//! A run of numbers in as few bits as the cheapest of a few simple encodings takes.
//!
//! The bytes are described in `pack.md`, which the modules that use them show.

mod list;
mod plan;

use bitpacking::{BitPacker, BitPacker4x};

use crate::bits::{BitReader, BitWriter, bit_length};
use crate::segment::{SegmentError, put_varint, take_varint, unzigzag, zigzag};
use plan::Plan;

const BLOCK: usize = BitPacker4x::BLOCK_LEN;
/// More would not fit into the byte that counts them, whose highest bit says whether they are signed.
const MAX_EXCEPTIONS: usize = 127;
const SIGNED: u8 = 0x80;
const VARINTS: u8 = 65;
const CONSTANT: u8 = 66;
const LISTED: u8 = 67;

/// Appends the run.
pub(crate) fn put(out: &mut Vec<u8>, values: &[u64]) {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => {
            out.push(CONSTANT);
            put_varint(out, zigzag(*first as i64));
        }
        _ => {
            let begin = out.len();
            values.chunks(BLOCK).for_each(|block| put_block(out, block));
            list::replace_if_smaller(out, begin, values);
        }
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
    if let [LISTED, rest @ ..] = bytes {
        *bytes = rest;
        return list::take(bytes, n, out);
    }
    let mut left = n;
    while left > 0 {
        let block = left.min(BLOCK);
        take_block(bytes, block, out)?;
        left -= block;
    }
    Ok(())
}

/// How the distances between so many exceptions are coded: suits exceptions that are spread evenly.
fn place_parameter(exceptions: usize) -> u32 {
    bit_length(88 / exceptions.max(1) as u64).saturating_sub(1)
}

fn put_block(out: &mut Vec<u8>, values: &[u64]) {
    let Plan { base, width, bits } = Plan::of(values);
    let distances = values.iter().map(|value| value.wrapping_sub(base));
    if values.len() < BLOCK {
        let varint_len = |distance: u64| bit_length(distance | 1).div_ceil(7) as usize;
        if distances.clone().map(varint_len).sum::<usize>() <= bits / 8 {
            out.push(VARINTS);
            put_varint(out, zigzag(base as i64));
            distances.for_each(|distance| put_varint(out, distance));
            return;
        }
    }
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut low, mut high) = ([0u32; BLOCK], [0u32; BLOCK]);
    let mut places = [0u8; BLOCK];
    let (mut exceptions, mut is_signed) = (0, false);
    for (place, distance) in distances.enumerate() {
        low[place] = (distance & mask) as u32;
        high[place] = ((distance & mask) >> 32) as u32;
        places[exceptions] = place as u8;
        let is_exception = distance & !mask != 0;
        exceptions += usize::from(is_exception);
        is_signed |= is_exception && (distance as i64) < 0;
    }
    out.extend_from_slice(&[width as u8, exceptions as u8 | if is_signed { SIGNED } else { 0 }]);
    put_varint(out, zigzag(base as i64));
    pack(out, &low, width.min(32));
    pack(out, &high, width.saturating_sub(32));
    let mut bits = BitWriter::new(out);
    let (k, mut next) = (place_parameter(exceptions), 0);
    for &place in &places[..exceptions] {
        bits.rice(u64::from(place - next), k);
        next = place + 1;
        let high = (values[place as usize].wrapping_sub(base) as i64) >> width;
        bits.gamma(if is_signed { zigzag(high) } else { high as u64 } - 1, 0);
    }
    bits.finish();
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
    let exceptions = take_byte(bytes)?;
    let is_signed = exceptions & SIGNED != 0;
    let exceptions = usize::from(exceptions & !SIGNED);
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
    if exceptions == 0 {
        return Ok(());
    }
    let values = &mut out[begin..];
    let mut bits = BitReader::new(bytes);
    let (k, mut place) = (place_parameter(exceptions), 0);
    for _ in 0..exceptions {
        place += bits.rice(k).ok_or(BAD)?;
        let high = bits.gamma(0).ok_or(BAD)?.wrapping_add(1);
        let high = if is_signed { unzigzag(high) as u64 } else { high };
        let value = values.get_mut(place as usize).ok_or(BAD)?;
        *value = value.wrapping_add(high << width);
        place += 1;
    }
    *bytes = bits.rest().ok_or(BAD)?;
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
    fn many_zeros_among_large_numbers_do_not_widen_them() {
        let id = |i: u64| if i.is_multiple_of(3) { 0 } else { 5_000_000 + i * i % 1_021 };
        let ids: Vec<u64> = (0..256).map(id).collect();
        check(&ids, 256 * 21 / 8);
    }

    #[test]
    fn a_few_distinct_numbers_are_listed() {
        let sizes = [1 << 40, 5, u64::MAX, 900];
        let values: Vec<u64> = (0..256).map(|i| sizes[i * i % 11 % 4]).collect();
        check(&values, 2 + 4 * 7 + 64);
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

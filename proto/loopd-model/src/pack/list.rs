//! Runs that are places in a list of their few distinct numbers.

use super::{LISTED, take_byte};
use crate::bits::{BitReader, BitWriter, bit_length};
use crate::segment::{SegmentError, put_varint, take_varint, unzigzag, zigzag};

/// Longer lists save little, and take time to be given up.
const MAX_DISTINCT: usize = 32;

/// Writes the run as places in a list, instead of what is in `out` from `begin` on, if that is
/// smaller.
pub(super) fn replace_if_smaller(out: &mut Vec<u8>, begin: usize, values: &[u64]) {
    let mut list = [0; MAX_DISTINCT];
    let Some(list) = distinct_of(values, &mut list) else { return };
    let width = bit_length(list.len() as u64 - 1);
    let mut listed = vec![LISTED, list.len() as u8];
    put_varint(&mut listed, zigzag(list[0]));
    let distances = list.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    distances.for_each(|distance| put_varint(&mut listed, distance as u64));
    if listed.len() + (values.len() * width as usize).div_ceil(8) >= out.len() - begin {
        return;
    }
    out.truncate(begin);
    out.extend_from_slice(&listed);
    let mut bits = BitWriter::new(out);
    for &value in values {
        let place = list.partition_point(|&listed| listed < value as i64);
        bits.put(place as u64, width);
    }
    bits.finish();
}

/// The distinct values, ascending as signed numbers; none if there are too many, or if they look as if
/// there will be.
fn distinct_of<'a>(values: &[u64], list: &'a mut [i64; MAX_DISTINCT]) -> Option<&'a [i64]> {
    const A_LOOK: usize = 16;
    let mut distinct = 0;
    for (seen, &value) in values.iter().enumerate() {
        let Err(place) = list[..distinct].binary_search(&(value as i64)) else { continue };
        if distinct == MAX_DISTINCT || (seen == A_LOOK && distinct >= A_LOOK - 1) {
            return None;
        }
        list.copy_within(place..distinct, place + 1);
        list[place] = value as i64;
        distinct += 1;
    }
    Some(&list[..distinct])
}

/// Splits off what [`replace_if_smaller`] wrote, behind the byte that tells it.
pub(super) fn take(bytes: &mut &[u8], n: usize, out: &mut Vec<u64>) -> Result<(), SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("list");
    let distinct = usize::from(take_byte(bytes)?);
    if distinct == 0 || distinct > MAX_DISTINCT {
        return Err(BAD);
    }
    let mut list = [0; MAX_DISTINCT];
    list[0] = unzigzag(take_varint(bytes)?) as u64;
    for place in 1..distinct {
        list[place] = list[place - 1].wrapping_add(take_varint(bytes)?);
    }
    let list = &list[..distinct];
    let width = bit_length(distinct as u64 - 1);
    let mut bits = BitReader::new(bytes);
    for _ in 0..n {
        out.push(*list.get(bits.take(width) as usize).ok_or(BAD)?);
    }
    *bytes = bits.rest().ok_or(BAD)?;
    Ok(())
}

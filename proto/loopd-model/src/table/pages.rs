//! Pages: the values of a few rows, each column alone.

use super::{Directory, MAX_COLUMNS, MAX_ROWS, NULL, PAGE_ROWS, Page, Predict, directory};
use crate::head::check_part;
use crate::pack;
use crate::segment::{SegmentError, put_varint, take_varint, unzigzag, zigzag};

const NO_NULLS: u8 = 0;
const SOME_NULLS: u8 = 1;
const ALL_NULLS: u8 = 2;
const BAD: SegmentError = SegmentError::Invalid("column");

/// Packs the rows of these columns, of which the first is the key. Returns an empty vector for no
/// rows.
///
/// # Panics
///
/// If there is not one prediction for each column, if one is by a column that is not an earlier one, if
/// columns differ in length, or if there are no columns, more than [`MAX_COLUMNS`], or more than
/// [`MAX_ROWS`].
pub fn encode(predict: &[Predict], columns: &[&[i64]]) -> Vec<u8> {
    assert!((1..=MAX_COLUMNS).contains(&columns.len()), "1 to 64 columns");
    assert_eq!(predict.len(), columns.len(), "a prediction for each column");
    let rows = columns[0].len();
    assert!(rows <= MAX_ROWS, "cut tables before encoding them");
    assert!(columns.iter().all(|column| column.len() == rows), "columns differ in length");
    for (place, predict) in predict.iter().enumerate() {
        let is_earlier = |column: &u8| usize::from(*column) < place;
        let is_valid = !matches!(predict, Predict::Column(column) if !is_earlier(column));
        assert!(is_valid, "a column is predicted by earlier ones only");
    }
    if rows == 0 {
        return Vec::new();
    }
    let mut body = Vec::with_capacity(rows * columns.len());
    let mut pages = Vec::with_capacity(rows.div_ceil(PAGE_ROWS));
    let (mut lengths, mut data, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..rows).step_by(PAGE_ROWS) {
        let range = first..rows.min(first + PAGE_ROWS);
        lengths.clear();
        data.clear();
        for (place, predict) in predict.iter().enumerate() {
            let values = &columns[place][range.clone()];
            let nearby = match predict {
                Predict::Column(column) => Some(&columns[usize::from(*column)][range.clone()]),
                Predict::Nothing | Predict::Row => None,
            };
            let begin = data.len();
            put_column(&mut data, values, *predict == Predict::Row, nearby, &mut scratch);
            put_varint(&mut lengths, (data.len() - begin) as u64);
        }
        let begin = body.len();
        body.extend_from_slice(&lengths);
        body.extend_from_slice(&data);
        let keys = &columns[0][range.clone()];
        pages.push(Page {
            range: begin..body.len(),
            first,
            rows: range.len(),
            min: keys.iter().copied().min().unwrap_or(NULL),
            max: keys.iter().copied().max().unwrap_or(NULL),
            crc: crc32fast::hash(&body[begin..]),
        });
    }
    directory::put(&Directory { rows, predict: predict.to_vec(), pages, len: 0 }, &body)
}

fn put_column(
    out: &mut Vec<u8>,
    values: &[i64],
    by_row: bool,
    nearby: Option<&[i64]>,
    numbers: &mut Vec<u64>,
) {
    let nulls = values.iter().filter(|&&value| value == NULL).count();
    if nulls == values.len() {
        out.push(ALL_NULLS);
        return;
    }
    numbers.clear();
    match nearby {
        Some(nearby) => {
            let distance = |(&value, &near): (&i64, &i64)| value.wrapping_sub(or_zero(near)) as u64;
            let pairs = values.iter().zip(nearby);
            numbers.extend(pairs.filter(|&(&value, _)| value != NULL).map(distance));
        }
        None => {
            let present = values.iter().filter(|&&value| value != NULL);
            numbers.extend(present.map(|&value| value as u64));
        }
    }
    if nulls == 0 {
        out.push(NO_NULLS);
    } else {
        out.push(SOME_NULLS);
        let bits = |eight: &[i64]| {
            let nulls = eight.iter().rev().map(|&value| u8::from(value == NULL));
            nulls.fold(0, |byte, null| byte << 1 | null)
        };
        out.extend(values.chunks(8).map(bits));
    }
    let mut run = &mut numbers[..];
    if by_row {
        put_varint(out, zigzag(run[0] as i64));
        for place in (1..run.len()).rev() {
            run[place] = run[place].wrapping_sub(run[place - 1]);
        }
        run = &mut run[1..];
    }
    if !run.is_empty() {
        pack::put(out, run);
    }
}

impl Directory {
    /// Reads the chosen columns of one page out of the bytes of its range: bit `i` of `chosen` is column
    /// `i`. They replace what was in `out`, which has one vector for each column; the others are left
    /// empty, but for those by which a chosen one is predicted.
    pub fn page(
        &self,
        page: usize,
        bytes: &[u8],
        chosen: u64,
        out: &mut [Vec<i64>],
    ) -> Result<(), SegmentError> {
        out.iter_mut().for_each(Vec::clear);
        self.append_page(page, bytes, chosen, out)
    }

    /// Reads one page as [`Directory::page`] does, and puts its values behind those in `out`.
    pub fn append_page(
        &self,
        page: usize,
        bytes: &[u8],
        chosen: u64,
        out: &mut [Vec<i64>],
    ) -> Result<(), SegmentError> {
        let page = self.pages.get(page).ok_or(SegmentError::Invalid("page"))?;
        check_part(bytes, &page.range, page.crc)?;
        if out.len() != self.predict.len() {
            return Err(SegmentError::Invalid("columns"));
        }
        let needed = self.needed(chosen);
        let mut lengths = bytes;
        let mut rest = bytes;
        for _ in &self.predict {
            take_varint(&mut rest)?;
        }
        let mut numbers = Vec::with_capacity(page.rows);
        for (place, predict) in self.predict.iter().enumerate() {
            let len = usize::try_from(take_varint(&mut lengths)?).map_err(|_| BAD)?;
            let (column, after) = rest.split_at_checked(len).ok_or(BAD)?;
            rest = after;
            if needed & 1 << place == 0 {
                continue;
            }
            let (earlier, here) = out.split_at_mut(place);
            let nearby = match predict {
                Predict::Column(by) => {
                    let by = &earlier[usize::from(*by)];
                    Some(by.get(by.len().wrapping_sub(page.rows)..).ok_or(BAD)?)
                }
                Predict::Nothing | Predict::Row => None,
            };
            let begin = here[0].len();
            let by_row = *predict == Predict::Row;
            take_column(column, page.rows, by_row, nearby, &mut numbers, &mut here[0])?;
            if place == 0 {
                let keys = &here[0][begin..];
                let extent = (keys.iter().min(), keys.iter().max());
                if extent != (Some(&page.min), Some(&page.max)) {
                    return Err(SegmentError::Invalid("page"));
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(SegmentError::Invalid("page")) }
    }

    /// The chosen columns and those by which they are predicted.
    fn needed(&self, chosen: u64) -> u64 {
        self.predict.iter().enumerate().rev().fold(chosen, |needed, (place, predict)| match predict
        {
            Predict::Column(by) if needed & 1 << place != 0 => needed | 1 << by,
            _ => needed,
        })
    }
}

/// Appends the values of one column of one page.
fn take_column(
    bytes: &[u8],
    rows: usize,
    by_row: bool,
    nearby: Option<&[i64]>,
    numbers: &mut Vec<u64>,
    out: &mut Vec<i64>,
) -> Result<(), SegmentError> {
    let (&nulls, mut rest) = bytes.split_first().ok_or(BAD)?;
    let is_null: &[u8] = match nulls {
        NO_NULLS => &[],
        SOME_NULLS => {
            let (bits, after) = rest.split_at_checked(rows.div_ceil(8)).ok_or(BAD)?;
            rest = after;
            bits
        }
        ALL_NULLS => {
            out.resize(out.len() + rows, NULL);
            return if rest.is_empty() { Ok(()) } else { Err(BAD) };
        }
        _ => return Err(BAD),
    };
    let nulls: usize = is_null.iter().map(|byte| byte.count_ones() as usize).sum();
    // At least one value, and no bits set behind the last row.
    let present = rows.checked_sub(nulls).filter(|&present| present > 0).ok_or(BAD)?;
    if !rows.is_multiple_of(8) && is_null.last().is_some_and(|last| last >> (rows % 8) != 0) {
        return Err(BAD);
    }
    numbers.clear();
    if by_row {
        let first = unzigzag(take_varint(&mut rest)?) as u64;
        numbers.push(first);
        pack::take(&mut rest, present - 1, numbers)?;
        numbers.iter_mut().skip(1).fold(first, |before, number| {
            *number = number.wrapping_add(before);
            *number
        });
    } else {
        pack::take(&mut rest, present, numbers)?;
    }
    if !rest.is_empty() {
        return Err(BAD);
    }
    let begin = out.len();
    if nulls == 0 {
        out.extend(numbers.iter().map(|&number| number as i64));
    } else {
        let mut numbers = numbers.iter();
        out.extend((0..rows).map(|row| match is_null[row / 8] >> (row % 8) & 1 {
            0 => numbers.next().map_or(NULL, |&number| number as i64),
            _ => NULL,
        }));
    }
    if let Some(nearby) = nearby {
        let present = |row: usize| nulls == 0 || is_null[row / 8] >> (row % 8) & 1 == 0;
        for (row, (value, &near)) in out[begin..].iter_mut().zip(nearby).enumerate() {
            if present(row) {
                *value = value.wrapping_add(or_zero(near));
            }
        }
    }
    Ok(())
}

/// What a NULL predicts.
const fn or_zero(value: i64) -> i64 {
    if value == NULL { 0 } else { value }
}

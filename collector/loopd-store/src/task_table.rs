//! Records of tasks that lived shortly and well, packed by column: what is in a segment of kind 4.
//!
//! ```text
//! varint    k, the number of spawn locations
//! k varint  them, ascending
//! 4         CRC-32 (IEEE) of everything before, little-endian
//! …         a table as `loopd_model::table` describes it
//! ```
//!
//! The table's columns are those of the table `task` without the process, in the order of
//! [`tasks::NAMES`], with the task as the key; a spawn location is its place among those above, from
//! 0. [`PREDICT`] says what each is near to.

use std::collections::HashSet;

use loopd_model::segment::{SegmentError, put_varint, take_varint};
use loopd_model::table::{self, Directory, Predict};

use crate::sql::packed_rows::NULL;
use crate::writer::tasks::{self, WIDTH};

/// A row as the table `task` has it, with the process first.
pub(crate) type TaskRecord = [i64; WIDTH];

/// Columns of the table: all but the process.
const COLUMNS: usize = WIDTH - 1;
const LOCATION: usize = tasks::SPAWN_LOCATION - 1;
const CRC_LEN: usize = 4;

/// What each column is predicted from.
const PREDICT: [Predict; COLUMNS] = {
    use Predict::{Column, Nothing, Row};
    const TASK: u8 = 0;
    const SPAWNED_AT: u8 = 5;
    const ENDED_AT: u8 = 9;
    const BUSY_TIME: u8 = 12;
    const LAST_POLL_AT: u8 = 16;
    [
        Row,                  // task
        Nothing,              // kind
        Nothing,              // loop
        Nothing,              // spawn_location
        Column(TASK),         // parent
        Row,                  // spawned_at
        Nothing,              // name
        Column(SPAWNED_AT),   // named_at
        Column(SPAWNED_AT),   // started_at
        Column(SPAWNED_AT),   // ended_at
        Nothing,              // outcome
        Nothing,              // polls
        Nothing,              // busy_time
        Column(BUSY_TIME),    // max_poll_time
        Nothing,              // slow_polls
        Column(SPAWNED_AT),   // first_poll_at
        Column(ENDED_AT),     // last_poll_at
        Nothing,              // wakes
        Nothing,              // self_wakes
        Nothing,              // scheduled_time
        Nothing,              // last_waker
        Column(ENDED_AT),     // last_woken_at
        Column(LAST_POLL_AT), // last_poll_start
        Nothing,              // unwakeable_at
        Nothing,              // children
        Nothing,              // kept
    ]
};

/// Packs records of one process, which should be in the order of their tasks.
pub(crate) fn encode(records: &[TaskRecord]) -> Vec<u8> {
    let mut locations: Vec<i64> = records.iter().map(|row| row[tasks::SPAWN_LOCATION]).collect();
    locations.sort_unstable();
    locations.dedup();
    locations.retain(|&location| location != NULL);
    let mut out = Vec::new();
    put_varint(&mut out, locations.len() as u64);
    locations.iter().for_each(|&location| put_varint(&mut out, location as u64));
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    let columns: Vec<Vec<i64>> = (0..COLUMNS)
        .map(|column| {
            let values = records.iter().map(|row| row[column + 1]);
            if column != LOCATION {
                return values.collect();
            }
            let place = |location| locations.binary_search(&location).map_or(NULL, |i| i as i64);
            values.map(place).collect()
        })
        .collect();
    let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
    out.extend_from_slice(&table::encode(&PREDICT, &columns));
    out
}

/// The locations, and the table behind them.
fn open(bytes: &[u8]) -> Result<(Vec<i64>, &[u8]), SegmentError> {
    const BAD: SegmentError = SegmentError::Invalid("locations");
    let mut rest = bytes;
    let count = take_varint(&mut rest)? as usize;
    if count > rest.len() {
        return Err(BAD);
    }
    let locations = (0..count).map(|_| take_varint(&mut rest).map(|location| location as i64));
    let locations = locations.collect::<Result<_, _>>()?;
    let said = &bytes[..bytes.len() - rest.len()];
    let (crc, table) = rest.split_at_checked(CRC_LEN).ok_or(BAD)?;
    if crc32fast::hash(said).to_le_bytes() != crc {
        return Err(SegmentError::Checksum);
    }
    Ok((locations, table))
}

/// Records that were read, by column.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Columns that were not asked for may be empty.
    columns: Vec<Vec<i64>>,
    locations: Vec<i64>,
    /// The places of those that are given; `None`: all are.
    places: Option<Vec<u32>>,
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.places.as_ref().map_or_else(|| self.columns.first().map_or(0, Vec::len), Vec::len)
    }

    /// The value of a column as [`TaskRecord`] counts them, but for the process.
    pub(crate) fn value(&self, row: usize, column: usize) -> i64 {
        let row = self
            .places
            .as_ref()
            .map_or(row, |places| places.get(row).map_or(usize::MAX, |&at| at as usize));
        let column = column.wrapping_sub(1);
        let value = self.columns.get(column).and_then(|values| values.get(row));
        match value.copied().unwrap_or(NULL) {
            place if column == LOCATION && place != NULL => {
                self.locations.get(place as usize).copied().unwrap_or(NULL)
            }
            value => value,
        }
    }

    /// Leaves out these tasks.
    pub(crate) fn leave_out(&mut self, tasks: &HashSet<i64>) {
        if !tasks.is_empty() {
            self.keep(|task| !tasks.contains(&task));
        }
    }

    fn keep(&mut self, is_kept: impl Fn(i64) -> bool) {
        let places = (0..self.len() as u32).filter(|&row| is_kept(self.value(row as usize, 1)));
        self.places = Some(places.collect());
    }

    /// A whole record.
    pub(crate) fn record(&self, row: usize, process: i64) -> TaskRecord {
        std::array::from_fn(|column| if column == 0 { process } else { self.value(row, column) })
    }
}

/// Reads columns, a bit each as [`TaskRecord`] counts them, of all records or of one task's.
pub(crate) fn read(bytes: &[u8], columns: u64, task: Option<i64>) -> Result<Records, SegmentError> {
    let keys = task.map_or(i64::MIN..=i64::MAX, |task| task..=task);
    let mut records =
        read_pages(bytes, columns, |page| page.min <= *keys.end() && page.max >= *keys.start())?;
    if let Some(task) = task {
        records.keep(|other| other == task);
    }
    Ok(records)
}

/// Reads the records of those of `tasks`, which are in ascending order, that there are.
pub(crate) fn find(
    bytes: &[u8],
    process: i64,
    tasks: &[i64],
) -> Result<Vec<TaskRecord>, SegmentError> {
    let has_any = |page: &table::Page| {
        let place = tasks.partition_point(|&task| task < page.min);
        tasks.get(place).is_some_and(|&task| task <= page.max)
    };
    let records = read_pages(bytes, u64::MAX, has_any)?;
    let wanted =
        (0..records.len()).filter(|&row| tasks.binary_search(&records.value(row, 1)).is_ok());
    Ok(wanted.map(|row| records.record(row, process)).collect())
}

fn read_pages(
    bytes: &[u8],
    columns: u64,
    is_wanted: impl Fn(&table::Page) -> bool,
) -> Result<Records, SegmentError> {
    let (locations, table) = open(bytes)?;
    let directory = Directory::read(table)?;
    if directory.predict.len() != COLUMNS || directory.len() != table.len() {
        return Err(SegmentError::Invalid("columns"));
    }
    // The key comes along: it says which records are void.
    let chosen = (columns >> 1 | 1) & ((1 << COLUMNS) - 1);
    let mut read = vec![Vec::new(); COLUMNS];
    for (place, page) in directory.pages.iter().enumerate().filter(|(_, page)| is_wanted(page)) {
        directory.append_page(place, &table[page.range.clone()], chosen, &mut read)?;
    }
    Ok(Records { columns: read, locations, places: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Vec<TaskRecord>> {
        let value = prop_oneof![Just(NULL), 0..50i64, any::<i64>()];
        let record = proptest::array::uniform27(value);
        let records = proptest::collection::vec(record, 1..600);
        records.prop_map(|mut records| {
            for (i, record) in records.iter_mut().enumerate() {
                (record[0], record[1]) = (7, 10 + 3 * i as i64);
            }
            records
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn records_are_read_back_as_they_were(records in records(), at: prop::sample::Index) {
            let bytes = encode(&records);
            let all = read(&bytes, u64::MAX, None).unwrap();
            let back: Vec<_> = (0..all.len()).map(|row| all.record(row, 7)).collect();
            prop_assert_eq!(&back, &records);
            let one = *at.get(&records);
            let found = read(&bytes, u64::MAX, Some(one[1])).unwrap();
            prop_assert_eq!((found.len(), found.record(0, 7)), (1, one));
            prop_assert_eq!(find(&bytes, 7, &[0, one[1], one[1] + 1]).unwrap(), [one]);
        }

        #[test]
        fn a_changed_bit_is_noticed(records in records(), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = encode(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes, u64::MAX, None).is_err());
        }
    }

    #[test]
    fn void_records_are_left_out() {
        let record = |task| {
            let mut record = [1; WIDTH];
            record[1] = task;
            record
        };
        let bytes = encode(&[record(3), record(4), record(5)]);
        let mut records = read(&bytes, 1 << 2, None).unwrap();
        records.leave_out(&HashSet::from([4]));
        let tasks: Vec<_> = (0..records.len()).map(|row| records.value(row, 1)).collect();
        assert_eq!((tasks, records.value(1, 2)), (vec![3, 5], 1));
    }
}

use proptest::prelude::*;

use super::*;

/// Everything comes back, at once and in parts.
#[track_caller]
fn check(predict: &[Predict], columns: &[Vec<i64>]) -> usize {
    let given: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
    let bytes = encode(predict, &given);
    let (directory, decoded) = decode(&bytes, u64::MAX).unwrap();
    assert_eq!(decoded, columns);
    assert_eq!(directory.predict, predict);

    let head_len = head_len(&bytes[..HEAD_LEN]).unwrap();
    assert_eq!(Directory::read(&bytes[..head_len]), Ok(directory.clone()));
    let mut out = vec![Vec::new(); columns.len()];
    for (place, page) in directory.pages.iter().enumerate() {
        let rows = page.first..page.first + page.rows;
        let keys = &columns[0][rows.clone()];
        assert_eq!((Some(&page.min), Some(&page.max)), (keys.iter().min(), keys.iter().max()));
        for chosen in 0..columns.len() {
            directory.page(place, &bytes[page.range.clone()], 1 << chosen, &mut out).unwrap();
            assert_eq!(out[chosen], columns[chosen][rows.clone()]);
            let others = out.iter().enumerate().filter(|(place, _)| *place > chosen);
            assert!(others.into_iter().all(|(_, column)| column.is_empty()));
        }
    }
    let found: Vec<usize> = directory.pages_with(keys(columns, 3)..=keys(columns, 3)).collect();
    assert!(found.contains(&(3 % columns[0].len() / PAGE_ROWS)));
    bytes.len()
}

fn keys(columns: &[Vec<i64>], row: usize) -> i64 {
    columns[0][row % columns[0].len()]
}

fn value() -> impl Strategy<Value = i64> {
    let number = (any::<i64>(), 0..64u32).prop_map(|(value, shift)| value >> shift);
    prop_oneof![8 => number, 1 => Just(NULL), 1 => Just(i64::MAX)]
}

const PREDICT: [Predict; 5] =
    [Predict::Row, Predict::Nothing, Predict::Column(0), Predict::Row, Predict::Column(2)];

proptest! {
    #[test]
    fn any_rows_come_back(
        rows in proptest::collection::vec(
            (value(), value(), value(), value(), value()), 1..700,
        ),
    ) {
        let column = |value: fn(&(i64, i64, i64, i64, i64)) -> i64| rows.iter().map(value).collect();
        let columns = [
            column(|row| row.0),
            column(|row| row.1),
            column(|row| row.2),
            column(|row| row.3),
            column(|row| row.4),
        ];
        check(&PREDICT, &columns);
    }

    #[test]
    fn a_changed_bit_is_noticed(
        rows in proptest::collection::vec((value(), value()), 1..600),
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let (left, right): (Vec<i64>, Vec<i64>) = rows.into_iter().unzip();
        let mut bytes = encode(&[Predict::Row, Predict::Column(0)], &[&left, &right]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes, u64::MAX).is_err());
    }
}

#[test]
fn every_length_around_a_block_and_a_page_comes_back() {
    for n in [1, 2, 7, 8, 9, 127, 128, 129, 255, 256, 257, 511, 512, 513] {
        let column = |value: fn(i64) -> i64| (0..n).map(value).collect::<Vec<i64>>();
        let columns = [
            column(|i| i * 3 + i % 2),
            column(|_| NULL),
            column(|i| if i % 2 == 0 { NULL } else { i * 3 + 500 + i % 9 }),
            column(|i| if i % 3 == 0 { NULL } else { i64::MAX - i }),
            column(|i| if i == 0 { NULL } else { -5 }),
        ];
        check(&PREDICT, &columns);
        let mut backwards = columns.map(|column| column.into_iter().rev().collect());
        check(&PREDICT, &backwards);
        backwards[0].fill(NULL);
        check(&PREDICT, &backwards);
    }
}

#[test]
fn what_is_predicted_takes_little() {
    let key: Vec<i64> = (0..2_560).map(|i| (1 << 40) + i * 2).collect();
    let near: Vec<i64> = key.iter().map(|key| key + 7).collect();
    let absent = vec![NULL; key.len()];
    let predict = [Predict::Row, Predict::Column(0), Predict::Nothing];
    let size = check(&predict, &[key, near, absent]);
    assert!(size < 10 * 40 + 50, "{size} bytes");
}

/// A table written by the first release of the format.
const KEPT: &str = "\
    4c5442314e000000280000000a000000040000000100000000000200266b28b9e2d00f04f8fbb9500e0c0107\
    00d00f4105040601030500020406012202411908060504020100020043020001bd02";

#[test]
fn a_table_written_long_ago_can_be_read() {
    let bytes = KEPT.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    let bytes: Vec<u8> = bytes.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
    let (directory, decoded) = decode(&bytes, u64::MAX).unwrap();
    let [nothing, by_row, by_key] = [Predict::Nothing, Predict::Row, Predict::Column(0)];
    assert_eq!(directory.predict, [by_row, nothing, nothing, by_key]);
    let key: Vec<i64> = (0..10).map(|i| 1_000 + i * i % 7).collect();
    let some = (0..10).map(|i| if i % 4 == 1 { NULL } else { -5 - i });
    let near = key.iter().map(|key| key + i64::from(key % 2 == 0));
    assert_eq!(decoded[1], some.collect::<Vec<i64>>());
    assert_eq!(decoded[2], [NULL; 10]);
    assert_eq!(decoded[3], near.collect::<Vec<i64>>());
    assert_eq!(decoded[0], key);
}

/// Rows that are there, under a directory that was changed and has valid checksums.
fn check_lie(lie: impl FnOnce(&mut Directory)) -> Result<(), SegmentError> {
    let key: Vec<i64> = (0..300).collect();
    let bytes = encode(&[Predict::Row, Predict::Column(0)], &[&key, &key]);
    let mut directory = Directory::read(&bytes).unwrap();
    let body = bytes[directory.pages[0].range.start..].to_vec();
    lie(&mut directory);
    decode(&directory::put(&directory, &body), 1).map(|_| ())
}

#[test]
fn a_directory_that_lies_is_an_error() {
    const PAGE: Result<(), SegmentError> = Err(SegmentError::Invalid("page"));
    assert_eq!(check_lie(|_| ()), Ok(()));
    assert_eq!(check_lie(|directory| directory.pages[0].min -= 1), PAGE);
    assert_eq!(check_lie(|directory| directory.pages[1].max += 1), PAGE);
    assert!(check_lie(|directory| directory.predict[0] = Predict::Nothing).is_err());
    assert!(check_lie(|directory| directory.predict[1] = Predict::Column(1)).is_err());
    assert!(check_lie(|directory| directory.rows = 299).is_err());
    assert!(check_lie(|directory| directory.rows = MAX_ROWS).is_err());
}

#[test]
fn no_rows_are_no_bytes() {
    assert!(encode(&[Predict::Nothing], &[&[]]).is_empty());
    assert_eq!(decode(&[], 1), Err(SegmentError::Magic));
}

use proptest::prelude::*;

use super::*;

/// Spans as rows of start, length, task, by and count.
type Row = (u64, u64, u64, u64, u64);

fn columns(rows: &[Row]) -> SpanColumns {
    let mut ids: Vec<u64> = rows.iter().map(|row| row.2).collect();
    ids.sort_unstable();
    ids.dedup();
    let location = |task: u64| LocationId(task.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
    let subject = |&task: &u64| Subject { task: TaskId(task), location: location(task) };
    let slot = |row: &Row| ids.binary_search(&row.2).unwrap() as u32;
    SpanColumns {
        start: rows.iter().map(|row| row.0).collect(),
        length: rows.iter().map(|row| row.1).collect(),
        slot: rows.iter().map(slot).collect(),
        tasks: ids.iter().map(subject).collect(),
        by: rows.iter().map(|row| row.3).collect(),
        count: rows.iter().map(|row| row.4).collect(),
    }
}

/// Columns that say nothing are left out by the encoder.
fn without_trivial(mut columns: SpanColumns) -> SpanColumns {
    if columns.by.iter().all(|&by| by == 0) {
        columns.by.clear();
    }
    if columns.count.iter().all(|&count| count == 1) {
        columns.count.clear();
    }
    columns
}

/// Everything comes back, at once and in parts.
#[track_caller]
fn check(rows: &[Row]) {
    let given = columns(rows);
    let bytes = encode(&given.columns(RecordKind::Wake));
    let expected = without_trivial(given);
    let (header, decoded) = decode(&bytes).unwrap();
    assert_eq!(decoded, expected);
    assert_eq!(header.start.0, *expected.start.iter().min().unwrap());
    assert_eq!(header.max_length, *expected.length.iter().max().unwrap());

    let directory = Directory::read(&bytes[..head_len(&bytes[..HEAD_LEN]).unwrap()]).unwrap();
    assert_eq!(directory.header, header);
    let mut page_columns = PageColumns::default();
    for (place, page) in directory.pages.iter().enumerate() {
        directory.page(place, &bytes[page.range.clone()], &mut page_columns).unwrap();
        let spans = page.first..page.first + page.count;
        assert_eq!(page_columns.start, expected.start[spans.clone()]);
        assert_eq!(page_columns.length, expected.length[spans.clone()]);
        let or_none = |column: &[u64]| column.get(spans.clone()).unwrap_or_default().to_vec();
        assert_eq!(page_columns.by, or_none(&expected.by));
        assert_eq!(page_columns.count, or_none(&expected.count));
    }
    let mut positions = Vec::new();
    for (slot, subject) in expected.tasks.iter().enumerate() {
        assert!(directory.has_location(subject.location));
        let group = directory.group_of(subject.task).unwrap();
        let range = directory.groups[group].range.clone();
        let location = directory.positions(group, &bytes[range], subject.task, &mut positions);
        assert_eq!(location, Ok(Some(subject.location)));
        let slots = expected.slot.iter().zip(0..).filter(|&(&of, _)| of == slot as u32);
        assert!(positions.iter().copied().eq(slots.map(|(_, position)| position)));
    }
}

fn row() -> impl Strategy<Value = Row> {
    let any = || (any::<u64>(), 0..65u32).prop_map(|(v, shift)| v.checked_shr(shift).unwrap_or(0));
    (any(), any(), any(), any(), any())
}

proptest! {
    #[test]
    fn any_spans_come_back(rows in proptest::collection::vec(row(), 1..600)) {
        check(&rows);
    }

    #[test]
    fn polls_come_back(
        polls in proptest::collection::vec((0..2_000u64, 0..9_000u64, 0..300u64), 1..3_000),
    ) {
        let mut now = 1 << 40;
        let rows = polls.iter().map(|&(gap, length, task)| {
            now += gap + length;
            (now - length, length, task, 0, 1)
        });
        check(&rows.collect::<Vec<Row>>());
    }

    #[test]
    fn a_changed_bit_is_noticed(
        rows in proptest::collection::vec(row(), 1..600),
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut bytes = encode(&columns(&rows).columns(RecordKind::Poll));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn every_length_around_a_block_and_a_page_comes_back() {
    for n in [1, 2, 127, 128, 129, 255, 256, 257, 511, 512, 513] {
        let spans = |task: fn(u64) -> u64| {
            let row = |i: u64| (i * 1_000 + i % 7, 500 + i % 100, task(i), i % 5, 1 + i % 2);
            (0..n).map(row).collect::<Vec<Row>>()
        };
        check(&spans(|_| 7));
        check(&spans(|i| i));
        check(&spans(|i| u64::MAX - i));
        check(&spans(|i| i % 3));
        check(&spans(|i| if i % 2 == 0 { 1 << 62 } else { i * i }));
        let backwards: Vec<Row> = spans(|i| i % 70).into_iter().rev().collect();
        check(&backwards);
    }
}

#[test]
fn extreme_values_come_back() {
    let max = u64::MAX;
    check(&[(max, max, max, max, max)]);
    check(&[(0, 0, 0, 0, 0)]);
    check(&[(0, max, 0, 0, 1), (max, 0, max, max, max), (1, max - 1, 1, 0, 1)]);
    let both: Vec<Row> = (0..300)
        .map(|i| if i % 2 == 0 { (0, 0, 0, 0, 0) } else { (max, max, max, max, max) })
        .collect();
    check(&both);
}

/// Three tasks on two pages.
fn example() -> (Directory, Vec<u8>) {
    let rows: Vec<Row> = (0..300).map(|i| (1_000 + i * 50, i % 40, i % 3, 0, 1)).collect();
    let bytes = encode(&columns(&rows).columns(RecordKind::Poll));
    let directory = Directory::read(&bytes).unwrap();
    let body = bytes[directory.pages[0].range.start..].to_vec();
    (directory, body)
}

/// A segment with a head that was changed, and valid checksums.
#[track_caller]
fn check_lie(lie: impl FnOnce(&mut Directory)) -> Result<(), SegmentError> {
    let (mut directory, body) = example();
    let offset = directory.pages[0].range.start;
    lie(&mut directory);
    let bytes = directory::put(&directory, &body);
    let moved = bytes.len() - body.len();
    assert!(moved.abs_diff(offset) < 4, "only the numbers that lie change");
    decode(&bytes).map(|_| ())
}

#[test]
fn a_head_that_lies_about_its_spans_is_an_error() {
    const PAGE: Result<(), SegmentError> = Err(SegmentError::Invalid("page"));
    const GROUP: Result<(), SegmentError> = Err(SegmentError::Invalid("group"));
    assert_eq!(check_lie(|_| ()), Ok(()));
    assert_eq!(check_lie(|head| head.header.start.0 -= 1), PAGE);
    assert_eq!(check_lie(|head| head.header.end.0 += 1), PAGE);
    assert_eq!(check_lie(|head| head.header.max_length += 1), PAGE);
    assert_eq!(check_lie(|head| head.pages[1].start.0 -= 1), PAGE);
    assert_eq!(check_lie(|head| head.pages[1].start.0 += 1), PAGE);
    assert_eq!(check_lie(|head| head.pages[0].end.0 += 1), PAGE);
    assert_eq!(check_lie(|head| head.pages[0].end.0 -= 1), PAGE);
    assert_eq!(check_lie(|head| head.pages[0].max_length -= 1), PAGE);
    assert_eq!(check_lie(|head| head.pages[1].clock += 1), PAGE);
    assert_eq!(check_lie(|head| head.header.max_task.0 += 1), GROUP);
    assert_eq!(check_lie(|head| head.header.max_task.0 -= 1), GROUP);
    assert_eq!(check_lie(|head| head.header.tasks += 1), GROUP);
    assert_eq!(check_lie(|head| head.flags = 4), Err(SegmentError::Invalid("flags")));
    assert_eq!(
        check_lie(|head| (head.header.count, head.header.tasks) = (MAX_SPANS, 3)),
        Err(SegmentError::Invalid("head length")),
    );
}

/// Two tasks of two spans each, with first positions and a distance as given.
fn check_positions(first: [u64; 2], distance: u64) -> Result<Vec<u32>, SegmentError> {
    let rows: Vec<Row> = (0..4).map(|i| (i, 0, 5 + i % 2, 0, 1)).collect();
    let mut given = columns(&rows);
    given.tasks.iter_mut().for_each(|subject| subject.location = LocationId(8));
    let bytes = encode(&given.columns(RecordKind::Poll));
    let mut directory = Directory::read(&bytes).unwrap();
    let offset = directory.pages[0].range.start;
    let mut body = bytes[offset..directory.groups_range().start].to_vec();
    let begin = body.len();
    let mut bits = crate::bits::BitWriter::new(&mut body);
    bits.put(0, 17); // the parameters, and positions that are not relative
    for (task, first) in first.into_iter().enumerate() {
        if task > 0 {
            bits.gamma(0, 0); // the next id
        }
        bits.gamma(1, 0); // one span more
        bits.gamma(first, 0);
        bits.put(0, 5);
    }
    bits.rice(distance - 1, 0);
    bits.rice(1, 0);
    bits.finish();
    let crc = crc32fast::hash(&body[begin..]);
    directory.groups[0] = Group { range: begin..body.len(), crc, ..directory.groups[0].clone() };
    decode(&directory::put(&directory, &body)).map(|(_, columns)| columns.slot)
}

#[test]
fn positions_are_those_of_all_spans_once() {
    const GROUP: Result<Vec<u32>, SegmentError> = Err(SegmentError::Invalid("group"));
    assert_eq!(check_positions([0, 1], 2), Ok(vec![0, 1, 0, 1]));
    assert_eq!(check_positions([1, 0], 2), Ok(vec![1, 0, 1, 0]));
    assert_eq!(check_positions([0, 0], 2), GROUP);
    assert_eq!(check_positions([0, 1], 3), GROUP);
    assert_eq!(check_positions([0, 1], 4), GROUP);
    assert_eq!(check_positions([0, 4], 2), GROUP);
    assert_eq!(check_positions([0, 1 << 40], 2), GROUP);
}

#[test]
fn tasks_without_spans_are_left_out_and_those_with_one_id_are_one() {
    let subject = |task, location| Subject { task: TaskId(task), location: LocationId(location) };
    let columns = Columns {
        kind: RecordKind::Poll,
        start: &[1, 2, 3, 4],
        length: &[0; 4],
        slot: &[3, 0, 2, 3],
        tasks: &[subject(9, 1), subject(4, 2), subject(9, 3), subject(6, 4)],
        by: &[],
        count: &[],
    };
    let (header, decoded) = decode(&encode(&columns)).unwrap();
    assert_eq!(decoded.tasks, [subject(6, 4), subject(9, 1)]);
    assert_eq!(decoded.slot, [0, 1, 1, 0]);
    assert_eq!((header.min_task, header.max_task), (TaskId(6), TaskId(9)));
}

#[test]
fn a_task_that_is_not_there_has_no_positions() {
    let rows: Vec<Row> = (0..500).map(|i| (i, 1, 10 + i * 2, 0, 1)).collect();
    let bytes = encode(&columns(&rows).columns(RecordKind::Poll));
    let directory = Directory::read(&bytes).unwrap();
    assert!(directory.groups.len() > 2);
    assert_eq!(directory.group_of(TaskId(9)), None);
    assert_eq!(directory.group_of(TaskId(10 + 998 + 1)), None);
    let group = directory.group_of(TaskId(501)).unwrap();
    let range = directory.groups[group].range.clone();
    let found = directory.positions(group, &bytes[range], TaskId(501), &mut Vec::new());
    assert_eq!(found, Ok(None));
}

#[test]
fn no_spans_are_no_bytes() {
    assert!(encode(&SpanColumns::default().columns(RecordKind::Poll)).is_empty());
    assert_eq!(decode(&[]), Err(SegmentError::Magic));
}

/// A segment written by the first release of the format, with every way to pack a run but that for a constant.
const KEPT: &str = "\
    4c534732f001000067000000010000008200000003000000020000000100000088130000000000000d170000\
    020000000000000002000000030000000000000000000000000000400106cb02325e6adb0000858780802080\
    808080203e0b93c53203004fd4923d1182effd0a785fa7bfdd5f7bbfb75f0fbf915fb3bfce7e1dfc367e2dff\
    7e7f7dfde67e4dfcbafd75f55afbb5f2faf8f5fa1afe35f6ebe2d7e96bf7d7deebedd7c36be4d7ecafb35f07\
    af8d5fcbafdf5f5fafb95f13bf6e7f5dbfd67eadbf3e7ebdbf867f8dfdbaf875fcdafdb5fe7afbf5fd1af935\
    faebecd7f76be3d7f0ebf7d7fb6beed7c1afdb5ff2afb55fd7af8f5fc4afe15f57bf2e7e2bbf767fafbfde7e\
    63bf467e9dfe3afb25fad5f80500f0fdcdfe9afb75f0ebf6b5fc6bedf5f5ebe335f16bf8d7d5af8bd7caafdd\
    d7ebafb7d7d8af915fa7bfce5f7bbf365f0fbf7e5fb3bfe67e1dfcba7e2dff5a7f7dfdfa7e4dfc1afd75f5eb\
    fbb5f26bf8f5faebfe35f66be2d7e9aff7d7deafedd7c3afe4d7ecaf150080feff1402412a26004304002828\
    b0ffffff1f24499e244992244992244992244992244992244992244992244992244992244902400194c54c04\
    00000000000000c0fdffffffffffff4fc2415555555555555555359bcd66b3d96c369bcd66b3d96c369b1dc7\
    711cc7711cc7711cc7711cc7";

#[test]
fn a_segment_written_long_ago_can_be_read() {
    let bytes = KEPT.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    let bytes: Vec<u8> = bytes.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
    let (header, decoded) = decode(&bytes).unwrap();
    assert_eq!((header.kind, header.count), (RecordKind::Poll, 130));
    let start = (0..130).map(|i| 5_000 + i * 100 + if i == 77 { 90_000 } else { i * i % 16 });
    assert_eq!(decoded.start, start.collect::<Vec<u64>>());
    let length = (0..130).map(|i| if i == 9 { 1 << 33 } else { i % 3 * 40 });
    assert_eq!(decoded.length, length.collect::<Vec<u64>>());
    assert_eq!(decoded.slot, (0..130).map(|i| i * i % 7 % 3).collect::<Vec<u32>>());
    let subject = |(task, location)| Subject { task: TaskId(task), location: LocationId(location) };
    assert_eq!(decoded.tasks, [(3, 1), (4, 7), (1 << 62, 1)].map(subject));
    assert_eq!((decoded.by, decoded.count), (vec![], vec![]));
}

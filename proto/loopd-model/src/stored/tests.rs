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

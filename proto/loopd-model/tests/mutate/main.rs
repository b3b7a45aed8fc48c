//! Bytes that were damaged and then given valid checksums: whatever they say, decoding them neither
//! panics nor allocates more than they can hold, and what it accepts is a segment.
//!
//! The same mutations each time. Where the checksums are is found by a reader of its own, written from
//! the description of the formats.
#![cfg(feature = "stored")]
#![expect(unsafe_code, reason = "an allocator that counts")]

mod counting;
mod repair;

use loopd_model::segment::{self, Effort};
use loopd_model::stored::{self, PageColumns, Subject};
use loopd_model::table::{self, Predict};
use loopd_model::{LocationId, Nanos, RecordKind, Span, TaskId};

const ROUNDS: u32 = 20_000;
/// What errors and directories of a few entries take.
const LITTLE: usize = 16 * 1024;

/// Marsaglia's xorshift64*: good enough, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 32) as usize % n.max(1)
    }

    /// Small more often than large, and any at times.
    fn number(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }

    /// Changes a few bytes.
    fn damage(&mut self, bytes: &mut [u8]) {
        for _ in 0..1 + self.below(3) {
            // The head more often than its share: it is what the rest is read by.
            let reach = if self.below(2) == 0 { bytes.len().min(100) } else { bytes.len() };
            let at = self.below(reach);
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => bytes[at] = bytes[at].wrapping_add(1),
                3 => bytes[at] = self.next() as u8,
                _ => {
                    let len = 1 + self.below((bytes.len() - at).min(16));
                    let from = self.below(bytes.len() - len);
                    bytes.copy_within(from..from + len, at);
                }
            }
        }
    }
}

fn spans(random: &mut Random) -> stored::SpanColumns {
    let n = [1, 3, 100, 128, 200, 256, 300, 700][random.below(8)];
    let tasks = [1, 2, n][random.below(3)].min(n);
    let is_wide = random.below(4) == 0;
    let mut columns = stored::SpanColumns::default();
    let mut now = random.number();
    for _ in 0..n {
        let (gap, length) = (random.below(1_000) as u64, random.below(9_000) as u64);
        now = if is_wide { random.number() } else { now.wrapping_add(gap) };
        columns.start.push(now);
        columns.length.push(if is_wide { random.number() } else { length });
        columns.slot.push(random.below(tasks) as u32);
        now = now.wrapping_add(length);
    }
    if random.below(3) == 0 {
        columns.by = (0..n).map(|_| random.number()).collect();
        columns.count = (0..n).map(|_| 1 + random.below(3) as u64).collect();
    }
    let subject = |task: u64| {
        let location = LocationId(random.below(9) as u64);
        Subject { task: TaskId(task * 3), location }
    };
    columns.tasks = (0..tasks as u64).map(subject).collect();
    columns
}

#[test]
fn a_damaged_stored_segment_is_an_error_or_another_segment() {
    let mut random = Random(1);
    let (mut page, mut positions) = (PageColumns::default(), Vec::new());
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let given = spans(&mut random);
        let mut bytes = stored::encode(&given.columns(RecordKind::Wake));
        random.damage(&mut bytes);
        repair::stored(&mut bytes);

        let (decoded, peak) = counting::peak_of(|| stored::decode(&bytes));
        // Nine bytes of the head for each page of 256 spans, 52 bytes for each span.
        let spans = repair::u32_at(&bytes, 16).min(bytes.len() / 9 * 256);
        assert!(peak <= 16 * bytes.len() + 52 * spans + LITTLE, "round {round}: {peak} bytes");
        if let Ok((header, decoded)) = decoded {
            accepted += 1;
            let again = stored::encode(&decoded.columns(header.kind));
            let same = stored::decode(&again).unwrap().1;
            assert_eq!((&same.start, &same.length), (&decoded.start, &decoded.length));
            assert_eq!((&same.slot, &same.tasks), (&decoded.slot, &decoded.tasks));
        }
        // Parts are read without the whole having been looked at.
        let Ok(directory) = stored::Directory::read(&bytes) else { continue };
        for (place, of) in directory.pages.iter().enumerate() {
            let _ = directory.page(place, &bytes[of.range.clone()], &mut page);
        }
        for (place, group) in directory.groups.iter().enumerate() {
            let bytes = &bytes[group.range.clone()];
            let mut subjects = Vec::new();
            let _ = directory.subjects(place, bytes, &mut subjects);
            for (subject, _) in subjects.into_iter().step_by(7) {
                let _ = directory.positions(place, bytes, subject.task, &mut positions);
            }
        }
    }
    // The repair works: some damage only makes it another segment.
    assert!(accepted > ROUNDS / 100, "{accepted} accepted");
}

#[test]
fn a_damaged_table_is_an_error_or_another_table() {
    let mut random = Random(2);
    let predict = [Predict::Row, Predict::Column(0), Predict::Nothing, Predict::Row];
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let n = [1, 7, 128, 200, 256, 300, 600][random.below(7)];
        let mut column = |step: usize, nulls: usize| {
            let mut now = random.below(1 << 40) as i64;
            let value = |_| {
                now += random.below(step) as i64;
                if nulls > 0 && random.below(nulls) == 0 { table::NULL } else { now }
            };
            (0..n).map(value).collect::<Vec<i64>>()
        };
        let columns = [column(4, 0), column(900, 3), column(1 << 30, 0), column(2, 1)];
        let mut bytes = table::encode(&predict, &columns.each_ref().map(Vec::as_slice));
        random.damage(&mut bytes);
        repair::table(&mut bytes);

        let chosen = random.next();
        let (decoded, peak) = counting::peak_of(|| table::decode(&bytes, chosen));
        let rows = repair::u32_at(&bytes, 12).min(bytes.len() / 7 * 256);
        let most = 16 * bytes.len() + 24 * rows * usize::from(bytes[16].min(64)) + LITTLE;
        assert!(peak <= most, "round {round}: {peak} bytes");
        if decoded.is_err() {
            continue;
        }
        accepted += 1;
        let Ok((directory, decoded)) = table::decode(&bytes, u64::MAX) else { continue };
        let decoded: Vec<&[i64]> = decoded.iter().map(Vec::as_slice).collect();
        let again = table::encode(&directory.predict, &decoded);
        assert_eq!(table::decode(&again, u64::MAX).unwrap().1, decoded);
    }
    assert!(accepted > ROUNDS / 100, "{accepted} accepted");
}

#[test]
fn a_damaged_segment_is_an_error_or_another_segment() {
    let mut random = Random(3);
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let given = spans(&mut random);
        let now = random.below(1 << 40) as u64;
        let span = |(place, &length): (usize, &u64)| Span {
            start: Nanos(now + place as u64 * 9_000),
            length: length >> 2,
            task: given.tasks[given.slot[place] as usize].task,
            by: TaskId(given.by.get(place).copied().unwrap_or(0)),
            count: 1,
        };
        let spans: Vec<Span> = given.length.iter().enumerate().map(span).collect();
        let effort = if random.below(2) == 0 { Effort::Fast } else { Effort::Small };
        let mut bytes = segment::encode(RecordKind::Poll, &spans, effort);
        random.damage(&mut bytes);
        repair::segment(&mut bytes);

        let (decoded, peak) = counting::peak_of(|| segment::decode_columns(&bytes));
        // Columns may be constant or compressed, so that the bytes bound nothing but their count.
        let spans = repair::u32_at(&bytes, 12).min(segment::MAX_SPANS);
        assert!(peak <= 200 * spans + 16 * bytes.len() + LITTLE, "round {round}: {peak} bytes");
        if let Ok((header, columns)) = decoded {
            accepted += 1;
            let spans: Vec<Span> = (0..columns.len()).filter_map(|i| columns.get(i)).collect();
            assert_eq!(segment::decode(&bytes), Ok((header, spans.clone())));
            let again = segment::encode(header.kind, &spans, effort);
            assert_eq!(segment::decode(&again).unwrap().1, spans);
        }
    }
    assert!(accepted > ROUNDS / 100, "{accepted} accepted");
}

//! What packing and unpacking costs: millions of spans or rows a second on one core, and bytes each.
//!
//! `cargo bench -p loopd-model --features stored,zstd` prints a table, with `-- --json` one JSON object
//! a line.
#![expect(clippy::print_stdout, reason = "a bench prints its results")]
#![expect(clippy::unwrap_used, reason = "a bench that fails has nothing to say")]

use std::hint::black_box;
use std::time::Instant;

use loopd_model::segment::{self, Effort};
use loopd_model::stored::{self, Columns, Directory, PageColumns, Subject};
use loopd_model::table::{self, Predict};
use loopd_model::{LocationId, Nanos, RecordKind, Span, TaskId};

const SPANS: usize = 65_536;
/// Few enough that a run is seldom interrupted.
const ROWS: usize = 8_192;
const LONG_LIVED: u64 = 10_000;
const LOCATIONS: u64 = 64;
/// How long each case runs.
const SECONDS: f64 = 0.6;

fn main() {
    let results = run();
    let is_json = std::env::args().any(|argument| argument == "--json");
    for Measured { case, value, unit } in results {
        if is_json {
            println!(r#"{{"case":"{case}","value":{value:.3},"unit":"{unit}"}}"#);
        } else {
            println!("{case:<34} {value:>9.2}  {unit}");
        }
    }
}

/// One measured number.
struct Measured {
    case: &'static str,
    value: f64,
    unit: &'static str,
}

/// The best rate of `work`, which handles `items`, in millions a second: what else runs on the machine only
/// ever slows it.
fn rate<T>(case: &'static str, items: usize, mut work: impl FnMut() -> T) -> Measured {
    let mut shortest = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < SECONDS {
        let begin = Instant::now();
        black_box(work());
        shortest = shortest.min(begin.elapsed().as_secs_f64());
    }
    Measured { case, value: items as f64 / shortest / 1e6, unit: "M/s" }
}

fn bytes(case: &'static str, bytes: usize, items: usize) -> Measured {
    Measured { case, value: bytes as f64 / items as f64, unit: "B each" }
}

fn run() -> Vec<Measured> {
    let mut results = spans();
    results.extend(wakes());
    results.extend(rows());
    results
}

fn spans() -> Vec<Measured> {
    let spans = polls();
    let columns = by_column(&spans);
    let given = columns.columns(RecordKind::Poll);
    let packed = stored::encode(&given);
    let directory = Directory::read(&packed).unwrap();
    assert_eq!(stored::decode(&packed).unwrap().1.start, columns.start);
    let groups = &packed[directory.groups_range()];
    let pages: usize = directory.pages.iter().map(|page| page.range.len()).sum();
    let head = packed.len() - pages - groups.len();

    // What each column takes alone: what a page is smaller by when that column is constant.
    let starts: Vec<u64> = given
        .length
        .iter()
        .scan(0, |end, &length| {
            *end += length;
            Some(*end - length)
        })
        .collect();
    let without_gaps = stored::encode(&Columns { start: &starts, ..given });
    let page_bytes = |bytes: &[u8]| -> usize {
        Directory::read(bytes).unwrap().pages.iter().map(|page| page.range.len()).sum()
    };
    let lengths = page_bytes(&without_gaps);

    let mut page = PageColumns::default();
    let (mut positions, mut tasks) = (Vec::new(), columns.tasks.iter().cycle());
    let fast = segment::encode(RecordKind::Poll, &spans, Effort::Fast);
    let small = segment::encode(RecordKind::Poll, &spans, Effort::Small);
    vec![
        rate("stored encode", SPANS, || stored::encode(&given)),
        rate("stored decode", SPANS, || stored::decode(&packed).unwrap()),
        rate("stored decode, start and length", SPANS, || {
            page.clear();
            for (place, of) in directory.pages.iter().enumerate() {
                directory.append_page(place, &packed[of.range.clone()], &mut page).unwrap();
            }
        }),
        rate("stored decode, task", SPANS, || directory.tasks(groups).unwrap()),
        rate("stored head", 1, || Directory::read(&packed).unwrap()),
        rate("stored positions of one task", 100, || {
            for subject in tasks.by_ref().step_by(71).take(100) {
                let group = directory.group_of(subject.task).unwrap();
                let bytes = &packed[directory.groups[group].range.clone()];
                directory.positions(group, bytes, subject.task, &mut positions).unwrap().unwrap();
            }
        }),
        bytes("stored", packed.len(), SPANS),
        bytes("stored, head", head, SPANS),
        bytes("stored, start", pages - lengths, SPANS),
        bytes("stored, length", lengths, SPANS),
        bytes("stored, task", groups.len(), SPANS),
        bytes("segment fast", fast.len(), SPANS),
        bytes("segment small", small.len(), SPANS),
        rate("segment fast encode", SPANS, || {
            segment::encode(RecordKind::Poll, &spans, Effort::Fast)
        }),
        rate("segment fast decode", SPANS, || segment::decode(&fast).unwrap()),
        rate("segment fast decode, columns", SPANS, || segment::decode_columns(&fast).unwrap()),
        rate("segment small encode", SPANS, || {
            segment::encode(RecordKind::Poll, &spans, Effort::Small)
        }),
        rate("segment small decode", SPANS, || segment::decode(&small).unwrap()),
    ]
}

/// Wakes of the same tasks, three of ten from outside any task.
fn wakes() -> Vec<Measured> {
    let mut random = Random(0x2c1b_3c6d_59b8_41a3);
    let mut columns = by_column(&polls());
    let waker = |_| match random.next() % 10 {
        0..3 => 0,
        _ => columns.tasks[columns.slot[random.below(SPANS)] as usize].task.0,
    };
    columns.by = (0..SPANS).map(waker).collect();
    columns.count = (0..SPANS).map(|_| 1 + u64::from(random.below(20) == 0)).collect();
    let given = columns.columns(RecordKind::Wake);
    let packed = stored::encode(&given);
    let without = |columns: Columns<'_>| packed.len() - stored::encode(&columns).len();
    vec![
        rate("stored wakes encode", SPANS, || stored::encode(&given)),
        rate("stored wakes decode", SPANS, || stored::decode(&packed).unwrap()),
        bytes("stored wakes", packed.len(), SPANS),
        bytes("stored wakes, by", without(Columns { by: &[], ..given }), SPANS),
        bytes("stored wakes, count", without(Columns { count: &[], ..given }), SPANS),
    ]
}

/// Records of ended tasks: 22 columns of numbers, of which three are read.
fn rows() -> Vec<Measured> {
    let (predict, columns) = tasks();
    let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
    let packed = table::encode(&predict, &columns);
    assert_eq!(table::decode(&packed, u64::MAX).unwrap().1, columns);
    // When it was spawned, its last poll, and where it was spawned.
    let three = 0b10_0110;
    vec![
        rate("table encode, 22 columns", ROWS, || table::encode(&predict, &columns)),
        rate("table decode, 22 columns", ROWS, || table::decode(&packed, u64::MAX).unwrap()),
        rate("table decode, 3 columns", ROWS, || table::decode(&packed, three).unwrap()),
        bytes("table, 22 columns", packed.len(), ROWS),
    ]
}

/// As the store knows them: short tasks of a busy service, spawned by a few long-lived ones.
fn tasks() -> (Vec<Predict>, Vec<Vec<i64>>) {
    use Predict::{Column, Nothing, Row};
    let mut random = Random(0x51_7cc1_b727_220a);
    let (mut id, mut spawned) = (1_000_000, 1_795_000_000_000_000_000);
    let mut rows: Vec<Vec<(Predict, i64)>> = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        let mut about =
            |median: f64, spread: f64| (median * (spread * random.normal()).exp()) as i64;
        let (wait, delay, end) = (about(3e6, 1.0), about(1.5e3, 0.6), about(60.0, 0.2));
        let (poll, scheduled) = (about(2e3, 0.8), about(5e3, 0.8));
        let mut below = |n: usize| random.below(n) as i64;
        id += 1 + below(3);
        spawned += below(2_000);
        let polls = 1 + below(10);
        let is_rare = below(100) == 0;
        let (longest, location) = (poll + poll * (polls - 1) / 8, 1 + below(64));
        let busy = poll * polls - if polls > 1 { below(500) } else { 0 };
        let first_poll = spawned + delay;
        let last_poll = first_poll + if polls > 1 { wait } else { poll };
        rows.push(vec![
            (Row, id),
            (Row, spawned),
            (Column(1), last_poll),
            (Column(2), last_poll + end), // ended
            (Column(1), first_poll),
            (Nothing, location),
            (Nothing, 0),                           // kind
            (Nothing, 1),                           // loop
            (Nothing, 1 + location % 8),            // parent
            (Nothing, table::NULL),                 // name
            (Nothing, table::NULL),                 // named
            (Nothing, table::NULL),                 // left the queue
            (Nothing, if is_rare { 3 } else { 1 }), // outcome
            (Nothing, polls),
            (Nothing, busy),
            (Nothing, longest),
            (Nothing, 0),                                         // slow polls
            (Column(13), polls - i64::from(is_rare)),             // wakes
            (Nothing, i64::from(is_rare)),                        // self-wakes
            (Nothing, scheduled),                                 // in all
            (Nothing, if polls > 1 { 1 + below(40) } else { 0 }), // last waker
            (Column(2), last_poll - poll - scheduled / polls),    // last woken
        ]);
    }
    let predict: Vec<Predict> = rows[0].iter().map(|&(predict, _)| predict).collect();
    let column = |place: usize| rows.iter().map(|row| row[place].1).collect();
    let columns = (0..predict.len()).map(column).collect();
    (predict, columns)
}

fn by_column(spans: &[Span]) -> stored::SpanColumns {
    let mut ids: Vec<u64> = spans.iter().map(|span| span.task.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let location = |task: u64| LocationId(1 + task % LOCATIONS);
    let subject = |&task: &u64| Subject { task: TaskId(task), location: location(task) };
    stored::SpanColumns {
        start: spans.iter().map(|span| span.start.0).collect(),
        length: spans.iter().map(|span| span.length).collect(),
        slot: spans.iter().map(|s| ids.binary_search(&s.task.0).unwrap() as u32).collect(),
        tasks: ids.iter().map(subject).collect(),
        ..stored::SpanColumns::default()
    }
}

/// Polls of one busy worker of four: tasks by Zipf's law, lengths log-normal with a few slow ones, one
/// poll in 25 of a new task.
fn polls() -> Vec<Span> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut now, mut newest) = (0, LONG_LIVED);
    let mut spans = Vec::with_capacity(SPANS);
    for _ in 0..SPANS {
        let gap = -400.0 * random.unit().ln();
        let length = if random.unit() < 5e-5 {
            1e6 + 19e6 * random.unit()
        } else {
            900.0 * (0.9 * random.normal()).exp()
        };
        let task = if random.unit() < 0.04 {
            // Other workers poll new tasks as well.
            newest += 1 + random.next() % 7;
            newest
        } else {
            1 + random.zipf(LONG_LIVED)
        };
        let start = now + gap as u64;
        now = start + length as u64;
        let (start, task) = (Nanos(start), TaskId(task));
        spans.push(Span { start, length: length as u64, task, by: TaskId::NONE, count: 1 });
    }
    spans
}

/// Marsaglia's xorshift64*: good enough, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 32) as usize % n
    }

    /// A rank from 0, the smaller the likelier, as 1 / rank.
    fn zipf(&mut self, n: u64) -> u64 {
        ((n as f64).powf(self.unit()) as u64).clamp(1, n) - 1
    }
}

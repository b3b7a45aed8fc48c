//! What people ask of a store, at several sizes of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loopd_analysis::findings::analyse;
use loopd_model::{TaskId, UnixNanos};
use loopd_store::{ProcessKey, QueryLimits, Reader, RollupStep};
use tokio::runtime::Runtime;

use crate::bare::{Bare, used_bytes};
use crate::load::{PLANTED, Polls};
use crate::rows::{Output, Row};
use crate::stores::{BUSY, Polled, QUIET, busy_load, open};

/// Rounds of each question, after the first.
const ROUNDS: usize = 7;
/// A question that takes longer than this is asked fewer times.
const PATIENCE: Duration = Duration::from_secs(5);
const FEW_ROUNDS: usize = 3;
/// Nothing here may take longer.
const LIMITS: QueryLimits =
    QueryLimits { rows: 10_000, time: Duration::from_secs(300), bytes: 64 << 20, spill: 8 << 30 };
/// What a wide screen shows.
const BUCKETS: u32 = 2_000;
/// Rows of a page.
const PAGE: usize = 100;

/// Up to this size the same is asked of bare SQLite.
const MAX_BARE: Polled = Polled(1_000_000);

/// A question.
struct Question {
    case: String,
    ask: Ask,
    /// Whether it looks at every row, so that rows a second say more than its time.
    is_scan: bool,
}

enum Ask {
    /// The timeline of the last so many seconds; all of it if absent.
    Timeline(Option<f64>),
    /// The slowest polls of all.
    Slowest,
    /// The 99th percentile of each place in each minute of an hour.
    Percentiles,
    /// The page of a task.
    Task(TaskId),
    /// What is wrong: the facts of so much of its life, from the beginning, and what rules make of them.
    Findings(f64),
    /// A query.
    Sql(String),
}

impl Ask {
    /// The same for a table of polls that end at `end`; nothing where the table lacks what it takes.
    fn bare(&self, end: u64) -> Option<String> {
        match self {
            Self::Timeline(seconds) => {
                let range = seconds.map_or(end, |seconds| end.min((seconds * 1e9) as u64));
                let (from, step) = (end - range, (range / u64::from(BUCKETS)).max(1));
                Some(format!(
                    "SELECT worker, (start_at - {from}) / {step}, sum(length), max(length), count(*)
                     FROM poll WHERE start_at >= {from} GROUP BY 1, 2"
                ))
            }
            Self::Slowest => Some(format!(
                "SELECT worker, start_at, length, task FROM poll ORDER BY length DESC LIMIT {PAGE}"
            )),
            Self::Percentiles | Self::Findings(_) => None,
            Self::Task(task) => Some(format!(
                "SELECT start_at, length FROM poll WHERE task = {task}
                 ORDER BY start_at DESC LIMIT {PAGE}"
            )),
            Self::Sql(sql) if sql.contains('$') => None,
            Self::Sql(sql) => Some(sql.replace("process, ", "").replace("from polls", "FROM poll")),
        }
    }
}

/// All questions at all sizes.
pub(crate) fn run(out: &Output, sizes: &[Polled], dir: &Path, scratch: &Path, runtime: &Runtime) {
    for &size in sizes {
        let questions: Vec<Question> =
            questions().into_iter().filter(|question| out.wants(&question.case)).collect();
        if questions.is_empty() && !out.wants("bytes-per-poll") {
            continue;
        }
        let path = open(dir, size, runtime);
        let store = runtime.block_on(Store::open(&path));
        let bare = (size.0 <= MAX_BARE.0).then(|| bare_table(scratch, size));
        if out.wants("bytes-per-poll") {
            let bytes = used_bytes(&path) as f64 / store.polls as f64;
            out.row(&Row::new("bytes-per-poll", size.to_string(), "B/poll", vec![bytes]));
        }
        for question in &questions {
            let bare = bare.as_ref().and_then(|(table, end)| {
                let row = question.measure_bare(table, *end, size)?;
                out.row(&row);
                Some(row.median())
            });
            out.row(&Row { bare, ..store.measure(size, question, runtime) });
        }
    }
}

/// A row per poll of the same polls, and when the last one ends.
fn bare_table(scratch: &Path, size: Polled) -> (Bare, u64) {
    let table = Bare::polls(&scratch.join(format!("bare-{size}.db")));
    let (mut load, batches) = busy_load(size);
    table.insert_polls(&mut load, batches as usize);
    (table, load.end())
}

fn questions() -> Vec<Question> {
    let question = |case: &str, ask| Question { case: case.into(), ask, is_scan: false };
    let sql = |case: &str, sql: &str| question(case, Ask::Sql(sql.into()));
    let scan = |case: &str, text: &str| Question { is_scan: true, ..sql(case, text) };
    let mut questions = vec![
        question("timeline-200ms", Ask::Timeline(Some(0.2))),
        question("timeline-2s", Ask::Timeline(Some(2.0))),
        question("timeline-10s", Ask::Timeline(Some(10.0))),
        question("timeline-all", Ask::Timeline(None)),
        question("slowest", Ask::Slowest),
        sql(
            "slowest-sql",
            "select process, loop, worker, start_at, length, task from polls
             order by length desc limit 100",
        ),
    ];
    for (place, polls) in PLANTED.into_iter().enumerate() {
        let task = Polls::planted(place);
        questions.push(question(&format!("task-polls-{polls}"), Ask::Task(task)));
        let text = format!(
            "select start_at, length from polls
             where process = $busy and task = {task} order by start_at desc limit {PAGE}"
        );
        questions.push(sql(&format!("task-polls-{polls}-sql"), &text));
    }
    questions.extend([
        question("task-polls-hot", Ask::Task(Polls::hottest())),
        question("findings", Ask::Findings(1.0)),
        question("findings-of-the-past", Ask::Findings(0.43)),
        question("percentiles", Ask::Percentiles),
        sql(
            "percentiles-sql",
            "select location, start_at, polls, p99 from rollups where process = $quiet",
        ),
        sql(
            "percentiles-of-polls",
            "select location, start_at / 60000000000 as minute, count(*), percentile(length, 99)
             from polls where process = $quiet group by 1, 2",
        ),
        scan("scan", "select count(*), sum(length) from polls"),
        scan("scan-count", "select count(*) from polls"),
    ]);
    questions
}

impl Question {
    /// What is said of a time, where there are so many polls.
    fn number(&self, time: Duration, polls: u64) -> f64 {
        if self.is_scan {
            polls as f64 / time.as_secs_f64() / 1e6
        } else {
            time.as_secs_f64() * 1e3
        }
    }

    fn row(&self, variant: String, times: &[Duration], polls: u64) -> Row {
        let unit = if self.is_scan { "M rows/s" } else { "ms" };
        let values = times.iter().map(|time| self.number(*time, polls)).collect();
        Row::new(self.case.clone(), variant, unit, values)
    }

    fn measure_bare(&self, table: &Bare, end: u64, size: Polled) -> Option<Row> {
        let sql = self.ask.bare(end)?;
        let times: Vec<Duration> = (0..ROUNDS).map(|_| table.query(&sql)).collect();
        Some(self.row(format!("{size}, bare"), &times, table.rows()))
    }
}

/// A store that is read.
struct Store {
    path: PathBuf,
    busy: ProcessKey,
    quiet: ProcessKey,
    begin: UnixNanos,
    end: UnixNanos,
    /// Of both programs.
    polls: u64,
}

impl Store {
    async fn open(path: &Path) -> Self {
        let reader = Reader::open(path).await.unwrap();
        let processes = reader.processes().await.unwrap().rows;
        let named = |app: &str| processes.iter().find(|row| row.app == app).unwrap();
        let busy = named(BUSY);
        Self {
            path: path.to_owned(),
            busy: busy.process,
            quiet: named(QUIET).process,
            begin: busy.started_at,
            end: busy.last_at,
            polls: processes.iter().map(|row| row.totals.polls).sum(),
        }
    }

    /// Asks with nothing in memory first, then again and again.
    fn measure(&self, size: Polled, question: &Question, runtime: &Runtime) -> Row {
        // Pages that were never written back would stay in memory.
        let file = File::open(&self.path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        runtime.block_on(async {
            let reader = Reader::open(&self.path).await.unwrap();
            let (first, is_whole) = self.ask(&reader, question).await;
            let mut times = Vec::new();
            for _ in 0..if first > PATIENCE { FEW_ROUNDS } else { ROUNDS } {
                times.push(self.ask(&reader, question).await.0);
            }
            let first = Some(question.number(first, self.polls));
            // An answer that gave up half way is no match for one that did not.
            let variant = if is_whole { size.to_string() } else { format!("{size}, cut short") };
            Row { first, ..question.row(variant, &times, self.polls) }
        })
    }

    /// How long the answer takes, and whether it is all there is.
    async fn ask(&self, reader: &Reader, question: &Question) -> (Duration, bool) {
        let began_at = Instant::now();
        let mut is_whole = true;
        match &question.ask {
            Ask::Timeline(seconds) => {
                let range = seconds.map_or(i64::MAX, |seconds| (seconds * 1e9) as i64);
                let from = UnixNanos(self.end.0.saturating_sub(range).max(self.begin.0));
                let timeline = reader.timeline(self.busy, from, self.end, BUCKETS).await.unwrap();
                assert!(timeline.lanes.iter().any(|lane| !lane.cells.is_empty()));
            }
            Ask::Slowest => {
                let polls =
                    reader.slowest_polls(self.busy, self.begin, self.end, PAGE).await.unwrap();
                assert_eq!(polls.len(), PAGE);
            }
            Ask::Percentiles => {
                let range = (UnixNanos(i64::MIN), UnixNanos(i64::MAX));
                let step = RollupStep::Minute;
                let cells = reader.rollups(self.quiet, range, step, None).await.unwrap();
                let p99 = cells.iter().filter_map(|row| row.cell.polls.quantile(0.99));
                assert!(p99.count() > 60, "an hour at several places");
            }
            Ask::Task(task) => {
                let polls = reader.task_polls(self.busy, *task, PAGE, PAGE).await.unwrap();
                assert!(!polls.last.is_empty(), "task {task} has no polls");
                is_whole = polls.is_complete;
            }
            Ask::Findings(part) => {
                let life = (self.end.0 - self.begin.0) as f64;
                let to = UnixNanos(self.begin.0 + (life * part) as i64);
                let facts = reader.facts(self.busy, None, Some(to)).await.unwrap().unwrap();
                let analysis = analyse(&facts);
                assert!(!facts.sites.is_empty() && !analysis.rules.is_empty());
            }
            Ask::Sql(sql) => {
                let sql = sql.replace("$busy", &self.busy.0.to_string());
                let sql = sql.replace("$quiet", &self.quiet.0.to_string());
                let result = reader.query(&sql, LIMITS).await.unwrap();
                assert!(!result.rows.is_empty() && !result.is_truncated, "{sql}");
            }
        }
        (began_at.elapsed(), is_whole)
    }
}

//! Answers become rows: medians over processes of what a batch cost over the bare one beside it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bench::python::collector::Account;
use crate::bench::python::interpreter::Interpreter;
use crate::bench::python::{Case, LOOPD, RECORDERS, UVLOOP, UVLOOP_BUDGET};
use crate::bench::rows::{median, operations};

/// A case on one interpreter and one kind of loop.
pub(crate) struct Table<'a> {
    pub(crate) case: &'static Case,
    pub(crate) interpreter: &'a Interpreter,
    pub(crate) event_loop: &'static str,
    rows: BTreeMap<&'static str, Row>,
    books: Books,
}

/// One recorder: what its processes said, in the order they were run.
#[derive(Default)]
struct Row {
    /// Nanoseconds of the loop's thread for each operation, bare and recorded.
    bare: Vec<f64>,
    own: Vec<f64>,
    /// Of the loop's thread and by the clock on the wall, over bare.
    ratios: Vec<f64>,
    wall_ratios: Vec<f64>,
    /// Nanoseconds of all other threads of the recording process for each operation.
    agent: Vec<f64>,
}

/// What became of what loopd recorded.
#[derive(Default)]
struct Books {
    operations: u64,
    /// By the agent's own account.
    produced: u64,
    account: Account,
}

impl<'a> Table<'a> {
    pub(crate) fn new(
        case: &'static Case,
        interpreter: &'a Interpreter,
        event_loop: &'static str,
    ) -> Self {
        Self { case, interpreter, event_loop, rows: BTreeMap::new(), books: Books::default() }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}, {} {}", self.case.title, self.interpreter.version, self.event_loop)
    }

    fn budget(&self) -> f64 {
        if self.event_loop == UVLOOP { UVLOOP_BUDGET } else { self.case.budget }
    }

    /// Takes the answer of one process.
    pub(crate) fn push(&mut self, recorder: &'static str, answer: &Value) {
        let batches = |key: &str, i: usize| -> Vec<f64> {
            let batches = answer[key].as_array().into_iter().flatten();
            batches.map(|batch| batch[i].as_f64().unwrap_or(0.0)).collect()
        };
        let ratio = |i: usize| {
            let pairs = batches("own", i).into_iter().zip(batches("bare", i));
            median(pairs.map(|(own, bare)| own / bare))
        };
        let row = self.rows.entry(recorder).or_default();
        row.bare.push(median(batches("bare", 0).into_iter()));
        row.own.push(median(batches("own", 0).into_iter()));
        row.ratios.push(ratio(0));
        row.wall_ratios.push(ratio(1));
        // A difference of two clocks, which may be below nothing.
        let agent = answer["agent_nanos"].as_f64().unwrap_or(0.0).max(0.0);
        row.agent.push(agent / operations(answer));
    }

    /// Takes what became of the records of one process.
    pub(crate) fn add(&mut self, answer: &Value, account: &Account) {
        self.books.operations += answer["operations"].as_u64().unwrap_or(0);
        self.books.produced += sum(&answer["stats"]["produced"]);
        self.books.account.add(account);
    }

    pub(crate) fn print(&self, is_json: bool) {
        if !is_json {
            println!(
                "\n{:<36} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>8} {:>6} {:>9}",
                self.name(),
                "bare ns",
                "ns",
                "ratio",
                "min",
                "max",
                "wall",
                "budget",
                "",
                "agent ns"
            );
        }
        for recorder in RECORDERS {
            let Some(row) = self.rows.get(recorder) else { continue };
            if is_json {
                println!("{}", self.json(recorder, row));
            } else {
                self.print_row(recorder, row);
            }
        }
    }

    /// The budget, and whether it was kept.
    fn verdict(&self, recorder: &str, row: &Row) -> Option<(f64, bool)> {
        // As precise as it is printed.
        let ratio = (middle(&row.ratios) * 100.0).round() / 100.0;
        (recorder == LOOPD).then(|| (self.budget(), ratio <= self.budget()))
    }

    fn print_row(&self, recorder: &str, row: &Row) {
        let (budget, verdict) = match self.verdict(recorder, row) {
            Some((budget, is_kept)) => {
                (format!("≤ {budget:.2}"), if is_kept { "" } else { "OVER" })
            }
            None => (String::new(), ""),
        };
        println!(
            "  {recorder:<34} {:>9.0} {:>9.0} {:>7.3} {:>7.3} {:>7.3} {:>7.3} {budget:>8} {verdict:>6} {:>9.0}",
            middle(&row.bare),
            middle(&row.own),
            middle(&row.ratios),
            least(&row.ratios),
            most(&row.ratios),
            middle(&row.wall_ratios),
            middle(&row.agent),
        );
    }

    fn json(&self, recorder: &str, row: &Row) -> Value {
        let verdict = self.verdict(recorder, row);
        json!({
            "bench": "python",
            "case": self.case.title,
            "python": self.interpreter.version,
            "loop": self.event_loop,
            "variant": recorder,
            "unit": "ns",
            "bare": middle(&row.bare),
            "median": middle(&row.own),
            "ratio": middle(&row.ratios),
            "min_ratio": least(&row.ratios),
            "max_ratio": most(&row.ratios),
            "wall_ratio": middle(&row.wall_ratios),
            "processes": row.ratios.len(),
            "budget": verdict.map(|(budget, _)| budget),
            "is_kept": verdict.map(|(_, is_kept)| is_kept),
            "agent_nanos": middle(&row.agent),
        })
    }
}

/// What was recorded in each table, so that nobody need believe that it was.
pub(crate) fn print_books(tables: &[Table<'_>], is_json: bool) {
    if !is_json {
        println!(
            "\n{:<36} {:>11} {:>11} {:>11} {:>7} {:>11} {:>8} {:>11}  dropped, by cause",
            "records of loopd",
            "operations",
            "agent says",
            "produced",
            "an op.",
            "stored",
            "missing",
            "polls"
        );
    }
    for table in tables {
        let Books { operations, produced: said, account } = &table.books;
        let [produced, stored, lost] = account.totals();
        if is_json {
            let row = json!({
                "bench": "python",
                "case": table.case.title,
                "python": table.interpreter.version,
                "loop": table.event_loop,
                "variant": LOOPD,
                "operations": operations,
                "produced_by_stats": said,
                "produced": produced,
                "stored": stored,
                "lost": lost,
                "polls": account.polls,
                "kinds": account.kinds,
                "causes": account.causes,
            });
            println!("{row}");
            continue;
        }
        let causes: Vec<_> =
            account.causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        println!(
            "  {:<34} {operations:>11} {said:>11} {produced:>11} {:>7.2} {stored:>11} {:>8} {:>11}  {}",
            table.name(),
            produced as f64 / (*operations).max(1) as f64,
            (*said).max(produced) as i64 - stored as i64 - lost as i64,
            account.polls,
            if causes.is_empty() { "none".to_owned() } else { causes.join(", ") },
        );
    }
}

/// The numbers in it, however deep.
fn sum(value: &Value) -> u64 {
    match value {
        Value::Array(values) => values.iter().map(sum).sum(),
        Value::Object(values) => values.values().map(sum).sum(),
        other => other.as_u64().unwrap_or(0),
    }
}

fn middle(values: &[f64]) -> f64 {
    median(values.iter().copied())
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MAX, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

//! Batches become rows: medians, and ratios to what another process did in the same round.

use serde_json::{Value, json};

use crate::bench::event_loop::Case;
use crate::bench::event_loop::peer::{Ended, LOCAL_SET, UVLOOP};
use crate::bench::python::collector::Account;
use crate::bench::rows::median;

/// A case and all that did it.
pub(crate) struct Table<'a> {
    case: &'a Case,
    rows: Vec<(Ended, Option<Account>)>,
    absent: &'a [(&'static str, String)],
}

impl<'a> Table<'a> {
    pub(crate) fn new(case: &'a Case, absent: &'a [(&'static str, String)]) -> Self {
        Self { case, rows: Vec::new(), absent }
    }

    pub(crate) fn push(&mut self, ended: Ended, account: Option<Account>) {
        self.rows.push((ended, account));
    }

    pub(crate) fn print(&self, is_json: bool) {
        if !is_json {
            println!(
                "\n{:<28} {:>9} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>8} {:>6} {:>9} {:>9} {:>8}",
                self.case.title,
                "median ns",
                "min",
                "quarter",
                "3/4",
                "max",
                "× LocalSet",
                "uvloop × ",
                "budget",
                "",
                "others ns",
                "produced",
                "lost"
            );
        }
        for (ended, account) in &self.rows {
            let row = self.row(ended, account.as_ref());
            if is_json { println!("{row}") } else { print_row(&row) }
        }
        for (name, why) in self.absent {
            if is_json {
                let case = self.case.title;
                let row =
                    json!({ "bench": "event-loop", "case": case, "variant": name, "absent": why });
                println!("{row}");
            } else {
                println!("  {name:<26} absent: {why}");
            }
        }
    }

    /// The median of the quotients of what both did in the same round.
    fn quotient(&self, over: &Ended, under: &Ended) -> f64 {
        median(over.values.iter().zip(&under.values).map(|(over, under)| over / under))
    }

    fn named(&self, name: &str) -> Option<&Ended> {
        self.rows.iter().map(|(ended, _)| ended).find(|ended| ended.name == name)
    }

    fn row(&self, ended: &Ended, account: Option<&Account>) -> Value {
        let mut values = ended.values.clone();
        values.sort_by(f64::total_cmp);
        let at = |share: usize| values.get((values.len() - 1) * share / 4);
        let times = self.named(UVLOOP).map(|uvloop| self.quotient(uvloop, ended));
        let budget = self.case.budget.filter(|_| ended.is_recorded);
        let is_met = budget.zip(times).map(|(budget, times)| times >= budget);
        let totals = account.map(Account::totals);
        json!({
            "bench": "event-loop",
            "case": self.case.title,
            "variant": ended.name,
            "version": ended.version,
            "unit": "ns",
            "median": median(values.iter().copied()),
            "min": at(0),
            "quarter": at(1),
            "three_quarters": at(3),
            "max": at(4),
            "to_local_set": self.named(LOCAL_SET).map(|local| self.quotient(ended, local)),
            "faster_than_uvloop": times,
            "budget": budget,
            "is_met": is_met,
            "batches": values.len(),
            "operations": ended.operations,
            "other_threads_nanos": ended.others,
            "produced": totals.map(|[produced, _, _]| produced),
            "stored": totals.map(|[_, stored, _]| stored),
            // The agent's own account, and the collector's of what reached it or was told to it.
            "lost": totals.map(|[produced, stored, lost]| {
                lost.max(ended.refused).max(produced.saturating_sub(stored))
            }),
            "polls": account.map(|account| account.polls),
            "causes": account.map(|account| &account.causes),
        })
    }
}

fn print_row(row: &Value) {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let number = |key: &str, digits: usize| match row[key].as_f64() {
        Some(number) => format!("{number:.digits$}"),
        None => String::new(),
    };
    let budget = row["budget"].as_f64().map_or_else(String::new, |budget| format!("≥ {budget:.1}"));
    let verdict = match row["is_met"].as_bool() {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    println!(
        "  {:<26} {:>9} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {budget:>8} {verdict:>6} {:>9} {:>9} {:>8}",
        format!("{} {}", text("variant"), text("version")),
        number("median", 1),
        number("min", 1),
        number("quarter", 1),
        number("three_quarters", 1),
        number("max", 1),
        number("to_local_set", 2),
        number("faster_than_uvloop", 2),
        number("other_threads_nanos", 1),
        number("produced", 0),
        number("lost", 0),
    );
}

//! Rounds become rows: medians, and differences to the bare round beside them.

use serde_json::{Value, json};

use crate::bench::plan::FLOOR;

/// The unit of which more is better.
pub(crate) const RATE: &str = "req/s";

/// One recorder's rounds in one case, in the order they were run.
pub(crate) struct Rounds {
    pub(crate) variant: &'static str,
    /// Whose rounds these are compared with.
    base: &'static str,
    /// What is compared, for example nanoseconds of the task threads for each operation.
    pub(crate) values: Vec<f64>,
    /// Nanoseconds of all other threads of the process for each operation.
    pub(crate) agent: Vec<f64>,
    /// Records refused, of those that were made; absent for recorders that do not say.
    pub(crate) dropped: Option<(f64, f64)>,
}

impl Rounds {
    pub(crate) fn new(variant: &'static str, base: &'static str) -> Self {
        Self { variant, base, values: Vec::new(), agent: Vec::new(), dropped: None }
    }

    /// Takes a round's answer; `value` is worked out of it by the caller.
    pub(crate) fn push(&mut self, value: f64, answer: &Value) {
        let number = |key: &str| answer[key].as_f64();
        self.values.push(value);
        self.agent.push(number("agent_nanos").unwrap_or(0.0) / operations(answer));
        if let (Some(produced), Some(dropped)) = (number("produced"), number("dropped")) {
            let sum = self.dropped.get_or_insert((0.0, 0.0));
            *sum = (sum.0 + dropped, sum.1 + produced);
        }
    }
}

/// How much was done in a round.
pub(crate) fn operations(answer: &Value) -> f64 {
    answer["operations"].as_f64().unwrap_or(0.0).max(1.0)
}

/// Prints a case; the first rounds are the bare ones.
pub(crate) fn print(case: &str, unit: &str, all: &[Rounds], is_json: bool) {
    let rows: Vec<_> = all.iter().map(|rounds| Row::new(rounds, all, unit)).collect();
    if !is_json {
        println!(
            "\n{:<28} {:>6} {:>9} {:>9} {:>9} {:>10} {:>9} {:>7} {:>8} {:>9} {:>9}",
            case,
            "unit",
            "median",
            "min",
            "max",
            "over bare",
            "at best",
            "ratio",
            "× floor",
            "agent ns",
            "dropped"
        );
    }
    for row in rows {
        if is_json { println!("{}", row.json(case, unit)) } else { row.print(unit) }
    }
}

struct Row {
    variant: &'static str,
    median: f64,
    min: f64,
    max: f64,
    over_bare: f64,
    /// Of the best rounds, which other programs disturbed least.
    best_over_bare: f64,
    ratio: f64,
    /// What it adds to bare, as a multiple of what the hand-written recorder adds.
    to_floor: Option<f64>,
    agent: f64,
    dropped: Option<f64>,
}

impl Row {
    fn new(rounds: &Rounds, all: &[Rounds], unit: &str) -> Self {
        let base_of = |rounds: &Rounds| {
            all.iter().find(|other| other.variant == rounds.base).unwrap_or(&all[0])
        };
        // Pairs of neighbours in time, since the machine is not the same all the time.
        let over = |rounds: &Rounds| {
            let pairs = rounds.values.iter().zip(&base_of(rounds).values);
            median(pairs.map(|(value, bare)| value - bare))
        };
        let min = |rounds: &Rounds| rounds.values.iter().copied().fold(f64::MAX, f64::min);
        let max = |rounds: &Rounds| rounds.values.iter().copied().fold(0.0, f64::max);
        let best = |rounds: &Rounds| if unit == RATE { max(rounds) } else { min(rounds) };
        let ratio = median(
            rounds.values.iter().zip(&base_of(rounds).values).map(|(value, bare)| value / bare),
        );
        let floor = all.iter().find(|rounds| rounds.variant == FLOOR && unit != RATE);
        Self {
            variant: rounds.variant,
            median: median(rounds.values.iter().copied()),
            min: min(rounds),
            max: max(rounds),
            over_bare: over(rounds),
            best_over_bare: best(rounds) - best(base_of(rounds)),
            ratio,
            to_floor: floor
                .map(over)
                .filter(|&floor| floor > 0.0)
                .map(|floor| over(rounds) / floor),
            agent: median(rounds.agent.iter().copied()),
            dropped: rounds.dropped.map(|(dropped, produced)| dropped / produced.max(1.0)),
        }
    }

    fn print(&self, unit: &str) {
        let share = |share: f64| format!("{:.3} %", share * 100.0);
        println!(
            "  {:<26} {:>6} {:>9.1} {:>9.1} {:>9.1} {:>+10.1} {:>+9.1} {:>7.3} {:>8} {:>9.1} {:>9}",
            self.variant,
            unit,
            self.median,
            self.min,
            self.max,
            self.over_bare,
            self.best_over_bare,
            self.ratio,
            self.to_floor.map_or_else(String::new, |to_floor| format!("{to_floor:.2}")),
            self.agent,
            self.dropped.map_or_else(|| "-".to_owned(), share),
        );
    }

    fn json(&self, case: &str, unit: &str) -> Value {
        json!({
            "bench": "agent",
            "case": case,
            "variant": self.variant,
            "unit": unit,
            "median": self.median,
            "min": self.min,
            "max": self.max,
            "over_bare": self.over_bare,
            "best_over_bare": self.best_over_bare,
            "ratio": self.ratio,
            "to_floor": self.to_floor,
            "agent_nanos": self.agent,
            "dropped_share": self.dropped,
        })
    }
}

/// The middle of an odd number of values, or the upper one of two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

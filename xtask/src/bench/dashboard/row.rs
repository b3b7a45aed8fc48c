//! What the browser measured becomes a row: median, 95th percentile, most, and whether that is within
//! the budget.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

/// What a case may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) limit: f64,
    /// Which figure must not be over it.
    pub(crate) of: Judged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    P95,
    Max,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    case: String,
    variant: String,
    unit: String,
    count: usize,
    median: f64,
    p95: f64,
    max: f64,
    /// Absent where the figure is only there to be read beside the others.
    budget: Option<Budget>,
}

impl Row {
    /// Of what the browser's side says: `{variant, unit, values, judged}`.
    pub(crate) fn new(case: &str, budget: &Budget, told: &Value) -> anyhow::Result<Self> {
        let text =
            |key: &str| told[key].as_str().map(str::to_owned).with_context(|| key.to_owned());
        let values = told["values"].as_array().into_iter().flatten();
        let mut values: Vec<f64> = values.filter_map(Value::as_f64).collect();
        ensure!(!values.is_empty(), "{case} has a row without values");
        values.sort_by(f64::total_cmp);
        Ok(Self {
            case: case.to_owned(),
            variant: text("variant")?,
            unit: text("unit")?,
            count: values.len(),
            median: quantile(&values, 0.5),
            p95: quantile(&values, 0.95),
            max: quantile(&values, 1.0),
            budget: (told["judged"] == true).then_some(*budget),
        })
    }

    fn is_within(&self) -> Option<bool> {
        self.budget.map(|budget| match budget.of {
            Judged::P95 => self.p95 <= budget.limit,
            Judged::Max => self.max <= budget.limit,
        })
    }

    pub(crate) fn print_head(is_json: bool) {
        if !is_json {
            println!(
                "{:<12} {:<46} {:>6} {:>9} {:>9} {:>9}  {:<4} {:<16} verdict",
                "case", "of", "n", "median", "p95", "max", "unit", "budget"
            );
        }
    }

    pub(crate) fn print(&self, is_json: bool) {
        if is_json { println!("{}", self.json()) } else { println!("{}", self.line()) }
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "bench": "dashboard",
            "case": self.case,
            "variant": self.variant,
            "unit": self.unit,
            "n": self.count,
            "median": self.median,
            "p95": self.p95,
            "max": self.max,
        });
        if let Some(budget) = self.budget {
            row["budget"] = budget.limit.into();
            row["judged"] = budget.of.name().into();
            row["is_within"] = self.is_within().into();
        }
        row
    }

    fn line(&self) -> String {
        let budget = self.budget.map_or_else(String::new, |budget| {
            format!("{} ≤ {} {}", budget.of.name(), budget.limit, self.unit)
        });
        let verdict = match self.is_within() {
            Some(true) => "ok",
            Some(false) => "OVER",
            None => "",
        };
        let line = format!(
            "{:<12} {:<46} {:>6} {:>9.2} {:>9.2} {:>9.2}  {:<4} {budget:<16} {verdict}",
            self.case, self.variant, self.count, self.median, self.p95, self.max, self.unit
        );
        line.trim_end().to_owned()
    }
}

impl Judged {
    fn name(self) -> &'static str {
        match self {
            Self::P95 => "p95",
            Self::Max => "max",
        }
    }
}

/// The least value that so many are not over; of values in order.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_judged_by_the_figure_that_its_budget_is_about() {
        let mut values: Vec<f64> = (1..=99).map(f64::from).collect();
        values.push(1_000.0);
        let told = json!({ "variant": "x", "unit": "ms", "values": values, "judged": true });
        let judged = |of, limit| Row::new("tile", &Budget { limit, of }, &told).unwrap();
        let row = judged(Judged::P95, 95.0);
        assert_eq!((row.median, row.p95, row.max), (50.0, 95.0, 1_000.0));
        assert_eq!(row.is_within(), Some(true));
        assert_eq!(judged(Judged::P95, 94.9).is_within(), Some(false));
        assert_eq!(judged(Judged::Max, 999.0).is_within(), Some(false));
    }

    #[test]
    fn a_row_that_is_not_judged_has_no_verdict() {
        let told = json!({ "variant": "x", "unit": "ms", "values": [3.0], "judged": false });
        let row = Row::new("tile", &Budget { limit: 1.0, of: Judged::Max }, &told).unwrap();
        assert_eq!(row.is_within(), None);
        assert!(row.json().get("budget").is_none());
        let nothing = json!({ "variant": "x", "unit": "ms", "values": [] });
        assert!(Row::new("tile", &Budget { limit: 1.0, of: Judged::Max }, &nothing).is_err());
    }
}

//! Measured numbers, printed as they come: a table for people, or one JSON object a line.

use serde_json::{Value, json};

/// One measured number, and the same of others in the same run.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) case: String,
    /// Of what.
    pub(crate) variant: String,
    /// In what.
    pub(crate) unit: &'static str,
    /// One for each round, in any order.
    pub(crate) values: Vec<f64>,
    /// The median of the plain way in SQLite; absent where there is nothing to compare with.
    pub(crate) bare: Option<f64>,
    /// The median of a Perfetto trace.
    pub(crate) perfetto: Option<f64>,
    /// The first round, which found nothing in memory and is not among the others.
    pub(crate) first: Option<f64>,
}

impl Row {
    pub(crate) fn new(
        case: impl Into<String>,
        variant: impl Into<String>,
        unit: &'static str,
        values: Vec<f64>,
    ) -> Self {
        Self { case: case.into(), variant: variant.into(), unit, values, ..Self::default() }
    }

    pub(crate) fn median(&self) -> f64 {
        self.sorted().0
    }

    /// The median, the least, the most.
    fn sorted(&self) -> (f64, f64, f64) {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[0], values[values.len() - 1])
    }

    fn json(&self) -> Value {
        let (median, min, max) = self.sorted();
        let mut row = json!({
            "bench": "store",
            "case": self.case,
            "variant": self.variant,
            "unit": self.unit,
            "median": median,
            "min": min,
            "max": max,
        });
        // Left out where there is nothing to compare with.
        if let Some(bare) = self.bare {
            row["over_bare"] = (median - bare).into();
            row["ratio"] = (median / bare).into();
        }
        if let Some(perfetto) = self.perfetto {
            row["to_perfetto"] = (median / perfetto).into();
        }
        if let Some(first) = self.first {
            row["first"] = first.into();
        }
        row
    }

    fn line(&self) -> String {
        let (median, min, max) = self.sorted();
        let times = |peer: Option<f64>, name: &str| {
            peer.map_or(String::new(), |peer| format!("  {:.3} × {name}", median / peer))
        };
        let first = self.first.map_or(String::new(), |first| format!("  first {first:.3}"));
        format!(
            "{:<18} {:<46} {median:>10.3} {min:>10.3} {max:>10.3}  {:<15}{}{}{first}",
            self.case,
            self.variant,
            self.unit,
            times(self.bare, "bare"),
            times(self.perfetto, "perfetto"),
        )
    }
}

/// Where rows go, and which are wanted.
pub(crate) struct Output {
    is_json: bool,
    wanted: String,
}

impl Output {
    /// Of cases whose name contains `wanted`.
    pub(crate) fn new(is_json: bool, wanted: String) -> Self {
        if !is_json {
            let [case, variant, median, min, max] = ["case", "variant", "median", "min", "max"];
            println!("{case:<18} {variant:<46} {median:>10} {min:>10} {max:>10}  unit");
        }
        Self { is_json, wanted }
    }

    pub(crate) fn wants(&self, case: &str) -> bool {
        case.contains(&self.wanted)
    }

    /// Prints it, if its case is wanted: some are measured only because others are.
    pub(crate) fn row(&self, row: &Row) {
        if !self.wants(&row.case) {
            return;
        }
        if self.is_json { println!("{}", row.json()) } else { println!("{}", row.line()) }
    }

    /// Something that is no number, for machines alone.
    pub(crate) fn extra(&self, value: &Value) {
        if self.is_json {
            println!("{value}");
        }
    }
}

/// What is going on, for people who wait.
pub(crate) fn progress(what: &str) {
    eprintln!("{what}");
}

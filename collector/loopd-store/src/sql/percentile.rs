//! `p50(x)`, `p90(x)`, `p99(x)` and `percentile(x, p)`: exact for few values, and within a bounded
//! memory for many.
//!
//! The histogram of `loopd-analysis` counts whole lengths from 0 up. Users' values may be negative or
//! fractions as well, so this one takes its buckets from the bits of a floating-point number.

use std::collections::BTreeMap;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

/// Makes the aggregates known to a connection.
pub(super) fn register(connection: &Connection, flags: FunctionFlags) -> Result<()> {
    for (name, p) in [(c"p50", 50.0), (c"p90", 90.0), (c"p99", 99.0)] {
        connection.create_aggregate_function(name, 1, flags, Percentile { p: Some(p) })?;
    }
    connection.create_aggregate_function(c"percentile", 2, flags, Percentile { p: None })
}

/// The smallest value that at least p % of all values do not exceed.
struct Percentile {
    /// `None`: the second argument says it.
    p: Option<f64>,
}

/// So many values are kept as they are; of more only a histogram is.
const EXACT_VALUES: usize = 4_096;

struct Values {
    exact: Exact,
    rest: Sketch,
    p: f64,
}

impl Aggregate<Values, Option<Value>> for Percentile {
    fn init(&self, _: &mut Context<'_>) -> Result<Values> {
        let p = self.p.unwrap_or(50.0);
        Ok(Values { exact: Exact::Whole(Vec::new()), rest: Sketch::default(), p })
    }

    fn step(&self, context: &mut Context<'_>, values: &mut Values) -> Result<()> {
        if self.p.is_none() {
            values.p = match number(context.get_raw(1)) {
                Some(p) if (0.0..=100.0).contains(&p) => p,
                _ => return Err(failed("percentile(x, p): p must be a number from 0 to 100")),
            };
        }
        match context.get_raw(0) {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(x) => values.exact.add_whole(x),
            ValueRef::Real(x) => values.exact.add_real(x),
            _ => return Err(failed("percentiles are of numbers, not of text or bytes")),
        }
        if values.exact.len() >= EXACT_VALUES {
            values.rest.absorb(&mut values.exact);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, values: Option<Values>) -> Result<Option<Value>> {
        let Some(mut values) = values else { return Ok(None) };
        let q = values.p / 100.0;
        if values.rest.count == 0 {
            return Ok(values.exact.quantile(q));
        }
        values.rest.absorb(&mut values.exact);
        Ok(values.rest.quantile(q))
    }
}

fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Integer(n) => Some(n as f64),
        ValueRef::Real(x) => Some(x),
        _ => None,
    }
}

fn failed(why: &str) -> Error {
    Error::UserFunctionError(why.into())
}

/// The place, from 0, of the value at a share `q` of `count` sorted values.
fn rank(q: f64, count: u64) -> u64 {
    ((q * count as f64).ceil() as u64).clamp(1, count.max(1)) - 1
}

/// Values as they are: whole numbers as such for as long as there are no others, because instants
/// have more digits than a floating-point number.
enum Exact {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl Exact {
    fn add_whole(&mut self, x: i64) {
        match self {
            Self::Whole(values) => values.push(x),
            Self::Real(values) => values.push(x as f64),
        }
    }

    fn add_real(&mut self, x: f64) {
        if let Self::Whole(values) = self {
            *self = Self::Real(values.iter().map(|&x| x as f64).collect());
        }
        if let Self::Real(values) = self {
            values.push(x);
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
        }
    }

    fn quantile(self, q: f64) -> Option<Value> {
        let place = rank(q, self.len() as u64) as usize;
        match self {
            Self::Whole(mut values) => {
                values.sort_unstable();
                values.get(place).map(|&x| Value::Integer(x))
            }
            Self::Real(mut values) => {
                values.sort_unstable_by(f64::total_cmp);
                values.get(place).map(|&x| Value::Real(x))
            }
        }
    }
}

/// How often which value was seen, in buckets at most a 32nd of their values wide. At most some
/// 8,200 of them, whatever the values are: what is nearer to 0 than 2^-64 counts as 0, and what is
/// farther away than 2^64 shares the last bucket of its sign.
#[derive(Default)]
struct Sketch {
    buckets: BTreeMap<i32, u64>,
    count: u64,
    has_fractions: bool,
    least: f64,
    most: f64,
}

/// Bits below the leading one that tell buckets apart.
const PRECISION: u32 = 5;
const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
/// Bits of a number that do not tell buckets apart.
const BELOW: u32 = MANTISSA_BITS - PRECISION;

/// The bits of 2^exponent that tell buckets apart.
const fn bits_of_power(exponent: i32) -> i32 {
    (exponent + f64::MAX_EXP - 1) << PRECISION
}

const FIRST: i32 = bits_of_power(-64);
const LAST: i32 = bits_of_power(64);

fn bucket(x: f64) -> i32 {
    let bits = (x.abs().to_bits() >> BELOW) as i32;
    let distance = (bits.min(LAST) - FIRST + 1).max(0);
    if x < 0.0 { -distance } else { distance }
}

/// The middle of a bucket; of one that holds whole numbers the one in their middle.
fn middle(bucket: i32, has_fractions: bool) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let edge = |distance: i32| f64::from_bits(((distance + FIRST - 1) as u64) << BELOW);
    let (near, far) = (edge(bucket.abs()), edge(bucket.abs() + 1));
    let half = (far - near) / 2.0;
    let middle = near + if has_fractions { half } else { half.floor() };
    if bucket < 0 { -middle } else { middle }
}

impl Sketch {
    /// Takes all values over.
    fn absorb(&mut self, exact: &mut Exact) {
        match exact {
            Exact::Whole(values) => values.drain(..).for_each(|x| self.add(x as f64)),
            Exact::Real(values) => {
                self.has_fractions = true;
                values.drain(..).for_each(|x| self.add(x));
            }
        }
    }

    fn add(&mut self, x: f64) {
        if self.count == 0 {
            (self.least, self.most) = (x, x);
        }
        (self.least, self.most) = (self.least.min(x), self.most.max(x));
        *self.buckets.entry(bucket(x)).or_default() += 1;
        self.count += 1;
    }

    fn quantile(&self, q: f64) -> Option<Value> {
        let place = rank(q, self.count);
        let mut seen = 0;
        let found = self.buckets.iter().find(|&(_, &n)| {
            seen += n;
            seen > place
        });
        let (&bucket, _) = found?;
        // The ends are known exactly.
        let x = match place {
            0 => self.least,
            _ if place + 1 == self.count => self.most,
            _ => middle(bucket, self.has_fractions).clamp(self.least, self.most),
        };
        Some(if self.has_fractions { Value::Real(x) } else { Value::Integer(x as i64) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64], has_fractions: bool) -> Sketch {
        let mut sketch = Sketch { has_fractions, ..Sketch::default() };
        values.iter().for_each(|&x| sketch.add(x));
        sketch
    }

    fn real(value: Option<Value>) -> f64 {
        match value {
            Some(Value::Real(x)) => x,
            Some(Value::Integer(x)) => x as f64,
            other => panic!("{other:?} is no number"),
        }
    }

    #[test]
    fn small_whole_numbers_keep_their_value() {
        for x in -62..=62 {
            let values: Vec<f64> = [f64::from(x) - 1.0, f64::from(x), f64::from(x) + 1.0].into();
            assert_eq!(sketch(&values, false).quantile(0.5), Some(Value::Integer(x.into())));
        }
    }

    #[test]
    fn there_are_never_more_buckets_than_are_promised() {
        let mut sketch = Sketch::default();
        for exponent in -1_074..1_024 {
            for step in 0..64 {
                let x = 2f64.powi(exponent) * (1.0 + f64::from(step) / 64.0);
                [x, -x].into_iter().for_each(|x| sketch.add(x));
            }
        }
        [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0].into_iter().for_each(|x| sketch.add(x));
        assert!(sketch.buckets.len() <= 8_200, "{}", sketch.buckets.len());
        assert_eq!(sketch.quantile(1.0), Some(Value::Integer(i64::MAX)));
        sketch.has_fractions = true;
        assert_eq!(sketch.quantile(0.0), Some(Value::Real(f64::NEG_INFINITY)));
    }

    proptest! {
        #[test]
        fn many_values_are_answered_to_within_a_bucket(
            mut values in proptest::collection::vec(-1e12..1e12f64, 1..200),
            q in 0.0..1.0f64,
        ) {
            let found = real(sketch(&values, true).quantile(q));
            values.sort_unstable_by(f64::total_cmp);
            let exact = values[rank(q, values.len() as u64) as usize];
            prop_assert!((found - exact).abs() <= exact.abs() / 32.0, "{found} is not {exact}");
        }

        #[test]
        fn few_values_are_answered_exactly(
            mut values in proptest::collection::vec(any::<i64>(), 1..200),
            q in 0.0..1.0f64,
        ) {
            let found = Exact::Whole(values.clone()).quantile(q);
            values.sort_unstable();
            let exact = values[rank(q, values.len() as u64) as usize];
            prop_assert_eq!(found, Some(Value::Integer(exact)));
        }
    }
}

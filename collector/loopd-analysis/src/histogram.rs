//! Counts of lengths in log-linear buckets: exact below 64, at most 3.2 % wide from there on.

use loopd_model::segment::{put_varint, take_varint};

/// How often which length was seen. Merging two gives what one would have counted of both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    /// Counts one length, in nanoseconds.
    pub fn add(&mut self, length: u64) {
        let bucket = bucket(length);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// How many lengths were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }

    /// The length that a share `q` (0 to 1) of all counted lengths do not exceed, to within the
    /// width of a bucket; `None` when nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((q.clamp(0.0, 1.0) * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0u64;
        for (bucket, &n) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(n);
            if seen >= rank {
                return Some(middle(bucket));
            }
        }
        None
    }

    /// The length of the longest that was counted, to within the width of a bucket.
    pub fn longest(&self) -> Option<u64> {
        self.counts.iter().rposition(|&n| n > 0).map(largest)
    }

    /// Packs it: per bucket that holds something, as varints, the distance to the bucket before,
    /// less one, and how many it holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut next = 0;
        for (bucket, &n) in self.counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
            put_varint(out, (bucket - next) as u64);
            put_varint(out, n);
            next = bucket + 1;
        }
    }

    /// Adds everything that a packed histogram counted. `None`, and nothing certain of what is in
    /// it then, if the bytes are none.
    #[must_use]
    pub fn merge_packed(&mut self, mut bytes: &[u8]) -> Option<()> {
        let mut next = 0u64;
        while !bytes.is_empty() {
            let bucket = next.checked_add(take_varint(&mut bytes).ok()?)?;
            let n = take_varint(&mut bytes).ok()?;
            let place = usize::try_from(bucket).ok().filter(|&place| place < BUCKETS)?;
            if place >= self.counts.len() {
                self.counts.resize(place + 1, 0);
            }
            self.counts[place] = self.counts[place].saturating_add(n);
            next = bucket + 1;
        }
        Some(())
    }

    /// The buckets that hold something, shortest first: the largest length that falls into it,
    /// and how many did.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|&(_, &n)| n > 0);
        filled.map(|(bucket, &n)| (largest(bucket), n))
    }
}

/// Bits of precision below the leading one.
const PRECISION: u32 = 5;
/// Below this every length has a bucket of its own.
const EXACT: u64 = 1 << (PRECISION + 1);

/// One more than the bucket of the longest length there can be.
const BUCKETS: usize = bucket(u64::MAX) + 1;

const fn bucket(length: u64) -> usize {
    if length < EXACT {
        return length as usize;
    }
    let exponent = 63 - length.leading_zeros();
    let row = exponent - PRECISION;
    ((row as usize) << PRECISION) + (length >> row) as usize
}

/// The smallest length of a bucket, and how many lengths it spans.
fn span(bucket: usize) -> (u64, u64) {
    if (bucket as u64) < EXACT {
        return (bucket as u64, 1);
    }
    let row = (bucket >> PRECISION) as u32 - 1;
    let mantissa = (bucket as u64 & ((1 << PRECISION) - 1)) | 1 << PRECISION;
    (mantissa << row, 1 << row)
}

fn middle(bucket: usize) -> u64 {
    let (start, width) = span(bucket);
    start + width / 2
}

fn largest(bucket: usize) -> u64 {
    let (start, width) = span(bucket);
    start + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_histogram_has_no_quantiles() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn the_ends_of_the_scale_are_counted() {
        let mut histogram = Histogram::default();
        [0, u64::MAX].iter().for_each(|&length| histogram.add(length));
        assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(0, 1), (u64::MAX, 1)]);
    }

    proptest! {
        #[test]
        fn a_length_falls_into_a_bucket_at_most_a_32nd_wide(length: u64) {
            let (start, width) = span(bucket(length));
            prop_assert!(start <= length && length - start < width);
            prop_assert!(width == 1 || width <= start / 32);
        }

        #[test]
        fn quantiles_are_within_a_bucket_of_the_sorted_list(
            mut lengths in proptest::collection::vec(0..1u64 << 40, 1..200),
            q in 0.0..1.0f64,
        ) {
            let mut histogram = Histogram::default();
            lengths.iter().for_each(|&length| histogram.add(length));
            lengths.sort_unstable();
            let rank = ((q * lengths.len() as f64).ceil() as usize).max(1);
            let exact = lengths[rank - 1];
            let found = histogram.quantile(q).unwrap();
            prop_assert!(found.abs_diff(exact) <= exact / 32, "{found} is not {exact}");
        }

        #[test]
        fn packing_keeps_every_count(lengths in proptest::collection::vec(any::<u64>(), 0..80)) {
            let mut histogram = Histogram::default();
            lengths.iter().for_each(|&length| histogram.add(length));
            let mut bytes = Vec::new();
            histogram.encode(&mut bytes);
            let mut unpacked = Histogram::default();
            prop_assert_eq!(unpacked.merge_packed(&bytes), Some(()));
            prop_assert_eq!(unpacked, histogram);
        }

        #[test]
        fn bytes_that_are_no_histogram_are_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut histogram = Histogram::default();
            let _ = histogram.merge_packed(&bytes);
            prop_assert!(histogram.counts.len() <= BUCKETS);
        }

        #[test]
        fn merging_counts_what_one_would_have_counted(
            a in proptest::collection::vec(any::<u64>(), 0..50),
            b in proptest::collection::vec(any::<u64>(), 0..50),
        ) {
            let count = |lengths: &[u64]| {
                let mut histogram = Histogram::default();
                lengths.iter().for_each(|&length| histogram.add(length));
                histogram
            };
            let mut merged = count(&a);
            merged.merge(&count(&b));
            prop_assert_eq!(merged, count(&[a, b].concat()));
        }
    }
}

//! Puts what lasts into as few rows as show it without partial overlap.

/// The rows of one task so far. What is put into them comes in order of its beginning, the longest
/// first.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// For every row, the ends of what is open in it, innermost last.
    open: Vec<Vec<i64>>,
}

impl Rows {
    /// The row for something that lasts from `at` to `end`: the first in which it is beside or
    /// inside of everything else.
    pub(super) fn place(&mut self, at: i64, end: i64) -> usize {
        for (row, open) in self.open.iter_mut().enumerate() {
            while open.last().is_some_and(|open_end| *open_end <= at) {
                open.pop();
            }
            if open.last().is_none_or(|open_end| *open_end >= end) {
                open.push(end);
                return row;
            }
        }
        self.open.push(vec![end]);
        self.open.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_in_part_gets_a_row_of_its_own() {
        let mut rows = Rows::default();
        let spans = [(0, 10), (2, 5), (4, 8), (5, 9), (10, 12), (11, 20)];
        let placed: Vec<_> = spans.into_iter().map(|(at, end)| rows.place(at, end)).collect();
        assert_eq!(placed, [0, 0, 1, 0, 0, 1]);
    }
}

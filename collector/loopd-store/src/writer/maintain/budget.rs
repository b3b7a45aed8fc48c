//! Which part of the store is too large for its share of the budget.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;

/// What grows with how busy programs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Polls, parks and wakes.
    Spans,
    /// Tasks without a row.
    Tasks,
    Tiles,
    Rollups,
    /// Everything else.
    Rows,
}

/// The classes as the table `usage` numbers them, each with its share of the budget, in percent. Per
/// hour of a busy program polls take some fifty times what tiles and roll-ups take: with these shares
/// those are kept some ten times as long.
const SHARES: [(Class, u64); 5] = [
    (Class::Spans, crate::SPAN_SHARE),
    (Class::Tasks, 10),
    (Class::Tiles, 10),
    (Class::Rollups, 5),
    (Class::Rows, 25),
];

/// Rows that take no more than this never have too much: the empty tables, names, places and stacks.
const FEW_ROWS: u64 = 16 << 20;

/// Bytes of each class but [`Class::Rows`], by process.
#[derive(Debug, Default)]
pub(super) struct Usage(BTreeMap<(i64, i64), u64>);

impl Usage {
    pub(super) async fn of_processes(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let rows: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT process, class, bytes FROM usage").fetch_all(db).await?;
        let row =
            |(process, class, bytes): (i64, i64, i64)| ((process, class), bytes.max(0) as u64);
        Ok(Self(rows.into_iter().map(row).collect()))
    }

    fn class(&self, place: usize) -> u64 {
        let of_class = self.0.iter().filter(|((_, class), _)| *class == place as i64 + 1);
        of_class.fold(0, |sum, (_, &bytes)| sum.saturating_add(bytes))
    }

    /// The classes in the order in which they should shrink, when so many bytes are used of so many:
    /// those with the most over their share first.
    pub(super) fn by_excess(&self, used: u64, max: u64) -> Vec<Class> {
        let large: [u64; 4] = std::array::from_fn(|place| self.class(place));
        let rows =
            used.saturating_sub(large.iter().fold(0, |sum, &bytes| sum.saturating_add(bytes)));
        let bytes = large.into_iter().chain([rows.saturating_sub(FEW_ROWS)]);
        let excess = SHARES.into_iter().zip(bytes).map(|((class, percent), bytes)| {
            let share = u128::from(max) * u128::from(percent) / 100;
            (i128::from(bytes) - share.cast_signed(), class)
        });
        let mut order: Vec<_> = excess.collect();
        // Of those below their share raw polls go first all the same.
        order.sort_by_key(|&(excess, class)| (std::cmp::Reverse(excess.max(0)), class));
        order.into_iter().map(|(_, class)| class).collect()
    }

    /// Processes with more than `max`, the largest first, each with its classes in the order in which
    /// they should shrink, and how many bytes it has too many.
    pub(super) fn too_large(&self, max: u64) -> Vec<(i64, Class, i64)> {
        let mut processes = BTreeMap::<i64, u64>::new();
        for (&(process, _), &bytes) in &self.0 {
            let sum = processes.entry(process).or_default();
            *sum = sum.saturating_add(bytes);
        }
        let mut large: Vec<_> = processes.into_iter().filter(|&(_, bytes)| bytes > max).collect();
        large.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
        let candidates = large.into_iter().flat_map(|(process, bytes)| {
            let own = self.0.iter().filter(|((other, _), _)| *other == process);
            let own = Self(own.map(|(&key, &bytes)| (key, bytes)).collect());
            let excess = i64::try_from(bytes - max).unwrap_or(i64::MAX);
            let order = own.by_excess(bytes, max).into_iter().filter(move |&class| {
                let place = SHARES.iter().position(|&(other, _)| other == class);
                place.is_some_and(|place| own.class(place) > 0)
            });
            order.map(move |class| (process, class, excess)).collect::<Vec<_>>()
        });
        candidates.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(rows: &[(i64, i64, u64)]) -> Usage {
        Usage(rows.iter().map(|&(process, class, bytes)| ((process, class), bytes)).collect())
    }

    #[test]
    fn what_has_most_over_its_share_shrinks_first() {
        let mostly_polls = usage(&[(1, 1, 800), (1, 3, 90), (2, 4, 20)]);
        assert_eq!(mostly_polls.by_excess(1_010, 1_000)[0], Class::Spans);
        let mostly_tiles = usage(&[(1, 1, 450), (1, 3, 300), (2, 3, 100)]);
        assert_eq!(mostly_tiles.by_excess(1_010, 1_000)[0], Class::Tiles);
        let mostly_rows = usage(&[(1, 1, 450 << 20), (1, 3, 50 << 20)]);
        assert_eq!(mostly_rows.by_excess(1_100 << 20, 1_000 << 20)[0], Class::Rows);
    }

    #[test]
    fn within_all_shares_raw_polls_go_first_and_rows_last() {
        let order = usage(&[]).by_excess(0, 1_000);
        assert_eq!((order[0], order[4]), (Class::Spans, Class::Rows));
    }

    #[test]
    fn the_largest_process_is_the_one_that_is_too_large() {
        let usage = usage(&[(1, 1, 100), (2, 1, 400), (2, 3, 300)]);
        assert_eq!(usage.too_large(1_000), []);
        assert_eq!(usage.too_large(500), [(2, Class::Tiles, 200), (2, Class::Spans, 200)]);
        let all = usage.too_large(90);
        assert_eq!((all[0], all[2]), ((2, Class::Spans, 610), (1, Class::Spans, 10)));
    }
}

//! How far one question looks, whatever the store holds: what is beyond is said to be there, and not
//! read. A bound that concerns one file only is named in that file.

use crate::MAX_COUNTED;

/// Tests look a tenth as far, so that the stores on which they show that a bound holds can be small.
pub(super) const SCALE: u64 = if cfg!(test) { 10 } else { 1 };

/// So many rows are counted, or looked at one by one for those that are asked for: 10 to 20 ms.
pub(super) const MAX_LOOKED: i64 = MAX_COUNTED as i64;

/// A page holds at most so many rows, whatever is asked for.
pub(super) const MAX_PAGE: u64 = 1_000;

/// How many rows a page has and how many come before it. One that begins behind all that is counted is
/// empty: to skip rows is to read them.
pub(super) fn page(limit: u64, offset: u64) -> (i64, i64) {
    if offset > MAX_COUNTED {
        return (0, 0);
    }
    (limit.min(MAX_PAGE) as i64, offset as i64)
}

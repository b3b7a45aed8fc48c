use proptest::prelude::*;

use super::*;

/// Polls of one worker: one after the other, as gaps and lengths.
fn polls() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let one = (0..3_000_000i64, prop_oneof![0..200_000u64, 0..30_000_000u64, 0..LONG_POLL]);
    proptest::collection::vec(one, 1..60).prop_map(|gaps| {
        let mut at = 1_000_000_007;
        let place = |(gap, length): (i64, u64)| {
            let start = at + gap;
            at = start + length as i64;
            (start, length)
        };
        gaps.into_iter().map(place).collect()
    })
}

/// What a lane looks like at one level, counted from the polls themselves.
fn brute_force(polls: &[(i64, u64)], level: u8) -> Vec<(i64, Cell)> {
    let width = bucket_width(level) as i64;
    let last = polls.iter().map(|&(start, length)| start + length as i64).max().unwrap_or(0);
    let cells = (0..=last / width).map(|bucket| {
        let (opens, closes) = (bucket * width, (bucket + 1) * width);
        let mut cell = Cell::default();
        for &(start, length) in polls {
            let end = start + length as i64;
            let overlap = (end.min(closes) - start.max(opens)).max(0) as u64;
            let starts = (opens..closes).contains(&start);
            if overlap > 0 || starts {
                cell.busy[class_of(length)] += overlap;
                cell.max = cell.max.max(length);
                cell.polls += u64::from(starts);
            }
        }
        (bucket, cell)
    });
    cells.filter(|(_, cell)| !cell.is_empty()).collect()
}

fn filled(strip: &Strip) -> Vec<(i64, Cell)> {
    strip.filled().map(|(place, cell)| (place as i64, cell)).collect()
}

const WHOLE: usize = 20_000;

proptest! {
    #[test]
    fn tiles_of_any_split_and_order_equal_brute_force(
        polls in polls(),
        order in any::<u64>(),
        level in 0..LEVELS,
    ) {
        let mut parts = [Strip::new(0, 0, WHOLE), Strip::new(0, 0, WHOLE)];
        let mut shuffled = polls.clone();
        shuffled.sort_by_key(|&(start, _)| (start as u64).wrapping_mul(order | 1));
        for (i, &(start, length)) in shuffled.iter().enumerate() {
            parts[i % 2].add_poll(start, length);
        }
        let mut whole = Strip::new(level, 0, WHOLE);
        for (place, cell) in parts.iter().flat_map(filled) {
            whole.add_cell(0, place, &cell);
        }
        prop_assert_eq!(filled(&whole), brute_force(&polls, level));
    }

    #[test]
    fn no_bucket_is_busier_than_it_is_long(
        polls in proptest::collection::vec((0..20_000_000i64, 0..40_000_000u64), 0..50),
        level in 0..LEVELS,
    ) {
        let mut strip = Strip::new(level, 0, 64);
        polls.iter().for_each(|&(start, length)| strip.add_poll(start, length));
        for (_, cell) in strip.filled() {
            prop_assert!(cell.busy_time() <= bucket_width(level));
        }
    }

    #[test]
    fn the_longest_poll_is_seen_at_every_level(polls in polls()) {
        let longest = polls.iter().map(|&(_, length)| length).max().unwrap();
        for level in 0..LEVELS {
            let mut strip = Strip::new(level, 0, WHOLE);
            polls.iter().for_each(|&(start, length)| strip.add_poll(start, length));
            prop_assert_eq!(strip.filled().map(|(_, cell)| cell.max).max(), Some(longest));
        }
    }

    #[test]
    fn decoding_gives_back_what_was_encoded(
        cells in proptest::collection::btree_map(
            any::<u8>(),
            (any::<[u64; 4]>(), any::<u64>(), any::<u64>())
                .prop_map(|(busy, max, polls)| Cell { busy, max, polls }),
            0..256,
        ),
    ) {
        let cells: Vec<(u8, Cell)> = cells.into_iter().collect();
        prop_assert_eq!(decode(&encode(cells.clone())), Some(cells));
    }

    #[test]
    fn garbage_is_refused_or_read_but_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Some(cells) = decode(&bytes) {
            prop_assert!(cells.is_sorted_by_key(|&(place, _)| place));
        }
    }

    #[test]
    fn extreme_polls_do_not_overflow(start: i64, length: u64, first: i64, level in 0..LEVELS) {
        let mut strip = Strip::new(level, first >> width_log2(level), 8);
        strip.add_poll(start, length);
        strip.add_poll(first, length);
        prop_assert!(strip.filled().all(|(_, cell)| cell.busy_time() <= bucket_width(level)));
    }
}

#[test]
fn a_poll_over_three_buckets_adds_to_each_its_part() {
    let mut strip = Strip::new(0, 0, 4);
    let width = bucket_width(0);
    strip.add_poll(width as i64 - 10, width + 15);
    let busy: Vec<u64> = strip.filled().map(|(_, cell)| cell.busy[class_of(width)]).collect();
    assert_eq!(busy, [10, width, 5]);
    assert_eq!(strip.filled().map(|(_, cell)| cell.polls).collect::<Vec<_>>(), [1, 0, 0]);
}

#[test]
fn a_range_is_read_at_the_finest_level_that_fits() {
    assert_eq!(level_for(1_000_000_000, 1_000), 0);
    assert_eq!(level_for(3_600_000_000_000, 1_000), 6);
    assert_eq!(level_for(u64::MAX, 1_000), LEVELS - 1);
}

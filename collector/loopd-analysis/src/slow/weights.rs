//! How much of its poll each stack stands for.

/// How long each stack of a poll stands for, in nanoseconds, of stacks taken at these instants, in
/// order: up to half way to its neighbours, the first from the start of the poll, the last to its
/// end. They add up to the length of the poll.
pub fn weights(start_at: i64, end_at: i64, taken_at: &[i64]) -> Vec<u64> {
    let mut from = start_at;
    let mut weights = Vec::with_capacity(taken_at.len());
    for (i, &at) in taken_at.iter().enumerate() {
        let to = match taken_at.get(i + 1) {
            Some(&next) => at.saturating_add(next.saturating_sub(at) / 2),
            None => end_at.max(at),
        };
        weights.push(to.saturating_sub(from).max(0).unsigned_abs());
        from = to;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_a_poll_add_up_to_its_length() {
        assert_eq!(weights(100, 240, &[150, 170, 200]), [60, 25, 55]);
        // Its end is not known.
        assert_eq!(weights(100, 0, &[150, 170, 200]), [60, 25, 15]);
        assert_eq!(weights(100, 240, &[]), [0; 0]);
    }

    #[test]
    fn instants_that_cannot_be_are_no_weight_and_no_panic() {
        let longest = i64::MAX.unsigned_abs();
        assert_eq!(weights(i64::MAX, i64::MIN, &[i64::MIN, i64::MAX]), [0, longest]);
    }
}

//! How long to wait before the next attempt to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// A collector that is started a little later than the program is found within this.
const EARLY_CAP: Duration = Duration::from_secs(2);
/// Later on, many agents spread over a longer time when their collector comes back.
const LATE_CAP: Duration = Duration::from_secs(5);
const EARLY_ATTEMPTS: u32 = 20;

/// Doubling waits, drawn from zero to the full wait, so that agents do not come in step.
pub(crate) struct Backoff {
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// The seed tells agents apart.
    pub(crate) fn new(seed: u64) -> Self {
        Self { attempts: 0, random: seed | 1 }
    }

    /// The wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let cap = if self.attempts < EARLY_ATTEMPTS { EARLY_CAP } else { LATE_CAP };
        let full = FIRST.saturating_mul(1 << self.attempts.min(8)).min(cap);
        self.attempts = self.attempts.saturating_add(1);
        // xorshift: spread matters here, secrecy does not.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        full.mul_f64((self.random >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// The collector stored something: begin with short waits again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_are_spread() {
        let mut backoff = Backoff::new(42);
        assert!(backoff.next() <= FIRST);
        let waits: Vec<_> = (0..200).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|&wait| wait <= LATE_CAP));
        let late = &waits[EARLY_ATTEMPTS as usize..];
        let mean = late.iter().sum::<Duration>() / late.len() as u32;
        assert!(mean > LATE_CAP / 3 && mean < LATE_CAP * 2 / 3, "{mean:?}");
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

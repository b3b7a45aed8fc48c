//! What is switched on, in one byte: the hot path asks a single question, whether nothing keeps it
//! from being taken.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Something that can be switched, as a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Switch {
    /// Anything at all. Off before start, after shutdown and in forked children.
    Recording = 1,
    /// The time stamp counter as the clock.
    Counter = 2,
    /// Single polls and parks.
    Polls = 4,
    /// Wakes.
    Wakes = 8,
    /// Waits, holds and the states of resources.
    Waits = 16,
}

/// A bit is set while its switch is off, so that "all of these are on" is one comparison with zero.
static OFF: AtomicU8 = AtomicU8::new(Switch::Recording as u8 | Switch::Counter as u8);

/// Whether it is on.
#[inline(always)]
pub(crate) fn is_on(switch: Switch) -> bool {
    OFF.load(Relaxed) & switch as u8 == 0
}

/// Whether records are taken, with the clock that needs no call.
#[cfg(any(tokio_unstable, test))]
#[inline(always)]
pub(crate) fn is_quick() -> bool {
    OFF.load(Relaxed) & (Switch::Recording as u8 | Switch::Counter as u8) == 0
}

/// The same, and single polls are wanted.
#[cfg(any(tokio_unstable, test))]
#[inline(always)]
pub(crate) fn is_quick_with_polls() -> bool {
    const ALL: u8 = Switch::Recording as u8 | Switch::Counter as u8 | Switch::Polls as u8;
    OFF.load(Relaxed) & ALL == 0
}

/// Switches it. Async-signal-safe.
pub(crate) fn set(switch: Switch, is_on: bool) {
    if is_on {
        OFF.fetch_and(!(switch as u8), Relaxed);
    } else {
        OFF.fetch_or(switch as u8, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_leaves_the_others_alone() {
        assert!(!is_quick() && is_on(Switch::Polls));
        set(Switch::Recording, true);
        assert!(!is_quick());
        set(Switch::Counter, true);
        assert!(is_quick() && is_quick_with_polls());
        set(Switch::Polls, false);
        assert!(is_quick() && !is_quick_with_polls() && is_on(Switch::Wakes));
        set(Switch::Recording, false);
        assert!(!is_quick() && !is_on(Switch::Polls) && is_on(Switch::Counter));
    }
}

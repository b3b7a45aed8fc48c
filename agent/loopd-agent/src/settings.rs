//! What can be switched while the program runs: the settings in force, and how those that a
//! collector asks for are taken.

use std::sync::atomic::Ordering::Relaxed;

use loopd_model::Settings;

use crate::config::{LEAST_SLOW_THRESHOLD, MOST_SLOW_THRESHOLD};
use crate::fds;
use crate::layer;
use crate::recorder;
use crate::status::Status;

/// What is in force. A switch says what was asked for, and the coverage whether it can be had.
pub(crate) fn in_force(status: &Status) -> Settings {
    Settings {
        record_polls: Some(recorder::records_polls()),
        record_wakes: Some(recorder::records_wakes()),
        record_waits: Some(recorder::records_waits()),
        sample_stacks: Some(status.samples_stacks()),
        track_fds: Some(fds::is_tracking()),
        app_events: Some(layer::records_app()),
        slow_threshold: Some(status.slow_threshold()),
    }
}

/// Takes what is asked for; what is absent stays. Out of range becomes the nearest that is in it.
pub(crate) fn apply(status: &Status, asked: &Settings) {
    if let Some(is_on) = asked.record_polls {
        recorder::set_record_polls(is_on);
    }
    if let Some(is_on) = asked.record_wakes {
        recorder::set_record_wakes(is_on);
    }
    if let Some(is_on) = asked.record_waits {
        recorder::set_record_waits(is_on);
    }
    if let Some(is_on) = asked.sample_stacks {
        status.sample_stacks.store(is_on, Relaxed);
    }
    if let Some(is_on) = asked.track_fds {
        fds::set_tracking(is_on);
    }
    if let Some(is_on) = asked.app_events {
        layer::set_records_app(is_on);
    }
    layer::heed_switches();
    if let Some(nanos) = asked.slow_threshold {
        let (least, most) = (LEAST_SLOW_THRESHOLD.as_nanos(), MOST_SLOW_THRESHOLD.as_nanos());
        status.slow_threshold.store(nanos.clamp(least as u64, most as u64), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_out_of_range_is_brought_into_it_and_the_rest_stays() {
        let status = Status::new();
        let before = in_force(&status);
        let ask = |nanos| {
            apply(&status, &Settings { slow_threshold: Some(nanos), ..Settings::default() });
            in_force(&status).slow_threshold
        };
        assert_eq!(ask(0), Some(1_000_000));
        assert_eq!(ask(u64::MAX), Some(3_600_000_000_000));
        assert_eq!(ask(5_000_000), Some(5_000_000));
        let after = in_force(&status);
        assert_eq!(Settings { slow_threshold: before.slow_threshold, ..after }, before);
    }
}

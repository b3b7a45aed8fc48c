//! What is captured now, what is not, and why: what each layer said it can do, and what is switched
//! off at the moment.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use loopd_model::{Coverage, CoverageState, Settings};

use crate::renewable::Renewable;

/// What the layers can do here, whatever is switched. A layer more than once: the last word counts.
static LAYERS: Renewable<Mutex<Vec<Coverage>>> = Renewable::new(Mutex::default);

/// Whether the agent is one of another language: what tokio can tell is then no layer of it.
static IS_EMBEDDED: AtomicBool = AtomicBool::new(false);

/// Says whether the agent that starts is one of another language.
pub(crate) fn set_embedded(is_embedded: bool) {
    IS_EMBEDDED.store(is_embedded, Relaxed);
}

/// Whether it is.
pub(crate) fn is_embedded() -> bool {
    IS_EMBEDDED.load(Relaxed)
}

/// Says what a layer can do here, in the place of what was said of it before. The exporter tells
/// the collector within a second.
pub(crate) fn set(layer: Coverage) {
    let Ok(mut layers) = LAYERS.lock() else { return };
    match layers.iter_mut().find(|known| known.layer == layer.layer) {
        Some(known) => *known = layer,
        None => layers.push(layer),
    }
}

/// Forgets what the layers of an agent before this one said.
pub(crate) fn renew() {
    LAYERS.renew();
}

/// What is captured under these settings.
pub(crate) fn now(settings: &Settings) -> Vec<Coverage> {
    set(crate::fds::coverage());
    if !is_embedded() {
        crate::layer::coverage().into_iter().for_each(set);
    }
    let layers = LAYERS.lock().map(|layers| layers.clone()).unwrap_or_default();
    under(layers, settings)
}

/// Whether they differ in more than the words of their reasons.
pub(crate) fn differ(left: &[Coverage], right: &[Coverage]) -> bool {
    let states = |layers: &[Coverage]| {
        layers.iter().map(|layer| (layer.layer.clone(), layer.state)).collect::<Vec<_>>()
    };
    states(left) != states(right)
}

fn under(mut layers: Vec<Coverage>, settings: &Settings) -> Vec<Coverage> {
    for layer in &mut layers {
        if layer.state == CoverageState::Unavailable {
            continue;
        }
        match layer.layer.as_str() {
            "watchdog" | "stacks" => {
                switch(layer, settings.sample_stacks, ("the taking of stacks", "stacks"))
            }
            "fds" => switch(layer, settings.track_fds, ("the tracking of file descriptors", "fds")),
            "app_events" => switch(
                layer,
                settings.app_events,
                ("the recording of spans and events", "app-events"),
            ),
            "schedule_latency" => {
                switch(layer, settings.record_wakes, ("the recording of wakes", "wakes"));
            }
            "hooks" => part(layer, settings.record_polls, "single polls and parks"),
            "wrapped" => part(layer, settings.record_wakes, "wakes"),
            "guards" | "waits" => part(layer, settings.record_waits, "waits"),
            "steps" => {
                part(layer, settings.record_polls, "single polls and parks");
                part(layer, settings.record_wakes, "wakes");
            }
            "tracing" => {
                part(layer, settings.record_waits, "waits");
                part(layer, settings.record_wakes, "wakes");
            }
            _ => {}
        }
    }
    layers
}

/// A layer that is one switch; `flag` is what it is called on the command line.
fn switch(layer: &mut Coverage, is_on: Option<bool>, (what, flag): (&str, &str)) {
    if is_on == Some(false) {
        layer.state = CoverageState::Off;
        layer.reason =
            format!("{what} is switched off; `loopd capture --{flag} on` switches it on");
    } else if layer.state == CoverageState::Off {
        *layer = Coverage { state: CoverageState::On, reason: String::new(), ..layer.clone() };
    }
}

/// A layer of which a part can be switched off.
fn part(layer: &mut Coverage, is_on: Option<bool>, what: &str) {
    if is_on != Some(false) {
        return;
    }
    let more = if layer.reason.is_empty() { "" } else { "; " };
    layer.reason = format!("{}{more}{what} are switched off", layer.reason);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, state: CoverageState, reason: &str) -> Coverage {
        Coverage { layer: name.to_owned(), state, reason: reason.to_owned() }
    }

    fn check(layer: Coverage, settings: Settings, state: CoverageState, reason: &str) {
        let now = under(vec![layer], &settings).remove(0);
        assert_eq!((now.state, now.reason.as_str()), (state, reason), "{settings:?}");
    }

    #[test]
    fn layers_differ_by_state_and_not_by_words() {
        use CoverageState::{Off, On};
        let on = [layer("fds", On, "1 was missed")];
        assert!(!differ(&on, &[layer("fds", On, "2 were missed")]));
        assert!(differ(&on, &[layer("fds", Off, "1 was missed")]));
        assert!(differ(&on, &[]));
    }

    #[test]
    fn what_is_switched_off_is_said_and_what_cannot_be_had_stays_so() {
        use CoverageState::{Off, On, Unavailable};
        let all = Settings::default();
        let no_stacks = Settings { sample_stacks: Some(false), ..all };
        let stacks = Settings { sample_stacks: Some(true), ..all };
        let reason =
            "the taking of stacks is switched off; `loopd capture --stacks on` switches it on";
        check(layer("watchdog", On, ""), no_stacks, Off, reason);
        check(layer("watchdog", On, "only here"), stacks, On, "only here");
        check(layer("watchdog", Off, "LOOPD_SAMPLE_STACKS is off"), stacks, On, "");
        check(layer("watchdog", Unavailable, "not here"), no_stacks, Unavailable, "not here");
        let no_polls = Settings { record_polls: Some(false), ..all };
        check(layer("hooks", On, ""), no_polls, On, "single polls and parks are switched off");
        check(layer("metrics", On, ""), no_polls, On, "");
        let quiet = Settings { record_wakes: Some(false), record_waits: Some(false), ..all };
        let reason = "waits are switched off; wakes are switched off";
        check(layer("tracing", On, ""), quiet, On, reason);
        let no_waits = Settings { record_waits: Some(false), ..all };
        check(layer("waits", On, ""), no_waits, On, "waits are switched off");
        let reason = "single polls and parks are switched off; wakes are switched off";
        let least = Settings { record_wakes: Some(false), ..no_polls };
        check(layer("steps", On, ""), least, On, reason);
        check(layer("guards", On, "few"), no_waits, On, "few; waits are switched off");
    }
}

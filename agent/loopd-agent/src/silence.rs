//! Keeps what tonic, h2 and tokio trace on a thread of ours from the program's subscriber.
//!
//! Neither of tracing's own means will do. Its `NoSubscriber` names no highest level, so that once
//! registered it makes every disabled `trace!` of the program be looked at. `Dispatch::none` is not
//! registered, and beside a single subscriber tracing asks only the current one about a callsite it
//! meets for the first time: callsites first met here would stay off in the whole program.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest, Subscriber};
use tracing::{Event, Metadata};

use crate::layer;

/// From now on the calling thread traces nothing, until the guard is dropped; nothing to drop where
/// the program's subscriber is ours.
#[must_use = "dropping the guard ends the silence"]
pub(crate) fn on_this_thread() -> Option<DefaultGuard> {
    let is_enough = layer::silence_this_thread();
    (!is_enough).then(|| tracing::subscriber::set_default(Silence))
}

/// Wants nothing, and says so.
struct Silence;

impl Subscriber for Silence {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    static EVENTS: AtomicUsize = AtomicUsize::new(0);

    /// The program's: wants everything up to `INFO`.
    struct Own;

    impl Subscriber for Own {
        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(LevelFilter::INFO)
        }

        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {
            EVENTS.fetch_add(1, Relaxed);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    fn trace() {
        tracing::info!("from a library that the agent and the program both use");
    }

    #[test]
    fn a_silent_thread_changes_nothing_for_the_others() {
        tracing::subscriber::set_global_default(Own).unwrap();
        std::thread::spawn(|| {
            let _silence = on_this_thread();
            trace();
            assert_eq!(EVENTS.load(Relaxed), 0);
        })
        .join()
        .unwrap();
        trace();
        assert_eq!(EVENTS.load(Relaxed), 1);
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
    }

    #[test]
    fn without_a_subscriber_tracing_stays_off() {
        let _silence = on_this_thread();
        assert_eq!(LevelFilter::current(), LevelFilter::OFF);
    }
}

//! The same as a layer in the program's own subscriber.
//!
//! It looks nothing up in that subscriber, which is where others have failed: spans have slots of
//! ours, found by their id.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::layer::keys;
use crate::layer::slab::SPANS;

/// A layer for the program's own subscriber, that records what [`Config::tracing`](crate::Config::tracing)
/// does for programs that have none.
///
/// It comes with a filter of its own. Give each other layer one too: a filter on the whole
/// subscriber also hides from this layer what the others do not want.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// # let other = tracing_subscriber::layer::Identity::new();
/// tracing_subscriber::registry()
///     .with(loopd_agent::layer())
///     .with(other.with_filter(tracing::level_filters::LevelFilter::INFO))
///     .init();
/// ```
pub fn layer<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    super::IS_ON.store(true, std::sync::atomic::Ordering::Relaxed);
    Bridge.with_filter(OnlyOurs)
}

/// See [`layer`].
struct Bridge;

impl<S: Subscriber> Layer<S> for Bridge {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let Some(slot) = super::open(attributes, keys::get) else { return };
        if !keys::insert(id.into_u64(), slot.key()) {
            super::let_go(slot);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(slot) = SPANS.get(keys::get(id.into_u64())) {
            super::record(slot, values);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        super::event(event, keys::get);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if let Some(slot) = SPANS.get(keys::get(id.into_u64())) {
            super::enter(slot);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        super::exit(keys::get(id.into_u64()));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if let Some(slot) = SPANS.get(keys::remove(id.into_u64())) {
            super::let_go(slot);
        }
    }
}

/// Lets through what [`Bridge`] can use, whatever other layers want.
struct OnlyOurs;

impl<S> Filter<S> for OnlyOurs {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        super::is_enabled(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        super::interest(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

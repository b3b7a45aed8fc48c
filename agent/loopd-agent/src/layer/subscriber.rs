//! A subscriber that does nothing but record, for programs that have none.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Metadata};
use tracing_core::span::Current;

use crate::layer::slab::SPANS;

/// The id of a span that is not recorded.
const NOTHING: u64 = u64::MAX;

static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
static WAS_REFUSED: AtomicBool = AtomicBool::new(false);
static WAS_FORBIDDEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Makes it the program's subscriber, if there is none.
pub(crate) fn install() {
    let is_installed = tracing::subscriber::set_global_default(Only).is_ok();
    IS_INSTALLED.store(is_installed, Relaxed);
    WAS_REFUSED.store(!is_installed, Relaxed);
    if is_installed {
        super::IS_ON.store(true, Relaxed);
    }
}

/// Whether the program had a subscriber of its own.
pub(crate) fn was_refused() -> bool {
    WAS_REFUSED.load(Relaxed)
}

/// The program asked for it, but whoever runs it does not want it.
pub(crate) fn forbid() {
    WAS_FORBIDDEN.store(true, Relaxed);
}

/// See [`forbid`].
pub(crate) fn was_forbidden() -> bool {
    WAS_FORBIDDEN.load(Relaxed)
}

/// Has it pass over what this thread does from now on, if it is the program's subscriber; says
/// whether it is. Cheaper for everybody than a subscriber for this thread alone.
pub(crate) fn silence_this_thread() -> bool {
    let is_installed = IS_INSTALLED.load(Relaxed);
    IS_SILENT.set(is_installed);
    is_installed
}

/// See the module.
struct Only;

impl Subscriber for Only {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        super::interest(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        super::is_enabled(metadata)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let slot = if IS_SILENT.get() { None } else { super::open(attributes, |id| id) };
        Id::from_u64(slot.map_or(NOTHING, |slot| slot.key()))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(slot) = SPANS.get(id.into_u64()) {
            super::record(slot, values);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if !IS_SILENT.get() {
            super::event(event, |id| id);
        }
    }

    fn enter(&self, id: &Id) {
        if let Some(slot) = SPANS.get(id.into_u64()) {
            super::enter(slot);
        }
    }

    fn exit(&self, id: &Id) {
        if id.into_u64() != NOTHING {
            super::exit(id.into_u64());
        }
    }

    fn current_span(&self) -> Current {
        let current = super::current_span();
        current
            .map_or_else(Current::none, |(key, metadata)| Current::new(Id::from_u64(key), metadata))
    }

    fn clone_span(&self, id: &Id) -> Id {
        SPANS.pin(id.into_u64());
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        if let Some(slot) = SPANS.get(id.into_u64()) {
            super::let_go(slot);
        }
        true
    }
}

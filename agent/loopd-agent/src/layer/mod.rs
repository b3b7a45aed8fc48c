//! What tokio's own instrumentation tells: wakes of every task, tokio's locks, semaphores and
//! timers with who waits for them, and tasks that no hook sees. Beside it the program's own spans
//! and events.
//!
//! It comes through `tracing`, either to a [`Subscriber`](tracing::Subscriber) of ours that does
//! nothing else ([`subscriber`]), or to a layer in the program's ([`bridge`]). Both only translate:
//! what a span is lives in a slot ([`slab`]), where a thread is in its scope ([`scope`]).
//!
//! Nothing here traces, waits for a lock, or holds one while code of the program runs.

mod app;
#[cfg(feature = "layer")]
mod bridge;
#[cfg(feature = "layer")]
mod keys;
mod op;
mod resource;
mod scope;
mod site;
mod slab;
mod subscriber;
mod task;
mod values;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use loopd_model::{Coverage, CoverageState, EventKind};
use tracing::span::{Attributes, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata};
#[cfg(feature = "layer")]
use tracing_subscriber::filter::Targets;

use crate::clock::ticks;
use crate::recorder;
use scope::Entry;
use site::Site;
use slab::{Role, SPANS, Slot, SlotRef};

use app::current as current_span;
#[cfg(feature = "layer")]
pub use bridge::layer;
pub(crate) use subscriber::{forbid, install, silence_this_thread};
#[cfg(tokio_unstable)]
pub(crate) use task::is_hooked;

/// Whether a subscriber or layer of ours is in place.
static IS_ON: AtomicBool = AtomicBool::new(false);
/// Whether a call site of tokio's instrumentation was met.
static HAS_MET_TOKIO: AtomicBool = AtomicBool::new(false);
/// Whether the program's own spans and events are recorded.
static RECORDS_APP: AtomicBool = AtomicBool::new(false);
/// What call sites were last told of the switches.
static WAKES: AtomicBool = AtomicBool::new(true);
static WAITS: AtomicBool = AtomicBool::new(true);
static APP: AtomicBool = AtomicBool::new(false);

#[cfg(feature = "layer")]
static FILTER: std::sync::OnceLock<Targets> = std::sync::OnceLock::new();

/// Whether anything comes this way.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Relaxed)
}

/// Whether this says which spans and events to record, as `orders=debug,info`. Without the feature
/// there is nothing that could tell.
pub(crate) fn is_filter(directives: &str) -> bool {
    #[cfg(feature = "layer")]
    let is_filter = directives.parse::<Targets>().is_ok();
    #[cfg(not(feature = "layer"))]
    let is_filter = !directives.is_empty();
    is_filter
}

/// Whether the program's own spans and events are recorded.
pub(crate) fn records_app() -> bool {
    RECORDS_APP.load(Relaxed)
}

/// Switches the recording of the program's own spans and events.
pub(crate) fn set_records_app(is_on: bool) {
    RECORDS_APP.store(is_on, Relaxed);
}

/// The agent is about to record, of the program's own spans and events those that `filter` lets
/// through.
pub(crate) fn configure(memory_limit: usize, filter: Option<&str>) {
    SPANS.set_limit(memory_limit);
    #[cfg(feature = "layer")]
    if let Some(filter) = filter.and_then(|directives| directives.parse().ok()) {
        RECORDS_APP.store(FILTER.set(filter).is_ok(), Relaxed);
    }
    #[cfg(not(feature = "layer"))]
    let _ = filter;
    WAKES.store(recorder::records_wakes(), Relaxed);
    WAITS.store(recorder::records_waits(), Relaxed);
    APP.store(records_app(), Relaxed);
    tell_sites();
}

/// The switches may have changed: has every call site ask again if they have.
pub(crate) fn heed_switches() {
    let (wakes, waits) = (recorder::records_wakes(), recorder::records_waits());
    let were = (WAKES.swap(wakes, Relaxed), WAITS.swap(waits, Relaxed));
    let was_app = APP.swap(records_app(), Relaxed);
    if (were, was_app) == ((wakes, waits), records_app()) {
        return;
    }
    if wakes && !were.0 {
        task::wakers_count_from_now();
    }
    if waits && !were.1 {
        resource::forget_holds();
    }
    tell_sites();
}

fn tell_sites() {
    if is_on() {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Once a second, on the exporter's thread: tasks that nothing can wake.
pub(crate) fn scan(tell: impl FnMut(EventKind)) {
    if is_on() && recorder::records_wakes() {
        task::look_for_forgotten(tell);
    }
}

/// Memory of what is kept of open spans.
pub(crate) fn bytes() -> usize {
    SPANS.bytes()
}

/// What comes this way, and what is missing.
pub(crate) fn coverage() -> [Coverage; 2] {
    let layer = |layer: &str, state, reason: &str| Coverage {
        layer: layer.to_owned(),
        state,
        reason: reason.to_owned(),
    };
    let (state, reason) = tracing_coverage();
    let tracing = layer("tracing", state, &reason);
    let (state, reason) = app_coverage();
    [tracing, layer("app_events", state, reason)]
}

fn tracing_coverage() -> (CoverageState, String) {
    let is_built = cfg!(feature = "tokio-tracing") || HAS_MET_TOKIO.load(Relaxed);
    let needs = "loopd-agent's cargo feature `tokio-tracing`";
    match (cfg!(tokio_unstable), is_built, is_on()) {
        (false, ..) => (
            CoverageState::Unavailable,
            "the program was built without RUSTFLAGS=\"--cfg tokio_unstable\"".to_owned(),
        ),
        (_, false, _) => (CoverageState::Unavailable, format!("needs {needs}")),
        (.., false) => (CoverageState::Off, no_way().to_owned()),
        _ => (CoverageState::On, losses()),
    }
}

/// Why nothing comes this way.
fn no_way() -> &'static str {
    if subscriber::was_refused() {
        "the program has a tracing subscriber of its own, without loopd_agent::layer() in it"
    } else if subscriber::was_forbidden() {
        "LOOPD_TRACING is off"
    } else {
        "the program asks for it neither by Config::tracing nor by loopd_agent::layer() in its subscriber"
    }
}

fn losses() -> String {
    match (SPANS.refused(), resource::missed()) {
        (0, 0) => String::new(),
        (0, missed) => format!("{missed} changes of resources came too fast and are not known"),
        (refused, _) => format!("{refused} spans were not seen: too many were open at once"),
    }
}

fn app_coverage() -> (CoverageState, &'static str) {
    if cfg!(not(feature = "layer")) {
        return (CoverageState::Unavailable, "needs loopd-agent's cargo feature `layer`");
    }
    if !has_filter() {
        return (CoverageState::Unavailable, "LOOPD_TRACING_FILTER is not set");
    }
    if !is_on() {
        return (CoverageState::Unavailable, no_way());
    }
    (CoverageState::On, "")
}

fn has_filter() -> bool {
    #[cfg(feature = "layer")]
    let has_filter = FILTER.get().is_some();
    #[cfg(not(feature = "layer"))]
    let has_filter = false;
    has_filter
}

/// A call site is met: whether it is ever worth anything to us.
fn interest(metadata: &'static Metadata<'static>) -> Interest {
    let site = Site::of(metadata);
    if site == Site::Task {
        HAS_MET_TOKIO.store(true, Relaxed);
    }
    match site {
        Site::Task | Site::Blocking => Interest::always(),
        Site::Waker if WAKES.load(Relaxed) => Interest::always(),
        Site::State if !Site::is_known_state(metadata) => Interest::never(),
        Site::Resource | Site::Op | Site::PollOp | Site::State if WAITS.load(Relaxed) => {
            Interest::always()
        }
        Site::InnerResource | Site::InnerOp | Site::InnerState | Site::InnerOpState
            if WAITS.load(Relaxed) =>
        {
            Interest::sometimes()
        }
        Site::App if passes_filter(metadata) => Interest::always(),
        _ => Interest::never(),
    }
}

/// Whether what happens now is worth looking at.
fn is_enabled(metadata: &Metadata<'_>) -> bool {
    match Site::of(metadata) {
        Site::Task | Site::Blocking => true,
        Site::Waker => WAKES.load(Relaxed),
        Site::Resource | Site::Op | Site::PollOp | Site::State => WAITS.load(Relaxed),
        Site::InnerResource => is_inner_enabled(&[Role::Resource]),
        Site::InnerOp => is_inner_enabled(&[Role::Inner, Role::Resource]),
        Site::InnerState => is_inner_enabled(&[Role::Inner]),
        Site::InnerOpState => is_inner_enabled(&[Role::Inner, Role::InnerOp]),
        Site::App => passes_filter(metadata),
        Site::Useless => false,
    }
}

fn is_inner_enabled(inside: &[Role]) -> bool {
    WAITS.load(Relaxed) && resource::is_in_semaphore(inside)
}

fn passes_filter(metadata: &Metadata<'_>) -> bool {
    #[cfg(feature = "layer")]
    let passes = APP.load(Relaxed)
        && FILTER
            .get()
            .is_some_and(|filter| filter.would_enable(metadata.target(), metadata.level()));
    #[cfg(not(feature = "layer"))]
    let passes = APP.load(Relaxed) && metadata.target().is_empty();
    passes
}

/// A span is opened. `key_of` gives the key of a span by the subscriber's id.
fn open(attributes: &Attributes<'_>, key_of: impl Fn(u64) -> u64) -> Option<SlotRef> {
    let site = Site::of(attributes.metadata());
    let role = match site {
        Site::Task | Site::Blocking => Role::Task,
        Site::Resource => Role::Resource,
        Site::InnerResource => Role::Inner,
        Site::Op => Role::Op,
        Site::InnerOp => Role::InnerOp,
        Site::App => Role::App,
        _ => return None,
    };
    let slot = Opening(SPANS.open(role)?);
    let parent = attributes.parent().map(|id| key_of(id.into_u64()));
    match site {
        Site::Task => task::open(slot.0, attributes, false),
        Site::Blocking => task::open(slot.0, attributes, true),
        Site::Resource => resource::open(slot.0, attributes),
        Site::InnerResource => resource::open_inner(slot.0),
        Site::Op => op::open(slot.0, attributes, parent),
        Site::InnerOp => op::open_inner(slot.0),
        _ => app::open(slot.0, attributes, parent),
    }
    Some(slot.keep())
}

/// A span that is being opened. Its fields are formatted by the program's code, which may panic: it
/// then has no id, and nobody else would close it.
struct Opening(SlotRef);

impl Opening {
    fn keep(self) -> SlotRef {
        let slot = self.0;
        std::mem::forget(self);
        slot
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let_go(self.0);
    }
}

/// A span is told more.
fn record(slot: &Slot, values: &Record<'_>) {
    if slot.role() == Some(Role::App) {
        app::record(slot, values);
    }
}

/// The thread enters a span.
fn enter(slot: SlotRef) {
    // First: what begins here ends only if the exit finds it.
    if !scope::has_room() {
        return;
    }
    let entry = match slot.role() {
        Some(Role::Task) => task::enter(slot),
        Some(Role::App) => Entry::now(slot, ticks()),
        _ => Entry::now(slot, 0),
    };
    scope::push(entry);
}

/// The thread leaves a span.
fn exit(key: u64) {
    let Some(entry) = scope::pop(key) else { return };
    match entry.slot.role() {
        Some(Role::Task) => task::exit(entry),
        Some(Role::Op) => op::exit(entry),
        Some(Role::App) => app::exit(entry),
        _ => {}
    }
}

/// One that held on to a span does so no more; the last one closes it.
fn let_go(slot: &Slot) {
    if !SPANS.let_go(slot) {
        return;
    }
    match slot.role() {
        Some(Role::Task) => task::close(slot),
        Some(Role::Resource) => resource::close(slot),
        Some(Role::Op) => op::close(slot),
        Some(Role::App) => app::close(slot),
        _ => {}
    }
    SPANS.free(slot);
}

/// Something was traced. `key_of` gives the key of a span by the subscriber's id.
fn event(event: &Event<'_>, key_of: impl Fn(u64) -> u64) {
    match Site::of(event.metadata()) {
        Site::Waker => task::waker(event, key_of),
        Site::PollOp => {
            let mut readiness = values::Readiness::default();
            event.record(&mut readiness);
            scope::set_ready(readiness.0);
        }
        Site::State => resource::change(event),
        Site::InnerState => resource::change_permits(event),
        Site::InnerOpState => resource::change_request(event),
        Site::App => app::event(event),
        _ => {}
    }
}

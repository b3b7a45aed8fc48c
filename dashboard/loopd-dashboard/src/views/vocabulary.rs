//! The words of fields that are text in Rust but one of a few words in JSON, named for the description of the API.
//!
//! Answers of the tests are checked against it, so that a word which is missing here is found.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! words {
    ($($(#[doc = $about:literal])+ $name:ident = $($word:literal)|+;)+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug)]
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let about = concat!($($about),+).trim();
                    let schema = ObjectBuilder::new().schema_type(Type::String);
                    schema.description(Some(about)).enum_values(Some([$($word),+])).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

words! {
    /// Which runtime loops are of; uvloop's are asyncio's.
    RuntimeName = "tokio" | "asyncio" | "unknown";
    /// How a process is captured: poll by poll, or as snapshots of counters.
    Capture = "records" | "console snapshots";
    /// Where a part of a task's life went: `queued` is spawned and not yet polled, `ready` woken and not yet polled,
    /// `several` waiting for several things at once, `lost` not known because records were lost.
    LifeState = "running" | "ready" | "queued" | "waiting" | "several" | "lost" | "unknown";
    /// Why there are no more ancestors.
    AncestorsEnd = "root" | "gone" | "deep" | "circle";
    /// What the example service does.
    DemoStateName = "off" | "running" | "stopping" | "unavailable";
    /// Whether a capture layer works.
    CoverageState = "on" | "off" | "unavailable";
    /// What a task is; `callback` stands for all runs of one function that a loop was given.
    TaskKind = "async" | "local" | "block_on" | "blocking" | "callback" | "unknown";
    /// `running` while polled, else `alive` or `ended`.
    TaskState = "running" | "alive" | "ended";
    /// How a task ended.
    Outcome = "completed" | "panicked" | "raised" | "cancelled" | "destroyed" | "unknown";
    /// How a resource was closed: `dropped` with its owner, or found `unclosed`.
    CloseHow = "closed" | "dropped" | "unclosed";
    /// How sure a finding is.
    Confidence = "possible" | "likely" | "certain";
    /// What came of asking a rule.
    RuleOutcome = "found" | "ok" | "not_applicable" | "needs";
    /// What came of a wait; `unfinished`: its task or its process ended first, its end may have been lost, or
    /// nobody knows how it ended.
    WaitState = "pending" | "ready" | "cancelled" | "unfinished";
    /// Why a line of a dump only points to a task.
    Pointer = "cycle" | "above" | "missing";
    /// What a place that blocks was found by.
    FoundBy = "stack" | "spawn_location";
    /// What a thread was doing.
    OnCpu = "on_cpu" | "off_cpu";
    /// What most stacks of a place that makes polls slow found it doing.
    SlowDoing = "computing" | "blocked" | "memory" | "processor";
    /// What becomes of the number of those alive.
    LeakVerdict = "growing" | "steady" | "settled";
    /// How serious an event of the program is.
    EventLevel = "trace" | "debug" | "info" | "warn" | "error";
}

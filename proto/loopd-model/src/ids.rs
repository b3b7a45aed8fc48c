//! Ids, nearly all given by an agent: never used twice in one process, 0 for "none" or "unknown".

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// None, or not known.
            pub const NONE: Self = Self(0);

            /// Whether this is [`Self::NONE`].
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// One event loop: a tokio runtime, an asyncio loop.
    LoopId,
    /// One task. For tokio tasks, tokio's own id; the roots of `block_on`, which have none, count
    /// from [`TaskId::FIRST_ROOT`].
    TaskId,
    /// One tracked resource.
    ResourceId,
    /// One place in source code.
    LocationId,
    /// One interned string.
    NameId,
    /// One interned call stack.
    StackId,
    /// One wait of a task for a resource.
    WaitId,
    /// One span of the program's own tracing.
    AppSpanId,
    /// One answer to the question where every task waits; given by the collector.
    DumpId,
}

impl TaskId {
    /// Ids from here on are given by the agent to tasks that have no id of the runtime's. They
    /// still fit a signed 64-bit integer, which is what SQL has.
    pub const FIRST_ROOT: Self = Self(1 << 62);
}

/// A worker's number within its loop, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one program: 16 random bytes. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub [u8; 16]);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! What the agent's locks need of the rest of the agent, as simple as it can be.

/// Every reading is a tick later than the last.
pub(crate) mod clock {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    static NEXT: AtomicU64 = AtomicU64::new(1);

    pub(crate) struct Calibration;

    impl Calibration {
        pub(crate) fn length(&self, ticks: u64) -> u64 {
            ticks
        }
    }

    pub(crate) fn ticks() -> u64 {
        NEXT.fetch_add(1, Relaxed)
    }
}

/// Nothing runs in tasks here.
pub(crate) mod hooks {
    pub(crate) fn task_number(_: tokio::task::Id) -> u64 {
        0
    }
}

/// Records everything, in the thread's own ring.
pub(crate) mod recorder {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use crate::record::Record;
    use crate::ring::{Pushed, Ring};
    use crate::waits::WaitRecord;

    /// Room for the records of any test.
    const WORDS: usize = 1 << 12;
    static NEXT_RESOURCE: AtomicU64 = AtomicU64::new(1);

    thread_local! {
        static RING: Ring = Ring::new(WORDS);
    }

    pub(crate) fn is_recording() -> bool {
        true
    }

    pub(crate) fn records_waits() -> bool {
        true
    }

    pub(crate) fn next_resource() -> u64 {
        NEXT_RESOURCE.fetch_add(1, Relaxed)
    }

    pub(crate) fn current_task() -> u64 {
        1
    }

    pub(crate) fn write(record: &Record) {
        assert_ne!(RING.with(|ring| record.push(ring)), Pushed::No);
    }

    /// What this thread's waits and holds were since it last asked.
    pub(crate) fn take_waits() -> Vec<WaitRecord> {
        RING.with(|ring| {
            let (mut position, end) = ring.readable();
            let mut waits = Vec::new();
            while position < end {
                let (record, words) = Record::read(ring, position).unwrap();
                if let Record::Wait(record) = record {
                    waits.push(record);
                }
                position += words;
            }
            ring.release(position);
            waits
        })
    }
}

//! The least that recording can cost with tokio's hooks, written by hand: the processor's time stamp
//! before and after, one record of 24 bytes into a ring of the thread, and a thread that packs what
//! it finds and writes it to a socket, which the collector's stand-in empties. No overload, no parks,
//! no places, no threads that end: what a recorder needs beyond this is what it costs beyond this.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::net::TcpStream;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime, TaskMeta};

use crate::job::{Job, Records, Result};
use crate::variant::Recorder;

/// Records in a ring; 1.5 MiB.
const CAPACITY: u64 = 1 << 16;
const POLL: u64 = 0;
const SPAWN: u64 = 1;
const END: u64 = 2;

/// Task, begin, and length with the kind in its lowest bits.
type Record = [u64; 3];

#[repr(align(128))]
#[derive(Default)]
struct Apart<T>(T);

/// Single producer, single consumer; lives as long as the process.
struct Ring {
    head: Apart<AtomicU64>,
    tail: Apart<AtomicU64>,
    /// Of the producer alone: up to here it may write without looking at `tail`.
    free_to: Apart<Cell<u64>>,
    dropped: AtomicU64,
    slots: Box<[Cell<Record>]>,
}

// SAFETY: `free_to` and the slots from `head` on belong to the producer, the slots from `tail` to
// `head` to the consumer; both positions are published with release and read with acquire.
unsafe impl Sync for Ring {}

static RINGS: Mutex<Vec<&'static Ring>> = Mutex::new(Vec::new());

thread_local! {
    static RING: Cell<Option<&'static Ring>> = const { Cell::new(None) };
    static BEGIN: Cell<u64> = const { Cell::new(0) };
}

impl Ring {
    #[cold]
    #[inline(never)]
    fn make() -> &'static Self {
        let ring: &'static Self = Box::leak(Box::new(Self {
            head: Apart::default(),
            tail: Apart::default(),
            free_to: Apart(Cell::new(CAPACITY)),
            dropped: AtomicU64::new(0),
            slots: vec![Cell::new([0; 3]); CAPACITY as usize].into(),
        }));
        RING.set(Some(ring));
        rings().push(ring);
        ring
    }

    #[inline(always)]
    fn push(&self, record: Record) {
        let head = self.head.0.load(Relaxed);
        if head >= self.free_to.0.get() && !self.make_room(head) {
            return;
        }
        self.slots[(head % CAPACITY) as usize].set(record);
        self.head.0.store(head + 1, Release);
    }

    #[cold]
    #[inline(never)]
    fn make_room(&self, head: u64) -> bool {
        self.free_to.0.set(self.tail.0.load(Acquire) + CAPACITY);
        let has_room = head < self.free_to.0.get();
        if !has_room {
            self.dropped.fetch_add(1, Relaxed);
        }
        has_room
    }
}

fn rings() -> std::sync::MutexGuard<'static, Vec<&'static Ring>> {
    RINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline(always)]
fn record(record: Record) {
    RING.get().unwrap_or_else(Ring::make).push(record);
}

#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: the instruction has no preconditions.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Tokio's task id as a number: what its hash writes.
#[inline(always)]
fn number(meta: &TaskMeta<'_>) -> u64 {
    struct Capture(u64);
    impl Hasher for Capture {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, _: &[u8]) {}
        #[inline(always)]
        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }
    let mut capture = Capture(0);
    meta.id().hash(&mut capture);
    capture.0
}

pub(crate) struct Floor;

impl Recorder for Floor {
    fn start(job: &Job) -> Result<Self> {
        // The stand-in throws away what does not speak its language, once it has read it.
        let collector = TcpStream::connect(job.endpoint.trim_start_matches("floor://"))?;
        std::thread::Builder::new().name("floor".into()).spawn(move || drain(collector))?;
        Ok(Self)
    }

    fn build(&self, mut builder: Builder) -> Result<Box<dyn Deref<Target = Runtime>>> {
        builder
            .on_task_spawn(|meta| record([number(meta), ticks(), SPAWN]))
            .on_task_terminate(|meta| record([number(meta), ticks(), END]))
            .on_before_task_poll(|_| BEGIN.set(ticks()))
            .on_after_task_poll(|meta| {
                let begin = BEGIN.get();
                record([number(meta), begin, (ticks() - begin) << 2 | POLL]);
            });
        Ok(Box::new(Box::new(builder.build()?)))
    }

    fn finish(self) -> Option<Records> {
        let sum = |of: fn(&Ring) -> u64| rings().iter().map(|ring| of(ring)).sum();
        let dropped = sum(|ring| ring.dropped.load(Relaxed));
        let produced = sum(|ring| ring.head.0.load(Relaxed)) + dropped;
        Some(Records { produced, dropped, held: 0 })
    }
}

/// Empties the rings every millisecond: lengths and differences as varints, to the collector.
fn drain(mut collector: TcpStream) {
    let mut packed = Vec::with_capacity(1 << 20);
    loop {
        std::thread::sleep(Duration::from_millis(1));
        let known = rings().clone();
        packed.clear();
        for ring in known {
            let (tail, head) = (ring.tail.0.load(Relaxed), ring.head.0.load(Acquire));
            let mut last = 0;
            for position in tail..head {
                let [task, begin, length] = ring.slots[(position % CAPACITY) as usize].get();
                varint(&mut packed, length);
                varint(&mut packed, begin.wrapping_sub(last));
                varint(&mut packed, task);
                last = begin.wrapping_add(length >> 2);
            }
            ring.tail.0.store(head, Release);
        }
        if collector.write_all(&packed).is_err() {
            return;
        }
    }
}

#[inline(always)]
fn varint(packed: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        packed.push(value as u8 | 0x80);
        value >>= 7;
    }
    packed.push(value as u8);
}

//! The spans that are open: a bounded table of slots that are used again. A span's key is the number
//! of its slot and how often that slot was used, so that an old key never finds a newer span.
//!
//! Nothing here waits: lists of free slots are tried, and another is taken if one is in use.

use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire,
    Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, Mutex, OnceLock};

use crate::layer::app::Open;
use crate::layer::resource::Body;
use crate::recorder::Loop;

/// Slots that come into being together.
const CHUNK: usize = 1 << 10;
/// Spans open at once, beyond which new ones are not seen: about 8 MiB of slots.
const MAX_CHUNKS: usize = 64;
/// Lists of free slots, so that threads seldom meet.
const LISTS: usize = 16;
/// Part of the agent's memory that slots may take.
const MEMORY_SHARE: usize = 8;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// A task, blocking job or root of `block_on`.
    Task = 1,
    /// Something of tokio's that tasks wait for.
    Resource = 2,
    /// The semaphore inside tokio's `Semaphore`: `owner` is the latter.
    Inner = 3,
    /// An operation on a resource: `owner` is that.
    Op = 4,
    /// An operation on an inner semaphore: `owner` is that.
    InnerOp = 5,
    /// A span of the program's own.
    App = 6,
}

/// A span. Which fields mean something depends on its role.
#[derive(Default)]
pub(crate) struct Slot {
    index: u32,
    /// How often the slot was used, and in the lower half how many hold on to the span.
    life: AtomicU64,
    role: AtomicU8,
    pub(crate) flags: AtomicU8,
    /// The task's, resource's, wait's or span's own number; 0 for none (yet).
    pub(crate) number: AtomicU64,
    /// The key of the span that it belongs to; 0 for none.
    pub(crate) owner: AtomicU64,
    /// When it began, in ticks: the span, or the wait of an operation.
    pub(crate) began: AtomicU64,
    /// Where in the program, as a number of [`crate::place`].
    pub(crate) place: AtomicU64,
    /// The task that opened or spawned it; of an operation, the task that waits.
    pub(crate) task: AtomicU64,
    /// Of a task: when the first wake since its last poll came, in ticks; 0 when none has.
    pub(crate) woken: AtomicU64,
    /// Of a task: who woke it then. Of an operation: permits that it wants.
    pub(crate) by: AtomicU64,
    /// Of a task: wakes since its last poll.
    pub(crate) wakes: AtomicU32,
    /// Of a task: wakers that there are.
    pub(crate) wakers: AtomicU32,
    /// How often it was entered.
    pub(crate) entries: AtomicU32,
    /// Of a task: `entries` when it was last seen without a waker; 0 for never.
    pub(crate) suspected: AtomicU32,
    /// Of a task: how many threads are inside it.
    pub(crate) inside: AtomicU8,
    /// Of a task whose polls we record: whose they are.
    pub(crate) loop_: Mutex<Option<Arc<Loop>>>,
    pub(crate) body: Mutex<Option<Box<Body>>>,
    pub(crate) app: Mutex<Option<Box<Open>>>,
}

/// A reference that is counted: see [`Slab::pin`].
pub(crate) type SlotRef = &'static Slot;

/// See the module.
pub(crate) struct Slab {
    chunks: [OnceLock<Box<[Slot]>>; MAX_CHUNKS],
    free: [Mutex<Vec<u32>>; LISTS],
    /// Slots that were never used begin here.
    fresh: AtomicU32,
    limit: AtomicU32,
    /// Spans that found no slot.
    refused: AtomicU64,
}

/// The spans of this process.
pub(crate) static SPANS: Slab = Slab {
    chunks: [const { OnceLock::new() }; MAX_CHUNKS],
    free: [const { Mutex::new(Vec::new()) }; LISTS],
    fresh: AtomicU32::new(0),
    limit: AtomicU32::new((MAX_CHUNKS * CHUNK / 2) as u32),
    refused: AtomicU64::new(0),
};

thread_local! {
    static LIST: usize = NEXT_LIST.fetch_add(1, Relaxed) % LISTS;
}
static NEXT_LIST: AtomicUsize = AtomicUsize::new(0);

impl Slot {
    /// What it stands for; `None` while it is free.
    pub(crate) fn role(&self) -> Option<Role> {
        use Role::{App, Inner, InnerOp, Op, Resource, Task};
        let roles = [Task, Resource, Inner, Op, InnerOp, App];
        roles.get(usize::from(self.role.load(Relaxed)).wrapping_sub(1)).copied()
    }

    /// Its key.
    pub(crate) fn key(&self) -> u64 {
        key(self.life.load(Relaxed) >> 32, self.index)
    }

    fn reset(&self, role: Role) {
        let numbers = [
            &self.number,
            &self.owner,
            &self.began,
            &self.place,
            &self.task,
            &self.woken,
            &self.by,
        ];
        numbers.iter().for_each(|number| number.store(0, Relaxed));
        let counts = [&self.wakes, &self.wakers, &self.entries, &self.suspected];
        counts.iter().for_each(|count| count.store(0, Relaxed));
        self.flags.store(0, Relaxed);
        self.inside.store(0, Relaxed);
        self.role.store(role as u8, Relaxed);
    }

    fn is_used_as(&self, generation: u64) -> bool {
        let life = self.life.load(Acquire);
        life >> 32 == generation && life as u32 > 0
    }
}

fn key(generation: u64, index: u32) -> u64 {
    generation << 32 | u64::from(index + 1)
}

impl Slab {
    /// Sets how many spans there may be.
    pub(crate) fn set_limit(&self, memory_limit: usize) {
        let slots = memory_limit / MEMORY_SHARE / size_of::<Slot>();
        self.limit.store(slots.clamp(CHUNK, MAX_CHUNKS * CHUNK) as u32, Relaxed);
    }

    /// Memory of all slots.
    pub(crate) fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().filter(|chunk| chunk.get().is_some()).count();
        chunks * CHUNK * size_of::<Slot>()
    }

    /// Spans that found no slot since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// A new span, held once; `None` if there are too many.
    pub(crate) fn open(&'static self, role: Role) -> Option<SlotRef> {
        let Some(slot) = self.free_slot() else {
            self.refused.fetch_add(1, Relaxed);
            return None;
        };
        slot.reset(role);
        let generation = (slot.life.load(Relaxed) >> 32).wrapping_add(1) & u64::from(u32::MAX >> 1);
        slot.life.store(generation << 32 | 1, Release);
        Some(slot)
    }

    /// The span with this key, if it is open. Who calls knows that it stays so.
    pub(crate) fn get(&self, key: u64) -> Option<&Slot> {
        let index = (key as u32).checked_sub(1)?;
        self.slot(index).filter(|slot| slot.is_used_as(key >> 32))
    }

    /// Holds on to the span, for those that do not know that it stays open.
    pub(crate) fn pin(&self, key: u64) -> Option<&Slot> {
        let slot = self.get(key)?;
        let mut life = slot.life.load(Relaxed);
        while life >> 32 == key >> 32 && life as u32 > 0 {
            match slot.life.compare_exchange_weak(life, life + 1, AcqRel, Relaxed) {
                Ok(_) => return Some(slot),
                Err(now) => life = now,
            }
        }
        None
    }

    /// Lets go of a span; says whether that was the last hold. Then the caller winds it up and
    /// calls [`Slab::free`].
    pub(crate) fn let_go(&self, slot: &Slot) -> bool {
        slot.life.fetch_sub(1, AcqRel) as u32 == 1
    }

    /// Makes the slot of a closed span free.
    pub(crate) fn free(&self, slot: &Slot) {
        slot.role.store(0, Relaxed);
        let first = LIST.with(|list| *list);
        let lists = (0..4 * LISTS).map(|i| &self.free[(first + i) % LISTS]);
        // Should every list be in use all the time, the slot is lost.
        if let Some(mut list) = lists.filter_map(|list| list.try_lock().ok()).next() {
            list.push(slot.index);
        }
    }

    /// Every open span.
    pub(crate) fn each(&self, mut f: impl FnMut(&Slot)) {
        for chunk in self.chunks.iter().filter_map(|chunk| chunk.get()) {
            let is_open = |slot: &&Slot| slot.life.load(Acquire) as u32 > 0;
            chunk.iter().filter(is_open).for_each(&mut f);
        }
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
    }

    fn free_slot(&self) -> Option<&Slot> {
        let first = LIST.with(|list| *list);
        let pop = |i: usize| self.free[(first + i) % LISTS].try_lock().ok()?.pop();
        let index = pop(0).or_else(|| self.fresh_slot()).or_else(|| (1..LISTS).find_map(pop))?;
        self.slot(index)
    }

    fn fresh_slot(&self) -> Option<u32> {
        let limit = self.limit.load(Relaxed);
        let next = |fresh: u32| (fresh < limit).then_some(fresh + 1);
        let index = self.fresh.fetch_update(Relaxed, Relaxed, next).ok()?;
        let chunk = index as usize / CHUNK;
        let slot = |i: usize| Slot { index: (chunk * CHUNK + i) as u32, ..Slot::default() };
        self.chunks[chunk].get_or_init(|| (0..CHUNK).map(slot).collect());
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_no_newer_span() {
        let slot = SPANS.open(Role::Task).unwrap();
        let key = slot.key();
        assert!(SPANS.get(key).is_some() && SPANS.pin(key).is_some());
        assert!(!SPANS.let_go(slot), "pinned");
        assert!(SPANS.let_go(slot));
        assert!(SPANS.get(key).is_none() && SPANS.pin(key).is_none());
        SPANS.free(slot);
        let again = SPANS.open(Role::Op).unwrap();
        assert!(again.key() != key && SPANS.get(key).is_none());
        assert_eq!(SPANS.get(again.key()).unwrap().role(), Some(Role::Op));
        assert!(SPANS.get(0).is_none() && SPANS.get(u64::MAX).is_none());
    }

    #[test]
    fn too_many_spans_are_refused_and_counted() {
        SPANS.set_limit(0);
        let open: Vec<_> = (0..2 * CHUNK).map(|_| SPANS.open(Role::App)).collect();
        assert_eq!(open.iter().flatten().count(), CHUNK);
        assert_eq!(SPANS.refused(), CHUNK as u64);
    }
}

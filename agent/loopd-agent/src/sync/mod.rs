//! [`tokio::sync`] with a memory: who holds what, who waits for it, and how much is in a channel.
//!
//! Using it is a change of the `use` line; names and signatures are tokio's, and so are the locks
//! and channels themselves, which these types wrap.
//!
//! ```
//! # async fn example() {
//! // Was: use tokio::sync::{Mutex, mpsc};
//! use loopd_agent::sync::{Mutex, mpsc};
//!
//! let total = Mutex::new(0);
//! *total.lock().await += 1;
//!
//! let (sender, mut receiver) = mpsc::channel(16);
//! sender.send(*total.lock().await).await.unwrap();
//! assert_eq!(receiver.recv().await, Some(1));
//! # }
//! ```
//!
//! # What is recorded
//!
//! The opening of each, with the place and the task that opened it, and its close. An operation that
//! is ready at once records nothing more; it updates some counters, which are sent once a second if
//! they changed. An operation that has to wait is recorded from beginning to end, with the place it
//! was called at and with those who held the resource then: the tasks, since when, and where they
//! took it. Waits shorter than a millisecond may be found in the counters only.
//!
//! While the recording of waits is switched off, or no agent runs, an operation costs a load and a
//! branch more than tokio's own.
//!
//! # Who holds it
//!
//! The holder of a guard or a permit is the task that took it, also if it was moved to another one
//! since. A guard that is mapped, split or merged keeps its holder. One that was leaked with
//! [`std::mem::forget`] is held for ever, as its lock is. Of a semaphore's and an `RwLock`'s holders
//! eight are known at a time; more are only counted.
//!
//! # Differences
//!
//! Guards that own their lock need `T: 'static`. A channel made before the agent started is never
//! recorded; anything else is from its first use on. What has no name here is to be found in
//! [`tokio::sync`], unrecorded: the two can be mixed.

mod barrier;
pub mod broadcast;
mod ends;
mod guard;
pub mod mpsc;
mod mutex;
mod notify;
pub mod oneshot;
mod rwlock;
mod semaphore;
pub mod watch;

pub use barrier::Barrier;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard};
pub use notify::{Notified, Notify, OwnedNotified};
pub use rwlock::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard, RwLockReadGuard,
    RwLockWriteGuard,
};
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use tokio::sync::{AcquireError, BarrierWaitResult, TryAcquireError, TryLockError};

//! Guards that own their lock: each is the last to keep it, is moved, mapped, given up midway.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loopd_model::WaitHow;

use crate::recorder;
use crate::sync::{
    Mutex, Notify, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock, Semaphore, mpsc, oneshot,
};
use crate::waits::WaitRecord;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it has to wait"),
    }
}

/// How the waits of this thread ended that did since it last asked.
fn ends() -> Vec<WaitHow> {
    let end = |record| match record {
        WaitRecord::Ended { how, .. } => Some(how),
        _ => None,
    };
    recorder::take_waits().into_iter().filter_map(end).collect()
}

#[test]
fn an_owned_guard_may_be_the_last_to_keep_its_mutex() {
    let mut guard = now(Arc::new(Mutex::new(String::from("a"))).lock_owned());
    guard.push('b');
    assert_eq!(*guard, "ab");
    let boxed = Box::new(guard);
    drop(*boxed);
    drop(Arc::new(Mutex::new(String::new())).try_lock_owned().unwrap());
    drop(Arc::new(Mutex::new(String::new())).blocking_lock_owned());
}

#[test]
fn an_operation_that_blocks_takes_what_is_free() {
    let lock = Mutex::new(1);
    *lock.blocking_lock() += 1;
    assert_eq!(*lock.blocking_lock(), 2);
    let lock = RwLock::new(1);
    *lock.blocking_write() += 1;
    assert_eq!(*lock.blocking_read(), 2);
    assert_eq!(ends(), []);
}

#[test]
fn an_owned_guard_of_something_unsized_may_be_the_last() {
    let lock: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
    let mut guard = now(lock.lock_owned());
    guard[1] = 5;
    assert_eq!(guard[..], [1, 5, 3]);
    drop(guard);
}

#[test]
fn a_mapped_guard_keeps_the_whole() {
    let lock = Arc::new(Mutex::new((String::from("a"), 1)));
    let guard = now(lock.clone().lock_owned());
    assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&guard), &lock));
    drop(lock);
    let mut text = OwnedMutexGuard::map(guard, |pair| &mut pair.0);
    text.push('b');
    assert_eq!(*text, "ab");
    drop(text);
}

#[test]
fn a_panic_while_mapping_gives_the_lock_back() {
    let lock = Arc::new(Mutex::new(1));
    let kept = lock.clone();
    let map = |lock: Arc<Mutex<i32>>| {
        let guard = now(lock.lock_owned());
        OwnedMutexGuard::map(guard, |_| -> &mut i32 { std::panic::resume_unwind(Box::new(())) })
    };
    let panics =
        |lock| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| map(lock))).is_err();
    assert!(panics(lock));
    assert!(kept.try_lock().is_ok());
    assert!(panics(Arc::new(Mutex::new(1))));
}

#[test]
fn readers_and_writers_may_be_the_last_to_keep_their_lock() {
    let lock = Arc::new(RwLock::new((1, String::from("a"))));
    let first = now(lock.clone().read_owned());
    let second = lock.try_read_owned().unwrap();
    drop(first);
    let text = OwnedRwLockReadGuard::map(second, |pair| &pair.1);
    assert_eq!(*text, "a");
    drop(text);

    let lock = Arc::new(RwLock::new(1));
    let mut writer = now(lock.clone().write_owned());
    *writer += 1;
    let reader = writer.downgrade();
    assert!(lock.try_write().is_err());
    drop(lock);
    assert_eq!(*reader, 2);
    drop(reader);
    drop(Arc::new(RwLock::new(1)).try_write_owned().unwrap());
}

#[test]
fn a_lock_taken_at_last_passes_from_guard_to_guard() {
    let lock = Arc::new(Mutex::new(1));
    let first = now(lock.clone().lock_owned());
    let mut waiting = Box::pin(lock.lock_owned());
    assert!(poll(waiting.as_mut()).is_pending());
    drop(first);
    let Poll::Ready(mut second) = poll(waiting.as_mut()) else { panic!("nobody else has it") };
    drop(waiting);
    *second += 1;
    assert_eq!(ends(), [WaitHow::Ready]);
    drop(second);
}

#[test]
fn a_future_given_up_midway_may_be_the_last_to_keep_the_lock() {
    let lock = Arc::new(Mutex::new(1));
    drop(lock.clone().lock_owned());
    let first = now(lock.clone().lock_owned());
    let mut waiting = Box::pin(lock.lock_owned());
    assert!(poll(waiting.as_mut()).is_pending());
    // It is given the lock, and never takes it.
    drop(first);
    drop(waiting);
    assert_eq!(ends(), [WaitHow::Cancelled]);

    let lock = Arc::new(RwLock::new(1));
    std::mem::forget(now(lock.read()));
    let mut waiting = Box::pin(lock.write_owned());
    assert!(poll(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(ends(), [WaitHow::Cancelled]);
}

#[test]
fn permits_that_own_their_semaphore_may_be_its_last() {
    let permits = Arc::new(Semaphore::new(3));
    let mut first = now(permits.clone().acquire_many_owned(2)).unwrap();
    let split = first.split(1).unwrap();
    let mut waiting = Box::pin(permits.clone().acquire_many_owned(3));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(split);
    drop(waiting);
    assert_eq!(ends(), [WaitHow::Cancelled]);
    first.merge(permits.try_acquire_owned().unwrap());
    assert_eq!(first.num_permits(), 2);
    drop(first);
}

#[test]
fn a_notified_that_owns_may_be_the_last() {
    let notify = Arc::new(Notify::new());
    let mut waiting = Box::pin(notify.clone().notified_owned());
    assert!(poll(waiting.as_mut()).is_pending());
    notify.notify_one();
    assert!(poll(waiting.as_mut()).is_ready());
    let mut given_up = Box::pin(notify.notified_owned());
    assert!(poll(given_up.as_mut()).is_pending());
    drop(waiting);
    drop(given_up);
    assert_eq!(ends(), [WaitHow::Ready, WaitHow::Cancelled]);
    drop(Arc::new(Notify::new()).notified_owned());
}

#[test]
fn channels_are_closed_from_either_end() {
    let (sender, mut receiver) = mpsc::channel(1);
    now(sender.clone().reserve_owned()).unwrap().send(String::from("a"));
    {
        let mut waiting = pin!(sender.send(String::from("b")));
        assert!(poll(waiting.as_mut()).is_pending());
    }
    drop(sender);
    assert_eq!(now(receiver.recv()).as_deref(), Some("a"));
    assert_eq!(now(receiver.recv()), None);
    let (sender, mut receiver) = oneshot::channel();
    assert!(poll(Pin::new(&mut receiver)).is_pending());
    sender.send(String::from("c")).unwrap();
    assert_eq!(now(receiver).unwrap(), "c");
    assert_eq!(ends(), [WaitHow::Cancelled, WaitHow::Ready]);
}

#[test]
fn guards_go_from_thread_to_thread() {
    let lock = Arc::new(Mutex::new(0));
    let guard = now(lock.clone().lock_owned());
    let other = std::thread::spawn(move || drop(guard));
    let add = |lock: Arc<Mutex<i32>>| *lock.blocking_lock_owned() += 1;
    let adding = {
        let lock = lock.clone();
        std::thread::spawn(move || add(lock))
    };
    other.join().unwrap();
    add(lock.clone());
    adding.join().unwrap();
    assert_eq!(*lock.try_lock().unwrap(), 2);
}

//! What asyncio has no word for: panics, futures that know nothing of the loop, and exact timers.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use loopd_agent::event_loop::{
    self, Check, Error, EventLoop, Executor, LoopError, TaskGroup, ThreadPool, cancellable,
    create_task, current_task, sleep, wait_for,
};

fn with_loop(run: impl FnOnce(&EventLoop)) {
    let event_loop = EventLoop::new().unwrap();
    run(&event_loop);
    event_loop.close().unwrap();
}

type Told = Rc<RefCell<Vec<(Check, String)>>>;

/// What the handler of a loop is told.
fn told(event_loop: &EventLoop) -> Told {
    let told = Told::default();
    let own = told.clone();
    event_loop.set_exception_handler(move |_, context| {
        own.borrow_mut().push((context.check, context.to_string()));
    });
    told
}

#[test]
fn a_panic_goes_no_further_than_its_callback() {
    with_loop(|it| {
        let told = told(it);
        let is_called = Rc::new(Cell::new(false));
        let own = is_called.clone();
        it.call_soon(|| {
            if true {
                panic!("on purpose");
            }
        })
        .unwrap();
        it.call_soon(move || own.set(true)).unwrap();
        it.stop();
        it.run_forever().unwrap();
        assert!(is_called.get());
        let told = told.borrow();
        assert_eq!(told[0].0, Check::CallbackFailed);
        assert!(told[0].1.contains("on purpose") && told[0].1.contains("own.rs"), "{told:?}");
    });
}

#[test]
fn a_panic_is_the_error_of_its_task() {
    let ran = crate::run(async {
        let task = create_task::<(), _>(async { panic!("on purpose") })?;
        Ok(matches!(task.await, Err(Error::Panicked(text)) if &*text == "on purpose"))
    });
    assert!(ran.unwrap());
}

#[test]
fn a_handler_that_panics_ends_nothing() {
    with_loop(|it| {
        it.set_exception_handler(|_, _| panic!("on purpose"));
        it.call_soon(|| Err::<(), _>(Error::new("x"))).unwrap();
        it.stop();
        it.run_forever().unwrap();
    });
}

#[test]
fn what_belongs_to_tokio_works_inside() {
    let ran = crate::run(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = create_task(async move {
            let (mut socket, _) = listener.accept().await?;
            let mut bytes = [0; 5];
            socket.read_exact(&mut bytes).await?;
            socket.write_all(&bytes).await?;
            Ok(())
        })?;
        let spawned = tokio::spawn(async { 1 });
        let local = tokio::task::spawn_local(async { 2 });
        let mut socket = tokio::net::TcpStream::connect(address).await?;
        socket.write_all(b"hello").await?;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await?;
        server.await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || sender.send(3));
        Ok((bytes, spawned.await? + local.await? + receiver.await?))
    });
    assert_eq!(ran.unwrap(), (b"hello".to_vec(), 6));
}

#[test]
fn a_future_that_cannot_hear_is_dropped() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let is_dropped = Rc::new(Cell::new(false));
    let own = is_dropped.clone();
    let ran = crate::run(async move {
        let guard = Dropped(own);
        let task = create_task(async move {
            let _guard = guard;
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(())
        })?;
        sleep(Duration::ZERO).await?;
        task.cancel();
        Ok((&task).await.is_err_and(|error| error.is_cancelled()) && task.cancelled())
    });
    assert!(ran.unwrap() && is_dropped.get());
}

#[test]
fn cancellable_makes_any_future_hear() {
    let ran = crate::run(async {
        let task = create_task(async {
            let slept = cancellable(tokio::time::sleep(Duration::from_secs(100))).await;
            sleep(Duration::ZERO).await?;
            Ok(slept.is_err())
        })?;
        sleep(Duration::ZERO).await?;
        task.cancel();
        task.await
    });
    assert!(ran.unwrap());
}

#[test]
fn a_task_that_awaits_itself_hears_so() {
    let ran = crate::run(async {
        let own = Rc::new(RefCell::new(None::<event_loop::Task<bool>>));
        let of = own.clone();
        let task = create_task(async move {
            let task = of.borrow().clone();
            let error = match task {
                Some(task) => task.await,
                None => Ok(false),
            };
            Ok(matches!(error, Err(Error::Loop(LoopError::AwaitsItself))))
        })?;
        *own.borrow_mut() = Some(task.clone());
        let heard = task.await;
        own.take();
        heard
    });
    assert!(ran.unwrap());
}

#[test]
fn equal_deadlines_are_by_registration() {
    with_loop(|it| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let when = it.time() + Duration::from_millis(2);
        for n in 0..50 {
            let order = order.clone();
            it.call_at(when, move || order.borrow_mut().push(n)).unwrap();
        }
        let stopping = it.clone();
        it.call_at(when, move || stopping.stop()).unwrap();
        it.run_forever().unwrap();
        assert_eq!(*order.borrow(), (0..50).collect::<Vec<_>>());
    });
}

/// Numbers that look like chance, and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn any_timers_fire_in_order_none_early_none_lost_none_twice() {
    for seed in 1..=20 {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        with_loop(|it| {
            let fired = Rc::new(RefCell::new(Vec::new()));
            let begin = it.time();
            let (mut timers, mut expected) = (Vec::new(), Vec::new());
            for n in 0..chance.below(200) {
                let when = begin + Duration::from_micros(chance.below(6_000));
                let (fired, own) = (fired.clone(), it.clone());
                let call = move || {
                    assert!(own.time() >= when, "early");
                    fired.borrow_mut().push((when, n));
                };
                timers.push((it.call_at(when, call).unwrap(), when, n));
            }
            for (timer, when, n) in &timers {
                assert_eq!(timer.when(), *when);
                if chance.below(3) == 0 {
                    timer.cancel();
                } else {
                    expected.push((*when, *n));
                }
            }
            let stopping = it.clone();
            it.call_at(begin + Duration::from_millis(8), move || stopping.stop()).unwrap();
            it.run_forever().unwrap();
            expected.sort();
            assert_eq!(*fired.borrow(), expected, "seed {seed}");
        });
    }
}

#[test]
fn debug_mode_tells_of_what_is_slow_and_of_what_never_ran() {
    let it = EventLoop::new().unwrap();
    let told = told(&it);
    it.set_debug(true);
    it.set_slow_callback_duration(Duration::ZERO);
    it.call_soon(|| ()).unwrap();
    it.stop();
    it.run_forever().unwrap();
    it.call_soon(|| ()).unwrap();
    it.close().unwrap();
    let checks: Vec<_> = told.borrow().iter().map(|(check, _)| *check).collect();
    assert_eq!(checks, [Check::Slow, Check::NeverRun]);
}

#[test]
fn what_is_refused_names_both_places() {
    with_loop(|it| {
        it.call_soon(|| {
            let other = EventLoop::new()?;
            let refused = other.run_forever();
            other.close()?;
            let text = refused.unwrap_err().to_string();
            assert_eq!(text.matches("own.rs").count(), 3, "{text}");
            Ok::<_, LoopError>(())
        })
        .unwrap();
        let told = told(it);
        it.stop();
        it.run_forever().unwrap();
        assert!(told.borrow().is_empty(), "{told:?}");
    });
}

#[test]
fn inside_a_runtime_of_tokios_no_loop_runs() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    with_loop(|it| {
        let ran = runtime.block_on(async { it.run_forever() });
        assert!(matches!(ran, Err(LoopError::InsideRuntime)));
    });
}

#[test]
fn a_job_that_was_cancelled_in_the_queue_does_not_run() {
    let ran = crate::run(async {
        let it = EventLoop::running()?;
        let pool: Arc<dyn Executor> = Arc::new(ThreadPool::new(1, "one"));
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let first = it.run_in_executor(Some(&pool), move || Ok(receiver.recv().is_ok()))?;
        let second = it.run_in_executor(Some(&pool), || -> event_loop::Result<()> {
            unreachable!("it was cancelled")
        })?;
        assert!(second.cancel());
        sender.send(())?;
        assert!(first.await?);
        let waiting = pool.clone();
        it.run_in_executor(None, move || {
            waiting.shutdown(true);
            Ok(())
        })?
        .await
    });
    ran.unwrap();
}

#[test]
fn a_job_that_is_refused_is_told_of_once() {
    with_loop(|it| {
        let told = told(it);
        let pool: Arc<dyn Executor> = Arc::new(ThreadPool::new(1, "one"));
        pool.shutdown(true);
        let refused = it.run_in_executor(Some(&pool), || Ok(()));
        assert!(matches!(refused, Err(LoopError::ExecutorShutDown)));
        for _ in 0..2 {
            it.stop();
            it.run_forever().unwrap();
        }
        assert_eq!(*told.borrow(), []);
    });
}

#[test]
fn finalizers_run_last_first_before_the_end() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let own = order.clone();
    let ran = crate::run(async move {
        for n in [1, 2] {
            let own = own.clone();
            EventLoop::running()?.add_finalizer(move || async move {
                sleep(Duration::ZERO).await?;
                own.borrow_mut().push(n);
                Ok(())
            });
        }
        Ok(())
    });
    ran.unwrap();
    assert_eq!(*order.borrow(), [2, 1]);
}

#[test]
fn a_cancelled_run_of_another_thread() {
    let it = EventLoop::new().unwrap();
    let handle = it.handle();
    let thread = std::thread::spawn(move || {
        let future = handle
            .run_coroutine_threadsafe(|| async { sleep(Duration::from_secs(100)).await })
            .unwrap();
        assert!(future.cancel());
        let result = future.result(Some(Duration::from_secs(60)));
        handle.call_soon_threadsafe(|| EventLoop::running().unwrap().stop()).unwrap();
        result
    });
    it.run_forever().unwrap();
    assert!(thread.join().unwrap().is_err_and(|error| error.is_cancelled()));
    let late = it.handle();
    it.close().unwrap();
    assert!(matches!(late.call_soon_threadsafe(|| ()), Err(LoopError::Closed)));
}

#[test]
fn a_task_hears_of_a_wake_from_another_thread() {
    let ran = crate::run(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let task = create_task(async move { Ok(receiver.await?) })?;
        sleep(Duration::ZERO).await?;
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            sender.send(9)
        });
        assert!(current_task().is_some());
        task.await
    });
    assert_eq!(ran.unwrap(), 9);
}

#[cfg(unix)]
#[test]
fn a_signal_is_a_callback() {
    let it = EventLoop::new().unwrap();
    let stopping = it.clone();
    let signal = 10; // SIGUSR1 where Linux is.
    it.add_signal_handler(signal, move || stopping.stop()).unwrap();
    let process = std::process::id().to_string();
    let thread = std::thread::spawn(move || {
        std::process::Command::new("kill").args(["-10", &process]).status().unwrap()
    });
    it.run_forever().unwrap();
    assert!(thread.join().unwrap().success());
    assert!(it.remove_signal_handler(signal) && !it.remove_signal_handler(signal));
    it.close().unwrap();
}

#[test]
fn tasks_that_wait_for_each_other_can_be_cancelled() {
    let ran = crate::run(async {
        let other = Rc::new(RefCell::new(None::<event_loop::Task<()>>));
        let of = other.clone();
        let first = create_task(async move {
            let task = of.borrow().clone();
            match task {
                Some(task) => task.await,
                None => Ok(()),
            }
        })?;
        let of = first.clone();
        let second = create_task(of)?;
        *other.borrow_mut() = Some(second.clone());
        sleep(Duration::ZERO).await?;
        first.cancel();
        let ended = [first.await, second.await];
        other.take();
        Ok(ended.iter().flatten().count())
    });
    assert_eq!(ran.unwrap(), 0, "both are cancelled");
}

#[test]
fn a_long_chain_of_tasks_can_be_cancelled() {
    let ran = crate::run(async {
        let mut last = create_task(sleep(Duration::from_secs(100)))?;
        for _ in 0..50_000 {
            last = create_task(last)?;
        }
        sleep(Duration::ZERO).await?;
        last.cancel();
        Ok((&last).await.is_err() && last.cancelled())
    });
    assert!(ran.unwrap());
}

#[test]
fn a_group_keeps_the_error_of_its_task_whatever_its_body_awaits() {
    let ran = crate::run(async {
        let result: event_loop::Result<()> = TaskGroup::scope(async |group| {
            group.create_task::<(), _>(async { Err(Error::new("x")) })?;
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(())
        })
        .await;
        Ok(result.unwrap_err().to_string())
    });
    assert!(ran.unwrap().ends_with("; x"));
}

#[test]
fn a_timeout_that_comes_too_late_cancels_nothing_after_it() {
    let ran = crate::run(async {
        let begin = std::time::Instant::now();
        // Nobody wakes it: it is looked at when the timeout has cancelled the task.
        let late = std::future::poll_fn(move |_| match begin.elapsed() {
            time if time < Duration::from_millis(2) => Poll::Pending,
            _ => Poll::Ready(Ok(5)),
        });
        let value = wait_for(Duration::from_millis(5), late).await?;
        sleep(Duration::ZERO).await?;
        Ok((value, current_task().unwrap().cancelling()))
    });
    assert_eq!(ran.unwrap(), (5, 0));
}

#[test]
fn a_timeout_that_is_dropped_takes_its_request_back() {
    let ran = crate::run(async {
        let begin = std::time::Instant::now();
        let other = std::future::poll_fn(move |_| match begin.elapsed() {
            time if time < Duration::from_millis(2) => Poll::Pending,
            _ => Poll::Ready(()),
        });
        let never = std::future::pending::<event_loop::Result<()>>();
        tokio::select! {
            biased;
            () = other => {}
            _ = wait_for(Duration::from_millis(5), never) => {}
        }
        sleep(Duration::ZERO).await?;
        Ok(current_task().unwrap().cancelling())
    });
    assert_eq!(ran.unwrap(), 0);
}

#[test]
fn a_group_whose_body_does_not_hear_cancels_nothing_after_it() {
    let ran = crate::run(async {
        let has_failed = Rc::new(Cell::new(false));
        let of_task = has_failed.clone();
        let result = TaskGroup::scope(async |group| {
            group.create_task::<(), _>(async move {
                of_task.set(true);
                Err(Error::new("x"))
            })?;
            let is_over = |_: &mut Context<'_>| match has_failed.get() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
            std::future::poll_fn(is_over).await;
            Ok(())
        })
        .await;
        sleep(Duration::ZERO).await?;
        Ok((result.is_err(), current_task().unwrap().cancelling()))
    });
    assert_eq!(ran.unwrap(), (true, 0));
}

#[test]
fn what_is_awaited_no_more_is_not_cancelled() {
    let ran = crate::run(async {
        let background = create_task(sleep(Duration::from_secs(100)))?;
        let of = background.clone();
        let task = create_task(async move {
            tokio::select! {
                biased;
                _ = &of => {}
                () = std::future::ready(()) => {}
            }
            cancellable(tokio::time::sleep(Duration::from_secs(100))).await
        })?;
        sleep(Duration::ZERO).await?;
        task.cancel();
        let is_heard = task.await.is_err_and(|error| error.is_cancelled());
        Ok((is_heard, background.cancel()))
    });
    assert_eq!(ran.unwrap(), (true, true));
}

#[test]
fn all_that_is_awaited_at_once_hears() {
    let ran = crate::run(async {
        let mut background = create_task(sleep(Duration::from_secs(100)))?;
        let task = create_task(async move {
            tokio::select! {
                biased;
                _ = &mut background => {}
                () = std::future::ready(()) => {}
            }
            cancellable(tokio::time::sleep(Duration::from_secs(100))).await
        })?;
        sleep(Duration::ZERO).await?;
        task.cancel();
        Ok(task.await.is_err_and(|error| error.is_cancelled()))
    });
    assert!(ran.unwrap());
}

#[test]
fn a_future_that_is_dropped_leaves_no_waker() {
    struct Counted(Arc<()>);
    impl std::task::Wake for Counted {
        fn wake(self: Arc<Self>) {
            let _ = &self.0;
        }
    }
    with_loop(|it| {
        let promise = it.create_future::<()>();
        let alive = Arc::new(());
        for _ in 0..100 {
            let waker = Arc::new(Counted(alive.clone())).into();
            let mut waiting = promise.clone();
            let polled = Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn a_shield_outlives_the_last_handle_to_its_task() {
    let ran = crate::run(async {
        let shielded = event_loop::shield(&create_task(async { Ok(5) })?);
        wait_for(Duration::from_secs(60), shielded).await
    });
    assert_eq!(ran.unwrap(), 5);
}

#[test]
fn shields_and_gathers_that_are_dropped_leave_nothing_with_their_task() {
    with_loop(|it| {
        let told = told(it);
        // Then every callback is told of.
        it.set_debug(true);
        it.set_slow_callback_duration(Duration::ZERO);
        let task = it.create_task(sleep(Duration::from_secs(100))).unwrap();
        for _ in 0..10 {
            let shielded = event_loop::shield(&task);
            assert!(shielded.cancel());
            drop(event_loop::shield(&task));
            drop(event_loop::gather([task.clone()]));
        }
        task.cancel();
        assert!(it.run_until_task_completes(&task).is_err());
        let told = told.borrow();
        let is_left = |told: &&(Check, String)| {
            told.1.contains("callback shield") || told.1.contains("callback gather")
        };
        assert_eq!(told.iter().filter(is_left).count(), 0, "{told:?}");
    });
}

/// Panics wherever it can.
#[derive(Clone, Debug)]
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped on purpose");
        }
    }
}

#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("shown on purpose")
    }
}

impl std::error::Error for Unspeakable {}

struct NoResult;

impl event_loop::CallbackResult for NoResult {
    fn into_result(self) -> event_loop::Result<()> {
        panic!("converted on purpose")
    }
}

#[test]
fn whatever_of_the_program_panics_the_loop_goes_on() {
    with_loop(|it| {
        let told = told(it);
        drop(it.create_task(async { Ok(Spiteful) }).unwrap());
        drop(it.create_task::<(), _>(async { Err(Unspeakable.into()) }).unwrap());
        it.call_soon(|| NoResult).unwrap();
        it.call_soon(|| Err::<(), _>(Unspeakable)).unwrap();
        let stopping = it.clone();
        it.call_soon(move || stopping.stop()).unwrap();
        it.run_forever().unwrap();
        let told = told.borrow();
        let has = |text: &str| told.iter().any(|(_, told)| told.contains(text));
        assert!(has("after its end") && has("converted on purpose"), "{told:?}");
        assert!(has("panics when it is shown"), "{told:?}");
    });
}

#[test]
fn calls_from_the_loops_own_thread_are_first_in_first_out() {
    with_loop(|it| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (first, third) = (sender.clone(), sender.clone());
        it.call_soon_threadsafe(move || first.send(1)).unwrap();
        it.call_soon(move || sender.send(2)).unwrap();
        it.handle().call_soon_threadsafe(move || third.send(3)).unwrap();
        it.stop();
        it.run_forever().unwrap();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    });
}

#[test]
fn what_makes_a_future_may_ask_for_its_result() {
    let it = EventLoop::new().unwrap();
    let handle = it.handle();
    let (sender, receiver) = std::sync::mpsc::channel::<Arc<event_loop::ThreadsafeFuture<()>>>();
    let thread = std::thread::spawn(move || {
        let make = move || {
            let own = receiver.recv().unwrap();
            assert!(!own.done() && own.cancel());
            async { Ok(()) }
        };
        let future = Arc::new(handle.run_coroutine_threadsafe(make).unwrap());
        sender.send(future.clone()).unwrap();
        let result = future.result(Some(Duration::from_secs(60)));
        handle.call_soon_threadsafe(|| EventLoop::running().unwrap().stop()).unwrap();
        result
    });
    it.run_forever().unwrap();
    assert!(thread.join().unwrap().is_err_and(|error| error.is_cancelled()));
    it.close().unwrap();
}

#[test]
fn a_loop_of_a_thread_that_ends_ends_with_it() {
    thread_local! {
        static KEPT: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    }
    let thread = std::thread::spawn(|| {
        // It is there before what is tokio's of the thread, and so outlives that.
        KEPT.with(|kept| {
            let it = EventLoop::new().unwrap();
            it.create_task(async {
                tokio::time::sleep(Duration::from_secs(100)).await;
                Ok(())
            })
            .unwrap();
            it.stop();
            it.run_forever().unwrap();
            kept.replace(Some(it));
        });
    });
    thread.join().unwrap();
}

#[test]
fn a_task_of_another_loop_is_refused() {
    with_loop(|it| {
        with_loop(|other| {
            let task = other.create_task(async { Ok(()) }).unwrap();
            let text = it.run_until_task_completes(&task).unwrap_err().to_string();
            assert_eq!(text.matches("own.rs").count(), 2, "{text}");
            other.run_until_task_completes(&task).unwrap();
        });
    });
}

#[test]
fn in_no_time_nothing_begins() {
    let ran = crate::run(async {
        let is_begun = Rc::new(Cell::new(false));
        let own = is_begun.clone();
        let begins = async move {
            own.set(true);
            Ok(1)
        };
        let result = wait_for(Duration::ZERO, begins).await;
        assert!(matches!(result, Err(Error::TimedOut)) && !is_begun.get());
        let task = create_task(async { Ok(2) })?;
        let too_early = wait_for(Duration::ZERO, &create_task(async { Ok(3) })?).await;
        assert!(matches!(too_early, Ok(3) | Err(Error::TimedOut)));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        (&task).await?;
        wait_for(Duration::ZERO, &task).await
    });
    assert_eq!(ran.unwrap(), 2);
}

#[test]
fn a_cancellation_is_not_lost_with_what_is_awaited_no_more() {
    let ran = crate::run(async {
        let mut background = create_task(sleep(Duration::from_secs(100)))?;
        let task = create_task(async move {
            tokio::select! {
                biased;
                _ = &mut background => {}
                () = std::future::ready(()) => {}
            }
            // Nothing in here hears, so its end is all that can be seen.
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(background.done())
        })?;
        sleep(Duration::ZERO).await?;
        task.cancel();
        Ok((&task).await.is_err_and(|error| error.is_cancelled()) && task.cancelled())
    });
    assert!(ran.unwrap());
}

#[test]
fn a_cancellation_is_heard_though_another_branch_comes_first() {
    let ran = crate::run(async {
        let it = EventLoop::running()?;
        let first = it.create_future::<()>();
        let background = create_task(sleep(Duration::from_secs(100)))?;
        let (of, other) = (first.clone(), background.clone());
        let task = create_task(async move {
            tokio::select! {
                biased;
                _ = &of => {}
                _ = &other => {}
            }
            let heard = sleep(Duration::from_secs(100)).await;
            Ok((heard.is_err(), current_task().unwrap().cancelling()))
        })?;
        sleep(Duration::ZERO).await?;
        first.set_result(())?;
        task.cancel();
        Ok((task.await?, background.cancel()))
    });
    // Only that was cancelled which was awaited then.
    assert_eq!(ran.unwrap(), ((true, 1), false));
}

#[test]
fn a_cancellation_that_was_answered_is_heard_once() {
    let ran = crate::run(async {
        // It takes its time, and gives a result.
        let inner = create_task(async {
            let _ = sleep(Duration::from_secs(100)).await;
            sleep(Duration::ZERO).await?;
            Ok(3)
        })?;
        let mut own = inner.clone();
        let task = create_task(async move {
            // The same task, by another future each time.
            let value = loop {
                tokio::select! {
                    biased;
                    value = &mut own => break value?,
                    slept = sleep(Duration::from_millis(1)) => slept.unwrap_or(()),
                }
            };
            sleep(Duration::ZERO).await?;
            Ok((value, current_task().unwrap().cancelling()))
        })?;
        sleep(Duration::ZERO).await?;
        sleep(Duration::ZERO).await?;
        task.cancel();
        let cancelled = inner.any().cancelling();
        Ok((task.await?, cancelled))
    });
    assert_eq!(ran.unwrap(), ((3, 1), 1));
}

#[test]
fn a_future_polled_by_another_task_is_the_others() {
    let ran = crate::run(async {
        let it = EventLoop::running()?;
        let promise = it.create_future::<i32>();
        let shared = Rc::new(RefCell::new(promise.clone()));
        let own = shared.clone();
        let first = create_task(async move {
            let once = std::future::poll_fn(|context| {
                assert!(Pin::new(&mut *own.borrow_mut()).poll(context).is_pending());
                Poll::Ready(())
            });
            once.await;
            sleep(Duration::from_secs(100)).await
        })?;
        let own = shared.clone();
        let second = create_task(async move {
            std::future::poll_fn(|context| Pin::new(&mut *own.borrow_mut()).poll(context)).await
        })?;
        sleep(Duration::ZERO).await?;
        first.cancel();
        assert!(first.await.is_err_and(|error| error.is_cancelled()) && !promise.done());
        promise.set_result(5)?;
        second.await
    });
    assert_eq!(ran.unwrap(), 5);
}

#[test]
fn cancelling_a_threadsafe_call_drops_what_it_has_where_it_is_cancelled() {
    struct Dropped(std::sync::mpsc::Sender<std::thread::ThreadId>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().id());
        }
    }
    with_loop(|it| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let guard = Dropped(sender);
        let handle = it
            .call_soon_threadsafe(move || {
                let _guard = guard;
                if true {
                    unreachable!("it was cancelled");
                }
            })
            .unwrap();
        let own = handle.clone();
        let thread = std::thread::spawn(move || (own.cancel(), own.cancel()));
        let other = thread.thread().id();
        assert_eq!(thread.join().unwrap(), (true, false));
        assert_eq!(receiver.recv(), Ok(other));
        assert!(handle.cancelled() && format!("{handle:?}").contains("cancelled"));
        it.stop();
        it.run_forever().unwrap();
    });
}

#[test]
fn what_is_closed_keeps_nothing_of_a_threadsafe_call() {
    let it = EventLoop::new().unwrap();
    let told = told(&it);
    it.set_debug(true);
    let alive = Arc::new(());
    let calls = |handle: event_loop::LoopHandle, own: Arc<()>| {
        let other = own.clone();
        let left = handle.call_soon_threadsafe(move || drop(own)).unwrap();
        let cancelled = handle.call_soon_threadsafe(move || drop(other)).unwrap();
        assert!(cancelled.cancel());
        [left, cancelled]
    };
    let here = calls(it.handle(), alive.clone());
    let (handle, own) = (it.handle(), alive.clone());
    let there = std::thread::spawn(move || calls(handle, own)).join().unwrap();
    it.close().unwrap();
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(!here[0].cancel() && !there[0].cancel(), "there is nothing to keep from running");
    // Those that were not cancelled, with their lines.
    let told = told.borrow();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|(check, text)| *check == Check::NeverRun && text.contains("own.rs:")));
    let own = alive.clone();
    assert!(it.handle().call_soon_threadsafe(move || drop(own)).is_err());
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_loops_own_thread_does_not_wait_for_itself() {
    with_loop(|it| {
        let future = it.handle().run_coroutine_threadsafe(|| async { Ok(4) }).unwrap();
        assert!(matches!(future.result(None), Err(Error::Loop(LoopError::InvalidState(_)))));
        it.stop();
        it.run_forever().unwrap();
        it.stop();
        it.run_forever().unwrap();
        assert_eq!(future.result(None).unwrap(), 4);
    });
}

#[test]
fn the_handler_that_was_set_can_be_asked_for() {
    with_loop(|it| {
        assert!(it.exception_handler().is_none());
        let told = told(it);
        let handler = it.exception_handler().unwrap();
        let own = handler.clone();
        it.set_exception_handler(move |event_loop, context| own(event_loop, context));
        it.call_soon(|| Err::<(), _>(Error::new("x"))).unwrap();
        it.stop();
        it.run_forever().unwrap();
        assert_eq!(told.borrow().len(), 1);
        it.reset_exception_handler();
        assert!(it.exception_handler().is_none());
    });
}

#[test]
fn inside_a_runtime_nothing_is_made_that_cannot_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ran = runtime.block_on(async { crate::run(async { Ok(()) }) });
    assert!(matches!(ran, Err(Error::Loop(LoopError::InsideRuntime))));
}

#[test]
fn a_waker_that_panics_keeps_nobody_asleep() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("woken on purpose");
        }
    }
    with_loop(|it| {
        let promise = it.create_future::<i32>();
        let mut first = promise.clone();
        let waker = Arc::new(Panics).into();
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
        let second = it.create_task(promise.clone()).unwrap();
        it.stop();
        it.run_forever().unwrap();
        promise.set_result(7).unwrap();
        assert_eq!(it.run_until_task_completes(&second).unwrap(), 7);
    });
}

#[test]
fn a_waker_of_another_executor_that_panics_keeps_the_end_from_nothing() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("woken on purpose");
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let ran = crate::run(async {
            let make = || sleep(Duration::from_secs(100));
            let mut future = EventLoop::running()?.handle().run_coroutine_threadsafe(make)?;
            let waker = Arc::new(Panics).into();
            assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
            sleep(Duration::ZERO).await?;
            // The run cancels what is left, and waits for it.
            Ok(Arc::new(future))
        });
        sender.send(ran.unwrap().result(None)).unwrap();
    });
    let result = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(result.is_err_and(|error| error.is_cancelled()));
}

#[test]
fn what_panics_instead_of_making_a_future_says_so_on_both_sides() {
    with_loop(|it| {
        let told = told(it);
        let make = || -> std::future::Ready<event_loop::Result<()>> { panic!("on purpose") };
        let future = it.handle().run_coroutine_threadsafe(make).unwrap();
        it.stop();
        it.run_forever().unwrap();
        assert!(
            matches!(future.result(None), Err(Error::Panicked(text)) if &*text == "on purpose")
        );
        assert_eq!(told.borrow()[0].0, Check::CallbackFailed);
    });
}

#[test]
fn a_loop_that_is_dropped_drops_what_it_had_and_lets_no_panic_out() {
    let it = EventLoop::new().unwrap();
    let spiteful = Spiteful;
    it.set_exception_handler(move |_, _| {
        let _ = &spiteful;
    });
    let spiteful = Spiteful;
    it.add_finalizer(move || async move {
        drop(spiteful);
        Ok(())
    });
    let spiteful = Spiteful;
    let handle = it.call_soon(move || drop(spiteful)).unwrap();
    let alive = Arc::new(());
    let own = alive.clone();
    let from_afar = it.call_soon_threadsafe(move || drop(own)).unwrap();
    drop(it);
    assert_eq!(Arc::strong_count(&alive), 1, "though there is {handle} and {from_afar:?}");
}

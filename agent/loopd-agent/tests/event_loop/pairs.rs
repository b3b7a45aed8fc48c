//! The same scenarios in CPython's asyncio, which `python3` runs, and here: both log the same.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use loopd_agent::event_loop::{
    self, Error, EventLoop, LoopError, Result, Task, TaskGroup, create_task, current_task, gather,
    gather_results, shield, sleep, wait_for,
};

const T: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn say(&self, text: impl Display) {
        self.0.borrow_mut().push(text.to_string());
    }

    /// A callback that says so.
    fn saying(&self, text: &'static str) -> impl FnOnce() + use<> {
        let log = self.clone();
        move || log.say(text)
    }
}

macro_rules! say {
    ($log:expr, $($text:tt)*) => { $log.say(format!($($text)*)) };
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// What an error says, as the logs have it.
fn word(error: &Error) -> String {
    match error {
        Error::Raised(error) => error.to_string(),
        Error::Group(errors) => errors.iter().map(word).collect::<Vec<_>>().join(" "),
        Error::Cancelled(_) => "cancelled".to_owned(),
        other => other.to_string(),
    }
}

fn heard(error: &Error) -> String {
    match error {
        Error::Cancelled(cancelled) => cancelled.message().unwrap_or("-").to_owned(),
        other => other.to_string(),
    }
}

fn turns(event_loop: &EventLoop, count: usize) {
    for _ in 0..count {
        event_loop.stop();
        event_loop.run_forever().unwrap();
    }
}

/// The handler says what it is told.
fn told(log: &Log, event_loop: &EventLoop) {
    let log = log.clone();
    event_loop.set_exception_handler(move |_, context| {
        log.say(context.message.split('(').next().unwrap().split(" at ").next().unwrap().trim());
    });
}

fn errors_told(log: &Log, event_loop: &EventLoop) {
    let log = log.clone();
    event_loop.set_exception_handler(move |_, context| {
        say!(log, "handler {}", word(context.error.as_ref().unwrap()));
    });
}

async fn zero() -> Result<()> {
    sleep(Duration::ZERO).await
}

async fn logged<V>(log: Log, name: &'static str, yields: usize, value: V) -> Result<V> {
    for nth in 0..yields {
        say!(log, "{name}{nth}");
        zero().await?;
    }
    say!(log, "{name}.");
    Ok(value)
}

async fn stubborn(log: Log, name: &'static str) -> Result<()> {
    let slept = sleep(LONG).await;
    if let Err(error) = &slept {
        say!(log, "{name} heard {}", heard(error));
    }
    slept
}

async fn failing<V>(log: Log, text: &'static str) -> Result<V> {
    zero().await?;
    say!(log, "fail {text}");
    Err(Error::new(text))
}

fn on(run: fn(&Log, &EventLoop) -> Result<()>) -> Scenario {
    Box::new(move |log| {
        let event_loop = EventLoop::new().unwrap();
        let result = run(log, &event_loop);
        event_loop.close().unwrap();
        result.unwrap();
    })
}

fn main<F: Future<Output = Result<()>> + 'static>(run: fn(Log, EventLoop) -> F) -> Scenario {
    Box::new(move |log| {
        let event_loop = EventLoop::new().unwrap();
        let result = event_loop.run_until_complete(run(log.clone(), event_loop.clone()));
        event_loop.close().unwrap();
        result.unwrap();
    })
}

type Scenario = Box<dyn Fn(&Log)>;

fn scenarios() -> Vec<(&'static str, Scenario)> {
    let mut all: Vec<(&'static str, Scenario)> = Vec::new();
    all.extend(scheduling());
    all.extend(running());
    all.extend(errors());
    all.extend(tasks());
    all.extend(cancelling());
    all.extend(taking_back());
    all.extend(combining());
    all.extend(threads());
    all
}

fn scheduling() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "soon_is_first_in_first_out",
            on(|log, it| {
                for name in ["a", "b", "c"] {
                    it.call_soon(log.saying(name))?;
                }
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "soon_in_a_turn_is_for_the_next",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || {
                    own.say("a");
                    of.call_soon(own.saying("c")).map(drop)
                })?;
                it.call_soon(log.saying("b"))?;
                turns(it, 1);
                log.say("|");
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "a_cancelled_handle_does_not_run",
            on(|log, it| {
                let handle = it.call_soon(log.saying("a"))?;
                it.call_soon(log.saying("b"))?;
                handle.cancel();
                log.say(yes(handle.cancelled()));
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "cancelled_in_the_same_turn",
            on(|log, it| {
                let other = Rc::new(RefCell::new(None::<event_loop::Handle>));
                let (own, of) = (log.clone(), other.clone());
                it.call_soon(move || {
                    own.say("a");
                    of.borrow().as_ref().unwrap().cancel();
                })?;
                *other.borrow_mut() = Some(it.call_soon(log.saying("b"))?);
                it.call_soon(log.saying("c"))?;
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "cancelling_what_has_run",
            on(|log, it| {
                let handle = it.call_soon(log.saying("a"))?;
                turns(it, 1);
                handle.cancel();
                log.say(yes(handle.cancelled()));
                Ok(())
            }),
        ),
        (
            "later_is_by_deadline",
            on(|log, it| {
                let now = it.time();
                it.call_at(now + 3 * T, log.saying("c"))?;
                it.call_at(now + T, log.saying("a"))?;
                it.call_at(now + 2 * T, log.saying("b"))?;
                stop_after(it, 4)?;
                Ok(it.run_forever()?)
            }),
        ),
        (
            "same_deadline_is_by_registration",
            on(|log, it| {
                let when = it.time() + T;
                it.call_at(when, log.saying("a"))?;
                it.call_at(when, log.saying("b"))?;
                stop_after(it, 3)?;
                Ok(it.run_forever()?)
            }),
        ),
        (
            "at_once_is_after_what_is_ready",
            on(|log, it| {
                it.call_later(Duration::ZERO, log.saying("timer"))?;
                it.call_soon(log.saying("soon"))?;
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "a_past_deadline_is_due",
            on(|log, it| {
                let now = it.time();
                it.call_at(now - Duration::from_millis(1), log.saying("b"))?;
                it.call_at(now - Duration::from_millis(2), log.saying("a"))?;
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "a_cancelled_timer_does_not_run",
            on(|log, it| {
                let timer = it.call_later(T, log.saying("a"))?;
                stop_after(it, 2)?;
                timer.cancel();
                log.say(yes(timer.cancelled()));
                Ok(it.run_forever()?)
            }),
        ),
        (
            "many_cancelled_timers",
            on(|log, it| {
                let mut timers = Vec::new();
                for n in 0..300 {
                    let log = log.clone();
                    timers.push(it.call_later(T, move || log.say(n))?);
                }
                for (n, timer) in timers.iter().enumerate() {
                    if n % 50 != 0 {
                        timer.cancel();
                    }
                }
                stop_after(it, 2)?;
                Ok(it.run_forever()?)
            }),
        ),
        (
            "a_timer_from_a_timer",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                it.call_later(T, move || {
                    own.say("a");
                    let (last, stopping) = (own.clone(), of.clone());
                    of.call_later(Duration::ZERO, move || {
                        last.say("c");
                        stopping.stop();
                    })?;
                    of.call_soon(own.saying("b")).map(drop)
                })?;
                Ok(it.run_forever()?)
            }),
        ),
    ]
}

fn stop_after(it: &EventLoop, times: u32) -> Result<()> {
    let stopping = it.clone();
    it.call_later(times * T, move || stopping.stop())?;
    Ok(())
}

fn running() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "stop_lets_the_turn_finish",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || {
                    own.say("a");
                    of.stop();
                    of.call_soon(own.saying("c")).map(drop)
                })?;
                it.call_soon(log.saying("b"))?;
                it.run_forever()?;
                log.say("|");
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "stop_before_the_run_makes_one_turn",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || {
                    own.say("a");
                    of.call_soon(own.saying("b")).map(drop)
                })?;
                it.stop();
                it.run_forever()?;
                log.say("|");
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "states",
            on(|log, it| {
                let state = |log: &Log, it: &EventLoop| {
                    say!(log, "{} {}", yes(it.is_running()), yes(it.is_closed()));
                };
                state(log, it);
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || state(&own, &of))?;
                turns(it, 1);
                it.close()?;
                state(log, it);
                Ok(())
            }),
        ),
        (
            "closed_is_closed",
            on(|log, it| {
                it.close()?;
                it.close()?;
                let results = [
                    it.call_soon(|| ()).map(drop),
                    it.call_later(T, || ()).map(drop),
                    it.call_soon_threadsafe(|| ()).map(drop),
                    it.run_forever(),
                ];
                for result in results {
                    if matches!(result, Err(LoopError::Closed)) {
                        log.say("closed");
                    }
                }
                Ok(())
            }),
        ),
        (
            "close_while_running",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || {
                    if of.close().is_err() {
                        own.say("refused");
                    }
                })?;
                turns(it, 1);
                log.say(yes(it.is_closed()));
                Ok(())
            }),
        ),
        (
            "run_while_running",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || {
                    if matches!(of.run_forever(), Err(LoopError::AlreadyRunning { .. })) {
                        own.say("refused");
                    }
                })?;
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "another_while_running",
            on(|log, it| {
                let own = log.clone();
                it.call_soon(move || {
                    let other = EventLoop::new()?;
                    if matches!(other.run_forever(), Err(LoopError::AnotherIsRunning { .. })) {
                        own.say("refused");
                    }
                    other.close()
                })?;
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "running_and_current",
            on(|log, it| {
                if EventLoop::running().is_err() {
                    log.say("none runs");
                }
                let (own, of) = (log.clone(), it.clone());
                it.call_soon(move || own.say(yes(EventLoop::running().unwrap() == of)))?;
                turns(it, 1);
                EventLoop::set_current(Some(it));
                log.say(yes(EventLoop::current()? == *it));
                EventLoop::set_current(None);
                Ok(())
            }),
        ),
        (
            "the_result_of_a_run",
            on(|log, it| {
                log.say(it.run_until_complete(async { Ok(7) })?);
                Ok(())
            }),
        ),
        (
            "the_error_of_a_run",
            on(|log, it| {
                let error = it.run_until_complete(failing::<()>(log.clone(), "x")).unwrap_err();
                log.say(word(&error));
                Ok(())
            }),
        ),
        (
            "stopped_before_the_end",
            on(|log, it| {
                let (own, of) = (log.clone(), it.clone());
                let ran = it.run_until_complete(async move {
                    of.stop();
                    zero().await?;
                    own.say("later");
                    Ok(())
                });
                if matches!(ran, Err(Error::Loop(LoopError::StoppedEarly))) {
                    log.say("stopped");
                }
                turns(it, 2);
                Ok(())
            }),
        ),
        (
            "run_sweeps_up",
            Box::new(|log| {
                let own = log.clone();
                let ran = crate::run(async move {
                    let of_task = own.clone();
                    let task = create_task(async move { stubborn(of_task, "a").await })?;
                    zero().await?;
                    say!(own, "main {}", yes(task.done()));
                    Ok(1)
                });
                log.say(ran.unwrap());
            }),
        ),
        (
            "run_tells_what_fails_at_its_end",
            Box::new(|log| {
                let own = log.clone();
                let ran = crate::run(async move {
                    errors_told(&own, &EventLoop::running()?);
                    create_task::<(), _>(async {
                        let _ = sleep(LONG).await;
                        Err(Error::new("x"))
                    })?;
                    zero().await
                });
                ran.unwrap();
            }),
        ),
    ]
}

fn errors() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "a_failing_callback_goes_to_the_handler",
            on(|log, it| {
                errors_told(log, it);
                it.call_soon(|| Err::<(), _>(Error::new("x")))?;
                it.call_soon(log.saying("b"))?;
                turns(it, 1);
                Ok(())
            }),
        ),
        (
            "a_failing_timer_goes_to_the_handler",
            on(|log, it| {
                errors_told(log, it);
                it.call_later(T, || Err::<(), _>(Error::new("x")))?;
                stop_after(it, 2)?;
                Ok(it.run_forever()?)
            }),
        ),
        (
            "an_error_nobody_retrieved",
            on(|log, it| {
                told(log, it);
                let task = it.create_task(failing::<()>(log.clone(), "x"))?;
                turns(it, 3);
                log.say(yes(task.done()));
                drop(task);
                log.say("|");
                Ok(())
            }),
        ),
        (
            "an_error_that_somebody_saw",
            on(|log, it| {
                told(log, it);
                let task = it.create_task(failing::<()>(log.clone(), "x"))?;
                turns(it, 3);
                log.say(word(&task.exception()?.unwrap()));
                Ok(())
            }),
        ),
        (
            "a_future_whose_error_nobody_saw",
            on(|log, it| {
                told(log, it);
                it.create_future::<()>().set_exception(Error::new("x"))?;
                Ok(())
            }),
        ),
        (
            "closed_with_a_pending_task",
            on(|log, it| {
                told(log, it);
                let task = it.create_task(sleep(LONG))?;
                turns(it, 1);
                // Here a loop keeps its tasks, and lets them go when it is closed.
                log.say(yes(task.done()));
                it.close()?;
                Ok(())
            }),
        ),
    ]
}

fn tasks() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "tasks_take_turns",
            main(|log: Log, it: EventLoop| async move {
                let a = it.create_task(logged(log.clone(), "a", 2, ()))?;
                let b = it.create_task(logged(log.clone(), "b", 2, ()))?;
                log.say("made");
                a.await?;
                b.await
            }),
        ),
        (
            "steps_and_callbacks_share_a_queue",
            main(|log: Log, it: EventLoop| async move {
                it.call_soon(log.saying("1"))?;
                let task = it.create_task(logged(log.clone(), "t", 2, ()))?;
                it.call_soon(log.saying("2"))?;
                zero().await?;
                log.say("main");
                it.call_soon(log.saying("3"))?;
                task.await
            }),
        ),
        (
            "the_result_of_a_task",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(logged(log.clone(), "t", 1, 5))?;
                log.say(yes(task.done()));
                log.say((&task).await?);
                say!(log, "{} {}", yes(task.done()), task.result()?);
                Ok(())
            }),
        ),
        (
            "awaiting_what_is_done_lets_nobody_in",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(logged(log.clone(), "t", 0, 5))?;
                zero().await?;
                it.call_soon(log.saying("soon"))?;
                log.say(task.await?);
                let future = it.create_future();
                future.set_result(1)?;
                log.say(future.await?);
                Ok(())
            }),
        ),
        (
            "the_error_of_a_task",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(failing::<()>(log.clone(), "x"))?;
                log.say(word(&(&task).await.unwrap_err()));
                log.say(word(&task.exception()?.unwrap()));
                Ok(())
            }),
        ),
        (
            "done_callbacks",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(logged(log.clone(), "t", 1, ()))?;
                let own = log.clone();
                task.add_done_callback(move |task| say!(own, "a {}", yes(task.done())));
                let own = log.clone();
                task.add_done_callback(move |_| own.say("b"));
                (&task).await?;
                log.say("awaited");
                let own = log.clone();
                task.add_done_callback(move |_| own.say("c"));
                log.say("added");
                zero().await
            }),
        ),
        (
            "a_removed_done_callback",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(logged(log.clone(), "t", 1, ()))?;
                let own = log.clone();
                let a = task.add_done_callback(move |_| own.say("a"));
                let own = log.clone();
                task.add_done_callback(move |_| own.say("b"));
                log.say(u8::from(task.remove_done_callback(a)));
                task.await?;
                zero().await
            }),
        ),
        (
            "waiters_wake_in_order",
            main(|log: Log, it: EventLoop| async move {
                let future = it.create_future::<i32>();
                let mut tasks = Vec::new();
                for name in ["a", "b", "c"] {
                    let (log, future) = (log.clone(), future.clone());
                    tasks.push(it.create_task(async move {
                        say!(log, "{name} {}", future.await?);
                        Ok(())
                    })?);
                }
                zero().await?;
                future.set_result(1)?;
                it.call_soon(log.saying("soon"))?;
                for task in tasks {
                    task.await?;
                }
                Ok(())
            }),
        ),
        (
            "a_future_has_one_result",
            main(|log: Log, it: EventLoop| async move {
                let future = it.create_future();
                if matches!(future.result(), Err(Error::Loop(LoopError::InvalidState(_)))) {
                    log.say("not yet");
                }
                future.set_result(1)?;
                if matches!(future.set_result(2), Err(LoopError::InvalidState(_))) {
                    log.say("already");
                }
                say!(log, "{} {}", future.result()?, yes(future.cancel()));
                Ok(())
            }),
        ),
        (
            "a_cancelled_future",
            main(|log: Log, it: EventLoop| async move {
                let future = it.create_future::<()>();
                let first = future.cancel();
                let (cancelled, done) = (yes(future.cancelled()), yes(future.done()));
                say!(log, "{} {cancelled} {done} {}", yes(first), yes(future.cancel()));
                log.say(word(&future.await.unwrap_err()));
                Ok(())
            }),
        ),
        (
            "all_and_current",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_named_task("mine", logged(log.clone(), "t", 1, ()))?;
                say!(log, "{} {}", it.all_tasks().len(), task.name());
                let name =
                    it.create_named_task("other", async { Ok(current_task().unwrap().name()) })?;
                log.say(name.await?);
                task.await?;
                log.say(it.all_tasks().len());
                Ok(())
            }),
        ),
    ]
}

/// Ends a task that was told to.
async fn ended(log: &Log, task: &Task<impl Clone + 'static>) {
    if let Err(error) = task.await {
        log.say(word(&error));
    }
}

fn cancelling() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "cancelled_before_its_first_step",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(logged(log.clone(), "t", 1, ()))?;
                log.say(yes(task.cancel()));
                ended(&log, &task).await;
                log.say(yes(task.cancelled()));
                Ok(())
            }),
        ),
        (
            "cancelled_while_it_sleeps",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(stubborn(log.clone(), "t"))?;
                zero().await?;
                say!(log, "{} {}", yes(task.cancel_with("why")), yes(task.done()));
                ended(&log, &task).await;
                say!(log, "{} {}", yes(task.cancelled()), yes(task.cancel()));
                Ok(())
            }),
        ),
        (
            "cleaning_up_takes_its_time",
            main(|log: Log, it: EventLoop| async move {
                let own = log.clone();
                let task = it.create_task(async move {
                    let slept = sleep(LONG).await;
                    own.say("clean");
                    zero().await?;
                    own.say("cleaned");
                    slept
                })?;
                zero().await?;
                task.cancel();
                ended(&log, &task).await;
                Ok(())
            }),
        ),
        (
            "a_swallowed_cancellation",
            main(|log: Log, it: EventLoop| async move {
                let own = log.clone();
                let task = it.create_task(async move {
                    if sleep(LONG).await.is_err() {
                        own.say("no");
                    }
                    zero().await?;
                    Ok(3)
                })?;
                zero().await?;
                task.cancel();
                log.say((&task).await?);
                let (cancelled, requests) = (yes(task.cancelled()), task.cancelling());
                say!(log, "{cancelled} {requests} {} {}", task.uncancel(), task.cancelling());
                Ok(())
            }),
        ),
        (
            "a_cancellation_reaches_what_is_awaited",
            main(|log: Log, it: EventLoop| async move {
                let inner = it.create_task(stubborn(log.clone(), "inner"))?;
                let (own, of) = (log.clone(), inner.clone());
                let outer = it.create_task(async move {
                    let result = of.await;
                    say!(own, "outer heard {}", heard(result.as_ref().unwrap_err()));
                    result
                })?;
                zero().await?;
                outer.cancel_with("why");
                if (&outer).await.is_err_and(|error| error.is_cancelled()) {
                    say!(log, "{} {}", yes(inner.cancelled()), yes(outer.cancelled()));
                }
                Ok(())
            }),
        ),
        (
            "a_cancelled_child_is_an_error_of_its_parent",
            main(|log: Log, it: EventLoop| async move {
                let inner = it.create_task(stubborn(log.clone(), "inner"))?;
                zero().await?;
                inner.cancel();
                if inner.await.is_err_and(|error| error.is_cancelled()) {
                    log.say("heard");
                }
                log.say(current_task().unwrap().cancelling());
                Ok(())
            }),
        ),
        (
            "a_child_that_swallows_keeps_its_parent",
            main(|log: Log, it: EventLoop| async move {
                let own = log.clone();
                let inner = it.create_task(async move {
                    if sleep(LONG).await.is_err() {
                        own.say("no");
                    }
                    Ok(3)
                })?;
                let own = log.clone();
                let outer = it.create_task(async move {
                    own.say(inner.await?);
                    Ok(4)
                })?;
                zero().await?;
                zero().await?;
                outer.cancel();
                log.say(outer.await?);
                Ok(())
            }),
        ),
        (
            "cancelled_when_what_it_awaits_is_done",
            main(|log: Log, it: EventLoop| async move {
                let future = it.create_future::<i32>();
                let (own, of) = (log.clone(), future.clone());
                let task = it.create_task(async move {
                    match of.await {
                        Ok(value) => own.say(value),
                        Err(_) => own.say("heard"),
                    }
                    Ok(())
                })?;
                zero().await?;
                future.set_result(1)?;
                log.say(yes(task.cancel()));
                task.await
            }),
        ),
        (
            "cancelling_itself",
            main(|log: Log, it: EventLoop| async move {
                let own = log.clone();
                let task = it.create_task(async move {
                    current_task().unwrap().cancel();
                    own.say("goes on");
                    if zero().await.is_err() {
                        own.say("heard");
                    }
                    Ok(1)
                })?;
                log.say(task.await?);
                Ok(())
            }),
        ),
        (
            "cancelling_itself_in_its_last_step",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(async {
                    current_task().unwrap().cancel();
                    Ok(1)
                })?;
                ended(&log, &task).await;
                log.say(yes(task.cancelled()));
                Ok(())
            }),
        ),
        (
            "cancelling_twice",
            main(|log: Log, it: EventLoop| async move {
                let own = log.clone();
                let task = it.create_task(async move {
                    for n in 0..2 {
                        if sleep(LONG).await.is_err() {
                            say!(own, "heard {n} {}", current_task().unwrap().cancelling());
                        }
                    }
                    Ok(())
                })?;
                zero().await?;
                task.cancel();
                zero().await?;
                zero().await?;
                task.cancel();
                (&task).await?;
                log.say(task.cancelling());
                Ok(())
            }),
        ),
    ]
}

fn taking_back() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "one_of_two_requests_taken_back",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(stubborn(log.clone(), "t"))?;
                zero().await?;
                task.cancel();
                task.cancel();
                log.say(task.uncancel());
                if let Err(error) = (&task).await {
                    say!(log, "{} {}", word(&error), task.cancelling());
                }
                Ok(())
            }),
        ),
        (
            "taken_back_before_it_is_heard",
            main(|log: Log, it: EventLoop| async move {
                let own = log.clone();
                let task = it.create_task(async move {
                    let task = current_task().unwrap();
                    task.cancel();
                    own.say(task.uncancel());
                    zero().await?;
                    own.say("goes on");
                    task.cancel();
                    own.say(task.uncancel());
                    Ok(1)
                })?;
                log.say(task.await?);
                Ok(())
            }),
        ),
        (
            "taken_back_before_its_first_step",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(logged(log.clone(), "t", 0, 5))?;
                task.cancel();
                log.say(task.uncancel());
                say!(log, "{} {}", (&task).await?, yes(task.cancelled()));
                Ok(())
            }),
        ),
        (
            "taken_back_too_late",
            main(|log: Log, it: EventLoop| async move {
                let task = it.create_task(stubborn(log.clone(), "t"))?;
                zero().await?;
                task.cancel();
                log.say(task.uncancel());
                if let Err(error) = (&task).await {
                    say!(log, "{} {}", word(&error), task.cancelling());
                }
                Ok(())
            }),
        ),
    ]
}

fn combining() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "gathered_in_order",
            main(|log: Log, it: EventLoop| async move {
                let a = it.create_task(logged(log.clone(), "a", 3, "a"))?;
                let b = it.create_task(logged(log.clone(), "b", 1, "b"))?;
                log.say(gather([a, b]).await?.join(" "));
                log.say(gather(Vec::<Task<i32>>::new()).await?.len());
                Ok(())
            }),
        ),
        (
            "gather_tells_the_first_error",
            main(|log: Log, it: EventLoop| async move {
                let slow = it.create_task(logged(log.clone(), "s", 4, 1))?;
                let fails = it.create_task(failing(log.clone(), "x"))?;
                log.say(word(&gather([fails, slow.clone()]).await.unwrap_err()));
                log.say(yes(slow.done()));
                log.say(slow.await?);
                Ok(())
            }),
        ),
        (
            "gather_with_errors_as_results",
            main(|log: Log, it: EventLoop| async move {
                let fails = it.create_task(failing(log.clone(), "x"))?;
                let a = it.create_task(logged(log.clone(), "a", 1, 1))?;
                let results = gather_results([fails, a]).await?;
                let words = results.iter().map(|result| match result {
                    Ok(value) => value.to_string(),
                    Err(error) => word(error),
                });
                log.say(words.collect::<Vec<_>>().join(" "));
                Ok(())
            }),
        ),
        (
            "cancelling_a_gather",
            main(|log: Log, it: EventLoop| async move {
                let a = it.create_task(stubborn(log.clone(), "a"))?;
                let b = it.create_task(stubborn(log.clone(), "b"))?;
                let tasks = [a.clone(), b.clone()];
                let outer = it.create_task(async move { gather(tasks).await.map(drop) })?;
                zero().await?;
                zero().await?;
                outer.cancel();
                ended(&log, &outer).await;
                say!(log, "{} {}", yes(a.cancelled()), yes(b.cancelled()));
                Ok(())
            }),
        ),
        (
            "a_timeout",
            main(|log: Log, _it: EventLoop| async move {
                if matches!(wait_for(T, stubborn(log.clone(), "t")).await, Err(Error::TimedOut)) {
                    log.say("timed out");
                }
                log.say(current_task().unwrap().cancelling());
                Ok(())
            }),
        ),
        (
            "in_time",
            main(|log: Log, _it: EventLoop| async move {
                log.say(wait_for(LONG, logged(log.clone(), "t", 0, 5)).await?);
                Ok(())
            }),
        ),
        (
            "an_error_in_time",
            main(|log: Log, _it: EventLoop| async move {
                let error = wait_for(LONG, failing::<()>(log.clone(), "x")).await.unwrap_err();
                log.say(word(&error));
                Ok(())
            }),
        ),
        (
            "shielded",
            main(|log: Log, it: EventLoop| async move {
                let inner = it.create_task(logged(log.clone(), "i", 3, 5))?;
                let of = inner.clone();
                let outer = it.create_task(async move { shield(&of).await })?;
                zero().await?;
                outer.cancel();
                ended(&log, &outer).await;
                say!(log, "{} {}", (&inner).await?, yes(inner.cancelled()));
                Ok(())
            }),
        ),
        (
            "a_group",
            main(|log: Log, _it: EventLoop| async move {
                TaskGroup::scope(async |group| {
                    group.create_task(logged(log.clone(), "a", 1, ()))?;
                    group.create_task(logged(log.clone(), "b", 2, ()))?;
                    log.say("body");
                    Ok(())
                })
                .await?;
                log.say("after");
                Ok(())
            }),
        ),
        (
            "a_group_in_which_one_fails",
            main(|log: Log, _it: EventLoop| async move {
                let result = TaskGroup::scope(async |group| {
                    group.create_task(stubborn(log.clone(), "a"))?;
                    group.create_task(failing::<()>(log.clone(), "x"))?;
                    let slept = sleep(LONG).await;
                    if slept.is_err() {
                        log.say("body heard");
                    }
                    slept
                })
                .await;
                log.say(word(&result.unwrap_err()));
                log.say(current_task().unwrap().cancelling());
                Ok(())
            }),
        ),
        (
            "a_group_whose_body_fails",
            main(|log: Log, _it: EventLoop| async move {
                let result: Result<()> = TaskGroup::scope(async |group| {
                    group.create_task(stubborn(log.clone(), "a"))?;
                    zero().await?;
                    Err(Error::new("x"))
                })
                .await;
                log.say(word(&result.unwrap_err()));
                Ok(())
            }),
        ),
    ]
}

thread_local! {
    /// For what comes from other threads, which cannot have the log.
    static LOG: RefCell<Log> = RefCell::default();
}

fn stop() {
    EventLoop::running().unwrap().stop();
}

fn threads() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "from_another_thread",
            on(|log, it| {
                LOG.set(log.clone());
                let handle = it.handle();
                let thread = std::thread::spawn(move || {
                    handle.call_soon_threadsafe(|| LOG.with_borrow(|log| log.say("a")))?;
                    handle.call_soon_threadsafe(stop).map(drop)
                });
                it.run_forever()?;
                Ok(thread.join().unwrap()?)
            }),
        ),
        (
            "a_call_from_another_thread_that_it_cancels",
            on(|log, it| {
                LOG.set(log.clone());
                let handle = it.handle();
                let thread = std::thread::spawn(move || {
                    let says = |text: &'static str| move || LOG.with_borrow(|log| log.say(text));
                    let call = handle.call_soon_threadsafe(says("a"))?;
                    handle.call_soon_threadsafe(says("b"))?;
                    call.cancel();
                    handle.call_soon_threadsafe(says(yes(call.cancelled())))?;
                    handle.call_soon_threadsafe(stop).map(drop)
                });
                thread.join().unwrap()?;
                Ok(it.run_forever()?)
            }),
        ),
        (
            "a_threadsafe_call_cancelled_by_what_is_before_it",
            on(|log, it| {
                LOG.set(log.clone());
                let other = Rc::new(RefCell::new(None::<event_loop::ThreadsafeHandle>));
                let (own, of) = (log.clone(), other.clone());
                it.call_soon(move || {
                    own.say("a");
                    of.borrow().as_ref().unwrap().cancel();
                })?;
                let call = it.call_soon_threadsafe(|| LOG.with_borrow(|log| log.say("b")))?;
                *other.borrow_mut() = Some(call.clone());
                it.call_soon(log.saying("c"))?;
                turns(it, 1);
                call.cancel();
                log.say(yes(call.cancelled()));
                Ok(())
            }),
        ),
        (
            "a_threadsafe_call_cancelled_after_it_has_run",
            on(|log, it| {
                LOG.set(log.clone());
                let call = it.call_soon_threadsafe(|| LOG.with_borrow(|log| log.say("a")))?;
                turns(it, 1);
                log.say(yes(call.cancelled()));
                call.cancel();
                log.say(yes(call.cancelled()));
                Ok(())
            }),
        ),
        (
            "a_coroutine_from_another_thread",
            on(|log, it| {
                let handle = it.handle();
                let thread = std::thread::spawn(move || {
                    let double = |value: i32| async move {
                        zero().await?;
                        Ok(2 * value)
                    };
                    let result =
                        handle.run_coroutine_threadsafe(move || double(4))?.result(Some(LONG))?;
                    handle.call_soon_threadsafe(stop)?;
                    Ok::<_, Error>(result)
                });
                it.run_forever()?;
                log.say(thread.join().unwrap()?);
                Ok(())
            }),
        ),
        (
            "in_the_executor",
            main(|log: Log, it: EventLoop| async move {
                log.say(it.run_in_executor(None, || Ok(6))?.await?);
                let failed = it.run_in_executor(None, || Err::<(), _>(Error::new("x")))?.await;
                log.say(word(&failed.unwrap_err()));
                it.shutdown_default_executor().await?;
                if it.run_in_executor(None, || Ok(6)).is_err() {
                    log.say("shut down");
                }
                Ok(())
            }),
        ),
    ]
}

/// The newest CPython that there is.
pub(crate) fn python() -> Command {
    if let Ok(chosen) = std::env::var("LOOPD_TEST_PYTHON") {
        return Command::new(chosen);
    }
    let runs = |name: &&&str| {
        Command::new(name).args(["-I", "-c", ""]).output().is_ok_and(|ran| ran.status.success())
    };
    let newest = ["python3.14", "python3.13", "python3.12"].iter().find(runs);
    Command::new(newest.copied().unwrap_or("python3"))
}

#[test]
fn every_scenario_logs_what_it_logs_in_asyncio() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/event_loop/scenarios.py");
    // Without the environment's settings of asyncio's debug mode.
    let ran = python().args(["-I", "-W", "ignore", script]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let theirs = String::from_utf8(ran.stdout).unwrap();
    let theirs: BTreeMap<_, _> = theirs.lines().filter_map(|line| line.split_once(": ")).collect();
    let (mut differ, count) = (Vec::new(), Cell::new(0));
    for (name, run) in scenarios() {
        count.set(count.get() + 1);
        let log = Log::default();
        run(&log);
        let ours = log.0.borrow().join(", ");
        let expected = theirs.get(name).copied().unwrap_or("no such scenario");
        if expected.starts_with("since 3.") {
            println!("{name} is not compared: {expected}");
        } else if ours != expected {
            differ.push(format!("{name}\n  asyncio: {expected}\n  loopd:   {ours}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert_eq!(count.get(), theirs.len(), "each scenario is there twice");
    assert!(count.get() >= 40);
}

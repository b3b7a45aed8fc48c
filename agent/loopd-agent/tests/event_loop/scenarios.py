"""The scenarios of `pairs.rs` in CPython's asyncio: one line each, its name and what it logs."""

import asyncio
import gc
import sys
import threading

SCENARIOS = []
SINCE = {}
T = 0.002


def scenario(function):
    SCENARIOS.append(function)
    return function


def since(*version):
    """What CPython does from this version on; of those before only that is logged."""

    def mark(function):
        SINCE[function.__name__] = version
        return function

    return mark


def on(function):
    """With a loop of its own, closed at the end."""

    def run(log):
        loop = asyncio.new_event_loop()
        try:
            function(log, loop)
        finally:
            loop.close()

    run.__name__ = function.__name__
    return scenario(run)


def main(function):
    """As a coroutine under run_until_complete."""

    def run(log):
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(function(log, loop))
        finally:
            loop.close()

    run.__name__ = function.__name__
    return scenario(run)


def turns(loop, count):
    for _ in range(count):
        loop.stop()
        loop.run_forever()


def told(log):
    return lambda loop, context: log(context["message"].split("(")[0].split(" at ")[0].strip())


async def logged(log, name, yields=1, value=None):
    for nth in range(yields):
        log(f"{name}{nth}")
        await asyncio.sleep(0)
    log(f"{name}.")
    return value


async def stubborn(log, name):
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        log(f"{name} heard {error.args[0] if error.args else '-'}")
        raise


async def failing(log, text):
    await asyncio.sleep(0)
    log(f"fail {text}")
    raise ValueError(text)


@on
def soon_is_first_in_first_out(log, loop):
    for name in "abc":
        loop.call_soon(log, name)
    turns(loop, 1)


@on
def soon_in_a_turn_is_for_the_next(log, loop):
    def a():
        log("a")
        loop.call_soon(log, "c")

    loop.call_soon(a)
    loop.call_soon(log, "b")
    turns(loop, 1)
    log("|")
    turns(loop, 1)


@on
def a_cancelled_handle_does_not_run(log, loop):
    handle = loop.call_soon(log, "a")
    loop.call_soon(log, "b")
    handle.cancel()
    log(handle.cancelled())
    turns(loop, 1)


@on
def cancelled_in_the_same_turn(log, loop):
    loop.call_soon(lambda: (log("a"), handle.cancel()))
    handle = loop.call_soon(log, "b")
    loop.call_soon(log, "c")
    turns(loop, 1)


@on
def cancelling_what_has_run(log, loop):
    handle = loop.call_soon(log, "a")
    turns(loop, 1)
    handle.cancel()
    log(handle.cancelled())


@on
def later_is_by_deadline(log, loop):
    now = loop.time()
    loop.call_at(now + 3 * T, log, "c")
    loop.call_at(now + T, log, "a")
    loop.call_at(now + 2 * T, log, "b")
    loop.call_later(4 * T, loop.stop)
    loop.run_forever()


@on
def same_deadline_is_by_registration(log, loop):
    # Of three, asyncio itself keeps no order.
    when = loop.time() + T
    for name in "ab":
        loop.call_at(when, log, name)
    loop.call_later(3 * T, loop.stop)
    loop.run_forever()


@on
def at_once_is_after_what_is_ready(log, loop):
    loop.call_later(0, log, "timer")
    loop.call_soon(log, "soon")
    turns(loop, 1)


@on
def a_past_deadline_is_due(log, loop):
    loop.call_at(loop.time() - 1, log, "b")
    loop.call_at(loop.time() - 2, log, "a")
    turns(loop, 1)


@on
def a_cancelled_timer_does_not_run(log, loop):
    timer = loop.call_later(T, log, "a")
    loop.call_later(2 * T, loop.stop)
    timer.cancel()
    log(timer.cancelled())
    loop.run_forever()


@on
def many_cancelled_timers(log, loop):
    timers = [loop.call_later(T, log, f"{n}") for n in range(300)]
    for n, timer in enumerate(timers):
        if n % 50:
            timer.cancel()
    loop.call_later(2 * T, loop.stop)
    loop.run_forever()


@on
def a_timer_from_a_timer(log, loop):
    loop.call_later(T, lambda: (log("a"), loop.call_later(0, lambda: (log("c"), loop.stop())), loop.call_soon(log, "b")))
    loop.run_forever()


@on
def stop_lets_the_turn_finish(log, loop):
    def a():
        log("a")
        loop.stop()
        loop.call_soon(log, "c")

    loop.call_soon(a)
    loop.call_soon(log, "b")
    loop.run_forever()
    log("|")
    turns(loop, 1)


@on
def stop_before_the_run_makes_one_turn(log, loop):
    loop.call_soon(lambda: (log("a"), loop.call_soon(log, "b")))
    loop.stop()
    loop.run_forever()
    log("|")
    turns(loop, 1)


@on
def states(log, loop):
    log(loop.is_running(), loop.is_closed())
    loop.call_soon(lambda: log(loop.is_running(), loop.is_closed()))
    turns(loop, 1)
    loop.close()
    log(loop.is_running(), loop.is_closed())


@on
def closed_is_closed(log, loop):
    loop.close()
    loop.close()
    for call in (
        lambda: loop.call_soon(log, "a"),
        lambda: loop.call_later(1, log, "a"),
        lambda: loop.call_soon_threadsafe(log, "a"),
        loop.run_forever,
    ):
        try:
            call()
        except RuntimeError:
            log("closed")


@on
def close_while_running(log, loop):
    def close():
        try:
            loop.close()
        except RuntimeError:
            log("refused")

    loop.call_soon(close)
    turns(loop, 1)
    log(loop.is_closed())


@on
def run_while_running(log, loop):
    def run():
        try:
            loop.run_forever()
        except RuntimeError:
            log("refused")
        # CPython 3.13 forgets of the one before.
        loop.stop()

    loop.call_soon(run)
    turns(loop, 1)


@on
def another_while_running(log, loop):
    def run():
        other = asyncio.new_event_loop()
        try:
            other.run_forever()
        except RuntimeError:
            log("refused")
        other.close()

    loop.call_soon(run)
    turns(loop, 1)


@on
def running_and_current(log, loop):
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        log("none runs")
    loop.call_soon(lambda: log(asyncio.get_running_loop() is loop))
    turns(loop, 1)
    asyncio.set_event_loop(loop)
    log(asyncio.get_event_loop_policy().get_event_loop() is loop)
    asyncio.set_event_loop(None)


@on
def the_result_of_a_run(log, loop):
    async def value():
        return 7

    log(loop.run_until_complete(value()))


@on
def the_error_of_a_run(log, loop):
    try:
        loop.run_until_complete(failing(log, "x"))
    except ValueError as error:
        log(error)


@on
def stopped_before_the_end(log, loop):
    async def stop():
        loop.stop()
        await asyncio.sleep(0)
        log("later")

    try:
        loop.run_until_complete(stop())
    except RuntimeError:
        log("stopped")
    turns(loop, 2)


@on
def a_failing_callback_goes_to_the_handler(log, loop):
    loop.set_exception_handler(lambda loop, context: log(f"handler {context['exception']}"))

    def a():
        raise ValueError("x")

    loop.call_soon(a)
    loop.call_soon(log, "b")
    turns(loop, 1)


@on
def a_failing_timer_goes_to_the_handler(log, loop):
    loop.set_exception_handler(lambda loop, context: log(f"handler {context['exception']}"))

    def a():
        raise ValueError("x")

    loop.call_later(T, a)
    loop.call_later(2 * T, loop.stop)
    loop.run_forever()


@on
def an_error_nobody_retrieved(log, loop):
    loop.set_exception_handler(told(log))
    task = loop.create_task(failing(log, "x"))
    turns(loop, 3)
    log(task.done())
    del task
    gc.collect()
    log("|")


@on
def an_error_that_somebody_saw(log, loop):
    loop.set_exception_handler(told(log))
    task = loop.create_task(failing(log, "x"))
    turns(loop, 3)
    log(task.exception())
    del task
    gc.collect()


@on
def a_future_whose_error_nobody_saw(log, loop):
    loop.set_exception_handler(told(log))
    future = loop.create_future()
    future.set_exception(ValueError("x"))
    del future
    gc.collect()


@scenario
def closed_with_a_pending_task(log):
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(told(log))
    task = loop.create_task(asyncio.sleep(10))
    turns(loop, 1)
    loop.close()
    log(task.done())
    del task
    gc.collect()


@main
async def tasks_take_turns(log, loop):
    tasks = [loop.create_task(logged(log, name, 2)) for name in "ab"]
    log("made")
    for task in tasks:
        await task


@main
async def steps_and_callbacks_share_a_queue(log, loop):
    loop.call_soon(log, "1")
    task = loop.create_task(logged(log, "t", 2))
    loop.call_soon(log, "2")
    await asyncio.sleep(0)
    log("main")
    loop.call_soon(log, "3")
    await task


@main
async def the_result_of_a_task(log, loop):
    task = loop.create_task(logged(log, "t", 1, 5))
    log(task.done())
    log(await task)
    log(task.done(), task.result())


@main
async def awaiting_what_is_done_lets_nobody_in(log, loop):
    task = loop.create_task(logged(log, "t", 0, 5))
    await asyncio.sleep(0)
    loop.call_soon(log, "soon")
    log(await task)
    future = loop.create_future()
    future.set_result(1)
    log(await future)


@main
async def the_error_of_a_task(log, loop):
    task = loop.create_task(failing(log, "x"))
    try:
        await task
    except ValueError as error:
        log(error)
    log(task.exception())


@main
async def done_callbacks(log, loop):
    task = loop.create_task(logged(log, "t", 1))
    task.add_done_callback(lambda task: log("a", task.done()))
    task.add_done_callback(lambda task: log("b"))
    await task
    log("awaited")
    task.add_done_callback(lambda task: log("c"))
    log("added")
    await asyncio.sleep(0)


@main
async def a_removed_done_callback(log, loop):
    def a(task):
        log("a")

    task = loop.create_task(logged(log, "t", 1))
    task.add_done_callback(a)
    task.add_done_callback(lambda task: log("b"))
    log(task.remove_done_callback(a))
    await task
    await asyncio.sleep(0)


@main
async def waiters_wake_in_order(log, loop):
    future = loop.create_future()

    async def wait(name):
        log(f"{name} {await future}")

    tasks = [loop.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0)
    future.set_result(1)
    loop.call_soon(log, "soon")
    for task in tasks:
        await task


@main
async def a_future_has_one_result(log, loop):
    future = loop.create_future()
    try:
        future.result()
    except asyncio.InvalidStateError:
        log("not yet")
    future.set_result(1)
    try:
        future.set_result(2)
    except asyncio.InvalidStateError:
        log("already")
    log(future.result(), future.cancel())


@main
async def a_cancelled_future(log, loop):
    future = loop.create_future()
    log(future.cancel(), future.cancelled(), future.done(), future.cancel())
    try:
        await future
    except asyncio.CancelledError:
        log("cancelled")


@main
async def cancelled_before_its_first_step(log, loop):
    task = loop.create_task(logged(log, "t"))
    log(task.cancel())
    try:
        await task
    except asyncio.CancelledError:
        log("cancelled")
    log(task.cancelled())


@main
async def cancelled_while_it_sleeps(log, loop):
    task = loop.create_task(stubborn(log, "t"))
    await asyncio.sleep(0)
    log(task.cancel("why"), task.done())
    try:
        await task
    except asyncio.CancelledError:
        log("cancelled")
    log(task.cancelled(), task.cancel())


@main
async def cleaning_up_takes_its_time(log, loop):
    async def clean():
        try:
            await asyncio.sleep(10)
        finally:
            log("clean")
            await asyncio.sleep(0)
            log("cleaned")

    task = loop.create_task(clean())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        log("cancelled")


@main
async def a_swallowed_cancellation(log, loop):
    async def swallow():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log("no")
        await asyncio.sleep(0)
        return 3

    task = loop.create_task(swallow())
    await asyncio.sleep(0)
    task.cancel()
    log(await task)
    log(task.cancelled(), task.cancelling(), task.uncancel(), task.cancelling())


@main
async def a_cancellation_reaches_what_is_awaited(log, loop):
    inner = loop.create_task(stubborn(log, "inner"))

    async def wait():
        try:
            await inner
        except asyncio.CancelledError as error:
            log(f"outer heard {error.args[0] if error.args else '-'}")
            raise

    outer = loop.create_task(wait())
    await asyncio.sleep(0)
    outer.cancel("why")
    try:
        await outer
    except asyncio.CancelledError:
        log(inner.cancelled(), outer.cancelled())


@main
async def a_cancelled_child_is_an_error_of_its_parent(log, loop):
    inner = loop.create_task(stubborn(log, "inner"))
    await asyncio.sleep(0)
    inner.cancel()
    try:
        await inner
    except asyncio.CancelledError:
        log("heard")
    log(asyncio.current_task().cancelling())


@main
async def a_child_that_swallows_keeps_its_parent(log, loop):
    async def swallow():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log("no")
        return 3

    inner = loop.create_task(swallow())

    async def wait():
        log(await inner)
        return 4

    outer = loop.create_task(wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outer.cancel()
    log(await outer)


@main
async def cancelled_when_what_it_awaits_is_done(log, loop):
    future = loop.create_future()

    async def wait():
        try:
            log(await future)
        except asyncio.CancelledError:
            log("heard")

    task = loop.create_task(wait())
    await asyncio.sleep(0)
    future.set_result(1)
    log(task.cancel())
    await task


@main
async def cancelling_itself(log, loop):
    async def cancel():
        asyncio.current_task().cancel()
        log("goes on")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            log("heard")
        return 1

    log(await loop.create_task(cancel()))


@main
async def cancelling_itself_in_its_last_step(log, loop):
    async def cancel():
        asyncio.current_task().cancel()
        return 1

    task = loop.create_task(cancel())
    try:
        await task
    except asyncio.CancelledError:
        log("cancelled")
    log(task.cancelled())


@main
async def cancelling_twice(log, loop):
    async def wait():
        for n in range(2):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                log(f"heard {n} {asyncio.current_task().cancelling()}")

    task = loop.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await task
    log(task.cancelling())


@main
async def one_of_two_requests_taken_back(log, loop):
    task = loop.create_task(stubborn(log, "t"))
    await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    log(task.uncancel())
    try:
        await task
    except asyncio.CancelledError:
        log("cancelled", task.cancelling())


@main
@since(3, 13)
async def taken_back_before_it_is_heard(log, loop):
    async def wait():
        task = asyncio.current_task()
        task.cancel()
        log(task.uncancel())
        await asyncio.sleep(0)
        log("goes on")
        task.cancel()
        log(task.uncancel())
        return 1

    log(await loop.create_task(wait()))


@main
@since(3, 13)
async def taken_back_before_its_first_step(log, loop):
    task = loop.create_task(logged(log, "t", 0, 5))
    task.cancel()
    log(task.uncancel())
    log(await task, task.cancelled())


@main
async def taken_back_too_late(log, loop):
    task = loop.create_task(stubborn(log, "t"))
    await asyncio.sleep(0)
    task.cancel()
    log(task.uncancel())
    try:
        await task
    except asyncio.CancelledError:
        log("cancelled", task.cancelling())


@main
async def gathered_in_order(log, loop):
    tasks = [loop.create_task(logged(log, name, count, name)) for name, count in (("a", 3), ("b", 1))]
    log(*await asyncio.gather(*tasks))
    log(len(await asyncio.gather()))


@main
async def gather_tells_the_first_error(log, loop):
    slow = loop.create_task(logged(log, "s", 4, 1))
    try:
        await asyncio.gather(loop.create_task(failing(log, "x")), slow)
    except ValueError as error:
        log(error)
    log(slow.done())
    log(await slow)


@main
async def gather_with_errors_as_results(log, loop):
    tasks = [loop.create_task(failing(log, "x")), loop.create_task(logged(log, "a", 1, "1"))]
    log(*await asyncio.gather(*tasks, return_exceptions=True))


@main
async def cancelling_a_gather(log, loop):
    tasks = [loop.create_task(stubborn(log, name)) for name in "ab"]

    async def wait():
        await asyncio.gather(*tasks)

    outer = loop.create_task(wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outer.cancel()
    try:
        await outer
    except asyncio.CancelledError:
        log("cancelled")
    log(*(task.cancelled() for task in tasks))


@main
async def a_timeout(log, loop):
    try:
        await asyncio.wait_for(stubborn(log, "t"), T)
    except asyncio.TimeoutError:
        log("timed out")
    log(asyncio.current_task().cancelling())


@main
async def in_time(log, loop):
    log(await asyncio.wait_for(logged(log, "t", 0, 5), 10))


@main
async def an_error_in_time(log, loop):
    try:
        await asyncio.wait_for(failing(log, "x"), 10)
    except ValueError as error:
        log(error)


@main
async def shielded(log, loop):
    inner = loop.create_task(logged(log, "i", 3, 5))

    async def wait():
        await asyncio.shield(inner)

    outer = loop.create_task(wait())
    await asyncio.sleep(0)
    outer.cancel()
    try:
        await outer
    except asyncio.CancelledError:
        log("cancelled")
    log(await inner, inner.cancelled())


@main
async def a_group(log, loop):
    async with asyncio.TaskGroup() as group:
        group.create_task(logged(log, "a", 1))
        group.create_task(logged(log, "b", 2))
        log("body")
    log("after")


@main
async def a_group_in_which_one_fails(log, loop):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stubborn(log, "a"))
            group.create_task(failing(log, "x"))
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                log("body heard")
                raise
    except ExceptionGroup as errors:
        log(*errors.exceptions)
    log(asyncio.current_task().cancelling())


@main
async def a_group_whose_body_fails(log, loop):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stubborn(log, "a"))
            await asyncio.sleep(0)
            raise ValueError("x")
    except ExceptionGroup as errors:
        log(*errors.exceptions)


@main
async def all_and_current(log, loop):
    task = loop.create_task(logged(log, "t"), name="mine")
    log(len(asyncio.all_tasks()), task.get_name())

    async def name():
        return asyncio.current_task().get_name()

    log(await loop.create_task(name(), name="other"))
    await task
    log(len(asyncio.all_tasks()))


@on
def from_another_thread(log, loop):
    def call():
        loop.call_soon_threadsafe(log, "a")
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    loop.run_forever()
    thread.join()


@on
def a_call_from_another_thread_that_it_cancels(log, loop):
    # Before the loop runs, so that it is in time.
    def call():
        handle = loop.call_soon_threadsafe(log, "a")
        loop.call_soon_threadsafe(log, "b")
        handle.cancel()
        loop.call_soon_threadsafe(log, handle.cancelled())
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    loop.run_forever()


@on
def a_threadsafe_call_cancelled_by_what_is_before_it(log, loop):
    loop.call_soon(lambda: (log("a"), handle.cancel()))
    handle = loop.call_soon_threadsafe(log, "b")
    loop.call_soon(log, "c")
    turns(loop, 1)
    handle.cancel()
    log(handle.cancelled())


@on
def a_threadsafe_call_cancelled_after_it_has_run(log, loop):
    handle = loop.call_soon_threadsafe(log, "a")
    turns(loop, 1)
    log(handle.cancelled())
    handle.cancel()
    log(handle.cancelled())


@on
def a_coroutine_from_another_thread(log, loop):
    results = []

    async def double(value):
        await asyncio.sleep(0)
        return 2 * value

    def call():
        results.append(asyncio.run_coroutine_threadsafe(double(4), loop).result(10))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    loop.run_forever()
    thread.join()
    log(*results)


@main
async def in_the_executor(log, loop):
    log(await loop.run_in_executor(None, lambda: 6))

    def fail():
        raise ValueError("x")

    try:
        await loop.run_in_executor(None, fail)
    except ValueError as error:
        log(error)
    await loop.shutdown_default_executor()
    try:
        await loop.run_in_executor(None, lambda: 6)
    except RuntimeError:
        log("shut down")


@scenario
def run_sweeps_up(log):
    async def forever(name):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            log(f"{name} heard -")
            raise

    async def main():
        task = asyncio.create_task(forever("a"))
        await asyncio.sleep(0)
        log("main", task.done())
        return 1

    log(asyncio.run(main()))


@scenario
def run_tells_what_fails_at_its_end(log):
    async def fail():
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError("x")

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: log(f"handler {context['exception']}"))
        asyncio.create_task(fail())
        await asyncio.sleep(0)

    asyncio.run(main())


def text(value):
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


for function in SCENARIOS:
    version = SINCE.get(function.__name__, (3, 11))
    if sys.version_info[:2] < version:
        print(function.__name__, "since " + ".".join(map(str, version)), sep=": ", flush=True)
        continue
    lines = []
    function(lambda *values: lines.append(" ".join(map(text, values))))
    print(function.__name__, ", ".join(lines), sep=": ", flush=True)

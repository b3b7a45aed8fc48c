"""What programs do with loops, one function each; each prints what happened, in order.

    python loops.py asyncio|uvloop [SCENARIO…]

Every line is `SCENARIO | what happened`. Nothing here depends on how fast the machine is, or on whether it
stops for a while: what happens in an order has one of its own. So what is due soon has run before a timer is
made, since uvloop has timers that are due before all else; and of timers the first that is made is the first
that is due.
"""

import asyncio
import contextlib
import contextvars
import functools
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import weakref

SCENARIOS = {}


def scenario(function):
    """A scenario of coroutines, on a loop of its own."""

    def on_a_loop(loop, say):
        loop.run_until_complete(function(loop, say))

    SCENARIOS[function.__name__] = on_a_loop
    return function


def by_hand(function):
    """A scenario that runs the loop itself."""
    SCENARIOS[function.__name__] = function
    return function


def text(value):
    """An exception or a result, without what differs from run to run."""
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)


# Scheduling


@scenario
async def soon_in_order(loop, say):
    for number in range(5):
        loop.call_soon(say, number)
    await asyncio.sleep(0)
    say("after one turn")


@scenario
async def soon_within_soon(loop, say):
    def outer(depth):
        say(f"outer {depth}")
        loop.call_soon(say, f"inner {depth}")
        if depth:
            loop.call_soon(outer, depth - 1)

    loop.call_soon(outer, 3)
    loop.call_soon(say, "beside")
    for _ in range(8):
        await asyncio.sleep(0)
        say("turn")


@scenario
async def timers_in_order_of_time(loop, say):
    loop.call_later(0, say, "later 0")
    loop.call_soon(say, "soon")
    loop.call_later(-1000, say, "in the past")
    await asyncio.sleep(0.01)
    while True:
        now = loop.time()
        timers = [
            loop.call_at(now + 0.06, say, "at 60"),
            loop.call_later(0.02, say, "later 20"),
            loop.call_at(now + 0.04, say, "at 40"),
        ]
        if loop.time() < now + 0.01:
            break
        # The machine stopped between two of them: they are due in another order.
        for timer in timers:
            timer.cancel()
    done = loop.create_future()
    loop.call_later(0.08, done.set_result, None)
    await done


@scenario
async def timers_that_are_cancelled(loop, say):
    handles = [loop.call_later(0.01 + 0.001 * number, say, number) for number in range(300)]
    for handle in handles[3:]:
        handle.cancel()
    say([handle.cancelled() for handle in handles[:5]])
    again = loop.call_soon(say, "never")
    again.cancel()
    again.cancel()
    await asyncio.sleep(0.06)
    handles[0].cancel()
    say([handle.cancelled() for handle in handles[:2]])


@scenario
async def a_timer_cancels_another(loop, say):
    def first():
        say("first")
        second.cancel()

    loop.call_later(0.01, first)
    second = loop.call_later(0.04, say, "must not run")
    await asyncio.sleep(0.07)


@scenario
async def a_callback_cancels_the_next(loop, say):
    def first():
        say("first")
        second.cancel()

    loop.call_soon(first)
    second = loop.call_soon(say, "must not run")
    loop.call_soon(say, "third")
    await asyncio.sleep(0)


@scenario
async def callables_of_all_kinds(loop, say):
    class Thing:
        def __init__(self):
            self.said = []

        def method(self, what):
            say(f"method {what}")

        @classmethod
        def of_class(cls, what):
            say(f"{cls.__name__} {what}")

        @staticmethod
        def static(what):
            say(f"static {what}")

        def __call__(self, what):
            say(f"called {what}")

    thing = Thing()
    for callback in (thing.method, Thing.of_class, Thing.static, thing, functools.partial(say)):
        loop.call_soon(callback, "x")
    loop.call_soon(thing.said.append, "builtin")
    loop.call_soon(lambda *args: say(args), 1, 2, 3)
    loop.call_soon(functools.partial(functools.partial(lambda **kw: say(kw), a=1), b=2))
    await asyncio.sleep(0)
    say(thing.said)


@scenario
async def handles_say_what_they_are(loop, say):
    ran = []
    soon, later = loop.call_soon(ran.append, "soon"), loop.call_later(0.01, ran.append, "later")
    for handle in (soon, later):
        say((handle.cancelled(), isinstance(handle, asyncio.Handle), hasattr(handle, "when")))
    say((later.when() < loop.time() + 0.1, later.when() < loop.call_later(60, say).when()))
    await asyncio.sleep(0.03)
    say(sorted(ran))


@scenario
async def contexts_are_kept(loop, say):
    variable = contextvars.ContextVar("variable", default="none")

    def show(what):
        say(f"{what}: {variable.get()}")
        variable.set("left behind")

    variable.set("outer")
    loop.call_soon(show, "copied")
    context = contextvars.Context()
    loop.call_soon(show, "given", context=context)
    await asyncio.sleep(0)
    loop.call_later(0.01, functools.partial(show, "later"), context=context)
    await asyncio.sleep(0.03)
    show("own")
    say(context[variable])


@scenario
async def arguments_that_do_not_fit(loop, say):
    for call in (
        lambda: loop.call_soon(),
        lambda: loop.call_later("soon", say),
        lambda: loop.call_later(0.1),
        lambda: loop.call_at(None, say),
        lambda: loop.call_soon(say, nothing=1),
        lambda: loop.call_soon_threadsafe(),
    ):
        try:
            call()
        except Exception as error:
            say(type(error).__name__)
        else:
            say("accepted")


# Tasks and futures


@scenario
async def tasks_take_turns(loop, say):
    async def counts(name):
        for number in range(3):
            say(f"{name} {number}")
            await asyncio.sleep(0)
        return name

    tasks = [loop.create_task(counts(name)) for name in "abc"]
    say(await asyncio.gather(*tasks))


@scenario
async def tasks_within_tasks(loop, say):
    async def tree(depth, name):
        say(f"begin {name}")
        if depth:
            children = [asyncio.create_task(tree(depth - 1, name + side)) for side in "lr"]
            await asyncio.gather(*children)
        say(f"end {name}")

    await tree(2, "t")


@scenario
async def names_and_current_tasks(loop, say):
    async def who():
        task = asyncio.current_task()
        say((task.get_name(), task.get_coro().__name__, task in asyncio.all_tasks()))
        task.set_name("renamed")
        await asyncio.sleep(0)
        return task.get_name()

    say(await loop.create_task(who(), name="given"))
    numbered = [loop.create_task(asyncio.sleep(0)) for _ in range(2)]
    # Which numbers tasks without a name get.
    say([task.get_name() for task in numbered])
    await asyncio.gather(*numbered)
    say(asyncio.current_task() is None)


@scenario
async def done_callbacks_in_order(loop, say):
    future = loop.create_future()
    for number in range(3):
        future.add_done_callback(lambda f, n=number: say((n, f.result())))
    future.set_result("set")
    future.add_done_callback(lambda f: say("added late"))
    say("before")
    await asyncio.sleep(0)
    say(future.remove_done_callback(say))


@scenario
async def who_waits_for_one_future(loop, say):
    future = loop.create_future()

    async def waits(number):
        say((number, await future))

    tasks = [loop.create_task(waits(number)) for number in range(4)]
    await asyncio.sleep(0)
    future.set_result("now")
    await asyncio.gather(*tasks)


@scenario
async def cancellation(loop, say):
    async def sleeps():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            say(f"cancelled {error.args}")
            raise
        finally:
            say("finally")

    task = loop.create_task(sleeps())
    unborn = loop.create_task(sleeps())
    unborn.cancel()
    await asyncio.sleep(0)
    say((task.cancel("why"), task.cancel("again")))
    for each in (task, unborn):
        try:
            await each
        except asyncio.CancelledError as error:
            say(text(error))
        say((each.cancelled(), each.cancel()))


@scenario
async def cancellation_refused(loop, say):
    async def refuses():
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                say("no")
        return "done"

    task = loop.create_task(refuses())
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    say((await task, task.cancelled()))


@scenario
async def cancelling_what_waits_for_another(loop, say):
    async def inner():
        try:
            await asyncio.sleep(60)
        finally:
            say("inner ends")

    async def outer(task):
        try:
            await task
        finally:
            say("outer ends")

    waited = loop.create_task(inner())
    task = loop.create_task(outer(waited))
    shielded = loop.create_task(inner())
    kept = loop.create_task(outer(asyncio.shield(shielded)))
    await asyncio.sleep(0.001)
    task.cancel()
    kept.cancel()
    await asyncio.gather(task, kept, return_exceptions=True)
    say((waited.cancelled(), shielded.cancelled()))
    shielded.cancel()
    await asyncio.gather(shielded, return_exceptions=True)


@scenario
async def timeouts(loop, say):
    try:
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
    except asyncio.TimeoutError as error:
        say(text(error))
    say(await asyncio.wait_for(asyncio.sleep(0.001, "in time"), 60))
    tasks = [loop.create_task(asyncio.sleep(60)), loop.create_task(asyncio.sleep(0.001))]
    await tasks[1]
    done, pending = await asyncio.wait(tasks, timeout=0.05)
    say((len(done), len(pending)))
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    first = loop.create_task(asyncio.sleep(0.001, "a"))

    async def second():
        await first
        return await asyncio.sleep(0.001, "b")

    for each in asyncio.as_completed([second(), first]):
        say(await each)


@scenario
async def exceptions(loop, say):
    async def raises(error):
        await asyncio.sleep(0)
        raise error

    results = await asyncio.gather(
        *(raises(error("out")) for error in (ValueError, KeyError, OSError)), return_exceptions=True
    )
    say([text(result) for result in results])
    try:
        await asyncio.gather(raises(ValueError("first")), asyncio.sleep(0.01))
    except ValueError as error:
        say(text(error))
    task = loop.create_task(raises(ZeroDivisionError("kept")))
    await asyncio.wait([task])
    say(text(task.exception()))
    frames = []
    traceback = task.exception().__traceback__
    while traceback:
        frames.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    say(frames)


@scenario
async def exceptions_in_callbacks(loop, say):
    def handler(loop, context):
        say((context["message"].split(" at ")[0][:21], text(context["exception"]), sorted(context)))

    def broken(what):
        raise ValueError(what)

    loop.set_exception_handler(handler)
    loop.call_soon(broken, "soon")
    loop.call_soon_threadsafe(broken, "threadsafe")
    future = loop.create_future()
    future.add_done_callback(lambda _: broken("done"))
    future.set_result(None)
    loop.call_soon(say, "goes on")
    await asyncio.sleep(0)
    loop.call_later(0.005, broken, "later")
    await asyncio.sleep(0.03)
    loop.set_exception_handler(None)
    say(loop.get_exception_handler())


@scenario
async def exceptions_that_nobody_retrieves(loop, say):
    loop.set_exception_handler(lambda loop, context: say((context["message"], sorted(context))))

    async def raises():
        raise ValueError("unseen")

    loop.create_task(raises())
    await asyncio.sleep(0.001)
    gc.collect()

    async def waits():
        await loop.create_future()

    loop.create_task(waits())
    await asyncio.sleep(0.001)
    gc.collect()
    say("collected")


@by_hand
def exits_from_callbacks(loop, say):
    def leaves(error):
        raise error

    for error in (KeyboardInterrupt("stop"), SystemExit(3)):
        loop.call_soon(leaves, error)
        loop.call_soon(say, "still scheduled")
        try:
            loop.run_forever()
        except BaseException as caught:
            say((type(caught).__name__, caught.args, loop.is_running()))
        loop.call_soon(loop.stop)
        loop.run_forever()

    async def leaves_a_task():
        raise SystemExit(4)

    try:
        loop.run_until_complete(leaves_a_task())
    except SystemExit as caught:
        say(caught.code)


@scenario
async def objects_go_when_they_should(loop, say):
    class Thing:
        pass

    async def holds(thing):
        await asyncio.sleep(0)

    def ignores(thing):
        pass

    things = [Thing() for _ in range(4)]
    gone = [weakref.ref(thing) for thing in things]
    loop.call_soon(ignores, things[0])
    loop.call_later(0.001, ignores, things[1])
    loop.call_later(60, ignores, things[2]).cancel()
    task = loop.create_task(holds(things[3]))
    known = weakref.ref(task)
    del things
    await task
    del task
    await asyncio.sleep(0.02)
    await loop.run_in_executor(None, ignores, Thing())
    say([reference() is None for reference in gone])
    gc.collect()
    say((known() is None, [reference() is None for reference in gone]))


@scenario
async def wrong_awaits(loop, say):
    class Odd:
        def __await__(self):
            yield "not a future"

    async def awaits_itself():
        await asyncio.current_task()

    async def awaits_odd():
        await Odd()

    async def awaits_another_loop():
        other = asyncio.new_event_loop()
        try:
            await other.create_future()
        finally:
            other.close()

    for coroutine in (awaits_itself, awaits_odd, awaits_another_loop):
        task = loop.create_task(coroutine(), name="wrong")
        try:
            await task
        except RuntimeError as error:
            say(str(error).split("<")[0])


# Locks and queues


@scenario
async def locks_in_order(loop, say):
    lock, condition = asyncio.Lock(), asyncio.Condition()
    seats, event = asyncio.Semaphore(2), asyncio.Event()

    async def locks(name):
        async with lock:
            say(f"{name} has the lock {lock.locked()}")
            await asyncio.sleep(0)

    await asyncio.gather(*(locks(name) for name in "abc"))
    say((lock.locked(), repr(lock)[-11:]))

    async def sits(name):
        async with seats:
            say(f"{name} sits {seats.locked()}")
            await asyncio.sleep(0)

    await asyncio.gather(*(sits(name) for name in "abcd"))

    async def waits(name):
        async with condition:
            await condition.wait()
            say(f"{name} was told")
        await event.wait()
        say(f"{name} saw it")

    tasks = [asyncio.create_task(waits(name)) for name in "abc"]
    await asyncio.sleep(0.001)
    async with condition:
        condition.notify(1)
    await asyncio.sleep(0.001)
    async with condition:
        condition.notify_all()
    await asyncio.sleep(0.001)
    event.set()
    await asyncio.gather(*tasks)
    try:
        lock.release()
    except RuntimeError as error:
        say(text(error))
    unfair = loop.create_task(lock.acquire())
    await unfair
    waiter = loop.create_task(lock.acquire())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.sleep(0)
    say((waiter.cancelled(), lock.locked()))


@scenario
async def queues(loop, say):
    for queue in (asyncio.Queue(2), asyncio.PriorityQueue(2), asyncio.LifoQueue(2)):

        async def produces(queue=queue):
            for number in (3, 1, 2, 0):
                await queue.put(number)
                say(f"put {number}")

        producer = asyncio.create_task(produces())
        await asyncio.sleep(0.001)
        say((queue.qsize(), queue.full()))
        for _ in range(4):
            say(f"got {await queue.get()}")
            queue.task_done()
        await producer
        await queue.join()
        try:
            queue.get_nowait()
        except asyncio.QueueEmpty as error:
            say(type(error).__name__)


# Threads


@scenario
async def calls_from_threads(loop, say):
    done = loop.create_future()
    seen = []

    def arrives(number):
        seen.append(number)
        if len(seen) == 40:
            done.set_result(None)

    def calls(first):
        for number in range(first, first + 10):
            loop.call_soon_threadsafe(arrives, number)

    threads = [threading.Thread(target=calls, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    await done
    for thread in threads:
        thread.join()
    # Each thread's calls in its order; between threads there is none.
    say([[n for n in seen if first <= n < first + 100] for first in (0, 100, 200, 300)])


@scenario
async def coroutines_from_threads(loop, say):
    async def answers(number):
        await asyncio.sleep(0.001)
        if number == 2:
            raise ValueError("not two")
        return number

    def asks():
        given = []
        for number in range(4):
            future = asyncio.run_coroutine_threadsafe(answers(number), loop)
            try:
                given.append(future.result(30))
            except ValueError as error:
                given.append(text(error))
        return given

    say(await loop.run_in_executor(None, asks))


@scenario
async def executors(loop, say):
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("set")

    def job(number):
        if number == 1:
            raise OSError("job")
        return number

    results = await asyncio.gather(
        *(loop.run_in_executor(None, job, number) for number in range(3)), return_exceptions=True
    )
    say([text(result) for result in results])
    say((await asyncio.to_thread(variable.get), await loop.run_in_executor(None, variable.get)))
    blocked, began = threading.Event(), threading.Event()

    def blocks():
        began.set()
        return blocked.wait(30)

    running = loop.run_in_executor(None, blocks)
    await loop.run_in_executor(None, began.wait, 30)
    say(running.cancel())
    blocked.set()
    await asyncio.sleep(0)
    say(running.cancelled())
    await loop.shutdown_default_executor()
    try:
        loop.run_in_executor(None, job, 0)
    except RuntimeError as error:
        say(text(error))


# The loop as such


@by_hand
def stopping_and_starting(loop, say):
    loop.call_soon(say, "one")
    loop.call_soon(loop.stop)
    loop.call_soon(say, "two")
    loop.run_forever()
    say(loop.is_running())
    loop.stop()
    loop.call_soon(say, "three")
    loop.run_forever()

    async def nested():
        # Not `run_forever`, after which CPython 3.13.0 forgets which loop runs.
        other = asyncio.new_event_loop()
        for inner in (loop, other):
            try:
                inner.run_until_complete(inner.create_future())
            except RuntimeError as error:
                say(text(error))
        other.close()
        try:
            loop.close()
        except RuntimeError as error:
            say(text(error))

    loop.run_until_complete(nested())

    async def never():
        await loop.create_future()

    loop.call_later(0.01, loop.stop)
    task = loop.create_task(never())
    try:
        loop.run_until_complete(task)
    except RuntimeError as error:
        say(text(error))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


@by_hand
def closing_with_work_left(loop, say):
    class Thing:
        pass

    async def never(thing):
        try:
            await loop.create_future()
        finally:
            say("never ends")

    thing = Thing()
    gone = weakref.ref(thing)
    loop.set_exception_handler(lambda loop, context: say(context["message"]))
    loop.call_soon(say, "left in the queue")
    loop.call_later(60, say, "left in the heap")
    task = loop.create_task(never(thing))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.call_soon(say, "must not run")
    loop.close()
    loop.close()
    say((loop.is_closed(), task.done()))
    for call in (
        lambda: loop.call_soon(say),
        lambda: loop.call_later(1, say),
        lambda: loop.call_soon_threadsafe(say),
        lambda: loop.run_forever(),
        lambda: loop.run_in_executor(None, say),
    ):
        try:
            call()
        except RuntimeError as error:
            say(text(error))
    coroutine = never(thing)
    try:
        loop.create_task(coroutine)
    except RuntimeError as error:
        say(text(error))
    coroutine.close()
    del task, coroutine, thing
    gc.collect()
    say(gone() is None)


@by_hand
def running_with_asyncio_run(loop, say):
    async def left():
        try:
            await asyncio.sleep(60)
        finally:
            say("left is cancelled")

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            say("generator is closed")

    async def main():
        asyncio.create_task(left())
        async for number in numbers():
            say(number)
            break
        await asyncio.sleep(0)
        return "result"

    say(asyncio.run(main()))
    say(asyncio.run(asyncio.sleep(0, "again"), debug=True))
    try:
        asyncio.run(main)
    except (TypeError, ValueError) as error:
        say(type(error).__name__)


@by_hand
def a_debugging_loop(loop, say):
    loop.set_debug(True)
    say(loop.get_debug())

    async def origin():
        return sys.get_coroutine_origin_tracking_depth() > 0

    say(loop.run_until_complete(origin()))

    async def main():
        handle = loop.call_later(0.001, say, "later")
        await asyncio.sleep(0.02)
        say(handle.cancelled())
        for callback in (main, main()):
            try:
                loop.call_soon(callback)
            except TypeError as error:
                say(str(error)[:40])
            if asyncio.iscoroutine(callback):
                callback.close()

        def other_thread():
            try:
                loop.call_soon(say)
            except RuntimeError as error:
                return text(error)

        say(await loop.run_in_executor(None, other_thread))

    loop.run_until_complete(main())


@by_hand
def a_task_factory(loop, say):
    def factory(loop, coro, **more):
        say(f"factory {coro.__name__} {sorted(more)}")
        return asyncio.Task(coro, loop=loop, **more)

    async def inner():
        return asyncio.current_task().get_name().startswith("Task-")

    async def main():
        say(await asyncio.create_task(inner()))
        say(await asyncio.create_task(inner(), name="named"))

    loop.set_task_factory(factory)
    task = loop.create_task(main())
    loop.run_until_complete(task)
    loop.set_task_factory(None)
    say(loop.get_task_factory())


@scenario
async def tasks_of_other_kinds(loop, say):
    class Mine(asyncio.Task):
        def cancel(self, *args, **kwargs):
            say("cancel is mine")
            return super().cancel(*args, **kwargs)

    class Future(asyncio.Future):
        pass

    async def inner(future):
        return await future

    futures = [Future(loop=loop), asyncio.futures._PyFuture(loop=loop)]
    tasks = [Mine(inner(futures[0]), loop=loop), asyncio.tasks._PyTask(inner(futures[1]), loop=loop)]
    await asyncio.sleep(0)
    for number, future in enumerate(futures):
        future.set_result(number)
    say(await asyncio.gather(*tasks))
    task = Mine(asyncio.sleep(60), loop=loop)
    await asyncio.sleep(0)
    task.cancel()
    say((await asyncio.gather(task, return_exceptions=True))[0].__class__.__name__)

    class Coroutine:
        """A coroutine that Python did not make, as Cython's are."""

        def __init__(self):
            self.steps = iter((None, None))

        def send(self, value):
            try:
                return next(self.steps)
            except StopIteration:
                raise StopIteration("by hand") from None

        def throw(self, *args):
            raise args[0]

        def close(self):
            pass

        def __await__(self):
            return self

        __iter__ = __await__

        def __next__(self):
            return self.send(None)

    import collections.abc

    collections.abc.Coroutine.register(Coroutine)
    say(await asyncio.Task(Coroutine(), loop=loop))


@scenario
async def asynchronous_generators(loop, say):
    async def numbers(name):
        try:
            for number in range(3):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            say(f"{name} ends")

    say([number async for number in numbers("whole")])
    generator = numbers("closed")
    say(await generator.__anext__())
    await generator.aclose()
    thrown = numbers("thrown")
    await thrown.__anext__()
    try:
        await thrown.athrow(ValueError("in"))
    except ValueError as error:
        say(text(error))
    left = numbers("left")
    await left.__anext__()
    del left
    gc.collect()
    await asyncio.sleep(0.01)
    kept = numbers("kept")
    await kept.__anext__()
    await loop.shutdown_asyncgens()
    say("shut down")


# The outside


@scenario
async def streams_echo(loop, say):
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line[::-1])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def client(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        given = []
        for word in ("hello", "x" * 50_000, str(number)):
            writer.write(f"{word}\n".encode())
            await writer.drain()
            given.append(len(await reader.readexactly(len(word) + 1)))
        writer.close()
        await writer.wait_closed()
        return given

    say(await asyncio.gather(*(client(number) for number in range(5))))
    server.close()
    await server.wait_closed()
    try:
        await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        say(type(error).__name__)


@scenario
async def protocols(loop, say):
    over = loop.create_future()

    class Server(asyncio.Protocol):
        def connection_made(self, transport):
            say("server made")
            self.transport = transport

        def data_received(self, data):
            say(data)
            self.transport.write(data.upper())
            self.transport.close()

        def connection_lost(self, error):
            say(f"server lost {error}")

    class Client(asyncio.Protocol):
        __slots__ = ("transport",)

        def connection_made(self, transport):
            transport.write(b"hello")

        def data_received(self, data):
            say(data)

        def eof_received(self):
            say("eof")

        def connection_lost(self, error):
            say(f"client lost {error}")
            over.set_result(None)

    server = await loop.create_server(Server, "127.0.0.1", 0)
    async with server:
        await loop.create_connection(Client, *server.sockets[0].getsockname())
        await over
    say(server.is_serving())


@scenario
async def datagrams(loop, say):
    over = loop.create_future()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data[::-1], address)

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            over.set_result(data)

    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    client, _ = await loop.create_datagram_endpoint(
        Client, remote_addr=echo.get_extra_info("sockname")
    )
    client.sendto(b"datagram")
    say(await over)
    for transport in (echo, client):
        transport.close()
        say(transport.is_closing())
    await asyncio.sleep(0)


@scenario
async def readers_and_writers(loop, say):
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    over = loop.create_future()

    def readable():
        say(ours.recv(100))
        say(loop.remove_reader(ours))
        over.set_result(None)

    def writable():
        say(f"writable {loop.remove_writer(theirs)}")
        theirs.send(b"bytes")

    loop.add_reader(ours, readable)
    loop.add_writer(theirs, writable)
    await over
    say(loop.remove_reader(ours))
    await loop.sock_sendall(ours, b"by the loop")
    say(await loop.sock_recv(theirs, 100))
    ours.close()
    theirs.close()


@scenario
async def subprocesses(loop, say):
    pipe = asyncio.subprocess.PIPE
    program = "import sys; print(input()[::-1]); sys.stderr.write('err'); sys.exit(5)"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=pipe, stdout=pipe, stderr=pipe
    )
    say((await child.communicate(b"loopd\n"), child.returncode))
    shell = await asyncio.create_subprocess_shell("exec sleep 60")
    shell.terminate()
    say(await shell.wait())
    try:
        await asyncio.create_subprocess_exec("/nothing/at/all")
    except FileNotFoundError as error:
        say(type(error).__name__)


@scenario
async def signals(loop, say):
    seen = loop.create_future()

    def handler(*args):
        say(f"handler {args}")
        seen.set_result(None)

    loop.add_signal_handler(signal.SIGUSR1, handler, "usr1")
    os.kill(os.getpid(), signal.SIGUSR1)
    await seen
    say((loop.remove_signal_handler(signal.SIGUSR1), loop.remove_signal_handler(signal.SIGUSR1)))
    say(signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL)
    for bad in (signal.SIGKILL, 9999):
        try:
            loop.add_signal_handler(bad, say)
        except (RuntimeError, ValueError, OSError) as error:
            say(type(error).__name__)
    interrupted = loop.create_future()
    old = signal.signal(signal.SIGALRM, lambda *_: interrupted.set_result("python's own handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    # Python's own handlers run between turns.
    while not interrupted.done():
        await asyncio.sleep(0.001)
    say(interrupted.result())
    signal.signal(signal.SIGALRM, old)


@scenario
async def names_of_hosts(loop, say):
    found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    say([entry[4] for entry in found])
    say(await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))


@scenario
async def unix_sockets_and_pipes(loop, say):
    read, write = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", 0)
    )
    os.write(write, b"through a pipe")
    os.close(write)
    say(await reader.read())
    transport.close()
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, "socket")

    async def serve(reader, writer):
        writer.write(await reader.read(100))
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"through a socket")
        say(await reader.read())
        writer.close()
        await writer.wait_closed()
    folder.cleanup()


@scenario
async def many_things_at_once(loop, say):
    async def hops(number):
        for _ in range(20):
            await asyncio.sleep(0)
        return number

    total = 0
    for _ in range(20):
        total += sum(await asyncio.gather(*(hops(number) for number in range(100))))
    say(total)
    done = loop.create_future()
    count = 0

    def ticks():
        nonlocal count
        count += 1
        loop.call_soon(ticks) if count < 20_000 else done.set_result(None)

    ticks()
    await done
    say(count)


def run(name, new_event_loop):
    def say(value):
        # As a whole: threads and children write, too.
        os.write(1, f"{name} | {value if isinstance(value, str) else text(value)}\n".encode())

    loop = new_event_loop()
    try:
        SCENARIOS[name](loop, say)
    except BaseException as error:
        say(f"ended by {text(error)}")
    finally:
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        gc.collect()


def main():
    flavor, *chosen = sys.argv[1:]
    if flavor == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    for name in chosen or SCENARIOS:
        run(name, asyncio.new_event_loop)
    print("the end | all scenarios ran")


main()

"""What programs do that is hard on a guest, one function each: `python hardships.py NAME`."""

import asyncio
import contextlib
import faulthandler
import gc
import inspect
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref


async def work(number=0):
    for _ in range(3):
        await asyncio.sleep(0)
    return number


async def many():
    return sum(await asyncio.gather(*(work(number) for number in range(50))))


def collection_all_the_time():
    """The collector runs at every allocation, and sees everything half made."""
    gc.set_threshold(1, 1, 1)
    print(asyncio.run(many()))


class Slow:
    """Takes its time to go, at the very end of the interpreter."""

    def __del__(self, sleep=time.sleep):
        sleep(0.2)


def a_daemon_thread_at_exit():
    """The interpreter ends while loops still turn and sleep in other threads, which it ends as well."""

    async def ticks():
        while True:
            await asyncio.sleep(0.001)

    def turns(loop):
        loop.call_soon(turns, loop)

    loops = [asyncio.new_event_loop() for _ in range(4)]
    for number, loop in enumerate(loops):
        if number % 2:
            loop.call_soon(turns, loop)
        else:
            globals()[f"task_{number}"] = loop.create_task(ticks())
        threading.Thread(target=loop.run_forever, daemon=True).start()
    print([asyncio.run_coroutine_threadsafe(many(), loop).result(90) for loop in loops])
    globals()["slow"] = Slow()


def deep_recursion():
    def down(depth):
        return down(depth + 1)

    async def deep(depth):
        if depth:
            return await deep(depth - 1)
        await asyncio.sleep(0)
        raise LookupError("at the bottom")

    async def main():
        loop = asyncio.get_running_loop()
        errors = []
        loop.set_exception_handler(lambda _, context: errors.append(type(context["exception"])))
        loop.call_soon(down, 0)
        await asyncio.sleep(0.01)
        try:
            await asyncio.create_task(deep(200))
        except LookupError as error:
            print(len(traceback.extract_tb(error.__traceback__)))
        print([error.__name__ for error in errors])

    asyncio.run(main())


def deep_stack_while_it_blocks():
    def down(depth):
        if depth:
            down(depth - 1)
        else:
            time.sleep(0.25)

    async def main():
        down(500)
        return "back"

    print(asyncio.run(main()))


def interrupted_at_any_moment():
    """Ctrl-C again and again while a loop is busy."""

    async def spins():
        while True:
            await asyncio.sleep(0)

    def turns(loop):
        loop.call_soon(turns, loop)

    caught = 0
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for _ in range(20):
        loop = asyncio.new_event_loop()
        loop.call_soon(turns, loop)
        # Once more after a while: one that comes in a finaliser is lost, also without loopd.
        loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.005, 1)
        try:
            loop.run_until_complete(spins())
        except KeyboardInterrupt:
            caught += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.close()
    print(caught, asyncio.run(many()))


def odd_names():
    class Name:
        def __str__(self):
            return "by its own str"

    def noted():
        pass

    async def main():
        for name in ("", "a\0b", "\udcff", "é" * 10_000, "\n\t\x1b[31m", 7, Name()):
            task = asyncio.create_task(work(), name=name)
            await task
            print(ascii(task.get_name())[:40])
        loop = asyncio.get_running_loop()
        for name in ("", "\udcff", "x\0y", "long" * 10_000):
            noted.__qualname__ = name
            loop.call_soon(noted)
            await asyncio.sleep(0)
        with contextlib.suppress(TypeError):
            noted.__qualname__ = None

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="\udcff\0thread")
    thread.start()
    thread.join()


def a_name_that_cannot_be_said():
    class Name:
        def __str__(self):
            raise ValueError("no name")

    async def main():
        coroutine = work()
        try:
            asyncio.create_task(coroutine, name=Name())
        except ValueError as error:
            print(error)
        coroutine.close()
        await asyncio.sleep(0)

    asyncio.run(main())


def tasks_made_in_odd_ways():
    async def main():
        loop = asyncio.get_running_loop()
        empty = asyncio.Task.__new__(asyncio.Task)
        for call in (empty.cancel, empty.done, empty.get_name, lambda: repr(empty)):
            try:
                print(call())
            except Exception as error:
                print(type(error).__name__)
        del empty
        for make in (
            lambda: asyncio.Task(None, loop=loop),
            lambda: asyncio.Task(),
            lambda: asyncio.Task(work),
            lambda: asyncio.Task(loop=loop),
            lambda: asyncio.Task(1, 2, 3, 4),
        ):
            try:
                make()
            except TypeError as error:
                print(type(error).__name__)
        task = asyncio.Task(work(1), loop=loop)
        task.__init__(work(2), loop=loop)
        print(await task)
        print(await asyncio.Task(coro=work(3), loop=loop, name=None))
        await asyncio.sleep(0.01)

    asyncio.run(main())


def handles_made_by_hand():
    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        handle = asyncio.Handle(seen.append, ("by hand",), loop)
        loop._ready.append(handle) if hasattr(loop, "_ready") else loop.call_soon(handle._run)
        other = asyncio.Handle(seen.append, ("run",), loop)
        other._run()
        other._run()

        class Mine(asyncio.Handle):
            __slots__ = ("times",)

            def _run(self):
                self.times = 1
                super()._run()

        mine = Mine(seen.append, ("mine",), loop)
        mine._run()
        timer = asyncio.TimerHandle(loop.time(), seen.append, ("timer",), loop)
        timer._run()
        broken = asyncio.Handle(None, (), loop)
        loop.set_exception_handler(lambda _, context: seen.append(sorted(context)))
        broken._run()
        await asyncio.sleep(0)
        print(seen, mine.times)
        for wrong in ((), (1,), (seen.append,)):
            try:
                asyncio.Handle(*wrong)
            except TypeError as error:
                print(type(error).__name__)
        try:
            asyncio.Handle._run(None)
        except (TypeError, AttributeError) as error:
            print(type(error).__name__ in ("TypeError", "AttributeError"))

    asyncio.run(main())


def a_loop_of_our_own():
    """Subclasses, each with its own idea of what a turn or a call is."""

    class Counting(asyncio.SelectorEventLoop):
        turns = calls = 0

        def _run_once(self):
            self.turns += 1
            super()._run_once()

        def call_soon(self, callback, *args, context=None):
            self.calls += 1
            return super().call_soon(callback, *args, context=context)

        def call_at(self, when, callback, *args, **kwargs):
            return super().call_at(when, callback, *args, **kwargs)

        def create_task(self, coro, **kwargs):
            return super().create_task(coro, **kwargs)

    class Jumping(asyncio.SelectorEventLoop):
        """Time goes as this program says."""

        now = 0.0

        def time(self):
            return self.now

        def _run_once(self):
            if not self._ready and self._scheduled:
                self.now = self._scheduled[0]._when
            super()._run_once()

    class Bare(asyncio.AbstractEventLoop):
        """No loop of asyncio's at all, but one that runs tasks."""

        def __init__(self):
            self.queue = []

        def get_debug(self):
            return False

        def call_soon(self, callback, *args, context=None):
            self.queue.append((context, callback, args))

        def create_future(self):
            return asyncio.Future(loop=self)

        def create_task(self, coro):
            return asyncio.Task(coro, loop=self)

        def call_exception_handler(self, context):
            print("handler", context["message"])

        def run(self, coro):
            asyncio._set_running_loop(self)
            try:
                task = self.create_task(coro)
                while not task.done():
                    context, callback, args = self.queue.pop(0)
                    context.run(callback, *args)
                return task.result()
            finally:
                asyncio._set_running_loop(None)

    loop = Counting()
    print(loop.run_until_complete(many()), loop.turns > 3, loop.calls > 50)
    loop.close()
    loop = Jumping()
    began_at = time.monotonic()
    loop.run_until_complete(asyncio.sleep(100_000))
    print(loop.now, time.monotonic() - began_at < 30)
    loop.close()

    async def yields():
        for _ in range(3):
            await asyncio.sleep(0)
        return "bare"

    print(Bare().run(yields()))


def traced_and_profiled():
    """A debugger and a profiler look on."""
    seen = set()

    def trace(frame, event, arg):
        seen.add((event, frame.f_code.co_name))
        return trace

    sys.settrace(trace)
    sys.setprofile(lambda frame, event, arg: None)
    try:
        print(asyncio.run(many()))
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    print(("call", "work") in seen, ("return", "work") in seen, ("call", "many") in seen)


def many_loops_in_many_threads():
    def loops():
        for _ in range(10):
            asyncio.run(many())
        done.append(1)

    done = []
    threads = [threading.Thread(target=loops) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(done))


def tasks_across_threads():
    """A task is made in one thread for a loop in another; futures are set from anywhere."""
    loop = asyncio.new_event_loop()
    made = asyncio.Task(work(5), loop=loop)
    pending = loop.create_future()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    print(asyncio.run_coroutine_threadsafe(asyncio.wait_for(asyncio.shield(made), 30), loop).result())
    loop.call_soon_threadsafe(pending.set_result, 6)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    print(pending.result())
    loop.close()


def storms_of_calls_while_it_closes():
    refused = 0
    for _ in range(10):
        loop = asyncio.new_event_loop()
        go_on = True

        def calls():
            nonlocal refused
            while go_on:
                try:
                    loop.call_soon_threadsafe(int)
                except RuntimeError:
                    refused += 1
                    return

        threads = [threading.Thread(target=calls) for _ in range(3)]
        for thread in threads:
            thread.start()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        for thread in threads:
            thread.join()
    print(refused)


def all_signals_blocked():
    """The thread that is blocked takes no signals."""

    async def main():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(0.3)
        return "not disturbed"

    print(asyncio.run(main()))


def sleeping_in_system_calls():
    """The watchdog interrupts what sleeps; nobody may notice."""

    async def main():
        read, write = os.pipe()
        threading.Timer(0.3, os.write, (write, b"x")).start()
        print(os.read(read, 1))
        began_at = time.monotonic()
        time.sleep(0.3)
        print(time.monotonic() - began_at >= 0.3)
        child = subprocess.run(["sleep", "0.3"], check=True)
        print(child.returncode)
        lock = threading.Lock()
        lock.acquire()
        print(lock.acquire(timeout=0.3))

    asyncio.run(main())


def faulthandler_of_the_program():
    """The program has its own use for faulthandler."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.enable(nowhere)
        faulthandler.register(signal.SIGUSR2, nowhere)
        faulthandler.dump_traceback_later(0.05, file=nowhere)
        os.kill(os.getpid(), signal.SIGUSR2)

        async def main():
            time.sleep(0.25)
            return "fine"

        print(asyncio.run(main()))
        faulthandler.cancel_dump_traceback_later()
        print(faulthandler.unregister(signal.SIGUSR2), faulthandler.is_enabled())
        faulthandler.disable()


def real_time_signals_of_the_program():
    """The program takes real-time signals, one of which may be the watchdog's."""
    seen = []
    for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
        signal.signal(number, lambda got, _: seen.append(got))

    async def main():
        time.sleep(0.25)
        return "woken"

    print(asyncio.run(main()))
    for number in (signal.SIGRTMIN + 1, signal.SIGRTMAX):
        os.kill(os.getpid(), number)
    print(len(set(seen)) >= 2)


def children_of_all_kinds():
    async def main():
        loop = asyncio.get_running_loop()
        commands = [
            subprocess.Popen(["true"]),
            subprocess.Popen(["true"], preexec_fn=os.getpid, close_fds=False),
            subprocess.Popen(["true"], start_new_session=True),
        ]
        print([command.wait() for command in commands])
        print(await loop.run_in_executor(None, os.system, "exit 3") >> 8)
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], os.environ)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    asyncio.run(main())


def in_spawned_child(number):
    return asyncio.run(work(number))


def spawned_processes():
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(in_spawned_child, range(4)))


def forks_in_threads_and_forks_of_forks():
    def child(depth):
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        code = asyncio.run(work(depth))
        if depth:
            code += child(depth - 1)
        os._exit(code)

    given = []
    thread = threading.Thread(target=lambda: given.append(child(2)))
    thread.start()
    thread.join()
    print(given, child(3), asyncio.run(many()))


def exits_within_a_task():
    async def leaves():
        asyncio.get_running_loop().call_later(0.01, sys.exit, 9)
        await asyncio.sleep(60)

    asyncio.run(leaves())


def killed_by_a_signal():
    async def main():
        print("goes", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    asyncio.run(main())


def imports_in_a_subinterpreter():
    """Another interpreter of this process uses asyncio as well."""
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    program = (
        "import asyncio\n"
        "async def work():\n"
        "    await asyncio.sleep(0)\n"
        "async def main():\n"
        "    await asyncio.gather(*(work() for _ in range(10)))\n"
        "asyncio.run(main())\n"
        "import os; os.write(1, b'inside\\n')\n"
    )
    for _ in range(3):
        other = interpreters.create()
        interpreters.run_string(other, program)
        interpreters.destroy(other)
        print(asyncio.run(many()), flush=True)


def objects_that_fight():
    """Callables and arguments whose every attribute is a trap."""

    class Trap:
        def __init__(self):
            object.__setattr__(self, "calls", 0)

        def __getattribute__(self, name):
            if name in ("calls", "__class__", "__dict__"):
                return object.__getattribute__(self, name)
            raise RuntimeError(f"hands off {name}")

        def __call__(self):
            object.__setattr__(self, "calls", self.calls + 1)

        def __repr__(self):
            raise RuntimeError("no repr")

        def __hash__(self):
            raise RuntimeError("no hash")

        def __eq__(self, other):
            raise RuntimeError("no equality")

        def __bool__(self):
            raise RuntimeError("no truth")

    async def main():
        loop = asyncio.get_running_loop()
        trap = Trap()
        loop.call_soon(trap)
        loop.call_later(0.001, trap)
        loop.call_soon_threadsafe(trap)
        await loop.run_in_executor(None, trap)
        await asyncio.sleep(0.05)
        print(trap.calls)
        future = loop.create_future()
        loop.call_soon(future.set_result, trap)
        print((await future) is trap)

        class Error(Exception):
            def __str__(self):
                raise RuntimeError("no str")

            __repr__ = __str__

        async def raises():
            raise Error

        task = loop.create_task(raises())
        await asyncio.wait([task])
        print(type(task.exception()) is Error)

    asyncio.run(main())


def weak_references_and_finalizers():
    gone = []

    class Thing:
        def __del__(self):
            gone.append(asyncio.all_tasks(loop) is not None)

    async def holds(thing):
        await asyncio.sleep(60)

    loop = asyncio.new_event_loop()

    async def main():
        tasks = [loop.create_task(holds(Thing())) for _ in range(10)]
        known = weakref.WeakSet(tasks)
        await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        del tasks, task
        gc.collect()
        return len(known)

    print(loop.run_until_complete(main()), len(gone))
    loop.close()


def what_inspect_sees():
    """What is looked at is what was there."""
    base = asyncio.BaseEventLoop
    print(inspect.iscoroutinefunction(base.call_soon), callable(base.call_soon))
    loop = asyncio.new_event_loop()
    print(loop.call_soon.__name__, loop.call_soon.__self__ is loop, asyncio.Handle._run.__name__)
    print(str(inspect.signature(asyncio.create_task)).startswith("(coro"))
    for name in ("call_soon", "call_later", "create_task", "run_forever", "call_soon_threadsafe"):
        # That `self` comes by place is said of native methods only.
        signature = re.sub(r"self, /(, )?", r"self\1", str(inspect.signature(getattr(base, name))))
        print(signature, bool(getattr(base, name).__doc__))
    print(asyncio.Task.__doc__ == __import__("_asyncio").Task.__doc__)
    loop.close()


globals()[sys.argv[1]]() if __name__ == "__main__" else None

"""One side of `cargo xtask bench event-loop`, for the loops of Python; `event_loop.rs` says how it is asked.

    event_loop.py asyncio|uvloop

What a callback does is nothing here, and a count in Rust.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time

# The same as in event_loop.rs.
BURST = 1_000
TURNS = 100
GROUP = 50
DELAY = 0.001
PRIORITY = -10


def nothing():
    pass


async def no_step():
    pass


async def call_soon(loop, operations):
    for _ in range(operations // BURST):
        for _ in range(BURST):
            loop.call_soon(nothing)
        await asyncio.sleep(0)


async def call_soon_chain(loop, operations):
    done = loop.create_future()
    left = operations

    def following():
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(following)
        else:
            done.set_result(None)

    loop.call_soon(following)
    await done


async def switch(loop, operations):
    async def take(turns):
        for _ in range(turns):
            await asyncio.sleep(0)

    for task in [loop.create_task(take(operations // TURNS)) for _ in range(TURNS)]:
        await task


async def spawn(loop, operations):
    for _ in range(operations // GROUP):
        for task in [loop.create_task(no_step()) for _ in range(GROUP)]:
            await task


async def call_later(loop, operations):
    for _ in range(operations // BURST):
        done = loop.create_future()
        for _ in range(BURST - 1):
            loop.call_later(DELAY, nothing)
        # Due last, and so called last.
        loop.call_later(DELAY, done.set_result, None)
        await done


async def call_soon_threadsafe(loop, operations):
    done = loop.create_future()
    took = 0

    def call():
        nonlocal took
        began = time.thread_time_ns()
        for _ in range(operations - 1):
            loop.call_soon_threadsafe(nothing)
        loop.call_soon_threadsafe(done.set_result, None)
        took = time.thread_time_ns() - began

    caller = threading.Thread(target=call)
    caller.start()
    await done
    caller.join()
    return took


CASES = [call_soon, call_soon_chain, switch, spawn, call_later, call_soon_threadsafe]
BY_NAME = {case.__name__: case for case in CASES}


def main(name):
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    if name == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    everything, own = time.process_time_ns(), 0
    for line in sys.stdin:
        case, operations = line.split()
        began = time.thread_time_ns()
        elsewhere = loop.run_until_complete(BY_NAME[case](loop, int(operations)))
        took = time.thread_time_ns() - began + (elsewhere or 0)
        own += took
        print(took, flush=True)
    print(time.process_time_ns() - everything, own, 0)
    loop.close()


main(sys.argv[1])

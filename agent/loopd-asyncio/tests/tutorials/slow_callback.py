"""Blocks the loop: in a task, in a plain callback, and in C code that does not let go of the GIL."""

import asyncio
import sys
import time


def stacks():
    """How many stacks loopd has taken, where it is there."""
    return sys.modules["loopd"].stats()["produced"].get("sample", 0) if "loopd" in sys.modules else None


def until_seen():
    """Once, and under loopd again until a stack was taken: on a busy machine that may be late."""
    before = stacks()
    yield
    while before is not None and stacks() == before:
        yield


def blocks():
    for _ in until_seen():
        time.sleep(0.3)  # blocks


def holds_the_gil():
    for _ in until_seen():
        sum(range(20_000_000))  # holds the GIL


def spins():
    for _ in until_seen():
        ends_at = time.monotonic() + 0.3
        while time.monotonic() < ends_at:
            pass  # spins


async def handler(block):
    await asyncio.sleep(0.01)
    block()  # called in the task
    await asyncio.sleep(0.01)


async def main(block):
    await asyncio.create_task(handler(block))  # spawn handler
    # Stacks are counted a little later.
    await asyncio.sleep(0.3)
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, callback, block, done)
    await done
    print("done")


def callback(block, done):  # callback
    block()  # called in the callback
    done.set_result(None)


block = {"sleep": blocks, "gil": holds_the_gil, "spin": spins}[sys.argv[1]]
asyncio.run(main(block), debug="debug" in sys.argv)

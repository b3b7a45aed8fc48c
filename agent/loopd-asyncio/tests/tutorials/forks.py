"""Forks, in all the ways people do: each child has a loop of its own."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import sys


async def child_task():
    for _ in range(3):
        await asyncio.sleep(0.001)
    return "child"


async def parent_task():
    await asyncio.sleep(0.01)
    return "parent"


async def child_main():
    return await asyncio.create_task(child_task(), name="of the child")


async def parent_main(do):
    before = asyncio.create_task(parent_task(), name="before")
    await do()
    await asyncio.create_task(parent_task(), name="after")
    print(await before, flush=True)


def fork():
    """Forks once; the child prints what its loop gave and goes as forked children do."""
    pid = os.fork()
    if not pid:
        print(asyncio.run(child_main()), flush=True)
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    print("child left with", os.waitstatus_to_exitcode(status), flush=True)


def in_child(number):
    return asyncio.run(child_main()), number


async def in_loop():
    fork()


async def pool():
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        jobs = [loop.run_in_executor(executor, in_child, number) for number in range(4)]
        print(await asyncio.gather(*jobs), flush=True)


async def nothing():
    pass


def process():
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(1,))
    child.start()
    child.join()
    print("process left with", child.exitcode, flush=True)


def exits():
    """The child goes by `sys.exit`, with all that runs at exit."""
    if not os.fork():
        print(asyncio.run(child_main()), flush=True)
        sys.exit(0)
    print("child left with", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)


def silent():
    """The child never touches asyncio and goes at once."""
    if not os.fork():
        os._exit(0)
    print("child left with", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)


how = sys.argv[1]
if how in ("in_loop", "pool"):
    asyncio.run(parent_main(globals()[how]))
else:
    asyncio.run(parent_main(nothing))
    globals()[how]()
    asyncio.run(parent_main(nothing))

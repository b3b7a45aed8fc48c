"""Eager tasks: one ends in its first step, one goes on, one fails; by a task factory, and made by hand."""

import asyncio
import sys


async def at_once():
    return "at once"


async def later():
    await asyncio.sleep(0.005)
    return "later"


async def fails():
    raise ValueError("at once")


async def factory():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    first = asyncio.create_task(at_once())  # spawn at_once
    second = asyncio.create_task(later())  # spawn later
    third = asyncio.create_task(fails())  # spawn fails
    print(first.done(), second.done(), third.done())
    loop.set_task_factory(None)
    print(await first, await second)
    try:
        await third
    except ValueError as error:
        print("raised:", error)


async def by_hand():
    loop = asyncio.get_running_loop()
    first = asyncio.Task(at_once(), loop=loop, eager_start=True, name="eager")  # spawn eager
    second = asyncio.Task(later(), loop=loop, eager_start=True)  # spawn by hand
    print(first.done(), second.done(), await first, await second)


asyncio.run(globals()[sys.argv[1]]())

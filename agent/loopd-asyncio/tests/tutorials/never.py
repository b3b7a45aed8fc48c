"""What nobody looked at: a task destroyed while it waits, an exception, a coroutine."""

import asyncio
import gc
import sys


async def waits():
    await asyncio.get_running_loop().create_future()


async def fails():
    raise ValueError("nobody asks")


async def destroyed():
    # So that none comes between the coroutine and its task: which of them goes first hangs on that.
    gc.collect()
    asyncio.create_task(waits(), name="lost")  # spawn lost
    await asyncio.sleep(0.01)
    gc.collect()
    print("collected")


async def exception():
    asyncio.create_task(fails(), name="unasked")  # spawn unasked
    await asyncio.sleep(0.01)
    gc.collect()
    print("collected")


async def future():
    asyncio.get_running_loop().create_future().set_exception(KeyError("nobody asks"))
    await asyncio.sleep(0.01)
    gc.collect()
    print("collected")


async def awaited():
    waits()  # never awaited
    await asyncio.sleep(0)
    print("forgot to await")


async def numbers():
    try:
        yield 1
        yield 2
    finally:
        print("numbers ended")


async def asyncgen():
    async for number in numbers():
        print(number)
        break
    gc.collect()
    await asyncio.sleep(0.01)


async def late_asyncgen():
    await asyncio.get_running_loop().shutdown_asyncgens()
    async for number in numbers():
        print(number)


async def callback():
    def broken():
        raise ZeroDivisionError("in a callback")

    asyncio.get_running_loop().call_soon(broken)
    await asyncio.sleep(0.01)
    print("went on")


asyncio.run(globals()[sys.argv[1]]())

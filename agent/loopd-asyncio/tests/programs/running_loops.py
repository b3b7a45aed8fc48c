"""Installs while loops run, in this thread and in another, and uninstalls while they still do."""

import asyncio
import threading

import loopd


async def ticks(number):
    for _ in range(number):
        await asyncio.sleep(0.001)
    return number


async def main():
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever, name="other")
    thread.start()
    asyncio.run_coroutine_threadsafe(ticks(3), other).result()
    early = asyncio.create_task(ticks(40), name="early")
    await asyncio.sleep(0.005)

    loopd.install(app="running loops")
    late = asyncio.create_task(ticks(5), name="late")
    there = asyncio.run_coroutine_threadsafe(ticks(7), other)
    print(await late, await asyncio.wrap_future(there), await early)
    pending = asyncio.create_task(ticks(40), name="outlives it")
    await asyncio.sleep(0.005)
    loopd.uninstall(timeout=60)
    print(await pending)

    asyncio.run_coroutine_threadsafe(ticks(2), other).result()
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


asyncio.run(main())

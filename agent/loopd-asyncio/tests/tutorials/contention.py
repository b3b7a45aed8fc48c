"""Tasks that wait for each other: at a lock, a semaphore, a condition, a queue, an event."""

import asyncio
import sys


async def lock():
    lock = asyncio.Lock()  # lock
    is_wanted = asyncio.Event()

    async def holder():
        async with lock:  # holder takes
            await is_wanted.wait()
            await asyncio.sleep(0.1)

    async def waiter():
        await asyncio.sleep(0.01)
        is_wanted.set()
        async with lock:  # waiter waits
            print("got it")

    await asyncio.gather(holder(), waiter())


async def semaphore():
    seats = asyncio.Semaphore(2)  # semaphore

    async def sits(name):
        async with seats:  # takes a seat
            print(name, "sits")
            # The others come first, and then time passes.
            await asyncio.sleep(0)
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(sits(name), name=name) for name in ("ann", "bob", "cem")]
    await asyncio.gather(*tasks)


async def condition():
    condition = asyncio.Condition()

    async def waiter():
        async with condition:
            await condition.wait()  # waits to be told
            print("was told")

    async def teller():
        await asyncio.sleep(0.3)
        async with condition:
            condition.notify()

    await asyncio.gather(waiter(), teller())


async def queue():
    queue = asyncio.Queue(maxsize=1)  # queue

    async def producer():
        for number in range(3):
            await queue.put(number)  # put waits

    async def consumer():
        for _ in range(3):
            await asyncio.sleep(0.03)
            print(await queue.get())
        is_wanted.set()
        print(await late.get())  # get waits

    async def late_producer():
        await is_wanted.wait()
        await asyncio.sleep(0.1)
        late.put_nowait("late")

    late, is_wanted = asyncio.Queue(), asyncio.Event()
    await asyncio.gather(producer(), consumer(), late_producer())


async def event():
    event = asyncio.Event()  # event

    async def waiter():
        await event.wait()  # waits for the event
        print("it happened")

    async def setter():
        await asyncio.sleep(0.3)
        event.set()

    await asyncio.gather(waiter(), setter())


async def cancelled():
    lock = asyncio.Lock()
    given_up = asyncio.Event()

    async def holder():
        async with lock:
            await given_up.wait()

    async def impatient():
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.03, asyncio.current_task().cancel)
        try:
            await lock.acquire()  # gives up
        finally:
            given_up.set()

    task = asyncio.create_task(impatient())
    results = await asyncio.gather(holder(), task, return_exceptions=True)
    print([type(result).__name__ for result in results])


asyncio.run(globals()[sys.argv[1]]())

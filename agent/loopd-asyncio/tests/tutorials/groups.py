"""Ways in which tasks are cancelled by others: a timeout, a group, a race."""

import asyncio


async def sleeps(name):
    await asyncio.sleep(3600)


async def fails():
    await asyncio.sleep(0.01)
    raise ValueError("the group must end")


async def quick():
    await asyncio.sleep(0.005)
    return "quick"


async def main():
    try:
        await asyncio.wait_for(asyncio.create_task(sleeps("a"), name="timed out"), 0.01)
    except asyncio.TimeoutError:
        print("timed out")
    slow = asyncio.create_task(sleeps("b"), name="lost the race")
    done, pending = await asyncio.wait(
        [asyncio.create_task(quick()), slow], return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()
    print(done.pop().result(), len(pending))
    await asyncio.gather(slow, return_exceptions=True)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeps("c"), name="sibling")
            group.create_task(fails())
    except BaseExceptionGroup as errors:
        print(errors.exceptions)


asyncio.run(main())

"""Cancels everything that runs: some tasks end at once, one cleans up, one does not care."""

import asyncio


async def wait_forever():
    await asyncio.Event().wait()


async def clean_up():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.001)
        print("cleaned up")


async def stubborn():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return "not me"


async def never_begun():
    print("this must not run")


async def main():
    names = ("one", "two", "three")
    tasks = [asyncio.create_task(wait_forever(), name=name) for name in names]
    tasks += [asyncio.create_task(clean_up()), asyncio.create_task(stubborn())]
    await asyncio.sleep(0.005)
    tasks.append(asyncio.create_task(never_begun()))
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    print([getattr(type(r), "__name__", r) if isinstance(r, BaseException) else r for r in results])
    print("left:", len(asyncio.all_tasks()))


asyncio.run(main())

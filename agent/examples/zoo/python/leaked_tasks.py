"""Each parcel is followed by a task, until a delivery that nobody ever reports."""

import asyncio

from running import run

RULES = ["task_leak"]


async def follow(delivered: asyncio.Future[None]) -> None:
    await delivered


async def main() -> None:
    parcels = {}
    order = 0
    while True:
        delivered = asyncio.get_running_loop().create_future()
        parcels[order] = delivered, asyncio.create_task(follow(delivered))  # <- disease
        order += 1
        await asyncio.sleep(0.05)


run(main())

"""Some payments are asked for patience with the sleep of threads, and the loop sleeps with them."""

import asyncio
import time

from running import run

RULES = ["blocking_call"]


async def charge(order: int) -> None:
    await asyncio.sleep(0.003)
    if order % 16 == 15:
        # The gateway is busy: wait a little before the second attempt.
        time.sleep(0.2)  # <- disease


async def main() -> None:
    order = 0
    async with asyncio.TaskGroup() as orders:
        while True:
            orders.create_task(charge(order))
            order += 1
            await asyncio.sleep(0.02)


run(main())

"""Mails are to be sent, but the call only makes a coroutine, which nobody awaits."""

import asyncio

from running import run

RULES = ["never_awaited"]


async def send_mail(order: int) -> None:
    await asyncio.sleep(0.01)


async def confirm(order: int) -> None:
    await asyncio.sleep(0.005)
    send_mail(order)  # <- disease


async def main() -> None:
    order = 0
    async with asyncio.TaskGroup() as orders:
        while True:
            orders.create_task(confirm(order))
            order += 1
            await asyncio.sleep(0.3)


run(main())

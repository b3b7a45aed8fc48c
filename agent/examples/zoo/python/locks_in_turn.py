"""Two tasks take the same two locks, each in its own order."""

import asyncio

from running import run

RULES = ["deadlock"]


async def transfer(source: asyncio.Lock, target: asyncio.Lock) -> None:
    async with source:  # <- disease
        await asyncio.sleep(0.03)
        async with target:  # <- disease
            await asyncio.sleep(0.01)


async def main() -> None:
    anna, bert = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(transfer(anna, bert), transfer(bert, anna))


run(main())

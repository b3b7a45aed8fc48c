"""Imports run as tasks, and some fail; nobody looks at how they ended."""

import asyncio

from running import run

RULES = ["exception_never_retrieved"]


async def load(name: str) -> int:
    await asyncio.sleep(0.01)
    return int(name.partition("-")[2])  # <- disease


async def main() -> None:
    running = set()
    while True:
        for name in ["file-1", "file-2", "readme"]:
            task = asyncio.create_task(load(name))  # <- disease
            running.add(task)
            task.add_done_callback(running.discard)
            await asyncio.sleep(0.2)


run(main())

"""Tasks that nothing refers to vanish in the middle, when the garbage collector comes."""

import asyncio
import gc

from running import run

RULES = ["task_destroyed_pending"]


async def wait_for_reply() -> None:
    # Whoever is to set the result is only known to this very task.
    await asyncio.get_running_loop().create_future()


async def main() -> None:
    while True:
        asyncio.create_task(wait_for_reply())  # <- disease
        await asyncio.sleep(0.5)
        # As it comes by itself sooner or later.
        gc.collect()


run(main())

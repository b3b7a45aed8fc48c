"""What all programs of this folder begin with: they run for as long as the first argument says."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs it for so many seconds, and then ends as programs do, whatever its tasks are up to."""

    async def limited() -> None:
        task = asyncio.ensure_future(main)
        await asyncio.wait({task}, timeout=float(sys.argv[1]))
        if task.done():
            task.result()

    asyncio.run(limited())

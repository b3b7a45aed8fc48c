"""A thread that reads a sensor calls the loop as if it ran there."""

import asyncio
import threading
import time

from running import run

RULES = ["wrong_thread"]


def read_sensor(loop: asyncio.AbstractEventLoop, values: list[float]) -> None:
    while not loop.is_closed():
        time.sleep(0.2)
        try:
            loop.call_soon(values.append, time.monotonic())  # <- disease
        except RuntimeError:
            return


async def main() -> None:
    values: list[float] = []
    loop = asyncio.get_running_loop()
    threading.Thread(target=read_sensor, args=(loop, values), daemon=True).start()
    while True:
        await asyncio.sleep(0.1)
        del values[:-10]


run(main())

"""Runs until SIGTERM, then ends its tasks in order."""

import asyncio
import os
import signal


async def works():
    try:
        while True:
            await asyncio.sleep(0.005)
    finally:
        print("worker ended")


async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    task = asyncio.create_task(works())
    loop.call_later(0.03, os.kill, os.getpid(), signal.SIGTERM)
    await stop.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print("stopped")


asyncio.run(main())

"""Schedules a callback from a thread that does not run the loop."""

import asyncio
import sys
import threading


def late():
    print("the callback ran")


def other_thread(loop):
    try:
        loop.call_soon(late)  # wrong thread
    except RuntimeError as error:
        print("refused:", error)


async def main():
    loop = asyncio.get_running_loop()
    thread = threading.Thread(target=other_thread, args=(loop,))
    thread.start()
    await asyncio.sleep(0.05)
    thread.join()
    await asyncio.sleep(0)


asyncio.run(main(), debug="debug" in sys.argv)

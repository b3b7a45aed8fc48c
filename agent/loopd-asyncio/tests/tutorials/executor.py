"""Work for other threads: the default executor, one of our own, `to_thread`, and a job that fails."""

import asyncio
import concurrent.futures
import threading
import time


def read(name):
    time.sleep(0.02)
    return f"contents of {name}"


def fail():
    raise OSError("disk on fire")


def where():
    return threading.current_thread().name.rstrip("0123456789")


async def main():
    loop = asyncio.get_running_loop()
    print(await asyncio.gather(*(loop.run_in_executor(None, read, n) for n in "abc")))  # read
    try:
        await loop.run_in_executor(None, fail)  # fail
    except OSError as error:
        print("raised:", error)
    with concurrent.futures.ThreadPoolExecutor(1, "pool") as pool:
        print(await loop.run_in_executor(pool, where))  # where
    print(await asyncio.to_thread(read, "d"))


asyncio.run(main())

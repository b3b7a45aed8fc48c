"""A few workers take from a queue that is now and then full, and heavy work goes to other threads."""

import asyncio
import hashlib

from running import run

RULES: list[str] = []


async def work(jobs: asyncio.Queue[int], slots: asyncio.Semaphore) -> None:
    while True:
        job = await jobs.get()
        async with slots:
            await asyncio.sleep(0.004)
        if job % 50 == 0:
            await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", b"secret", b"salt", 60_000)
        jobs.task_done()


async def main() -> None:
    jobs: asyncio.Queue[int] = asyncio.Queue(16)
    slots = asyncio.Semaphore(3)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(work(jobs, slots))
        while True:
            for job in range(60):
                await jobs.put(job)
            await jobs.join()
            await asyncio.sleep(0.3)


run(main())

"""Three loops in three threads at once, and one after the other in this thread."""

import asyncio
import threading

together = threading.Barrier(3)


async def step(number):
    for _ in range(number):
        await asyncio.sleep(0.001)
    return number


async def main(number):
    together.wait()
    tasks = [asyncio.create_task(step(n), name=f"{number}.{n}") for n in range(4)]
    totals[number] = sum(await asyncio.gather(*tasks))


totals = {}
threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n)), name=f"loop-{n}") for n in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(totals.items()))
for number in (3, 4):
    print(asyncio.run(step(number)))

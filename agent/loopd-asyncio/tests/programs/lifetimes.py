"""Installs, runs, and uninstalls, several times: each time is a process of its own to the collector."""

import asyncio

import loopd


async def work(number):
    await asyncio.sleep(0.001)
    return number


async def main(number):
    return await asyncio.create_task(work(number), name=f"work {number}")


print("installed:", loopd.is_installed())
for number in range(3):
    loopd.install(app=f"life {number}")
    loopd.install(app="not this one")
    print("installed:", loopd.is_installed(), asyncio.run(main(number)))
    loopd.mark("midway", "half of it", number=number)
    flushed = loopd.uninstall(timeout=60)
    print("complete:", flushed.complete, flushed.unsent)
    print("installed:", loopd.is_installed(), asyncio.run(main(-1)))

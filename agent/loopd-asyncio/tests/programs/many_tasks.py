"""Spawns very many tasks, and says how much memory the process took on the way."""

import asyncio
import gc
import json
import sys

import loopd

TOTAL, AT_ONCE, LOOKS = int(sys.argv[1]), 1_000, 10


async def nothing():
    await asyncio.sleep(0)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


async def main():
    sizes = []
    for _ in range(LOOKS):
        for _ in range(TOTAL // LOOKS // AT_ONCE):
            await asyncio.gather(*(nothing() for _ in range(AT_ONCE)))
        gc.collect()
        sizes.append(resident())
    return sizes


loopd.install(app="many tasks")
sizes = asyncio.run(main())
print(json.dumps({"sizes": sizes, "memory": loopd.stats()["memory_bytes"]}))

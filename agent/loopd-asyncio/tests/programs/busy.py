"""Steps of some milliseconds that make and end very many frames, for as many seconds as it is told."""

import asyncio
import sys
import time


async def tree(depth):
    if depth:
        return await tree(depth - 1) + await tree(depth - 1)
    return 1


def numbers(count):
    yield from range(count)


async def main(seconds):
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        assert await tree(10) == 1024
        assert sum(number for number in numbers(3000)) == 4_498_500
        await asyncio.sleep(0)
    print("unharmed")


asyncio.run(main(float(sys.argv[1])))

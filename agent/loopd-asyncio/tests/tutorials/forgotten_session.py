"""A client session of aiohttp that nobody closes."""

import asyncio
import gc

import aiohttp


async def main():
    session = aiohttp.ClientSession()  # session
    print("closed:", session.closed)


asyncio.run(main())
gc.collect()

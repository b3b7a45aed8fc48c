"""Customers of the shop: many prices, now and then a report, steadily more subscriptions.

    python load.py URL SUBSCRIPTIONS
"""

import asyncio
import sys

import aiohttp


async def main(url, subscriptions):
    async with aiohttp.ClientSession(url) as session:

        async def ask(method, path):
            async with session.request(method, path) as response:
                response.raise_for_status()
                return await response.json()

        for number in range(subscriptions):
            prices = [ask("GET", "/price") for _ in range(5)]
            await asyncio.gather(ask("POST", "/subscribe"), *prices)
            if number % 10 == 5:
                await ask("GET", "/report")
            # For longer than it takes to ask afterwards what grew.
            await asyncio.sleep(0.15)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))

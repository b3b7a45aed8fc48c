"""A shop on aiohttp with two bugs: its report blocks the loop, and subscriptions never end."""

import asyncio
import signal
import sys
import time

from aiohttp import web

subscriptions = []


def stacks():
    """How many stacks loopd has taken, where it is there."""
    return sys.modules["loopd"].stats()["produced"].get("sample", 0) if "loopd" in sys.modules else None


def until_seen():
    """Once, and under loopd again until a stack was taken: on a busy machine that may be late."""
    before = stacks()
    yield
    while before is not None and stacks() == before:
        yield


def sum_up():
    for _ in until_seen():
        time.sleep(0.15)  # blocks
    return 42


async def watch(number):
    await asyncio.get_running_loop().create_future()


async def price(request):
    await asyncio.sleep(0.001)
    return web.json_response({"price": 1})


async def report(request):
    return web.json_response({"sum": sum_up()})


async def subscribe(request):
    number = len(subscriptions)
    subscriptions.append(asyncio.create_task(watch(number)))  # leaks
    return web.json_response({"number": number})


async def main():
    app = web.Application()
    app.router.add_get("/price", price)
    app.router.add_get("/report", report)
    app.router.add_post("/subscribe", subscribe)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"serving on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


asyncio.run(main())

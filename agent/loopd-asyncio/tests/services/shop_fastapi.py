"""The same shop on FastAPI, to be served by uvicorn."""

import asyncio
import sys
import time

from fastapi import FastAPI

app = FastAPI()
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


@app.get("/price")
def price():
    return {"price": 1}


@app.get("/report")
async def report():
    return {"sum": sum_up()}


@app.post("/subscribe")
async def subscribe():
    number = len(subscriptions)
    subscriptions.append(asyncio.create_task(watch(number)))  # leaks
    return {"number": number}

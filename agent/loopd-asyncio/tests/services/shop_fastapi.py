"""The same shop on FastAPI, to be served by uvicorn."""

import asyncio
import time

from fastapi import FastAPI

app = FastAPI()
subscriptions = []


def sum_up():
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

"""Runs coroutines and futures to their end on a loop made by hand."""

import asyncio


async def add(a, b):
    await asyncio.sleep(0.001)
    return a + b


async def fail():
    await asyncio.sleep(0)
    raise ValueError("as it must be")


loop = asyncio.new_event_loop()
print(loop.run_until_complete(add(1, 2)))
print(loop.run_until_complete(add(3, 4)))
try:
    loop.run_until_complete(fail())
except ValueError as error:
    print("raised:", error)
future = loop.create_future()
loop.call_later(0.01, future.set_result, "by a timer")
print(loop.run_until_complete(future))
print("running:", loop.is_running())
loop.close()
try:
    coroutine = add(5, 6)
    loop.run_until_complete(coroutine)
except RuntimeError as error:
    print("refused:", error)
    coroutine.close()

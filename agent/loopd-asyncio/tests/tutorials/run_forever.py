"""Starts a loop twice, stops it both times, and closes it."""

import asyncio


def tick(loop, left):
    print("tick", left)
    if left:
        loop.call_later(0.005, tick, loop, left - 1)
    else:
        loop.stop()


loop = asyncio.new_event_loop()
loop.call_soon(tick, loop, 3)
loop.run_forever()
print("stopped:", not loop.is_running(), "closed:", loop.is_closed())
loop.call_soon(tick, loop, 1)
loop.run_forever()
loop.close()
print("closed:", loop.is_closed())

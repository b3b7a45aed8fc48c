"""The loops that cases run on, by the names they have in a job."""

import asyncio


def new(name):
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()

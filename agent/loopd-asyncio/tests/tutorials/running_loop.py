"""Asks for the running loop, inside one and outside."""

import asyncio


async def main():
    loop = asyncio.get_running_loop()
    print("inside:", loop.is_running(), loop is asyncio.get_event_loop())
    await asyncio.sleep(0.01)
    return loop


try:
    asyncio.get_running_loop()
except RuntimeError as error:
    print("outside:", error)
loop = asyncio.run(main())
print("afterwards:", loop.is_running(), loop.is_closed())

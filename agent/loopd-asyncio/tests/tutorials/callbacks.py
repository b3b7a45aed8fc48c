"""Plain callbacks: soon, later, at an instant, from another thread, and taken back."""

import asyncio
import functools
import threading


class Desk:
    def __init__(self, loop):
        self.loop = loop
        self.left = 0
        self.rung = None

    async def rings(self, times):
        self.left, self.rung = times, self.loop.create_future()
        await self.rung

    def ring(self, what):  # ring
        print("ring:", what)
        self.left -= 1
        if not self.left:
            self.rung.set_result(None)


def greet(name):  # greet
    print("hello", name)


def never():
    print("this must not run")


async def main():
    loop = asyncio.get_running_loop()
    desk = Desk(loop)
    loop.call_soon(greet, "first")
    loop.call_soon(functools.partial(greet, "partial"))
    loop.call_soon(lambda: print("a lambda"))  # lambda
    loop.call_soon(desk.ring, "soon")
    for _ in range(3):
        loop.call_soon(never).cancel()
    await desk.rings(1)
    # The sooner one is due, the sooner it is made: none overtakes another, however busy the machine is.
    loop.call_at(loop.time() + 0.03, desk.ring, "at")
    loop.call_later(0.06, desk.ring, "later")
    loop.call_later(0.08, never).cancel()
    loop.call_later(0.09, desk.ring, "last")
    await desk.rings(3)
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(desk.ring, "thread"))
    thread.start()
    await desk.rings(1)
    thread.join()


asyncio.run(main())

"""The program replaces what loopd has replaced, before it comes or while it is there."""

import asyncio
import sys

import loopd

calls = []


def patch():
    original = asyncio.BaseEventLoop.call_soon

    def call_soon(self, callback, *args, context=None):
        calls.append(callback)
        return original(self, callback, *args, context=context)

    asyncio.BaseEventLoop.call_soon = call_soon
    return call_soon


async def main():
    await asyncio.create_task(asyncio.sleep(0.001))
    return len(calls)


if sys.argv[1] == "before":
    ours = patch()
    loopd.install()
    print("called:", asyncio.run(main()) > 0)
    loopd.uninstall()
else:
    loopd.install()
    ours = patch()
    print("called:", asyncio.run(main()) > 0)
    loopd.uninstall()
print("kept:", asyncio.BaseEventLoop.call_soon is ours)
seen = len(calls)
print("called:", asyncio.run(main()) > seen)

"""Objects whose content we know, for the native part to find out where CPython keeps it.

No loop runs for this: the tasks here are on one that only notes what it is asked to do.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import sys
from typing import Any

from . import _loopd


class _Loop:
    """As much of a loop as tasks and futures need."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> None:
        self.calls.append((callback, args))

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nobody is told of what becomes of these."""


class _Mark:
    """Something of which there is only one."""


def _function() -> None:
    """Has code."""


def find_frames() -> bool:
    """Has the native part look at two frames that it knows; whether it can read those of any thread."""

    def running() -> bool:
        frames = sys._getframe(), sys._getframe(1)
        if sys.version_info >= (3, 11):
            _loopd.find_frames(*frames)
        return _loopd.find_stacks(*frames)

    return running()


def samples() -> tuple[dict[str, Any], Any]:
    """The samples by name, and what ends the task among them; to be called when they were looked at."""
    loop: Any = _Loop()
    found: dict[str, Any] = {"loop": loop, "function": _function}
    timer = asyncio.events.TimerHandle.__new__(asyncio.events.TimerHandle)
    slots = ("_callback", "_args", "_loop", "_context", "_cancelled", "_repr", "_source_traceback")
    for name in (*slots, "_when", "_scheduled"):
        found[name] = _Mark()
        setattr(timer, name, found[name])
    found["timer"] = timer

    futures = {name: asyncio.Future(loop=loop) for name in ("pending", "cancelled", "finished", "raised")}
    futures["cancelled"].cancel()
    futures["finished"].set_result(None)
    found["exception"] = RuntimeError("a sample")
    futures["raised"].set_exception(found["exception"])
    futures["raised"].exception()
    found.update(futures)

    waiter: Any = asyncio.Future(loop=loop)

    async def wait() -> None:
        await waiter

    coroutine = wait()
    # With a name, so that it takes none of the numbers that the program's own are named by.
    found["name"] = "a sample of a task"
    task: Any = asyncio.Task(coroutine, loop=loop, name=found["name"])
    step = loop.calls.pop()[0]
    found.update(task=task, coroutine=coroutine, step=step, waiter=waiter)
    step()
    found["wakeup"] = waiter._callbacks[0][0]

    def end() -> None:
        waiter.set_result(None)
        callback, args = loop.calls.pop()
        callback(*args)
        # The slots of the timer must not be looked at when it is freed.
        timer._cancelled = True

    return found, end

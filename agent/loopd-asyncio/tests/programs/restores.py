"""Looks at every attribute of asyncio and its neighbours before `install`, while installed, and after
`uninstall`, and says as JSON what is not as it was."""

import asyncio
import asyncio.base_subprocess
import asyncio.sslproto
import asyncio.unix_events
import concurrent.futures
import concurrent.futures.thread
import contextlib
import ctypes
import faulthandler
import gc
import json
import multiprocessing.util
import signal
import socket
import subprocess
import sys
import threading
import types
import warnings
import weakref

with contextlib.suppress(ImportError):
    import uvloop
    import uvloop.loop

import loopd

PACKAGES = ("asyncio", "_asyncio", "uvloop", "concurrent", "multiprocessing")
NEIGHBOURS = (socket, signal, warnings, threading, sys, subprocess, faulthandler, gc, weakref)


def modules():
    own = [m for name, m in sys.modules.items() if name.partition(".")[0] in PACKAGES and m]
    return [*own, *NEIGHBOURS]


def attributes():
    """Everything by its path: attributes of modules and of their classes, and what functions consist of."""
    found = {}
    for module in modules():
        for name, value in list(vars(module).items()):
            path = f"{module.__name__}.{name}"
            found[path] = value
            if isinstance(value, type) and value.__module__ == module.__name__:
                if module.__name__ == "uvloop.loop":
                    add_slots(found, path, value)
                for inner, part in list(vars(value).items()):
                    found[f"{path}.{inner}"] = part
                    add_parts(found, f"{path}.{inner}", part)
            add_parts(found, path, value)
    found["sys.unraisablehook()"] = sys.unraisablehook
    found["asyncgen hooks"] = tuple(sys.get_asyncgen_hooks())
    for number in signal.valid_signals():
        found[f"signal {number}"] = signal.getsignal(number)
    found["gc.callbacks"] = tuple(gc.callbacks)
    found["filters"] = tuple(warnings.filters)
    return found


def add_slots(found, path, kind):
    """Of a type of C's: what frees its objects, and what makes them."""
    words = (ctypes.c_size_t * 51).from_address(id(kind))
    found[f"{path} dealloc"], found[f"{path} alloc"] = words[6], words[38]


def add_parts(found, path, value):
    function = getattr(value, "__func__", value)
    if isinstance(function, types.FunctionType):
        for part in ("__code__", "__defaults__", "__kwdefaults__", "__globals__", "__closure__"):
            found[f"{path}.{part}"] = getattr(function, part)


def changed(before, after):
    missing = object()
    return sorted(
        path
        for path in before.keys() | after.keys()
        if not is_same(before.get(path, missing), after.get(path, missing))
    )


def is_same(before, after):
    if isinstance(before, (int, float, str, tuple)) and type(before) is type(after):
        return before == after
    return before is after


async def step(number):
    await asyncio.sleep(0)
    return number


async def main():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(step(number) for number in range(3)))
    await loop.run_in_executor(None, sum, [1, 2])
    async with asyncio.Lock():
        pass
    loop.call_later(0.001, lambda: None)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    server.close()
    await server.wait_closed()


def use():
    """What leaves traces of its own in modules, such as numbers of tasks, is done before the first look."""
    asyncio.run(main())
    if "uvloop" in sys.modules:
        loop = uvloop.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    asyncio.set_event_loop_policy(None)


use()
loopd.install()
loopd.uninstall()
use()
before = attributes()
report = {}
for times in (1, 2):
    for _ in range(times):
        loopd.install()
    while_installed = changed(before, attributes())
    use()
    loopd.uninstall()
    use()
    report[f"installed {times} times"] = {
        "installed": while_installed,
        "left": changed(before, attributes()),
    }
print(json.dumps(report))

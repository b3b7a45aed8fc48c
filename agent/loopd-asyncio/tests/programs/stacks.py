"""The stacks of threads, read without the interpreter's lock, are what the interpreter says they are."""

import asyncio
import ctypes
import os
import re
import sys
import threading
import time

import loopd
from loopd import _loopd


def told(depth):
    """The stack of this thread from a caller outwards, as Python tells it."""
    frame, stack = sys._getframe(depth + 1), []
    while frame is not None:
        code = frame.f_code
        stack.append((getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno or 0))
        frame = frame.f_back
    return stack


def compare():
    tid = threading.get_native_id()
    for _ in range(100):
        # One call on one line, so that both see the same.
        seen, known = _loopd.stack_without_lock(tid), told(0)
        if seen is not None:
            assert seen == known[: len(seen)] and len(seen) == min(len(known), 100), (seen, known)
            return True
    raise AssertionError("the frames of this thread do not stand still")


def on_many_lines():
    return [
        compare(),
        (

            compare()
        ),
        *(
            number
            for number in range(
                2
            )
            if compare()
        ),
    ]


class Nested:
    class Deeper:
        def method(self):
            return (lambda: compare() and sorted([2, 1], key=lambda _: compare()))()


class Made:
    def __init__(self):
        self.is_right = compare()


def many_times():
    """So often that it is called directly."""
    for _ in range(60):
        Made()


def far_away():
    lines = "\n" * 5000
    source = f"def große_日本語_𠮷():\n    {{lines}}\n    x = 1\n    return compare(\n{lines}) and x\n"
    source = source.replace("{lines}", "pass" + lines)
    for file in ("plain.py", "schön.py", "日本.py", "🙂.py", "<string>"):
        scope = {"compare": compare}
        exec(compile(source, file, "exec"), scope)
        assert scope["große_日本語_𠮷"]()


def deep(levels):
    return deep(levels - 1) if levels else compare()


async def awaiting(levels):
    if levels:
        return await awaiting(levels - 1)
    compare()
    async for _ in numbers():
        compare()
    with open(__file__) as _:
        compare()
    try:
        raise KeyError
    except KeyError:
        compare()
    finally:
        compare()


async def numbers():
    for number in range(3):
        compare()
        yield number
        compare()


async def odd_places():
    on_many_lines()
    Nested.Deeper().method()
    many_times()
    far_away()
    deep(30)
    deep(150)
    await awaiting(5)
    sorted(range(3), key=lambda _: compare())
    re.sub("a", lambda _: compare() and "b", "aaa")
    exec("compare()\ncompare()", {"compare": compare})


async def tree(depth):
    if depth:
        return await tree(depth - 1) + await tree(depth - 1)
    return 1


def count(last):
    yield from range(last)


async def begun_before():
    """A loop that runs when the recording begins has stacks as well."""
    loopd.uninstall()
    loopd.install()
    await asyncio.sleep(0)
    compare()
    try:
        asyncio.get_running_loop().run_forever()
    except RuntimeError:
        # It ran already; that it was told to does not count.
        compare()


def sandbox():
    """From now on one system call ends this process."""

    class Step(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(Step))]

    process_vm_readv = 310
    # Load the number, compare, kill the process, allow.
    steps = (Step * 4)(
        (0x20, 0, 0, 0), (0x15, 0, 1, process_vm_readv), (0x06, 0, 0, 0x8000_0000), (0x06, 0, 0, 0x7FFF_0000)
    )
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.prctl(set_seccomp, by_filter, ctypes.byref(Filter(4, steps))) == 0


async def in_a_sandbox():
    compare()


async def while_it_runs():
    """Whatever moment it is, frames are of code that there is, and nothing is harmed."""
    tid, is_over, seen = threading.get_native_id(), threading.Event(), []

    def look():
        while not is_over.is_set():
            seen.append(_loopd.stack_without_lock(tid))

    lookers = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    for looker in lookers:
        looker.start()
    began_at = time.monotonic()
    # A busy machine takes longer for as many looks.
    while time.monotonic() < began_at + 3 or len(seen) <= 100:
        assert time.monotonic() < began_at + 120, f"only {len(seen)} looks"
        assert await tree(9) == 512
        assert sum(count(3000)) == 4_498_500
        scope = {}
        exec("def made(x):\n    return x + 1", scope)
        assert scope["made"](1) == 2
    is_over.set()
    for looker in lookers:
        looker.join()
    assert len(seen) > 100
    files = {file for stack in filter(None, seen) for _, file, _ in stack}
    assert all(file == "<string>" or os.path.isfile(file) for file in files), files


if sys.argv[1] == "in_a_sandbox":
    sandbox()
loopd.install()
asyncio.run(globals()[sys.argv[1]]())
print("as it is")

"""What the program opens and should close: loops, transports, servers, subprocesses, executors,
asynchronous generators; sockets if they are left open; and jobs of executors.

Which object is which resource is known by its address, from open to close.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.base_subprocess
import asyncio.runners
import asyncio.selector_events
import asyncio.unix_events
import concurrent.futures
import concurrent.futures.thread
import contextvars
import functools
import socket
import sys
import weakref
from typing import Any

from . import _checks, _loopd
from ._patches import Patches

#: Objects known at once; more are not told of.
MAX_KNOWN = 64 << 10

_known: dict[int, int] = {}
_jobs: dict[int, int] = {}
_futures: dict[int, Any] = {}
_references: dict[int, weakref.ref[Any]] = {}
#: Loops of uvloop that close asynchronous generators no more.
_shut_down: set[int] = set()


@_checks._harmless
def _opened(owner: Any, kind: str, name: str = "") -> None:
    if len(_known) >= MAX_KNOWN:
        return
    number = _loopd.opened(kind, name)
    if number:
        _known[id(owner)] = number


@_checks._harmless
def _closed(owner: Any, how: str = "closed") -> None:
    number = _known.pop(id(owner), 0)
    if number:
        _loopd.closed(number, how)


def _address(value: Any) -> str:
    if isinstance(value, tuple) and len(value) >= 2:
        return f"{value[0]}:{value[1]}"
    return str(value or "")


def _name_of_transport(transport: Any) -> str:
    extra = getattr(transport, "_extra", {})
    peer, own = extra.get("peername"), extra.get("sockname")
    if peer:
        return f"{_address(own)} - {_address(peer)}" if own else _address(peer)
    return _address(own)


def _after(patches: Patches, owner: Any, method: str, told: Any) -> None:
    """Has ``told(self)`` called after a method."""
    patches.around(owner, method, after=lambda self, *_: told(self))


def _before(patches: Patches, owner: Any, method: str, told: Any) -> None:
    """Has ``told(self)`` called before a method."""
    patches.around(owner, method, before=lambda self, *_: told(self))


_checks.when_left.append(lambda owner: _closed(owner, "unclosed"))


def install(patches: Patches) -> None:
    """Has all of this told."""
    base: Any = asyncio.base_events.BaseEventLoop
    selector: Any = asyncio.selector_events
    unix: Any = asyncio.unix_events
    runners: Any = asyncio.runners

    _after(patches, base, "__init__", lambda self: _opened(self, "event loop"))

    _after(patches, base, "close", _close_loop)
    # `asyncio.run` cancels what is left before it closes the loop, and that is its shutdown.
    patches.around(runners, "_cancel_all_tasks", before=_closing_loop)

    def transport(kind: str) -> Any:
        return lambda self: _opened(self, kind, _name_of_transport(self))

    stream: Any = selector._SelectorSocketTransport
    datagram: Any = selector._SelectorDatagramTransport
    _after(patches, stream, "__init__", transport("transport"))
    _after(patches, datagram, "__init__", transport("datagram transport"))
    _after(patches, unix._UnixReadPipeTransport, "__init__", transport("read pipe"))
    _after(patches, unix._UnixWritePipeTransport, "__init__", transport("write pipe"))
    for owner in (
        selector._SelectorTransport,
        unix._UnixReadPipeTransport,
        unix._UnixWritePipeTransport,
        asyncio.base_subprocess.BaseSubprocessTransport,
    ):
        _after(patches, owner, "_call_connection_lost", _closed)
    _after(
        patches,
        asyncio.base_subprocess.BaseSubprocessTransport,
        "__init__",
        lambda self: _opened(self, "subprocess", f"pid {self._pid}"),
    )
    _install_servers(patches)
    _install_executors(patches)
    _install_asyncgens(patches)
    _install_sockets(patches)
    install_uvloop(patches)


def _install_servers(patches: Patches) -> None:
    server: Any = asyncio.base_events.Server

    @_checks._harmless
    def opened(self: Any) -> None:
        names = [_address(sock.getsockname()) for sock in self._sockets or ()]
        _opened(self, "server", ", ".join(names))
        key = id(self)
        # It has no finaliser of its own that would say so.
        _references[key] = weakref.ref(self, functools.partial(_server_freed, key))

    @_checks._harmless
    def closed(self: Any) -> None:
        _references.pop(id(self), None)
        _closed(self)

    _after(patches, server, "__init__", opened)
    _before(patches, server, "close", closed)


@_checks._harmless
def _server_freed(key: int, _reference: Any) -> None:
    _references.pop(key, None)
    number = _known.pop(key, 0)
    if number:
        _loopd.closed(number, "unclosed")
        _checks._tell("unclosed_server", "warn", "a server was freed without close()")


def _install_executors(patches: Patches) -> None:
    pool: Any = concurrent.futures.ThreadPoolExecutor

    @_checks._harmless
    def opened(self: Any) -> None:
        _opened(self, "executor", self._thread_name_prefix)
        key = id(self)
        _references[key] = weakref.ref(self, functools.partial(_freed, key))

    @_checks._harmless
    def closed(self: Any) -> None:
        _references.pop(id(self), None)
        _closed(self)

    _after(patches, pool, "__init__", opened)
    _before(patches, pool, "shutdown", closed)

    item: Any = concurrent.futures.thread._WorkItem

    @_checks._harmless
    def queued(self: Any) -> None:
        function = getattr(self, "fn", None)
        while isinstance(function, functools.partial):
            is_to_thread = isinstance(getattr(function.func, "__self__", None), contextvars.Context)
            # As `asyncio.to_thread` does: what it runs in a context is the first argument.
            function = function.args[0] if is_to_thread and function.args else function.func
        name = getattr(function, "__qualname__", type(function).__qualname__)
        if len(_jobs) >= MAX_KNOWN:
            return
        number = _loopd.job_queued(name)
        if number:
            key = id(self)
            _jobs[key] = number
            # One that is never run is freed.
            _references[key] = weakref.ref(self, functools.partial(_job_freed, key))

    _after(patches, item, "__init__", queued)

    patches.around(item, "run", before=_job_started, after=_job_ended, always=True)


@_checks._harmless
def _job_freed(key: int, _reference: Any) -> None:
    _references.pop(key, None)
    number = _jobs.pop(key, 0)
    if number:
        _loopd.job_ended(number, "cancelled")


@_checks._harmless
def _job_started(item: Any) -> None:
    number = _jobs.get(id(item), 0)
    if number:
        # When the job is over, the item has forgotten its future.
        _futures[number] = item.future
        _loopd.job_started(number)


@_checks._harmless
def _job_ended(item: Any) -> None:
    number = _jobs.pop(id(item), 0)
    _references.pop(id(item), None)
    future = _futures.pop(number, None)
    if future is None:
        return
    if future.cancelled():
        outcome = "cancelled"
    elif future._exception is not None:
        outcome = "raised"
    else:
        outcome = "completed"
    _loopd.job_ended(number, outcome)


def _install_asyncgens(patches: Patches) -> None:
    base: Any = asyncio.base_events.BaseEventLoop
    patches.around(base, "_asyncgen_firstiter_hook", after=_first_iterated)


@_checks._harmless
def _first_iterated(loop: Any, generator: Any) -> None:
    _asyncgen_opened(generator)
    # uvloop keeps that to itself.
    if getattr(loop, "_asyncgens_shutdown_called", False) or id(loop) in _shut_down:
        name = getattr(generator, "__qualname__", "")
        message = f"asynchronous generator {name!r} was begun after loop.shutdown_asyncgens()"
        _checks._tell("asyncgen_after_shutdown", "warn", message, {"generator": name})


@_checks._harmless
def _asyncgen_opened(generator: Any) -> None:
    key = id(generator)
    _opened(generator, "async generator", getattr(generator, "__qualname__", ""))
    _references[key] = weakref.ref(generator, functools.partial(_freed, key))


@_checks._harmless
def _freed(key: int, _reference: Any) -> None:
    _references.pop(key, None)
    number = _known.pop(key, 0)
    if number:
        _loopd.closed(number, "dropped")


def _install_sockets(patches: Patches) -> None:
    """Only those that are left open are told of: the others are their transports' business."""
    patches.around(socket.socket, "__init__", after=_loopd.socket_opened)
    patches.around(socket.socket, "close", before=_loopd.socket_closed)
    patches.around(socket.socket, "detach", before=_loopd.socket_closed)


def install_uvloop(patches: Patches) -> None:
    """Loops of uvloop; its transports, servers and subprocesses are told of by `_transports`."""
    uvloop = sys.modules.get("uvloop")
    if uvloop is None:
        return
    loop: Any = uvloop.Loop
    patches.around(loop, "__init__", after=_uvloop_opened)
    patches.around(loop, "close", after=_close_loop)
    patches.around(loop, "_asyncgen_firstiter_hook", after=_first_iterated)
    patches.around(loop, "shutdown_asyncgens", before=_asyncgens_shut_down)


@_checks._harmless
def _asyncgens_shut_down(loop: Any, *_: Any) -> None:
    if len(_shut_down) < MAX_KNOWN:
        _shut_down.add(id(loop))


@_checks._harmless
def _uvloop_opened(loop: Any, *_: Any) -> None:
    _opened(loop, "event loop")
    key = id(loop)
    _references[key] = weakref.ref(loop, functools.partial(_uvloop_freed, key))


@_checks._harmless
def _uvloop_freed(key: int, _reference: Any) -> None:
    _references.pop(key, None)
    _shut_down.discard(key)
    number = _known.pop(key, 0)
    if number and _loopd.is_recording():
        _loopd.closed(number, "unclosed")
        _checks._tell("unclosed_loop", "warn", "a loop of uvloop was freed without close()")


@_checks._harmless
def _close_loop(loop: Any) -> None:
    _references.pop(id(loop), None)
    _shut_down.discard(id(loop))
    _closed(loop)
    _loopd.loop_closed(loop)


@_checks._harmless
def _closing_loop(loop: Any, *_: Any) -> None:
    _loopd.loop_closing(loop)


def forget() -> None:
    """Nothing that is known now is to be told of any more."""
    for table in (_known, _jobs, _futures, _references, _shut_down):
        table.clear()

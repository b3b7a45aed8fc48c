"""Puts the native hooks into asyncio's and uvloop's classes, and takes them away again."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.events
import asyncio.locks
import asyncio.mixins
import asyncio.queues
import concurrent.futures
import contextvars
import heapq
import inspect
import sys
from typing import Any

from . import _checks, _known, _locks, _loopd, _probe, _transports
from ._patches import Patches

Layer = tuple[str, bool, str]
_Base: Any = asyncio.base_events.BaseEventLoop
_Handle: Any = asyncio.events.Handle

#: Folders whose frames are not the program's: where something was done is where they were called.
PLUMBING = [
    __file__.rsplit("/", 1)[0] + "/",
    asyncio.__file__.rsplit("/", 1)[0] + "/",
    concurrent.futures.__file__.rsplit("/", 1)[0] + "/",
    "<frozen ",
]

_takes_debug = "debug" in inspect.signature(
    asyncio.format_helpers._format_callback_source  # type: ignore[attr-defined]
).parameters


def _on_exception(handle: Any, exception: BaseException) -> None:
    """As ``Handle._run`` tells its loop."""
    extra = {"debug": handle._loop.get_debug()} if _takes_debug else {}
    source = asyncio.format_helpers._format_callback_source(  # type: ignore[attr-defined]
        handle._callback, handle._args, **extra
    )
    context = {
        "message": f"Exception in callback {source}",
        "exception": exception,
        "handle": handle,
    }
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def _prune(loop: Any) -> None:
    """As ``_run_once`` begins: takes cancelled timers away."""
    count = len(loop._scheduled)
    if (
        count > asyncio.base_events._MIN_SCHEDULED_TIMER_HANDLES  # type: ignore[attr-defined]
        and loop._timer_cancelled_count / count
        > asyncio.base_events._MIN_CANCELLED_TIMER_HANDLES_FRACTION  # type: ignore[attr-defined]
    ):
        kept = []
        for handle in loop._scheduled:
            if handle._cancelled:
                handle._scheduled = False
            else:
                kept.append(handle)
        heapq.heapify(kept)
        loop._scheduled = kept
        loop._timer_cancelled_count = 0
    else:
        while loop._scheduled and loop._scheduled[0]._cancelled:
            loop._timer_cancelled_count -= 1
            handle = heapq.heappop(loop._scheduled)
            handle._scheduled = False


def _prepare_stacks() -> Layer:
    reason = "" if _probe.find_frames() else "none while C code keeps the lock: frames are not found here"
    return ("stacks", True, reason)


class Hooks:
    """The hooks of this process: prepared once, installed and uninstalled as often as wanted."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._layers: list[Layer] = []
        self._has_slots = False
        self._originals: dict[str, Any] = {}
        self._replaces_turns = False
        self._has_uvloop = False
        self._has_transports = False

    def prepare(self) -> list[Layer]:
        """Finds out what can be done here; what can, and what cannot and why."""
        if self._layers:
            return self._layers
        layers: list[Layer] = []
        try:
            found, end = _probe.samples()
            try:
                _loopd.find_layout(found)
            finally:
                end()
            self._has_slots = True
            layers.append(("steps", True, ""))
        except Exception as error:
            reason = f"CPython {sys.version.split()[0]} keeps things where they are not found: {error}"
            layers.append(("steps", False, reason))
        layers.append(_prepare_stacks())
        if self._has_slots:
            layers.append(self._prepare_asyncio())
            layers.append(self._prepare_waits())
            try:
                layers.append(self._prepare_uvloop())
            except Exception as error:
                layers.append(("uvloop", False, f"this uvloop cannot be hooked: {error}"))
        self._layers = [layer for layer in layers if layer[0]]
        return self._layers

    def _prepare_asyncio(self) -> Layer:
        originals = {
            "_run": _Handle._run,
            "call_soon": _Base.call_soon,
            "call_soon_threadsafe": _Base.call_soon_threadsafe,
            "_run_once": _Base._run_once,
            "run_forever": _Base.run_forever,
            "create_task": _Base.create_task,
        }
        self._originals = originals
        knows_run = _known.is_known("Handle._run", originals["_run"])
        knows_call_soon = _known.is_known("call_soon", originals["call_soon"]) and _known.is_known(
            "_call_soon", _Base._call_soon
        )
        knows_create_task = _known.is_known("create_task", originals["create_task"])
        self._replaces_turns = _known.is_known("_run_once", originals["_run_once"])
        parts = {
            **originals,
            "tasks": asyncio.tasks,
            "_call_soon": _Base._call_soon,
            "_check_closed": _Base._check_closed,
            "Handle": _Handle,
            "TimerHandle": asyncio.events.TimerHandle,
            "Context": contextvars.Context,
            "on_exception": _on_exception,
            "prune": _prune,
            "heappop": heapq.heappop,
            "on_wrong_thread": _checks.on_wrong_thread,
        }
        _loopd.set_asyncio(parts, knows_run, knows_call_soon, knows_create_task)
        unknown = [
            name
            for name, is_known in (
                ("Handle._run", knows_run),
                ("call_soon", knows_call_soon),
                ("create_task", knows_create_task),
                ("_run_once", self._replaces_turns),
            )
            if not is_known
        ]
        reason = ""
        if unknown:
            reason = f"{', '.join(unknown)} of this asyncio is not one we know: "
            reason += "recorded at some cost"
            if not self._replaces_turns:
                reason += ", and without parks of its loops"
        return ("callbacks", True, reason)

    def _prepare_waits(self) -> Layer:
        mixin: Any = asyncio.mixins._LoopBoundMixin
        types: dict[str, Any] = {
            "Lock": asyncio.locks.Lock,
            "Semaphore": asyncio.locks.Semaphore,
            "Event": asyncio.locks.Event,
            "Condition": asyncio.locks.Condition,
            "Queue": asyncio.queues.Queue,
        }
        barrier = getattr(asyncio.locks, "Barrier", None)
        if barrier is not None:
            types["Barrier"] = barrier
        _loopd.set_waits(
            types,
            mixin._get_loop,
            asyncio.queues.Queue.put.__code__,
            asyncio.events._get_running_loop,
        )
        reason = "" if _locks.are_known() else "not who holds locks: those of this asyncio are not known"
        return ("waits", True, reason)

    def _prepare_uvloop(self) -> Layer:
        uvloop = sys.modules.get("uvloop")
        if uvloop is None:
            return ("", True, "")
        loop: Any = uvloop.Loop
        PLUMBING.append(uvloop.__file__.rsplit("/", 1)[0] + "/")
        _loopd.set_plumbing(PLUMBING)
        _loopd.set_uvloop(
            {
                "call_soon": loop.call_soon,
                "call_soon_threadsafe": loop.call_soon_threadsafe,
                "call_later": loop.call_later,
                "run_forever": loop.run_forever,
                "on_wrong_thread": _checks.on_wrong_thread,
            }
        )
        self._has_uvloop = True
        reason = "callbacks that libuv makes by itself, of protocols and signals, are not seen"
        try:
            _transports.find()
            self._has_transports = True
        except Exception as error:
            reason += ", and its transports, servers and subprocesses are not told of as resources: "
            reason += str(error)
        return ("uvloop", True, reason)

    def install(self) -> None:
        """Puts the hooks in place."""
        if not self._has_slots:
            return
        method = _loopd.method
        patches = self._patches
        _loopd.install_slots(asyncio.Task)
        patches.set(_Handle, "_run", method("Handle._run", _Handle))
        for name in ("call_soon", "call_soon_threadsafe", "run_forever"):
            patches.set(_Base, name, method(name, _Base))
        if _known.is_known("create_task", self._originals["create_task"]):
            patches.set(_Base, "create_task", method("create_task", _Base))
        if self._replaces_turns:
            patches.set(_Base, "_run_once", method("_run_once", _Base))
        mixin: Any = asyncio.mixins._LoopBoundMixin
        patches.set(mixin, "_get_loop", method("_get_loop", mixin))
        if _locks.are_known():
            _locks.install(patches)
        if self._has_uvloop:
            self._install_uvloop()

    def _install_uvloop(self) -> None:
        loop: Any = sys.modules["uvloop"].Loop
        # Its `call_at` goes through `call_later`.
        for name in ("call_soon", "call_soon_threadsafe", "call_later", "run_forever"):
            self._patches.set(loop, name, _loopd.method(f"uvloop.{name}", loop))
        if self._has_transports:
            _transports.install(self._patches)

    def misses_uvloop(self) -> bool:
        """Whether uvloop is there and not hooked."""
        return self._has_slots and not self._has_uvloop and "uvloop" in sys.modules

    def uvloop_is_imported(self) -> Layer | None:
        """uvloop came after us."""
        if self._has_uvloop or not self._has_slots:
            return None
        layer = self._prepare_uvloop()
        if self._has_uvloop:
            self._install_uvloop()
            self._layers.append(layer)
        return layer

    def uninstall(self) -> None:
        """Takes them away."""
        self._patches.restore()
        if self._has_slots:
            _loopd.uninstall_slots()
        if self._has_transports:
            _transports.uninstall()


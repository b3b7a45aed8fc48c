"""What asyncio's debug mode checks, and what it only logs, as marks: without that mode, and without
touching the filters of warnings.

Everything here is called in the middle of the program's own work, so that each function keeps its
failures to itself.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.base_subprocess
import asyncio.selector_events
import asyncio.streams
import asyncio.unix_events
import functools
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from . import _loopd
from ._patches import Patches

_F = TypeVar("_F", bound=Callable[..., Any])
_MAX_TEXT = 200

#: By what asyncio and its libraries say: the name of the check, and how serious it is.
_MESSAGES: list[tuple[str, str, str]] = [
    ("Task was destroyed but it is pending", "task_destroyed_pending", "error"),
    ("exception was never retrieved", "exception_never_retrieved", "error"),
    ("Exception in callback", "callback_exception", "error"),
    ("Unclosed client session", "unclosed_session", "warn"),
    ("Unclosed connector", "unclosed_session", "warn"),
    ("Unclosed connection", "unclosed_session", "warn"),
    ("Unclosed response", "unclosed_session", "warn"),
    ("asynchronous generator", "asyncgen_error", "error"),
    ("unhandled exception during asyncio.run() shutdown", "shutdown_exception", "error"),
    ("Unhandled exception in client_connected_cb", "connection_exception", "error"),
    ("out of system resource", "out_of_file_descriptors", "error"),
]


def _harmless(function: _F) -> _F:
    """Keeps what goes wrong in here from the program."""

    @functools.wraps(function)
    def harmless(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception:
            _loopd.count_fault()
            return None

    return harmless  # type: ignore[return-value]


def _text(value: object) -> str:
    # Names of files may hold what is no text.
    return str(value)[:_MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def _leaf(exception: BaseException) -> tuple[str, int] | None:
    """Where an exception was raised."""
    traceback = exception.__traceback__
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno


def _innermost(coroutine: Any) -> tuple[str, int] | None:
    """Where a coroutine waits: the innermost of those that it awaits."""
    place = None
    for _ in range(64):
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            break
        place = frame.f_code.co_filename, frame.f_lineno
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return place


def _tell(
    check: str,
    level: str,
    message: str,
    fields: dict[str, object] | None = None,
    place: tuple[str, int] | None = None,
) -> None:
    pairs = [("check", check), *((key, _text(value)) for key, value in (fields or {}).items())]
    file, line = place or (None, 0)
    _loopd.mark(level, "asyncio", _text(message), pairs, file, line)


@_harmless
def on_wrong_thread(loop: Any) -> None:
    """``call_soon`` of a loop that another thread runs."""
    fields = {
        "thread": threading.current_thread().name,
        "advice": "use call_soon_threadsafe or run_coroutine_threadsafe",
    }
    message = f"call_soon of {loop!r} from a thread that does not run it"
    _tell("wrong_thread", "error", message, fields)


@_harmless
def _on_exception_handler(context: dict[str, Any]) -> None:
    """What a loop is told to handle."""
    message = str(context.get("message") or "")
    check, level = "loop_exception", "error"
    for text, name, how_serious in _MESSAGES:
        if text in message:
            check, level = name, how_serious
            break
    fields: dict[str, object] = {}
    place = None
    exception = context.get("exception")
    if isinstance(exception, BaseException):
        # Of its message only what needs no code of the program's.
        detail = exception.args[0] if exception.args and type(exception.args[0]) is str else ""
        fields["exception"] = f"{type(exception).__qualname__}: {detail}".rstrip(": ")
        place = _leaf(exception)
    task = context.get("task") or context.get("future")
    if isinstance(task, asyncio.Task):
        coroutine = task.get_coro()
        fields["task"] = task.get_name()
        fields["coroutine"] = getattr(coroutine, "__qualname__", "")
        number = _loopd.task_number(task)
        if number is not None:
            fields["task_id"] = number
        place = place or _innermost(coroutine)
    elif context.get("handle") is not None:
        callback = getattr(context["handle"], "_callback", None)
        fields["callback"] = getattr(callback, "__qualname__", type(callback).__qualname__)
    _tell(check, level, message, fields, place)


@_harmless
def _on_unawaited(coroutine: Any) -> None:
    """A coroutine is freed that nobody awaited; the running line is most often the one that should."""
    code = getattr(coroutine, "cr_code", None)
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    fields: dict[str, object] = {"coroutine": name}
    if code is not None:
        fields["defined_at"] = f"{code.co_filename}:{code.co_firstlineno}"
    _tell("never_awaited", "error", f"coroutine {name!r} was never awaited", fields)


@_harmless
def _on_unclosed(check: str, what: object) -> None:
    _tell(check, "warn", f"unclosed {what!r}")


@_harmless
def _on_asyncgen_finalized(generator: Any) -> None:
    """An asynchronous generator is freed in the middle; its loop has to close it."""
    code = getattr(generator, "ag_code", None)
    name = getattr(generator, "__qualname__", "")
    frame = getattr(generator, "ag_frame", None)
    place = None if frame is None else (frame.f_code.co_filename, frame.f_lineno)
    fields = {"generator": name}
    if code is not None:
        fields["defined_at"] = f"{code.co_filename}:{code.co_firstlineno}"
    message = f"asynchronous generator {name!r} was left in the middle"
    _tell("asyncgen_finalized", "warn", message, fields, place)


def _told(_loop: Any, context: dict[str, Any]) -> None:
    _on_exception_handler(context)


def _asyncgen(_loop: Any, generator: Any) -> None:
    _on_asyncgen_finalized(generator)


def install_uvloop(patches: Patches) -> None:
    """The same of uvloop's loops, once it is imported."""
    uvloop = sys.modules.get("uvloop")
    if uvloop is not None:
        patches.around(uvloop.Loop, "call_exception_handler", before=_told)
        patches.around(uvloop.Loop, "_asyncgen_finalizer_hook", before=_asyncgen)


def install(patches: Patches) -> None:
    """Has all of this called."""
    base: Any = asyncio.base_events.BaseEventLoop

    patches.around(base, "call_exception_handler", before=_told)
    install_uvloop(patches)
    patches.around(warnings, "_warn_unawaited_coroutine", before=_on_unawaited)

    patches.around(base, "_asyncgen_finalizer_hook", before=_asyncgen)

    def left(check: str, is_left: Callable[[Any], bool]) -> Callable[..., None]:
        return lambda self, *_: _on_left(check, is_left, self)

    for owner, check, is_left in (
        (base, "unclosed_loop", lambda self: not self.is_closed()),
        (
            asyncio.selector_events._SelectorTransport,  # type: ignore[attr-defined]
            "unclosed_transport",
            lambda self: self._sock is not None,
        ),
        (
            asyncio.unix_events._UnixReadPipeTransport,
            "unclosed_transport",
            lambda self: self._pipe is not None,
        ),
        (
            asyncio.unix_events._UnixWritePipeTransport,
            "unclosed_transport",
            lambda self: self._pipe is not None,
        ),
        (
            asyncio.base_subprocess.BaseSubprocessTransport,
            "unclosed_transport",
            lambda self: not self._closed,
        ),
        (
            asyncio.streams.StreamWriter,
            "unclosed_transport",
            lambda self: not self._transport.is_closing() and not self._loop.is_closed(),
        ),
    ):
        if "__del__" in vars(owner):
            patches.around(owner, "__del__", before=left(check, is_left))


#: Called with what was freed without having been closed.
when_left: list[Callable[[Any], None]] = []


@_harmless
def _on_left(check: str, is_left: Callable[[Any], bool], what: Any) -> None:
    if is_left(what):
        _on_unclosed(check, what)
        for told in when_left:
            told(what)

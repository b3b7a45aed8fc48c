"""Starting and stopping: one agent in a process, and a fresh one in each forked child that runs a loop."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import sysconfig
import threading
from dataclasses import dataclass
from typing import Any

from . import _checks, _dump, _fork, _hooks, _late, _loopd, _resources
from ._patches import Patches


@dataclass(frozen=True)
class Flushed:
    """What became of the end of a recording."""

    #: Whether everything recorded is on the collector's disk, or was counted as lost there.
    complete: bool
    #: Records that the collector has not acknowledged.
    unsent: int


class _State:
    """What there is once in a process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_installed = False
        self.settings: dict[str, Any] = {}
        self.hooks: _hooks.Hooks | None = None
        self.patches = Patches()
        self.is_prepared = False


_state = _State()


def install(
    *,
    endpoint: str | None = None,
    app: str | None = None,
    app_version: str | None = None,
    labels: dict[str, str] | None = None,
    token: str | None = None,
    slow_threshold: float | None = None,
    memory_limit: int | None = None,
    record_polls: bool | None = None,
    record_wakes: bool | None = None,
    record_waits: bool | None = None,
    sample_stacks: bool | None = None,
    exit_timeout: float | None = None,
    enabled: bool | None = None,
) -> None:
    """Records every event loop of this process from now on, also those that run already.

    endpoint:
        where ``loopd serve`` listens: ``http://host:port`` or ``unix:/path``; by default
        ``http://127.0.0.1:7411``. It need not be there yet.
    app, app_version, labels:
        what people call the program; by default the name of its script.
    token:
        what the collector asks for if it listens beyond this machine.
    slow_threshold:
        from which length in seconds a callback or step is slow, and its stack taken; by default 0.1.
        ``loop.slow_callback_duration`` counts too, where it is set.
    memory_limit:
        the most memory the agent takes, in bytes; by default 32 MiB.
    record_polls, record_wakes, record_waits, sample_stacks:
        whether to record single runs and parks, who woke whom, who waits for what, and stacks of what
        is slow. All are on by default, and can be switched by the collector.
    exit_timeout:
        the longest that the end of the program waits for what is not sent yet, in seconds; by default 0.5.
        What is left then is lost.
    enabled:
        whether to record at all.

    What is not given comes from the environment (``LOOPD_…``). Raises ``ValueError`` if a setting cannot
    be used, and ``RuntimeError`` where this interpreter cannot be recorded. Called again, it does
    nothing.
    """
    given = {
        "endpoint": endpoint,
        "app": app,
        "app_version": app_version,
        "labels": labels,
        "token": token,
        "slow_threshold": slow_threshold,
        "memory_limit": memory_limit,
        "record_polls": record_polls,
        "record_wakes": record_wakes,
        "record_waits": record_waits,
        "sample_stacks": sample_stacks,
        "exit_timeout": exit_timeout,
        "enabled": enabled,
    }
    with _state.lock:
        if _state.is_installed:
            return
        _refuse_unknown_interpreters()
        if enabled is False:
            return
        _state.settings = {key: value for key, value in given.items() if value is not None}
        if app is None and not os.environ.get("LOOPD_APP"):
            _state.settings["app"] = _name_of_program()
        _prepare()
        _start()
        if not _loopd.is_recording():
            # `LOOPD_ENABLED=0`.
            return
        assert _state.hooks is not None
        _state.hooks.install()
        _checks.install(_state.patches)
        _resources.install(_state.patches)
        _fork.install(_state.patches)
        _late.install(uvloop_is_imported)
        if _state.hooks.misses_uvloop():
            uvloop_is_imported()
        gc.callbacks.append(_loopd.on_collection)
        _state.is_installed = True


def uninstall(timeout: float | None = None) -> Flushed:
    """Puts everything back as it was, and sends what is left, for at most so many seconds: if it is not
    given, for as long as the end of the program would wait.

    ``install`` may follow again; to the collector that is another process.
    """
    with _state.lock:
        if not _state.is_installed:
            return Flushed(True, 0)
        _state.is_installed = False
        if _loopd.on_collection in gc.callbacks:
            gc.callbacks.remove(_loopd.on_collection)
        _late.uninstall()
        _state.patches.restore()
        if _state.hooks is not None:
            _state.hooks.uninstall()
        complete, unsent = _loopd.stop(timeout)
        _resources.forget()
        return Flushed(complete, unsent)


def is_installed() -> bool:
    """Whether this process is being recorded."""
    return _state.is_installed


def pause() -> None:
    """Records nothing until ``resume``; everything stays in place."""
    _loopd.pause()


def resume() -> None:
    """Records again."""
    if _state.is_installed:
        _loopd.resume()


def stats() -> dict[str, Any]:
    """How the agent is doing: whether it is connected, how many records of each kind it has produced,
    lost and not yet delivered, the memory it takes, what it captures, and its last error."""
    return _loopd.stats()


def mark(name: str, message: str = "", **fields: object) -> None:
    """Marks this instant in the running task, for people to find on the timeline."""
    if _loopd.is_recording():
        _mark(name, message, fields)


@_checks._harmless
def _mark(name: str, message: str, fields: dict[str, object]) -> None:
    pairs = [(key, _checks._text(value)) for key, value in fields.items()]
    _loopd.mark("", _checks._text(name), _checks._text(message), pairs)


def _refuse_unknown_interpreters() -> None:
    if sys.implementation.name != "cpython":
        raise RuntimeError(f"loopd records CPython only, and this is {sys.implementation.name}")
    if sys.version_info < (3, 10):
        raise RuntimeError("loopd needs CPython 3.10 or newer")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise RuntimeError("loopd does not record builds of CPython without the global lock yet")


def _name_of_program() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name and spec.name != "__main__":
        name = spec.name
        return name[: -len(".__main__")] if name.endswith(".__main__") else name
    script = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c") else ""
    return script[:-3] if script.endswith(".py") else script or "python"


def _prepare() -> None:
    """Once in a process."""
    if _state.is_prepared:
        return
    _state.hooks = _hooks.Hooks()
    _state.hooks.prepare()
    _loopd.on_restart(_restart)
    os.register_at_fork(after_in_child=_after_fork)
    atexit.register(_at_exit)
    _state.is_prepared = True


def _start() -> None:
    assert _state.hooks is not None
    _loopd.start(_state.settings, _state.hooks.prepare(), _hooks.PLUMBING, _dump.answer)


def _at_exit() -> None:
    uninstall()
    _loopd.end()


def _after_fork() -> None:
    """In a child: nothing is recorded until it runs a loop."""
    _state.lock = threading.RLock()
    if not _state.is_installed:
        return
    try:
        _resources.forget()
        _loopd.after_fork(_hooks.PLUMBING)
    except Exception:
        _loopd.count_fault()


def _restart() -> None:
    """A forked child is about to run a loop."""
    try:
        _start()
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # Its children leave without `atexit`.
            util.Finalize(None, _at_exit, exitpriority=10)
    except Exception:
        _loopd.count_fault()


def uvloop_is_imported() -> None:
    """The program imported uvloop after ``install``."""
    try:
        _hook_uvloop()
    except Exception as error:
        _loopd.count_fault()
        _loopd.set_coverage("uvloop", False, f"this uvloop cannot be hooked: {error}")


def _hook_uvloop() -> None:
    with _state.lock:
        if _state.hooks is not None and _state.hooks.misses_uvloop():
            layer = _state.hooks.uvloop_is_imported()
            _checks.install_uvloop(_state.patches)
            _resources.install_uvloop(_state.patches)
            if layer is not None:
                _loopd.set_coverage(*layer)

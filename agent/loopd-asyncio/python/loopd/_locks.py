"""Who holds asyncio's locks and semaphores: methods that note it, and are no slower for that.

They do themselves what needs no waiting; everything else is left to the methods that were there before.
They are put in place only where those are ones we know (see ``_known``).
"""

from __future__ import annotations

import asyncio.locks
from typing import Any

from . import _known, _loopd
from ._patches import Patches

_Lock: Any = asyncio.locks.Lock
_Semaphore: Any = asyncio.locks.Semaphore
_Bounded: Any = asyncio.locks.BoundedSemaphore
_Mixin: Any = asyncio.locks._ContextManagerMixin  # type: ignore[attr-defined]


def are_known() -> bool:
    """Whether all methods are ones that ours do the same as."""
    return all(
        _known.is_known(name, function)
        for name, function in (
            ("__aenter__", _Mixin.__aenter__),
            ("Lock.acquire", _Lock.acquire),
            ("Lock.release", _Lock.release),
            ("Semaphore.acquire", _Semaphore.acquire),
            ("Semaphore.release", _Semaphore.release),
        )
    )


def install(patches: Patches) -> None:
    """Puts ours in place."""
    _install_lock(patches)
    _install_semaphore(patches)


def _named(ours: Any, original: Any) -> Any:
    ours.__qualname__ = original.__qualname__
    ours.__module__ = original.__module__
    ours.__doc__ = original.__doc__
    return ours


def _install_lock(patches: Patches) -> None:
    held, given = _loopd.held_alone, _loopd.given
    before_acquire = _Lock.acquire

    async def __aenter__(self: Any) -> None:
        if type(self) is _Lock and not self._locked and not self._waiters:
            self._locked = True
            held(self)
            return
        await self.acquire()

    async def acquire(self: Any) -> bool:
        if not self._locked and not self._waiters:
            self._locked = True
            held(self)
            return True
        await before_acquire(self)
        held(self)
        return True

    def release(self: Any) -> None:
        if self._locked:
            self._locked = False
            given(self)
            if self._waiters:
                self._wake_up_first()
        else:
            raise RuntimeError("Lock is not acquired.")

    patches.set(_Lock, "__aenter__", _named(__aenter__, _Mixin.__aenter__))
    patches.set(_Lock, "acquire", _named(acquire, before_acquire))
    patches.set(_Lock, "release", _named(release, _Lock.release))


def _install_semaphore(patches: Patches) -> None:
    held, given = _loopd.held, _loopd.given
    before_acquire = _Semaphore.acquire
    plain = (_Semaphore, _Bounded)

    async def __aenter__(self: Any) -> None:
        if self._value > 0 and not self._waiters and type(self) in plain:
            self._value -= 1
            held(self)
            return
        await self.acquire()

    async def acquire(self: Any) -> bool:
        if self._value > 0 and not self._waiters:
            self._value -= 1
            held(self)
            return True
        await before_acquire(self)
        held(self)
        return True

    def release(self: Any) -> None:
        self._value += 1
        given(self)
        if self._waiters:
            self._wake_up_next()

    patches.set(_Semaphore, "__aenter__", _named(__aenter__, _Mixin.__aenter__))
    patches.set(_Semaphore, "acquire", _named(acquire, before_acquire))
    patches.set(_Semaphore, "release", _named(release, _Semaphore.release))
    # Another may have had its address, and never been released.
    patches.around(_Semaphore, "__init__", after=lambda self, *_: _loopd.never_held(self))

"""Attributes that are ours while we are there, each put back as it was."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from . import _loopd

_MISSING = object()


class Patches:
    """What was replaced, in order."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def set(self, owner: Any, name: str, ours: Any) -> None:
        """Sets an attribute of a class or module."""
        before = vars(owner).get(name, _MISSING)
        _set(owner, name, ours)
        self._done.append((owner, name, before, ours))

    def around(
        self,
        owner: Any,
        name: str,
        *,
        before: Callable[..., None] | None = None,
        after: Callable[..., None] | None = None,
        always: bool = False,
    ) -> None:
        """Has ours called before or after a function, with its arguments; after it also when it failed,
        if ``always``. A function that is not there has nothing around it."""
        original = getattr(owner, name, None)
        if original is not None:
            self.set(owner, name, _loopd.around(original, before, after, always))

    def restore(self) -> None:
        """Puts everything back, but for what somebody else has replaced since."""
        for owner, name, before, ours in reversed(self._done):
            if vars(owner).get(name) is not ours:
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                _set(owner, name, before)
        self._done.clear()


def _set(owner: Any, name: str, value: Any) -> None:
    try:
        setattr(owner, name, value)
    except TypeError:
        # A type of C's, which lets nobody set what it has of its own.
        if name not in vars(owner):
            raise
        (members,) = gc.get_referents(vars(owner))
        members[name] = value
        _loopd.type_changed(owner)

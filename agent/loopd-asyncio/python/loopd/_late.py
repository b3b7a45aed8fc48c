"""Notices that the program imports uvloop, whose classes can only be hooked then."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType


class _Loader(importlib.abc.Loader):
    """Loads as another does, and says so."""

    def __init__(self, inner: importlib.abc.Loader, told: Callable[[], None]) -> None:
        self._inner = inner
        self._told = told

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        module.__loader__ = self._inner
        self._inner.exec_module(module)
        self._told()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds uvloop where it is, for the loader above."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._is_asking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "uvloop" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self._told)
        return spec


_finder: _Finder | None = None


def install(told: Callable[[], None]) -> None:
    """Has ``told`` called after uvloop is imported; not if it is already."""
    global _finder
    if "uvloop" not in sys.modules:
        _finder = _Finder(told)
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Notices nothing any more."""
    global _finder
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _finder = None

"""Forks: CPython 3.12 and later warn where a process with several threads forks. Threads of ours are not
the program's, and no lock of the program's is ever held by one: a program that has no others is not to be
warned because of them."""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from typing import Any

from . import _loopd
from ._patches import Patches


def _has_no_threads() -> bool:
    """Whether all threads but the running one are ours."""
    if threading.active_count() > 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) <= 1 + _loopd.own_threads()
    except OSError:
        return False


_IGNORED = ("ignore", re.compile(r"This process \(pid=\d+\) is multi-threaded"), DeprecationWarning, None, 0)


def _quiet() -> None:
    if _has_no_threads():
        filters: Any = warnings.filters
        # Without a word to the module, which would forget what it has shown once already.
        filters.insert(0, _IGNORED)


def _loud() -> None:
    filters: Any = warnings.filters
    if filters and filters[0] is _IGNORED:
        del filters[0]


def install(patches: Patches) -> None:
    """Keeps such a warning back. Nothing of Python's is between the program and the fork, so that any
    other warning names the program's own line."""
    if sys.version_info < (3, 12):
        return
    for name in ("fork", "forkpty"):
        patches.around(os, name, before=_quiet, after=_loud, always=True)

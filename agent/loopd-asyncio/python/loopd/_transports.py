"""uvloop's transports, servers and subprocesses as resources, by hooks in the types that it has of them.

When one is made and freed is seen by slots of its type, and when it is closed by its own methods, which
uvloop calls too: at the end of what it reads, after an error, for a server that could not be made.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from . import _loopd
from ._patches import Patches

#: What ends a transport or server: the class, the method, and whether what is left is written first.
_ENDS = [
    ("UVBaseTransport", "close", True),
    ("UVBaseTransport", "_force_close", False),
    ("Server", "close", False),
]


def find() -> None:
    """Looks for what the hooks need; raises what is to be said if it is not there."""
    module = sys.modules["uvloop.loop"]
    for name, method, _ in _ENDS:
        if method not in vars(getattr(module, name)):
            raise RuntimeError(f"no {name}.{method}")
    _loopd.find_transports(vars(module), asyncio._get_running_loop)


def install(patches: Patches) -> None:
    """Puts the hooks in place; `find` has found what they need."""
    module = sys.modules["uvloop.loop"]
    for name, method, writes_first in _ENDS:
        told = _loopd.transport_closes if writes_first else _loopd.transport_ends
        patches.around(getattr(module, name), method, before=told)
    loop: Any = sys.modules["uvloop"].Loop
    patches.around(loop, "close", before=_loopd.uvloop_closes, after=_loopd.uvloop_closed)
    _loopd.install_transports()


def uninstall() -> None:
    """Takes the slots' hooks away; the others are the patches' to restore."""
    _loopd.uninstall_transports()

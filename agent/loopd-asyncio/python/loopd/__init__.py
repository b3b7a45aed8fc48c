"""The flight recorder for asyncio.

``loopd.install()`` records every event loop of this process, also those that run already, and streams
what they do to ``loopd serve``. ``python -m loopd run app.py`` does the same without a change of code.

Settings that are not given come from environment variables (``LOOPD_ENDPOINT``, ``LOOPD_APP``,
``LOOPD_SLOW_THRESHOLD``, …), as for every agent of loopd.
"""

from __future__ import annotations

from ._agent import (
    Flushed,
    install,
    is_installed,
    mark,
    pause,
    resume,
    stats,
    uninstall,
)
from ._loopd import __version__

__all__ = [
    "Flushed",
    "__version__",
    "install",
    "is_installed",
    "mark",
    "pause",
    "resume",
    "stats",
    "uninstall",
]

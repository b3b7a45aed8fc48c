"""Where tasks wait, on demand."""

from __future__ import annotations

import asyncio.tasks
import time
from typing import Any

from . import _loopd

#: Tasks told in one answer.
MAX_TASKS = 10_000
#: Tasks looked at without giving the interpreter's lock away: about two milliseconds.
AT_ONCE = 500
#: Sets that change while they are looked at are looked at again, as ``asyncio.all_tasks`` does.
TRIES = 1_000


def _all_tasks() -> list[Any]:
    """Every task of every loop that has not ended."""
    tasks: Any = asyncio.tasks
    for _ in range(TRIES):
        try:
            if hasattr(tasks, "_scheduled_tasks"):
                found = [*tasks._scheduled_tasks, *tasks._eager_tasks]
            else:
                found = list(tasks._all_tasks)
        except RuntimeError:
            continue
        return [task for task in found if not task.done()]
    return []


def answer(dump: int) -> None:
    """Called on a thread of the agent's own."""
    tasks = _all_tasks()
    told = 0
    for first in range(0, min(len(tasks), MAX_TASKS), AT_ONCE):
        told += _loopd.dump_tasks(dump, tasks[first : min(first + AT_ONCE, MAX_TASKS)])
        # Others may have the lock.
        time.sleep(0)
    left_out = len(tasks) - told
    reason = f"more than {MAX_TASKS} tasks" if len(tasks) > MAX_TASKS else ""
    _loopd.dump_ended(dump, len(tasks), left_out, reason)

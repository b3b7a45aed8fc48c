"""What must never happen to the program: our faults, and memory that grows."""

import json
import sys

import pytest
from recording import TESTS, run

PROGRAMS = TESTS / "programs"
# Of ten parts of a run the first three may still fill caches and tables.
WARM_UP = 3
# What waits for the collector is kept, up to 8 MiB; a leak of 60 bytes a task would show.
MOST_GROWTH = 12 << 20


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop"])
def test_no_fault_of_ours_reaches_the_program(collector, flavor):
    """Each call into the agent fails once, in native code and in Python: all results stay the same."""
    finished = run(
        [sys.executable, str(PROGRAMS / "faults.py"), flavor], LOOPD_ENDPOINT=collector.endpoint
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    native, after = map(json.loads, finished.stdout.splitlines())
    assert native["wrong"] == 0
    # There are some, or nothing was tried.
    assert native["calls"] > 50
    assert after["faults"] >= native["calls"] - 1
    assert after["installed"]


def test_memory_stays_flat_over_very_many_tasks(collector):
    finished = run(
        [sys.executable, str(PROGRAMS / "many_tasks.py"), "300000"],
        LOOPD_ENDPOINT=collector.endpoint,
    )
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    sizes = told["sizes"]
    assert max(sizes[WARM_UP:]) - sizes[WARM_UP - 1] < MOST_GROWTH, sizes
    assert told["memory"] <= 32 << 20
    (row,) = collector.wait_until_ended()
    (counts,) = collector.query("select sum(spawned) as spawned, sum(ended) as ended from rollups")
    (losses,) = collector.query(
        "select coalesce(sum(count), 0) as lost from losses where kind = 'task'"
    )
    assert counts["spawned"] + losses["lost"] >= 300_001
    assert counts["spawned"] - counts["ended"] <= losses["lost"]

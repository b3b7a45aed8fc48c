"""What happens on a loop, and in which order, is the same with and without loopd."""

import functools
import sys

import pytest
from recording import NO_COLLECTOR, TESTS, run

LOOPS = TESTS / "scenarios" / "loops.py"


def names():
    lines = LOOPS.read_text().splitlines()
    marks = ("@scenario", "@by_hand")
    follow = [after for line, after in zip(lines, lines[1:]) if line in marks]
    return [line.split("def ")[1].partition("(")[0] for line in follow]


@functools.cache
def happened(flavor, under_loopd):
    """What happened in each scenario, and how the program ended. All of them run in one process."""
    command = [sys.executable]
    if under_loopd:
        command += ["-m", "loopd", "run"]
    finished = run([*command, str(LOOPS), flavor], LOOPD_ENDPOINT=NO_COLLECTOR)
    lines = {}
    for line in finished.stdout.splitlines():
        scenario, _, what = line.partition(" | ")
        lines.setdefault(scenario, []).append(what)
    return lines, finished


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop"])
@pytest.mark.parametrize("scenario", names())
def test_a_loop_does_the_same_under_loopd(scenario, flavor):
    bare, _ = happened(flavor, False)
    traced, finished = happened(flavor, True)
    assert bare.get(scenario) and not any("ended by" in line for line in bare[scenario]), bare
    assert traced.get(scenario) == bare[scenario], finished.stderr


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop"])
def test_all_scenarios_come_to_their_end(flavor):
    for under_loopd in (False, True):
        lines, finished = happened(flavor, under_loopd)
        assert finished.returncode == 0, finished.stderr
        assert "the end" in lines
        # A scenario without a line would be compared with nothing.
        assert set(names()) <= lines.keys()

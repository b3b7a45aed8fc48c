"""The package itself: it leaves no trace, lives as often as wanted, and runs programs as Python would."""

import json
import signal
import subprocess
import sys

import pytest
from recording import NO_COLLECTOR, PROGRAM_LIMIT_S, TESTS, clean_environment, run

PROGRAMS = TESTS / "programs"


def run_program(name, *args, endpoint=NO_COLLECTOR):
    finished = run([sys.executable, str(PROGRAMS / name), *args], LOOPD_ENDPOINT=endpoint)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_uninstall_puts_back_everything_that_was_replaced():
    report = json.loads(run_program("restores.py"))
    for how, paths in report.items():
        assert paths["left"] == [], f"{how}: not as before: {paths['left']}"
        # The look itself sees what is replaced.
        assert "asyncio.events.Handle._run" in paths["installed"]
        assert "uvloop.loop.Server alloc" in paths["installed"]
        assert "uvloop.loop.UVBaseTransport.close" in paths["installed"]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_method_that_the_program_replaced_stays_replaced(when):
    assert run_program("patched.py", when).split() == ["called:", "True", "kept:", "True"] + ["called:", "True"]


def test_each_installation_is_a_process_of_its_own(collector):
    lines = run_program("lifetimes.py", endpoint=collector.endpoint).splitlines()
    each = [["installed: True {}", "complete: True 0", "installed: False -1"]] * 3
    expected = [line.format(number) for number, block in enumerate(each) for line in block]
    assert lines == ["installed: False", *expected]
    rows = collector.wait_until_ended(3)
    assert [row["app"] for row in rows] == ["life 0", "life 1", "life 2"]
    for number, row in enumerate(rows):
        here = f"process = {row['process']}"
        names = collector.query(f"select name from tasks where {here} and name like 'work%'")
        assert names == [{"name": f"work {number}"}]
        (mark,) = collector.query(f"select * from marks where {here}")
        assert (mark["target"], mark["message"]) == ("midway", "half of it")
        assert json.loads(mark["fields"]) == {"number": str(number)}


def test_loops_that_run_already_are_seen_from_then_on(collector):
    assert run_program("running_loops.py", endpoint=collector.endpoint).split() == ["5", "7", "40", "40"]
    (row,) = collector.wait_until_ended()
    tasks = collector.query("select name, outcome, polls from tasks where kind = 'async'")
    outcomes = {t["name"]: (t["outcome"], t["polls"]) for t in tasks}
    assert outcomes["late"] == ("completed", 6)
    assert outcomes["ticks"] == ("completed", 8)
    # Of a task that was there before, what came after is known; so is what came before the end of ours.
    assert outcomes.get("early", ("completed", 1))[0] == "completed"
    assert outcomes["outlives it"][0] != "completed"
    loops = collector.query("select flavor from loops")
    assert loops == [{"flavor": "asyncio"}] * 2


def as_python(*args, under_loopd):
    command = [sys.executable, *(["-m", "loopd", "run"] if under_loopd else []), *args]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PROGRAM_LIMIT_S,
        cwd=PROGRAMS,
        env=clean_environment(LOOPD_ENDPOINT=NO_COLLECTOR),
    )


@pytest.mark.parametrize(
    "args",
    [
        ["as_main.py"],
        ["as_main.py", "code", "--app", "-m", "mine"],
        ["as_main.py", "text"],
        ["as_main.py", "error"],
        ["as_main.py", "loop"],
        ["as_main.py", "interrupt"],
        [str(PROGRAMS / "as_main.py")],
        ["-m", "as_main"],
        ["-m", "package", "an argument", "-m", "--app"],
        ["-m", "package.__main__"],
    ],
    ids=" ".join,
)
def test_a_program_cannot_tell_how_it_was_started(args):
    bare, traced = (as_python(*args, under_loopd=under_loopd) for under_loopd in (False, True))
    assert traced.stdout == bare.stdout
    assert traced.returncode == bare.returncode
    # Frames of who called the program are the difference.
    last = [run.stderr.splitlines()[-1:] for run in (bare, traced)]
    assert last[0] == last[1], traced.stderr
    if "interrupt" in args:
        assert traced.returncode == -signal.SIGINT


def test_what_is_not_there_is_said_as_python_says_it():
    for args in (["nothing.py"], ["-m", "nothing"]):
        bare, traced = (as_python(*args, under_loopd=under_loopd) for under_loopd in (False, True))
        assert traced.returncode == bare.returncode, traced.stderr
        assert "nothing" in traced.stderr


def test_switched_off_it_is_not_there():
    finished = run(
        [sys.executable, "-c", "import loopd; loopd.install(); print(loopd.is_installed())"],
        LOOPD_ENABLED="0",
    )
    assert finished.stdout == "False\n", finished.stderr


def test_a_setting_that_cannot_be_used_is_refused():
    program = "import loopd\ntry: loopd.install(slow_threshold=-1)\nexcept ValueError: print('refused')"
    finished = run([sys.executable, "-c", program])
    assert finished.stdout == "refused\n", finished.stderr

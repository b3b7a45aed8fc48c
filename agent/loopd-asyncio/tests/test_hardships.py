"""Programs that are hard on a guest say and do the same with loopd in them."""

import contextlib
import platform
import re
import sys

import pytest
from recording import NO_COLLECTOR, PROGRAM_LIMIT_S, TESTS, command_of, run, running, words_of

HARDSHIPS = TESTS / "programs" / "hardships.py"
NAMES = re.findall(r"^def (\w+)\(\):", HARDSHIPS.read_text(), re.MULTILINE)
# How Python is asked to be strict, each with a program that does a bit of everything.
STRICT = ["-Xdev", "-Werror", "-OO", "-Xtracemalloc=10", "-Ximporttime", "-I"]
# What is left unawaited depends on where in the loop the signal comes.
TOLD_BY_CHANCE = [("interrupted_at_any_moment",)]


def check(program, *args, flavor="asyncio", options=(), **env):
    commands = [
        command_of(program, *args, flavor=flavor, under_loopd=under_loopd)
        for under_loopd in (False, True)
    ]
    bare, traced = (
        run([command[0], *options, *command[1:]], LOOPD_ENDPOINT=NO_COLLECTOR, **env)
        for command in commands
    )
    assert traced.returncode == bare.returncode, traced.stderr
    assert traced.stdout == bare.stdout, traced.stderr
    if args not in TOLD_BY_CHANCE and "-Ximporttime" not in options:
        # How long something took is how busy the machine is.
        said = [
            [
                # Processes have numbers of their own.
                re.sub(r"\(pid=\d+\)", "(pid=N)", line)
                for line in words_of(run.stderr, program)
            ]
            for run in (bare, traced)
        ]
        assert said[1] == said[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_hard_program_does_the_same_under_loopd(name):
    if "subinterpreter" in name and sys.version_info < (3, 12):
        pytest.skip("before 3.12 asyncio's own C code is not made for subinterpreters")
    check(HARDSHIPS, name)


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop"])
@pytest.mark.parametrize("option", STRICT)
def test_strict_modes_of_python_find_nothing_more(option, flavor):
    check(TESTS / "tutorials" / "echo.py", flavor=flavor, options=[option])


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop"])
def test_asyncio_debug_mode_finds_nothing_more(flavor):
    check(TESTS / "tutorials" / "echo.py", flavor=flavor, PYTHONASYNCIODEBUG="1")


def test_stacks_that_are_taken_at_any_moment_do_no_harm():
    """Where almost every step is slow, a stack is taken every few milliseconds, in the middle of anything."""
    command = command_of(TESTS / "programs" / "busy.py", 5, under_loopd=True)
    command[1:1] = ["-X", "faulthandler"]
    env = {"LOOPD_SLOW_THRESHOLD": "1ms", "LOOPD_ENDPOINT": NO_COLLECTOR}
    with contextlib.ExitStack() as all_of_them:
        programs = [all_of_them.enter_context(running(command, **env)) for _ in range(4)]
        ends = [program.communicate(timeout=PROGRAM_LIMIT_S) for program in programs]
        for program, (stdout, stderr) in zip(programs, ends):
            assert (program.returncode, stdout) == (0, "unharmed\n"), stderr


@pytest.mark.parametrize("name", ["odd_places", "begun_before", "in_a_sandbox", "while_it_runs"])
def test_stacks_are_read_without_the_lock(name):
    if name == "in_a_sandbox" and platform.machine() != "x86_64":
        pytest.skip("the number of the system call is that of x86_64")
    ended = run(
        [sys.executable, "-X", "faulthandler", TESTS / "programs" / "stacks.py", name],
        LOOPD_ENDPOINT=NO_COLLECTOR,
    )
    assert (ended.returncode, ended.stdout) == (0, "as it is\n"), ended.stderr

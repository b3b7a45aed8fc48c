"""A real `loopd serve` for a test, programs that run under loopd, and what was stored of them."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parent
# What a program may take, on a busy machine.
PROGRAM_LIMIT_S = 150
# Within this an agent that has said goodbye has to be in the store.
STORED_LIMIT_S = 60
# Nobody listens on the discard port of a machine that runs tests.
NO_COLLECTOR = "http://127.0.0.1:9"


def loopd_binary():
    """The collector; `cargo xtask test python` says where it built it."""
    target = os.environ.get("CARGO_TARGET_DIR", TESTS.parents[2] / "target")
    return os.environ.get("LOOPD_BINARY") or str(Path(target, "debug", "loopd"))


def clean_environment(**more):
    """The environment without what would change how a program or its agent behaves."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOOPD_", "PYTHON"))}
    if more.get("LOOPD_ENDPOINT", NO_COLLECTOR) != NO_COLLECTOR:
        # Where all of it has to arrive, the end waits for that, however busy the machine is.
        more.setdefault("LOOPD_EXIT_TIMEOUT", "60s")
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def wait_for(what, condition, limit_s=STORED_LIMIT_S):
    """The first true value of `condition`, asked again and again until the limit."""
    ends_at = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < ends_at, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


def with_numbers(row):
    """A row with instants as numbers, which JSON has as text because they are too large for some."""
    is_instant = re.compile(r"(.*_)?at").fullmatch
    return {k: int(v) if v is not None and is_instant(k) else v for k, v in row.items()}


class Collector:
    """`loopd serve` on a free port of the loopback, with a database of its own."""

    def __init__(self, folder):
        self.db = str(folder / "recording.db")
        self.log = folder / "serve.log"
        command = [loopd_binary(), "serve", "--listen", "127.0.0.1:0", "--db", self.db]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*command, "--durability", "relaxed"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=clean_environment(),
            )
        first_line = self.process.stdout.readline()
        address = re.search(r"http://\S+", first_line)
        assert address, f"loopd serve said {first_line!r}; {self.log.read_text()}"
        self.endpoint = address.group()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=STORED_LIMIT_S)

    def query(self, sql):
        """The rows of a query, as dictionaries. By HTTP: `loopd query` for each would be half of a test."""
        host = self.endpoint.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=60)
        with contextlib.closing(connection):
            body = json.dumps({"sql": sql})
            headers = {"content-type": "application/json"}
            connection.request("POST", "/api/v1/query", body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status == 200, f"{sql}: {text}"
        view = json.loads(text)
        names = [column["name"] for column in view["columns"]]
        return [with_numbers(dict(zip(names, row))) for row in view["rows"]]

    def ask(self, *words):
        """What a command of loopd answers with `--json`."""
        command = [loopd_binary(), *words, "--url", self.endpoint, "--json"]
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=clean_environment()
        )
        # 4 says that the data is incomplete, which the assertions on it would show.
        assert answer.returncode in (0, 4), f"{command}: {answer.stderr}"
        return [with_numbers(json.loads(line)) for line in answer.stdout.splitlines()]

    def wait_until_ended(self, processes=1):
        """Waits until the first so many programs have said goodbye, and gives the rows of all."""

        def ended():
            rows = self.query("select * from processes order by process")
            first = rows[:processes]
            return len(first) == processes and all(r["state"] == "ended" for r in first) and rows

        return wait_for(f"{processes} processes have ended", ended)


class Recording:
    """One run of a program under loopd: what it printed, and what was stored of it."""

    def __init__(self, collector, program, finished, process):
        self.collector = collector
        self.program = program
        self.stdout = finished.stdout
        self.stderr = finished.stderr
        self.process = process

    def query(self, sql):
        """Rows of this run; every view in the statement is narrowed to it by `{here}`."""
        return self.collector.query(sql.replace("{here}", f"process = {self.process['process']}"))

    def tasks(self, name=None):
        """All tasks, or those of a name, in order of spawn."""
        rows = self.query("select * from tasks where {here} order by spawned_at, task")
        return [r for r in rows if name is None or r["name"] == name]

    def task(self, name):
        """The one task of this name."""
        rows = self.tasks(name)
        seen = [r["name"] for r in self.tasks()]
        assert len(rows) == 1, f"{len(rows)} tasks are called {name!r}; there are {seen}"
        return rows[0]

    def line(self, marker):
        """`file:line` of the line of the program that ends with this comment."""
        return line_of(self.program, marker)

    def marks(self, check):
        """Marks that one of asyncio's own checks left, with `fields` as a dictionary."""
        rows = self.query("select * from marks where {here} and target = 'asyncio' order by at")
        for row in rows:
            row["fields"] = json.loads(row["fields"])
        return [r for r in rows if r["fields"].get("check") == check]

    def checks(self):
        """The names of all checks that spoke up, in alphabetical order."""
        rows = self.query("select fields from marks where {here} and target = 'asyncio'")
        return sorted(json.loads(row["fields"])["check"] for row in rows)

    def stack(self, stack):
        """The frames of a stack, from what was running outwards, as `function file:line`."""
        rows = self.query(f"select * from frames where {{here}} and stack = {stack} order by depth")
        return [f"{r['function']} {r['file']}:{r['line']}" for r in rows]


def line_of(program, marker):
    for number, line in enumerate(program.read_text().splitlines(), 1):
        if line.endswith(f"# {marker}"):
            return f"{program}:{number}"
    raise AssertionError(f"no line of {program} ends with the comment {marker!r}")


def command_of(program, *args, flavor="asyncio", under_loopd, app=None):
    """How to run a program: with asyncio's loops or uvloop's, bare or under loopd."""
    command = [sys.executable]
    if under_loopd:
        command += ["-m", "loopd", "run", "--app", app or program.stem]
    if flavor == "uvloop":
        command.append(str(TESTS / "on_uvloop.py"))
    return [*command, str(program), *map(str, args)]


def run(command, **env):
    """Runs a program to its end."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PROGRAM_LIMIT_S,
        env=clean_environment(**env),
        stdin=subprocess.DEVNULL,
    )


def trace(collector, program, *args, flavor="asyncio", processes=1, env=None):
    """Runs a program bare and under loopd, checks that nobody can tell which, and gives what was stored.

    Of what goes to stderr the frames of other files are left out: loopd's are not there when it is not,
    and some of asyncio's are not there when it is.
    """
    env = env or {}
    bare = run(command_of(program, *args, flavor=flavor, under_loopd=False), **env)
    command = command_of(program, *args, flavor=flavor, under_loopd=True)
    traced = run(command, **env, LOOPD_ENDPOINT=collector.endpoint)
    assert traced.returncode == bare.returncode, f"under loopd: {traced.stderr}\nbare: {bare.stderr}"
    assert traced.stdout == bare.stdout, traced.stderr
    said = [words_of(run.stderr, program) for run in (traced, bare)]
    assert said[0] == said[1], f"under loopd: {said[0]}\nbare: {said[1]}"
    rows = collector.wait_until_ended(processes)
    return Recording(collector, program, traced, rows[0])


def words_of(stderr, program):
    """What a program wrote to stderr, without addresses, times, the frames of other files, and what asyncio's
    debug mode found slow, which on a busy machine may be anything.

    Without frames there is no heading either, where all of them were of functions that loopd replaces.
    """
    lines, is_ours = [], True
    for line in stderr.splitlines():
        if line.startswith("  File "):
            is_ours = str(program) in line
        elif not line.startswith("    "):
            is_ours = True
        # Underlined code, which some versions have and some frames do not.
        if is_ours and not line.startswith("Executing ") and not re.fullmatch(r"[\s~^]*|Traceback \(most recent call last\):", line):
            line = re.sub(r"x[0-9a-f]{6,}|\d+\.\d+ seconds|(fd|when)=[\d.]+|\b\d{4,}\b", "…", line)
            lines.append(line)
    return lines


@contextlib.contextmanager
def running(command, **env):
    """A program that runs until the block ends, or is stopped in it."""
    program = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=clean_environment(**env),
    )
    try:
        yield program
    finally:
        if program.poll() is None:
            program.kill()
            program.communicate()
        for stream in (program.stdout, program.stderr):
            stream.close()

"""Runs CPython's own tests of asyncio bare and under loopd, and compares them test by test.

Every module of `test.test_asyncio` runs in a process of its own, once as it is and once after
`loopd.install()` with an endpoint where nobody listens. What differs is run again, both ways, since some
of these tests depend on how busy the machine is: only what differs every time counts.

    python stdlib_suite.py                  # exit code 1 if any test has another outcome under loopd
    python stdlib_suite.py --check-itself   # bare against bare: says how steady the suite is here
"""

import argparse
import collections
import importlib.util
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import typing
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Nobody listens on the discard port of a machine that runs tests.
NO_COLLECTOR = "http://127.0.0.1:9"
# These take longest, so they begin first.
LONGEST = ("test_tasks", "test_subprocess", "test_ssl", "test_events", "test_sslproto", "test_taskgroups")
# No module takes a tenth of this, even on a busy machine.
MODULE_LIMIT_S = 360
RERUNS = 6
# Every supported version has more than two thousand; far fewer mean that something else was run.
LEAST_TESTS = 2000
# A crash takes all later tests of its module with it; the first few tell enough.
MOST_SHOWN = 20
MOST_LINES = 15


class Recorder(unittest.TestResult):
    """Writes a line for each test that begins and each that ends, so that a crash tells where."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines
        self.outcome = None
        self.detail = ""

    def write(self, test, outcome, detail=""):
        self.line(test.id(), outcome, detail)

    def line(self, name, outcome, detail):
        self.lines.write(json.dumps([name, outcome, detail]) + "\n")
        self.lines.flush()

    def end(self, test, outcome, detail=""):
        if test.id().startswith(("setUp", "tearDown")):
            # Fixtures of a class or module neither begin nor end.
            self.write(test, outcome, detail)
        elif self.outcome is None:
            self.outcome, self.detail = outcome, detail

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.detail = None, ""
        self.write(test, "began")

    def stopTest(self, test):
        super().stopTest(test)
        self.write(test, self.outcome or "failed", self.detail)

    def addSuccess(self, test):
        self.end(test, "ok")

    def addFailure(self, test, err):
        self.end(test, "failed", shown(err))

    def addError(self, test, err):
        self.end(test, "error", shown(err))

    def addSkip(self, test, reason):
        self.end(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.end(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.end(test, "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.write(subtest, "failed", shown(err))


def shown(err):
    return "".join(traceback.format_exception(*err))[-3000:]


def run_module(module, results, under_loopd):
    """The child: runs one module and writes what became of its tests."""
    # Ignored by what a shell started in the background, and tests of Ctrl+C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if under_loopd:
        import loopd

        loopd.install(endpoint=NO_COLLECTOR, app="stdlib-suite")
    from test import support

    # As `python -m test` does it: nothing that needs the network or patience.
    support.use_resources = ()
    with open(results, "w", encoding="utf-8") as lines:
        recorder = Recorder(lines)
        try:
            suite = unittest.defaultTestLoader.loadTestsFromName(f"test.test_asyncio.{module}")
        except unittest.SkipTest as reason:
            recorder.line(f"(module {module})", "skipped", str(reason))
        else:
            suite.run(recorder)
    if under_loopd and not loopd.is_installed():
        raise SystemExit("loopd is not installed any more at the end of the module")


class Outcome(typing.NamedTuple):
    """What became of one test."""

    word: str
    detail: str = ""
    module: str = ""


ABSENT = Outcome("absent")
CRASHED = "crashed"
NOT_ENDED = "did not end"


class Variant:
    """One of the two ways to run the suite."""

    def __init__(self, name, under_loopd):
        self.name = name
        self.under_loopd = under_loopd

    def run(self, module):
        """What became of every test of one module."""
        # Also the current directory: these tests leave files in it.
        with tempfile.TemporaryDirectory(prefix="loopd-stdlib-") as folder:
            results = Path(folder, "results")
            # With `faulthandler`, so that a crash tells where.
            command = [sys.executable, "-X", "faulthandler", __file__]
            command += ["--module", module, "--results", str(results)]
            if self.under_loopd:
                command.append("--under-loopd")
            env = {k: v for k, v in os.environ.items() if not k.startswith(("LOOPD_", "PYTHON"))}
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            is_over = False
            try:
                output, _ = child.communicate(timeout=MODULE_LIMIT_S)
                is_over, end = True, f"exit status {child.returncode}"
            except subprocess.TimeoutExpired:
                child.kill()
                output, _ = child.communicate()
                end = f"nothing after {MODULE_LIMIT_S} s"
            end = f"{end}\n{output[-3000:]}"
            outcomes = read_results(results, module, end)
        # The process has to end well, too; how its tests ended says nothing of that.
        word = "ok" if child.returncode == 0 else CRASHED if child.returncode < 0 else "failed"
        # That it was killed here is no crash.
        word = word if is_over else NOT_ENDED
        outcomes[f"(process of {module})"] = Outcome(word, end, module)
        return outcomes


def read_results(path, module, end):
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    outcomes = {}
    for line in lines:
        test, word, detail = json.loads(line)
        if word == "began":
            word, detail = NOT_ENDED, end
        outcomes[test] = Outcome(word, detail, module)
    return outcomes


def run_modules(variants, modules, workers):
    """The outcomes of all tests of these modules for each variant."""
    outcomes = {variant.name: {} for variant in variants}
    with ThreadPoolExecutor(workers) as pool:
        runs = [(v, pool.submit(v.run, module)) for module in modules for v in variants]
        for variant, run in runs:
            outcomes[variant.name].update(run.result())
    return outcomes


def all_modules():
    import test.test_asyncio

    names = {m.name for m in pkgutil.iter_modules(test.test_asyncio.__path__)}
    names = sorted(name for name in names if name.startswith("test_"))
    return sorted(names, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))


def differing(first, second):
    tests = first.keys() | second.keys()
    return sorted(t for t in tests if first.get(t, ABSENT).word != second.get(t, ABSENT).word)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="only these modules, such as test_tasks")
    parser.add_argument("--check-itself", action="store_true", help="compare bare with bare")
    parser.add_argument("--workers", type=int, default=4, help="processes at a time")
    parser.add_argument("--module", help=argparse.SUPPRESS)
    parser.add_argument("--results", help=argparse.SUPPRESS)
    parser.add_argument("--under-loopd", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.module:
        run_module(args.module, args.results, args.under_loopd)
        return 0
    return compare(args)


def compare(args):
    bare = Variant("bare", under_loopd=False)
    other = Variant("bare again", False) if args.check_itself else Variant("under loopd", True)
    if other.under_loopd and importlib.util.find_spec("loopd") is None:
        print(f"the package loopd is not installed for {sys.executable}")
        return 1
    began_at = time.monotonic()
    outcomes = run_modules([bare, other], args.modules or all_modules(), args.workers)
    left = differing(outcomes[bare.name], outcomes[other.name])
    # For each of them what became of it, run by run and by variant.
    runs = {test: [] for test in left}
    again = outcomes
    for rerun in range(RERUNS + 1):
        if rerun:
            modules = {runs[test][-1][name].module for test in left for name in again}
            # One at a time: what depends on a calm machine shall have one.
            again = run_modules([bare, other], sorted(modules - {""}), 1)
        for test in left:
            runs[test].append({name: again[name].get(test, ABSENT) for name in again})
        left = [test for test in left if len({o.word for o in runs[test][-1].values()}) > 1]
        if not left:
            break

    # A crash is no matter of how busy the machine is, nor is a process that does not end in ten times its time.
    for test in runs.keys() - set(left):
        words = {name: {run[name].word for run in runs[test]} for name in (bare.name, other.name)}
        if {CRASHED, NOT_ENDED} & (words[other.name] - words[bare.name]):
            left.append(test)

    total = len(outcomes[bare.name])
    counts = collections.Counter(outcome.word for outcome in outcomes[bare.name].values())
    words = ", ".join(f"{n} {word}" for word, n in counts.most_common())
    took = f"{time.monotonic() - began_at:.0f} s"
    version = sys.version.split()[0]
    print(f"{version}: {total} tests of asyncio: {words}; {other.name}: {len(left)} differ ({took})")
    for test in sorted(runs, key=lambda test: test not in left)[:MOST_SHOWN]:
        show(test, runs[test], differs=test in left)
    if len(runs) > MOST_SHOWN:
        print(f"  and {len(runs) - MOST_SHOWN} more")
    if not args.modules and total < LEAST_TESTS:
        print(f"  only {total} tests were found")
        return 1
    return 1 if left else 0


def show(test, runs, differs):
    print(f"  {'DIFFERS' if differs else 'unsteady, but agreed'}: {test}")
    for name in runs[0]:
        print(f"    {name}: {', '.join(run[name].word for run in runs)}")
        details = [run[name].detail for run in runs if run[name].word != "ok"]
        for line in details[-1].splitlines()[-MOST_LINES:] if details else ():
            print(f"      | {line}")


if __name__ == "__main__":
    sys.exit(main())

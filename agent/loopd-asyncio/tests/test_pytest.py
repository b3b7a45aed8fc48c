"""A test suite with pytest-asyncio comes out the same under loopd, and is recorded."""

import re
import sys

import pytest
from recording import TESTS, run

PROJECT = TESTS / "pytest_project"
PYTEST = ["-m", "pytest", "-v", "--rootdir", str(PROJECT), "-p", "no:cacheprovider", str(PROJECT)]


def results(finished):
    """Everything pytest says, without times and addresses."""
    return re.sub(r"in \d+\.\d+s|0x[0-9a-f]+|=+", "…", finished.stdout)


@pytest.mark.parametrize("how", ["conftest", "run"])
def test_a_suite_of_pytest_asyncio_comes_out_the_same(collector, how):
    bare = run([sys.executable, *PYTEST])
    assert "1 failed, 9 passed, 1 skipped, 1 xfailed" in bare.stdout
    if how == "conftest":
        traced = run([sys.executable, *PYTEST], RECORD_SUITE="1", LOOPD_ENDPOINT=collector.endpoint)
    else:
        command = [sys.executable, "-m", "loopd", "run", "--app", "suite", *PYTEST]
        traced = run(command, LOOPD_ENDPOINT=collector.endpoint)
    assert results(traced) == results(bare)
    assert traced.returncode == bare.returncode
    (process,) = collector.wait_until_ended()
    assert process["app"] == "suite"
    rows = collector.query("select name, outcome, count(*) as n from tasks where kind = 'async' group by 1, 2")
    outcomes = {(r["name"], r["outcome"]): r["n"] for r in rows}
    if sys.version_info >= (3, 11):
        check_tests(outcomes)
    assert outcomes["left behind", "cancelled"] == 1
    assert outcomes["double", "completed"] >= 5


def check_tests(outcomes):
    """Tests themselves are tasks; before 3.11 they are of a class in Python, and seen as callbacks."""
    assert outcomes["test_gathers", "completed"] == 1
    assert outcomes["test_fails", "raised"] == 1
    assert outcomes["test_is_expected_to_fail", "raised"] == 1
    assert outcomes["test_parameters", "completed"] == 3

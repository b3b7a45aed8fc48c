"""What every test here gets: a collector of its own, and one way to run programs."""

import functools
import importlib.util
from pathlib import Path

import pytest
import recording


def pytest_configure(config):
    if importlib.util.find_spec("loopd") is None:
        pytest.exit("the package loopd is not installed here: `cargo xtask test python` does that", 1)
    if not Path(recording.loopd_binary()).exists():
        pytest.exit(f"no collector at {recording.loopd_binary()}: `cargo build --package loopd`", 1)


@pytest.fixture
def collector(tmp_path):
    collector = recording.Collector(tmp_path)
    yield collector
    collector.stop()


@pytest.fixture
def trace(collector):
    """Runs a program bare and under loopd, and gives the recording; see `recording.trace`."""
    return functools.partial(recording.trace, collector)


# The suite that `test_pytest.py` runs.
collect_ignore = ["pytest_project"]

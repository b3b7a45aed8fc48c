"""What a loop opens is a resource from when it is opened to when it is closed, on either kind of loop."""

import re

import pytest
from recording import TESTS

MS = 1_000_000
ADDRESS = r"127\.0\.0\.1:\d+"


@pytest.fixture(params=["asyncio", "uvloop"])
def opens(request, trace):
    """Runs a part of `programs/transports.py`; gives the recording and what was opened."""

    def run(what):
        seen = trace(TESTS / "programs" / "transports.py", what, flavor=request.param)
        # Everything that was produced is stored, nothing was dropped on the way.
        assert seen.query("select * from losses where {here}") == []
        kinds = "('event loop', 'executor', 'async generator')"
        rows = seen.query(f"select * from resources where {{here}} and kind not in {kinds}")
        for row in rows:
            assert row["opened_at"] <= row["closed_at"], row
        return seen, rows

    return run


def line_of(seen, what, marker):
    """What nobody asks for, as the other end of a connection, is of the line that runs the loop."""
    return seen.line("run" if marker == "run" else f"{what.replace('_', ' ')}: {marker}")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("tcp", ["server server", "transport transport", "transport run"]),
        ("unix", ["server server", "transport transport", "transport run"]),
        ("another_protocol", ["server server", "transport transport", "transport run"]),
        ("accepted", ["transport accepted", "transport transport"]),
        ("datagram", ["datagram transport transport"]),
        ("pipes", ["read pipe read", "write pipe write"]),
        ("refused", []),
    ],
)
def test_it_is_of_the_line_that_opened_it(opens, what, expected):
    seen, rows = opens(what)
    found = sorted((row["kind"], row["location"], row["how"]) for row in rows)
    pairs = [pair.rsplit(maxsplit=1) for pair in expected]
    lines = [(kind, line_of(seen, what, marker), "closed") for kind, marker in pairs]
    assert found == sorted(lines)
    assert seen.checks() == []


def test_a_subprocess_is_open_until_it_has_ended_and_so_are_its_pipes(opens):
    seen, rows = opens("child")
    assert sorted(row["kind"] for row in rows) == ["read pipe", "subprocess", "write pipe"]
    assert {row["how"] for row in rows} == {"closed"}
    (child,) = (row for row in rows if row["kind"] == "subprocess")
    assert child["location"] == line_of(seen, "child", "child")
    assert seen.checks() == []


@pytest.mark.parametrize(
    ("what", "kind", "marker", "name"),
    [
        ("tcp", "server", "server", ADDRESS),
        ("tcp", "transport", "transport", f"{ADDRESS} - {ADDRESS}"),
        ("tcp", "transport", "run", f"{ADDRESS} - {ADDRESS}"),
        ("unix", "server", "server", "/.+"),
        ("unix", "transport", "transport", "/.+"),
        ("datagram", "datagram transport", "transport", ADDRESS),
        ("child", "subprocess", "child", r"pid \d+"),
        ("pipes", "read pipe", "read", ""),
    ],
)
def test_it_is_called_by_its_addresses(opens, what, kind, marker, name):
    seen, rows = opens(what)
    place = (kind, line_of(seen, what, marker))
    names = [row["name"] for row in rows if (row["kind"], row["location"]) == place]
    assert len(names) == 1 and re.fullmatch(name, names[0] or ""), names


def test_it_is_open_until_it_has_written_what_was_left(opens):
    _, (transport,) = opens("stuck")
    assert transport["how"] == "closed"
    assert transport["closed_at"] - transport["opened_at"] >= 300 * MS


def test_a_transport_that_is_freed_while_it_is_open_is_unclosed(opens):
    seen, rows = opens("forgotten")
    line = line_of(seen, "forgotten", "transport")
    left = [r["location"] for r in rows if (r["kind"], r["how"]) == ("transport", "unclosed")]
    assert left == [line]
    assert len(seen.marks("unclosed_transport")) == 1, seen.checks()


def test_a_connection_that_is_cancelled_in_the_making_is_no_leak(opens):
    seen, rows = opens("cancelled")
    assert {row["how"] for row in rows} <= {"closed"}
    assert seen.checks() == []


def test_of_many_connections_none_is_left(opens):
    _, rows = opens("many")
    assert [row["how"] for row in rows] == ["closed"] * 1001

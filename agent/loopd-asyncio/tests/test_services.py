"""Services as people write them, under load from another process: loopd names the line that blocks and the
line that leaks."""

import re
import signal
import sys

import pytest
from recording import TESTS, line_of, run, running, wait_for

SERVICES = TESTS / "services"
SUBSCRIPTIONS = 40


def aiohttp_shop(flavor):
    program = SERVICES / "shop_aiohttp.py"
    shim = [str(TESTS / "on_uvloop.py")] if flavor == "uvloop" else []
    return program, [*shim, str(program)]


def fastapi_shop(flavor):
    words = ["--app-dir", str(SERVICES), "--port", "0", "--loop", flavor, "shop_fastapi:app"]
    return SERVICES / "shop_fastapi.py", ["-m", "uvicorn", *words]


def address_of(service, stream):
    """Reads what a service says until it says where it listens."""
    said = []
    for line in stream:
        said.append(line)
        found = re.search(r"http://[\d.]+:\d+", line)
        if found:
            return found.group()
    raise AssertionError(f"the service ended with {service.wait()}: {''.join(said)}")


@pytest.mark.parametrize("flavor", ["asyncio", "uvloop"])
@pytest.mark.parametrize("shop", [aiohttp_shop, fastapi_shop])
def test_the_blocking_and_the_leaking_line_of_a_service_are_named(collector, shop, flavor):
    source, words = shop(flavor)
    command = [sys.executable, "-m", "loopd", "run", "--app", "shop", *words]
    with running(command, LOOPD_ENDPOINT=collector.endpoint) as service:
        stream = service.stdout if shop is aiohttp_shop else service.stderr
        url = address_of(service, stream)
        load = run([sys.executable, str(SERVICES / "load.py"), url, str(SUBSCRIPTIONS)])
        assert load.returncode == 0, load.stderr

        # Both while it runs, by what a user would type.
        leaking = line_of(source, "leaks")

        def leak():
            rows = collector.ask("leaks", "--app", "shop")
            at = [r for r in rows if f"{r['location']['file']}:{r['location']['line']}" == leaking]
            return at if at and at[0]["alive"] == SUBSCRIPTIONS else None

        (leak,) = wait_for(f"{leaking} has {SUBSCRIPTIONS} tasks alive", leak)
        assert (leak["what"], leak["verdict"], leak["ended"]) == ("task", "growing", 0)
        growing = collector.ask("leaks", "--app", "shop", "--growing")
        assert [r["what"] for r in growing].count("task") == 1, growing

        blocking = line_of(source, "blocks")
        reports = SUBSCRIPTIONS // 10

        def slow():
            # Where a busy machine lets the service wait, other places are slow, too.
            rows = [r for r in collector.ask("slow", "--app", "shop") if r["function"] == "sum_up"]
            return rows if rows and rows[0]["polls"] == reports else None

        (worst,) = wait_for(f"{reports} slow reports", slow)
        assert worst["by"] == "stack", worst
        assert blocking.endswith(worst["location"]) or worst["location"] == blocking
        assert worst["max"] >= 150_000_000

        # Told by SIGTERM, uvicorn stops in order and then ends itself by the same signal, so that
        # nothing at exit is called. By SIGINT it exits.
        service.send_signal(signal.SIGTERM if shop is aiohttp_shop else signal.SIGINT)
        assert service.wait(60) == 0
    (process,) = collector.wait_until_ended()
    assert process["state"] == "ended"
    assert collector.query("select * from losses") == []
    loops = collector.query("select flavor from loops where flavor is not null")
    assert loops == [{"flavor": flavor}]
    watches = collector.query("select polls from tasks where name = 'watch'")
    # Where the loop is shut down in order, a second step ends them.
    assert len(watches) == SUBSCRIPTIONS and {w["polls"] for w in watches} <= {1, 2}

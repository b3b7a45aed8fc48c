"""A test suite that records itself, if it is told to."""

import os

import pytest

if os.environ.get("RECORD_SUITE"):
    import loopd

    loopd.install(app="suite")


@pytest.fixture
async def connection():
    """Something asynchronous that is set up and torn down on the test's loop."""
    import asyncio

    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

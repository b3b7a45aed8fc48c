"""What tests of asynchronous code do; one of them fails, and one is skipped."""

import asyncio

import pytest


async def double(number):
    await asyncio.sleep(0.001)
    return 2 * number


async def test_gathers():
    assert await asyncio.gather(*(double(number) for number in range(5))) == [0, 2, 4, 6, 8]


async def test_uses_a_fixture(connection):
    reader, writer = await asyncio.open_connection("127.0.0.1", connection)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_fails():
    assert await double(2) == 5


async def test_times_out():
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.sleep(60), 0.01)


async def test_leaves_a_task():
    asyncio.create_task(asyncio.sleep(60), name="left behind")
    await asyncio.sleep(0)


@pytest.mark.asyncio(loop_scope="module")
async def test_on_the_loop_of_the_module():
    assert asyncio.get_running_loop().is_running()


@pytest.mark.parametrize("number", range(3))
async def test_parameters(number):
    assert await double(number) == 2 * number


async def test_is_skipped():
    await double(1)
    pytest.skip("not today")


def test_is_not_asynchronous():
    assert asyncio.run(double(4)) == 8


@pytest.mark.xfail(strict=True)
async def test_is_expected_to_fail():
    await double(1)
    raise ValueError("as expected")

"""Tasks with names and without, inside tasks, and what they give."""

import asyncio


async def leaf(number):
    await asyncio.sleep(0.001 * number)
    return number


async def branch():
    tasks = [asyncio.create_task(leaf(n)) for n in range(3)]  # spawn leaf
    return sum(await asyncio.gather(*tasks))


async def broken():
    await asyncio.sleep(0)
    raise LookupError("nothing there")


class Worker:
    async def work(self):
        await asyncio.sleep(0)
        return "worked"


async def main():
    named = asyncio.create_task(branch(), name="the branch")  # spawn branch
    method = asyncio.get_running_loop().create_task(Worker().work())  # spawn work
    failing = asyncio.ensure_future(broken())  # spawn broken
    print(await named, named.get_name(), await method)
    try:
        await failing
    except LookupError as error:
        print("raised:", error)


asyncio.run(main())

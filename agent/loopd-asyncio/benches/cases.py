"""The work: each case opens what it needs once, and yields a coroutine function that does a number of
operations. They are written as an application would, and touch nothing of loopd."""

import asyncio
import contextlib
import os
import subprocess
import sys

# Tasks that take turns: a loop with one alone would spend its time in `select`.
TURNS = 16
# What is spawned or scheduled before the loop gets its turn.
GROUP = 64
# Pairs of tasks that pass a token.
PAIRS = 8
# Connections that are busy at the same time.
CONNECTIONS = 8

MESSAGE = b"x" * 63 + b"\n"


async def nothing():
    pass


def callback():
    pass


@contextlib.asynccontextmanager
async def switch():
    async def take(turns):
        for _ in range(turns):
            await asyncio.sleep(0)

    async def work(operations):
        await asyncio.gather(*(take(operations // TURNS) for _ in range(TURNS)))

    yield work


@contextlib.asynccontextmanager
async def spawn():
    async def work(operations):
        for _ in range(operations // GROUP):
            for task in [asyncio.create_task(nothing()) for _ in range(GROUP)]:
                await task

    yield work


@contextlib.asynccontextmanager
async def call_soon():
    loop = asyncio.get_running_loop()

    async def work(operations):
        for _ in range(operations // GROUP):
            for _ in range(GROUP):
                loop.call_soon(callback)
            await asyncio.sleep(0)

    yield work


@contextlib.asynccontextmanager
async def ping_pong():
    async def ping(there, back, trips):
        for _ in range(trips):
            await there.put(None)
            await back.get()

    async def pong(there, back, trips):
        for _ in range(trips):
            await there.get()
            await back.put(None)

    async def work(operations):
        trips = operations // PAIRS
        tasks = []
        for _ in range(PAIRS):
            there, back = asyncio.Queue(1), asyncio.Queue(1)
            tasks += [ping(there, back, trips), pong(there, back, trips)]
        await asyncio.gather(*tasks)

    yield work


@contextlib.asynccontextmanager
async def echo():
    """Server and client in one loop."""
    serving = []

    async def serve(reader, writer):
        serving.append(asyncio.current_task())
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async def ask(reader, writer, times):
        for _ in range(times):
            writer.write(MESSAGE)
            await writer.drain()
            await reader.readline()

    async def work(operations):
        times = operations // CONNECTIONS
        await asyncio.gather(*(ask(*connection, times) for connection in connections))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    yield work
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    await asyncio.gather(*serving)
    server.close()
    await server.wait_closed()


@contextlib.asynccontextmanager
async def echo_server():
    """The server alone; a process without a loop asks it.

    Both share a processor and let each other finish, so that the server always finds the requests of all
    connections at once: how many it finds decides what each costs, and is left to chance otherwise.
    """
    left = 0
    done = None
    serving = []

    async def serve(reader, writer):
        nonlocal left
        serving.append(asyncio.current_task())
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
            left -= 1
            if left == 0:
                done.set_result(None)
        writer.close()

    async def work(operations):
        nonlocal left, done
        left = operations
        done = asyncio.get_running_loop().create_future()
        client.stdin.write(b"%d\n" % (operations // CONNECTIONS))
        await done

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    program = os.path.join(os.path.dirname(__file__), "client.py")
    command = [sys.executable, "-I", "-S", program, str(port), str(CONNECTIONS)]
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    client = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)
    yield work
    client.stdin.close()
    client.wait()
    await asyncio.gather(*serving)
    server.close()
    await server.wait_closed()
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(0, processors)


# The name, and of what number a batch's operations are a multiple.
BY_NAME = {
    "switch": (switch, TURNS),
    "spawn": (spawn, GROUP),
    "call_soon": (call_soon, GROUP),
    "ping_pong": (ping_pong, PAIRS),
    "echo": (echo, CONNECTIONS),
    "echo_server": (echo_server, CONNECTIONS),
}

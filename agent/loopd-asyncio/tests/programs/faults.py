"""Each part of the agent that a small program calls fails once: the program must not notice."""

import asyncio
import json
import sys

import loopd
from loopd import _loopd


async def worker(queue, lock, done):
    while True:
        item = await queue.get()
        async with lock:
            done.append(item)
        await asyncio.sleep(0)
        queue.task_done()


async def serve(reader, writer):
    writer.write(await reader.readline())
    writer.close()


async def call():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"called over there\n")
    answer = await reader.read()
    writer.close()
    server.close()
    return answer


async def main():
    loop = asyncio.get_running_loop()
    queue, lock, done = asyncio.Queue(2), asyncio.Lock(), []
    workers = [asyncio.create_task(worker(queue, lock, done)) for _ in range(2)]
    for item in range(4):
        await queue.put(item)
    await queue.join()
    called = loop.create_future()
    loop.call_soon(called.set_result, "called")
    loop.call_later(0, done.append, "later")
    done.append(await called)
    done.append(await call())
    done.append(await loop.run_in_executor(None, str, 7))
    for each in workers:
        each.cancel()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    return [sorted(map(str, done)), [type(how).__name__ for how in ended]]


def native():
    """Fails at the first call of native code, then at the second, and so on, until none is left."""
    results, calls = [], 0
    while True:
        calls += 1
        loopd.resume()
        before = loopd.stats()["faults"]
        _loopd.inject_fault(calls)
        results.append(asyncio.run(main()))
        if loopd.stats()["faults"] == before:
            _loopd.inject_fault(0)
            break
    return calls, results


def python():
    """Every native function fails that the package's Python code calls."""
    names = ["opened", "closed", "mark", "job_queued", "job_started", "job_ended"]
    names += ["loop_closed", "loop_closing", "task_number", "task_fields"]

    def fails(*args, **kwargs):
        raise RuntimeError("a fault made on purpose")

    originals = {name: getattr(_loopd, name) for name in names}
    for name in names:
        setattr(_loopd, name, fails)
    try:
        return [asyncio.run(main()) for _ in range(3)]
    finally:
        for name, original in originals.items():
            setattr(_loopd, name, original)


if sys.argv[1:] == ["uvloop"]:
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
expected = asyncio.run(main())
loopd.install(app="faults")
calls, results = native()
results += python()
print(json.dumps({"calls": calls, "wrong": sum(result != expected for result in results)}))
print(json.dumps({"faults": loopd.stats()["faults"], "installed": loopd.is_installed()}))
sys.exit(any(result != expected for result in results))

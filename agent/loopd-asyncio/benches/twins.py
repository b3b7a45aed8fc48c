"""Two processes take turns, a batch each: one bare, and its twin that records.

The bare one is forked off when the interpreter and the case are warm, so that both have the same memory
laid out the same way; neither has anything of the other's recorder in it. Batches of some milliseconds
side by side see the same machine, which is not the same all the time.
"""

import contextlib
import gc
import json
import os
import socket
import time

import cases
import loops
import recorders

# Batches after the fork that are not counted: pages are copied, and a recorder starts its threads.
WARM_UP = 2
# Goes before other programs where that is allowed: what they do is noise.
PRIORITY = -10


def compare(job):
    # Threads made later have the same.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    operations = calibrate(job)
    ours, theirs = socket.socketpair()
    # The bare twin leaves without the ceremonies at the end of an interpreter.
    if os.fork() == 0:
        ours.close()
        with contextlib.suppress(EOFError):
            serve(job, operations, theirs)
        os._exit(0)
    theirs.close()
    twin = Remote(ours)
    recorder_type = recorders.BY_NAME[job["recorder"]]
    _, multiple = cases.BY_NAME[job["case"]]
    own_operations = max(operations // recorder_type.slowdown // multiple, 1) * multiple
    recorder = recorder_type(job)
    recording = Local(job, own_operations)
    for _ in range(WARM_UP):
        twin.batch()
        recording.batch()
    others = other_threads()
    pairs = []
    for i in range(job["pairs"]):
        # Neither is always the one that finds what the other left behind.
        if i % 2:
            bare, own = twin.batch(), recording.batch()
        else:
            own, bare = recording.batch(), twin.batch()
        pairs.append([own, bare])
    twin.close()
    recording.close()
    answer = recorder.finish()
    answer["agent_nanos"] = other_threads() - others
    answer["operations"] = (WARM_UP + job["pairs"]) * own_operations
    answer["bare"] = [per_operation(bare, operations) for _, bare in pairs]
    answer["own"] = [per_operation(own, own_operations) for own, _ in pairs]
    return answer


def calibrate(job):
    """How many operations fill a batch."""
    # The C library maps large buffers anew each time, as for each `recv` of asyncio, until one was freed
    # whole. That must not happen in one of the twins alone.
    bytes(1 << 20)
    wanted = job["millis"] * 1_000_000
    _, multiple = cases.BY_NAME[job["case"]]
    local = Local(job, multiple)
    spent = 0
    while spent < wanted / 2:
        local.operations *= 2
        # What runs for the first time is slow.
        spent = min(local.batch()[0], local.batch()[0])
    local.close()
    return max(int(local.operations * wanted / spent) // multiple, 1) * multiple


class Local:
    """The case in this process."""

    def __init__(self, job, operations):
        case, _ = cases.BY_NAME[job["case"]]
        self.operations = operations
        self.loop = loops.new(job["loop"])
        self.case = case()
        self.work = self.loop.run_until_complete(self.case.__aenter__())

    def batch(self):
        """Nanoseconds of this thread, and by the clock on the wall."""
        gc.collect()
        return self.loop.run_until_complete(self.timed())

    async def timed(self):
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        await self.work(self.operations)
        cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
        return cpu, wall

    def close(self):
        self.loop.run_until_complete(self.case.__aexit__(None, None, None))
        self.loop.close()


class Remote:
    """The case in the twin."""

    def __init__(self, connection):
        self.connection = connection
        self.lines = connection.makefile("r")

    def batch(self):
        self.connection.sendall(b"\n")
        line = self.lines.readline()
        if not line:
            raise EOFError("the bare twin ended")
        return json.loads(line)

    def close(self):
        self.connection.shutdown(socket.SHUT_WR)
        self.lines.read()
        os.wait()


def serve(job, operations, connection):
    """The twin's side: a batch for each line."""
    local = Local(job, operations)
    for _ in connection.makefile("r"):
        connection.sendall(json.dumps(local.batch()).encode() + b"\n")
    local.close()


def other_threads():
    """Nanoseconds of all threads but this one."""
    return time.process_time_ns() - time.thread_time_ns()


def per_operation(spent, operations):
    cpu, wall = spent
    return [cpu / operations, wall / operations]

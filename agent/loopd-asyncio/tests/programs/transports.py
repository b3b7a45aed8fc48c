"""Opens what a loop can open, in one way or another, and closes it."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import tempfile


class Line(asyncio.Protocol):
    """Answers a line with the same, and ends with what it was told; has no room for anything else."""

    __slots__ = ("transport", "heard", "lost")

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.heard, self.lost = loop.create_future(), loop.create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if not self.heard.done():
            self.heard.set_result(data)

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class Echo(Line):
    def data_received(self, data):
        self.transport.write(data)
        self.transport.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc):
        self.lost.set_result(exc)


async def talk(transport, protocol):
    transport.write(b"hello")
    print(await protocol.heard, await protocol.lost, transport.is_closing())


async def tcp():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)  # tcp: server
    address = server.sockets[0].getsockname()
    await talk(*await loop.create_connection(Line, *address))  # tcp: transport
    server.close()
    await server.wait_closed()


async def unix():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        server = await loop.create_unix_server(Echo, path)  # unix: server
        await talk(*await loop.create_unix_connection(Line, path))  # unix: transport
        server.close()
        await server.wait_closed()


async def accepted():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    await loop.connect_accepted_socket(Echo, ours)  # accepted: accepted
    await talk(*await loop.create_unix_connection(Line, sock=theirs))  # accepted: transport


async def another_protocol():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)  # another protocol: server
    address = server.sockets[0].getsockname()
    transport, first = await loop.create_connection(Line, *address)  # another protocol: transport
    second = Line()
    transport.set_protocol(second)
    await talk(transport, second)
    print(transport.get_protocol() in (None, second), first.heard.done(), first.lost.done())
    server.close()
    await server.wait_closed()


async def datagram():
    loop = asyncio.get_running_loop()
    local = ("127.0.0.1", 0)
    transport, protocol = await loop.create_datagram_endpoint(Datagrams, local)  # datagram: transport
    transport.close()
    print(await protocol.lost)


async def pipes():
    loop = asyncio.get_running_loop()
    read, write = (os.fdopen(end, mode, 0) for end, mode in zip(os.pipe(), ("rb", "wb")))
    _, reads = await loop.connect_read_pipe(Line, read)  # pipes: read
    writer, writes = await loop.connect_write_pipe(Line, write)  # pipes: write
    writer.write(b"hello")
    print(await reads.heard)
    writer.close()
    print(await writes.lost, await reads.lost)


async def child():
    command = [sys.executable, "-c", "print(input())"]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)  # child: child
    print(await process.communicate(b"hello\n"), process.returncode)


async def refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    try:
        await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        print("refused")


async def cancelled():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for turns in range(8):
            task = asyncio.create_task(asyncio.open_connection(*listener.getsockname()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                _, writer = await task
                writer.close()
            except asyncio.CancelledError:
                pass
    await asyncio.sleep(0.01)


async def stuck():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        transport, protocol = await loop.create_connection(Line, *address)  # stuck: transport
        transport.write(bytes(32 << 20))
        transport.close()
        # Time in which it would end, were it not stuck: nothing is to happen.
        await asyncio.sleep(0.3)
        print(protocol.lost.done(), transport.get_write_buffer_size() > 0)
        transport.abort()
        print(await protocol.lost)


async def forgotten():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)  # forgotten: transport
        await asyncio.sleep(0.01)
        # A loop keeps only what it reads from.
        transport.pause_reading()
        del transport, _
        gc.collect()
        await asyncio.sleep(0.01)


async def many():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=500)  # many: server
    address = server.sockets[0].getsockname()

    async def one():
        transport, protocol = await loop.create_connection(Line, *address)  # many: transport
        transport.write(b"hello")
        return await protocol.heard, await protocol.lost

    for _ in range(5):
        print(set(await asyncio.gather(*(one() for _ in range(100)))))
    server.close()
    await server.wait_closed()


asyncio.run(globals()[sys.argv[1]]())  # run

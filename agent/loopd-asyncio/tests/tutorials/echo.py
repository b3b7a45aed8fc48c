"""A server and ten clients in one loop, with a subprocess that talks back."""

import asyncio
import sys


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def client(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for word in ("hello", "again"):
        writer.write(f"{word} {number}\n".encode())
    answers = [await reader.readline() for _ in range(2)]
    writer.close()
    await writer.wait_closed()
    return b"".join(answers).decode().split()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # server
    port = server.sockets[0].getsockname()[1]
    print(await asyncio.gather(*(client(port, number) for number in range(10))))
    server.close()
    await server.wait_closed()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])", stdin=-1, stdout=-1
    )
    print(await child.communicate(b"loopd\n"), child.returncode)


asyncio.run(main())

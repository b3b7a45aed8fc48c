"""Connections are dropped without being closed, and stay open until the garbage collector comes."""

import asyncio

from running import run

RULES = ["unclosed_transport"]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"yes\n")
    await reader.read()
    writer.close()


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # <- disease
    writer.write(b"really?\n")
    return await reader.readline()


async def main() -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        while True:
            await ask(port)  # <- disease
            await asyncio.sleep(0.02)


run(main())

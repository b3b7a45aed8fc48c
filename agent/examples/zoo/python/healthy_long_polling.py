"""Clients ask for news and wait for seconds until there are some, as they should."""

import asyncio
import contextlib

from running import run

RULES: list[str] = []


async def main() -> None:
    news = asyncio.Condition()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while await reader.readline():
                async with news:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(news.wait(), 1.5)
                writer.write(b"news\n")

    async def ask_for_ever(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(b"?\n")
                await reader.readline()
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.TaskGroup() as clients:
            for _ in range(10):
                clients.create_task(ask_for_ever(port))
            while True:
                await asyncio.sleep(2)
                async with news:
                    news.notify_all()


run(main())

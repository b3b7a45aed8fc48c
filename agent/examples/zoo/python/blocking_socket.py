"""Prices are asked for with a client that blocks, as many that are older than asyncio do."""

import asyncio
import socket
import threading
import time

from running import run

RULES = ["blocking_call"]


def slow_prices(listener: socket.socket) -> None:
    """Another company's server. It takes its time."""
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            time.sleep(0.25)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n42")


def price(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /price HTTP/1.0\r\n\r\n")
        return connection.recv(1000)  # <- disease


async def show(address: tuple[str, int]) -> None:
    price(address)


async def ping() -> None:
    while True:
        await asyncio.sleep(0.01)


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=slow_prices, args=(listener,), daemon=True).start()
    async with asyncio.TaskGroup() as carts:
        carts.create_task(ping())
        while True:
            carts.create_task(show(listener.getsockname()))
            await asyncio.sleep(0.4)


run(main())

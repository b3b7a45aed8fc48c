"""Opens something and forgets to close it."""

import asyncio
import gc
import socket
import sys


async def serve(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()


async def transport():
    loop = asyncio.get_running_loop()
    address = listener.getsockname()
    forgotten, _ = await loop.create_connection(asyncio.Protocol, *address)  # transport
    print("connected:", forgotten.get_extra_info("peername") == address)


async def listening():
    forgotten = await asyncio.start_server(serve, "127.0.0.1", 0)  # server
    print("serving:", forgotten.is_serving())


async def plain_socket():
    forgotten = socket.socket()  # socket
    print("socket:", forgotten.type == socket.SOCK_STREAM)
    del forgotten
    await asyncio.sleep(0)


def loop():
    forgotten = asyncio.new_event_loop()  # loop
    forgotten.run_until_complete(asyncio.sleep(0))
    print("closed:", forgotten.is_closed())


# Its backlog takes connections; without it they would be closed.
listener = socket.create_server(("127.0.0.1", 0))
what = globals()[sys.argv[1]]
if asyncio.iscoroutinefunction(what):
    asyncio.run(what())
else:
    what()
gc.collect()
listener.close()
print("end")

"""Makes a loop, runs it in another thread, and hands it work from this one."""

import asyncio
import threading


async def answer(question):
    await asyncio.sleep(0.01)
    return f"{question} 42"


def serve(loop):
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


loop = asyncio.new_event_loop()
thread = threading.Thread(target=serve, args=(loop,), name="answers")
thread.start()
for question in ("first?", "second?"):
    print(asyncio.run_coroutine_threadsafe(answer(question), loop).result())
loop.call_soon_threadsafe(loop.stop)
thread.join()
print("closed:", loop.is_closed())

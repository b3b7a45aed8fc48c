"""Says all that a program can tell of how it was started, and goes as it is told."""

import asyncio
import pickle
import sys

import beside


class Thing:
    pass


main = sys.modules["__main__"]
print(__name__, main.__dict__ is globals(), __package__, getattr(__spec__, "name", None))
print(sys.argv, __file__, beside.__name__)
print(sys.path[0], sys.flags.interactive)
print(sorted(name for name in globals() if name.startswith("__")))
print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)
how = sys.argv[1] if len(sys.argv) > 1 else ""
if how == "code":
    sys.exit(3)
if how == "text":
    sys.exit("that is why")
if how == "error":
    raise ValueError("uncaught")
if how == "interrupt":
    raise KeyboardInterrupt
if how == "loop":

    async def fails():
        raise ValueError("out of a loop")

    asyncio.run(fails())

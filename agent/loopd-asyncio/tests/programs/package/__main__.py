"""The package's own program."""

import asyncio
import sys

from . import __doc__ as doc


async def main():
    await asyncio.sleep(0)
    print(__name__, __package__, __spec__.name, doc, sys.argv[1:])


asyncio.run(main())

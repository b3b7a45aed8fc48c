"""Runs a program as it is, on loops of uvloop: `python on_uvloop.py PROGRAM ARGS…`."""

import asyncio
import runpy
import sys

import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")

"""``python -m loopd run app.py …`` and ``python -m loopd run -m package …``: runs a program as Python
would, and records it."""

from __future__ import annotations

import argparse
import atexit
import builtins
import importlib.machinery
import os
import runpy
import signal
import sys
import threading
import types
import zipfile
from collections.abc import Callable, Sequence

from . import __version__, install


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loopd", description=__doc__)
    parser.add_argument("--version", action="version", version=f"loopd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="run a program and record it",
        description="Runs a script, or with -m a module, and records its event loops. What is not "
        "given here comes from LOOPD_… variables.",
        usage="python -m loopd run [options] (script.py | -m module) [arguments …]",
    )
    run.add_argument("--endpoint", help="where loopd serve listens (http://127.0.0.1:7411)")
    run.add_argument("--app", help="what to call the program (the script's name)")
    run.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    run.add_argument(
        "--slow-threshold",
        type=float,
        metavar="SECONDS",
        help="from which length a callback is slow (0.1)",
    )
    run.add_argument("-m", dest="module", action="store_true", help="run a module, as python -m does")
    run.add_argument("program", help="a script, or a module after -m")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program gets")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the command line says."""
    parser = _parser()
    args = parser.parse_args(argv)
    labels = dict(label.partition("=")[::2] for label in args.label) or None
    app = args.app
    if app is None and not os.environ.get("LOOPD_APP"):
        name = os.path.basename(args.program)
        app = args.program if args.module else name[:-3] if name.endswith(".py") else name
    sys.argv = [args.program, *args.arguments]
    # As the interpreter does: a module is looked for here, a script's own modules beside it.
    sys.path[0] = os.getcwd() if args.module else os.path.dirname(os.path.abspath(args.program))
    try:
        install(
            endpoint=args.endpoint,
            app=app,
            labels=labels,
            slow_threshold=args.slow_threshold,
        )
    except (RuntimeError, ValueError) as error:
        parser.exit(2, f"loopd: {error}\n")
    if args.module:
        _run_module(args.program)
    else:
        _run_script(args.program)


def _run_script(path: str) -> None:
    """As ``python path`` does."""
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        # With a `__main__` inside.
        sys.path[0] = path
        runpy.run_path(path, run_name="__main__")
        return
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        message = f"can't open file {os.path.abspath(path)!r}: [Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: {message}", file=sys.stderr)
        sys.exit(2)
    # From Python 3.9 on the path of a script is whole.
    path = os.path.abspath(path)
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    module.__package__ = None
    vars(module).update(__builtins__=builtins, __annotations__={}, __cached__=None)
    _run(lambda: compile(source, path, "exec", dont_inherit=True), module)


def _run_module(name: str) -> None:
    """As ``python -m name`` does."""
    try:
        name, spec, code = runpy._get_module_details(name)  # type: ignore[attr-defined]
    except runpy._Error as error:  # type: ignore[attr-defined]
        print(f"{sys.executable}: {error}", file=sys.stderr)
        sys.exit(1)
    sys.argv[0] = spec.origin
    module = types.ModuleType("__main__")
    module.__file__ = spec.origin
    module.__loader__ = spec.loader
    module.__package__ = spec.parent
    module.__spec__ = spec
    vars(module).update(__builtins__=builtins, __annotations__={}, __cached__=spec.cached)
    _run(lambda: code, module)


def _run(compiled: Callable[[], types.CodeType], module: types.ModuleType) -> None:
    """Runs code as the main module; what it raises is shown without our frames."""
    # It stays: threads and handlers at exit may look for it.
    sys.modules["__main__"] = module
    _keep.append(module)
    try:
        exec(compiled(), vars(module))
    except SystemExit:
        raise
    except BaseException as error:
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_globals is not vars(module):
            traceback = traceback.tb_next
        # Of an error in its syntax there is no frame of its own.
        error = error.with_traceback(traceback)
        sys.excepthook(type(error), error, traceback)
        if isinstance(error, KeyboardInterrupt):
            _die_of_interrupt()
        sys.exit(1)


def _die_of_interrupt() -> None:
    """As Python does after an interrupt that nobody caught, so that a shell sees one."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


_keep: list[types.ModuleType] = []

if __name__ == "__main__":
    main()

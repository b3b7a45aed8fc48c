"""Prints the digests that `python/loopd/_known.py` lists, of the asyncio of any release of CPython.

    python3.12 known.py CPYTHON [TAG ...]

CPYTHON is a folder with CPython's `Lib`: a git checkout if there are tags, each of which is looked at, and
without tags it is looked at as it is. For all releases of one minor version:

    python3.12 known.py CPYTHON $(git -C CPYTHON tag --list 'v3.12.?' 'v3.12.??')

What is new there is to be compared with `src/asyncio` and with `_on_exception` and `_prune` in
`python/loopd/_hooks.py` before it is added. The interpreter must be of the releases' minor version, since
the same source has other bytecode in another.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

sys.path.append(str(Path(__file__).parent / "python" / "loopd"))
import _known  # noqa: E402

#: Where each function is.
FUNCTIONS = {
    "Handle._run": ("events", "Handle", "_run"),
    "call_soon": ("base_events", "BaseEventLoop", "call_soon"),
    "_call_soon": ("base_events", "BaseEventLoop", "_call_soon"),
    "create_task": ("base_events", "BaseEventLoop", "create_task"),
    "_run_once": ("base_events", "BaseEventLoop", "_run_once"),
    "__aenter__": ("locks", "_ContextManagerMixin", "__aenter__"),
    "Lock.acquire": ("locks", "Lock", "acquire"),
    "Lock.release": ("locks", "Lock", "release"),
    "Semaphore.acquire": ("locks", "Semaphore", "acquire"),
    "Semaphore.release": ("locks", "Semaphore", "release"),
}


def read(cpython: str, tag: str | None, path: str) -> str:
    if tag is None:
        return (Path(cpython) / path).read_text(encoding="utf-8")
    return subprocess.check_output(["git", "-C", cpython, "show", f"{tag}:{path}"], encoding="utf-8")


def has_our_bytecode(cpython: str, tag: str | None) -> bool:
    """Whether a release writes bytecode that this interpreter reads; a number stands for each format."""
    source = read(cpython, tag, "Lib/importlib/_bootstrap_external.py")
    magic = re.search(r"^MAGIC_NUMBER = \((\d+)\)", source, re.MULTILINE)
    return magic is not None and int(magic[1]) == int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little")


def within(code: CodeType, name: str) -> CodeType:
    found = [part for part in code.co_consts if isinstance(part, CodeType) and part.co_name == name]
    (only,) = found
    return only


def digests(cpython: str, tag: str | None) -> Iterator[tuple[str, str]]:
    for function, (module, kind, name) in FUNCTIONS.items():
        source = read(cpython, tag, f"Lib/asyncio/{module}.py")
        code = compile(source, module, "exec", dont_inherit=True, optimize=0)
        yield function, _known.digest(within(within(code, kind), name))


def main(cpython: str, *tags: str) -> None:
    releases: dict[tuple[str, str], list[str]] = {}
    for tag in tags or (None,):
        release = tag or cpython
        if not has_our_bytecode(cpython, tag):
            sys.exit(f"{release} has other bytecode than Python {sys.version.split()[0]}")
        for found in digests(cpython, tag):
            releases.setdefault(found, []).append(release)
    for (function, number), those in sorted(releases.items()):
        state = "known" if number in _known.KNOWN[function] else "new"
        print(f"{function:12} {number} {state:6} {' '.join(those)}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])

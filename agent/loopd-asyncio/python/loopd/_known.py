"""Which functions of asyncio may be replaced by ours, and not only accompanied: those whose bytecode is
one that was read and found to do what ours does.

The digests are printed by ``known.py``, beside this package's ``pyproject.toml``: it compiles the source
of any release of CPython with an interpreter of the same minor version. A function that has none of them
was not read and is only accompanied, as is one that has a docstring under ``-OO``.
"""

from __future__ import annotations

import hashlib
from types import CodeType, FunctionType
from typing import Any

#: By function: digests of its code, with the releases that have it. Looked at were all of them up to
#: 3.10.15, 3.11.10 and 3.12.7, then 3.12.9 and 3.13.0, 3.13.2, 3.13.5, 3.13.15 and 3.13.18.
KNOWN: dict[str, frozenset[str]] = {
    "Handle._run": frozenset(
        {
            "582739cf1e320416",  # 3.10
            "c9a0ba64d8c22dc3",  # 3.11
            "85385d4ed06dbbc5",  # 3.12
            "8b83f746f8d0294d",  # 3.13
        }
    ),
    "call_soon": frozenset(
        {
            "846f31bcf6d1394a",  # 3.10
            "f2166a73bcaea009",  # 3.11
            "4304efed9c86627d",  # 3.12
            "3a4d6569e1386cfd",  # 3.13
        }
    ),
    "_call_soon": frozenset(
        {
            "53e3555a75350365",  # 3.10
            "2355ccb61da06e29",  # 3.11
            "24210cfafb3fe416",  # 3.12
            "63e971d56c9b2f61",  # 3.13
        }
    ),
    # 3.13.3 is left out: it takes any argument by name and hands on to `Task` only what it was given,
    # where ours always gives a name.
    "create_task": frozenset(
        {
            "8bb23fe5266f5db6",  # 3.10
            "f47bda1fdba5890c",  # 3.11
            "0c84dbf94e2fb029",  # 3.12.0 to 3.12.7
            "9c1bd4c4f5946662",  # 3.12.9: forgets the task when it returns
            "d1f5f2e29396aab0",  # 3.13.0
            "0fb4b18f967f3353",  # 3.13.2: forgets the task when it returns
            "1bc7580020759a0c",  # 3.13.5 on: takes any argument by name, which ours leaves to it
        }
    ),
    # Of the methods of locks only those four releases were looked at.
    "__aenter__": frozenset(
        {
            "4ea7d969d2b6556e",  # 3.10.13
            "65185b417df7d91a",  # 3.11.7
            "5f54a8d8e3c46bc5",  # 3.12.1
            "eb96dbcdb8ad9af3",  # 3.13.0
        }
    ),
    "Lock.acquire": frozenset(
        {
            "d2c3890eba015c5a",  # 3.10.13
            "074c4b9a3d38e1b4",  # 3.11.7
            "9d0798129106db3a",  # 3.12.1
            "8ef683a0cf1e0533",  # 3.13.0
        }
    ),
    "Lock.release": frozenset(
        {
            "e31538637a5c8c10",  # 3.10.13
            "f0437f2db86f8e1d",  # 3.11.7
            "75619432fa4000a1",  # 3.12.1
            "d1638660c429e26b",  # 3.13.0
        }
    ),
    "Semaphore.acquire": frozenset(
        {
            "5c924353055d5f2c",  # 3.10.13
            "85cc977d7b180eb9",  # 3.11.7
            "5d5bb76336d4bc53",  # 3.12.1
            "6c1db60a7162fcfc",  # 3.13.0
        }
    ),
    "Semaphore.release": frozenset(
        {
            "0fccca774cf26a8b",  # 3.10.13
            "071d351dd2e7e04c",  # 3.11.7
            "3ad6fd6c4673edc3",  # 3.12.1
            "8376b82f1d799641",  # 3.13.0
        }
    ),
    "_run_once": frozenset(
        {
            "e5fa48789b2b9f90",  # 3.10.0 to 3.10.8: keeps the events until the turn ends
            "b9e3439380ae1d28",  # 3.10.9 on
            "b568edcfefc423e1",  # 3.11.0: keeps the events until the turn ends
            "b33448c93d65e71c",  # 3.11.1 on
            "d1a4a705dc2a1c8d",  # 3.12
            "d5022e05e0bfc7b6",  # 3.13
        }
    ),
}


def _parts(code: CodeType) -> bytes:
    constants = [
        _parts(constant) if isinstance(constant, CodeType) else repr(constant).encode()
        for constant in code.co_consts[1 if isinstance(code.co_consts[0], str) else 0 :]
    ]
    names = repr((code.co_names, code.co_varnames)).encode()
    return b"\0".join([code.co_code, names, *constants])


def digest(code: CodeType) -> str:
    """What code does, as a number: the same whatever its docstring and line numbers."""
    return hashlib.sha256(_parts(code)).hexdigest()[:16]


def is_known(name: str, function: Any) -> bool:
    """Whether a function is one that ours does the same as."""
    return isinstance(function, FunctionType) and digest(function.__code__) in KNOWN[name]

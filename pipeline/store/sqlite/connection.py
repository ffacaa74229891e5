"""The one file that touches aiosqlite: a connection in its thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")
#: What a statement's parameters may be.
Values = Sequence[Any] | dict[str, Any]


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that can do whole work in one hop.

    aiosqlite's public calls hop once per statement. A transaction of eight statements takes 1.0 ms that way and 0.1 ms
    in one piece, and an event loop at work makes each hop slower. Only its private ``_execute`` takes a piece of work,
    which is why ``pyproject.toml`` pins aiosqlite to one minor release. What is one statement uses the public calls.
    """

    indexed = True  #: the file has the indices that queries name; False: a reader looks at one of an early release

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in the connection's thread."""
        answer: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return answer

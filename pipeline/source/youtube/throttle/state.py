"""Where a throttle's state is kept: one file per machine.

A site counts per address, so all runs share the state. The file is changed under an operating system's lock, which dies with
its owner, and is replaced whole. Where it cannot be used (a read-only home), a run falls back to its journal, and says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
from filelock import FileLock

from pipeline.core import log
from pipeline.core.model import Json
from pipeline.ports.store import Journal

_log = log.get("youtube")
T = TypeVar("T")
_LOCK_TIMEOUT = 10.0  #: seconds for the lock; it is held for a few milliseconds
_MAX_BYTES = 1_000_000  #: bytes; a real one has a few thousand
#: What is kept, or None where there is nothing. Empty: something was there and cannot be read.
Kept = Mapping[str, Json] | None
#: Looks at what is kept; returns what to keep from now on (None: as it is), and its own answer.
Change = Callable[[Kept], tuple[Mapping[str, Json] | None, T]]


class ThrottleState(Protocol):
    """What is remembered, changed by one at a time."""

    async def change(self, change: Change[T]) -> T:
        """Carry out a quick change alone, and return its answer.

        ``change`` may raise no ``OSError``.
        """
        ...


class JournalState:
    """The state of all processes of one database, kept in its journal."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal = journal
        self._name = name

    async def change(self, change: Change[T]) -> T:
        return await self._journal.change(self._name, lambda kept: change(kept if isinstance(kept, dict) else None))


class SharedFileState:
    """This machine's state in a JSON file, or in the ``fallback``."""

    def __init__(self, path: Path, fallback: ThrottleState) -> None:
        self._path = path
        self._fallback = fallback
        self._warned = False

    async def change(self, change: Change[T]) -> T:
        try:
            return await anyio.to_thread.run_sync(self._change_file, change)
        except (OSError, NotImplementedError) as error:  # a lock that is never free is a TimeoutError
            why = str(error)
        if not self._warned:
            self._warned = True
            _log.warning(
                "pace.not_shared",
                file=str(self._path),
                why=why,
                cost="other runs of this machine ask at a pace of their own",
                remedy="set [youtube] pace_folder to a folder that can be written",
            )
        return await self._fallback.change(change)

    def _change_file(self, change: Change[T]) -> T:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_TIMEOUT):
            new, answer = change(self._load())
            if new is not None:
                half = self._path.with_suffix(f".{os.getpid()}.tmp")
                half.write_text(json.dumps(new), encoding="utf-8")
                half.replace(self._path)
            return answer

    def _load(self) -> Kept:
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MAX_BYTES))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            _log.warning("pace.damaged", file=str(self._path), remedy="nothing; it is written anew, after one full gap")
            return {}
        return found


def state_file_path(folder: Path, site: str, proxy: str = "", source_address: str = "") -> Path:
    """Return the file for this proxy or source address, as sites count.

    A proxy is known by where it is, without its user and password.
    """
    parts = urlsplit(proxy if "://" in proxy or not proxy else f"//{proxy}")
    way = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]} {source_address}" if proxy or source_address else ""
    mark = f"-{sha256(way.encode()).hexdigest()[:12]}" if way else ""
    return folder / f"pace-{site}{mark}.json"

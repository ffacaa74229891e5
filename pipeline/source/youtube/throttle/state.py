"""Where a pace is remembered: one small file for all runs of this machine, because a site counts per address.

The file is changed under an operating system's lock, which dies with its owner, and is replaced whole. Where it cannot be
used (a read-only home), a run keeps its own pace in its own journal, and says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from filelock import FileLock

from pipeline.core import log
from pipeline.core.model import Json
from pipeline.ports.store import Journal

_log = log.get("youtube")

T = TypeVar("T")

_PATIENCE = 10.0  #: seconds for the lock; it is held for a few milliseconds

_LARGEST = 1_000_000  #: bytes; a real one has a few thousand

#: What is kept, or None where there is nothing. Empty: something was there and cannot be read.
Kept = Mapping[str, Json] | None
#: Looks at what is kept; returns what to keep from now on (None: as it is), and its own answer.
Change = Callable[[Kept], tuple[Mapping[str, Json] | None, T]]


class ThrottleState(Protocol):
    """What is remembered, changed by one at a time."""

    async def change(self, change: Change[T]) -> T:
        """Carry out a change alone, and return its answer. ``change`` must be quick, and may raise."""
        ...


class JournalState:
    """The memory of one run, kept in its journal between runs."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal = journal
        self._name = name
        self._lock = anyio.Lock()
        self._kept: Kept = None
        self._read = False

    async def change(self, change: Change[T]) -> T:
        """Carry out a change alone among those of this object."""
        async with self._lock:
            if not self._read:
                found = await self._journal.load(self._name)
                self._kept, self._read = found if isinstance(found, dict) else None, True
            new, answer = change(self._kept)
            if new is not None:
                self._kept = dict(new)
                await self._journal.save(self._name, self._kept)
            return answer


class SharedFileState:
    """The memory of this machine: a JSON file beside its lock."""

    def __init__(self, path: Path, otherwise: ThrottleState) -> None:
        self._path = path
        self._otherwise = otherwise
        self._told = False

    async def change(self, change: Change[T]) -> T:
        """Carry out a change alone on this machine; where the file cannot be used, alone in this run."""
        try:
            return await anyio.to_thread.run_sync(self._changed, change)
        except _StateUnavailable as error:
            why = str(error)
        if not self._told:
            self._told = True
            _log.warning(
                "pace.not_shared",
                file=str(self._path),
                why=why,
                cost="other runs of this machine ask at a pace of their own",
                remedy="set [youtube] pace_folder to a folder that can be written",
            )
        return await self._otherwise.change(change)

    def _changed(self, change: Change[T]) -> T:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_suffix(".lock"), timeout=_PATIENCE)
            lock.acquire()
        except (OSError, NotImplementedError) as error:  # a lock that is never free is a TimeoutError
            raise _StateUnavailable(error) from None
        try:
            new, answer = change(self._kept())
            if new is not None:
                self._keep(new)
            return answer
        finally:
            lock.release()

    def _kept(self) -> Kept:
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_LARGEST))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _StateUnavailable(error) from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            _log.warning("pace.damaged", file=str(self._path), remedy="nothing; it is written anew, after one full gap")
            return {}
        return found

    def _keep(self, new: Mapping[str, Json]) -> None:
        half = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            half.write_text(json.dumps(new), encoding="utf-8")
            half.replace(self._path)
        except OSError as error:
            raise _StateUnavailable(error) from None


class _StateUnavailable(Exception):
    """The file or its lock cannot be used. Travels one call up."""


def state_file_path(folder: Path, site: str, proxy: str = "", source_address: str = "") -> Path:
    """Return the file for requests that leave by this way: a site counts the addresses that it sees.

    A proxy is known by where it is, without its user and password.
    """
    parts = urlsplit(proxy if "://" in proxy or not proxy else f"//{proxy}")
    way = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]} {source_address}" if proxy or source_address else ""
    mark = f"-{sha256(way.encode()).hexdigest()[:12]}" if way else ""
    return folder / f"pace-{site}{mark}.json"

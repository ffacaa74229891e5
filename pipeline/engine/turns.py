"""What one host does for all: one at a time, or the last."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.core.model import Json
from pipeline.ports.store import Journal

_OPEN = "runs.open"  #: under which the journal names the runs that have more to do, by host


async def take_turn(journal: Journal, what: str, host: str, now: float, seconds: float) -> bool:
    """Take a turn; return whether it is ours.

    A host that dies has it for so many seconds at most. ``now``: the time that all hosts share.
    """

    def change(note: Json | None) -> tuple[Json | None, bool]:
        free = note is None or note[0] in ("", host) or note[1] <= now
        return ([host, now + seconds] if free else None), free

    return await journal.change(f"turn:{what}", change)


async def end_turn(journal: Journal, what: str, host: str) -> None:
    """Let others have it."""

    def change(note: Json | None) -> tuple[Json | None, None]:
        return (["", 0.0] if note is not None and note[0] == host else None), None

    await journal.change(f"turn:{what}", change)


async def open_run(journal: Journal, host: str, run_id: str) -> None:
    """Take note that a run has begun on this host."""

    def change(note: Json | None) -> tuple[Json, None]:
        return {**(note or {}), host: run_id}, None

    await journal.change(_OPEN, change)


async def close_run(journal: Journal, host: str, present: Collection[str]) -> bool:
    """Note that this host's run has no more to do.

    Return whether it is the last; of two that close at the same time, one is.
    ``present``: the other hosts that are at work.
    """

    def change(note: Json | None) -> tuple[Json, bool]:
        others = {name: run for name, run in (note or {}).items() if name in present and name != host}
        return others, not others

    return await journal.change(_OPEN, change)

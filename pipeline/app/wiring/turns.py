"""What one host at a time does for all."""

from __future__ import annotations

from pipeline.core.model import Json
from pipeline.ports.store import Journal


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

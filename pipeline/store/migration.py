"""One step of a schema, for every database alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """One step to the schema's next version, whole or not at all."""

    name: str
    statements: tuple[str, ...]
    #: The oldest version whose processes can go on beside the new one, where several share a database; 0: only the new one.
    #: What such a step adds to a table has a default, and takes nothing away.
    beside: int = 0

"""One step of a schema, for every database alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """One step to the schema's next version, whole or not at all."""

    name: str
    statements: tuple[str, ...]

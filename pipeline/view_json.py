"""Views as JSON for ``--json``: times as RFC 3339, names as in ``views``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pipeline.core.clock import iso
from pipeline.core.model import Json
from pipeline.core.text import escape_unsafe

#: Fields that hold epoch seconds; zero means "not known" or "at once" there and is shown as null.
TIMES: Final = frozenset(
    {
        "started",
        "ended",
        "at",
        "until",
        "since",
        "sign",
        "created",
        "updated",
        "due",
        "wake_at",
        "stage_since",
        "resume_at",
        "room_at",
        "learned_at",
    }
)

#: Fields whose rows are tuples, by the names that their columns get: nobody should have to count positions in JSON.
_ROWS: Final = {
    "attention": ("state", "item", "trouble"), "unlisted": ("state", "item", "trouble"),
    "troubles": ("item", "trouble"), "refused": ("holding", "trouble"),
}  # fmt: skip


def jsonable(value: object) -> Json:
    """Return ``value`` made of what JSON has.

    Dataclass fields named in :data:`TIMES` become RFC 3339 strings; numbers that JSON does not have become null.

    Raises:
        TypeError: a type that no view holds.
    """
    if isinstance(value, Enum):
        return jsonable(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _field(field.name, getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, Set):
        return sorted(map(jsonable, value), key=str)
    if isinstance(value, Sequence):
        return [jsonable(entry) for entry in value]
    raise TypeError(f"no JSON for {type(value).__name__}")


def _field(name: str, value: object) -> Json:
    if name in TIMES and isinstance(value, int | float):
        return iso(value) if value > 0 and math.isfinite(value) else None
    if name == "runs" and isinstance(value, Sequence):  # run history: plain mappings whose own fields are times
        return [{key: _field(key, entry) for key, entry in run.items()} for run in value]
    if name in _ROWS and isinstance(value, Sequence):
        return [dict(zip(_ROWS[name], map(jsonable, row), strict=True)) for row in value]
    return jsonable(value)


def dumps(value: Any, *, ascii_only: bool = False, indent: int | None = 2) -> str:
    """Return JSON, safe on a terminal, without a final newline.

    Without ``indent`` on one line.
    """
    return escape_unsafe(json.dumps(jsonable(value), ensure_ascii=ascii_only, allow_nan=False, indent=indent))

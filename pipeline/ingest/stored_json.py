"""Dataclasses that are stored as JSON objects: a missing key has its default, an unknown key is kept.

A default is written only where its key is stored already, so that a hundred thousand tasks stay small. ``None`` removes
the key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Self, cast

from pipeline.core.model import Json

Convert = Callable[[Any], Any]


def stored(
    default: Any,
    *,
    key: str = "",
    also: str = "",
    always: bool = False,
    read: Convert | None = None,
    write: Convert | None = None,
) -> Any:
    """Return a field that is not stored as it is. A class as ``default`` is called for one.

    ``key`` stands for the field's own name; ``also`` is read where the first key is missing; ``always`` writes the
    default, too; ``read`` and ``write`` convert what is not JSON.
    """
    said = {"key": key, "also": also, "always": always, "read": read, "write": write}
    metadata = {name: value for name, value in said.items() if value}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    key: str
    default: Json
    also: str = ""
    always: bool = False
    read: Convert | None = None
    write: Convert | None = None


@cache
def _keys(cls: Hashable) -> tuple[Sequence[_Key], Mapping[str, _Key], Mapping[str, _Key]]:
    """Return how a class is stored: its fields in order, the same by key, and by second key."""
    found = []
    for each in fields(cast(type[StoredJson], cls)):
        if each.name != "raw":
            default = each.default if each.default_factory is MISSING else each.default_factory()
            found.append(_Key(each.name, default=default, **{"key": each.name, **each.metadata}))
    return found, {each.key: each for each in found}, {each.also: each for each in found if each.also}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJson:
    """A JSON object with named fields."""

    raw: Mapping[str, Json] = field(default_factory=dict, compare=False, repr=False)  #: as it was read

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Read a stored object."""
        _, keys, seconds = _keys(cast(Hashable, cls))
        known: dict[str, Any] = {}
        for key, value in data.items():
            found = keys.get(key)
            if found is None and key in seconds and seconds[key].key not in data:
                found = seconds[key]
            if found is not None:
                known[found.name] = value if found.read is None else found.read(value)
        return cls(raw=data, **known)

    def to_json(self) -> dict[str, Json]:
        """Return the object to store."""
        out = dict(self.raw)
        for each in _keys(cast(Hashable, type(self)))[0]:
            value = getattr(self, each.name)
            if value is None:
                if out.get(each.key) is not None:
                    del out[each.key]
            elif each.always or value != each.default or each.key in out:
                out[each.key] = value if each.write is None else each.write(value)
        return out

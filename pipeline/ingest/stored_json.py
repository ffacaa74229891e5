"""Dataclasses that are stored as JSON objects: a missing key has its default, an unknown key is kept.

A default is written only where its key is stored already, so that a hundred thousand tasks stay small. ``None`` removes
the key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Self, cast

from pipeline.core.model import Json

__all__ = ["StoredJson", "changed", "stored"]

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


class _Layout:
    """How a class is stored."""

    def __init__(self, cls: type[StoredJson]) -> None:
        #: name, key, default, always, write; in the order of the fields
        self.fields: list[tuple[str, str, Json, bool, Convert | None]] = []
        self.by_key: dict[str, tuple[str, Convert | None]] = {}
        self.second: dict[str, str] = {}  #: a second key -> the first
        self.defaults: dict[str, Any] = {}
        for each in fields(cls):
            if each.name == "raw":
                continue
            meta = each.metadata
            key = meta.get("key", each.name)
            default = each.default if each.default_factory is MISSING else each.default_factory()
            self.fields.append((each.name, key, default, meta.get("always", False), meta.get("write")))
            self.by_key[key] = (each.name, meta.get("read"))
            self.defaults[each.name] = default
            if "also" in meta:
                self.second[meta["also"]] = key


@cache
def _layout(cls: Hashable) -> _Layout:
    return _Layout(cast(type[StoredJson], cls))


@dataclass(frozen=True, kw_only=True)  # without slots: its fields are set all at once, some 25 times per item of a run
class StoredJson:
    """A JSON object with named fields."""

    raw: Mapping[str, Json] = field(default_factory=dict, compare=False, repr=False)  #: as it was read

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Read a stored object."""
        layout = _layout(cast(Hashable, cls))
        values = {"raw": data, **layout.defaults}
        by_key = layout.by_key
        for key, value in data.items():
            found = by_key.get(key)
            if found is None and layout.second.get(key, key) not in data:
                found = by_key[layout.second[key]]
            if found is not None:
                name, read = found
                values[name] = value if read is None else read(value)
        made = object.__new__(cls)
        vars(made).update(values)
        return made

    def to_json(self) -> dict[str, Json]:
        """Return the object to store."""
        out, values = dict(self.raw), vars(self)
        for name, key, default, always, write in _layout(cast(Hashable, type(self))).fields:
            value = values[name]
            if value is None:
                if out.get(key) is not None:
                    del out[key]
            elif always or value != default or key in out:
                out[key] = value if write is None else write(value)
        return out


if TYPE_CHECKING:
    from dataclasses import replace as changed  # so that mypy checks names and types of the fields
else:

    def changed(data, **values):
        """Return the same object with other values in some fields; ``dataclasses.replace`` takes ten times as long."""
        made = object.__new__(type(data))
        vars(made).update(vars(data) | values)
        return made

"""Dataclasses stored as JSON objects: missing keys default, unknown ones stay.

A default is written only where its key is stored already, so that a hundred thousand tasks stay small. ``None`` removes
the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Self

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
    """Return a field that is not stored as it is.

    A class as ``default`` is called for one.
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
        self.plain: set[str] = set()  #: keys that are the field's name and hold its value as it is
        self.other: list[tuple[str, str, str, Convert | None]] = []  #: name, key, second key, read
        self.defaults: dict[str, Any] = {}
        for each in fields(cls):
            if each.name == "raw":
                continue
            meta = each.metadata
            key, read = meta.get("key", each.name), meta.get("read")
            second = meta.get("also", key)
            default = each.default if each.default_factory is MISSING else each.default_factory()
            self.fields.append((each.name, key, default, meta.get("always", False), meta.get("write")))
            self.defaults[each.name] = default
            if key == second == each.name and read is None:
                self.plain.add(key)
            else:
                self.other.append((each.name, key, second, read))


_layout: Any = cache(_Layout)  # mypy takes the class of a dataclass for unhashable


@dataclass(frozen=True, kw_only=True)  # without slots: its fields are set all at once, some 25 times per item of a run
class StoredJson:
    """A JSON object with named fields."""

    raw: Mapping[str, Json] = field(default_factory=dict, compare=False, repr=False)  #: as it was read

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Read a stored object."""
        layout: _Layout = _layout(cls)
        values = {"raw": data, **layout.defaults, **{key: data[key] for key in layout.plain.intersection(data)}}
        for name, key, second, read in layout.other:
            found = key if key in data else second
            if found in data:
                values[name] = data[found] if read is None else read(data[found])
        made = object.__new__(cls)
        made.__dict__.update(values)
        return made

    def to_json(self) -> dict[str, Json]:
        """Return the object to store."""
        out, values = dict(self.raw), self.__dict__
        for name, key, default, always, write in _layout(type(self)).fields:
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
        """Return the object with other values, ten times faster than ``dataclasses.replace``."""
        made = object.__new__(type(data))
        made.__dict__.update(data.__dict__ | values)
        return made

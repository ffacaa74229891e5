"""A wrong setting as a sentence: who, where, what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pipeline.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Layers:
    """Where a setting came from, for messages only."""

    file: Path | None
    env: Mapping[str, Any]
    flags: Mapping[str, Any]

    def place(self, names: list[str], nth: int = 0) -> str:
        """Name the highest layer that sets this key, with file and line.

        ``nth`` counts from 0 where a table may be there several times (``[[queries]]``).
        """
        if _inside(self.flags, names):
            return "command line"
        if _inside(self.env, names):
            return "environment variable REELMILL_" + "__".join(names).upper()
        if self.file is None:
            return "settings"
        line = _line_of(self.file, names, nth)
        return f"{self.file}, line {line}" if line else str(self.file)


def _inside(table: Any, names: list[str]) -> bool:
    for name in names:
        if not isinstance(table, Mapping) or name not in table:
            return False
        table = table[name]
    return True


def explain(error: ValidationError, layers: Layers, settings: type[BaseModel]) -> ConfigError:
    """Return the first error as one sentence with its place and a remedy."""
    first = error.errors(include_input=False, include_url=False)[0]
    names = [part for part in first["loc"] if isinstance(part, str)]
    if names[:2] == ["jobs", "settings"]:
        del names[1]  # the file says [jobs.<name>]
    shown = f"[{'.'.join(names[:-1])}] {names[-1]}" if len(names) > 1 else f"[{names[0]}]"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    place = layers.place(names, next((part for part in first["loc"] if isinstance(part, int)), 0))
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{place}: {shown}: unknown key{more}", remedy=_hint(names, settings))
    said = first["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    return ConfigError(f"{place}: {shown}: {said}{more}", remedy="config.example.toml explains every key")


def _hint(names: list[str], settings: type[BaseModel]) -> str:
    near = difflib.get_close_matches(names[-1], _known(names[:-1], settings), 1)
    if near:
        return f"did you mean '{near[0]}'?"
    homes = [section for section in _known([], settings) if names[-1] in _known([section], settings)]
    return f"it belongs under [{homes[0]}]" if len(names) == 1 and homes else "config.example.toml lists every key"


def _known(path: list[str], model: type[BaseModel]) -> list[str]:
    for name in path:
        found = model.model_fields.get(name)
        kind = found.annotation if found is not None else None
        kind = next(iter(get_args(kind)), kind)  # a list of tables: the table's own model
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return [name for name in model.model_fields if name not in ("api_key", "origin")]


def _line_of(path: Path, names: list[str], nth: int) -> int:
    """Return the line of a key, or of its ``nth`` table; else 0."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    best, depth, table, skip = 0, 0, list[str](), nth
    for number, text in enumerate(lines, 1):
        line = text.strip()
        if line.startswith("["):
            here = table = _dotted(line.partition("]")[0])
            if line.startswith("[[") and table == names[:1] and skip > 0:
                skip, here, table = skip - 1, [], [""]
        elif "=" in line and not line.startswith("#"):
            here = table + _dotted(line.partition("=")[0])
        else:
            continue
        if len(here) > depth and here == names[: len(here)]:
            best, depth = number, len(here)
    return best


def _dotted(text: str) -> list[str]:
    return [part.strip(" \t\"'") for part in text.strip("[] \t").split(".")]

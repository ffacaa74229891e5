"""A wrong setting as a sentence: who, where, what was meant."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    raw: Mapping[str, Any] = field(default_factory=dict)  #: what the file holds
    options: Mapping[str, str] = field(default_factory=dict)  #: the options of the command line, by their dotted keys

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
    if names[:2] in (["jobs", "settings"], ["prices", "models"]):
        del names[1]  # the file says [jobs.<name>]
    names = [part for name in names for part in name.split(".")]  # [prices.pegasus1.6]
    shown = f"[{'.'.join(names[:-1])}] {names[-1]}" if len(names) > 1 else f"[{names[0]}]"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    place = layers.place(names, next((part for part in first["loc"] if isinstance(part, int)), 0))
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{place}: {shown}: unknown key{more}", remedy=_hint(names, settings))
    option = layers.options.get(".".join(names), "") if _inside(layers.flags, names) else ""
    if option:
        return ConfigError(f"{option}: {in_plain_words(first['msg'])}{more}", remedy="`--help` explains the options")
    remedy = "config.example.toml explains every key"
    if first["type"] in ("tuple_type", "list_type") and isinstance(value := _given(layers, names), str):
        remedy = f"write {names[-1]} = [{json.dumps(value[:100])}]"
    return ConfigError(f"{place}: {shown}: {in_plain_words(first['msg'])}{more}", remedy=remedy)


#: What a library says of a wrong value, and what we say instead.
_PLAIN: Sequence[tuple[str, str]] = (
    (r"Value error, |Assertion failed, ", ""),
    (r"Input should be a valid (integer|whole number).*", "should be a whole number"),
    (r"Input should be a (valid|finite) number.*", "should be a number"),
    (r"Input should be a valid date.*|Datetimes provided to dates.*", "should be a day, like 2026-06-20"),
    (r"Input should be a valid boolean.*", "should be true or false"),
    (r"Input should be a valid (tuple|list|array|set).*", 'should be a list, like ["a", "b"]'),
    (r"Input should be a valid string.*", "should be text in quotes"),
    (r"Input should be a valid dictionary.*", "should be a table of keys and values"),
    (r"Input should be a valid dictionary or instance of .*", "should be a table of keys and values"),
    (r"Input is not a valid path.*|Input should be .*path.*", "should be a path in quotes"),
    (r"Input should be greater than or equal to (.*)", r"should be at least \1"),
    (r"Input should be less than or equal to (.*)", r"should be at most \1"),
    (r"Input should be greater than (.*)", r"should be more than \1"),
    (r"Input should be less than (.*)", r"should be less than \1"),
    (r"String should have at (least|most) (\d+) characters?.*", r"should have at \1 \2 characters"),
    (r"String should match pattern .*", "has characters or a form that are not taken"),
    (r"\w+ should have at (least|most) (\d+) items?.*", r"should have at \1 \2 entries"),
    (r"Field required", "is missing"),
    (r"Input should be (.*)", r"should be \1"),
)


def in_plain_words(said: str) -> str:
    """Return what a library says of a wrong value as we say it.

    >>> in_plain_words("Input should be a valid integer, unable to parse string as an integer")
    'should be a whole number'
    """
    for pattern, words in _PLAIN:
        said = re.sub(f"^(?:{pattern})$" if words else pattern, words, said)
    return said


def _given(layers: Layers, names: list[str]) -> object:
    table: Any = layers.flags
    for layer in (layers.flags, layers.env, layers.raw):
        if _inside(layer, names):
            table = layer
            break
    for name in names:
        table = table.get(name) if isinstance(table, Mapping) else None
    return table


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
    return [
        name
        for name in model.model_fields
        if name not in ("api_key", "post_header", "store_password", "model_key", "origin")
    ]


def _line_of(path: Path, names: list[str], nth: int) -> int:
    """Return the line of a key, or of its ``nth`` table; 0 if unknown."""
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

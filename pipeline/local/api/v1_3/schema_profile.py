"""The subset of JSON Schema that ``response_format`` may use. Pure; the table is the whole rule book."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.core.model import Json
from pipeline.local.errors import ApiError, invalid

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string", "timestamp"})

_ANNOTATIONS = frozenset({"title", "description", "$comment", "$comments", "$schema", "$id", "examples", "default"})

_ANYWHERE = frozenset({"type", "enum", "const", "anyOf", "$ref", "$defs"}) | _ANNOTATIONS

_OF_TYPE: Mapping[str, frozenset[str]] = {
    "array": frozenset({"items", "minItems"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "object": frozenset({"properties", "required"}),
    "string": frozenset({"pattern", "format"}),
    "timestamp": frozenset({"format"}),
}

_FORMATS = frozenset({"uuid", "date-time", "date", "time"})

_TIMES = frozenset({"seconds", "hh:mm:ss", "hh:mm:ss.fff"})
#: Types that may not stand under the two names that the platform treats as times.
_NOT_TIMES = frozenset({"boolean", "object", "array", "null"})

_MOST_DEPTH = 32


def check_schema(schema: Json) -> dict[str, Json]:
    """Return the schema if the platform can keep it.

    Raises:
        ApiError: 422 for a keyword outside the subset, 400 for one that is used wrongly.
    """
    if not isinstance(schema, dict):
        raise invalid("The json_schema must be an object.")
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, dict):
        raise invalid("$defs must be an object.")
    for name, part in definitions.items():
        _check(part, f"$defs.{name}", frozenset(definitions), 1)
    _check(schema, "the schema", frozenset(definitions), 0)
    _check_timestamps(schema, "the schema", lists=0, hidden=False)
    return schema


def _check_timestamps(schema: Mapping[str, Json], where: str, *, lists: int, hidden: bool) -> None:
    """A timestamp stands at the top or in objects one list deep, never inside anyOf or a definition."""
    if schema.get("type") == "timestamp" and (hidden or lists > 1):
        raise invalid(f"{where}: a timestamp cannot stand this deep, nor inside anyOf or $defs.")
    for name, part in schema.get("properties", {}).items():
        _check_timestamps(part, f"{where}.{name}", lists=lists, hidden=hidden)
    if "items" in schema:
        _check_timestamps(schema["items"], f"{where}.items", lists=lists + 1, hidden=hidden)
    for part in [*schema.get("anyOf", []), *schema.get("$defs", {}).values()]:
        _check_timestamps(part, where, lists=lists, hidden=True)


def _check(schema: Json, where: str, definitions: frozenset[str], depth: int) -> None:
    if not isinstance(schema, dict):
        raise invalid(f"{where}: a schema must be an object.")
    if depth > _MOST_DEPTH:
        raise invalid(f"{where}: the schema is nested too deeply.")
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _TYPES):
        raise invalid(f"{where}: the type {kind!r} is not supported.")
    allowed = _ANYWHERE | _OF_TYPE.get(kind or "", frozenset())
    for word in schema:
        if word not in allowed:
            raise ApiError(422, "parameter_invalid", f"{where}: the keyword {word!r} is not supported here.")
    _check_values(schema, where)
    _check_reference(schema, where, definitions)
    for number, part in enumerate(_list(schema, "anyOf", where)):
        _check(part, f"{where}.anyOf[{number}]", definitions, depth + 1)
    if kind == "array":
        _check_array(schema, where, definitions, depth)
    if kind == "object":
        _check_object(schema, where, definitions, depth)


def _check_values(schema: Mapping[str, Json], where: str) -> None:
    kind = schema.get("type")
    for value in [*_list(schema, "enum", where), schema.get("const")]:
        if isinstance(value, dict | list):
            raise invalid(f"{where}: enum and const take plain values only.")
    for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if word in schema and (not isinstance(schema[word], int) or isinstance(schema[word], bool)):
            raise invalid(f"{where}: {word} must be a whole number.")
    form = schema.get("format")
    if form is not None and form not in (_TIMES if kind == "timestamp" else _FORMATS):
        raise invalid(f"{where}: the format {form!r} is not supported.")
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError):
            raise invalid(f"{where}: the pattern is not a regular expression.") from None


def _check_reference(schema: Mapping[str, Json], where: str, definitions: frozenset[str]) -> None:
    target = schema.get("$ref")
    if target is None:
        return
    if not isinstance(target, str) or target.removeprefix("#/$defs/") not in definitions:
        raise invalid(f"{where}: $ref must point into $defs.")


def _check_array(schema: Mapping[str, Json], where: str, definitions: frozenset[str], depth: int) -> None:
    if schema.get("minItems", 0) not in (0, 1):
        raise invalid(f"{where}: minItems must be 0 or 1.")
    if "items" in schema:
        _check(schema["items"], f"{where}.items", definitions, depth + 1)


def _check_object(schema: Mapping[str, Json], where: str, definitions: frozenset[str], depth: int) -> None:
    properties = schema.get("properties", {})
    required = _list(schema, "required", where)
    if not isinstance(properties, dict):
        raise invalid(f"{where}: properties must be an object.")
    if any(name not in properties for name in required):
        raise invalid(f"{where}: required names a property that is not declared.")
    for name, part in properties.items():
        inside = f"{where}.{name}"
        _check(part, inside, definitions, depth + 1)
        if name in ("start_time", "end_time"):
            form = part.get("format") if part.get("type") == "string" else None
            if part.get("type") in _NOT_TIMES or form is not None:
                raise invalid(f"{inside}: a time is a number, an integer, a plain string or a timestamp.")


def _list(schema: Mapping[str, Json], word: str, where: str) -> list[Json]:
    value = schema.get(word, [])
    if not isinstance(value, list):
        raise invalid(f"{where}: {word} must be a list.")
    return value

"""The platform's subset of JSON schema: is a schema inside it, and does a value fit one. Pure.

The platform answers 422 to what it does not know, so a schema is checked before it costs a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from math import isfinite
from uuid import UUID

from pipeline.core.model import Json

_NOTES = frozenset({"title", "description", "$comments"})

_KEYS: Mapping[str, frozenset[str]] = {
    "array": frozenset({"items", "minItems"}),
    "boolean": frozenset({"const", "enum"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "null": frozenset({"const", "enum"}),
    "number": frozenset({"const", "enum"}),
    "object": frozenset({"properties", "required"}),
    "string": frozenset({"pattern", "format", "const", "enum"}),
    "timestamp": frozenset({"format"}),
}

_FORMATS = {
    "string": ("uuid", "date-time", "date", "time"),
    "timestamp": ("seconds", "hh:mm:ss", "hh:mm:ss.fff"),
}

_TIMES = ("start_time", "end_time")

_DEEPEST = 16


def schema_problem(schema: object, *, where: str = "schema", depth: int = 0) -> str:
    """Return why the platform would refuse this schema (one sentence that names the keyword), or an empty string.

    The schema stands as one property of a larger object, so references are not possible, and a ``timestamp`` may be the
    schema itself or a property of the objects of its array.
    """
    if not isinstance(schema, Mapping):
        return f"{where} must be a table or object"
    if depth > _DEEPEST:
        return f"{where} is nested more than {_DEEPEST} levels deep"
    if "anyOf" in schema:
        return _any_of_problem(schema, where, depth)
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        return f"{where}: 'type' must be one of {', '.join(sorted(_KEYS))}"
    unknown = [key for key in schema if key not in _KEYS[kind] | _NOTES | {"type"}]
    if unknown:
        return f"{where}: '{unknown[0]}' is not supported by the platform for type {kind}"
    if kind == "array":
        return _array_problem(schema, where, depth)
    if kind == "object":
        return _object_problem(schema, where, depth)
    return _scalar_problem(schema, kind, where)


def _any_of_problem(schema: Mapping[str, Json], where: str, depth: int) -> str:
    choices = schema["anyOf"]
    unknown = [key for key in schema if key not in _NOTES | {"anyOf"}]
    if unknown:
        return f"{where}: '{unknown[0]}' cannot stand beside 'anyOf'"
    if not isinstance(choices, list | tuple) or not choices:
        return f"{where}: 'anyOf' must be a list of schemas"
    for number, choice in enumerate(choices):
        inside = f"{where}.anyOf[{number}]"
        if problem := schema_problem(choice, where=inside, depth=depth + 1) or _timeless(choice, inside):
            return problem
    return ""


def _array_problem(schema: Mapping[str, Json], where: str, depth: int) -> str:
    least = schema.get("minItems", 0)
    if isinstance(least, bool) or least not in (0, 1):
        return f"{where}: 'minItems' must be 0 or 1"
    items, inside = schema.get("items"), f"{where}.items"
    if items is None:
        return f"{where}: 'items' is missing"
    problem = schema_problem(items, where=inside, depth=depth + 1)
    if not problem and depth == 0 and items.get("type") == "object":
        for name, entry in items.get("properties", {}).items():
            problem = problem or ("" if entry.get("type") == "timestamp" else _timeless(entry, f"{inside}.{name}"))
        return problem
    return problem or _timeless(items, inside)


def _object_problem(schema: Mapping[str, Json], where: str, depth: int) -> str:
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, Mapping) or not properties:
        return f"{where}: 'properties' must name at least one property"
    names = required if isinstance(required, list | tuple) else [None]
    if not all(isinstance(name, str) and name in properties for name in names):
        return f"{where}: 'required' must be a list of names from 'properties'"
    for name, entry in properties.items():
        inside = f"{where}.{name}"
        if problem := schema_problem(entry, where=inside, depth=depth + 1):
            return problem
        kind, has_format = entry.get("type"), "format" in entry
        allowed = kind in ("number", "integer", "timestamp") or (kind == "string" and not has_format)
        if name in _TIMES and not allowed:
            return f"{inside}: '{name}' must be a number, an integer, a timestamp or a string without format"
        if depth == 0 and (problem := _timeless(entry, inside)):
            return problem
    return ""


def _timeless(schema: Mapping[str, Json], where: str) -> str:
    """Return a problem if a ``timestamp`` is found here or below, where the platform takes none."""
    if schema.get("type") == "timestamp":
        return f"{where}: type 'timestamp' is taken only at the top or in the objects of a top-level array"
    below = [
        *schema.get("anyOf", ()),
        *schema.get("properties", {}).values(),
        *([schema["items"]] if "items" in schema else []),
    ]
    return next((problem for entry in below if (problem := _timeless(entry, where))), "")


def _scalar_problem(schema: Mapping[str, Json], kind: str, where: str) -> str:
    formats = _FORMATS.get(kind, ())
    if "format" in schema and schema["format"] not in formats:
        return f"{where}: 'format' must be one of {', '.join(formats)}"
    if "enum" in schema and (not isinstance(schema["enum"], list | tuple) or not schema["enum"]):
        return f"{where}: 'enum' must be a list with at least one value"
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError, OverflowError, RecursionError):
            return f"{where}: 'pattern' is not a regular expression"
    for key in _KEYS["integer"]:
        if key in schema and (isinstance(schema[key], bool) or not isinstance(schema[key], int)):
            return f"{where}: '{key}' must be a whole number"
    return ""


def mismatch(value: Json, schema: Mapping[str, Json], where: str = "answer") -> str:
    """Return why a value does not fit a schema that :func:`schema_problem` has passed, or an empty string.

    Properties that the schema does not name are allowed, as on the platform.
    """
    if "anyOf" in schema:
        fits = any(not mismatch(value, choice, where) for choice in schema["anyOf"])
        return "" if fits else f"{where} fits none of the allowed forms"
    kind = schema["type"]
    if not _is(value, kind):
        return f"{where} must be of type {kind}"
    if kind == "array":
        return _array_mismatch(value, schema, where)
    if kind == "object":
        return _object_mismatch(value, schema, where)
    return _scalar_mismatch(value, schema, where)


def _is(value: Json, kind: str) -> bool:
    match kind:
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, Mapping)
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "timestamp":
            return isinstance(value, str) or _number(value)
        case "integer":
            return _number(value) and value == int(value)
        case _:
            return _number(value)


def _number(value: Json) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or isfinite(value)


def _array_mismatch(value: Json, schema: Mapping[str, Json], where: str) -> str:
    if len(value) < schema.get("minItems", 0):
        return f"{where} must not be empty"
    problems = (mismatch(entry, schema["items"], f"{where}[{number}]") for number, entry in enumerate(value))
    return next((problem for problem in problems if problem), "")


def _object_mismatch(value: Json, schema: Mapping[str, Json], where: str) -> str:
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where}.{name} is missing"
    known = ((name, entry) for name, entry in schema["properties"].items() if name in value)
    problems = (mismatch(value[name], entry, f"{where}.{name}") for name, entry in known)
    return next((problem for problem in problems if problem), "")


def _scalar_mismatch(value: Json, schema: Mapping[str, Json], where: str) -> str:
    if "const" in schema and not _same(value, schema["const"]):
        return f"{where} must be {schema['const']!r}"
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        return f"{where} must be one of the values of its enum"
    if "pattern" in schema and not re.search(schema["pattern"], value[:10_000]):
        return f"{where} does not match its pattern"
    if schema["type"] == "string" and "format" in schema and not _formatted(value, schema["format"]):
        return f"{where} is no {schema['format']}"
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    too_low = (low is not None and value < low) or (above is not None and value <= above)
    too_high = (high is not None and value > high) or (below is not None and value >= below)
    return f"{where} is out of range" if too_low or too_high else ""


def _same(value: Json, other: Json) -> bool:
    """Return True for equal JSON values; ``true`` is not ``1``."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _formatted(value: str, form: str) -> bool:
    parse: Mapping[str, Callable[[str], object]] = {
        "uuid": UUID,
        "date": date.fromisoformat,
        "time": time.fromisoformat,
        "date-time": datetime.fromisoformat,
    }
    try:
        parse[form](value)
    except ValueError:
        return False
    return True

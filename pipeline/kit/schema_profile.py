"""The part of JSON schema that the platform takes. Pure.

One rule book for the client's check and the local platform.
The rules are the vendor's for ``response_format``; where the vendor is silent, what might be refused is refused. The
platform answers 422 to a keyword it does not know and 400 to one that is used wrongly, so a schema is checked before it
costs a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from math import isfinite
from uuid import UUID

from pipeline.core.model import Json

MAX_DEPTH = 32  #: levels of nesting; our own bound, so that no check can run away
_VALUES = frozenset({"const", "enum"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
#: Form of a schema → its keywords. A form is the value of ``type``, or the keyword that stands in its place.
_KEYWORDS: Mapping[str, frozenset[str]] = {
    "array": frozenset({"type", "items", "minItems"}),
    "boolean": frozenset({"type"}) | _VALUES,
    "integer": frozenset({"type"}) | _BOUNDS,
    "null": frozenset({"type"}) | _VALUES,
    "number": frozenset({"type"}) | _VALUES,
    "object": frozenset({"type", "properties", "required"}),
    "string": frozenset({"type", "pattern", "format"}) | _VALUES,
    "timestamp": frozenset({"type", "format"}),
    "anyOf": frozenset({"anyOf"}),
    "$ref": frozenset({"$ref"}),
    "const or enum": _VALUES,
}
_TYPES = tuple(form for form, keywords in _KEYWORDS.items() if "type" in keywords)
_ANNOTATIONS = frozenset({"title", "description", "$comments"})  # taken everywhere, and ignored
_KNOWN = frozenset({"$defs"}).union(_ANNOTATIONS, *_KEYWORDS.values())
_FORMATS: Mapping[str, tuple[str, ...]] = {
    "string": ("uuid", "date-time", "date", "time"),
    "timestamp": ("seconds", "hh:mm:ss", "hh:mm:ss.fff"),
}
_TIMES = ("start_time", "end_time")  # property names that the platform reads as times, at any depth
#: Where a schema stands, and where the schemas below it stand; all others are "deep".
_BELOW: Mapping[tuple[str, str], str] = {
    ("top", "properties"): "field",
    ("top", "items"): "entry",
    ("field", "items"): "entry",
    ("entry", "properties"): "entry's field",
}
_TIMESTAMP_PLACES = frozenset({"top", "field", "entry's field"})


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Why the platform would refuse a schema, in one sentence that names the keyword."""

    message: str
    unsupported: bool = False  #: a keyword that the platform does not know (422), not one that is used wrongly (400)


def find_problem(schema: object, *, where: str = "schema") -> SchemaProblem | None:
    """Return why the platform would refuse a ``json_schema`` at ``where``, or None."""
    definitions = schema.get("$defs", {}) if isinstance(schema, Mapping) else {}
    names = frozenset(definitions) if isinstance(definitions, Mapping) else frozenset()
    return next(_problems(schema, where, _Place("top", 0, names)), None)


def schema_problem(schema: object, *, where: str = "schema") -> str:
    """Return why the platform would refuse a property's schema, or empty.

    There are no definitions that it could refer to.
    """
    problem = next(_problems(schema, where, _Place("field", 1, frozenset())), None)
    return problem.message if problem is not None else ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the whole a schema stands, and the names it can refer to."""

    name: str
    depth: int
    definitions: frozenset[str]

    def below(self, keyword: str) -> _Place:
        return _Place(_BELOW.get((self.name, keyword), "deep"), self.depth + 1, self.definitions)


def _problems(schema: object, where: str, place: _Place) -> Iterator[SchemaProblem]:
    """Yield what is wrong; each rule may rely on those before it."""
    if not isinstance(schema, Mapping):
        yield SchemaProblem(f"{where} must be a table or object")
    assert isinstance(schema, Mapping)
    if place.depth > MAX_DEPTH:
        yield SchemaProblem(f"{where} is nested more than {MAX_DEPTH} levels deep")
    for check in (
        _keyword_problems, _definition_problems, _reference_problems, _value_problems, _timestamp_problems, _format_problems,
        _choice_problems, _array_problems, _object_problems,
    ):  # fmt: skip
        yield from check(schema, where, place)


def _keyword_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    form = _form(schema)
    refused = (
        f"is not supported by the platform for type {form}" if form in _TYPES else "is not supported by the platform"
    )
    for keyword in schema:
        if keyword not in _KNOWN:
            yield SchemaProblem(f"{where}: '{keyword}' {refused}", unsupported=True)
    if form not in _KEYWORDS:
        yield SchemaProblem(f"{where}: 'type' must be one of {', '.join(_TYPES)}")
    for keyword in (keyword for keyword in schema if keyword not in _KEYWORDS[form] | _ANNOTATIONS | {"$defs"}):
        if form in _TYPES:
            yield SchemaProblem(f"{where}: '{keyword}' {refused}", unsupported=True)
        yield SchemaProblem(f"{where}: '{keyword}' cannot stand beside '{form}'")


def _form(schema: Mapping[str, Json]) -> str:
    for keyword in ("anyOf", "$ref"):
        if keyword in schema:
            return keyword
    if "type" not in schema and _VALUES & set(schema):
        return "const or enum"
    kind = schema.get("type")
    return kind if isinstance(kind, str) and kind in _TYPES else ""


def _list(schema: Mapping[str, Json], keyword: str) -> list[Json]:
    value = schema.get(keyword, [])
    return list(value) if isinstance(value, list | tuple) else []


def _definition_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    definitions = schema.get("$defs", {})
    if "$defs" in schema and place.name != "top":
        yield SchemaProblem(f"{where}: '$defs' can only stand at the top")
    if not isinstance(definitions, Mapping):
        yield SchemaProblem(f"{where}: '$defs' must be an object of schemas")
    for name, part in definitions.items():
        yield from _problems(part, f"{where}.$defs.{name}", place.below("$defs"))


def _reference_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    if "$ref" in schema and schema["$ref"] not in [f"#/$defs/{name}" for name in place.definitions]:
        yield SchemaProblem(f"{where}: '$ref' must name a schema in '$defs', as '#/$defs/name'")


def _value_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    for keyword in ("anyOf", "enum"):
        if keyword in schema and not _list(schema, keyword):
            what = "schemas" if keyword == "anyOf" else "values"
            yield SchemaProblem(f"{where}: '{keyword}' must be a list with at least one of its {what}")
    if any(isinstance(value, Mapping | list | tuple) for value in [*_list(schema, "enum"), schema.get("const")]):
        yield SchemaProblem(f"{where}: 'const' and 'enum' take texts, numbers, true, false and null")
    for keyword in _BOUNDS:
        if keyword in schema and (isinstance(schema[keyword], bool) or not isinstance(schema[keyword], int)):
            yield SchemaProblem(f"{where}: '{keyword}' must be a whole number")
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError, OverflowError, RecursionError):
            yield SchemaProblem(f"{where}: 'pattern' is not a regular expression")


def _timestamp_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    if schema.get("type") == "timestamp" and place.name not in _TIMESTAMP_PLACES:
        yield SchemaProblem(
            f"{where}: type 'timestamp' is taken only at the top or in the objects of a top-level array"
        )


def _format_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    kind = schema.get("type")
    formats = _FORMATS.get(kind, ()) if isinstance(kind, str) else ()
    if ("format" in schema or kind == "timestamp") and schema.get("format") not in formats:
        yield SchemaProblem(f"{where}: 'format' must be one of {', '.join(formats)}")


def _choice_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    for number, choice in enumerate(_list(schema, "anyOf")):
        yield from _problems(choice, f"{where}.anyOf[{number}]", place.below("anyOf"))


def _array_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    least = schema.get("minItems", 0)
    if isinstance(least, bool) or least not in (0, 1):
        yield SchemaProblem(f"{where}: 'minItems' must be 0 or 1")
    if schema.get("type") == "array" and "items" not in schema:
        yield SchemaProblem(f"{where}: 'items' is missing")
    if "items" in schema:
        yield from _problems(schema["items"], f"{where}.items", place.below("items"))


def _object_problems(schema: Mapping[str, Json], where: str, place: _Place) -> Iterator[SchemaProblem]:
    properties = schema.get("properties", None if schema.get("type") == "object" else {})
    if not isinstance(properties, Mapping):
        yield SchemaProblem(f"{where}: 'properties' must name the properties")
    assert isinstance(properties, Mapping)
    required = schema.get("required", [])
    names = required if isinstance(required, list | tuple) else [None]
    if not all(isinstance(name, str) and name in properties for name in names):
        yield SchemaProblem(f"{where}: 'required' must be a list of names from 'properties'")
    for name, part in properties.items():
        yield from _problems(part, f"{where}.{name}", place.below("properties"))
        if name in _TIMES and not _can_be_time(part):
            yield SchemaProblem(
                f"{where}.{name}: '{name}' must be a number, an integer, a timestamp or a string without format"
            )


def _can_be_time(schema: Mapping[str, Json]) -> bool:
    kind = schema.get("type")
    return kind in ("number", "integer", "timestamp") or (kind == "string" and "format" not in schema)


def mismatch(value: Json, schema: Mapping[str, Json], where: str = "answer") -> str:
    """Return why a value does not fit a schema, or an empty string.

    The schema must have passed :func:`schema_problem`.
    Properties that the schema does not name are allowed, as on the platform.
    """
    if "anyOf" in schema:
        fits = any(not mismatch(value, choice, where) for choice in schema["anyOf"])
        return "" if fits else f"{where} fits none of the allowed forms"
    kind = schema.get("type", "")
    if kind and not _is(value, kind):
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
    if schema.get("type") == "string" and "format" in schema and not _formatted(value, schema["format"]):
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

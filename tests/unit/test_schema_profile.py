"""One rule book for schemas: the client's check and the local platform take the same ones, which are the vendor's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kit.schema_profile import MAX_DEPTH, find_problem, mismatch, schema_problem
from pipeline.local.api.v1_3.schema_profile import check_schema
from pipeline.local.errors import ApiError

TEXT = {"type": "string"}
STAMP = {"type": "timestamp", "format": "hh:mm:ss"}


def nested(levels: int) -> dict[str, Any]:
    """Return a list in a list in a list, so many levels deep."""
    schema: dict[str, Any] = TEXT
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def obj(**properties: Any) -> dict[str, Any]:
    """Return an object with these properties."""
    return {"type": "object", "properties": properties}


def served(schema: Any) -> int:
    """Return what the local platform answers to an analysis with this schema: 200, 400 or 422."""
    try:
        assert check_schema(schema) == schema
    except ApiError as error:
        return error.status
    return 200


#: As one property of a larger object: how the fused request of a job holds it.
FRAGMENTS: list[tuple[Any, int]] = [
    (TEXT, 200),
    ({"type": "string", "pattern": "^#", "format": "date", "title": "t", "description": "d", "$comments": "c"}, 200),
    ({"type": "integer", "minimum": 1, "exclusiveMaximum": 9}, 200),
    ({"type": "boolean", "const": True}, 200),
    ({"type": "null", "enum": [None]}, 200),
    ({"enum": ["a", 1, None, False]}, 200),
    ({"anyOf": [TEXT, {"type": "null"}], "title": "t"}, 200),
    ({"type": "array", "items": TEXT, "minItems": 0}, 200),
    (STAMP, 200),
    ({"type": "array", "items": obj(at=STAMP)}, 200),
    (obj(start_time={"type": "integer"}, end_time=TEXT), 200),
    (obj(), 200),
    (nested(MAX_DEPTH - 1), 200),
    (nested(MAX_DEPTH), 400),
    ("string", 400),
    ({}, 400),
    ({"type": "video"}, 400),
    ({"type": ["string", "null"]}, 400),
    ({"type": "array"}, 400),
    ({"type": "array", "items": TEXT, "minItems": True}, 400),
    ({"type": "array", "items": TEXT, "minItems": 2}, 400),
    ({"type": "object"}, 400),
    ({**obj(a=TEXT), "required": ["b"]}, 400),
    ({"type": "integer", "minimum": 1.5}, 400),
    ({"type": "integer", "minimum": True}, 400),
    ({"type": "string", "format": "email"}, 400),
    ({"type": "string", "pattern": "("}, 400),
    ({"type": "string", "enum": []}, 400),
    ({"type": "string", "enum": [["a"]]}, 400),
    ({"const": {}}, 400),
    ({"anyOf": []}, 400),
    ({"anyOf": [TEXT], "type": "string"}, 400),
    ({"anyOf": [STAMP]}, 400),
    ({"type": "timestamp"}, 400),
    ({"type": "timestamp", "format": "time"}, 400),
    (obj(at=STAMP), 400),
    ({"type": "array", "items": STAMP}, 400),
    ({"type": "array", "items": obj(inner=obj(at=STAMP))}, 400),
    (obj(start_time={"type": "boolean"}), 400),
    (obj(end_time={"type": "string", "format": "time"}), 400),
    (obj(start_time={"anyOf": [{"type": "number"}]}), 400),
    ({"$ref": "#/$defs/T"}, 400),
    ({"$ref": "#/$defs/T", "$defs": {"T": TEXT}}, 400),
    ({"type": "string", "minLength": 1}, 422),
    ({"type": "array", "items": TEXT, "maxItems": 3}, 422),
    ({"type": "array", "items": TEXT, "uniqueItems": True}, 422),
    ({**obj(a=TEXT), "additionalProperties": False}, 422),
    ({"type": "number", "minimum": 1}, 422),
    ({"type": "integer", "enum": [1]}, 422),
    ({"type": "string", "default": ""}, 422),
    ({"oneOf": [TEXT]}, 422),
    ({"allOf": [TEXT]}, 422),
    ({"not": TEXT}, 422),
]

#: As a whole: what only the top can hold.
WHOLES: list[tuple[Any, int]] = [
    ({**obj(a={"$ref": "#/$defs/T", "description": "d"}), "$defs": {"T": TEXT}}, 200),
    ({**obj(a=TEXT), "$defs": {"T": obj(again={"$ref": "#/$defs/T"})}}, 200),
    (obj(at=STAMP, moments={"type": "array", "items": obj(at=STAMP)}), 200),
    ({"type": "array", "items": obj(at=STAMP)}, 200),
    ({**obj(a={"$ref": "T"}), "$defs": {"T": TEXT}}, 400),
    ({**obj(a={"$ref": "https://example.invalid/schema"}), "$defs": {"T": TEXT}}, 400),
    ({**obj(a={"$ref": "#/$defs/T", "type": "string"}), "$defs": {"T": TEXT}}, 400),
    ({**obj(a={"$ref": "#/$defs/T"}), "$defs": {"T": obj(at=STAMP)}}, 400),
    ({**obj(a=TEXT), "$defs": [TEXT]}, 400),
    (obj(deep=obj(at=STAMP)), 400),
]


@pytest.mark.parametrize(("fragment", "status"), FRAGMENTS)
def test_a_part_of_a_request_is_refused_before_it_is_sent_exactly_if_the_platform_refuses_it(
    fragment: Any, status: int
) -> None:
    """Each rule of the vendor's, as the client tells it and as the local platform answers."""
    assert (schema_problem(fragment) == "") is (status == 200)
    assert served(obj(answer=fragment)) == status


@pytest.mark.parametrize(("whole", "status"), WHOLES)
def test_a_whole_request_is_refused_by_the_same_rules(whole: Any, status: int) -> None:
    """Definitions, references and the places of timestamps count from the top."""
    assert (find_problem(whole) is None) is (status == 200)
    assert served(whole) == status


KEYWORDS = (
    "type", "items", "minItems", "properties", "required", "pattern", "format", "const", "enum", "minimum", "exclusiveMaximum",
    "anyOf", "$ref", "$defs", "title", "$comments", "default", "maxItems", "additionalProperties", "oneOf",
)  # fmt: skip
NAMES = st.sampled_from(["a", "start_time", "T"])
WORDS = st.sampled_from(
    [
        "array",
        "boolean",
        "integer",
        "null",
        "number",
        "object",
        "string",
        "timestamp",
        "date",
        "seconds",
        "#/$defs/T",
        "(",
    ]
)
ATOMS = st.one_of(WORDS, st.none(), st.booleans(), st.integers(0, 2), st.floats(0, 2))


def schemas(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects that look like schemas: each keyword with what belongs there, or with anything."""
    fitting: dict[str, st.SearchStrategy[Any]] = {
        "type": WORDS, "items": below, "properties": st.dictionaries(NAMES, below, max_size=2), "required": st.lists(NAMES),
        "$defs": st.dictionaries(NAMES, below, max_size=1), "anyOf": st.lists(below, max_size=2), "enum": st.lists(ATOMS),
        "oneOf": st.lists(below, max_size=1),
    }  # fmt: skip
    anything = below | st.lists(below, max_size=1)
    entries = {keyword: fitting.get(keyword, ATOMS) | anything for keyword in KEYWORDS}
    loose = st.lists(st.sampled_from(KEYWORDS), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: entries[name] for name in names})
    )
    sound = st.one_of(
        st.fixed_dictionaries({"type": st.just("object"), "properties": fitting["properties"]}),
        st.fixed_dictionaries({"type": st.just("array"), "items": below}),
        st.fixed_dictionaries({"type": st.just("timestamp"), "format": st.just("seconds")}),
        st.fixed_dictionaries({"type": WORDS}),
    )
    return sound | loose


SCHEMAS = st.recursive(ATOMS | st.just(TEXT), schemas, max_leaves=8)
VALUES = st.recursive(ATOMS, lambda x: st.lists(x, max_size=2) | st.dictionaries(NAMES, x, max_size=2), max_leaves=6)


@settings(deadline=None, max_examples=500)
@given(SCHEMAS, VALUES)
def test_checker_and_platform_agree_on_every_schema(schema: Any, value: Any) -> None:
    """Whatever the schema, alone or as a property; and one that is taken can be held against any answer."""
    assert (find_problem(schema) is None) is (served(schema) == 200)
    assert (schema_problem(schema) == "") is (served(obj(answer=schema)) == 200)
    if schema_problem(schema) == "":
        mismatch(value, schema)

"""Request bodies of the local platform: strict models, refusals in the API's own words, handlers that fit their tables."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from pipeline.local.api.application import ENDPOINTS
from pipeline.local.api.http.bodies import Body, parse
from pipeline.local.api.http.fields import (
    GIVEN,
    ONE_OF,
    OR_DEFAULT,
    Flag,
    FormFlag,
    Fraction,
    Id,
    Metadata,
    PageLimit,
    refuse,
)
from pipeline.local.errors import ApiError


class Inner(Body):
    """An entry of a list."""

    name: Id


class Outer(Body):
    """One field of each kind."""

    closed = True

    id: Id
    text: Annotated[str, Field(max_length=4), refuse("The {name} parameter is odd.")] = ""
    flag: Flag = False
    form_flag: FormFlag = False
    fraction: Fraction = 0.5
    limit: PageLimit = 10
    choice: Annotated[Literal["a", "b"], ONE_OF, OR_DEFAULT] = "a"
    entries: Annotated[list[Annotated[Inner, refuse("An entry is an object.")]], refuse("Entries are a list.", "x")] = (
        Field(default_factory=list)
    )
    metadata: Annotated[Metadata, GIVEN, OR_DEFAULT] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"id": ""}, "parameter_not_provided", "The id parameter is required."),
        ({"id": None}, "parameter_not_provided", "The id parameter is required."),
        ({"id": 5}, "parameter_not_provided", "The id parameter is required."),
        ({"id": "\ud800"}, "parameter_invalid", "The id parameter is not valid Unicode."),
        ({"text": 5}, "parameter_invalid", "The text parameter is odd."),
        ({"text": "aaaaa"}, "parameter_invalid", "The text parameter has more than 4 characters."),
        ({"flag": 1}, "parameter_invalid", "The flag parameter must be true or false."),
        ({"flag": "true"}, "parameter_invalid", "The flag parameter must be true or false."),
        ({"form_flag": "yes"}, "parameter_invalid", "The form_flag parameter must be true or false."),
        ({"fraction": True}, "parameter_invalid", "The fraction parameter must be a number from 0 to 1."),
        ({"fraction": float("nan")}, "parameter_invalid", "The fraction parameter must be a number from 0 to 1."),
        ({"fraction": 10**400}, "parameter_invalid", "The fraction parameter must be a number from 0 to 1."),
        ({"limit": True}, "parameter_invalid", "The limit parameter must be a whole number from 1 to 50."),
        ({"limit": 1.0}, "parameter_invalid", "The limit parameter must be a whole number from 1 to 50."),
        ({"limit": "51"}, "parameter_invalid", "The limit parameter must be a whole number from 1 to 50."),
        ({"choice": "c"}, "parameter_invalid", "The choice parameter must be 'a' or 'b'."),
        ({"entries": {}}, "x", "Entries are a list."),
        ({"entries": [5]}, "parameter_invalid", "An entry is an object."),
        ({"entries": [{}]}, "parameter_not_provided", "The name parameter is required."),
        ({"metadata": []}, "parameter_invalid", "The metadata parameter must be a JSON object."),
        ({"zz": 1, "more": 2}, "parameter_unknown", "The parameter 'more' is not known here."),
    ],
)
def test_a_bad_field_is_refused_in_the_apis_words(change: dict[str, Any], code: str, message: str) -> None:
    """Each field says what it must be, under its code; an unknown one goes before all others."""
    with pytest.raises(ApiError) as refused:
        parse(Outer, {"id": "i", **change})
    assert (refused.value.status, refused.value.code, refused.value.message) == (400, code, message)


def test_null_and_empty_text_stand_for_a_default_where_the_field_says_so() -> None:
    """Forms send empty texts and SDKs nulls for what nobody has set; numbers and truth values of forms are texts."""
    for nothing in (None, ""):
        read = parse(Outer, {"id": "i", "choice": nothing, "limit": nothing, "form_flag": nothing, "metadata": nothing})
        assert (read.choice, read.limit, read.form_flag, read.metadata) == ("a", 10, False, {})
    read = parse(Outer, {"id": "i", "limit": "7", "form_flag": "TRUE"})
    assert (read.limit, read.form_flag) == (7, True)


def models(root: type[Body] = Body) -> Iterator[type[Body]]:
    """Yield every body model of the platform that can be made."""
    for each in root.__subclasses__():
        if each.__module__.startswith("pipeline.") and not inspect.isabstract(each):
            yield each
        yield from models(each)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
)


@settings(deadline=None)
@given(st.data())
def test_no_body_is_refused_in_pydantics_words(data: st.DataObject) -> None:
    """Whatever stands in the fields: it is read, or refused as an ApiError that no library has worded."""
    model = data.draw(st.sampled_from(sorted(set(models()), key=lambda each: each.__qualname__)))
    body = data.draw(st.dictionaries(st.sampled_from(sorted(model.model_fields)), JSON))
    refused = refusal(model, body)
    assert refused is None or refused.status in (400, 422)
    words = ("Input should", "validation error", "pydantic", "Value error")
    assert refused is None or not any(word in refused.message for word in words)


def refusal(model: type[Body], body: dict[str, Any]) -> ApiError | None:
    """Return how a body is refused; None where it is read."""
    try:
        parse(model, body)
    except ApiError as error:
        return error
    return None


@pytest.mark.parametrize(("method", "path", "handler"), [entry for table in ENDPOINTS.values() for entry in table])
def test_a_handler_asks_for_what_it_can_get(method: str, path: str, handler: Any) -> None:
    """Context, request, path parameters, a body that has a model, and a transaction only where it does not wait."""
    wanted = set(inspect.signature(handler).parameters)
    in_path = {part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")}
    assert wanted <= {"context", "request", "body", "db"} | in_path
    assert inspect.iscoroutinefunction(handler) is ("db" not in wanted)
    assert ("body" in wanted) <= issubclass(get_type_hints(handler).get("body", Body), Body)
    assert "body" not in wanted or method in ("POST", "PUT", "PATCH")

"""Fields of request bodies: pydantic types, and the refusals that their validation errors become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, WrapValidator
from pydantic_core import PydanticUseDefault

from pipeline.core.model import Json
from pipeline.local.errors import ApiError, invalid, not_provided

MOST_PAGE = 50


def refuse(message: str, code: str = "parameter_invalid") -> WrapValidator:
    """Return the marker that turns a field's validation errors into a refusal."""

    def check(value: Json, validate: Callable[[Json], Json], info: ValidationInfo) -> Json:
        try:
            return validate(value)
        except ValidationError as error:
            raise _refusal(error, info.field_name or "", message, code) from None

    return WrapValidator(check)


def _refusal(error: ValidationError, name: str, message: str, code: str) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    match first["type"]:
        case "string_too_long":
            return invalid(f"The {name} parameter has more than {first['ctx']['max_length']} characters.")
        case "string_unicode":
            return invalid(f"The {name} parameter is not valid Unicode.")
        case _:
            return invalid(message.format(name=name, **first.get("ctx", {})), code)


def must_be(what: str) -> WrapValidator:
    """Return the usual refusal of a bad value."""
    return refuse(f"The {{name}} parameter must be {what}.")


def require(message: str) -> WrapValidator:
    """Return the refusal of a bad value as of a missing one."""
    return refuse(message, "parameter_not_provided")


def _default_for_nothing(value: Json) -> Json:
    if value is None or value == "":
        raise PydanticUseDefault
    return value


def _given(value: Json, info: ValidationInfo) -> Json:
    if value is None:
        raise not_provided(f"The {info.field_name} parameter is required.")
    return value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _flag(value: Json) -> Json:
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _digits(value: Json) -> Json:
    return int(value[:12]) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def check_metadata(value: Mapping[str, Json]) -> Mapping[str, Json]:
    """Check user metadata: a flat object of scalars and lists of strings."""
    for name, entry in value.items():
        plain = entry is None or isinstance(entry, str | int | float | bool)
        texts = isinstance(entry, list) and all(isinstance(part, str) for part in entry)
        if not (plain or texts):
            raise invalid(
                f"The user_metadata field {name[:64]!r} must be a string, number, boolean or list of strings."
            )
    return value


REQUIRED = require("The {name} parameter is required.")
ONE_OF = must_be("{expected}")
#: Lets null and an empty text stand for the default. Stands last: a refusal around it would catch the signal.
OR_DEFAULT = BeforeValidator(_default_for_nothing)
#: Refuses a field that is missing in other words than a wrong value.
GIVEN = BeforeValidator(_given)
NOT_BLANK = AfterValidator(_not_blank)
Flag = Annotated[bool, must_be("true or false")]
#: In a form, a truth value travels as the text ``true`` or ``false``.
FormFlag = Annotated[bool, BeforeValidator(_flag), must_be("true or false"), OR_DEFAULT]
Fraction = Annotated[float, Field(ge=0, le=1), must_be("a number from 0 to 1")]
Id = Annotated[str, Field(min_length=1), REQUIRED]
RequiredText = Annotated[str, Field(min_length=1), NOT_BLANK, REQUIRED]
Metadata = Annotated[dict[str, Json], AfterValidator(check_metadata), must_be("a JSON object")]
PageLimit = Annotated[
    int,
    Field(ge=1, le=MOST_PAGE),
    BeforeValidator(_digits),
    must_be(f"a whole number from 1 to {MOST_PAGE}"),
    OR_DEFAULT,
]

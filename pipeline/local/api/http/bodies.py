"""Request bodies: JSON read within bounds and checked by pydantic models, whose errors become the API's refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticUseDefault
from starlette.requests import ClientDisconnect, Request

from pipeline.core.model import Json
from pipeline.local.errors import ApiError, invalid

MOST_JSON = 64 * 1024 * 1024  #: bytes of a JSON body; room for a base64 video of 36 MB

MOST_PAGE = 50

NOT_PROVIDED = "parameter_not_provided"


class Body(BaseModel):
    """A request body. Strict: no value is converted, and a bool is no number."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    closed: ClassVar[bool] = False  #: unknown fields are refused; else ignored

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, data: Json) -> Json:
        """Hand a field that is missing to its own refusal, as null."""
        if not isinstance(data, dict):
            return data
        if cls.closed and (unknown := sorted(set(data) - set(cls.model_fields))):
            raise ApiError(400, "parameter_unknown", f"The parameter {unknown[0][:64]!r} is not known here.")
        required = [name for name, field in cls.model_fields.items() if field.is_required()]
        return {**dict.fromkeys(required), **data}


B = TypeVar("B", bound=Body)


async def read_body(request: Request, model: type[B]) -> B:
    """Read a JSON body into a model; raises ApiError (400, 413, 422)."""
    return parse(model, await read_json(request))


async def read_json(request: Request) -> dict[str, Json]:
    """Read a JSON object; raises ApiError (400, 413)."""
    body = bytearray()
    async for chunk in read_chunks(request):
        body += chunk
        if len(body) > MOST_JSON:
            raise ApiError(413, "parameter_invalid", f"The body is larger than {MOST_JSON} bytes.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise invalid("The body must be a JSON object.")
    return found


async def read_chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body's chunks; a client that leaves in the middle is an ApiError, not a crash."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise ApiError(400, "request_canceled_or_timed_out", "The body did not arrive whole.") from None


def parse(model: type[B], data: Json) -> B:
    """Check a body against its model; raises ApiError."""
    try:
        return model.model_validate(data)
    except ValidationError:  # of a field without a refusal of its own
        raise invalid("The body has a value of a wrong type.") from None


# ------------------------------------------------------------------------------------------------------------- fields


def refuse(message: str, code: str = "parameter_invalid") -> WrapValidator:
    """Return the marker that turns a field's validation errors into a refusal; ``{name}`` is the field's name."""

    def check(value: Json, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Json:
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


def _default_for_nothing(value: Json) -> Json:
    if value is None or value == "":
        raise PydanticUseDefault
    return value


def _given(value: Json, info: ValidationInfo) -> Json:
    if value is None:
        raise ApiError(400, NOT_PROVIDED, f"The {info.field_name} parameter is required.")
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
    """Check user metadata: a flat object of strings, numbers, truth values and lists of strings."""
    for name, entry in value.items():
        plain = entry is None or isinstance(entry, str | int | float | bool)
        texts = isinstance(entry, list) and all(isinstance(part, str) for part in entry)
        if not (plain or texts):
            raise invalid(
                f"The user_metadata field {name[:64]!r} must be a string, number, boolean or list of strings."
            )
    return value


REQUIRED = refuse("The {name} parameter is required.", NOT_PROVIDED)

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

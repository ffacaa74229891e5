"""Request bodies: bounded JSON, and the base of the models that check it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from starlette.requests import ClientDisconnect, Request

from pipeline.core.model import Json
from pipeline.local.errors import ApiError, invalid

MOST_JSON = 64 * 1024 * 1024  #: bytes of a JSON body; room for a base64 video of 36 MB


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
    """Yield the body's chunks; raises ApiError for a client that leaves."""
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

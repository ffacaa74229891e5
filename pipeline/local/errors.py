"""The platform's API errors."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.model import Json


class ApiError(Exception):
    """A refusal, as the API words it; the path decides its shape."""

    def __init__(self, status: int, code: str, message: str, *, details: Mapping[str, Json] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


def invalid(message: str, code: str = "parameter_invalid") -> ApiError:
    """Return a 400 for a bad field."""
    return ApiError(400, code, message)


def not_provided(message: str) -> ApiError:
    """Return a 400 for a field that is required."""
    return ApiError(400, "parameter_not_provided", message)


def missing(what: str, key: str) -> ApiError:
    """Return a 404 for an unknown id."""
    return ApiError(404, "resource_not_exist", f"The {what} {key[:64]!r} does not exist.")


def unsupported(what: str, instead: str) -> ApiError:
    """Return the refusal of what a local platform cannot do, with the way out."""
    return ApiError(400, "not_supported_by_local_platform", f"The local platform does not do {what}. {instead}")

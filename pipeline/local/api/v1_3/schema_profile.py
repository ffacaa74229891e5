"""The schemas that ``response_format`` may hold, refused in the vendor's shape."""

from __future__ import annotations

from pipeline.core.model import Json
from pipeline.kit.schema_profile import find_problem
from pipeline.local.errors import ApiError


def check_schema(schema: Json) -> dict[str, Json]:
    """Return the schema if the platform can keep it.

    Raises:
        ApiError: 422 for a keyword outside the profile, 400 for one that is used wrongly.
    """
    problem = find_problem(schema, where="response_format.json_schema")
    if problem is not None:
        raise ApiError(422 if problem.unsupported else 400, "parameter_invalid", f"{problem.message}.")
    return dict(schema)

"""Spans of time in the configuration: seconds, or a text like ``1h30m``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from pipeline.core.clock import parse_duration


def _read(value: object) -> object:
    """Return seconds; what is no text is left to the field."""
    try:
        if isinstance(value, bool):
            raise ValueError
        if not isinstance(value, str):
            return value
        found = parse_duration(value)
        return float(value) if found is None else found
    except ValueError:
        raise ValueError("should be a time like 5h, 90m, 1h30m or 300s, or a number of seconds") from None


#: A field in seconds.
Seconds = Annotated[float, BeforeValidator(_read)]

"""When and with what a video was filmed, as its container says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from av.container import InputContainer

#: The most exact first: with the time zone of the place; of the recording; of the file, which a later export may have set.
_DATES = ("com.apple.quicktime.creationdate", "date_recorded", "creation_time")
_MAKES = ("com.apple.quicktime.make", "com.android.manufacturer", "make")
_MODELS = ("com.apple.quicktime.model", "com.android.model", "model")
_FIRST_YEAR = 1990  # earlier ones are clocks that nobody has set: 1904 and 1970 are their zeros
_MOST = 60  # characters


def filmed(container: InputContainer) -> str:
    """Return the date and time that a file says, as ISO 8601; empty without."""
    for text in _found(container, _DATES):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            continue
        if at.year >= _FIRST_YEAR:
            return at.isoformat(timespec="seconds")
    return ""


def camera(container: InputContainer) -> str:
    """Return make and model that a file says; empty without."""
    make = next(iter(_found(container, _MAKES)), "")
    model = next(iter(_found(container, _MODELS)), "")
    return model if model.casefold().startswith(make.casefold()) else f"{make} {model}".strip()


def _found(container: InputContainer, keys: Sequence[str]) -> list[str]:
    tags = {str(key).lower(): value for key, value in container.metadata.items()}
    texts = (" ".join(str(tags.get(key, "")).split())[:_MOST] for key in keys)
    return [text for text in texts if text]

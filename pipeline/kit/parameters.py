"""A job's parameters, read key by key with errors that name the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from pipeline.core.errors import ConfigError
from pipeline.core.model import Json
from pipeline.core.text import block, plain


class Parameters:
    """Reads a job's parameters one by one; the rest is unknown."""

    def __init__(self, job: str, given: Mapping[str, Json]) -> None:
        self._job = job
        self._given = given
        self._known: list[str] = []

    def take(self, key: str, default: Json = None) -> Json:
        """Return a value of any type."""
        self._known.append(key)
        return self._given.get(key, default)

    def text(self, key: str, *, limit: int, required: bool = False) -> str:
        """Return cleaned text, empty if not given. Raises ConfigError if missing or too long."""
        value = self.take(key, "")
        if not isinstance(value, str):
            raise self.wrong(key, "must be text")
        value = block(value)
        if required and not value:
            raise self.wrong(key, "is required", f"set [jobs.{self._job}] {key}, or the manifest's '{key}' column")
        if len(value) > limit:
            raise self.wrong(key, f"has {len(value)} characters; {limit} are allowed")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """Return a whole number in ``low..high``. Raises ConfigError otherwise."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"must be a whole number from {low} to {high}")
        return value

    def subset(self, key: str, allowed: Sequence[str]) -> list[str]:
        """Return the chosen words in the order of ``allowed``; all by default. Raises ConfigError."""
        value = self.take(key, list(allowed))
        if not isinstance(value, list | tuple) or not value or not all(word in allowed for word in value):
            raise self.wrong(key, f"must be a list of one or more of {', '.join(allowed)}")
        return [word for word in allowed if word in value]

    def end(self) -> None:
        """Raise ConfigError if a key was given that nobody took."""
        for key in self._given:
            if key not in self._known:
                near = difflib.get_close_matches(str(key), self._known, 1)
                known = ", ".join(self._known)
                raise self.wrong(key, "unknown key", f"did you mean '{near[0]}'?" if near else f"it takes {known}")

    def wrong(self, key: str, what: str, remedy: str = "") -> ConfigError:
        """Return the error that names job and key."""
        return ConfigError(f"[jobs.{self._job}] {plain(str(key), 60)}: {what}", remedy=remedy)

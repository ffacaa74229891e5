"""``[[queries]]``: questions to an index, by the names of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _several(value: object) -> object:
    """Take one word for a list of one."""
    return (value,) if isinstance(value, str) and value else value


#: A list of words; one word alone is a list of one.
Words = Annotated[tuple[str, ...], BeforeValidator(_several)]


class StandingQuery(BaseModel):
    """A search, or a v1.2 classification if it has ``classes``."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, defer_build=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    index: str = ""
    text: str = Field(default="", max_length=2000)
    images: Words = Field(default=(), max_length=10)
    options: Words = ()
    speech: Words = ()
    operator: Literal["or", "and"] = "or"
    group_by: Literal["clip", "video"] = "clip"
    sort: Literal["", "score", "clip_count"] = ""
    threshold: Any = ""
    filter: Mapping[str, Any] = Field(default_factory=dict)
    limit: int = Field(default=50, ge=1, le=1000)
    classes: Mapping[str, Words] = Field(default_factory=dict)
    videos: Words = ()
    clips: bool = False
    detailed: bool = False

    @model_validator(mode="after")
    def _one_thing(self) -> StandingQuery:
        if self.classes and (self.text or self.images):
            raise ValueError("has classes beside text or images: it either classifies or searches")
        if not (self.classes or self.text or self.images):
            raise ValueError("asks nothing: give it text, images or classes")
        if not all(self.classes.values()):
            raise ValueError("has a class without a prompt")
        searching = self.threshold in ("", "high", "medium", "low", "none")
        if not (searching if not self.classes else self.threshold == "" or _is_score(self.threshold)):
            raise ValueError(
                'threshold should be "high", "medium", "low" or "none"; with classes a whole number from 0 to 100, '
                "or a table of min_video_score, min_clip_score, min_duration_ratio"
            )
        return self


def _is_score(value: object) -> bool:
    if isinstance(value, Mapping):
        tops = {"min_video_score": 100, "min_clip_score": 100, "min_duration_ratio": 1}
        return bool(value) and all(name in tops and _within(number, tops[name]) for name, number in value.items())
    return isinstance(value, int) and _within(value, 100)


def _within(value: object, top: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= top

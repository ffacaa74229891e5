"""Analyze requests: at once, as a task, as an item of a batch."""

from __future__ import annotations

import base64
import binascii
from abc import abstractmethod
from functools import cached_property
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pipeline.core.model import Json
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import NOT_BLANK, ONE_OF, Flag, Fraction, must_be, refuse, require
from pipeline.local.api.v1_3.schema_profile import check_schema
from pipeline.local.errors import ApiError, invalid, not_provided, unsupported
from pipeline.local.state.tables import AssetRow

_MOST_INLINE = 36 * 1000 * 1000  #: bytes of a base64 video


class VideoInput(Body):
    """Where the video is: an id, an address or base64 text."""

    type: Annotated[
        Literal["asset_id", "url", "base64_string"], refuse("The video type must be asset_id, url or base64_string.")
    ]
    asset_id: Json = None
    url: Json = None
    base64_string: Json = Field(None, repr=False)

    @property
    def value(self) -> str:
        """The id, the address or the base64 text."""
        return str(getattr(self, self.type))

    @cached_property
    def content(self) -> bytes:
        """The bytes of an inline video."""
        return base64.b64decode(self.value, validate=True)

    @model_validator(mode="after")
    def _usable(self) -> VideoInput:
        given = getattr(self, self.type)
        if not isinstance(given, str) or not given:
            raise not_provided(f"The video needs its {self.type}.")
        try:
            fits = self.type != "base64_string" or 0 < len(self.content) <= _MOST_INLINE
        except (binascii.Error, ValueError):
            raise invalid("The base64_string is not valid base64.") from None
        if not fits:
            raise ApiError(400, "video_filesize_too_large", f"An inline video may have up to {_MOST_INLINE} bytes.")
        return self

    def view(self) -> dict[str, Json]:
        """Return what a task shows of its source."""
        return {"type": self.type, **({self.type: self.value} if self.type != "base64_string" else {})}


class RichPrompt(Body):
    """A prompt as an object."""

    media_sources: Json = None
    input_text: Annotated[str, NOT_BLANK, require("The prompt needs its input_text.")]

    @field_validator("media_sources")
    @classmethod
    def _no_images(cls, value: Json) -> Json:
        if value:
            raise unsupported("images inside a prompt", "Ask in words.")
        return value


def _read_schema(wanted: Json) -> dict[str, Json] | None:
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise invalid("The response_format type must be 'json_schema'.")
    return check_schema(wanted.get("json_schema"))


_Seconds = Annotated[float | None, Field(ge=0), must_be("a number, not negative")]


class AnalyzeRequest(Body):
    """What all analyze requests have."""

    closed = True

    video: Annotated[VideoInput, require("The video parameter is required and must be an object.")]
    max_tokens: Annotated[int, Field(ge=512, le=98_304), must_be("a whole number from 512 to 98304")] = 4096
    temperature: Fraction | None = None
    start_time: _Seconds = None
    end_time: _Seconds = None
    response_format: Annotated[dict[str, Json] | None, BeforeValidator(_read_schema)] = None

    @property
    @abstractmethod
    def model(self) -> str:
        """The model that is asked for."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The prompt."""

    @model_validator(mode="after")
    def _wide_window(self) -> AnalyzeRequest:
        if self.end_time is not None and self.end_time - (self.start_time or 0.0) < 1.0:
            raise invalid("The window from start_time to end_time must be at least one second.")
        return self

    def stored(self) -> dict[str, Json]:
        """Return what is stored: plain JSON with every default filled in."""
        return {
            "model_name": self.model,
            "prompt": self.text,
            "temperature": 0.2 if self.temperature is None else self.temperature,
            "max_tokens": self.max_tokens,
            "schema": self.response_format,
            "start_time": self.start_time,
            "end_time": self.end_time,
        }

    def minutes(self, asset: AssetRow) -> float:
        """Return the billed minutes of a video: the window, or all of it."""
        start, end = asset.since_begin(self.start_time), asset.since_begin(self.end_time)
        until = asset.duration if end is None else min(end, asset.duration)
        return round(max(0.0, until - (start or 0.0)) / 60, 4)


class QueuedRequest(AnalyzeRequest):
    """What a task and an item of a batch have beside."""

    custom_id: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_-]{1,64}$"),
        refuse("The custom_id parameter must have 1 to 64 letters, digits, '_' or '-'."),
    ] = None
    min_segment_duration: Json = None
    max_segment_duration: Json = None

    @field_validator("min_segment_duration", "max_segment_duration")
    @classmethod
    def _no_segments(cls, value: Json) -> Json:
        if value is not None:
            raise invalid("Segment durations need analysis_mode 'time_based_metadata'.")
        return value


class PromptedRequest(AnalyzeRequest):
    """What both analyze requests have: a model, and a prompt in either form."""

    image: Json = None
    model_name: Annotated[Literal["pegasus1.5", "pegasus1.6"], ONE_OF] = "pegasus1.5"
    prompt: Json = None
    prompt_v2: Annotated[RichPrompt | None, require("The prompt parameter is required.")] = None

    @property
    def model(self) -> str:
        return self.model_name

    @property
    def text(self) -> str:
        return str(self.prompt) if self.prompt_v2 is None else self.prompt_v2.input_text

    @field_validator("image")
    @classmethod
    def _no_image(cls, value: Json) -> Json:
        if value is not None:
            raise unsupported("images", "It reads captions and on-screen text of videos.")
        return value

    @model_validator(mode="before")
    @classmethod
    def _one_prompt(cls, data: Json) -> Json:
        if data.get("prompt") is not None and data.get("prompt_v2") is not None:
            raise invalid("The prompt and prompt_v2 parameters exclude each other.")
        return data

    @model_validator(mode="after")
    def _has_prompt(self) -> PromptedRequest:
        if self.prompt_v2 is None and not (isinstance(self.prompt, str) and self.prompt.strip()):
            raise not_provided("The prompt parameter is required.")
        return self


class SyncRequest(PromptedRequest):
    """The body of ``POST /analyze``."""

    stream: Flag = True


def _general(mode: str) -> str:
    if mode != "general":
        raise unsupported("time-based segmentation", "Ask for chapters with a json_schema instead.")
    return mode


Mode: TypeAlias = Annotated[Literal["general", "time_based_metadata"], AfterValidator(_general), ONE_OF]


class TaskRequest(PromptedRequest, QueuedRequest):
    """The body of ``POST /analyze/tasks``."""

    analysis_mode: Mode = "general"


class BatchItem(QueuedRequest):
    """An entry of a batch's ``requests``, with the batch's defaults filled in."""

    prompt: Annotated[RichPrompt, refuse("The prompt of a batch must be an object with input_text.")]

    @property
    def model(self) -> str:
        return "pegasus1.5"

    @property
    def text(self) -> str:
        return self.prompt.input_text

    @field_validator("video")
    @classmethod
    def _stored(cls, value: VideoInput) -> VideoInput:
        if value.type != "asset_id":
            raise invalid("A batch takes videos by asset_id only.")
        return value


#: What an item of a batch may take from the batch's defaults.
DEFAULTS = frozenset(BatchItem.model_fields) - {"video", "custom_id"}
_Item = Annotated[dict[str, Json], refuse("An entry of requests must be an object.")]


class BatchRequest(Body):
    """The body of ``POST /analyze/batches``. Items are read by :class:`BatchItem` once their defaults are in."""

    closed = True

    model_name: Annotated[Literal["pegasus1.5"], ONE_OF]
    analysis_mode: Mode = "general"
    defaults: Annotated[dict[str, Json] | None, refuse("The defaults parameter has a field that has no default.")] = (
        None
    )
    requests: Annotated[list[_Item], refuse("The requests parameter must be a list.")]

    @field_validator("defaults")
    @classmethod
    def _known_defaults(cls, value: dict[str, Json] | None) -> dict[str, Json] | None:
        if set(value or ()) - DEFAULTS:
            raise invalid("The defaults parameter has a field that has no default.")
        return value

"""Analyze requests, read and checked. Pure: what comes out is complete and can be stored and carried out later."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pipeline.core.model import Json
from pipeline.local.api.v1_3.schema_profile import check_schema
from pipeline.local.errors import ApiError, invalid, unsupported

MODELS = ("pegasus1.5", "pegasus1.6")

_MOST_INLINE = 36 * 1000 * 1000  #: bytes of a base64 video

_COMMON = frozenset({"temperature", "max_tokens", "response_format", "start_time", "end_time", "video", "image"})

_SEGMENTS = frozenset({"min_segment_duration", "max_segment_duration"})

_SYNC = _COMMON | {"model_name", "prompt", "prompt_v2", "stream"}

_TASK = _COMMON | _SEGMENTS | {"model_name", "prompt", "prompt_v2", "custom_id", "analysis_mode"}

ITEM = _COMMON - {"image"} | _SEGMENTS | {"prompt", "custom_id"}

DEFAULTS = ITEM - {"video", "custom_id"}

Kind: TypeAlias = Literal["asset_id", "url", "base64_string"]


@dataclass(frozen=True, slots=True)
class VideoInput:
    """Where the video is: the value is an id, an address or, decoded, the bytes."""

    kind: Kind
    value: str = ""
    content: bytes = field(default=b"", repr=False)

    def as_json(self) -> dict[str, Json]:
        """Return what a task shows of its source."""
        return {"type": self.kind, **({self.kind: self.value} if self.value else {})}


@dataclass(frozen=True, slots=True)
class AnalyzeRequest:
    """A checked request. ``request`` is what is stored: plain JSON with every default filled in."""

    source: VideoInput
    request: dict[str, Json]
    custom_id: str = ""
    mode: str = "general"
    stream: bool = False


def read_sync(body: Mapping[str, Json]) -> AnalyzeRequest:
    """Read the body of ``POST /analyze``; raises ApiError (400, 422)."""
    _known(body, _SYNC)
    stream = body.get("stream", True)
    if not isinstance(stream, bool):
        raise invalid("The stream parameter must be true or false.")
    return AnalyzeRequest(_source(body), _request(body, _prompt(body)), stream=stream)


def read_task(body: Mapping[str, Json]) -> AnalyzeRequest:
    """Read the body of ``POST /analyze/tasks``; raises ApiError (400, 422)."""
    _known(body, _TASK)
    mode_of(body)
    return AnalyzeRequest(_source(body), _request(body, _prompt(body)), custom_id(body.get("custom_id")))


def read_item(item: Json, defaults: Mapping[str, Json], model: Json) -> AnalyzeRequest:
    """Read one item of a batch with its defaults; raises ApiError (400, 422)."""
    if not isinstance(item, dict):
        raise invalid("An entry of requests must be an object.")
    _known(item, ITEM)
    whole = {**defaults, **item, "model_name": model}
    source = _source(whole)
    if source.kind != "asset_id":
        raise invalid("A batch takes videos by asset_id only.")
    prompt = whole.get("prompt")
    if not isinstance(prompt, dict):
        raise invalid("The prompt of a batch must be an object with input_text.")
    return AnalyzeRequest(source, _request(whole, _prompt_text(prompt)), custom_id(item.get("custom_id")))


def mode_of(body: Mapping[str, Json]) -> str:
    """Return the analysis mode; only ``general`` can be done here."""
    mode = body.get("analysis_mode", "general")
    if mode == "time_based_metadata":
        raise unsupported("time-based segmentation", "Ask for chapters with a json_schema instead.")
    if mode != "general":
        raise invalid("The analysis_mode parameter must be 'general' or 'time_based_metadata'.")
    return "general"


def custom_id(value: Json) -> str:
    """Check a caller's own id; None is none."""
    if value is None:
        return ""
    if not isinstance(value, str) or re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is None:
        raise invalid("The custom_id parameter must have 1 to 64 letters, digits, '_' or '-'.")
    return value


def _known(body: Mapping[str, Json], names: frozenset[str]) -> None:
    strange = sorted(set(body) - names)
    if strange:
        raise ApiError(400, "parameter_unknown", f"The parameter {strange[0][:64]!r} is not known here.")


def _source(body: Mapping[str, Json]) -> VideoInput:
    if body.get("image") is not None:
        raise unsupported("images", "It reads captions and on-screen text of videos.")
    video = body.get("video")
    if not isinstance(video, dict):
        raise ApiError(400, "parameter_not_provided", "The video parameter is required and must be an object.")
    kind = video.get("type")
    if kind not in ("asset_id", "url", "base64_string"):
        raise invalid("The video type must be asset_id, url or base64_string.")
    value = video.get(kind)
    if not isinstance(value, str) or not value:
        raise ApiError(400, "parameter_not_provided", f"The video needs its {kind}.")
    if kind != "base64_string":
        return VideoInput(kind, value)
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("The base64_string is not valid base64.") from None
    if not 0 < len(content) <= _MOST_INLINE:
        raise ApiError(400, "video_filesize_too_large", f"An inline video may have up to {_MOST_INLINE} bytes.")
    return VideoInput(kind, content=content)


def _prompt(body: Mapping[str, Json]) -> str:
    plain, rich = body.get("prompt"), body.get("prompt_v2")
    if plain is not None and rich is not None:
        raise invalid("The prompt and prompt_v2 parameters exclude each other.")
    if isinstance(rich, dict):
        return _prompt_text(rich)
    if not isinstance(plain, str) or not plain.strip():
        raise ApiError(400, "parameter_not_provided", "The prompt parameter is required.")
    return plain


def _prompt_text(prompt: Mapping[str, Json]) -> str:
    if prompt.get("media_sources"):
        raise unsupported("images inside a prompt", "Ask in words.")
    text = prompt.get("input_text")
    if not isinstance(text, str) or not text.strip():
        raise ApiError(400, "parameter_not_provided", "The prompt needs its input_text.")
    return text


def _request(body: Mapping[str, Json], prompt: str) -> dict[str, Json]:
    model = body.get("model_name", MODELS[0])
    if model not in MODELS:
        raise invalid(f"The model_name parameter must be one of {', '.join(MODELS)}.")
    if any(body.get(name) is not None for name in _SEGMENTS):
        raise invalid("Segment durations need analysis_mode 'time_based_metadata'.")
    most = body.get("max_tokens", 4096)
    if not isinstance(most, int) or isinstance(most, bool) or not 512 <= most <= 98_304:
        raise invalid("The max_tokens parameter must be a whole number from 512 to 98304.")
    temperature = _number(body, "temperature", 0.2)
    if temperature is None or not 0 <= temperature <= 1:
        raise invalid("The temperature parameter must be from 0 to 1.")
    start, end = _window(body)
    return {
        "model_name": model,
        "prompt": prompt,
        "temperature": temperature,
        "max_tokens": most,
        "schema": _schema(body.get("response_format")),
        "start_time": start,
        "end_time": end,
    }


def _schema(wanted: Json) -> dict[str, Json] | None:
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise invalid("The response_format type must be 'json_schema'.")
    return check_schema(wanted.get("json_schema"))


def _window(body: Mapping[str, Json]) -> tuple[float | None, float | None]:
    start, end = _number(body, "start_time", None), _number(body, "end_time", None)
    if (start is not None and start < 0) or (end is not None and end <= 0):
        raise invalid("The start_time and end_time parameters must not be negative.")
    if end is not None and end - (start or 0.0) < 1.0:
        raise invalid("The window from start_time to end_time must be at least one second.")
    return start, end


def _number(body: Mapping[str, Json], name: str, default: float | None) -> float | None:
    value = body.get(name, default)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise invalid(f"The {name} parameter must be a number.")
    return float(value)

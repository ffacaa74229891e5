"""v1.2: gist, summarize, generate: v1.3's answers in the old shapes."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import Reply
from pipeline.local.api.analysis_replies import answer_now, stream_answer
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import NOT_BLANK, ONE_OF, OR_DEFAULT, Flag, Fraction, Id, refuse, require
from pipeline.local.api.http.responses import json_response
from pipeline.local.api.index_lookup import find_index, find_source_asset, find_video, with_title
from pipeline.local.api.model_options import can_write
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.tables import AssetRow

_MOST_TOKENS = 98_304
_TEXT: dict[str, Json] = {"type": "string"}
_SPAN: dict[str, Json] = {"start_time": {"type": "number"}, "end_time": {"type": "number"}}


def _rows(*names: str) -> dict[str, Json]:
    properties: dict[str, Json] = {**_SPAN, **dict.fromkeys(names, _TEXT)}
    return {"type": "array", "items": {"type": "object", "properties": properties, "required": list(properties)}}


#: type of a gist → field of the answer, its schema, and how it is asked for
_GISTS: dict[str, tuple[str, dict[str, Json], str]] = {
    "title": ("title", _TEXT, "- `title`: one short line"),
    "topic": ("topics", {"type": "array", "minItems": 1, "items": _TEXT}, "- `topics`: at most 5 short noun phrases"),
    "hashtag": ("hashtags", {"type": "array", "minItems": 1, "items": _TEXT}, "- `hashtags`: at most 15 words"),
}
#: type of a summary → field of the answer, its schema, and how it is asked for without a prompt
_SUMMARIES: dict[str, tuple[str, dict[str, Json], str]] = {
    "summary": ("summary", _TEXT, "Summarize the video in 4 sentences."),
    "chapter": ("chapters", _rows("chapter_title", "chapter_summary"), "Divide the video into chapters."),
    "highlight": ("highlights", _rows("highlight", "highlight_summary"), "List the highlights, at most 5."),
}
_PROMPT = require("The prompt parameter must be a text.")


class GistBody(Body):
    """The body of ``POST /gist``."""

    types: Annotated[
        list[Literal["title", "topic", "hashtag"]],
        Field(min_length=1),
        refuse("The types parameter must be a list of title, topic, hashtag."),
    ]
    video_id: Id


class SummarizeBody(Body):
    """The body of ``POST /summarize``."""

    type: Annotated[Literal["summary", "chapter", "highlight"], ONE_OF]
    prompt: Annotated[str | None, _PROMPT] = None
    temperature: Fraction | None = None  #: checked only: what is quoted from a video does not depend on it
    video_id: Id


class GenerateBody(Body):
    """The body of ``POST /generate``."""

    prompt: Annotated[str, NOT_BLANK, _PROMPT]
    temperature: Fraction | None = None
    stream: Annotated[Flag, OR_DEFAULT] = False
    video_id: Id


async def gist(context: ApiContext, request: Request, body: GistBody) -> Response:
    """Return title, topics, hashtags: those that are asked for."""
    types = sorted(set(body.types))
    chosen = [_GISTS[name] for name in types]
    schema = _object({field: part for field, part, _ in chosen})
    prompt = "\n".join(["Return:", *(line for _, _, line in chosen)])
    found = await _ask(context, request, body.video_id, "gist", ",".join(types), prompt, schema)
    values = json.loads(found.text)
    if "hashtags" in values:
        values["hashtags"] = [tag.lstrip("#") for tag in values["hashtags"]]
    return json_response({"id": str(uuid.uuid4()), **values})


async def summarize(context: ApiContext, request: Request, body: SummarizeBody) -> Response:
    """Return a summary, chapters or highlights; a prompt can say how many."""
    field, part, usual = _SUMMARIES[body.type]
    prompt = _checked(context, body.prompt or "")
    about = f"{body.type}:{_digest(prompt)}" if prompt else body.type
    found = await _ask(context, request, body.video_id, "summarize", about, prompt or usual, _object({field: part}))
    value = json.loads(found.text)[field]
    if body.type == "chapter":
        value = _chapters(value)
    if body.type == "highlight":
        value = _highlights(value)
    return json_response({"id": str(uuid.uuid4()), field: value})


async def generate(context: ApiContext, request: Request, body: GenerateBody) -> Response:
    """Return text for a prompt, whole or streamed; nothing is composed."""
    prompt = _checked(context, body.prompt)
    found = await _ask(context, request, body.video_id, "generate", _digest(prompt), prompt, None)
    generation = str(uuid.uuid4())
    if body.stream:
        return stream_answer(found, generation)
    return json_response({"id": generation, "data": found.text})


def _checked(context: ApiContext, prompt: str) -> str:
    if len(prompt) > context.limits.prompt_characters:
        raise invalid(f"The prompt parameter has more than {context.limits.prompt_characters} characters.")
    return prompt.strip()


async def _ask(
    context: ApiContext, request: Request, video_id: str, effect: str, about: str, prompt: str, schema: Json
) -> Reply:
    """Answer from the video's evidence; billed when accepted, heard or not."""

    def accept(db: Connection) -> AssetRow:
        video = find_video(db, video_id)
        index = find_index(db, video.index_id)
        if not can_write(index):
            code = "index_not_supported_for_generate"
            raise ApiError(400, code, f"The index {index.name[:64]!r} has no generative engine.")
        asset = find_source_asset(db, video)
        context.record(db, request, effect, video.id, f"{video.filename}:{about}", round(video.duration / 60, 4))
        return with_title(asset, video)

    asset = await context.write(accept)
    wanted = {"prompt": prompt, "schema": schema, "max_tokens": _MOST_TOKENS}
    return await answer_now(context, asset, wanted, sync=False)


def _object(properties: Mapping[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _chapters(found: Sequence[Mapping[str, Json]]) -> list[Json]:
    """Return chapters in whole seconds that touch: where one ends the next begins."""
    starts = _rising([round(row["start_time"]) for row in found])
    ends = [*starts[1:], max(math.ceil(found[-1]["end_time"]), starts[-1] + 1)] if found else []
    return [
        {
            "chapter_number": number,
            "start": start,
            "end": end,
            "chapter_title": row["chapter_title"],
            "chapter_summary": row["chapter_summary"],
        }
        for number, (row, start, end) in enumerate(zip(found, starts, ends, strict=True))
    ]


def _rising(times: Sequence[int]) -> list[int]:
    """Return whole seconds of which each is above the one before."""
    found: list[int] = []
    for time in times:
        found.append(max(time, found[-1] + 1) if found else time)
    return found


def _highlights(found: Sequence[Mapping[str, Json]]) -> list[Json]:
    """Return highlights in whole seconds that hold all of each moment."""
    return [
        {
            "start": math.floor(row["start_time"]),
            "end": max(math.ceil(row["end_time"]), math.floor(row["start_time"]) + 1),
            "highlight": row["highlight"],
            "highlight_summary": row["highlight_summary"],
        }
        for row in found
    ]

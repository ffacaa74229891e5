"""v1.2: gist, summarize, generate. The same evidence and the same answers as v1.3's analyze, in the old shapes."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, Reply
from pipeline.local.api import index_lookup
from pipeline.local.api.context import ApiContext, json_body
from pipeline.local.api.model_options import writes
from pipeline.local.api.responses import OLD, reply
from pipeline.local.api.v1_3.analyze import streamed
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state import ledger
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


@dataclass(frozen=True, slots=True)
class Text:
    """A checked request. ``about`` names it in the ledger beside the video's name."""

    video_id: str
    about: str
    prompt: str
    schema: dict[str, Json] | None
    stream: bool = False


class TextRoutes:
    """``/gist``, ``/summarize`` and ``/generate``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{OLD}/gist", self.gist, methods=["POST"]),
            Route(f"{OLD}/summarize", self.summarize, methods=["POST"]),
            Route(f"{OLD}/generate", self.generate, methods=["POST"]),
        ]

    async def gist(self, request: Request) -> Response:
        """Return title, topics, hashtags: those that are asked for."""
        body = await json_body(request)
        types = body.get("types")
        if not isinstance(types, list) or not types or any(type(t) is not str or t not in _GISTS for t in types):
            raise invalid(f"The types parameter must be a list of {', '.join(_GISTS)}.")
        chosen = [_GISTS[name] for name in sorted(set(types))]
        schema = _object({field: part for field, part, _ in chosen})
        prompt = "\n".join(["Return:", *(line for _, _, line in chosen)])
        found = await self._ask(request, "gist", Text(_video_id(body), ",".join(sorted(set(types))), prompt, schema))
        values = json.loads(found.text)
        if "hashtags" in values:
            values["hashtags"] = [tag.lstrip("#") for tag in values["hashtags"]]
        return reply({"id": str(uuid.uuid4()), **values})

    async def summarize(self, request: Request) -> Response:
        """Return a summary, chapters that cover the video, or highlights; a prompt can say how many."""
        body = await json_body(request)
        kind = body.get("type")
        if not isinstance(kind, str) or kind not in _SUMMARIES:
            raise invalid(f"The type parameter must be one of {', '.join(_SUMMARIES)}.")
        field, part, usual = _SUMMARIES[kind]
        prompt = self._prompt(body, required=False)
        about = f"{kind}:{_digest(prompt)}" if prompt else kind
        _temperature(body)
        text = Text(_video_id(body), about, prompt or usual, _object({field: part}))
        value = json.loads((await self._ask(request, "summarize", text)).text)[field]
        if kind == "chapter":
            value = _chapters(value)
        if kind == "highlight":
            value = _highlights(value)
        return reply({"id": str(uuid.uuid4()), field: value})

    async def generate(self, request: Request) -> Response:
        """Return text for a prompt, whole or streamed; what would have to be composed is refused in words."""
        body = await json_body(request)
        prompt, stream = self._prompt(body, required=True), body.get("stream") or False
        _temperature(body)
        if not isinstance(stream, bool):
            raise invalid("The stream parameter must be true or false.")
        found = await self._ask(request, "generate", Text(_video_id(body), _digest(prompt), prompt, None))
        generation = str(uuid.uuid4())
        if stream:
            return StreamingResponse(streamed(found, generation), media_type="application/x-ndjson")
        return reply({"id": generation, "data": found.text})

    def _prompt(self, body: Mapping[str, Json], *, required: bool) -> str:
        prompt, most = body.get("prompt"), self._desk.limits.prompt_characters
        if prompt is None and not required:
            return ""
        if not isinstance(prompt, str) or (required and not prompt.strip()):
            raise ApiError(400, "parameter_not_provided", "The prompt parameter must be a text.")
        if len(prompt) > most:
            raise invalid(f"The prompt parameter has more than {most} characters.")
        return prompt.strip()

    async def _ask(self, request: Request, effect: str, text: Text) -> Reply:
        """Answer from the video's evidence. Billed when accepted, whether or not the answer is heard."""

        def accept(db: sqlite3.Connection) -> AssetRow:
            video = index_lookup.video_of(db, text.video_id)
            index = index_lookup.index_of(db, video.index_id)
            if not writes(index):
                code = "index_not_supported_for_generate"
                raise ApiError(400, code, f"The index {index.name[:64]!r} has no generative engine.")
            asset = index_lookup.asset_of(db, video)
            key, minutes = f"{video.filename}:{text.about}", round(video.duration / 60, 4)
            ledger.enter(db, self._desk.entry(request, effect, video.id, key, minutes))
            return index_lookup.titled(asset, video)

        asset = await self._desk.state.write(accept)
        wanted = {"prompt": text.prompt, "schema": text.schema, "max_tokens": _MOST_TOKENS}
        try:
            return await self._desk.work.answer(asset, wanted, sync=False)
        except AnalysisRefused as refusal:
            raise ApiError(400, refusal.code, refusal.message) from None
        except AnalysisCrashed as error:
            raise ApiError(500, "internal_error", str(error)) from None


def _object(properties: Mapping[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _video_id(body: Mapping[str, Json]) -> str:
    key = body.get("video_id")
    if not isinstance(key, str) or not key:
        raise ApiError(400, "parameter_not_provided", "The video_id parameter is required.")
    return key


def _temperature(body: Mapping[str, Json]) -> None:
    """Check what the vendor's models take; what is quoted from a video does not depend on it."""
    value = body.get("temperature")
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise invalid("The temperature parameter must be from 0 to 1.")


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

"""What both dialects tell of an analysis: answers, streams, timed words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from starlette.responses import StreamingResponse

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, Clip, Reply
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.responses import dump
from pipeline.local.api.index_lookup import find_source_asset
from pipeline.local.errors import ApiError
from pipeline.local.state.tables import AssetRow, VideoRow

#: Characters of one piece of a streamed answer: small and prime, so that pieces break anywhere.
_PIECE = 13


async def answer_now(context: ApiContext, asset: AssetRow, request: Mapping[str, Json], *, sync: bool) -> Reply:
    """Answer in this request; raises ApiError for a refusal (400) or crash (500)."""
    try:
        return await context.work.answer(asset, request, sync=sync)
    except AnalysisRefused as refusal:
        raise ApiError(400, refusal.code, refusal.message) from None
    except AnalysisCrashed as error:
        raise ApiError(500, "internal_error", str(error)) from None


async def read_words(context: ApiContext, video: VideoRow, kind: str) -> list[Clip]:
    """Return the words of a kind in a video; raises ApiError (500)."""
    asset = await context.read(lambda db: find_source_asset(db, video))
    try:
        return (await context.work.words(asset)).of(kind)
    except (AnalysisRefused, AnalysisCrashed) as error:
        raise ApiError(500, "internal_error", str(error)) from None


def words_view(clips: Iterable[Clip]) -> list[Json]:
    """Return words with their times as the API shows them."""
    return [{"start": clip.start, "end": clip.end, "value": clip.text} for clip in clips]


def usage_view(reply: Reply) -> dict[str, Json]:
    """Return the tokens of an answer as the API shows them."""
    return {"output_tokens": reply.output_tokens, "input_tokens": reply.input_tokens}


def stream_answer(reply: Reply, generation: str) -> StreamingResponse:
    """Return an answer as a stream of events, one JSON object a line."""
    return StreamingResponse(_events(reply, generation), media_type="application/x-ndjson")


async def _events(reply: Reply, generation: str) -> AsyncIterator[bytes]:
    yield dump({"event_type": "stream_start", "metadata": {"generation_id": generation}}) + b"\n"
    for at in range(0, len(reply.text), _PIECE):
        yield dump({"event_type": "text_generation", "text": reply.text[at : at + _PIECE]}) + b"\n"
    metadata = {"generation_id": generation, "usage": usage_view(reply)}
    yield dump({"event_type": "stream_end", "finish_reason": reply.finish_reason, "metadata": metadata}) + b"\n"

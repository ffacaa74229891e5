"""v1.2: search by JSON or by a form; score, confidence and matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, model_validator
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.analysis.ranking.search_hits import ClipHit, confidence, least_score
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import parse
from pipeline.local.api.http.fields import ONE_OF, OR_DEFAULT, Fraction
from pipeline.local.api.http.query import parse_number
from pipeline.local.api.http.responses import pick
from pipeline.local.api.model_options import OPTIONS_V1_2
from pipeline.local.api.search import NEAREST, SearchRequest, SearchText, read_search_form, run_search, thumbnail_view
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.fulltext import Mode
from pipeline.local.state.tables import IndexRow, VideoRow


class SearchBody(SearchRequest):
    """The body of ``POST /search``."""

    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = OPTIONS_V1_2

    query: SearchText
    adjust_confidence_level: Fraction = 0.5
    threshold: Annotated[Literal["high", "medium", "low", "none"], ONE_OF, OR_DEFAULT] = "low"
    sort_option: Annotated[Literal["score", "clip_count"], ONE_OF, OR_DEFAULT] = "score"
    conversation_option: Annotated[Literal["semantic", "exact_match"], ONE_OF, OR_DEFAULT] = "semantic"

    @property
    def text(self) -> str:
        return self.query

    @property
    def mode(self) -> Mode:
        return "phrase" if self.conversation_option == "exact_match" else "stems"

    @property
    def least(self) -> float:
        return least_score(self.threshold, self.adjust_confidence_level)

    @property
    def most_clips_first(self) -> bool:
        return self.sort_option == "clip_count"

    @model_validator(mode="after")
    def _options_go_together(self) -> SearchBody:
        if self.most_clips_first and self.group_by != "video":
            raise invalid("The sort_option 'clip_count' needs group_by 'video'.")
        if self.mode == "phrase" and len(set(self.search_options)) > 1:
            message = "The conversation_option 'exact_match' goes with the search option 'conversation' alone."
            raise ApiError(400, "search_option_combination_not_supported", message)
        return self


def _number(text: Json) -> Json:
    return parse_number(text) if isinstance(text, str) else text


class SearchBodyForm(SearchBody):
    """The same as a form."""

    adjust_confidence_level: Annotated[Fraction, BeforeValidator(_number), OR_DEFAULT] = 0.5


async def create_search(context: ApiContext, request: Request, body: SearchBody) -> Response:
    """Search an index."""
    return await _search(context, request, body)


async def search_by_form(context: ApiContext, request: Request) -> Response:
    """Search an index as :func:`create_search` does."""
    fields = await read_search_form(context, request)
    return await _search(context, request, parse(SearchBodyForm, {**fields, "query": fields.get("query_text")}))


async def _search(context: ApiContext, request: Request, search: SearchBody) -> Response:
    level = search.adjust_confidence_level

    def view(index: IndexRow, video: VideoRow, hit: ClipHit, rank: int) -> dict[str, Json]:
        modules = [{"type": match.kind, "confidence": confidence(match.score, level)} for match in hit.by]
        return {
            **pick(hit, "score", "start", "end", "video_id"),
            "metadata": [{"type": match.kind, "text": match.text} for match in hit.by],
            "confidence": confidence(hit.score, level),
            **({"matched_by": NEAREST} if hit.by_meaning else {}),
            **({"modules": modules} if len(search.search_options) > 1 else {}),
            **thumbnail_view(context, index, hit.video_id, hit.start, hit.end),
        }

    return await run_search(context, request, search, view)

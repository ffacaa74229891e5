"""v1.3: search by a form; ranks come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.analysis.ranking.search_hits import ClipHit, least_score
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import parse
from pipeline.local.api.http.fields import FormFlag, refuse
from pipeline.local.api.http.responses import pick
from pipeline.local.api.model_options import OPTIONS_V1_3
from pipeline.local.api.search import NEAREST, SearchRequest, SearchText, read_search_form, run_search, thumbnail_view
from pipeline.local.state.fulltext import Mode
from pipeline.local.state.tables import IndexRow, VideoRow


class SearchForm(SearchRequest):
    """The form of ``POST /search``."""

    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = OPTIONS_V1_3

    query_text: SearchText
    transcription_options: Annotated[
        list[Literal["lexical", "semantic"]],
        refuse("The transcription_options parameter must be lexical or semantic."),
    ] = Field(default_factory=list)
    include_user_metadata: FormFlag = False

    @property
    def text(self) -> str:
        return self.query_text

    @property
    def mode(self) -> Mode:
        return "words" if set(self.transcription_options) == {"lexical"} else "stems"

    @property
    def least(self) -> float:
        return least_score("low")


async def create_search(context: ApiContext, request: Request) -> Response:
    """Search an index."""
    search = parse(SearchForm, await read_search_form(context, request))

    def view(index: IndexRow, video: VideoRow, hit: ClipHit, rank: int) -> dict[str, Json]:
        shown = search.include_user_metadata and video.user_metadata
        return {
            **pick(hit, "video_id", "start", "end"),
            "rank": rank,
            "transcription": hit.text,
            **({"matched_by": NEAREST} if hit.by_meaning else {}),
            **({"user_metadata": video.user_metadata} if shown else {}),
            **thumbnail_view(context, index, hit.video_id, hit.start, hit.end),
        }

    return await run_search(context, request, search, view)

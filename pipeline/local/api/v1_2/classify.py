"""v1.2: classification of an index or of named videos, by the words they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.analysis.ranking import classification
from pipeline.local.analysis.ranking.classification import ClassClip, ClassFit, Thresholds, WantedClass
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body, parse
from pipeline.local.api.http.fields import (
    NOT_BLANK,
    ONE_OF,
    OR_DEFAULT,
    Flag,
    Fraction,
    Id,
    PageLimit,
    must_be,
    refuse,
    require,
)
from pipeline.local.api.http.pagination import page_at, page_view, store_pages
from pipeline.local.api.http.responses import json_response, pick
from pipeline.local.api.index_lookup import SHOWN, find_index, find_video
from pipeline.local.api.model_options import CLASSIFY_V1_2, find_unread, refuse_unread, resolve_options
from pipeline.local.api.search import thumbnail_view
from pipeline.local.errors import invalid, not_provided
from pipeline.local.state import fulltext
from pipeline.local.state.fulltext import ClipMatch
from pipeline.local.state.tables import VIDEOS, IndexRow, VideoRow

_TEXTS = require("The {name} parameter must be a list of texts.")
_Text = Annotated[str, NOT_BLANK]
_ConversationOption = Annotated[Literal["semantic", "exact_match"] | None, ONE_OF, OR_DEFAULT]
_Score = Annotated[float, Field(ge=0, le=100), must_be("a number from 0 to 100")]
_A_CLASS = refuse("A class must be an object with a name and prompts.")


class ClassBody(Body):
    """A class to look for; missing options are the whole request's."""

    name: Annotated[str, NOT_BLANK, _A_CLASS]
    prompts: Annotated[list[_Text], Field(min_length=1), _TEXTS]
    options: Annotated[list[_Text] | None, _TEXTS, OR_DEFAULT] = None
    conversation_option: _ConversationOption = None


class ThresholdBody(Body):
    """What a class must reach."""

    min_video_score: _Score = 75.0
    min_clip_score: _Score = 30.0
    min_duration_ratio: Fraction = 0.5


class VideoThresholdBody(Body):
    """The least video score alone."""

    threshold: _Score


def _read_threshold(given: Json) -> Thresholds:
    if given is None:
        return Thresholds()
    if isinstance(given, dict):
        least = parse(ThresholdBody, given)
        return Thresholds(least.min_video_score, least.min_clip_score, least.min_duration_ratio)
    return Thresholds(parse(VideoThresholdBody, {"threshold": given}).threshold)


def _unique(classes: list[ClassBody]) -> list[ClassBody]:
    if len({each.name for each in classes}) < len(classes):
        raise invalid("Two classes have the same name.")
    return classes


class ClassifyRequest(Body):
    """What a classification asks, of an index or of videos."""

    classes: Annotated[
        list[Annotated[ClassBody, _A_CLASS]],
        Field(min_length=1),
        AfterValidator(_unique),
        require("The classes parameter must be a list of classes."),
    ]
    options: Annotated[list[_Text] | None, _TEXTS, OR_DEFAULT] = None
    conversation_option: _ConversationOption = None
    threshold: Annotated[Thresholds, BeforeValidator(_read_threshold)] = Thresholds()
    page_limit: PageLimit = 10
    include_clips: Annotated[Flag, OR_DEFAULT] = False
    show_detailed_score: Annotated[Flag, OR_DEFAULT] = False

    def wanted(self) -> list[WantedClass]:
        """Return the classes, complete; raises ApiError (400) where one has no options."""
        return [self._wanted(each) for each in self.classes]

    def _wanted(self, each: ClassBody) -> WantedClass:
        options = each.options or self.options
        if not options:
            raise not_provided("The options parameter must be a list of texts.")
        mode = classification.MODES[each.conversation_option or self.conversation_option or "semantic"]
        return WantedClass(each.name, tuple(each.prompts), tuple(options), mode)


class IndexClassifyRequest(ClassifyRequest):
    """The body of ``POST /classify/bulk``."""

    index_id: Id


class VideosClassifyRequest(ClassifyRequest):
    """The body of ``POST /classify``."""

    video_ids: Annotated[list[str], Field(min_length=1), require("The video_ids parameter must be a list of ids.")]


def classify_index(context: ApiContext, request: Request, db: Connection, body: IndexClassifyRequest) -> Response:
    """Classify every video of an index."""
    index = find_index(db, body.index_id)
    videos = VIDEOS.select(db, f"index_id = ? AND {SHOWN}", [index.id])
    return _classify(context, request, db, body, index, videos)


def classify_videos(context: ApiContext, request: Request, db: Connection, body: VideosClassifyRequest) -> Response:
    """Classify named videos of one index."""
    videos = [find_video(db, key) for key in dict.fromkeys(body.video_ids)]
    if len({video.index_id for video in videos}) > 1:
        raise invalid("The videos must be in the same index.")
    seconds, most = sum(video.duration for video in videos), context.limits.classify_seconds
    if seconds > most:
        raise invalid(f"The videos have {seconds / 3600:.1f} hours; {most / 3600:g} are allowed.")
    return _classify(context, request, db, body, find_index(db, videos[0].index_id), videos)


def turn_page(context: ApiContext, request: Request, db: Connection, token: str) -> Response:
    """Return another page."""
    return json_response(page_view(*page_at(db, "classify", token, context.clock.now()), request.url.path))


def _classify(
    context: ApiContext,
    request: Request,
    db: Connection,
    wanted: ClassifyRequest,
    index: IndexRow,
    videos: list[VideoRow],
) -> Response:
    classes, limits = wanted.wanted(), context.limits
    prompts = sum(len(each.prompts) for each in classes)
    if prompts > limits.class_prompts:
        raise invalid(f"The classes have {prompts} prompts; {limits.class_prompts} are allowed.")
    kinds = {
        each.name: resolve_options(list(each.options), index, CLASSIFY_V1_2, sees=context.sees) for each in classes
    }
    asked = {kind for own in kinds.values() for kind in own}
    refuse_unread(asked, find_unread(db, index.id, asked, videos).values())

    def search(each: WantedClass, prompt: str) -> Iterable[ClipMatch]:
        for kind in kinds[each.name]:
            mode = each.mode if kind == "conversation" else "stems"
            yield from fulltext.matches(db, index.id, [kind], prompt, mode)

    found = classification.fits(classes, {video.id: video.duration for video in videos}, search, wanted.threshold)
    data: list[Json] = [{"video_id": key, "classes": _views(context, wanted, index, own)} for key, own in found]
    pages = store_pages(
        db, "classify", data, limit=wanted.page_limit, head={}, info={}, now=context.clock.now(),
        seconds=limits.page_seconds,
    )  # fmt: skip
    context.record(db, request, "classify", pages.id, ",".join(each.name for each in classes))
    return json_response(page_view(pages, 0, request.url.path))


def _views(context: ApiContext, wanted: ClassifyRequest, index: IndexRow, own: Sequence[ClassFit]) -> list[Json]:
    share = classification.shares(own)
    return [
        {
            "name": fit.name,
            "score": fit.score,
            "duration_ratio": fit.ratio,
            **({"clips": [_clip(context, index, clip) for clip in fit.pieces]} if wanted.include_clips else {}),
            **({"detailed_scores": _scores(fit, share)} if wanted.show_detailed_score else {}),
        }
        for fit in own
    ]


def _scores(fit: ClassFit, share: Mapping[str, float]) -> dict[str, Json]:
    return {"max_score": fit.score, "avg_score": fit.mean, "normalized_score": share[fit.name]}


def _clip(context: ApiContext, index: IndexRow, clip: ClassClip) -> dict[str, Json]:
    match = clip.match
    return {
        **pick(match, "start", "end", "score"),
        "option": match.kind,
        "prompt": clip.prompt,
        **thumbnail_view(context, index, match.video_id, match.start, match.end),
    }

"""v1.2: classification of an index or of named videos, by the words they hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.ranking.classification import (
    ClassClip,
    ClassFit,
    Thresholds,
    WantedClass,
    fits,
    read_classes,
    read_thresholds,
    shares,
)
from pipeline.local.api import index_lookup, result_pages
from pipeline.local.api.context import ApiContext, json_body
from pipeline.local.api.model_options import kinds_of, refuse_unread
from pipeline.local.api.responses import OLD, reply
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state import fulltext, ledger
from pipeline.local.state.fulltext import ClipMatch
from pipeline.local.state.tables import VIDEOS, IndexRow, ResultPagesRow, VideoRow

_OPTIONS = {"visual": "", "conversation": "conversation", "text_in_video": "text_in_video", "logo": ""}


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """A checked classification, of an index or of videos."""

    classes: list[WantedClass]
    least: Thresholds
    limit: int
    clips: bool
    detailed: bool
    index_id: str = ""
    video_ids: tuple[str, ...] = ()


class ClassifyRoutes:
    """``/classify`` and ``/classify/bulk``."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes; fixed names come before tokens."""
        return [
            Route(f"{OLD}/classify", self.videos, methods=["POST"]),
            Route(f"{OLD}/classify/bulk", self.index, methods=["POST"]),
            Route(f"{OLD}/classify/{{token}}", self.turn, methods=["GET"]),
        ]

    async def index(self, request: Request) -> Response:
        """Classify every video of an index."""
        body = await json_body(request)
        key = body.get("index_id")
        if not isinstance(key, str) or not key:
            raise ApiError(400, "parameter_not_provided", "The index_id parameter is required.")
        return await self._classify(request, self._wish(body, index_id=key))

    async def videos(self, request: Request) -> Response:
        """Classify named videos of one index."""
        body = await json_body(request)
        keys = body.get("video_ids")
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
            raise ApiError(400, "parameter_not_provided", "The video_ids parameter must be a list of ids.")
        return await self._classify(request, self._wish(body, video_ids=tuple(dict.fromkeys(keys))))

    async def turn(self, request: Request) -> Response:
        """Return another page."""
        token, now = request.path_params["token"], self._desk.clock.now()
        found, number = await self._desk.state.read(lambda db: result_pages.turned(db, "classify", token, now))
        return reply(result_pages.page(found, number, request.url.path))

    def _wish(
        self, body: Mapping[str, Json], *, index_id: str = "", video_ids: tuple[str, ...] = ()
    ) -> ClassifyRequest:
        return ClassifyRequest(
            classes=read_classes(body, self._desk.limits.class_prompts),
            least=read_thresholds(body.get("threshold")),
            limit=result_pages.limit_of(body.get("page_limit")),
            clips=_flag(body, "include_clips"),
            detailed=_flag(body, "show_detailed_score"),
            index_id=index_id,
            video_ids=video_ids,
        )

    async def _classify(self, request: Request, wish: ClassifyRequest) -> Response:
        now, limits = self._desk.clock.now(), self._desk.limits

        def work(db: sqlite3.Connection) -> ResultPagesRow:
            index, videos = _pool(db, wish)
            seconds = sum(video.duration for video in videos)
            if wish.video_ids and seconds > limits.classify_seconds:
                raise invalid(
                    f"The videos have {seconds / 3600:.1f} hours; {limits.classify_seconds / 3600:g} are allowed."
                )
            kinds = {each.name: kinds_of(list(each.options), index, _OPTIONS) for each in wish.classes}
            wanted = {kind for own in kinds.values() for kind in own}
            unread = [kind for kind in sorted(wanted) if videos and all(kind in video.unread for video in videos)]
            if unread:
                refuse_unread(unread, len(videos))

            def search(each: WantedClass, prompt: str) -> Iterable[ClipMatch]:
                for kind in kinds[each.name]:
                    mode = each.mode if kind == "conversation" else "stems"
                    yield from fulltext.matches(db, index.id, [kind], prompt, mode)

            found = fits(wish.classes, {video.id: video.duration for video in videos}, search, wish.least)
            data: list[Json] = [{"video_id": key, "classes": self._view(wish, index, own)} for key, own in found]
            kept = result_pages.kept(
                db, "classify", data, limit=wish.limit, head={}, info={}, now=now, seconds=limits.page_seconds
            )
            names = ",".join(each.name for each in wish.classes)
            ledger.enter(db, self._desk.entry(request, "classify", kept.id, names))
            return kept

        return reply(result_pages.page(await self._desk.state.write(work), 0, request.url.path))

    def _view(self, wish: ClassifyRequest, index: IndexRow, own: Sequence[ClassFit]) -> list[Json]:
        share = shares(own)
        return [
            {
                "name": fit.name,
                "score": fit.score,
                "duration_ratio": fit.ratio,
                **({"clips": [self._clip(index, piece) for piece in fit.pieces]} if wish.clips else {}),
                **(
                    {
                        "detailed_scores": {
                            "max_score": fit.score,
                            "avg_score": fit.mean,
                            "normalized_score": share[fit.name],
                        }
                    }
                    if wish.detailed
                    else {}
                ),
            }
            for fit in own
        ]

    def _clip(self, index: IndexRow, piece: ClassClip) -> dict[str, Json]:
        match = piece.match
        middle = (match.start + match.end) / 2
        return {
            "start": match.start,
            "end": match.end,
            "score": match.score,
            "option": match.kind,
            "prompt": piece.prompt,
            **({"thumbnail_url": self._desk.thumbnail(match.video_id, middle)} if "thumbnail" in index.addons else {}),
        }


def _pool(db: sqlite3.Connection, wish: ClassifyRequest) -> tuple[IndexRow, list[VideoRow]]:
    """Return the videos to classify and the one index they are in."""
    if wish.index_id:
        index = index_lookup.index_of(db, wish.index_id)
        return index, VIDEOS.select(db, f"index_id = ? AND {index_lookup.SHOWN}", [index.id])
    videos = [index_lookup.video_of(db, key) for key in wish.video_ids]
    if len({video.index_id for video in videos}) > 1:
        raise invalid("The videos must be in the same index.")
    return index_lookup.index_of(db, videos[0].index_id), videos


def _flag(body: Mapping[str, Json], name: str) -> bool:
    value = body.get(name) or False
    if not isinstance(value, bool):
        raise invalid(f"The {name} parameter must be true or false.")
    return value

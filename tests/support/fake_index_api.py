"""The other side of ``pipeline.ports.index_api``, with behaviour: indexes with videos and words in them, and ways to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.core.errors import Permanent, ReelmillError
from pipeline.ports.index_api import (
    ClassifiedVideo,
    ClassifyQuery,
    ClassScore,
    IndexedVideo,
    IndexInfo,
    IndexingStatus,
    IndexSpec,
    ListFilter,
    SearchHit,
    SearchQuery,
    SearchResults,
)

T = TypeVar("T")


@dataclass
class Spoken:
    """One sentence of a video."""

    start: float
    end: float
    words: str


@dataclass
class FakeIndexApi:
    """Finds whole words in what was put into its indexes. ``failures`` are raised first, one for each paid call.

    A failure of the class ``Ambiguous`` comes after the call was counted, as a lost answer does.
    """

    identity: str = "fake/v1.3"
    there: dict[str, tuple[IndexInfo, list[IndexedVideo]]] = field(default_factory=dict)
    spoken: dict[str, list[Spoken]] = field(default_factory=dict)
    asked: list[SearchQuery | ClassifyQuery] = field(default_factory=list)
    failures: list[ReelmillError] = field(default_factory=list)
    listed: int = 0  #: requests for lists of videos
    looked: int = 0  #: requests for single videos

    def put(self, index_id: str, video: IndexedVideo, *spoken: Spoken) -> None:
        """Put a video into an index."""
        info, videos = self.there[index_id]
        videos.append(video)
        self.there[index_id] = (_counted(info, videos), videos)
        self.spoken[video.id] = list(spoken)

    def indexes(self, which: ListFilter) -> AsyncIterator[IndexInfo]:
        return _each([info for info, _ in self.there.values() if which.name in info.name])

    async def index(self, id_or_name: str) -> IndexInfo:
        for info, _ in self.there.values():
            if id_or_name in (info.id, info.name):
                return info
        raise Permanent(
            "the platform does not know this id", code="resource_not_exist", detail="HTTP 404 no such index"
        )

    async def create_index(self, spec: IndexSpec) -> str:
        for info, _ in self.there.values():
            if info.name == spec.name:
                return info.id
        models = spec.models or (("marengo3.0", ("visual", "audio")),)
        info = IndexInfo(f"i{len(self.there) + 1}", spec.name, models, spec.addons, 0, 0.0, "2026-06-01T00:00:00Z")
        self.there[info.id] = (info, [])
        return info.id

    async def delete_index(self, index_id: str) -> None:
        self.there.pop(index_id, None)

    def videos(self, index_id: str, which: ListFilter) -> AsyncIterator[IndexedVideo]:
        self.listed += 1
        low, high = which.seconds
        fitting = [
            video
            for video in self.there[index_id][1]
            if (low is None or video.seconds >= low) and (high is None or video.seconds <= high)
        ]
        return _each(fitting)

    async def delete_video(self, index_id: str, video_id: str) -> None:
        info, videos = self.there[index_id]
        self.there[index_id] = (info, [video for video in videos if video.id != video_id])

    async def search(self, query: SearchQuery) -> SearchResults:
        self._pay(query)
        info, videos = self.there[query.index_id]
        moments = [
            (video.id, part)
            for video in videos
            for part in self.spoken[video.id]
            if set(query.text.lower().split()) <= set(part.words.lower().split())
        ]
        hits = [
            SearchHit(video_id, part.start, part.end, rank=rank, text=part.words, sources=("transcription",), thumbnail="https://t/x?sig=1")
            for rank, (video_id, part) in enumerate(moments[: query.limit], 1)
        ]  # fmt: skip
        return SearchResults(hits, len(moments), info.videos, info.seconds)

    async def classify(self, sorting: ClassifyQuery) -> Sequence[ClassifiedVideo]:
        self._pay(sorting)
        pool = self.there[sorting.index_id][1] if sorting.index_id else []
        rows = [self._sorted(video, sorting) for video in pool]
        return [row for row in rows if row.classes][: sorting.limit]

    def _sorted(self, video: IndexedVideo, sorting: ClassifyQuery) -> ClassifiedVideo:
        fits = []
        for spec in sorting.classes:
            parts = [p for p in self.spoken[video.id] if any(prompt in p.words.lower() for prompt in spec.prompts)]
            if parts:
                clips = (
                    [SearchHit(video.id, part.start, part.end, score=80.0) for part in parts] if sorting.clips else []
                )
                share = sum(part.end - part.start for part in parts) / video.seconds
                detailed: Mapping[str, float] = {"max_score": 80.0} if sorting.detailed else {}
                fits.append(ClassScore(spec.name, 80.0, share, detailed, clips))
        return ClassifiedVideo(video.id, fits)

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> str:
        video = IndexedVideo(f"v-{asset_id}", f"{asset_id}.mp4", 60.0, asset_id=asset_id, metadata=dict(metadata))
        self.put(index_id, video)
        return video.id

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        return next((video.id for video in self.there[index_id][1] if video.asset_id == asset_id), None)

    async def indexed(self, index_id: str, video_id: str) -> IndexedVideo:
        self.looked += 1
        for video in self.there[index_id][1]:
            if video.id == video_id:
                return video
        raise Permanent("the platform does not know this id", code="resource_not_exist")

    async def indexing(self, index_id: str, video_id: str) -> IndexingStatus:
        video = await self.indexed(index_id, video_id)
        return IndexingStatus("ready" if video.status == "ready" else "working", video.status, video=video)

    def _pay(self, question: SearchQuery | ClassifyQuery) -> None:
        self.asked.append(question)
        if self.failures:
            raise self.failures.pop(0)


def _counted(info: IndexInfo, videos: Sequence[IndexedVideo]) -> IndexInfo:
    seconds = sum(video.seconds for video in videos)
    return IndexInfo(info.id, info.name, info.models, info.addons, len(videos), seconds, info.created)


async def _each(values: Sequence[T]) -> AsyncIterator[T]:
    for value in values:
        yield value


def films() -> FakeIndexApi:
    """Return an account with one index, ``films``, of two videos: ``v1`` about a queen, ``v2`` about the sea."""
    index_api = FakeIndexApi()
    models = (("marengo3.0", ("visual", "audio")),)
    index_api.there["i1"] = (IndexInfo("i1", "films", models, (), 0, 0.0, "2026-06-01T00:00:00Z"), [])
    bees = IndexedVideo("v1", "reelmill-1.mp4", 60.0, 640, 360, 25.0, 1_000_000, created="2026-06-02T00:00:00Z")
    index_api.put("i1", bees, Spoken(5.0, 9.5, "One queen lays eggs"), Spoken(30.0, 33.0, "The queen rests"))
    index_api.put("i1", IndexedVideo("v2", "tides.mp4", 100.0), Spoken(0.0, 50.0, "The sea rises"))
    return index_api

"""A known video as the page has it: card, view, captions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import isfinite

from pipeline.app.gallery.blocks import JobBlocks
from pipeline.app.gallery.collect import StoredVideo
from pipeline.app.gallery.safe_words import SafeWords, shell_line, source_kind
from pipeline.app.gallery.standing import Standing
from pipeline.core.model import Json, Result, Task
from pipeline.core.text import cut, plain
from pipeline.gallery.data_files import captions_name
from pipeline.gallery.values import (
    CaptionsRef,
    CardRow,
    PageResult,
    PageSource,
    VideoEntry,
)
from pipeline.ingest.payloads import ItemData, RequestData, read_requests
from pipeline.ingest.tasks.publish import spend_card
from pipeline.kit.job import Video
from pipeline.kit.page import Moments, PageBlock, Prose, Tags

_LINE = 160  #: characters
_TAGS = 24
_NOTES = 20
_METADATA = 40


@dataclass(frozen=True, slots=True)
class ShownVideo:
    """A video's card, and its view where that was asked for."""

    row: CardRow
    entry: VideoEntry


class EntryMaker:
    """Makes cards and views of known videos."""

    def __init__(self, words: SafeWords, blocks: JobBlocks, standing: Standing) -> None:
        self._words = words
        self._blocks = blocks
        self._standing = standing
        # The same few words stand with every result, the same tags with many videos.
        self._repeated = lru_cache(maxsize=1000)(partial(words.line, limit=200))
        self._tag = lru_cache(maxsize=10_000)(partial(words.line, limit=80))
        self._prompt = lru_cache(maxsize=1000)(words.block)
        self._known: dict[tuple[str, ...], RequestData] = {}  #: what other videos were asked

    def show(self, video: StoredVideo, *, poster: bool, captions: bool) -> ShownVideo:
        """Return a video's card and view."""
        items = [ItemData.of(task) for task in video.items]
        results = self.results(video)
        cost = spend_card(video.spends)
        entry = VideoEntry(
            number=video.number,
            folder=video.written.folder,
            results=results,
            sources=[self._source(item) for item in items],
            media=next(filter(None, map(self._words.media, items)), ""),
            captions=_captions(video) if captions else None,
            calls=cost["calls"],
            minutes=cost["minutes"],
            doubtful=cost["possibly_paid_twice"],
            commands=self._commands(video, items),
        )
        return ShownVideo(self._row(video, items, results, cost["usd"], poster=poster), entry)

    def _row(
        self, video: StoredVideo, items: Sequence[ItemData], results: Sequence[PageResult], usd: float, *, poster: bool
    ) -> CardRow:
        state, why = self._standing.of_published(video)
        own = [tag for item in items for tag in item.line.tags]
        tags, facets = _tags(results)
        return CardRow(
            number=video.number,
            folder=video.written.folder,
            title=self._words.title_of(video.written),
            seconds=_finite(video.written.seconds),
            state=state,
            at=round(max((result.created for result in video.results), default=video.publish.updated), 3),
            usd=usd,
            source=source_kind(items[0]) if items else "file",
            line=_line(results),
            tags=list(dict.fromkeys(filter(None, map(self._tag, (*own, *tags)))))[:_TAGS],
            facets=facets,
            poster=poster,
            why=why,
        )

    def results(self, video: StoredVideo) -> list[PageResult]:
        """Return a video's answers as the page shows them."""
        requests = self._requests(video.tasks)
        written = video.written
        known = Video(video.publish.key, written.seconds or 0.0, written.title)
        return [self._result(result, requests, known, written.files, written.earlier) for result in video.results]

    def _requests(self, tasks: Sequence[Task]) -> dict[tuple[str, str], RequestData]:
        """Return what was asked, by the identity of its result."""
        analyses = (task for task in tasks if task.kind == "analysis")
        return {each.question: each for task in analyses for each in read_requests(task, self._known)}

    def _result(
        self,
        result: Result,
        requests: Mapping[tuple[str, str], RequestData],
        video: Video,
        files: Mapping[str, Sequence[str]],
        earlier: Sequence[str],
    ) -> PageResult:
        request = requests.get((result.job, result.fingerprint))
        params: Mapping[str, Json] = request.params if request is not None else {}
        meta = result.meta
        job = request.job if request is not None else str(meta.get("job") or result.job)
        notes = meta.get("notes")
        return PageResult(
            name=result.job,
            job=job,
            blocks=self._shown(job, result, video, params),
            prompt=self._prompt(str(params.get("prompt") or "")),
            model=self._repeated(_string(meta.get("model"))),
            provider=self._repeated(_string(meta.get("provider"))),
            asked_at=_finite(meta.get("asked")) or None,
            answered_at=_finite(result.created) or None,
            files=list(files.get(result.job, ())),
            notes=[self._words.line(note) for note in notes[:_NOTES]] if isinstance(notes, list) else [],
            current=result.job not in earlier,
        )

    def _shown(self, job: str, result: Result, video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        if not result.meta.get("apart"):
            return self._blocks.blocks(job, result.body, video, params)
        # What the job has not merged stands below each other.
        values = [part["value"] for part in result.body["parts"]]
        return [block for value in values for block in self._blocks.blocks(job, value, video, params)]

    def _source(self, item: ItemData) -> PageSource:
        line = item.line
        given = list(line.metadata.items())[:_METADATA]
        return PageSource(
            label=self._words.label(item),
            url=self._words.url(item),
            metadata={self._words.line(name, 80): self._words.line(value, 500, item.locator) for name, value in given},
        )

    def _commands(self, video: StoredVideo, items: Sequence[ItemData]) -> list[str]:
        names = filter(None, map(self._words.name, items))
        again = [shell_line("reelmill", "run", name) for name in names]
        return [*again[:1], shell_line("reelmill", "show", video.written.folder)]


def captions_text(video: StoredVideo) -> str:
    """Return the captions as they were found; empty without any."""
    body = video.captions.body if video.captions is not None else None
    return _string(body.get("text")) if isinstance(body, Mapping) else ""


def _captions(video: StoredVideo) -> CaptionsRef:
    body = video.captions.body if video.captions is not None else {}
    name = _text(body.get("name"))
    return CaptionsRef(captions_name(video.written.folder), name if name in video.written.sizes else "")


def _tags(results: Sequence[PageResult]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the hashtags, and the classes by the name of their question."""
    tags: list[str] = []
    facets: dict[str, list[str]] = {}
    for block in (block for result in results for block in result.blocks if isinstance(block, Tags)):
        if block.facet:
            known = facets.setdefault(block.facet, [])
            known += [word for word in block.words if word not in known]
        else:
            tags += [word for word in block.words if word.startswith("#")]
    return tags, facets


def _line(results: Sequence[PageResult]) -> str:
    """Return the first line of the summary or another text, else topics."""
    ranked = sorted(results, key=lambda result: (result.job != "summary", result.job == "gist"))
    blocks: list[PageBlock] = [block for result in ranked for block in result.blocks]
    text = next((block.text for block in blocks if isinstance(block, Prose) and block.text.strip()), "")
    summary = ranked[0].blocks if ranked and ranked[0].job == "summary" else ()
    if parts := [moment for block in summary if isinstance(block, Moments) for moment in block.items]:
        text = parts[0].text  # of a long video: it tells of each part by itself
    if not text:
        topics = [block.words for block in blocks if isinstance(block, Tags) and not block.facet]
        text = ", ".join(topics[0]) if topics else ""
    return cut(plain(text.strip().partition("\n")[0][: 4 * _LINE]), _LINE)


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _text(value: Json) -> str:
    return plain(value, 200) if isinstance(value, str) else ""


def _finite(value: Json) -> float | None:
    number = isinstance(value, (float, int)) and not isinstance(value, bool) and isfinite(value)
    return round(float(value), 3) if number else None

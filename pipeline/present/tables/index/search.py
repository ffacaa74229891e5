"""What a search or a classification found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.text import merged, stamp
from pipeline.ports.index_api import SearchHit
from pipeline.present.formatting import clean, count, fit, minutes, money
from pipeline.present.tables.layout import FittedTable
from pipeline.views import Asked, ClassifyView, SearchView, VideoRef

#: Cells of a title, of a hit's words, of a file's name.
TITLE: Final = 40
_WORDS: Final = 60


def search_table(value: SearchView) -> RenderableType:
    """Show hits, best first: rank or score, the moment, the video, its results."""
    scored = any(hit.score is not None for hit in value.hits)
    told = any(hit.sources for hit in value.hits)
    names = [
        "score" if scored else "rank",
        "from",
        "to",
        *(["confidence"] if scored else []),
        "video",
        *(["found by"] if told else []),
        "words",
    ]
    rows = []
    for hit in value.hits:
        worth = [f"{hit.score:.1f}" if hit.score is not None else "-"] if scored else [_rank(hit)]
        sure = [clean(hit.confidence) or "-"] if scored else []
        video = value.videos[hit.video_id]
        found_by = [clean(", ".join(hit.sources)) or "-"] if told else []
        title, words = fit(video.title, TITLE), fit(hit.text, _WORDS) or "-"
        rows.append([*worth, _at(hit.start), _at(hit.end), *sure, title, *found_by, words])
    table = _fitted(names, rows, ("video", "words"), ("found by",))
    pool = f"{count(value.pool_videos, 'video')} searched, {minutes(value.pool_seconds / 60)}"
    head = f"{len(value.hits):,} of {count(value.total, 'hit')} · {pool} · {_where(value.asked)}"
    shown = (value.videos[hit.video_id] for hit in value.hits)
    return Group(Text(head, "dim"), *_unread(value), *_below(table, shown=bool(value.hits)), *result_links(shown))


def _unread(value: SearchView) -> list[RenderableType]:
    """Say how many videos no search can find, and why."""
    if not value.unread_videos:
        return []
    why = "no captions, and no text that was read in the pictures"
    return [Text(f"{count(value.unread_videos, 'video')} of the index could not be searched: {why}", "yellow")]


def _rank(hit: SearchHit) -> str:
    return str(hit.rank) if hit.rank is not None else "-"


def classify_table(value: ClassifyView) -> RenderableType:
    """Show each video with its classes, best first."""
    found = [(row.video, fits) for row in value.videos for fits in row.classes]
    extras = {
        "moments": any(fits.clips for _, fits in found),
        "scores": any(fits.detailed for _, fits in found),
    }
    names = ["score", "share", "class", "video", *(name for name, told in extras.items() if told)]
    rows = []
    for video, fits in found:
        moments = ", ".join(
            f"{_at(start)}–{_at(end)}" for start, end in merged((clip.start, clip.end) for clip in fits.clips)
        )
        scores = ", ".join(f"{name.removesuffix('_score')} {number:g}" for name, number in fits.detailed.items())
        cells = {"moments": moments, "scores": scores}
        rows.append([
            f"{fits.score:.1f}", f"{fits.duration_ratio:.0%}", fit(fits.name, 30), fit(video.title, TITLE),
            *(fit(cells[name], _WORDS) or "-" for name, told in extras.items() if told),
        ])  # fmt: skip
    table = _fitted(names, rows, ("video", "class", "moments", "scores"), ("scores",))
    head = f"{count(len(value.videos), 'video')} in a class · {_where(value.asked)}"
    return Group(
        Text(head, "dim"), *_below(table, shown=bool(value.videos)), *result_links(row.video for row in value.videos)
    )


def result_links(videos: Iterable[VideoRef]) -> list[RenderableType]:
    """Say where the results of our own videos are, each once."""
    links = {video.key: video for video in videos if video.link is not None}
    return [Text(""), *(Text(clean(video.link)) for video in links.values())] if links else []


def _fitted(
    names: Sequence[str], rows: Sequence[Sequence[str]], cut: tuple[str, ...], drop: Sequence[str]
) -> FittedTable:
    cells = [[Text(cell) for cell in row] for row in rows]
    dropped = [name for name in drop if name in names]
    return FittedTable(names, cells, cut, dropped, ("score", "rank", "share", "from", "to"))


def _below(table: RenderableType, *, shown: bool) -> list[RenderableType]:
    return [Text(""), table] if shown else []


def _where(asked: Asked) -> str:
    index = fit(asked.index_name or asked.index_id, TITLE)
    paid = f" · {money(asked.usd)}" if asked.usd else ""
    return f"{index + ' on ' if index else ''}{clean(asked.provider)}{paid}"


def _at(seconds: float) -> str:
    return stamp(max(0.0, seconds), form="clock")

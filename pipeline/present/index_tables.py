"""Indexes, their videos, hits and classes as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.text import merged, stamp
from pipeline.ports.index_api import IndexInfo, SearchHit
from pipeline.present.formatting import clean, count, fit, minutes, money, size
from pipeline.views import Asked, ClassifyView, IndexView, SearchView, VideoRef

#: Cells of a title, of a hit's words, of a file's name.
_TITLE: Final = 40

_WORDS: Final = 60


def hits(value: SearchView) -> RenderableType:
    """Show what was found, best first: rank or score as the dialect has it, the moment, the video, where to look."""
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
    table = _table(names, right=("score", "rank", "from", "to"))
    for hit in value.hits:
        worth = [f"{hit.score:.1f}" if hit.score is not None else "-"] if scored else [_rank(hit)]
        sure = [clean(hit.confidence) or "-"] if scored else []
        video = value.videos[hit.video_id]
        found_by = [clean(", ".join(hit.sources)) or "-"] if told else []
        table.add_row(
            *worth, _at(hit.start), _at(hit.end), *sure, Text(fit(video.title, _TITLE)), *found_by,
            Text(fit(hit.text, _WORDS) or "-"),
        )  # fmt: skip
    pool = f"{count(value.pool_videos, 'video')} searched, {minutes(value.pool_seconds / 60)}"
    head = f"{len(value.hits):,} of {count(value.total, 'hit')} · {pool} · {_where(value.asked)}"
    shown = (value.videos[hit.video_id] for hit in value.hits)
    return Group(Text(head, "dim"), *_below(table, shown=bool(value.hits)), *_links(shown))


def _rank(hit: SearchHit) -> str:
    return str(hit.rank) if hit.rank is not None else "-"


def classes(value: ClassifyView) -> RenderableType:
    """Show each video with the classes it fits, best first; moments and detailed scores below where they were asked for."""
    found = [(row.video, fits) for row in value.videos for fits in row.classes]
    extras = {
        "moments": any(fits.clips for _, fits in found),
        "scores": any(fits.detailed for _, fits in found),
    }
    names = ["score", "share", "class", "video", *(name for name, told in extras.items() if told)]
    table = _table(names, right=("score", "share"))
    for video, fits in found:
        moments = ", ".join(
            f"{_at(start)}–{_at(end)}" for start, end in merged((clip.start, clip.end) for clip in fits.clips)
        )
        scores = ", ".join(f"{name.removesuffix('_score')} {number:g}" for name, number in fits.detailed.items())
        cells = {"moments": moments, "scores": scores}
        table.add_row(
            f"{fits.score:.1f}", f"{fits.duration_ratio:.0%}", Text(fit(fits.name, 30)), Text(fit(video.title, _TITLE)),
            *(Text(fit(cells[name], _WORDS) or "-") for name, told in extras.items() if told),
        )  # fmt: skip
    head = f"{count(len(value.videos), 'video')} in a class · {_where(value.asked)}"
    return Group(
        Text(head, "dim"), *_below(table, shown=bool(value.videos)), *_links(row.video for row in value.videos)
    )


def indexes(value: Sequence[IndexInfo]) -> RenderableType:
    """Show indexes, one a line."""
    if not value:
        return Text("no index yet: `reelmill indexes create NAME`, or a run with [index] name, makes one")
    table = _table(
        ("index", "videos", "length", "models", "extras", "created", "expires", "id"), right=("videos", "length")
    )
    for index in value:
        models = ", ".join(f"{name} ({'+'.join(options)})" for name, options in index.models)
        table.add_row(
            Text(fit(index.name, _TITLE)), f"{index.videos:,}", minutes(index.seconds / 60), Text(fit(models, 80)),
            clean(", ".join(index.addons)) or "-", clean(index.created)[:10] or "-", clean(index.expires)[:10] or "never",
            clean(index.id),
        )  # fmt: skip
    return table


def videos(value: IndexView) -> RenderableType:
    """Show the videos of an index: our title where they are ours, else the platform's file name."""
    index = value.index
    head = Text(f"{fit(index.name, _TITLE)}: {count(index.videos, 'video')}, {minutes(index.seconds / 60)}", "dim")
    if not value.videos:
        return head
    table = _table(
        ("video", "length", "picture", "size", "state", "created", "id"), right=("length", "picture", "size")
    )
    for row in value.videos:
        video, title = row.video, row.ours.title if row.ours.key else row.video.filename
        picture = f"{video.width}×{video.height}" if video.width and video.height else "-"
        table.add_row(
            Text(fit(title or video.id, _TITLE)), _at(video.seconds), picture, size(video.size) if video.size else "-",
            clean(video.status), clean(video.created)[:10] or "-", clean(video.id),
        )  # fmt: skip
    return Group(head, Text(""), table, *_links(row.ours for row in value.videos))


def _links(videos: Iterable[VideoRef]) -> list[RenderableType]:
    """Say where the results of our own videos are, each once."""
    links = {video.key: video for video in videos if video.link is not None}
    return [Text(""), *(Text(clean(video.link)) for video in links.values())] if links else []


def _below(table: Table, *, shown: bool) -> list[RenderableType]:
    return [Text(""), table] if shown else []


def _where(asked: Asked) -> str:
    index = fit(asked.index_name or asked.index_id, _TITLE)
    paid = f" · {money(asked.usd)}" if asked.usd else ""
    return f"{index + ' on ' if index else ''}{clean(asked.provider)}{paid}"


def _at(seconds: float) -> str:
    return stamp(max(0.0, seconds), form="clock")


def _table(columns: Iterable[str], right: Iterable[str] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    to_the_right = frozenset(right)
    for name in columns:
        table.add_column(name, justify="right" if name in to_the_right else "left", no_wrap=True)
    return table

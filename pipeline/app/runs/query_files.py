"""``searches/<name>.json`` and ``.md``: what a standing query found. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from pipeline.core.clock import iso
from pipeline.core.model import Json
from pipeline.core.text import json_text, markdown, merged, plain, stamp
from pipeline.core.youtube_address import without_query
from pipeline.ports.index_api import SearchHit
from pipeline.ports.sink import OutFile
from pipeline.views import Asked, ClassifyView, SearchView, VideoRef

FOLDER = "searches"
_FORMAT = 1


def query_files(name: str, run_id: str, found: SearchView | ClassifyView, output: Path) -> list[OutFile]:
    """Return the two files of a query.

    Thumbnail addresses are left out: they are signed and expire within the hour.
    """
    links = _Links(output)
    card = {"format": _FORMAT, "name": name, "run": run_id, **_card(found.asked)}
    if isinstance(found, SearchView):
        card |= {
            "total": found.total,
            "pool": {"videos": found.pool_videos, "seconds": round(found.pool_seconds, 3)},
            "hits": [{"video": links.video(found.videos[hit.video_id]), **_moment(hit)} for hit in found.hits],
        }
        text = _searched(name, found, links)
    else:
        card["videos"] = [
            {
                "video": links.video(row.video),
                "classes": [
                    {
                        "name": fit.name,
                        "score": fit.score,
                        "duration_ratio": fit.duration_ratio,
                        **({"detailed": dict(fit.detailed)} if fit.detailed else {}),
                        **({"clips": [_moment(clip) for clip in fit.clips]} if fit.clips else {}),
                    }
                    for fit in row.classes
                ],
            }
            for row in found.videos
        ]
        text = _sorted(name, found, links)
    return [OutFile(f"{name}.json", json_text(card)), OutFile(f"{name}.md", text)]


def _card(asked: Asked) -> dict[str, Json]:
    return {
        "asked": iso(asked.at),
        "provider": asked.provider,
        "index": {"id": asked.index_id, "name": asked.index_name},
        "query": dict(asked.query),
        "usd": round(asked.usd, 6),
    }


def _moment(hit: SearchHit) -> dict[str, Json]:
    given = {
        "start": hit.start,
        "end": hit.end,
        "rank": hit.rank,
        "score": hit.score,
        "confidence": hit.confidence or None,
        "text": hit.text or None,
        "found_by": list(hit.sources) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


class _Links:
    """Links from the folder of the searches to the folders of the videos."""

    def __init__(self, output: Path) -> None:
        self._here = output / FOLDER

    def video(self, video: VideoRef) -> dict[str, Json]:
        known = {"id": video.id, "title": video.title, "key": video.key, "source": without_query(video.source)}
        link = {"results": self.link(video)} if video.link is not None else {}
        return {name: value for name, value in {**known, **link}.items() if value}

    def link(self, video: VideoRef) -> str:
        return Path(os.path.relpath(video.link, self._here)).as_posix() if video.link is not None else ""

    def title(self, video: VideoRef) -> str:
        text = markdown(plain(video.title, 120)) or "video"
        return f"[{text}]({quote(self.link(video))})" if video.link is not None else text


def _searched(name: str, found: SearchView, links: _Links) -> str:
    query = found.asked.query
    pictures = [f"picture {markdown(plain(str(image), 200))}" for image in query.get("images", ())]
    what = " and ".join([*([f"“{markdown(plain(str(query['text'])))}”"] if query.get("text") else []), *pictures])
    lines = [f"{len(found.hits)} of {found.total} hits for {what} in {found.pool_videos} videos."]
    for number, hit in enumerate(found.hits, 1):
        words = [_span(hit.start, hit.end), _worth(hit), markdown(plain(", ".join(hit.sources)))]
        lines.append(
            f"{number}. {links.title(found.videos[hit.video_id])}, {' · '.join(word for word in words if word)}"
        )
        if hit.text:
            lines[-1] += f"\n   > {markdown(plain(hit.text, 300))}"
    return _page(name, found.asked, lines[:1], lines[1:])


def _sorted(name: str, found: ClassifyView, links: _Links) -> str:
    rows = [
        f"{number}. {links.title(row.video)}: "
        + ", ".join(
            f"{markdown(plain(fit.name))} {fit.score:g} ({fit.duration_ratio:.0%} of it)"
            + "".join(f" {_span(*span)}" for span in merged((clip.start, clip.end) for clip in fit.clips))
            for fit in row.classes
        )
        for number, row in enumerate(found.videos, 1)
    ]
    return _page(name, found.asked, [f"{len(found.videos)} videos fit a class."], rows)


def _page(name: str, asked: Asked, head: Sequence[str], rows: Iterable[str]) -> str:
    index = markdown(plain(asked.index_name or asked.index_id))
    where = f"Asked {iso(asked.at)} of {markdown(asked.provider)}" + (f", index {index}." if index else ".")
    return "\n".join(_lines(name, [*head, where], rows)) + "\n"


def _lines(name: str, head: Sequence[str], rows: Iterable[str]) -> Iterator[str]:
    yield f"# {markdown(name)}"
    for line in head:
        yield from ("", line)
    for place, row in enumerate(rows):
        yield from ([""] if not place else [])
        yield row


def _span(start: float, end: float) -> str:
    return f"{stamp(start, form='clock')}–{stamp(end, form='clock')}"


def _worth(hit: SearchHit) -> str:
    if hit.rank is not None:
        return f"rank {hit.rank}"
    sure = markdown(plain(hit.confidence))
    return " ".join(word for word in (f"score {hit.score:g}" if hit.score is not None else "", sure) if word)

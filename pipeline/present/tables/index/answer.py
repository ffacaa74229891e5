"""What a question across many videos was answered."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.clock import iso
from pipeline.core.text import block, cut, stamp
from pipeline.present.formatting import clean, count, fit, money
from pipeline.present.tables.index.search import TITLE, result_links
from pipeline.present.tables.layout import FittedTable
from pipeline.views import AnswerView

_QUOTE = 60  #: cells of a moment's words
_MOST = 20_000  #: characters of an answer; ``--json`` holds all


def answer_table(value: AnswerView) -> RenderableType:
    """Show the answer, then the moments that it rests on."""
    lines = [clean(line) for line in block(cut(value.answer, _MOST)).split("\n")]
    answer = Text("\n".join(lines))
    return Group(
        Text(_head(value), "dim"),
        *(
            [Text(f"kept since {iso(value.at)}: nothing was paid now; --again asks once more", "dim")]
            if value.kept
            else []
        ),
        *(Text(line, "yellow") for line in _warnings(value)),
        Text(""),
        answer,
        *_moments(value),
        *result_links(moment.video for moment in value.moments),
    )


def _head(value: AnswerView) -> str:
    parts = [f"{count(value.videos, 'video')} asked on {clean(value.provider)}"]
    if value.usage:
        parts.append(f"{sum(value.usage.values()):,} tokens")
    if value.usd is None:
        parts.append("at a price that is not known")
    elif value.usd:
        parts.append(money(value.usd))
    return " · ".join(parts)


def _warnings(value: AnswerView) -> Iterator[str]:
    if value.absent:
        yield f"not asked, because not on this platform: {count(value.absent, 'video')}"
    if value.unread:
        yield f"not asked, because not readable to the platform: {count(value.unread, 'video')}"
    if value.cut:
        yield "the answer ends where the platform's limit of tokens was reached"
    if not value.checked:
        yield "the answer came in a form of its own, without moments that could be checked"
    for why, number in value.dropped.items():
        yield f"{count(number, 'moment')} left out: they {why}"


def _moments(value: AnswerView) -> list[RenderableType]:
    if not value.moments:
        return []
    rows = [
        [_at(each.start), _at(each.end), fit(each.video.title, TITLE), fit(each.quote, _QUOTE) or "-"]
        for each in value.moments
    ]
    cells = [[Text(cell) for cell in row] for row in rows]
    return [Text(""), FittedTable(["from", "to", "video", "words"], cells, ("video", "words"), (), ("from", "to"))]


def _at(seconds: float) -> str:
    return stamp(max(0.0, seconds), form="clock")

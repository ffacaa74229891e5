"""How a run ended: items, results, costs, and what is left."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.exit_codes import ExitCode, meaning
from pipeline.present.formatting import clean, count, minutes, money, span, when
from pipeline.present.tables.layout import (
    attention,
    bad_lines,
    doubt,
    left_out,
    pair_table,
    remedy,
    section,
    tally,
    trouble_line,
)
from pipeline.views import RunReport


def run_table(value: RunReport) -> RenderableType:
    """Show how a run ended, and what to do about the rest."""
    rows = [
        ("items", tally(value.items)),
        ("written", Text(f"{count(value.published, 'video')} into {clean(value.output)}")),
        ("paid", Text(_paid(value))),
        ("took", Text(f"{span(value.ended - value.started)} on {clean(value.provider)}")),
    ]
    if value.duplicates:
        rows.insert(
            1, ("doubled", Text(f"{count(value.duplicates, 'line')} named again what an earlier line had named"))
        )
    if value.queries:
        rows.append(("searches", tally(Counter(query.state for query in value.queries))))
    parts: list[RenderableType] = [pair_table(rows)]
    if value.bad_count:
        parts += bad_lines(value.bad_lines, value.bad_count)
    parts += left_out(value.left_out)
    unasked = [
        trouble_line(query.name, query.trouble, query.state) for query in value.queries if query.trouble is not None
    ]
    if unasked:
        parts += section("standing queries", unasked)
    if value.troubles:
        parts += attention([trouble_line(item, why) for item, why in value.troubles], value.items)
        if value.items.get("failed"):
            parts.append(remedy("reelmill retry --failed"))
    parts += _ending(value)
    return Group(*parts)


def _paid(value: RunReport) -> str:
    text = f"{count(value.analyses, 'analysis', 'analyses')} · {money(value.usd)} · {minutes(value.minutes)} of video"
    earlier = value.doubtful_total - value.doubtful
    return text + doubt(value.doubtful + max(0, earlier), earlier)


def _ending(value: RunReport) -> list[RenderableType]:
    if value.exit_code in (ExitCode.DONE, ExitCode.INCOMPLETE) and not value.note and value.resume_at is None:
        return []
    text = clean(value.note) or meaning(value.exit_code)
    parts: list[RenderableType] = [Text(""), Text(f"stopped early: {text}", "bold yellow")]
    if value.resume_at is not None:
        parts.append(remedy(f"resume at {when(value.resume_at, value.ended)}: the same command goes on from there"))
    elif value.exit_code == ExitCode.INTERRUPTED and not value.note:
        parts.append(remedy("the same command goes on where this run stopped"))
    return parts

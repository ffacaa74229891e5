"""How a run ended: items, results, costs, and what is left."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.errors import NO_RETRY
from pipeline.core.exit_codes import ExitCode, meaning
from pipeline.core.model import Trouble
from pipeline.present.formatting import clean, count, minutes, money, short_name, span, when
from pipeline.present.tables.layout import (
    attention,
    bad_lines,
    doubt,
    items_tally,
    left_out,
    pair_table,
    remedy,
    section,
    tally,
    trouble_line,
)

if TYPE_CHECKING:
    from pipeline.views import NamedItems, RunReport, Submitted

#: The sentence of a note that says when to go on.
_RUN_AGAIN = re.compile(r" Run again after \d{4}-\d\d-\d\dT[\d:]+Z\.")
_NAMED = 3  #: files named at most


def run_table(value: RunReport) -> RenderableType:
    """Show how a run ended, and what to do about the rest."""
    rows = [
        *_fates(value),
        ("written", Text(f"{count(value.published, 'video')} into {clean(value.output)}")),
        ("paid" if value.usd else "asked", Text(_paid(value))),
        *(("", Text(clean(note), "yellow")) for note in value.price_notes),
        ("took", Text(f"{span(value.ended - value.started)} on {clean(value.provider)}")),
    ]
    rows += [("not told", Text(f"{each.way}: {clean(each.why)}", "yellow")) for each in value.untold]
    if value.duplicates:
        rows.append(("doubled", Text(f"{count(value.duplicates, 'line')} named again what an earlier line had named")))
    if value.edited:
        more = f" and {len(value.edited) - _NAMED:,} more" if len(value.edited) > _NAMED else ""
        rows.append(
            ("edited", Text(f"your changed results were kept as {clean(', '.join(value.edited[:_NAMED]))}{more}"))
        )
    if value.queries:
        rows.append(("searches", tally(Counter(query.state for query in value.queries))))
    if value.page is not None:
        rows.append(("page", Text(clean(value.page))))
    elif value.page_trouble is not None:
        rows.append(("page", _unwritten(value.page_trouble)))
    rows.append(("in all", items_tally(value.items, value.videos)))
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
        parts += attention([trouble_line(item, why) for item, why in value.troubles], value.troubled)
        if value.items.get("failed") and any(why.code not in NO_RETRY for _, why in value.troubles):
            parts.append(remedy("reelmill retry --failed"))
    parts += _ending(value)
    return Group(*parts)


def submitted_table(value: Submitted) -> RenderableType:
    """Show what was left to other hosts, and which lines cannot be used."""
    told = {**value.actions, "lists": value.lists, "doubled": value.duplicates}
    rows = [
        ("queued", Text(f"{count(value.lines - value.duplicates, 'item')} of host {clean(value.host)}")),
        ("of them", tally({name.replace("_", " "): number for name, number in told.items() if number})),
    ]
    parts: list[RenderableType] = [pair_table(rows)]
    if value.bad_count:
        parts += bad_lines(value.bad_lines, value.bad_count)
    return Group(*parts, *left_out(value.left_out))


def unheard(value: RunReport) -> list[str]:
    """Return what even a good night must not keep to itself."""
    found = [f"{each.way} of [watch] was not told: {clean(each.why)}" for each in value.untold]
    if value.page_trouble is not None:
        found.append(f"the page was not written: {clean(value.page_trouble.message).rstrip('.')}")
    if value.doubtful:
        found.append(
            f"{count(value.doubtful, 'call')} of this run may have been paid twice; `reelmill costs` has the sum"
        )
    return found


def _fates(value: RunReport) -> list[tuple[str, Text]]:
    """Return what came of this run's items, with a few names."""
    return [
        (clean(name.replace("_", " ")), _named(items)) for name, items in value.this_run.items() if items.count
    ] or [("this run", Text("nothing to do"))]


def _named(items: NamedItems) -> Text:
    text = f"{items.count:,}"
    if not items.names:
        return Text(text)
    more = items.count - len(items.names)
    return Text(
        f"{text}: " + ", ".join(short_name(name) for name in items.names) + (f" and {more:,} more" if more > 0 else "")
    )


def _unwritten(why: Trouble) -> Text:
    return Text(f"not written: {clean(why.message).rstrip('.')}; the next run writes it", "yellow")


def _paid(value: RunReport) -> str:
    length = (
        f"{minutes(value.minutes)} {'billed' if value.usd else 'of video'}"  # one video may be billed several times
    )
    indexed = f", {count(value.indexed, 'video')} indexed" if value.indexed else ""
    text = f"{count(value.analyses, 'analysis', 'analyses')}{indexed} · {money(value.usd)}"
    if value.analyses or value.usd:
        text += f" · {length}"
    earlier = value.doubtful_total - value.doubtful
    return text + doubt(value.doubtful + max(0, earlier), earlier)


def _ending(value: RunReport) -> list[RenderableType]:
    if value.exit_code in (ExitCode.DONE, ExitCode.INCOMPLETE) and not value.note and value.resume_at is None:
        return []
    text = clean(value.note) or meaning(value.exit_code)
    if value.resume_at is not None:
        text = _RUN_AGAIN.sub("", text)  # the last line says it, with the time from now
    parts: list[RenderableType] = [Text(""), Text(f"stopped early: {text}", "bold yellow")]
    if value.resume_at is not None:
        parts.append(remedy(f"resume at {when(value.resume_at, value.ended)}: the same command goes on from there"))
    elif value.exit_code == ExitCode.INTERRUPTED and not value.note:
        parts.append(remedy("the same command goes on where this run stopped"))
    return parts

"""What a run would do and what it would cost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.core.text import stamp
from pipeline.money_views import UNLISTED, Plan, PlanRow
from pipeline.present.formatting import clean, count, fit, minutes, money, size, span
from pipeline.present.tables.layout import (
    WIDE,
    FittedTable,
    bad_lines,
    coloured,
    left_out,
    pair_table,
    section,
    tally,
    without_name,
)

_WORDS = {"nothing": "already done", "moved": "moved or renamed"}


def plan_table(value: Plan, base: str = "") -> RenderableType:
    """Show what a run would do and cost, with paths from ``base``."""
    asked = {tuple(row.jobs) for row in value.rows if row.jobs}
    rows = [
        ("items", tally({_WORDS.get(action, action): number for action, number in value.counts.items()})),
        *([("jobs", Text(fit(", ".join(next(iter(asked))), WIDE)))] if len(asked) == 1 else []),
        ("price", Text(_price(value))),
        *_parts(value),
        *(("", Text(clean(note), "yellow")) for note in value.price_notes),
        ("upload", Text(size(value.upload_bytes))),
        ("platform", Text(clean(value.provider))),
        *_elsewhere(value),
        *_budget(value),
        *_quota(value),
        *_duration(value),
        *_lane(value),
    ]
    parts: list[RenderableType] = [pair_table(rows)]
    if value.rows:
        parts += [Text(""), _plan_rows(value.rows, base, jobs=len(asked) > 1)]
        more = sum(number for action, number in value.counts.items() if action not in UNLISTED) - len(value.rows)
        if more > 0:
            parts.append(Text(f"… and {more:,} more", "dim"))
    if value.files is not None:
        parts += _files(value)
    if value.bad_count:
        parts += bad_lines(value.bad_lines, value.bad_count)
    parts += left_out(value.left_out)
    return Group(*parts)


def _price(value: Plan) -> str:
    text = f"about {money(value.usd)} for {minutes(value.minutes)} of video"
    if value.usd_most > value.usd:
        text += f", at most {money(value.usd_most)}"
    if value.unknown:
        text += f", without {count(value.unknown, 'video')} of unknown length"
        if value.unknown_usd_most is None:
            text += " (lists may hold any number)"
        elif value.unknown_usd_most:
            text += f" (at most {money(value.unknown_usd_most)} more)"
    if value.queries:
        queries = count(value.queries, "standing query", "standing queries")
        text += f", with {money(value.queries_usd)} for {queries}"
    return text


def _parts(value: Plan) -> list[tuple[str, Text]]:
    """Return what the price is made of."""
    parts = [part for part in value.parts if part.usd]
    names = (f"{part.kind}{f' ({part.model})' if part.model else ''} {money(part.usd)}" for part in parts)
    return [("", Text(clean(" · ".join(names)), "dim"))] if len(parts) > 1 else []


def _elsewhere(value: Plan) -> list[tuple[str, Text]]:
    """Return how many videos only this platform takes."""
    number = value.refused_elsewhere
    return [("", Text(f"Twelve Labs would refuse {count(number, 'video')} of these", "yellow"))] if number else []


def _budget(value: Plan) -> list[tuple[str, Text]]:
    """Return what each limit leaves for this."""
    texts = [_run_limit(value, value.budget_usd)] if value.budget_usd is not None else []
    for name, left in ((each.name, each.limit - each.usd) for each in value.spent if each.limit is not None):
        text = f"{money(max(0.0, left))} left of this {name}'s limit"
        short = value.usd - max(0.0, left)
        texts.append(Text(f"{text}: {money(short)} short", "yellow") if short > 0 else Text(text))
    return [("" if at else "budget", text) for at, text in enumerate(texts or [Text("no limit set")])]


def _run_limit(value: Plan, limit: float) -> Text:
    if value.usd <= limit:
        return Text(f"{money(limit)}: enough" + (" for what is known" if value.unknown else ""))
    return Text(f"{money(limit)}: {money(value.usd - limit)} short, a run would stop there", "yellow")


def _quota(value: Plan) -> list[tuple[str, Text]]:
    """Return what earlier runs have used of limits that last."""
    words = (f"{each.group} {each.used / each.limit:.0%} of {each.window.replace('_', ' ')}" for each in value.quota)
    return [("quota", Text("used: " + " · ".join(words)))] if value.quota else []


def _files(value: Plan) -> list[RenderableType]:
    """Return the files, each behind what becomes of it."""
    if not value.files:
        return [Text(""), Text("no file would be written, changed or removed", "dim")]
    rows = [Text.assemble((f"{each.change:<7}", "dim"), " ", clean(each.path)) for each in value.files]
    more = sum(value.file_counts.values()) - len(rows)
    counted = ", ".join(f"{number:,} to {change}" for change, number in value.file_counts.items())
    return [*section(f"files: {counted}", rows), *([Text(f"  … and {more:,} more", "dim")] if more > 0 else [])]


def _duration(value: Plan) -> list[tuple[str, Text]]:
    """Return how long the limits make it take."""
    if value.seconds is None or not value.usd_most:
        return []
    text = f"at your limits about {span(value.seconds)}" if value.seconds else "no wait for a limit of yours"
    lane = value.lane
    if lane is not None and lane.lane == "batch":
        text = f"by batches about {span((lane.batch_hours or 0.0) * 3600)}, one by one {text}"
    return [("takes", Text(text))]


def _lane(value: Plan) -> list[tuple[str, Text]]:
    """Return how the analyses are asked, and what that saves."""
    lane = value.lane
    if lane is None:
        return []
    if lane.lane == "task":
        return [("lane", Text(f"one by one: {lane.why}"))]
    text = f"{count(lane.batches, 'batch', 'batches')} of analyses"
    hours = lane.task_hours - (lane.batch_hours or 0.0)
    saved = [money(lane.saves_usd)] if lane.saves_usd else []
    saved += [span(hours * 3600)] if hours > 0 else []
    return [("lane", Text(text + (f", saves {' and '.join(saved)}" if saved else "") + f" ({lane.why})"))]


def _plan_rows(rows: Sequence[PlanRow], base: str, *, jobs: bool) -> FittedTable:
    """Return the rows: action, length, price and name at any width."""
    cells = []
    for row in rows:
        length = stamp(row.seconds, form="clock") if row.seconds is not None else "?"
        if row.looks_at is not None and row.seconds is not None and row.looks_at < row.seconds - 1:
            length = f"{stamp(row.looks_at, form='clock')} of {length}"
        price = "?" if row.jobs and row.seconds is None and not row.usd and row.action != "failed" else money(row.usd)
        upload = size(row.upload_bytes) if row.upload_bytes else "-"
        wanted = Text(fit(", ".join(row.jobs) or "-", 40))
        cells.append([coloured(row.action), Text(length), Text(price), Text(upload), wanted, _name(row, base)])
    columns = ("action", "length", "price", "upload", "jobs", "source")
    kept = [at for at, name in enumerate(columns) if jobs or name != "jobs"]
    rows_kept = [[line[at] for at in kept] for line in cells]
    return FittedTable(
        [columns[at] for at in kept], rows_kept, ("source",), ("upload", *(["jobs"] if jobs else [])),
        ("length", "price", "upload"),
    )  # fmt: skip


def _name(row: PlanRow, base: str) -> Text:
    """Return a path from ``base``, with its title where that says more.

    What is wrong with it, here or at the vendor, stands on a line of its own.
    """
    source = row.source.removeprefix(base.rstrip("/") + "/") if base else row.source
    titled = row.title and row.title not in source
    text = Text(f"{fit(row.title, 40)}  {clean(source)}" if titled else clean(source))
    wrong = row.problem or (f"Twelve Labs would refuse it: {row.elsewhere}" if row.elsewhere else "")
    return text.append("\n" + fit(without_name(wrong, row.source), 300), "dim") if wrong else text

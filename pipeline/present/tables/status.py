"""The database in one page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.errors import NO_RETRY
from pipeline.core.exit_codes import how_ended, told_fates, why_ended
from pipeline.core.model import Parked, State
from pipeline.present.formatting import clean, count, minutes, money, span, when, windows_text
from pipeline.present.tables.hosts import hosts_table
from pipeline.present.tables.layout import (
    attention,
    bad_lines,
    doubt,
    items_tally,
    new_table,
    pair_table,
    remedy,
    section,
    trouble_line,
)
from pipeline.present.tables.waiting import quota_section, unlisted_section, waiting_section

if TYPE_CHECKING:
    from pipeline.views import BatchView, StatusView

#: Kinds of task in the order in which a video meets them.
_KINDS: Final = {"item": 0, "video": 1, "analysis": 2, "batch": 3, "publish": 4}


def status_table(value: StatusView, now: float) -> RenderableType:
    """Show the database in one page."""
    spent = f"{money(value.usd_total)} for {minutes(value.minutes_total)} billed, all runs together"
    rows = [
        ("items", items_tally(value.items, value.videos)),
        ("running", Text(clean(value.running) or "nobody is at work now")),
        ("spent", Text(spent + doubt(value.doubtful_total))),
    ]
    rows += [("", Text(windows_text(value.spent)))] if value.spent else []
    rows += _last_run(value, now)
    parts: list[RenderableType] = [pair_table(rows)]
    stopped = [trouble_line("the last run stopped:", value.stopped)] if value.stopped is not None else []
    if value.attention or stopped:
        lines = [trouble_line(item, why, state) for state, item, why in value.attention]
        parts += attention([*stopped, *lines], value.troubled + len(stopped))
        parts += _retry_hints(value)
    if value.bad_count:
        parts += bad_lines(value.bad_lines, value.bad_count)
    if value.parked:
        parts += section("parked", [_parked(entry, value.waiting.get(entry.lane, 0), now) for entry in value.parked])
        parts.append(remedy("reelmill retry --parked opens before the time"))
    parts += section("batches", [_batch(entry, now) for entry in value.batches]) if value.batches else []
    parts += [*waiting_section(value, now), *quota_section(value, now), *unlisted_section(value)]
    if value.hosts:
        parts += [Text(""), hosts_table(value.hosts, now)]
    if value.tasks:
        parts += [Text(""), _tasks_by_state(value.tasks)]
    if value.runs:
        parts += [Text(""), _runs(value.runs, now, at_work=bool(value.running))]
    return Group(*parts)


def _last_run(value: StatusView, now: float) -> list[tuple[str, Text]]:
    """Return what the last run did, why it stopped early, what was killed since."""
    rows: list[tuple[str, Text]] = []
    if value.runs and value.runs[0].get("ended") is None and not value.running:
        started = when(float(value.runs[0].get("started") or 0), now)
        rows.append(("killed", Text(f"the run of {started} did not end by itself; `reelmill run` goes on", "yellow")))
    ended = next((run for run in value.runs if run.get("ended") is not None), None)
    if ended is None:
        return rows
    summary, code = ended.get("summary") or {}, ended.get("exit_code")
    done = clean(told_fates(summary))
    rows.append(("latest", Text(f"{when(float(ended['ended']), now)}: {done or 'nothing to do'}")))
    if value.stopped is not None:  # its sentence stands below, with what to do
        return rows
    note = why_ended(summary, code)
    return [*rows, ("", Text(clean(note), "bold yellow"))] if note else rows


def _tasks_by_state(tasks: Mapping[str, Mapping[str, int]]) -> Table:
    states = [state.value for state in State]
    table = new_table(("tasks", *states), right=states)
    for kind, by_state in sorted(tasks.items(), key=lambda pair: (_KINDS.get(pair[0], len(_KINDS)), pair[0])):
        numbers = [f"{by_state[state]:,}" if by_state.get(state) else "-" for state in states]
        table.add_row(Text(clean(kind)), *numbers)
    return table


def _parked(parked: Parked, waiting: int, now: float) -> RenderableType:
    wait = f"{count(waiting, 'item')} {'waits' if waiting == 1 else 'wait'}"
    return trouble_line(f"{parked.scope} until {when(parked.until, now)}, {wait}", parked.trouble)


_STAGES: Final = {"submit": "waits to be sent", "look": "is looked for", "await": "at the platform"}


def _batch(batch: BatchView, now: float) -> RenderableType:
    numbers = ", ".join(f"{number:,} {word}" for word, number in batch.counts.items() if number)
    said = f"{count(batch.analyses, 'analysis', 'analyses')}, {_STAGES[batch.stage]} since {when(batch.since, now)}"
    return Text(clean(f"{said}{f': {numbers}' if numbers else ''}"))


def _retry_hints(value: StatusView) -> list[RenderableType]:
    classes = sorted(value.troubles.items(), key=lambda pair: -pair[1])
    lines = [
        f"{name} ({count(number, 'task')}): reelmill retry --class {shlex.quote(name)}"
        for name, number in classes
        if name not in NO_RETRY
    ]
    if any(name in NO_RETRY for name, _ in classes):
        lines.append("what is mended is tried again by itself; reelmill cancel ITEM puts an item away")
    held = any(state == State.HELD for state, _, _ in value.attention)
    hints: list[RenderableType] = [
        remedy(clean(line)) for line in (lines if len(lines) <= 8 else [*lines[:7], lines[-1]])
    ]
    return [*hints, remedy("retrying a held item may pay for it again")] if held else hints


def _summary(run: Mapping[str, Any]) -> Mapping[str, Any]:
    found = run.get("summary")
    return found if isinstance(found, Mapping) else {}


def _runs(runs: Sequence[Mapping[str, Any]], now: float, *, at_work: bool) -> Table:
    table = new_table(("last runs", "took", "ended"), fold=("ended",))
    for run in runs:
        started, ended, code = run.get("started"), run.get("ended"), run.get("exit_code")
        took = span(ended - started) if isinstance(started, int | float) and isinstance(ended, int | float) else "-"
        how = (
            f"{code}: {how_ended(code, _summary(run))}"
            if isinstance(code, int)
            else "running"
            if at_work
            else "not ended, or killed"
        )
        at_work = False  # only the newest can be
        table.add_row(when(float(started or 0), now), took, Text(how, "" if code == 0 else "yellow"))
    return table

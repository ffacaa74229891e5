"""Values from ``views`` as tables and sentences for people. Pure: ``now`` comes from outside, nothing is printed here."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.core.exit_codes import ExitCode, meaning
from pipeline.core.model import Parked, State, Task, Trouble
from pipeline.core.text import stamp
from pipeline.present.formatting import clean, count, fit, minutes, money, size, span, when
from pipeline.views import BadLine, Finding, ItemView, Plan, PlanRow, RunReport, StatusView

#: Cells that a title, source or message may take at most, wherever it is shown.
_WIDE: Final = 120
_COLOUR: Final = {
    "done": "green", "ok": "green", "nothing": "dim", "failed": "red", "bad": "red", "held": "yellow", "warn": "yellow",
    "working": "cyan", "running": "cyan", "new": "cyan",
}  # fmt: skip

#: Kinds of task in the order in which a video meets them.
_KINDS: Final = {"item": 0, "video": 1, "analysis": 2, "publish": 3}


def report(value: RunReport) -> RenderableType:
    """Show how a run ended: items, what was written, what it cost, what is left and what to do about it."""
    rows = [
        ("items", _tally(value.items)),
        ("written", Text(f"{count(value.published, 'video')} into {clean(value.output)}")),
        ("paid", Text(_paid(value))),
        ("took", Text(f"{span(value.ended - value.started)} on {clean(value.provider)}")),
    ]
    if value.duplicates:
        rows.insert(
            1, ("doubled", Text(f"{count(value.duplicates, 'line')} named again what an earlier line had named"))
        )
    if value.queries:
        rows.append(("searches", _tally(Counter(query.state for query in value.queries))))
    parts: list[RenderableType] = [_pairs(rows)]
    if value.bad_count:
        parts += _bad_lines(value.bad_lines, value.bad_count)
    unasked = [_trouble(query.name, query.trouble, query.state) for query in value.queries if query.trouble is not None]
    if unasked:
        parts += _section("standing queries", unasked)
    if value.troubles:
        parts += _attention([_trouble(item, why) for item, why in value.troubles], value.items)
        if value.items.get("failed"):
            parts.append(_remedy("reelmill retry --failed"))
    parts += _ending(value)
    return Group(*parts)


def _paid(value: RunReport) -> str:
    text = f"{count(value.analyses, 'analysis', 'analyses')} · {money(value.usd)} · {minutes(value.minutes)} of video"
    if value.doubtful:
        text += f" · {count(value.doubtful, 'call')} possibly paid twice"
    return text


def _ending(value: RunReport) -> list[RenderableType]:
    if value.exit_code in (ExitCode.DONE, ExitCode.INCOMPLETE) and not value.note and value.resume_at is None:
        return []
    text = clean(value.note) or meaning(value.exit_code)
    parts: list[RenderableType] = [Text(""), Text(f"stopped early: {text}", "bold yellow")]
    if value.resume_at is not None:
        parts.append(_remedy(f"resume at {when(value.resume_at, value.ended)}: the same command goes on from there"))
    elif value.exit_code == ExitCode.INTERRUPTED and not value.note:
        parts.append(_remedy("the same command goes on where this run stopped"))
    return parts


def plan(value: Plan) -> RenderableType:
    """Show what a run would do and what it would cost."""
    rows = [
        ("items", _tally(value.counts)),
        ("price", Text(_price(value))),
        ("upload", Text(size(value.upload_bytes))),
        ("platform", Text(clean(value.provider))),
        ("budget", _budget(value)),
    ]
    parts: list[RenderableType] = [_pairs(rows)]
    if value.rows:
        parts += [Text(""), _plan_rows(value.rows)]
        more = sum(number for action, number in value.counts.items() if action != "nothing") - len(value.rows)
        if more > 0:
            parts.append(Text(f"… and {more:,} more", "dim"))
    if value.bad_count:
        parts += _bad_lines(value.bad_lines, value.bad_count)
    return Group(*parts)


def _price(value: Plan) -> str:
    text = f"about {money(value.usd)} for {minutes(value.minutes)} of video"
    if value.unknown:
        text += f", without {count(value.unknown, 'video')} of unknown length"
    if value.queries:
        queries = count(value.queries, "standing query", "standing queries")
        text += f", with {money(value.queries_usd)} for {queries}"
    return text


def _budget(value: Plan) -> Text:
    if value.budget_usd is None:
        return Text("no limit set")
    if value.usd <= value.budget_usd:
        return Text(f"{money(value.budget_usd)}: enough" + (" for what is known" if value.unknown else ""))
    return Text(
        f"{money(value.budget_usd)}: {money(value.usd - value.budget_usd)} short, a run would stop there", "yellow"
    )


def _plan_rows(rows: Sequence[PlanRow]) -> Table:
    table = _table(("action", "length", "upload", "price"), right=("length", "upload", "price"))
    table.add_column("jobs", no_wrap=True, max_width=40)
    table.add_column("source", no_wrap=True)
    for row in rows:
        length = stamp(row.seconds, form="clock") if row.seconds is not None else "?"
        upload = size(row.upload_bytes) if row.upload_bytes else "-"
        parts = (fit(row.source, 60), fit(row.title, 40), row.problem)
        source = "  ".join(part for part in parts if part)
        jobs = fit(", ".join(row.jobs) or "-", 40)
        price = money(row.usd) if row.seconds is not None or row.usd else "?"
        table.add_row(_word(row.action), length, upload, price, Text(jobs), Text(fit(source, _WIDE)))
    return table


def status(value: StatusView, now: float) -> RenderableType:
    """Show the database in one page."""
    rows = [
        ("items", _tally(value.items)),
        ("running", Text(clean(value.running) or "nobody works on this state folder now")),
        ("spent", Text(f"{money(value.usd_total)} for {minutes(value.minutes_total)} of video, all runs together")),
    ]
    parts: list[RenderableType] = [_pairs(rows)]
    if value.tasks:
        parts += [Text(""), _tasks_by_state(value.tasks)]
    if value.parked:
        parts += _section("parked", [_parked(entry, value.waiting.get(entry.scope, 0), now) for entry in value.parked])
        parts.append(_remedy("reelmill retry --parked opens before the time"))
    if value.attention:
        parts += _attention([_trouble(item, why, state) for state, item, why in value.attention], value.items)
        parts += _retry_hints(value)
    if value.runs:
        parts += [Text(""), _runs(value.runs, now)]
    return Group(*parts)


def _tasks_by_state(tasks: Mapping[str, Mapping[str, int]]) -> Table:
    states = [state.value for state in State]
    table = _table(("tasks", *states), right=states)
    for kind, by_state in sorted(tasks.items(), key=lambda pair: (_KINDS.get(pair[0], len(_KINDS)), pair[0])):
        numbers = [f"{by_state[state]:,}" if by_state.get(state) else "-" for state in states]
        table.add_row(Text(clean(kind)), *numbers)
    return table


def _parked(parked: Parked, waiting: int, now: float) -> RenderableType:
    wait = f"{count(waiting, 'item')} {'waits' if waiting == 1 else 'wait'}"
    return _trouble(f"{parked.scope} until {when(parked.until, now)}, {wait}", parked.trouble)


def _retry_hints(value: StatusView) -> list[RenderableType]:
    classes = sorted(value.troubles.items(), key=lambda pair: -pair[1])
    lines = [
        f"{name} ({count(number, 'task')}): reelmill retry --class {shlex.quote(name)}" for name, number in classes
    ]
    held = any(state == State.HELD for state, _, _ in value.attention)
    hints: list[RenderableType] = [_remedy(clean(line)) for line in lines[:8]]
    return [*hints, _remedy("retrying a held item may pay for it again")] if held else hints


def _runs(runs: Sequence[Mapping[str, Any]], now: float) -> Table:
    table = _table(("last runs", "took", "ended"))
    for run in runs:
        started, ended, code = run.get("started"), run.get("ended"), run.get("exit_code")
        took = span(ended - started) if isinstance(started, int | float) and isinstance(ended, int | float) else "-"
        how = f"{code}: {meaning(code)}" if isinstance(code, int) else "not ended, or killed"
        table.add_row(when(float(started or 0), now), took, Text(how, "" if code == 0 else "yellow"))
    return table


def item(value: ItemView, now: float) -> RenderableType:
    """Show everything known about one item."""
    rows = [
        ("item", Text(fit(value.title or value.source, _WIDE), "bold")),
        ("source", Text(fit(value.source, _WIDE))),
        ("key", Text(fit(value.item.key, _WIDE))),
        ("state", _word(value.state)),
        ("folder", Text(clean(value.folder) if value.folder is not None else "none yet")),
    ]
    parts: list[RenderableType] = [_pairs(rows), Text(""), Text(clean(value.explanation))]
    if value.next_step:
        parts.append(_remedy(value.next_step))
    if value.tasks:
        parts += [Text(""), _item_tasks(value.tasks, now)]
    if value.results:
        table = _table(("results", "fingerprint", "written"))
        for result in value.results:
            table.add_row(Text(clean(result.job)), clean(result.fingerprint)[:16], when(result.created, now))
        parts += [Text(""), table]
    if value.spends:
        table = _table(("paid", "price", "length", "when"), right=("price", "length"))
        for spend in value.spends:
            doubt = Text(" possibly twice", "yellow") if spend.doubtful else Text("")
            table.add_row(
                Text(clean(spend.what)) + doubt, money(spend.usd), minutes(spend.minutes), when(spend.at, now)
            )
        parts += [Text(""), table]
    return Group(*parts)


def _item_tasks(tasks: Sequence[Task], now: float) -> Table:
    table = _table(("tasks", "stage", "state", "attempt", "next look"), right=("attempt",))
    for task in tasks:
        due = "-"
        if task.state is State.PENDING and task.wake_at is not None:
            due = when(task.wake_at, now) if task.wake_at > now else "now"
        table.add_row(Text(clean(task.kind)), Text(clean(task.stage)), _word(task.state), str(task.attempt), due)
    return table


def why(value: ItemView) -> RenderableType:
    """Show one plain sentence, the next step, and the foreign words last."""
    parts: list[RenderableType] = [Text(clean(value.explanation))]
    if value.next_step:
        parts.append(_remedy(value.next_step))
    raw = raw_line(value)
    return Group(*parts, Text(f"raw: {raw}", "dim")) if raw else Group(*parts)


def raw_line(value: ItemView) -> str:
    """Return class and foreign words of the trouble that explains the item: stopped tasks before waiting ones."""
    troubled = [task for task in (*value.tasks, value.item) if task.trouble is not None]
    troubled.sort(key=lambda task: task.state not in (State.FAILED, State.HELD))
    if not troubled or troubled[0].trouble is None:
        return ""
    first = troubled[0].trouble
    return clean(f"{first.code}: {first.detail}" if first.detail else first.code)


def doctor(findings: Sequence[Finding]) -> RenderableType:
    """Show what was found, what a lack costs and what to do."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        text = Text(clean(finding.value))
        if finding.costs and finding.state != "ok":
            text.append(f"\n→ {clean(finding.costs)}", "dim")
        table.add_row(_word(finding.state), Text(clean(finding.name)), text)
    return table


def pairs(values: Iterable[tuple[str, object]]) -> RenderableType:
    """Show names and values, one a line."""
    return _pairs([(name, Text(clean(value))) for name, value in values])


def _pairs(rows: Iterable[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for name, text in rows:
        table.add_row(name, text)
    return table


def _table(columns: Iterable[str], right: Iterable[str] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    to_the_right = frozenset(right)
    for name in columns:
        table.add_column(name, justify="right" if name in to_the_right else "left", no_wrap=True)
    return table


def _section(title: str, entries: Iterable[RenderableType]) -> list[RenderableType]:
    return [Text(""), Text(title, "bold"), *(Padding(entry, (0, 0, 0, 2)) for entry in entries)]


def _attention(shown: Sequence[RenderableType], items: Mapping[str, int]) -> list[RenderableType]:
    more = items.get("failed", 0) + items.get("held", 0) - len(shown)
    return _section("needs attention", [*shown, *([Text(f"… and {more:,} more", "dim")] if more > 0 else [])])


def _bad_lines(lines: Sequence[BadLine], total: int) -> list[RenderableType]:
    entries: list[RenderableType] = [_trouble(f"{line.place}  {fit(line.source, 60)}", line.trouble) for line in lines]
    if total > len(lines):
        entries.append(Text(f"… and {total - len(lines):,} more", "dim"))
    return _section(f"{count(total, 'line')} not usable", entries)


def _trouble(name: str, trouble: Trouble, state: str = "") -> Text:
    text = Text()
    if state:
        text.append(f"{state}  ", _COLOUR.get(state, ""))
    text.append(fit(name, _WIDE), "bold").append(f"  {fit(trouble.message, 300)}")
    if trouble.remedy:
        text.append(f"\n  → {fit(trouble.remedy, 300)}", "dim")
    return text


def _remedy(text: str) -> Text:
    return Text(f"  → {clean(text)}")


def _tally(numbers: Mapping[str, int]) -> Text:
    shown = [(word, number) for word, number in numbers.items() if number]
    return Text(" · ").join(_word(word, f"{number:,} ") for word, number in shown) if shown else Text("none")


def _word(word: str, before: str = "") -> Text:
    return Text(before + clean(word), _COLOUR.get(word, ""))

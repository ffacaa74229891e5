"""What a run would do and what it would cost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.text import stamp
from pipeline.present.formatting import clean, count, fit, minutes, money, size
from pipeline.present.tables.layout import WIDE, bad_lines, coloured, left_out, new_table, pair_table, tally
from pipeline.views import Plan, PlanRow


def plan_table(value: Plan) -> RenderableType:
    """Show what a run would do and what it would cost."""
    rows = [
        ("items", tally(value.counts)),
        ("price", Text(_price(value))),
        ("upload", Text(size(value.upload_bytes))),
        ("platform", Text(clean(value.provider))),
        ("budget", _budget(value)),
    ]
    parts: list[RenderableType] = [pair_table(rows)]
    if value.rows:
        parts += [Text(""), _plan_rows(value.rows)]
        more = sum(number for action, number in value.counts.items() if action != "nothing") - len(value.rows)
        if more > 0:
            parts.append(Text(f"… and {more:,} more", "dim"))
    if value.bad_count:
        parts += bad_lines(value.bad_lines, value.bad_count)
    parts += left_out(value.left_out)
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
    table = new_table(("action", "length", "upload", "price"), right=("length", "upload", "price"))
    table.add_column("jobs", no_wrap=True, max_width=40)
    table.add_column("source", no_wrap=True)
    for row in rows:
        length = stamp(row.seconds, form="clock") if row.seconds is not None else "?"
        upload = size(row.upload_bytes) if row.upload_bytes else "-"
        parts = (fit(row.source, 60), fit(row.title, 40), row.problem)
        source = "  ".join(part for part in parts if part)
        jobs = fit(", ".join(row.jobs) or "-", 40)
        price = money(row.usd) if row.seconds is not None or row.usd else "?"
        table.add_row(coloured(row.action), length, upload, price, Text(jobs), Text(fit(source, WIDE)))
    return table

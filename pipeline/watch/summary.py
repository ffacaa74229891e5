"""A run in a few lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.clock import iso
from pipeline.core.exit_codes import ExitCode, meaning
from pipeline.core.text import plain
from pipeline.views import RunReport, Snapshot

_NAMES = 5  #: of the items of one fate
_TROUBLES = 10
_LINE = 200  #: characters of a foreign text


def headline(report: RunReport) -> str:
    """Return the outcome, the money, and where the results are, in one line."""
    return f"{outcome(report)} · {usd(report.usd)} · {link(report)}"


def outcome(report: RunReport) -> str:
    """Return how a run ended, and what came of how many items."""
    fates = ", ".join(f"{items.count:,} {name.replace('_', ' ')}" for name, items in report.this_run.items())
    words = "its time was up" if report.time_up else meaning(report.exit_code).partition(",")[0]
    return f"{words}{f': {fates}' if fates else ''}"


def describe(report: RunReport) -> str:
    """Return the summary: headline, what came of the items, what needs somebody."""
    return "\n".join([headline(report), "", *_lines(report)])


def describe_progress(now: Snapshot) -> str:
    """Return how a run stands, in one line."""
    failed = f", {now.items_failed:,} failed" if now.items_failed else ""
    return f"{now.items_done:,} of {now.items_total:,} items done{failed} · {usd(now.spent_usd)}"


def link(report: RunReport) -> str:
    """Return the address of the page over the results, else of their folder."""
    page = report.output / "index.html"
    return (page if page.is_file() else report.output).as_uri()


def usd(amount: float) -> str:
    """Return an amount of money."""
    return f"${amount:,.2f}"


def _lines(report: RunReport) -> Iterator[str]:
    for name, items in report.this_run.items():
        names = ", ".join(_short(each) for each in items.names[:_NAMES])
        more = items.count - min(_NAMES, len(items.names))
        rest = f" and {more:,} more" if names and more > 0 else ""
        yield f"{name.replace('_', ' ')} {items.count:,}{f': {names}{rest}' if names else ''}"
    if report.bad_count:
        yield f"bad lines {report.bad_count:,}: {', '.join(plain(bad.place, 60) for bad in report.bad_lines[:_NAMES])}"
    if report.note:
        yield f"stopped early: {plain(report.note, 500)}"
    if report.resume_at is not None:
        yield f"resume at {iso(report.resume_at)}"
    if report.troubles:
        yield f"needs you: {report.troubled:,}"
    for item, trouble in report.troubles[:_TROUBLES]:
        remedy = f" → {plain(trouble.remedy, _LINE)}" if trouble.remedy else ""
        yield f"- {_short(item)}: {plain(trouble.message, _LINE)}{remedy}"
    if report.doubtful:
        yield f"possibly paid twice: {report.doubtful:,}"
    provider = f" on {report.provider}" if report.provider else ""
    code = f", exit code {report.exit_code}" if report.exit_code != ExitCode.DONE else ""
    yield f"{iso(report.started)} to {iso(report.ended)}{provider}{code}"


def _short(source: str) -> str:
    """Return a file's name, or an address, in one line."""
    return plain(source if "://" in source else source.rstrip("/").rpartition("/")[2] or source, 80)

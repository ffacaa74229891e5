"""The digest for people: when one is due, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.app.operator.last_run import read_last_run
from pipeline.core.clock import iso
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Json, Selection, State, fingerprint
from pipeline.ports.store import Database
from pipeline.views import RunReport
from pipeline.watch.summary import describe, outcome, usd

NAME = "watch"  #: under which the journal remembers what was told
_FOR_A_PERSON = frozenset({
    ExitCode.UNEXPECTED, ExitCode.USAGE, ExitCode.NEEDS_OPERATOR, ExitCode.BUDGET, ExitCode.QUOTA,
})  # fmt: skip
_HELD = 500  #: held tasks looked at for their causes
_RUNS = 200  #: looked at for what was done since the last digest


@dataclass(frozen=True, slots=True)
class Digest:
    """A message, and what the journal keeps once it is sent."""

    title: str
    body: str
    memory: Json


async def make_digest(
    report: RunReport, database: Database | None, when: Literal["daily", "run", "never"], now: float
) -> Digest | None:
    """Return the message that is due at the end of a run, or None.

    One is due for a cause that needs a person and was not told that day, after each run, or with the first run that ends
    on a day (UTC). Without a database nothing is remembered, so that every cause counts as new.
    """
    kept = await database.load(NAME) if database is not None else None
    memory: Mapping[str, Any] = kept if isinstance(kept, dict) else {}
    today = iso(now)[:10]
    told = memory.get("causes", []) if memory.get("day") == today else []
    causes = await _causes(report, database, now)
    since = float(memory.get("digest", 0.0))
    regular = when == "run" or (when == "daily" and iso(since)[:10] != today)
    regular = regular and report.exit_code != ExitCode.INTERRUPTED  # whoever did that knows
    if not regular and causes <= set(told):
        return None
    body = [describe(report), *(await _earlier(report, database, since) if regular else [])]
    remembered = {"day": today, "causes": sorted({*told, *causes}), "digest": now if regular else since}
    return Digest(f"reelmill: {outcome(report)} · {usd(report.usd)}", "\n".join(body), remembered)


async def _causes(report: RunReport, database: Database | None, now: float) -> set[str]:
    """Return what needs a person: why the run stopped, why items are held."""
    causes = set[str]()
    if database is not None and report.items.get("held"):
        held = await database.tasks(Selection(states=(State.HELD,), limit=_HELD))
        codes = {task.trouble.code for task in held if task.trouble is not None}
        causes |= {f"held {code}" for code in codes & {trouble.code for _, trouble in report.troubles}}
    if report.exit_code in _FOR_A_PERSON and not report.time_up:  # whoever set that time knows
        causes |= {f"exit {report.exit_code} {code}" for code in await _stopped_by(report, database, now)}
    return causes


async def _stopped_by(report: RunReport, database: Database | None, now: float) -> set[str]:
    """Return what stopped a run; the same cause has the same words."""
    if database is None or not report.items:  # refused before it began: its sentence names no time
        return {fingerprint(report.note)}
    parked = {each.trouble.code for each in await database.parked(now)} if report.exit_code == ExitCode.QUOTA else set()
    stopped = (await read_last_run(database)).stopped
    return parked or {stopped.code if stopped is not None else ""}


async def _earlier(report: RunReport, database: Database | None, since: float) -> Sequence[str]:
    """Return a line about the runs since the last digest, if there were others."""
    if database is None or not since:
        return ()
    runs = [note for note in await database.runs(_RUNS) if note.ended is not None and note.ended > since]
    if len(runs) < 2:
        return ()
    spent = sum(float(note.summary.get("usd", 0.0)) for note in runs)
    published = sum(int(note.summary.get("published", 0)) for note in runs)
    return (f"since {iso(since)}: {len(runs):,} runs, {published:,} videos written, {usd(spent)}",)

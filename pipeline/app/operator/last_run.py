"""What the last run left for a person: why it stopped, its bad lines.

A run writes it into its line of the history; ``status``, ``why`` and ``show`` read it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.core.exit_codes import ExitCode, meaning
from pipeline.core.model import RunNote, Trouble
from pipeline.ports.store import Records
from pipeline.views import BadLine

if TYPE_CHECKING:
    from pipeline.engine.admission import RunEnd

_NAMED = 5  #: bad lines kept in the history
_FOR_A_PERSON = (ExitCode.USAGE, ExitCode.NEEDS_OPERATOR, ExitCode.BUDGET)


@dataclass(frozen=True, slots=True)
class LastRun:
    """What the newest run that ended asks of a person."""

    stopped: Trouble | None = None  #: why nothing goes on before somebody acts
    bad_lines: Sequence[BadLine] = ()  #: the first few
    bad_count: int = 0  #: all of them


def stopped_json(ending: RunEnd, bad_lines: Sequence[BadLine]) -> dict[str, Any]:
    """Return what the history keeps of it; empty if all is well."""
    stopped = ending.halted or (None if ending.interrupted else ending.output or ending.budget)
    bad = [{"place": each.place, "source": each.source, **each.trouble.as_json()} for each in bad_lines[:_NAMED]]
    return {**({"stopped": stopped.as_json()} if stopped is not None else {}), **({"bad": bad} if bad else {})}


async def read_last_run(database: Records) -> LastRun:
    """Return what the newest run that ended left for a person."""
    ended = next((note for note in await database.runs(10) if note.ended is not None), None)
    return last_run(ended) if ended is not None else LastRun()


def last_run(note: RunNote) -> LastRun:
    """Return what one run left; earlier releases kept one sentence and no lines."""
    summary: Mapping[str, Any] = note.summary
    stopped = None
    if summary.get("stopped"):
        stopped = Trouble.from_json(summary["stopped"])
    elif note.exit_code in _FOR_A_PERSON:
        stopped = Trouble("stopped", summary.get("note") or meaning(note.exit_code))
    bad = [BadLine(each["place"], each["source"], Trouble.from_json(each)) for each in summary.get("bad", ())]
    return LastRun(stopped, bad, summary.get("bad_lines", 0))

"""The process's exit codes, and the end of a run in words.

A number never changes its meaning. Damaged lines of the history say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from math import isfinite
from types import MappingProxyType
from typing import Any


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    INCOMPLETE = 3
    NEEDS_OPERATOR = 4
    BUDGET = 5
    QUOTA = 6
    BUSY = 75  #: EX_TEMPFAIL of sysexits.h: try again later
    INTERRUPTED = 130  #: 128 + SIGINT, as shells expect


#: One line each, as the run summary and the run history show them. Commands that only change tasks say more in their help.
MEANING: Mapping[ExitCode, str] = MappingProxyType(
    {
        ExitCode.DONE: "all done",
        ExitCode.UNEXPECTED: "unexpected error",
        ExitCode.USAGE: "usage or configuration must be corrected",
        ExitCode.INCOMPLETE: "finished, some items failed or are held, or lines were bad",
        ExitCode.NEEDS_OPERATOR: "needs the operator: key, credit or plan",
        ExitCode.BUDGET: "stopped at the budget",
        ExitCode.QUOTA: "stopped at a quota or an outage, or its time was up; when to go on is printed",
        ExitCode.BUSY: "already running on this state folder, or the shared database is needed alone",
        ExitCode.INTERRUPTED: "interrupted, safe to resume",
    }
)


def meaning(code: int) -> str:
    """Return the meaning of an exit code, known or not."""
    try:
        return MEANING[ExitCode(code)]
    except ValueError:
        return f"code {code}, of another release"


def how_ended(code: int, summary: Mapping[str, Any]) -> str:
    """Return how a run ended, in a few words of its history."""
    return "its time was up" if summary.get("time_up") is True else meaning(code)


def fates(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return what came of a run's items: fate, such as ``asked_again``, to number."""
    found = summary.get("this_run")
    given = found if isinstance(found, Mapping) else {}
    return {str(fate): number for fate, number in given.items() if isinstance(number, int)}


def told_fates(summary: Mapping[str, Any]) -> str:
    """Return what came of a run's items, as ``2 new · 1 failed``."""
    return " · ".join(f"{number:,} {fate.replace('_', ' ')}" for fate, number in fates(summary).items())


def why_ended(summary: Mapping[str, Any], code: Any) -> str:
    """Return why a run ended early; empty if it did not."""
    note = summary.get("note")
    if isinstance(note, str) and note:
        return note
    early = isinstance(code, int) and code not in (ExitCode.DONE, ExitCode.INCOMPLETE)
    return meaning(code) if early else ""


def number_of(summary: Mapping[str, Any], name: str) -> float:
    """Return a number that the history keeps; 0 if it keeps none."""
    value = summary.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if isfinite(value) else 0.0

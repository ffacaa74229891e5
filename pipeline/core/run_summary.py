"""What the history keeps of a run, in words; damaged lines say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from pipeline.core.exit_codes import ExitCode, meaning
from pipeline.core.model import Json


def fates(summary: Mapping[str, Json]) -> dict[str, int]:
    """Return what came of a run's items: fate, such as ``asked_again``, to number."""
    found = summary.get("this_run")
    given = found if isinstance(found, Mapping) else {}
    return {str(fate): number for fate, number in given.items() if isinstance(number, int)}


def told_fates(summary: Mapping[str, Json]) -> str:
    """Return what came of a run's items, as ``2 new · 1 failed``."""
    return " · ".join(f"{number:,} {fate.replace('_', ' ')}" for fate, number in fates(summary).items())


def why_ended(summary: Mapping[str, Json], code: Json) -> str:
    """Return why a run ended early, one sentence; empty if it came to its end."""
    note = summary.get("note")
    if isinstance(note, str) and note:
        return note
    early = isinstance(code, int) and code not in (ExitCode.DONE, ExitCode.INCOMPLETE)
    return meaning(code) if early else ""


def number_of(summary: Mapping[str, Json], name: str) -> float:
    """Return a number that the history keeps; 0 if it keeps none."""
    value = summary.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if isfinite(value) else 0.0

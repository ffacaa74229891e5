"""Which analyses are asked by the batch, and what one holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

from pipeline.ports.batch_api import BatchCeilings

Mode = Literal["auto", "off", "always"]
Lane = Literal["task", "batch"]
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class BatchRules:
    """What the operator says about batches."""

    mode: Mode = "auto"
    least: int = 50  #: analyses for which a batch is worth it
    hours: float = 1.5  #: that a batch takes as a rule, by what the operator has seen
    deadline: float = 24.0  #: hours within which answers are wanted; a batch may take its whole life
    factor: float = 1.0  #: price of an analysis in a batch, beside one alone
    most_seconds: float = inf  #: of video in one batch, by the operator's own limits


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is still to be asked."""

    analyses: int
    model: str
    per_minute: float | None = None  #: analyses that may be asked alone; None: nobody limits them


@dataclass(frozen=True, slots=True)
class Choice:
    """The lane for a backlog, the hours of both, and one clause why."""

    lane: Lane
    why: str
    task_hours: float
    batch_hours: float | None = None  #: None: no batch takes it

    @property
    def saves_hours(self) -> float:
        """Hours that batches save; below zero: they take longer."""
        return self.task_hours - self.batch_hours if self.batch_hours is not None else 0.0


def choose_lane(backlog: Backlog, rules: BatchRules, ceilings: BatchCeilings | None) -> Choice:
    """Return how a backlog is asked. Total: any backlog in, one choice out."""
    alone = backlog.analyses / backlog.per_minute / 60 if backlog.per_minute else 0.0
    if ceilings is None:
        return Choice("task", "this API has no batches", alone)
    if backlog.model not in ceilings.models:
        return Choice("task", f"batches do not take {backlog.model}", alone)
    rounds = ceil(ceil(backlog.analyses / ceilings.items) / ceilings.active)
    together = rounds * rules.hours

    def choice(lane: Lane, why: str) -> Choice:
        return Choice(lane, why, alone, together)

    if rules.mode == "off":
        return choice("task", "[batches] mode is off")
    if rules.mode == "always":
        return choice("batch", "[batches] mode is always")
    if backlog.analyses < rules.least:
        return choice("task", f"fewer than {rules.least}")
    if rules.deadline < ceilings.life / _HOUR:
        return choice("task", f"a batch may take {ceilings.life / _HOUR:.0f} h, and {rules.deadline:g} h are allowed")
    if rules.factor < 1:
        return choice("batch", "a batch costs less")
    return choice("batch", "batches are quicker") if together < alone else choice("task", "tasks are as quick")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An analysis that waits to be packed."""

    key: str  #: its custom id
    task: str  #: key of its task
    model: str
    seconds: float  #: of video that it looks at
    since: float  #: when it came, epoch seconds


def pack(
    candidates: Sequence[Candidate], ceilings: BatchCeilings, *, now: float, quiet: float, most: float
) -> list[Candidate]:
    """Return the next batch: empty while it is better to wait for more.

    It goes when it is full, when nobody has come for ``quiet`` seconds, or when the first has waited ``most`` seconds.
    """
    waiting = sorted(candidates, key=lambda each: (each.since, each.key))
    if not waiting:
        return []
    chosen: list[Candidate] = []
    seconds, full = 0.0, False
    for each in waiting:
        if each.model != waiting[0].model:
            continue
        if len(chosen) == ceilings.items or (chosen and seconds + each.seconds > ceilings.seconds):
            full = True
            break
        chosen.append(each)
        seconds += each.seconds
    full = full or len(chosen) == ceilings.items
    due = now - chosen[-1].since >= quiet or now - chosen[0].since >= most
    # A clock that was set back must not let them wait for ever.
    return chosen if full or due or any(each.since > now for each in chosen) else []

"""The verdicts that a step may return: values, not exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.core.model import Json, NewTask, Result, Spend, Trouble


@dataclass(frozen=True, slots=True)
class Advance:
    """The stage is finished; go on at ``stage``.

    ``data`` replaces the task's data (None keeps it).
    ``results``, ``spawn`` and ``spend`` are written in the same transaction. ``after`` delays the next stage, seconds.
    """

    stage: str
    data: Mapping[str, Json] | None = None
    after: float = 0.0
    results: Sequence[Result] = ()
    spawn: Sequence[NewTask] = ()
    spend: Sequence[Spend] = ()
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The task is finished."""

    results: Sequence[Result] = ()
    spawn: Sequence[NewTask] = ()
    data: Mapping[str, Json] | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not time yet: look again in ``after`` seconds. Not an attempt; deadlines still hold.

    ``untouched`` says that nothing was sent, so that the stage stays *fresh*; ``trouble`` says what the task waits for.
    ``asked`` is False where the task only waits for its turn: that is no look, and no deadline ends it.
    """

    after: float
    untouched: bool = False
    trouble: Trouble | None = None
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Retry:
    """Failed, may work later; counts as an attempt.

    The policy's backoff applies unless ``after`` is given.
    ``counted`` is False where the trouble has a count of its own, which is then in ``data`` (None keeps the task's).
    """

    trouble: Trouble
    after: float | None = None
    untouched: bool = False
    counted: bool = True
    data: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Will never work by itself.

    ``stage`` and ``data`` say where an operator's retry starts; None: right here.
    ``spend`` takes back what was booked for a call that was refused.
    """

    trouble: Trouble
    spawn: Sequence[NewTask] = ()
    spend: Sequence[Spend] = ()
    stage: str | None = None
    data: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Going on might pay twice: a person must decide.

    ``stage`` and ``data`` say where an operator's retry starts: usually where the paid call is priced, because the
    operator accepts paying again.
    """

    trouble: Trouble
    stage: str | None = None
    data: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Park:
    """The whole scope must wait; this task loses no attempt.

    ``untouched`` says that nothing was accepted, so that the stage stays *fresh*; ``data`` is as in ``Retry``.

    ``scope`` is a lane's name: it takes no new work until ``until`` (epoch seconds), while the other lanes drain; a long
    park is remembered across restarts. ``run:operator``, ``run:config`` and ``run:store`` stop the whole run.
    ``scope="budget"`` closes the analyze lane for the rest of this run only. ``scope="output"``: results cannot be written;
    nothing more is paid for, and if that does not pass soon, the run ends; ``until`` does not matter.
    """

    scope: str
    until: float
    trouble: Trouble
    untouched: bool = True
    data: Mapping[str, Json] | None = None


Outcome: TypeAlias = Advance | Done | Snooze | Retry | Fail | Hold | Park

"""Group commit: what arrives together is written together, and each caller still gets its own answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from pipeline.core.errors import Permanent, ReelmillError, Transient

Ask = TypeVar("Ask")

Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Ask, Answer]):
    ask: Ask
    settled: anyio.Event = field(default_factory=anyio.Event)
    answers: list[Answer] = field(default_factory=list)  #: one, once it is written
    error: ReelmillError | None = None


class Group(Generic[Ask, Answer]):
    """Collects what is asked for while the writer is busy.

    The first to come to an empty list leads: it queues up for the lock, and whoever comes meanwhile joins. With the lock
    in hand it writes for all of them in one transaction. So nothing waits for company, and a lone caller pays nothing.

    A value that cannot be stored fails the whole transaction; then its members are written one by one, and only the one
    who brought it gets the error.
    """

    def __init__(self, lock: anyio.Lock, write: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer]]]) -> None:
        self._lock = lock
        self._write = write
        self._waiting: list[_Waiting[Ask, Answer]] = []

    async def join(self, ask: Ask) -> Answer:
        """Return the answer after the commit. Not cancellable: what was handed in is written, whoever waits for it."""
        mine: _Waiting[Ask, Answer] = _Waiting(ask)
        with anyio.CancelScope(shield=True):
            self._waiting.append(mine)
            if len(self._waiting) > 1:
                await mine.settled.wait()
            else:
                await self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.answers[0]

    async def _lead(self) -> None:
        group = self._waiting  # grows until the lock is ours
        try:
            # One turn of the loop: whoever is ready by now has its share in this commit, not in the next.
            await anyio.lowlevel.cancel_shielded_checkpoint()
            async with self._lock:
                self._waiting = []
                await self._settle(group)
        finally:
            # Only a leader that was ended from outside (asyncio's own cancel) leaves anybody unsettled.
            if self._waiting is group:
                self._waiting = []
            for member in group:
                _abandon(member)

    async def _settle(self, group: Sequence[_Waiting[Ask, Answer]]) -> None:
        try:
            answers = await self._write([member.ask for member in group])
        except Permanent as error:
            if len(group) == 1:
                group[0].error = error
            else:
                for member in group:
                    await self._settle([member])
        except ReelmillError as error:
            for member in group:
                member.error = _same(error)
        else:
            for member, answer in zip(group, answers, strict=True):
                member.answers.append(answer)


def _abandon(member: _Waiting[Ask, Answer]) -> None:
    if member.error is None and not member.answers:
        member.error = Transient("The write was interrupted; whether it happened is not known.", code="interrupted")
    member.settled.set()


def _same(error: ReelmillError) -> ReelmillError:
    """Return a copy for each member: one exception raised in many tasks would mix their tracebacks."""
    trouble = error.trouble
    copy = type(error)(trouble.message, code=trouble.code, remedy=trouble.remedy, detail=trouble.detail)
    if isinstance(error, Transient) and isinstance(copy, Transient):
        copy.untouched = error.untouched
    copy.__cause__ = error
    return copy

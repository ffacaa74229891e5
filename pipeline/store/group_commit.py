"""Group commit: what arrives together is committed together, with own replies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from pipeline.core.errors import DatabaseAway, Permanent, ReelmillError

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Request, Reply]):
    request: Request
    replies: list[Reply] = field(default_factory=list)  #: one, once it is written
    error: ReelmillError | None = None


@dataclass(slots=True, eq=False)
class _Members(Generic[Request, Reply]):
    members: list[_Waiting[Request, Reply]] = field(default_factory=list)
    settled: anyio.Event = field(default_factory=anyio.Event)


class GroupCommit(Generic[Request, Reply]):
    """Collects requests while the writer is busy.

    The first request opens a group and leads it: it waits for the lock, and what arrives meanwhile joins it. With the lock
    held it writes them all in one transaction. So no request waits for others to come, and a lone one costs nothing.

    A value that cannot be stored fails the whole transaction; then the requests are written one by one, and only the one
    with that value gets the error.
    """

    def __init__(self, lock: anyio.Lock, write: Callable[[Sequence[Request]], Awaitable[Sequence[Reply]]]) -> None:
        self._lock = lock
        self._write = write
        self._open: _Members[Request, Reply] | None = None  #: the group that a request can still join

    async def join(self, request: Request) -> Reply:
        """Return the reply after the commit; not cancellable.

        A request is written even if its caller is cancelled.
        """
        mine: _Waiting[Request, Reply] = _Waiting(request)
        with anyio.CancelScope(shield=True):
            if (group := self._open) is not None:
                group.members.append(mine)
                await group.settled.wait()
            else:
                await self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.replies[0]

    async def _lead(self, mine: _Waiting[Request, Reply]) -> None:
        self._open = group = _Members([mine])  # grows until the lock is ours
        try:
            # One turn of the loop: callers that are ready by now join this commit, not the next.
            await anyio.lowlevel.cancel_shielded_checkpoint()
            async with self._lock:
                self._open = None
                await self._settle(group.members)
        finally:
            # Only a leader that asyncio itself cancelled leaves members unsettled.
            if self._open is group:
                self._open = None
            for member in group.members:
                if member.error is None and not member.replies:
                    member.error = _interrupted()
            group.settled.set()

    async def _settle(self, group: Sequence[_Waiting[Request, Reply]]) -> None:
        try:
            replies = await self._write([member.request for member in group])
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
            for member, reply in zip(group, replies, strict=True):
                member.replies.append(reply)


def _interrupted() -> DatabaseAway:
    return DatabaseAway("The write was interrupted; whether it happened is not known.", code="interrupted")


def _same(error: ReelmillError) -> ReelmillError:
    """Return a copy for each member: shared exceptions would mix tracebacks."""
    copy = type(error).from_trouble(error.trouble)
    copy.__cause__ = error
    return copy

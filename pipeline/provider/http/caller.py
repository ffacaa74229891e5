"""One call of the API with all its rules, for everybody who makes one: client, uploader and catalog.

Order of a paid or creating call: room in the limits, then the lease, then the bytes; so that no waiting lies between the
moment we know that the task is ours and the moment we pay.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError, Throttled, Transient
from pipeline.ports.video_api import Limiter
from pipeline.provider.dialects import errors, json_reading
from pipeline.provider.dialects.protocol import Request, Response, UnreadableAnswer
from pipeline.provider.http.transport import Transport

T = TypeVar("T")

_TRIES = 4  #: of a safe call, within one step

_TOTAL = 10.0  #: seconds that these tries may take together, waits included

_BACKOFF = Backoff(first=0.25, most=2.0)

_THROTTLE = Backoff(first=2.0, most=120.0)  #: where a 429 names no time


class ReadsErrors(Protocol):
    """What is needed of a dialect."""

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
        """Return the error for a response that is not 2xx."""
        ...


def _nobody() -> None:
    """The lease check of calls that change nothing."""


class ApiCaller:
    """Makes calls over one transport. ``ahead``: seconds by which the platform's clock is ahead of ours, as last seen."""

    def __init__(
        self, dialect: ReadsErrors, transport: Transport, limiter: Limiter, clock: Clock, rng: Random, grace: float
    ) -> None:
        self.clock, self.rng = clock, rng
        self.grace = grace  #: seconds after a lost answer until what was accepted can be seen
        self.ahead = 0.0
        self._dialect, self._transport, self._limiter = dialect, transport, limiter
        self._streaks: dict[str, int] = {}

    async def call(
        self, request: Request, read: Callable[[Response], T], *,
        still_ours: Callable[[], None] = _nobody, minutes: float = 0.0, tokens: float = 0.0,
    ) -> T:  # fmt: skip
        """Make one call: limits, lease, short retries where that is safe, learning from a 429.

        Raises:
            ReelmillError: what became of it, in our words.
        """
        began = self.clock.monotonic()
        for attempt in range(1, _TRIES + 1):
            await self._limiter.admit(request.group, minutes=minutes, tokens=tokens)
            still_ours()
            try:
                return await self._once(request, read)
            except Throttled as error:
                self._limiter.learn(request.group, wait=error.after)
                raise
            except Transient as error:
                delay = max(_BACKOFF.delay(attempt, self.rng), error.after or 0.0)
                spent = self.clock.monotonic() - began
                if not request.safe or attempt == _TRIES or spent + delay > _TOTAL:
                    raise
            await self.clock.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def send(self, request: Request) -> Response:
        """Send one request to a presigned address; any answer is returned."""
        return await self._transport.send(request)

    def dated(self, read: Callable[[Response], T]) -> Callable[[Response], T]:
        """Note how the platform's clock differs from ours while reading: ages are compared by its clock."""

        def noting(response: Response) -> T:
            theirs = json_reading.http_date(response.headers.get("date", ""))
            if theirs is not None:
                self.ahead = theirs - response.at
            return read(response)

        return noting

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        await self._transport.aclose()

    async def _once(self, request: Request, read: Callable[[Response], T]) -> T:
        response = await self._transport.send(request)
        if not 200 <= response.status < 300:
            raise self._refused(response, request)
        self._streaks.pop(request.group, None)
        if "x-ratelimit-remaining" in response.headers:
            self._limiter.learn(request.group, headers=response.headers)
        try:
            return read(response)
        except UnreadableAnswer as error:
            raise errors.lost(
                request, "the platform's answer cannot be read", code="unreadable", detail=json_reading.clip(str(error))
            ) from None

    def _refused(self, response: Response, request: Request) -> ReelmillError:
        streak = self._streaks.get(request.group, 0) + 1
        error = self._dialect.read_error(response, request, wait=_THROTTLE.delay(streak, self.rng))
        if isinstance(error, Throttled):
            self._streaks[request.group] = streak
        return error

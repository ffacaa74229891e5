"""One API call with all its rules, for everybody who makes one.

Order of a paid or creating call: room in the limits, then the lease check, then the bytes; so that no waiting lies between
the moment we know that the task is ours and the moment we pay.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent, ReelmillError, Throttled, Transient, is_surely_refused
from pipeline.core.retry import retry
from pipeline.ports.video_api import Limiter
from pipeline.provider.dialects import errors
from pipeline.provider.dialects.error_codes import GONE
from pipeline.provider.dialects.json_reading import clip, parse_http_date
from pipeline.provider.dialects.protocol import Call, Request, Response, UnreadableAnswer, UnusableSession
from pipeline.provider.dialects.quota_notes import quota_notes, speaks_of_quota
from pipeline.provider.http.transport import Transport

T = TypeVar("T")
_TRIES = 4  #: of a safe call, within one step
_TOTAL = 10.0  #: seconds that these tries may take together, waits included
_BACKOFF = Backoff(first=0.25, most=2.0)
_THROTTLE = Backoff(first=2.0, most=120.0)  #: where a 429 names no time


class ErrorReader(Protocol):
    """What a caller needs of a dialect."""

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
        """Return the error for a response that is not 2xx."""
        ...


def _no_lease() -> None:
    """The lease check of calls that change nothing."""


class ApiCaller:
    """Makes calls over one transport.

    ``ahead``: seconds by which the platform's clock is ahead of ours, as last seen.
    """

    def __init__(
        self, dialect: ErrorReader, transport: Transport, limiter: Limiter, clock: Clock, rng: Random, grace: float
    ) -> None:
        self.clock, self.rng = clock, rng
        self.grace = grace  #: seconds after a lost answer until what was accepted can be seen
        self.ahead = 0.0
        self._dialect, self._transport, self._limiter = dialect, transport, limiter
        self._streaks: dict[str, int] = {}  #: 429 answers in a row, by group

    async def call(
        self, call: Call[T], *, still_ours: Callable[[], None] = _no_lease, minutes: float = 0.0, tokens: float = 0.0
    ) -> T:
        """Make one call: limits, lease check, safe retries, learning from a 429.

        Raises:
            ReelmillError: what became of it, in our words.
        """
        request, began = call.request, self.clock.monotonic()

        async def attempt() -> T:
            admitted, accepted = await self._limiter.admit(request.group, minutes=minutes, tokens=tokens), None
            try:
                still_ours()
                answer = await self._once(call)
                accepted = True
                return answer
            except ReelmillError as error:
                if isinstance(error, Throttled) or is_surely_refused(error):
                    accepted = False
                raise
            finally:
                self._limiter.answered(request.group, admitted, minutes=minutes, tokens=tokens, accepted=accepted)

        def policy(number: int, error: ReelmillError) -> float | None:
            if isinstance(error, Throttled) or not isinstance(error, Transient) or not request.safe or number == _TRIES:
                return None  # a rate limit pauses the whole group: the caller decides whether to wait for it
            if error.waits is not None:
                return None  # worth only a few tries, and not at once
            delay = max(_BACKOFF.delay(number, self.rng), error.after or 0.0)
            return delay if self.clock.monotonic() - began + delay <= _TOTAL else None

        return await retry(attempt, policy, self.clock)

    async def find(self, call: Call[T]) -> T | None:
        """Make a call about one object; None if the platform lacks it."""
        try:
            return await self.call(call)
        except Permanent as error:
            if not is_gone(error):
                raise
            return None

    def without_key(self, text: str) -> str:
        """Return a foreign text without our key."""
        return self._transport.without_key(text)

    async def send(self, request: Request) -> Response:
        """Send one request to a presigned address; any answer is returned."""
        return await self._transport.send(request)

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        await self._transport.aclose()

    async def _once(self, call: Call[T]) -> T:
        request = call.request
        response = await self._transport.send(request)
        if not 200 <= response.status < 300:
            raise self._refused(response, request)
        self._streaks.pop(request.group, None)
        if speaks_of_quota(response.headers):
            self._limiter.learn(request.group, notes=quota_notes(response))
        self._note_clock(response)
        try:
            return call.read(response)
        except UnusableSession as error:
            raise Transient(
                "the platform opened an upload that cannot be used", code="bad_session", detail=clip(str(error)),
                remedy="another one is opened by itself a few times, and then by `reelmill retry`",
            ) from None  # fmt: skip
        except UnreadableAnswer as error:
            message, detail = "the platform's answer cannot be read", clip(str(error))
            raise errors.lost(request, message, code="unreadable", detail=detail) from None

    def _note_clock(self, response: Response) -> None:
        """Note by how much the platform's clock differs from ours."""
        theirs = parse_http_date(response.headers.get("date", ""))
        if theirs is not None:
            self.ahead = theirs - response.at

    def _refused(self, response: Response, request: Request) -> ReelmillError:
        streak = self._streaks.get(request.group, 0) + 1
        error = self._dialect.read_error(response, request, wait=_THROTTLE.delay(streak, self.rng))
        error.in_doubt = errors.proves_nothing(response, request)
        if isinstance(error, Throttled):
            self._streaks[request.group] = streak
            self._limiter.learn(request.group, wait=error.after, notes=quota_notes(response))
        return error


def is_gone(error: Permanent) -> bool:
    """Whether the platform does not know the id that it was asked about."""
    return error.trouble.code == GONE.code

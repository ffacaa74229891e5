"""The platform as the rest of the program knows it: ``ports.VideoApi`` over a dialect and the HTTP border.

Order of a paid or creating call: room in the limits, then the lease, then the bytes; so that no waiting lies between the
moment we know that the task is ours and the moment we pay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from pipeline.backoff import Backoff
from pipeline.config import Settings
from pipeline.errors import Ambiguous, Permanent, ReelmillError, Throttled, Transient
from pipeline.log import get
from pipeline.model import Json
from pipeline.ports import AnalysisStatus, Answer, Ceilings, Clock, Limiter, MediaStatus, NewUpload, Question, Session
from pipeline.provider import wire
from pipeline.provider.board import Board, ByIds, Pacer, Sweep
from pipeline.provider.dialect import Dialect, Found, Page, Request, Response, Unreadable
from pipeline.provider.transport import Transport
from pipeline.provider.upload import Sender
from pipeline.provider.v1_3 import V13

T = TypeVar("T")

log = get("provider")

_TRIES = 4  #: of a safe call, within one step
_TOTAL = 10.0  #: seconds that these tries may take together, waits included
_BACKOFF = Backoff(first=0.25, most=2.0)
_THROTTLE = Backoff(first=2.0, most=120.0)  #: where a 429 names no time
_PAGES = 2_000
_SETTLE = 30.0  #: seconds in which an unknown id may still be one that was just made


def _nobody() -> None:
    """The lease check of calls that change nothing."""


class TwelveLabs:
    """The vendor's platform, or anything that speaks its API. See ``pipeline.ports.VideoApi``."""

    def __init__(
        self, dialect: Dialect, transport: Transport, limiter: Limiter, clock: Clock, rng: Random, *,
        identity: str, grace: float, chunk_parallel: int, pacer: Pacer, first_look: float, spacing: float, settle: float,
    ) -> None:  # fmt: skip
        self.dialect, self.clock, self.rng = dialect, clock, rng
        self._transport, self._limiter = transport, limiter
        self._identity, self._grace, self._parallel = identity, grace, chunk_parallel
        self._streaks: dict[str, int] = {}
        self._strange: set[str] = set()
        self._ahead = 0.0  #: seconds by which the platform's clock is ahead of ours
        many = ByIds(MediaStatus("working"), self._media_many, self._media_one, dialect.page_size)
        sweep = Sweep(AnalysisStatus("working"), self._analyses_page, self._analysis_one, dialect.waiting_words)
        self._media = Board(many, pacer, clock, first=first_look, spacing=spacing, settle=settle)
        self._analyses = Board(sweep, pacer, clock, first=first_look, spacing=spacing, settle=settle)

    @property
    def identity(self) -> str:
        """Name and dialect for result fingerprints."""
        return self._identity

    @property
    def features(self) -> frozenset[str]:
        """What the dialect can do."""
        return frozenset(self.dialect.features)

    @property
    def ceilings(self) -> Ceilings:
        """What the platform takes."""
        return self.dialect.ceilings

    @property
    def grace(self) -> float:
        """Seconds to wait after a lost answer before asking for what it left."""
        return self._grace

    # ------------------------------------------------------------------------------------------------------- uploads

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        """Upload directly or by address and return the asset id."""
        return await self.call(self.dialect.create_asset(upload), self.dialect.read_created, still_ours=still_ours)

    async def find_asset(self, upload: NewUpload) -> str | None:
        """Return the id of an asset that carries exactly this name and is not older than the intent, or None."""
        dialect = self.dialect
        return await self._find(
            lambda page: dialect.find_assets(upload, page), dialect.read_assets, upload.name, upload.since
        )

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> Session:
        """Open a multipart session."""
        return await self.call(self.dialect.open_session(upload), self.dialect.read_session, still_ours=still_ours)

    async def send_chunks(self, session: Session, path: Path, progress: Callable[[int], None]) -> None:
        """Send what the server lacks; ``progress`` gets the bytes of each confirmed batch."""
        await Sender(self, session, path, progress, parallel=self._parallel).run()

    async def media(self, media_id: str) -> MediaStatus:
        """Return how far an upload is, by way of the shared board."""
        return await self._media.look(media_id)

    # ------------------------------------------------------------------------------------------------------ analyses

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        """Ask. Paid; not repeatable: see :meth:`find_analysis`."""
        return await self.call(
            self.dialect.submit_analysis(question), self.dialect.read_submitted, still_ours=still_ours,
            minutes=question.minutes, tokens=float(question.max_tokens),
        )  # fmt: skip

    async def find_analysis(self, question: Question) -> str | None:
        """Return the provider's task id of this very question, or None."""
        dialect = self.dialect
        return await self._find(
            lambda page: dialect.find_analyses(question, page), dialect.read_analyses, question.key, question.since
        )

    async def analysis(self, question: Question, task_id: str) -> AnalysisStatus:
        """Return how far an analysis is, by way of the shared board; with the answer once it is ready."""
        return await self._analyses.look(task_id)

    # --------------------------------------------------------------------------------------------------------- check

    async def check(self) -> Mapping[str, Json]:
        """Make the cheapest call that needs the key; return facts for ``doctor``."""
        facts = await self.call(self.dialect.check(), self._dated(self.dialect.read_check))
        return {**facts, "clock_ahead_seconds": round(self._ahead, 1)}

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        await self._transport.aclose()

    # ------------------------------------------------------------------------------------------------- the one call

    async def call(
        self, request: Request, read: Callable[[Response], T], *,
        still_ours: Callable[[], None] = _nobody, minutes: float = 0.0, tokens: float = 0.0,
    ) -> T:  # fmt: skip
        """Make one call with all its rules: limits, lease, short retries where that is safe, learning from a 429."""
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

    async def _once(self, request: Request, read: Callable[[Response], T]) -> T:
        response = await self._transport.send(request)
        if not 200 <= response.status < 300:
            raise self._refused(response, request)
        self._streaks.pop(request.group, None)
        if "x-ratelimit-remaining" in response.headers:
            self._limiter.learn(request.group, headers=response.headers)
        try:
            return read(response)
        except Unreadable as error:
            raise wire.lost(
                request, "the platform's answer cannot be read", code="unreadable", detail=wire.clip(str(error))
            ) from None

    def _refused(self, response: Response, request: Request) -> ReelmillError:
        streak = self._streaks.get(request.group, 0) + 1
        error = self.dialect.read_error(response, request, wait=_THROTTLE.delay(streak, self.rng))
        if isinstance(error, Throttled):
            self._streaks[request.group] = streak
        return error

    # ---------------------------------------------------------------------------------------------------- inner steps

    async def _find(
        self, ask: Callable[[int], Request], read: Callable[[Response], Page[Found]], label: str, since: float
    ) -> str | None:
        matching: list[Found] = []
        for page in range(1, _PAGES + 1):
            listed = await self.call(ask(page), self._dated(read))
            matching += [entry for entry in listed.entries if entry.label == label]
            if listed.last:
                return wire.choose(matching, label, since + self._ahead)
        raise Ambiguous("the platform's list has no end", detail=f"{_PAGES} pages")

    def _dated(self, read: Callable[[Response], T]) -> Callable[[Response], T]:
        """Note how the platform's clock differs from ours while reading: ages are compared by its clock."""

        def noting(response: Response) -> T:
            theirs = wire.http_date(response.headers.get("date", ""))
            if theirs is not None:
                self._ahead = theirs - response.at
            return read(response)

        return noting

    async def _media_many(self, ids: Sequence[str]) -> Mapping[str, MediaStatus]:
        seen = await self.call(self.dialect.media_many(ids), self.dialect.read_media_many)
        for status in seen.values():
            self._note(status.word)
        return seen

    async def _media_one(self, media_id: str) -> MediaStatus:
        try:
            status = await self.call(self.dialect.media_one(media_id), self.dialect.read_media_one)
        except Permanent as error:
            if error.trouble.code != "resource_not_exist":
                raise
            return MediaStatus("gone", message=error.trouble.detail)
        self._note(status.word)
        return status

    async def _analyses_page(self, word: str, page: int) -> Page[tuple[str, AnalysisStatus]]:
        return await self.call(self.dialect.analyses_waiting(word, page), self.dialect.read_analyses_waiting)

    async def _analysis_one(self, task_id: str) -> AnalysisStatus:
        try:
            status = await self.call(self.dialect.analysis_one(task_id), self.dialect.read_analysis_one)
        except Permanent as error:
            if error.trouble.code != "resource_not_exist":
                raise
            return AnalysisStatus("gone", message=error.trouble.detail)
        self._note(status.word)
        return status

    def _note(self, word: str) -> None:
        """Log a status word that we do not know, once: it counts as working until we learn what it means."""
        if word not in self.dialect.known_words and word not in self._strange and len(self._strange) < 100:
            self._strange.add(word)
            log.warning("unknown_status", word=wire.clip(word, 80), taken_as="working")


def open_api(
    settings: Settings,
    *,
    base_url: str,
    key: str,
    identity: str,
    limiter: Limiter,
    clock: Clock,
    rng: Random,
    local: bool,
) -> TwelveLabs:
    """Return a client for the configured platform. ``local``: it runs on this machine, so waits are short.

    Raises:
        ConfigError: ``base_url`` or ``key`` cannot be used.
    """
    provider = settings.provider
    dialect = V13()
    transport = Transport(
        _versioned(base_url or dialect.base, dialect.version_path), key,
        connections=provider.connections, timeout=provider.timeout, clock=clock, rng=rng,
    )  # fmt: skip
    spacing = min(provider.poll_spacing, 2.0) if local else provider.poll_spacing
    per_minute = max(6_000, provider.poll_requests_per_minute) if local else provider.poll_requests_per_minute
    return TwelveLabs(
        dialect, transport, limiter, clock, rng,
        identity=identity, grace=0.2 if local else 5.0, chunk_parallel=provider.chunk_parallel,
        pacer=Pacer(per_minute, spacing, clock), first_look=0.2 if local else 2.0, spacing=spacing,
        settle=0.0 if local else _SETTLE,
    )  # fmt: skip


def _versioned(base_url: str, version_path: str) -> str:
    """Append the version where the address names only a host."""
    base_url = base_url.rstrip("/")
    _, _, rest = base_url.partition("://")
    return base_url if "/" in rest else base_url + version_path

"""The platform as the rest of the program knows it: ``ports.VideoApi`` over a dialect and the HTTP border."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, ConfigError, Permanent
from pipeline.core.log import get
from pipeline.core.model import Json
from pipeline.ports.index_api import IndexApi
from pipeline.ports.inventory import Inventory
from pipeline.ports.video_api import (
    AnalysisStatus,
    Answer,
    Ceilings,
    Limiter,
    MediaStatus,
    NewUpload,
    Question,
    UploadSession,
)
from pipeline.provider.dialects import errors, json_reading
from pipeline.provider.dialects.index_protocol import IndexDialect
from pipeline.provider.dialects.inventory_protocol import InventoryDialect
from pipeline.provider.dialects.protocol import (
    Analyses,
    Dialect,
    FoundObject,
    MediaByIds,
    Page,
    Request,
    Response,
    Sessions,
)
from pipeline.provider.dialects.v1_2.indexes import IndexV12
from pipeline.provider.dialects.v1_2.inventory import InventoryV12
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.indexes import IndexV13
from pipeline.provider.dialects.v1_3.inventory import InventoryV13
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http.caller import ApiCaller
from pipeline.provider.http.transport import Transport
from pipeline.provider.index_client import IndexClient
from pipeline.provider.inventory_client import InventoryClient
from pipeline.provider.status_board import ByIds, FilteredSweep, Lister, NewestFirst, Pacer, StatusBoard
from pipeline.provider.upload import Sender

T = TypeVar("T")

log = get("provider")

_PAGES = 2_000
_SETTLE = 30.0  #: seconds in which an unknown id may still be one that was just made


class TwelveLabs:
    """The vendor's platform, or anything that speaks its API. See ``pipeline.ports.video_api.VideoApi``."""

    def __init__(
        self, dialect: Dialect, indexes: IndexDialect, inventory: InventoryDialect, calls: ApiCaller, *, identity: str,
        chunk_parallel: int, pacer: Pacer, first_look: float, spacing: float, settle: float, patience: float,
    ) -> None:  # fmt: skip
        self.dialect, self.calls, self.clock, self.call = dialect, calls, calls.clock, calls.call
        self._identity, self._parallel = identity, chunk_parallel
        self._strange: set[str] = set()
        words = dialect.analyses.waiting_words if dialect.analyses is not None else ()
        sweep = FilteredSweep(AnalysisStatus("working"), self._analyses_page, self._analysis_one, words)
        board = partial(StatusBoard, pacer=pacer, clock=self.clock, first=first_look, spacing=spacing, settle=settle)
        self._media = board(self._media_lister(), advice=dialect.advice)
        self._analyses = board(sweep)
        self._index_api = IndexClient(calls, indexes, identity)
        self._inventory = InventoryClient(calls, inventory, identity, patience)

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
        return self.calls.grace

    @property
    def index_api(self) -> IndexApi:
        """Indexes, search and classification, over the same connections and limits; closed with this."""
        return self._index_api

    @property
    def inventory(self) -> Inventory:
        """Everything that the account holds, over the same connections and limits; closed with this."""
        return self._inventory

    # ------------------------------------------------------------------------------------------------------- uploads

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        """Upload directly or by address and return the asset id (v1.2: the indexing task's)."""
        return await self.call(self.dialect.create_asset(upload), self.dialect.read_created, still_ours=still_ours)

    async def find_asset(self, upload: NewUpload) -> str | None:
        """Return the id of the upload that this intent has left behind, or None.

        Raises:
            Ambiguous: several could be it.
            NotYet: what could be it has no name yet.
        """
        dialect = self.dialect
        found = await self._list(lambda page: dialect.find_assets(upload, page), dialect.read_assets, upload.since)
        return dialect.pick_asset(found, upload, upload.since + self.calls.ahead)

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> UploadSession:
        """Open a multipart session."""
        sessions = self._sessions()
        return await self.call(sessions.open_session(upload), sessions.read_session, still_ours=still_ours)

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        """Send what the server lacks; ``progress`` gets the bytes of each confirmed batch."""
        await Sender(self.calls, self._sessions(), session, path, progress, parallel=self._parallel).run()

    async def media(self, media_id: str) -> MediaStatus:
        """Return how far an upload is, by way of the shared board."""
        return await self._media.look(media_id)

    async def delete_media(self, media_id: str) -> None:
        """Delete a final upload; absent is done."""
        try:
            await self.call(self.dialect.delete_media(media_id), json_reading.nothing)
        except Permanent as error:
            if error.trouble.code != "resource_not_exist":
                raise

    # ------------------------------------------------------------------------------------------------------ analyses

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        """Ask. Paid; not repeatable: see :meth:`find_analysis`."""
        return await self.call(
            self.dialect.submit_analysis(question), self.dialect.read_submitted, still_ours=still_ours,
            minutes=question.minutes, tokens=float(question.max_tokens),
        )  # fmt: skip

    async def find_analysis(self, question: Question) -> str | None:
        """Return the provider's task id of this very question, or None.

        Raises:
            Ambiguous: the dialect answers at once and keeps nothing that could be asked for.
        """
        analyses = self.dialect.analyses
        if analyses is None:
            raise Ambiguous(f"API {self.dialect.name} cannot be asked whether it answered this already")
        found = await self._list(
            lambda page: analyses.find_analyses(question, page), analyses.read_analyses, question.since
        )
        return json_reading.choose(found, question.key, question.since + self.calls.ahead)

    async def analysis(self, question: Question, task_id: str) -> AnalysisStatus:
        """Return how far an analysis is, by way of the shared board; with the answer once it is ready."""
        return await self._analyses.look(task_id)

    # --------------------------------------------------------------------------------------------------------- check

    async def check(self) -> Mapping[str, Json]:
        """Make the cheapest call that needs the key; return facts for ``doctor``."""
        facts = await self.call(self.dialect.check(), self.calls.dated(self.dialect.read_check))
        return {**facts, "clock_ahead_seconds": round(self.calls.ahead, 1)}

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        await self.calls.aclose()

    # ---------------------------------------------------------------------------------------------------- inner steps

    async def _list(
        self, ask: Callable[[int], Request], read: Callable[[Response], Page[FoundObject]], since: float
    ) -> list[FoundObject]:
        found: list[FoundObject] = []
        for page in range(1, _PAGES + 1):
            listed = await self.call(ask(page), self.calls.dated(read))
            found += listed.entries
            if listed.last or _before(listed.entries, since + self.calls.ahead - json_reading.SKEW):
                return found
        raise Ambiguous("the platform's list has no end", detail=f"{_PAGES} pages")

    def _sessions(self) -> Sessions:
        if self.dialect.sessions is None:
            raise errors.not_in_this_api("multipart uploads", self.dialect.name)
        return self.dialect.sessions

    def _tasks(self) -> Analyses:
        if self.dialect.analyses is None:
            raise errors.not_in_this_api("analyses as tasks", self.dialect.name)
        return self.dialect.analyses

    def _media_lister(self) -> Lister[MediaStatus]:
        blank, size = MediaStatus("working", look_again=0.0), self.dialect.page_size
        if isinstance(self.dialect.media_list, MediaByIds):
            return ByIds(blank, self._media_many, self._media_one, size)
        return NewestFirst(blank, self._media_page, self._media_one, _enough, size)

    async def _media_many(self, ids: Sequence[str]) -> Mapping[str, MediaStatus]:
        listed = self.dialect.media_list
        if not isinstance(listed, MediaByIds):
            raise errors.not_in_this_api("a list by ids", self.dialect.name)
        seen = await self.call(listed.media_many(ids), listed.read_media_many)
        for status in seen.values():
            self._note(status.word)
        return seen

    async def _media_page(self, page: int) -> Page[tuple[str, MediaStatus]]:
        listed = self.dialect.media_list
        if isinstance(listed, MediaByIds):
            raise errors.not_in_this_api("a list by age", self.dialect.name)
        seen = await self.call(listed.media_page(page), listed.read_media_page)
        for _, status in seen.entries:
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
        tasks = self._tasks()
        return await self.call(tasks.analyses_waiting(word, page), tasks.read_analyses_waiting)

    async def _analysis_one(self, task_id: str) -> AnalysisStatus:
        tasks = self._tasks()
        try:
            status = await self.call(tasks.analysis_one(task_id), tasks.read_analysis_one)
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
            log.warning("unknown_status", word=json_reading.clip(word, 80), taken_as="working")


def _enough(status: MediaStatus) -> bool:
    """Whether a list says all that is needed: what is ready may have an id for analysis that only it itself tells."""
    return status.state != "ready" or "video_id" in status.facts


def _before(entries: Sequence[FoundObject], floor: float) -> bool:
    """Whether a list that is newest first has come to what is older than ``floor``, epoch seconds."""
    times = [entry.created for entry in entries if entry.created is not None]
    newest_first = len(times) == len(entries) and times == sorted(times, reverse=True)
    return bool(times) and newest_first and times[0] < floor


#: Dialects by the value of ``[provider] api``.
_DIALECTS: Mapping[str, tuple[Callable[[], Dialect], Callable[[], IndexDialect], Callable[[], InventoryDialect]]] = {
    "v1.2": (V12, IndexV12, InventoryV12),
    "v1.3": (V13, IndexV13, InventoryV13),
}


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
    make_dialect, make_indexes, make_inventory = _DIALECTS[provider.api]
    dialect = make_dialect()
    transport = Transport(
        _versioned(base_url or dialect.base, dialect.version_path), key,
        connections=provider.connections, timeout=provider.timeout, clock=clock, rng=rng,
    )  # fmt: skip
    spacing = min(provider.poll_spacing, 2.0) if local else provider.poll_spacing
    per_minute = max(6_000, provider.poll_requests_per_minute) if local else provider.poll_requests_per_minute
    calls = ApiCaller(dialect, transport, limiter, clock, rng, 0.2 if local else 5.0)
    return TwelveLabs(
        dialect, make_indexes(), make_inventory(), calls, identity=identity, chunk_parallel=provider.chunk_parallel,
        pacer=Pacer(per_minute, spacing, clock), first_look=0.2 if local else 2.0, spacing=spacing,
        settle=0.0 if local else _SETTLE, patience=settings.limits.patience,
    )  # fmt: skip


def _versioned(base_url: str, version_path: str) -> str:
    """Append the version where the address names only a host."""
    base_url = base_url.rstrip("/")
    _, _, rest = base_url.partition("://")
    if "/" not in rest:
        return base_url + version_path
    named = "/" + rest.rsplit("/", 1)[1]
    if named != version_path and named in {f"/{name}" for name in _DIALECTS}:
        raise ConfigError(
            f'[provider] base_url ends with {named}, but api is "{version_path[1:]}"',
            remedy="make the two agree, or name only the host in base_url",
        )
    return base_url

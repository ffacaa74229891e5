"""The video platform's client: ``pipeline.ports.video_api.VideoApi`` over a dialect and the API caller."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.errors import NOT_FOR_US, Ambiguous, ConfigError, NeedsOperator, Permanent
from pipeline.core.log import get
from pipeline.core.model import Json, Trouble
from pipeline.ports.video_api import (
    AnalysisStatus,
    Answer,
    Cancelling,
    Ceilings,
    Limiter,
    MediaStatus,
    NewUpload,
    Question,
    Transcription,
    UploadSession,
)
from pipeline.provider.batch_client import BatchClient
from pipeline.provider.ceilings import platform_ceilings
from pipeline.provider.dialects import errors
from pipeline.provider.dialects.batch_protocol import BatchDialect
from pipeline.provider.dialects.calls import path_segment
from pipeline.provider.dialects.error_codes import GONE
from pipeline.provider.dialects.index_protocol import IndexDialect
from pipeline.provider.dialects.inventory_protocol import InventoryDialect
from pipeline.provider.dialects.json_reading import clip
from pipeline.provider.dialects.protocol import (
    AnalysisTasks,
    Call,
    Dialect,
    MediaByIds,
    MultipartDialect,
    Page,
)
from pipeline.provider.dialects.recovery import is_young
from pipeline.provider.dialects.v1_2.indexes import IndexV12
from pipeline.provider.dialects.v1_2.inventory import InventoryV12
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.batches import BatchesV13
from pipeline.provider.dialects.v1_3.indexes import IndexV13
from pipeline.provider.dialects.v1_3.inventory import InventoryV13
from pipeline.provider.dialects.v1_3.knowledge import KnowledgeV13
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http.caller import ApiCaller, is_gone
from pipeline.provider.http.transport import Transport
from pipeline.provider.index_client import IndexClient
from pipeline.provider.inventory_client import InventoryClient
from pipeline.provider.knowledge_client import KnowledgeClient
from pipeline.provider.lost_calls import AnalysisSearch, list_back, platform_time
from pipeline.provider.status_board import ByIds, FilteredSweep, Lister, NewestFirst, Pacer, Polling, StatusBoard
from pipeline.provider.upload import ChunkSender

S = TypeVar("S", MediaStatus, AnalysisStatus)
log = get("provider")
_SETTLE = 30.0  #: seconds in which an unknown id may still be one that was just made
#: Codes of a platform that has no call to cancel an analysis; of one that does not let this account use it, too.
_NOT_OFFERED = frozenset({GONE.code, "not_the_api", "not_in_this_api"})
_NO_CANCEL = _NOT_OFFERED | NOT_FOR_US


class ApiVersion(NamedTuple):
    """The dialect of one API version, in its parts."""

    media: Dialect
    indexes: IndexDialect
    inventory: InventoryDialect
    batches: BatchDialect | None = None
    knowledge: KnowledgeV13 | None = None


#: By the value of ``[provider] api``. Dialects are stateless.
_VERSIONS: Mapping[str, ApiVersion] = {
    "v1.2": ApiVersion(V12(), IndexV12(), InventoryV12()),
    "v1.3": ApiVersion(V13(), IndexV13(), InventoryV13(), BatchesV13(), KnowledgeV13()),
}


class TwelveLabs:
    """The vendor's platform, or anything that speaks its API.

    ``index_api``, ``inventory``, ``batches`` and ``knowledge`` share its connections and limits, and are closed with it.
    """

    def __init__(
        self, version: ApiVersion, caller: ApiCaller, polling: Polling, *,
        identity: str, ceilings: Ceilings, chunk_parallel: int, patience: float,
    ) -> None:  # fmt: skip
        self.dialect, self.caller, self.clock = version.media, caller, caller.clock
        self.index_api = IndexClient(caller, version.indexes, polling, identity)
        self.inventory = InventoryClient(caller, version.inventory, identity, patience)
        self.batches = BatchClient(caller, version.batches) if version.batches is not None else None
        known = version.knowledge
        self.knowledge = KnowledgeClient(caller, known, patience) if known is not None else None
        self.ceilings = ceilings
        self._identity, self._parallel = identity, chunk_parallel
        self._unknown_words: set[str] = set()
        self._no_cancel: Trouble | None = None  #: why analyses cannot be cancelled here
        self._media = StatusBoard(self._media_lister(), polling, version.media.advice)
        analyses = version.media.analyses
        self._search = AnalysisSearch(caller, analyses) if analyses is not None else None
        words = analyses.unfinished_words if analyses is not None else ()
        sweep = FilteredSweep(AnalysisStatus("working"), self._analyses_page, self._analysis, words)
        self._analyses = StatusBoard(sweep, polling)

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def features(self) -> frozenset[str]:
        return frozenset(self.dialect.features)

    @property
    def grace(self) -> float:
        return self.caller.grace

    # ------------------------------------------------------------------------------------------------------- uploads

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        return await self.caller.call(self.dialect.create_asset(upload), still_ours=still_ours)

    async def find_asset(self, upload: NewUpload) -> str | None:
        dialect = self.dialect
        found = await list_back(self.caller, lambda page: dialect.find_assets(upload, page), upload.since)
        since = platform_time(self.caller, upload.since)  # the answers have told the platform's clock
        if upload.belonging is not None:
            taken = await upload.belonging({each.id: each.label for each in found if is_young(each, since)})
            upload = replace(upload, taken=taken)
        return dialect.pick_asset(found, upload, since)

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> UploadSession:
        return await self.caller.call(self._multipart().open_session(upload), still_ours=still_ours)

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        sender = ChunkSender(self.caller, self._multipart(), session, path, progress, parallel=self._parallel)
        await sender.run()

    async def media(self, media_id: str) -> MediaStatus:
        return await self._media.look(path_segment(media_id))

    async def delete_media(self, media_id: str) -> None:
        """Delete a final upload; absent is done."""
        await self.caller.find(self.dialect.delete_media(media_id))

    # ------------------------------------------------------------------------------------------------------ analyses

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        answer = await self.caller.call(
            self.dialect.submit_analysis(question), still_ours=still_ours,
            minutes=question.minutes, tokens=float(question.max_tokens),
        )  # fmt: skip
        return answer if isinstance(answer, str) else self._without_key(answer)

    async def find_analysis(self, question: Question) -> str | None:
        if self._search is None:
            raise Ambiguous(f"API {self.dialect.name} cannot be asked whether it answered this already")
        return await self._search.find(question)

    async def analysis(self, question: Question, task_id: str) -> AnalysisStatus:
        return await self._analyses.look(path_segment(task_id))

    async def cancel_analysis(self, question: Question, task_id: str) -> Cancelling:
        refused = self._no_cancel
        if refused is None:
            try:
                await self.caller.call(self._tasks().cancel_analysis(task_id))
            except (Permanent, NeedsOperator) as error:  # a key or a plan at fault shows in the next call as well
                refused = error.trouble
        status = await self._analysis(task_id)  # whatever it said to that: how the analysis stands is what counts
        if status.state != "working" or refused is None:
            return Cancelling(status)
        self._note_no_cancel(refused)
        return Cancelling(status, refused)

    def _note_no_cancel(self, refused: Trouble) -> None:
        """Remember that the platform does not offer the call, or not to us."""
        if self._no_cancel is not None or refused.code not in _NO_CANCEL:
            return
        self._no_cancel = refused
        if refused.code in _NOT_OFFERED:
            log.info("analysis.cancel_not_offered", why=refused.message, detail=refused.detail)
        else:
            log.warning("analysis.cancel_refused", why=refused.message, remedy=refused.remedy, detail=refused.detail)

    async def transcription(self, media_id: str) -> Transcription:
        found = await self.caller.find(self._tasks().transcription(media_id))
        return found if found is not None else Transcription("none", "the platform has none")

    # --------------------------------------------------------------------------------------------------------- check

    async def check(self) -> Mapping[str, Json]:
        facts = await self.caller.call(self.dialect.check())
        return {**facts, "clock_ahead_seconds": round(self.caller.ahead, 1)}

    async def aclose(self) -> None:
        await self.caller.aclose()

    # ---------------------------------------------------------------------------------------------------- inner steps

    def _multipart(self) -> MultipartDialect:
        if self.dialect.multipart is None:
            raise errors.not_in_this_api("multipart uploads", self.dialect.name)
        return self.dialect.multipart

    def _tasks(self) -> AnalysisTasks:
        if self.dialect.analyses is None:
            raise errors.not_in_this_api("analyses as tasks", self.dialect.name)
        return self.dialect.analyses

    def _media_lister(self) -> Lister[MediaStatus]:
        blank, size, listed = MediaStatus("working", look_again=0.0), self.dialect.page_size, self.dialect.media_list
        if isinstance(listed, MediaByIds):
            by_ids = listed.media_by_ids

            async def many(ids: Sequence[str]) -> Mapping[str, MediaStatus]:
                seen = await self.caller.call(by_ids(ids))
                return {key: self._noted(status) for key, status in seen.items()}

            return ByIds(blank, many, self._media_alone, size)
        by_age = listed.media_page

        async def page(number: int) -> Page[tuple[str, MediaStatus]]:
            seen = await self.caller.call(by_age(number))
            return Page([(key, self._noted(status)) for key, status in seen.entries], seen.last)

        return NewestFirst(blank, page, self._media_alone, is_complete, size)

    async def _media_alone(self, media_id: str) -> MediaStatus:
        return await self._alone(self.dialect.media(media_id), MediaStatus)

    async def _analyses_page(self, word: str, page: int) -> Page[tuple[str, AnalysisStatus]]:
        return await self.caller.call(self._tasks().unfinished_analyses(word, page))

    async def _analysis(self, task_id: str) -> AnalysisStatus:
        return await self._alone(self._tasks().analysis(task_id), AnalysisStatus)

    async def _alone(self, call: Call[S], kind: type[S]) -> S:
        try:
            return self._noted(await self.caller.call(call))
        except Permanent as error:
            if not is_gone(error):
                raise
            return kind("gone", message=error.trouble.detail)

    def _without_key(self, answer: Answer) -> Answer:
        """Hide a key that only the whole answer spells."""
        hide = self.caller.without_key
        return replace(answer, text=hide(answer.text), raw=json.loads(hide(json.dumps(answer.raw, ensure_ascii=False))))

    def _noted(self, status: S) -> S:
        """Log an unknown status word once; it counts as working."""
        word, unknown = status.word, self._unknown_words
        if word not in self.dialect.known_words and word not in unknown and len(unknown) < 100:
            unknown.add(word)
            log.warning("unknown_status", word=clip(word, 80), taken_as="working")
        return status


def is_complete(status: MediaStatus) -> bool:
    """Whether a list says all: only a ready video tells its id."""
    return status.state != "ready" or "video_id" in status.facts


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
    """Return a client for the configured platform.

    ``local``: it runs on this machine, so waits are short.

    Raises:
        ConfigError: ``base_url`` or ``key`` cannot be used.
    """
    provider, version = settings.provider, _VERSIONS[settings.provider.api]
    own = settings.platform.model
    # A model writes at its own pace, and may be asked twice: an answer that is given up would be asked for once more.
    timeout = max(provider.timeout, 2 * own.timeout + 60) if local and own.base_url else provider.timeout
    transport = Transport(
        _versioned(base_url or version.media.base, version.media.version_path), key,
        connections=provider.connections, timeout=timeout, clock=clock, rng=rng,
    )  # fmt: skip
    spacing = min(provider.poll_spacing, 2.0) if local else provider.poll_spacing
    per_minute = max(6_000, provider.poll_requests_per_minute) if local else provider.poll_requests_per_minute
    polling = Polling(
        Pacer(per_minute, spacing, clock), clock, first=0.2 if local else 2.0, spacing=spacing,
        settle=0.0 if local else _SETTLE,
    )  # fmt: skip
    caller = ApiCaller(version.media, transport, limiter, clock, rng, 0.2 if local else 5.0)
    return TwelveLabs(
        version, caller, polling, identity=identity,
        ceilings=platform_ceilings(settings.provider_kind, provider.api),
        chunk_parallel=provider.chunk_parallel, patience=settings.limits.patience,
    )  # fmt: skip


def _versioned(base_url: str, version_path: str) -> str:
    """Append the version where the address names only a host."""
    base_url = base_url.rstrip("/")
    _, _, rest = base_url.partition("://")
    if "/" not in rest:
        return base_url + version_path
    named = "/" + rest.rsplit("/", 1)[1]
    if named != version_path and named in {f"/{name}" for name in _VERSIONS}:
        raise ConfigError(
            f'[provider] base_url ends with {named}, but api is "{version_path[1:]}"',
            remedy="make the two agree, or name only the host in base_url",
        )
    return base_url

"""The embedded local platform: API v1.3 and v1.2 on loopback, durable, with real analysis."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

import anyio

from pipeline.core.clock import Clock
from pipeline.core.errors import ConfigError
from pipeline.local.analysis.plugins.meaning.models import find_folder
from pipeline.local.analysis.plugins.model.chat import ChatClient
from pipeline.local.analysis.plugins.model.endpoint import ModelEndpoint
from pipeline.local.analysis.plugins.model.seer import ModelSeer
from pipeline.local.analysis.plugins.model.writer import ModelWriter
from pipeline.local.analysis.process_pool import create_pool
from pipeline.local.analysis.protocol import Analyzer
from pipeline.local.api.application import build_application
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.faults import Faults
from pipeline.local.api.http.gate import Counters, Gate
from pipeline.local.api.http.responses import VERSION
from pipeline.local.jobs.meaning import MeaningIndex
from pipeline.local.jobs.media_library import MediaLibrary
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.jobs.worker import BackgroundWork
from pipeline.local.jobs.youtube_fetch import Fetch
from pipeline.local.limits import PlatformLimits
from pipeline.local.server import EmbeddedServer
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.ledger import Ledger


class LocalPlatform:
    """``async with LocalPlatform(folder, token=..., clock=...) as platform:`` serves at ``platform.base_url``.

    Clients append ``/v1.3`` or ``/v1.2`` and send ``token`` as ``x-api-key``. Everything accepted is in ``folder``
    before it is answered; a platform opened there later goes on with it.

    Args:
        folder: state and media; made if absent; used by one platform at a time.
        token: the API key that clients must send; at least one character.
        clock: time for expiry, faults and records.
        host: address to listen on; anything but loopback is reachable from outside, with the token as only guard.
        port: 0 takes a free one.
        faults: what goes wrong from the start; ``POST /_platform/faults`` changes it.
        workers: analyses at once, each in its own process.
        analyzer: stands in for the real analysis (in threads); for tests.
        url_policy: whether media may be fetched by address; not at all by default.
        limits: sizes, durations, expiries.
        media: folder of files named by YouTube id, which stand for YouTube's on v1.2.
        fetch: gets what is not in that folder; without it such an address is refused.
        model: writes the answers from the evidence; without one they are quoted and measured.
        meaning: folder of a sentence model, ``auto`` for the installed one, ``none``: searches find words only.

    Raises on entering:
        Busy: another process serves the folder.
        ConfigError: the address cannot be bound, or the token is empty.
        StoreError: the state cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        token: str,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        workers: int = 1,
        analyzer: Analyzer | None = None,
        url_policy: UrlPolicy | None = None,
        limits: PlatformLimits | None = None,
        media: Path | None = None,
        fetch: Fetch | None = None,
        model: ModelEndpoint | None = None,
        meaning: str = "none",
    ) -> None:
        if not token:
            raise ConfigError("the local platform needs a token", remedy="give it any text of your own")
        self.base_url = ""
        self._state = PlatformDatabase(folder)
        self.ledger = Ledger(self._state.database)
        self._pool = create_pool(analyzer, workers, folder / "workers.log", meaning)
        limits, policy = limits or PlatformLimits(), url_policy or UrlPolicy()
        library = MediaLibrary(media) if media is not None else None
        self._chat = ChatClient(model, clock) if model is not None else None
        writer = seer = None
        if model is not None and self._chat is not None:
            writer = ModelWriter(model, self._chat, self._pool)
            seer = ModelSeer(model, self._chat, self._pool) if model.images else None
        by_meaning = MeaningIndex(self._state, self._pool, clock) if find_folder(meaning) is not None else None
        self._work = BackgroundWork(
            self._state, self._pool, clock, limits, policy, workers, library, fetch, writer, seer, by_meaning
        )
        self._gate = Gate(token=token, faults=faults or Faults(), clock=clock, host=host)
        self._context = ApiContext(
            self._state,
            self._work,
            clock,
            limits,
            policy,
            self._gate,
            library,
            fetches=fetch is not None,
            sees=seer is not None,
            meaning=by_meaning,
        )
        self._gate.app = build_application(self._context)
        headers = [("X-Api-Version", VERSION)]
        self._server = EmbeddedServer(self._gate, host, port, headers=headers, close=self._gate.close)
        self._stop = anyio.Event()
        self._ready = anyio.Event()
        self._main: asyncio.Task[None] | None = None

    @property
    def counters(self) -> Counters:
        """Requests and answers since the start."""
        return self._gate.counters

    async def __aenter__(self) -> LocalPlatform:
        await self._state.open()
        try:
            self.base_url = self._context.base_url = self._server.bind()
        except BaseException:
            await self._state.aclose()
            raise
        # A task of our own rather than a task group held open: enter and exit may come from different tasks.
        self._main = asyncio.create_task(self._run(), name="local-platform")
        try:
            await self._ready.wait()
        except BaseException:
            await self._close()
            raise
        if self._main.done():  # it could not start: say why
            await self._main
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        assert self._main is not None
        self._stop.set()
        with anyio.CancelScope(shield=True):
            await self._main

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                await group.start(self._work.run)
                await group.start(self._server.run)
                self._ready.set()
                await self._stop.wait()
                await self._server.stop()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                if self._chat is not None:
                    await self._chat.aclose()
                await self._pool.aclose()
                await self._state.aclose()
            self._server.close()
            self._ready.set()

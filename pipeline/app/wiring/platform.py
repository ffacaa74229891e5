"""The platform that a command talks to, opened and closed in order."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from random import Random
from typing import TYPE_CHECKING, Protocol

from pipeline.app.wiring.run_plan import RunPlan
from pipeline.app.wiring.state_folder import platform_folder
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.ports.batch_api import BatchApi
from pipeline.ports.index_api import IndexApi
from pipeline.ports.inventory import Inventory
from pipeline.ports.knowledge_api import KnowledgeApi
from pipeline.ports.store import Journal
from pipeline.ports.video_api import VideoApi

if TYPE_CHECKING:
    from pipeline.local.analysis.plugins.model.endpoint import ModelEndpoint
    from pipeline.source.youtube.client import YouTubeClient


class ProviderClient(VideoApi, Protocol):
    """A platform as a run needs it: videos, indexes and the inventory."""

    @property
    def index_api(self) -> IndexApi:
        """Indexes, search and classification over the same connections."""
        ...

    @property
    def inventory(self) -> Inventory:
        """Everything that the account holds, over the same connections."""
        ...

    @property
    def batches(self) -> BatchApi | None:
        """Batches over the same connections; None where the API has none."""
        ...

    @property
    def knowledge(self) -> KnowledgeApi | None:
        """Questions across videos over the same connections; None where the API has none."""
        ...


@asynccontextmanager
async def open_platform(
    plan: RunPlan, journal: Journal, clock: Clock, rng: Random, *, youtube: YouTubeClient | None = None
) -> AsyncIterator[ProviderClient]:
    """Open the platform's client; the local platform is started behind it if chosen.

    ``youtube``: on v1.2 the embedded platform gets YouTube addresses by itself, as the vendor's did, and asks as the run
    does. A look (search, doctor) brings none and leaves that to the runs.
    """
    settings, chosen = plan.settings, plan.platform
    key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
    if chosen.local and not chosen.base_url:
        from pipeline.local.limits import OWN_LIMITS
        from pipeline.local.platform import LocalPlatform

        token = secrets.token_urlsafe(24)
        folder = platform_folder(settings)
        own = settings.platform
        async with AsyncExitStack() as stack:
            fetch = None
            if youtube is not None and settings.provider.api == "v1.2":
                from pipeline.app.wiring.embedded_fetch import fetcher

                fetch = fetcher(settings, youtube, clock, rng)
            server = LocalPlatform(
                folder, token=token, clock=clock, workers=own.workers, media=own.media, fetch=fetch, limits=OWN_LIMITS,
                model=model_endpoint(settings), meaning=own.meaning,
            )  # fmt: skip
            await stack.enter_async_context(server)
            client = _client(plan, server.base_url, token, journal, clock, rng)
            yield await stack.enter_async_context(client)
    else:
        async with _client(plan, chosen.base_url, key, journal, clock, rng) as api:
            yield api


def model_endpoint(settings: Settings) -> ModelEndpoint | None:
    """Return the endpoint of the user's own model, if there is one."""
    from pipeline.local.analysis.plugins.model.endpoint import ModelEndpoint

    said, key = settings.platform.model, settings.model_key
    if not said.base_url:
        return None
    return ModelEndpoint(
        said.base_url, said.name, key.get_secret_value() if key is not None else "", said.images, said.timeout,
        said.context_tokens,
    )  # fmt: skip


@asynccontextmanager
async def _client(
    plan: RunPlan, base_url: str, key: str, journal: Journal, clock: Clock, rng: Random
) -> AsyncIterator[ProviderClient]:
    from pipeline.provider.client import open_api
    from pipeline.provider.http.cluster_limits import ClusterLimiter
    from pipeline.provider.http.rate_limits import SharedLimiter, Unlimited

    sort = ClusterLimiter if plan.settings.store.url else SharedLimiter
    shared = None if plan.platform.local else sort(plan.settings.limits, journal, clock, rng)
    if shared is not None:
        await shared.start()
    api = open_api(
        plan.settings,
        base_url=base_url,
        key=key,
        identity=plan.platform.identity,
        limiter=shared or Unlimited(),
        clock=clock,
        rng=rng,
        local=plan.platform.local,
    )
    try:
        async with shared.beside() if shared is not None else nullcontext():
            yield api
    finally:
        await api.aclose()
        if shared is not None:
            await shared.aclose()

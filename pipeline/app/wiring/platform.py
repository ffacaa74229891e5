"""Which platform a run talks to, opened and closed in order."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.errors import ConfigError
from pipeline.ports.index_api import IndexApi
from pipeline.ports.inventory import Inventory
from pipeline.ports.store import Journal
from pipeline.ports.video_api import VideoApi

if TYPE_CHECKING:
    from pipeline.source.youtube.source import YouTubeClient
from pipeline.app.wiring.state_folder import platform_folder

_VENDOR = "https://api.twelvelabs.io"


class ProviderClient(VideoApi, Protocol):
    """A platform as a run needs it: videos in our verbs, and the index-wide calls beside them."""

    @property
    def index_api(self) -> IndexApi:
        """Indexes, search and classification over the same connections."""
        ...

    @property
    def inventory(self) -> Inventory:
        """Everything that the account holds, over the same connections."""
        ...


@dataclass(frozen=True, slots=True)
class PlatformChoice:
    """The platform as configured, before anything is opened."""

    identity: str
    local: bool  #: ours: free of charge, no limits, captions may be handed over
    base_url: str  #: empty: start the embedded one


def choose_platform(settings: Settings) -> PlatformChoice:
    """Decide from the settings.

    Raises:
        ConfigError: the vendor's platform is wanted and there is no key.
    """
    local = settings.provider_kind == "local"
    if not local and settings.api_key is None:
        raise ConfigError(
            'provider.kind = "twelvelabs" needs an API key',
            remedy='export TWELVELABS_API_KEY, or set [provider] kind = "local" to try without an account',
        )
    base = settings.provider.base_url or ("" if local else _VENDOR)
    return PlatformChoice(f"{settings.provider_kind}/{settings.provider.api}", local, base)


@asynccontextmanager
async def open_platform(
    settings: Settings, journal: Journal, clock: Clock, rng: Random, *, youtube: YouTubeClient | None = None
) -> AsyncIterator[ProviderClient]:
    """Open the platform's client, with the embedded platform behind it where that is the choice.

    ``youtube``: on v1.2 the embedded platform gets YouTube addresses by itself, as the vendor's did, and asks as the run
    does. A look (search, doctor) brings none and leaves that to the runs.
    """
    chosen = choose_platform(settings)
    key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
    if chosen.local and not chosen.base_url:
        from pipeline.local.platform import LocalPlatform

        token = secrets.token_urlsafe(24)
        folder = platform_folder(settings)
        own = settings.platform
        async with AsyncExitStack() as stack:
            fetch = None
            if youtube is not None and settings.provider.api == "v1.2":
                from pipeline.app.wiring.embedded_fetch import fetcher

                fetch = fetcher(settings, youtube, clock, rng)
            server = LocalPlatform(folder, token=token, clock=clock, workers=own.workers, media=own.media, fetch=fetch)
            await stack.enter_async_context(server)
            client = _client(settings, chosen, server.base_url, token, journal, clock, rng)
            yield await stack.enter_async_context(client)
    else:
        async with _client(settings, chosen, chosen.base_url, key, journal, clock, rng) as api:
            yield api


@asynccontextmanager
async def _client(
    settings: Settings, chosen: PlatformChoice, base_url: str, key: str, journal: Journal, clock: Clock, rng: Random
) -> AsyncIterator[ProviderClient]:
    from pipeline.provider.client import open_api
    from pipeline.provider.http.rate_limits import SharedLimiter, Unlimited

    shared = None if chosen.local else SharedLimiter(settings.limits, journal, clock, rng)
    if shared is not None:
        await shared.start()
    api = open_api(
        settings,
        base_url=base_url,
        key=key,
        identity=chosen.identity,
        limiter=shared or Unlimited(),
        clock=clock,
        rng=rng,
        local=chosen.local,
    )
    try:
        yield api
    finally:
        await api.aclose()
        if shared is not None:
            await shared.aclose()

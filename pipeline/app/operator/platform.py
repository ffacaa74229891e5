"""``platform``: the local platform, served to any client."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from random import Random

import anyio

from pipeline.app.wiring.journals import NullJournal
from pipeline.app.wiring.platform import model_endpoint
from pipeline.app.wiring.state_folder import platform_folder
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError


async def platform(
    settings: Settings,
    *,
    host: str | None,
    port: int | None,
    faults: Path | None,
    media: Path | None = None,
    ready: Callable[[str, str], None],
) -> None:
    """Serve the local platform until cancelled.

    ``ready(base_url, token)`` is called once it answers. The token comes from ``TWELVELABS_API_KEY`` if that is set, and
    then ``ready`` is told none: it may open an account. Else it is made once and kept in the state folder.

    Raises:
        ConfigError: the fault script cannot be read, or the port is taken.
    """
    from pipeline.app.wiring.downloads import open_youtube_client
    from pipeline.app.wiring.embedded_fetch import fetcher
    from pipeline.local.api.http.faults import read_faults
    from pipeline.local.limits import OWN_LIMITS
    from pipeline.local.platform import LocalPlatform

    folder = platform_folder(settings)
    token = _token(settings, folder)
    script = read_faults(faults) if faults is not None else None
    clock = SystemClock()
    async with open_youtube_client(settings, NullJournal(), clock, Random()) as youtube:
        served = LocalPlatform(
            folder,
            token=token,
            host=host or settings.platform.host,
            port=settings.platform.port if port is None else port,
            faults=script,
            clock=clock,
            workers=settings.platform.workers,
            media=media or settings.platform.media,
            fetch=fetcher(settings, youtube, clock, Random()),
            limits=OWN_LIMITS,
            model=model_endpoint(settings),
            meaning=settings.platform.meaning,
        )
        async with served:
            ready(served.base_url, token if settings.api_key is None else "")
            await anyio.sleep_forever()


def _token(settings: Settings, folder: Path) -> str:
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    path = folder / "token"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o600)  # a copied or restored folder may have opened it to others
            if kept := path.read_text(encoding="utf-8").strip():
                return kept
        token = secrets.token_urlsafe(24)
        # A start that died before it wrote has left an empty file.
        with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(token + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: the platform's token cannot be kept ({error.strerror})") from None
    return token

"""``hosts``: who works on the shared database; one is forgotten."""

from __future__ import annotations

from pipeline.app.operator.hosts import read_hosts
from pipeline.app.wiring.database import open_shared
from pipeline.config.settings import Settings
from pipeline.core.clock import iso
from pipeline.core.errors import Busy, ConfigError
from pipeline.engine.hosts import find_hosts, forget_host
from pipeline.ingest.tasks.absent_hosts import release_items, release_videos
from pipeline.views import ForgottenHost, HostView


async def hosts(settings: Settings) -> list[HostView]:
    """Return every host that works, or worked, on the database.

    Raises:
        ConfigError: the database is a file, which one host has for itself.
    """
    async with open_shared(settings) as database:
        return await read_hosts(database, await database.time())


async def forget_hosts_line(settings: Settings, name: str) -> ForgottenHost:
    """Take a host out that will not come back.

    Raises:
        Busy: it is at work.
        ConfigError: there is none of that name.
    """
    async with open_shared(settings, "beside") as database:
        known = await find_hosts(database)
        if name not in known:
            raise ConfigError(
                f"hosts forget: there is no host {name}",
                remedy=f"known are: {', '.join(sorted(known)) or 'none'}",
            )
        now = await database.time()
        if known[name].present(now):
            raise Busy(
                f"The host {name} is at work; its last sign came at {iso(known[name].sign)}.",
                remedy="stop it first, and wait half a minute if it was killed",
            )
        await forget_host(database, name)  # what it still holds comes back to the queue later, and is released then
        failed = await release_items(database, name, now)
        return ForgottenHost(name, failed, await release_videos(database, name, now, all_of_them=True))

"""Who works on a shared database, for people."""

from __future__ import annotations

from collections import Counter

from pipeline.app.wiring.database import open_shared
from pipeline.config.settings import Settings
from pipeline.core.model import Lane
from pipeline.engine.hosts import Host, find_hosts
from pipeline.ports.store import Database
from pipeline.views import HostView


async def list_hosts(settings: Settings) -> list[HostView]:
    """Return every host that is not forgotten, by name; none of a file."""
    if not settings.store.url:
        return []
    async with open_shared(settings) as database:
        return await read_hosts(database, await database.time())


async def read_hosts(database: Database, now: float) -> list[HostView]:
    """Return the same of an open database; ``now``: the server's time."""
    owners = [task.lease.owner for task in await database.expired(None) if task.lease is not None]
    held = Counter(owner.partition(":")[0] for owner in owners)
    hosts = (await find_hosts(database)).values()
    return [_view(host, held[host.name], now) for host in sorted(hosts, key=lambda host: host.name)]


def _view(host: Host, held: int, now: float) -> HostView:
    return HostView(
        name=host.name,
        state="at work" if host.present(now) else "left" if host.left else "away",
        role=host.role,
        since=host.since,
        sign=host.sign,
        release=host.release,
        lanes=[] if len(host.lanes) == len(Lane) else host.lanes,
        holds=held,
        trouble=host.trouble,
    )

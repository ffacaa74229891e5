"""Who works on a shared database, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline import __version__
from pipeline.app.wiring.database import open_shared
from pipeline.config.settings import Settings
from pipeline.core.clock import iso
from pipeline.core.model import Lane, Task, Trouble
from pipeline.engine.hosts import Host, find_hosts
from pipeline.ingest.waiting import host_waited_for, is_known
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
    hosts, waiting = await find_hosts(database), await database.places()
    numbers = {name: waiting[name].tasks if name in waiting else 0 for name in hosts}
    return [_view(hosts[name], held[name], numbers[name], now) for name in sorted(hosts)]


def _view(host: Host, held: int, waits: int, now: float) -> HostView:
    return HostView(
        name=host.name,
        state="at work" if host.present(now) else "left" if host.left else "away",
        role=host.role,
        since=host.since,
        sign=host.sign,
        release=host.release,
        lanes=[] if len(host.lanes) == len(Lane) else host.lanes,
        holds=held,
        waits=waits,
        trouble=host.trouble,
    )


def explain_absence(task: Task, hosts: Sequence[HostView]) -> Trouble | None:
    """Return why no host at work takes a task on; None: one does."""
    if not hosts:
        return None
    at_work = [host for host in hosts if host.state == "at work"]
    if not is_known(task) and not any(host.release != __version__ for host in at_work):
        return Trouble(
            "newer_release",
            f"Only another release of Reelmill than {__version__} knows what is to be done.",
            "start `reelmill work` or `run` on a host that has it, or update this one",
        )
    name = host_waited_for(task)
    if not name or any(host.name == name for host in at_work):
        return None
    host = next((each for each in hosts if each.name == name), None)
    last = f"its last sign came at {iso(host.sign)}" if host is not None else "nobody knows it any more"
    return Trouble(
        "host_away",
        f"The file is on the host {name}, which is not at work; {last}.",
        f"start `reelmill work` or `run` there; if it will not come back: reelmill hosts forget {name}",
    )

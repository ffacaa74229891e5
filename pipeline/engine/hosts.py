"""Presence: which hosts work on a shared database, and their last signs.

A host is a state folder by its name. Its line is a note of the journal, written anew every ten seconds. Two processes never
go by one name: files, leases and downloads of a host would be taken for those of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, TypeAlias

from pipeline.core import log
from pipeline.core.clock import Clock, iso
from pipeline.core.errors import Busy, ConfigError, ReelmillError
from pipeline.core.model import Json, Lane, Trouble
from pipeline.engine.poll_turn import PollTurn
from pipeline.ports.store import Database, Journal

_log = log.get("engine")
BEAT = 10.0  #: seconds between two signs
SILENT = 3.5 * BEAT  #: seconds without a sign after which a host counts as not there
_LOOK = 2.0  #: seconds between looks whether a name is in use
_NOTE = "host:"

Role: TypeAlias = Literal["run", "work", "submit"]


@dataclass(frozen=True, slots=True)
class Duty:
    """What a process does on the queue."""

    role: Role = "run"
    lanes: frozenset[Lane] = frozenset(Lane)  #: that it serves
    stays: bool = False  #: it never ends by itself


RUN = Duty()


@dataclass(frozen=True, slots=True)
class Host:
    """One host, as all others see it. Times in epoch seconds of the server."""

    name: str
    id: str  #: of its state folder
    seat: str  #: machine and folder, which one process at a time can hold
    boot: str  #: of its process
    release: str
    role: Role
    lanes: Sequence[str] = ()  #: that it serves
    since: float = 0.0
    sign: float = 0.0  #: the last one
    left: bool = False  #: it ended by itself
    trouble: Trouble | None = None  #: why it takes nothing on
    rules: Mapping[str, str] = field(default_factory=dict)  #: what decides its results: setting -> fingerprint

    def present(self, now: float) -> bool:
        """Tell whether it is at work, as far as anybody can know."""
        return not self.left and now - self.sign < SILENT

    def gone(self, now: float, after: float) -> bool:
        """Tell whether it has been away for so many seconds."""
        return now - self.sign >= after

    def as_json(self) -> Json:
        """Return it as a JSON object."""
        return {**asdict(self), "lanes": [*self.lanes], "trouble": self.trouble and self.trouble.as_json()}

    @classmethod
    def from_json(cls, note: Mapping[str, Json]) -> Host:
        """Read back what :meth:`as_json` wrote, by this release or another."""
        known = {name: value for name, value in note.items() if name in cls.__slots__}
        trouble = Trouble.from_json(note["trouble"]) if note.get("trouble") else None
        return cls(**{**known, "trouble": trouble})


class Neighbours:
    """The other hosts, as far as this one must know of them."""

    def __init__(self, database: Database, clock: Clock, name: str, gone_after: float) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._gone_after = gone_after
        self.polls = PollTurn(database, clock, name)

    async def at_work(self, horizon: float) -> bool:
        """Tell whether others may still leave work to us.

        They hold a task, or have one to do within so many seconds, or poll for us. A host that has ended, or gives no sign,
        does not.
        """
        if await self._database.expired(None):
            return True
        now, polled = self._clock.now(), None if self.polls.ours else await self._database.next_due([Lane.POLL])
        if polled is not None and polled - now <= horizon:
            return True
        hosts = await find_hosts(self._database)
        for name, waiting in (await self._database.places()).items():
            there = name in hosts and hosts[name].present(now)
            if there and name != self._name and waiting.due - now <= horizon:
                return True
        return False

    async def missing(self) -> dict[str, int]:
        """Return how many tasks wait for each host that is not at work."""
        hosts, now = await find_hosts(self._database), self._clock.now()
        waiting = (await self._database.places()).items()
        away = [name for name, _ in waiting if name not in hosts or not hosts[name].present(now)]
        return {name: here.tasks for name, here in waiting if name in away and name != self._name}

    async def absent(self) -> dict[str, bool]:
        """Return who is waited for in vain, by name: whether each is forgotten."""
        hosts, now = await find_hosts(self._database), self._clock.now()
        waited_for = [name for name in await self._database.places() if name != self._name]
        gone = [name for name in waited_for if name not in hosts or hosts[name].gone(now, self._gone_after)]
        return {name: name not in hosts for name in gone}


async def find_hosts(journal: Journal) -> dict[str, Host]:
    """Return the hosts that were ever here and are not forgotten, by name."""
    notes = await journal.load_all(_NOTE)
    return {name.removeprefix(_NOTE): Host.from_json(note) for name, note in notes.items()}


async def forget_host(journal: Journal, name: str) -> None:
    """Take a host's line out."""
    await journal.drop(f"{_NOTE}{name}")


class Presence:
    """This host's line, and its right to the name."""

    def __init__(self, journal: Journal, clock: Clock, host: Host) -> None:
        self._journal = journal
        self._clock = clock
        self._host = replace(host, since=clock.now())
        self._trouble: Callable[[], Trouble | None] = lambda: None
        self._taken: Callable[[Trouble], None] = lambda _: None

    @property
    def name(self) -> str:
        """The host's name."""
        return self._host.name

    def watch(self, trouble: Callable[[], Trouble | None], taken: Callable[[Trouble], None]) -> None:
        """Tell others this trouble with each sign.

        ``taken`` is called if another process goes by this name: then this one must end.
        """
        self._trouble, self._taken = trouble, taken

    async def join(self) -> None:
        """Take the name; watch first whether another process still uses it.

        Raises:
            Busy: this very host is at work elsewhere, from a copy of its state folder.
            ConfigError: another host has the name; or this state folder has another one, with work that waits for it.
        """
        await self._refuse_second_name()
        first = other = await self._take()
        if other is not None:
            _log.warning("host.name_in_use", host=self.name, last_sign=iso(other.sign), wait=SILENT)
        while first is not None and other is not None:
            if other.sign > first.sign:  # it lives
                raise self._refusal(other)
            await self._clock.sleep(_LOOK)
            other = await self._take()

    async def agree(self, rules: Mapping[str, str]) -> None:
        """Tell what decides our results; all hosts at work must have the same.

        It is told before it is compared: of two that begin at once, one at least sees the other.

        Raises:
            ConfigError: another host's differ; names the setting.
        """
        self._host = replace(self._host, rules=rules)
        await self.beat()
        for other in await self.others():
            names = sorted(
                name for name in rules.keys() | other.rules.keys() if rules.get(name) != other.rules.get(name)
            )
            if names and other.rules:  # of an earlier release, nobody knows
                more = f" (and {len(names) - 1} more: {', '.join(names[1:4])})" if len(names) > 1 else ""
                raise ConfigError(
                    f"{names[0]}: this host has another value than the host {other.name}, which is at work on the same"
                    f" database{more}; results would depend on who makes them",
                    remedy="give all hosts the same configuration, or wait until the others have ended",
                )

    async def others(self) -> list[Host]:
        """Return the other hosts that are at work."""
        now = self._clock.now()
        hosts = (await find_hosts(self._journal)).values()
        return [host for host in hosts if host.name != self.name and host.present(now)]

    async def visit(self) -> None:
        """Make the name known as this state folder's.

        Another process of it may be at work.

        Raises:
            ConfigError: another host has the name, or this state folder has another one.
        """
        await self._refuse_second_name()
        host = replace(self._host, sign=self._clock.now(), left=True)

        def change(note: Json | None) -> tuple[Json | None, Host | None]:
            return (host.as_json() if note is None else None), (Host.from_json(note) if note is not None else None)

        there = await self._journal.change(f"{_NOTE}{self.name}", change)
        if there is not None and there.id != self._host.id:
            raise self._refusal(there)

    async def run(self) -> None:
        """Give a sign every few seconds, for ever."""
        while True:
            await self._clock.sleep(BEAT)
            with suppress(ReelmillError):  # a database that is away is met, and told, by the pool
                await self.beat()

    async def beat(self) -> None:
        """Give a sign."""
        host = replace(self._host, sign=self._clock.now(), trouble=self._trouble())

        def change(note: Json | None) -> tuple[Json | None, bool]:
            ours = note is None or note["boot"] == host.boot
            return (host.as_json() if ours else None), ours

        if not await self._journal.change(f"{_NOTE}{self.name}", change):
            self._taken(
                Trouble(
                    "host_name_taken",
                    f"Another process goes by the name {self.name} on this database, and took this one for dead.",
                    "give each host a state folder of its own; a copied one must lose its file `host`",
                )
            )

    async def leave(self) -> None:
        """Tell that this host ends. Nothing is raised: it has ended either way."""
        host = replace(self._host, sign=self._clock.now(), left=True, trouble=self._trouble())

        def change(note: Json | None) -> tuple[Json | None, None]:
            return (host.as_json() if note is None or note["boot"] == host.boot else None), None

        with suppress(ReelmillError):
            await self._journal.change(f"{_NOTE}{self.name}", change)

    async def _refuse_second_name(self) -> None:
        """Refuse a state folder that is known by another name."""
        for other in (await find_hosts(self._journal)).values():
            if other.id == self._host.id and other.name != self.name:
                raise ConfigError(
                    f"[cluster] host: this state folder is known as {other.name} on this database, not as {self.name};"
                    " its files and downloads wait under that name",
                    remedy=f'set [cluster] host = "{other.name}", or give the old name up: '
                    f"`reelmill hosts forget {other.name}`",
                )

    async def _take(self) -> Host | None:
        """Take the name; return who has it, where they may be at work.

        Of our own seat there is no other: one process at a time holds the state folder.
        """
        host = replace(self._host, sign=self._clock.now())

        def change(note: Json | None) -> tuple[Json | None, Host | None]:
            other = Host.from_json(note) if note is not None else None
            if other is not None and other.present(host.sign) and other.seat != host.seat:
                return None, other
            return host.as_json(), None

        return await self._journal.change(f"{_NOTE}{self.name}", change)

    def _refusal(self, other: Host) -> ReelmillError:
        if other.id == self._host.id:
            return Busy(
                f"The host {other.name} is at work elsewhere, from a copy of this state folder;"
                f" its last sign came at {iso(other.sign)}.",
                remedy="stop it, or remove the file `host` of the copied state folder",
            )
        return ConfigError(
            f"[cluster] host: another host goes by the name {other.name}; its last sign came at {iso(other.sign)}",
            remedy="give each host a name of its own, or leave [cluster] host out",
        )

"""Where the database is: a file of the state folder, or shared by hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from pipeline.app.wiring import state_folder
from pipeline.app.wiring.presence import find_own_name, new_presence
from pipeline.app.wiring.state_folder import lock_state_folder, read_host_id
from pipeline.config.database_address import DatabaseAddress, parse_address
from pipeline.config.settings import Settings
from pipeline.config.store import Engine
from pipeline.core.clock import Clock, ServerClock, SystemClock
from pipeline.core.errors import Busy, ConfigError, DatabaseAway, ReelmillError, StoreError
from pipeline.core.model import Lane
from pipeline.engine.hosts import RUN, Duty, Presence
from pipeline.engine.store_retry import retry_while_away
from pipeline.ports.store import Database

if TYPE_CHECKING:
    from pipeline.store.postgres.connection import Hold
    from pipeline.store.postgres.database import PostgresDatabase

MOVED = "moved"  #: name of the note that says where all of it was moved to
_AT_THE_START = 60.0  #: seconds: a server may be restarting, but its address may be wrong as well
_BETWEEN_LOOKS = 60.0  #: seconds between looks at the server's clock


def shared_database(settings: Settings) -> DatabaseAddress | None:
    """Return the address of the database that hosts share.

    None: it is a file of the state folder.
    """
    if not settings.store.url:
        return None
    return replace(parse_address(settings.store.url), password=settings.store_password)


def has_database(settings: Settings) -> bool:
    """Tell whether anything may have been run: for a database that others share, yes.

    Raises:
        ConfigError: the state folder cannot be looked into.
    """
    return bool(settings.store.url) or state_folder.has_database(settings.run.state)


@dataclass(frozen=True, slots=True)
class Company:
    """What a run must know of others that work on its database."""

    presence: Presence | None = None  #: this host's line among them; None: there are no others
    keep_time: Callable[[], Coroutine[Any, Any, None]] = (
        anyio.sleep_forever
    )  #: follows the clock that all share, for ever

    know: Callable[[Mapping[tuple[str, str], Lane]], None] = lambda _steps: (
        None
    )  #: tells the database which steps this release knows

    @property
    def host(self) -> str:
        """The name of this host; empty where there is no other."""
        return self.presence.name if self.presence is not None else ""

    @property
    def family(self) -> str:
        """How the owners of this host's processes begin; empty where there is no other."""
        return f"{self.host}:" if self.host else ""

    async def beside(self) -> None:
        """Keep the time, and give signs, for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.keep_time)
            if self.presence is not None:
                group.start_soon(self.presence.run)


ALONE = Company()


@dataclass(frozen=True, slots=True)
class RunDatabase:
    """The database of a run, with its time."""

    database: Database
    clock: Clock
    company: Company = ALONE


@asynccontextmanager
async def open_for_run(settings: Settings, duty: Duty = RUN) -> AsyncIterator[RunDatabase]:
    """Open the database for a run, whose state folder is locked.

    Beside the runs of other hosts, where they can share; this one is among them for as long as it is open. Who only submits
    is not, and needs no lock.

    Raises:
        Busy: this run cannot share, or another one does not, or this host is at work elsewhere; says which.
        ConfigError: another host has this one's name.
    """
    address = shared_database(settings)
    if address is None:
        async with state_folder.open_for_writing(settings.run.state) as database:
            yield RunDatabase(database, SystemClock())
    else:
        why = _why_alone(settings) if duty.role != "submit" else ""  # which pays nothing
        try:
            patience = min(settings.store.patience, _AT_THE_START)
            hold: Hold = "alone" if why else "beside"
            async with (
                _open_shared(address, hold, settings.store.engine, patience) as database,
                join_hosts(settings, database, SystemClock(), duty, patience) as shared,
            ):
                yield shared
        except Busy as busy:
            raise Busy(
                f"{busy} This run cannot share it: {why}." if why else str(busy), remedy=busy.trouble.remedy
            ) from None


@asynccontextmanager
async def join_hosts(
    settings: Settings, database: PostgresDatabase, machine: Clock, duty: Duty, patience: float
) -> AsyncIterator[RunDatabase]:
    """Be among the hosts of an open database, by its time.

    ``machine``: this one's own clock. ``patience``: seconds for which the database is waited for.

    Raises:
        Busy: this host is at work elsewhere.
        ConfigError: another host has this one's name, or the database does not answer.
    """
    clock = ServerClock(machine)
    with told_as_configuration():
        await retry_while_away(partial(_look, database, clock), machine, patience)
        presence = await new_presence(settings, database, clock, duty)
        arrive = presence.visit if duty.role == "submit" else presence.join
        await retry_while_away(arrive, machine, patience)
    database.serve(presence.name)
    try:
        yield RunDatabase(database, clock, Company(presence, partial(_keep_time, database, clock), database.know))
    finally:
        if duty.role != "submit":
            with anyio.CancelScope(shield=True):
                await presence.leave()


async def own_host_name(settings: Settings) -> str:
    """Return this host's name.

    Empty where the database is a file, or this state folder is new. Nothing is made.

    Raises:
        ConfigError: the shared database cannot be used.
    """
    if not settings.store.url or not (own := read_host_id(settings.run.state)):
        return ""
    async with open_shared(settings) as database:
        return await find_own_name(settings, database, own)


@asynccontextmanager
async def open_alone(settings: Settings) -> AsyncIterator[Database]:
    """Open a database that is there, for writing, while no run is at work.

    Raises:
        Busy: one is.
        ConfigError: there is no database yet.
    """
    address = shared_database(settings)
    if address is None:
        state_folder.require_database(settings.run.state)  # before a folder is made for the lock
        with lock_state_folder(settings.run.state):
            async with state_folder.open_for_writing(settings.run.state) as database:
                yield database
    else:
        async with _open_shared(address, "alone", settings.store.engine) as database:
            yield database


@asynccontextmanager
async def open_for_operator(settings: Settings) -> AsyncIterator[Database]:
    """Open a database that is there, for an operator's word.

    One that hosts share, beside their runs.

    Raises:
        Busy: a run is at work on the state folder.
        ConfigError: there is no database yet.
    """
    address = shared_database(settings)
    if address is None:
        async with open_alone(settings) as database:
            yield database
    else:
        async with _open_shared(address, "beside", settings.store.engine) as database:
            yield database


@asynccontextmanager
async def open_read_only(settings: Settings) -> AsyncIterator[Database]:
    """Open the database read-only, beside any run.

    Raises:
        ConfigError: there is no database yet.
    """
    address = shared_database(settings)
    if address is None:
        async with state_folder.open_read_only(settings.run.state) as database:
            yield database
    else:
        async with _open_shared(address, "") as database:
            yield database


@asynccontextmanager
async def open_shared(settings: Settings, hold: Hold = "") -> AsyncIterator[PostgresDatabase]:
    """Open the database that hosts share.

    It knows more than the port. Without a ``hold`` it is read-only.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    address = shared_database(settings)
    if address is None:
        raise ConfigError(
            "[store] url names no database that hosts share; a file has one host", remedy="set [store] url"
        )
    async with _open_shared(address, hold, settings.store.engine) as database:
        yield database


@asynccontextmanager
async def open_if_present(settings: Settings) -> AsyncIterator[Database | None]:
    """Open the database read-only if there is one."""
    if not has_database(settings):
        yield None
        return
    async with open_read_only(settings) as database:
        yield database


async def who_works(settings: Settings) -> str:
    """Return in words who works on the database; empty if nobody.

    Raises:
        ConfigError: hosts share it, and it cannot be used.
    """
    address = shared_database(settings)
    if address is None:
        return state_folder.lock_holder(settings.run.state)
    need_driver()
    from pipeline.store.postgres.holders import find_holders

    with told_as_configuration():
        return ", ".join(await find_holders(address))


def _why_alone(settings: Settings) -> str:
    """Return why a run cannot share its database; empty: it can."""
    if settings.provider.api == "v1.2":
        return "API v1.2 has no key that makes two calls one"
    return ""


def check_shared(settings: Settings) -> None:
    """Refuse what cannot be right on a database that several hosts share.

    Raises:
        ConfigError: each host would have a platform of its own; the driver is not there.
    """
    check_one_platform(settings)
    if settings.store.url:
        need_driver(settings.store.engine)


def check_one_platform(settings: Settings) -> None:
    """Make sure that all hosts of a shared database ask one platform.

    Raises:
        ConfigError: each would have one of its own.
    """
    if settings.store.url and settings.provider_kind == "local" and not settings.provider.base_url:
        raise ConfigError(
            "[store] url: each host would have a local platform of its own, and know nothing of the others' videos",
            remedy="start one with `reelmill platform --host ADDRESS`, and name it in [provider] base_url on every host",
        )


@contextmanager
def told_as_configuration() -> Iterator[None]:
    """Tell of a database that cannot be opened as of the configuration.

    Raises:
        ConfigError: it cannot be opened.
    """
    try:
        yield
    except (DatabaseAway, StoreError) as error:
        raise ConfigError.from_trouble(error.trouble) from error


def need_driver(engine: Engine = "none") -> None:
    """Make sure that the driver of PostgreSQL is there.

    ``engine``: and what hands out the work.

    Raises:
        ConfigError: one is not.
    """
    from importlib.util import find_spec

    if find_spec("asyncpg") is None:
        raise ConfigError(
            "[store] url: PostgreSQL needs a package that is not installed",
            remedy="pip install 'reelmill[postgres]'",
        )
    if engine == "pgqueuer" and find_spec("pgqueuer") is None:
        raise ConfigError(
            "[store] engine: PgQueuer is not installed",
            remedy="pip install 'reelmill[distributed]'",
        )


async def _refuse_moved(database: PostgresDatabase, address: DatabaseAddress) -> None:
    if (folder := await database.load(MOVED)) is not None:
        raise ConfigError(
            f"The {address} was moved into the folder {folder}; what is here is as it was then",
            remedy="leave [store] url out, and name that folder in [run] state; if the move was cut off, repeat"
            " `reelmill import-state`",
        )


async def _look(database: PostgresDatabase, clock: ServerClock) -> None:
    """Put a clock right.

    Raises:
        DatabaseAway: the server does not answer now, or too slowly to tell the time.
    """
    sent = clock.monotonic()
    if not clock.note(await database.time(), sent, clock.monotonic()):
        raise DatabaseAway(
            "The database answers too slowly to tell the time.",
            code="database_away",
            remedy="Look at the load of the server.",
        )


async def _keep_time(database: PostgresDatabase, clock: ServerClock) -> None:
    while True:
        await clock.doubted(_BETWEEN_LOOKS)
        with suppress(ReelmillError):  # what matters the run meets as well
            await _look(database, clock)


@asynccontextmanager
async def _open_shared(
    address: DatabaseAddress, hold: Hold, engine: Engine = "none", patience: float = 0.0
) -> AsyncIterator[PostgresDatabase]:
    """Open it; who would write to what was moved elsewhere is refused.

    ``engine`` hands out its work. ``patience``: seconds for which a server that does not answer is waited for.
    """
    engine = engine if hold else "none"  # who only looks hands out nothing
    need_driver(engine)
    from pipeline.store.postgres.database import open_database

    with told_as_configuration():
        database = await retry_while_away(
            lambda: open_database(address, hold=hold, engine=engine), SystemClock(), patience
        )
    try:
        if hold:
            with told_as_configuration():
                await retry_while_away(partial(_refuse_moved, database, address), SystemClock(), patience)
        yield database
    finally:
        await database.aclose()

"""The one file that touches asyncpg: a connection that comes back."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import anyio
import asyncpg  # type: ignore[import-untyped]

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.errors import Busy, DatabaseAway, ReelmillError, StoreError
from pipeline.store.encoding import Row, unstorable
from pipeline.store.postgres import errors
from pipeline.store.postgres.schema import SCHEMA, WORK_LOCK

T = TypeVar("T")
#: A statement and its parameters: ``$1`` is the first.
Query: TypeAlias = tuple[str, Sequence[Any]]

#: How a process holds the database: beside others, alone, or not at all.
Hold: TypeAlias = Literal["beside", "alone", ""]
#: By which function a process takes it, for as long as its connection lasts.
_LOCKS: dict[Hold, str] = {"beside": "pg_try_advisory_lock_shared", "alone": "pg_try_advisory_lock"}

OLDEST_SERVER = 140_000  #: as the server numbers itself
CONNECT_SECONDS = 10.0
#: How long one statement may take before the server counts as away. What is short is a claim, what is long a sum over all.
STATEMENT_SECONDS = 120.0
_NO_TLS = "rejected SSL upgrade"  #: what the driver says where a server knows no TLS
NO_LIMIT = 7 * 86_400.0  #: seconds for what rewrites a whole table
_TRIES = 5  #: of a transaction that lost against another host's
_SETTINGS = {
    "search_path": f"{SCHEMA}, pg_temp",  # last: a temporary table of somebody must not stand before ours
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    # A host that is cut off must not keep others from its rows for hours.
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_APPLICATION = "reelmill "
#: The processes that hold it, as ``host:pid``.
HOLDERS = f"""
SELECT DISTINCT substr(application_name, {len(_APPLICATION) + 1}) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = {WORK_LOCK}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1
"""
#: What a transaction that lost against another's is told, what one is told that put the same new task, and what one where
#: somebody between us and the server has swallowed either.
_CONFLICTS = ("40001", "40P01", "23505", "25P02")


@dataclass(slots=True)
class Savepoint:
    """What is done since then, and whether it stays so."""

    kept: bool = True


class Transaction:
    """The statements of one open transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        """Run a statement; return its rows."""
        rows: list[Row] = await self._connection.fetch(sql, *values)
        return rows

    async def count(self, sql: str, *values: Any) -> int:
        """Run a statement; return how many rows it changed."""
        return await _count(self._connection, sql, values)

    async def execute(self, sql: str, *values: Any) -> str:
        """Run a statement, or several without parameters.

        Return what the server says of the last.
        """
        status: str = await self._connection.execute(sql, *values)
        return status

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        """Let what is done inside be undone by itself."""
        inner, point = self._connection.transaction(), Savepoint()
        await inner.start()
        try:
            yield point
        except BaseException:
            await inner.rollback()
            raise
        await (inner.commit() if point.kept else inner.rollback())

    async def many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run a statement once for each row of parameters."""
        if rows:
            await self._connection.executemany(sql, rows)

    async def columns(self, sql: str, rows: Sequence[Row]) -> None:
        """Run a statement for all rows at once: its parameters are their columns."""
        if rows:
            await self._connection.execute(sql, *(list(column) for column in zip(*rows, strict=True)))


class Link:
    """One connection, for one task at a time.

    It is made when it is first needed, and again when it was lost. What is under way cannot be cancelled: a caller must learn
    whether its write happened. ``check``: looks at each new connection whether it may be used, and raises where not.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        read_only: bool = False,
        hold: Hold = "",
        statement_seconds: float = STATEMENT_SECONDS,
        check: Callable[[Transaction], Awaitable[None]] | None = None,
    ) -> None:
        self._address = address
        self._statement_seconds = statement_seconds
        self._where = str(address)
        self._read_only = read_only
        self._hold = hold
        self._check = check
        self._connection: asyncpg.Connection | None = None
        self._closed = False
        self._opened = 0  #: times
        self._hearing: asyncpg.Connection | None = None  #: the connection that listens
        self._heard = anyio.Event()
        self.lock = anyio.Lock()

    async def open(self) -> None:
        """Connect.

        Raises:
            DatabaseAway: the server does not answer now.
            StoreError: it cannot be used.
        """
        with anyio.CancelScope(shield=True):
            async with self.lock:
                with self._translated():
                    await self._connected()

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        """Run one statement, which is a transaction by itself; return its rows."""
        async with self._locked() as connection:
            rows: list[Row] = await connection.fetch(sql, *values)
            return rows

    async def count(self, sql: str, *values: Any) -> int:
        """Run one statement; return how many rows it changed."""
        async with self._locked() as connection:
            return await _count(connection, sql, values)

    async def alone(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` without a transaction: each of its statements is one by itself."""
        async with self._locked() as connection:
            return await work(Transaction(connection))

    async def rebuild(self, sql: str) -> None:
        """Run a statement that can be part of no transaction, however long it takes."""
        async with self._locked() as connection:
            await connection.execute(sql, timeout=NO_LIMIT)

    async def read(self, sql: str, *values: Any) -> list[Row]:
        """Run one statement that only reads; return its rows.

        A connection that ended while nobody used it says nothing of the server: then it is run once more on another.
        """
        return await self._once_more(lambda: self.fetch(sql, *values))

    async def read_all(self, queries: Sequence[Query]) -> list[list[Row]]:
        """As :meth:`read`, of several statements that see one moment; return the rows of each."""
        return await self._once_more(lambda: self._fetch_all(queries))

    async def _once_more(self, read: Callable[[], Awaitable[T]]) -> T:
        opened = self._opened
        try:
            return await read()
        except DatabaseAway:
            old = opened and opened == self._opened and (self._connection is None or self._connection.is_closed())
            if not old:
                raise
            return await read()

    async def _fetch_all(self, queries: Sequence[Query]) -> list[list[Row]]:
        found: list[list[Row]] = []
        async with self._locked() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            for sql, values in queries:
                found.append(await connection.fetch(sql, *values))
        return found

    async def transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` between BEGIN and COMMIT.

        It is run again where another host's transaction came first.
        """
        with anyio.CancelScope(shield=True):
            async with self.lock:
                answer = await self.transaction_in_lock(work)
        return answer

    async def transaction_in_lock(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` between BEGIN and COMMIT; the caller holds the lock."""
        with self._translated():
            connection = await self._connected()
            for number in range(1, _TRIES + 1):
                try:
                    async with connection.transaction():
                        return await work(Transaction(connection))
                except asyncpg.PostgresError as error:
                    if error.sqlstate not in _CONFLICTS or number == _TRIES:
                        raise
            raise AssertionError("the last try raises or returns")

    @asynccontextmanager
    async def pages(self, sql: str, values: Sequence[Any]) -> AsyncIterator[Callable[[int], Awaitable[list[Row]]]]:
        """Give a reader of so many next rows, all of one moment.

        Nobody else can use the connection meanwhile.
        """
        async with self.lock:
            with self._translated():
                connection = await self._connected()
                # The reader may be a person who thinks between two pages, and reads hardly more than the first.
                await connection.execute(
                    "SET idle_in_transaction_session_timeout = 0; SET cursor_tuple_fraction = 0.0001"
                )
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    cursor = await connection.cursor(sql, *values)
                    yield cursor.fetch

    async def hear(self, channel: str, ours: str, seconds: float) -> None:
        """Wait until another process tells something on a channel; at most so long.

        What was told while nobody waited counts. ``ours``: what we tell ourselves.
        """
        async with self._locked() as connection:
            if connection is not self._hearing:
                await connection.add_listener(
                    channel, lambda _connection, _pid, _channel, told: None if told == ours else self._heard.set()
                )
                connection.add_termination_listener(lambda _connection: self._heard.set())
                if self._hearing is not None:
                    self._heard.set()  # what was told since the last connection ended, nobody has heard
                self._hearing = connection
        with anyio.move_on_after(seconds):
            await self._heard.wait()
        self._heard = anyio.Event()

    async def aclose(self) -> None:
        """Wait for the statement at work and close. Idempotent."""
        with anyio.CancelScope(shield=True):
            async with self.lock:
                self._closed = True
                connection, self._connection = self._connection, None
                if connection is not None and not connection.is_closed():
                    with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        await connection.close(timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[asyncpg.Connection]:
        with anyio.CancelScope(shield=True):
            async with self.lock:
                with self._translated():
                    yield await self._connected()

    async def _connected(self) -> asyncpg.Connection:
        if self._closed:
            raise errors.closed(self._where)
        if self._connection is None or self._connection.is_closed():
            connection = await _connect(self._address, self._statement_seconds, read_only=self._read_only)
            try:
                await self._begin(connection)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
            self._opened += 1
        return self._connection

    async def _begin(self, connection: asyncpg.Connection) -> None:
        """Make a new connection ours."""
        await _inspect(connection, self._where, read_only=self._read_only)
        try:
            if self._hold:
                await lock_work(Transaction(connection), self._where, _LOCKS[self._hold])
        except Busy as error:
            if not self._opened:
                raise
            raise DatabaseAway.from_trouble(error.trouble) from error  # it was ours: whoever has it now is waited for
        if self._check is not None:
            await self._check(Transaction(connection))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate what the driver raises.

        A connection that may be in the middle of something is given up.
        """
        try:
            yield
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
            TimeoutError,
        ) as error:
            if _ends_connection(error):
                self._give_up()
            raise _translate(error, self._where) from error
        except ReelmillError:
            raise
        except BaseException:
            self._give_up()  # asyncio's own cancel passes every shield
            raise

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _ends_connection(error: Exception) -> bool:
    """Return whether the next call should connect anew.

    This server is going, or only reads, or nobody knows where the connection stands.
    """
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(("57P", "25006"))
    return not isinstance(error, asyncpg.DataError)


async def _count(connection: asyncpg.Connection, sql: str, values: Sequence[Any]) -> int:
    status: str = await connection.execute(sql, *values)  # "UPDATE 3"
    return int(status.rpartition(" ")[2])


async def _connect(address: DatabaseAddress, statement_seconds: float, *, read_only: bool) -> asyncpg.Connection:
    """Connect to the first host that answers."""
    password = address.password.get_secret_value() if address.password is not None else None
    return await asyncpg.connect(
        host=[name for name, _ in address.hosts],
        port=[port for _, port in address.hosts],
        user=address.role,
        database=address.name,
        password=password,
        ssl=_tls(address),
        timeout=CONNECT_SECONDS,
        command_timeout=statement_seconds,
        server_settings={**_SETTINGS, "application_name": f"{_APPLICATION}{socket.gethostname()[:40]}:{os.getpid()}"},
        target_session_attrs="any" if read_only or len(address.hosts) == 1 else "read-write",
    )


async def _inspect(connection: asyncpg.Connection, where: str, *, read_only: bool) -> None:
    number, encoding, standby, commit = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(),"
        " current_setting('synchronous_commit')"
    )
    if number < OLDEST_SERVER:
        raise StoreError(
            f"PostgreSQL {number // 10_000} is too old: the {where}.",
            code="database_too_old",
            remedy=f"Use PostgreSQL {OLDEST_SERVER // 10_000} or newer.",
        )
    if encoding != "UTF8":
        raise StoreError(
            f"The {where} keeps text as {encoding}.",
            code="database_encoding",
            remedy="Create a database with ENCODING 'UTF8'.",
        )
    if standby and not read_only:
        raise errors.standby("pg_is_in_recovery()", f"the {where}")
    if commit == "off":  # a reply means that it is on disk
        await connection.execute("SET synchronous_commit = on")


async def lock_work(transaction: Transaction, where: str, lock: str) -> None:
    """Hold the database by this function of the server's; nobody is waited for.

    Raises:
        Busy: somebody holds it alone, or holds it and we want it alone.
    """
    if not (await transaction.fetch(f"SELECT {lock}($1)", WORK_LOCK))[0][0]:
        who = ", ".join(row[0] for row in await transaction.fetch(HOLDERS))
        raise Busy(
            f"Others work on the {where}: {who or 'one that is just ending'}.", remedy="wait for them, or stop them"
        )


def _tls(address: DatabaseAddress) -> ssl.SSLContext | bool:
    if address.tls == "disable":
        return False
    root, own, key = (
        str(file) if file else None for file in (address.root_certificate, address.certificate, address.key)
    )
    try:
        context = ssl.create_default_context(cafile=root)
        if own is not None:
            context.load_cert_chain(own, key)
    except OSError as error:
        names = ", ".join(file for file in (root, own, key) if file)
        raise StoreError(
            f"A certificate or its key cannot be read: {names}.",
            code="database_tls",
            remedy="Correct sslrootcert, sslcert and sslkey in [store] url.",
            detail=str(error),
        ) from None
    context.check_hostname = address.tls == "verify-full"
    if address.tls == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _translate(error: Exception, where: str) -> ReelmillError:
    if isinstance(error, asyncpg.PostgresError):
        return errors.of_code(error.sqlstate or "", str(error), f"the {where}")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):  # of several hosts
        return errors.standby(str(error), f"the {where}")
    if isinstance(error, asyncpg.DataError):  # before the others: it is an InterfaceError, too
        return unstorable(str(error))
    if isinstance(error, ssl.SSLError) or _NO_TLS in str(error):
        return StoreError(
            f"The {where} cannot prove who it is, or speaks no TLS.",
            code="database_tls",
            remedy="Name its authority with sslrootcert=… in [store] url, and the host as its certificate names it.",
            detail=str(error),
        )
    return errors.away(f"{type(error).__name__}: {error}", f"the {where}")

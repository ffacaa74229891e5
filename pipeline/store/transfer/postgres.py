"""A copy out of, and into, a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pipeline.config.database_address import DatabaseAddress
from pipeline.store.encoding import Row, to_json
from pipeline.store.postgres.connection import NO_LIMIT, Link, Transaction
from pipeline.store.postgres.migrate import check_version
from pipeline.store.postgres.queries import DROP, SAVE
from pipeline.store.transfer.sqlite import STATES, SUMS, differs, not_empty
from pipeline.store.transfer.tables import COUNTED, CopiedTable, Put, Totals

#: Columns that the server numbers by itself, which must go on behind what was copied.
_NUMBERED = (("task", "id"), ("result", "id"), ("spend", "id"), ("changed", "mark"))


class PostgresCopy:
    """One database, held alone for as long as it is open."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._link = Link(address, hold="alone", statement_seconds=NO_LIMIT)

    async def open(self) -> None:
        """Connect.

        Raises:
            Busy: somebody works on it.
            DatabaseAway, StoreError: it cannot be used, or is of another release.
        """
        await self._link.open()
        await check_version(self._link, self._address)

    async def aclose(self) -> None:
        """Let others have it."""
        await self._link.aclose()

    async def note(self, name: str, value: str | None) -> None:
        """Remember a text under a name, or nothing any more."""
        if value is None:
            await self._link.count(DROP, name)
        else:
            await self._link.count(SAVE, name, to_json(value))

    async def page(self, table: CopiedTable, after: object, limit: int) -> list[Row]:
        columns = ", ".join(table.columns)
        above = "" if after is None else f"WHERE {table.order} > $1"
        sql = f"SELECT {columns} FROM {table.name} {above} ORDER BY {table.order} LIMIT {limit}"
        return [tuple(row) for row in await self._link.read(sql, *([] if after is None else [after]))]

    async def totals(self) -> Totals:
        return await _totals(self._link.read)

    async def fill(self, copy: Callable[[Put], Awaitable[Totals]]) -> None:
        async def work(transaction: Transaction) -> None:
            if not (await _totals(transaction.fetch)).empty:
                raise not_empty(f"The {self._address}")

            async def put(table: CopiedTable, rows: Sequence[Row]) -> None:
                places = ", ".join(f"${number}" for number in range(1, len(table.columns) + 1))
                insert = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"
                await transaction.many(f"{insert} ON CONFLICT DO NOTHING", rows)

            if not (await copy(put)).same(await _totals(transaction.fetch)):
                raise differs(f"the {self._address}")
            for table, column in _NUMBERED:
                await transaction.fetch(
                    f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'),"
                    f" (SELECT max({column}) FROM {table})) FROM (SELECT 1 FROM {table} LIMIT 1) AS filled"
                )

        await self._link.transaction(work)


async def _totals(ask: Callable[[str], Awaitable[list[Row]]]) -> Totals:
    rows = {table.name: (await ask(f"SELECT count(*) FROM {table.name}"))[0][0] for table in COUNTED}
    states = {f"{row[0]} {row[1]}": row[2] for row in await ask(STATES)}
    usd, minutes = (await ask(SUMS))[0]
    return Totals(rows, states, usd, minutes)

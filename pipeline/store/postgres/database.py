"""The database in PostgreSQL: a reply means it is on disk."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from json import loads
from typing import Any, Literal

import anyio

from pipeline.config.database_address import DatabaseAddress
from pipeline.config.store import Engine
from pipeline.core.errors import StoreError
from pipeline.core.model import Json, Lane, Parked, Placed, RunNote, Selection, Spend, Task
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import NO_CAPS, Applied, ApplyAnswer, Change, LaneCaps, T
from pipeline.store.encoding import encode_entry, encode_move, encode_name, encode_note, encode_spend, to_json
from pipeline.store.group_commit import GroupCommit
from pipeline.store.postgres import errors, queries
from pipeline.store.postgres.connection import Hold, Link, Transaction
from pipeline.store.postgres.handout.table import HandOut, TableHandOut, change_rows
from pipeline.store.postgres.migrate import check_version
from pipeline.store.postgres.reads import NOTE, PostgresRecords
from pipeline.store.postgres.schema import SCHEMA, TABLES
from pipeline.store.postgres.selection import Values, selected
from pipeline.store.postgres.writes import enter, write
from pipeline.store.write_group import Claim, WriteReply, WriteRequest, leaves_work

_LOOK = 5.0  #: seconds: what was not told is looked for so often
_SELDOM = 0.1  #: seconds between two words to others; the server lets one commit at a time tell something


async def open_database(
    address: DatabaseAddress, *, hold: Hold = "beside", engine: Engine = "none"
) -> PostgresDatabase:
    """Open the database, which must have this release's schema.

    ``hold``: beside others or alone, for as long as it is open; empty: only for reading. ``engine`` hands out due tasks.

    Raises:
        Busy: somebody else works on it, and ``hold`` is alone.
        DatabaseAway: it does not answer now.
        StoreError: it cannot be used, or is of another release.
    """
    database = PostgresDatabase(address, hold, _handout(engine))
    try:
        await database.connect()
    except BaseException:
        await database.aclose()
        raise
    return database


class PostgresDatabase(PostgresRecords):
    """``ports.Database`` on PostgreSQL. Any number of processes write.

    Every writing call returns after its commit is on disk, and may raise ``DatabaseAway`` (the server does not answer; whether
    it was written is not known), ``Permanent`` (``unstorable``) or ``StoreError``.
    """

    def __init__(self, address: DatabaseAddress, hold: Hold, handout: HandOut) -> None:
        super().__init__(address, read_only=not hold)
        self._handout = handout
        self._check = partial(check_version, address=address, hinted=handout.follows)
        self._writer = Link(address, hold=hold, check=self._check) if hold else None
        self._ear = self._new_reader()
        self._name = secrets.token_hex(4)
        self._told_at = float("-inf")  #: seconds of the event loop
        self._unheard: list[Claim] = []  #: claims of which nobody knows whether they were written
        self._writes = GroupCommit((self._writer or self._reader).lock, self._write)

    async def connect(self) -> None:
        """Connect, and look whether the database can be used.

        Whoever writes looks again with each new connection: the schema may have changed while it had none.

        Raises:
            DatabaseAway: it does not answer now.
            StoreError: it cannot.
        """
        if self._writer is not None:
            await self._writer.open()
        await self._reader.open()
        if self._writer is None:
            await self._check(self._reader)

    # ----------------------------------------------------------------------------------------------------- store

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        entries = [encode_entry(placed, now) for placed in tasks]
        return (await self._writes.join(WriteRequest(entries=entries))).changed if entries else 0

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        if max(free_slots.values(), default=0) <= 0:
            return []
        reply = await self._writes.join(
            WriteRequest(claim=Claim(free_slots, encode_name(owner), now, until, self._host, self._steps, caps))
        )
        return [*reply.claimed]

    async def renew(self, tasks: Sequence[Task], until: float) -> frozenset[int]:
        ours = [(task.id, task.lease.owner, task.lease.token) for task in tasks if task.lease is not None]
        if not ours:
            return frozenset()
        ids, owners, tokens = map(list, zip(*ours, strict=True))
        if not self._handout.follows:
            return frozenset(row[0] for row in await self._writing().fetch(queries.RENEW, ids, owners, tokens, until))
        return await self._writing().transaction(partial(_renew, (ids, owners, tokens, until), self._handout))

    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        reply = await self._writes.join(WriteRequest(encode_move(applied, now), budget=applied.budget))
        if reply.over:
            return ApplyAnswer.OVER
        return ApplyAnswer.WRITTEN if reply.changed else ApplyAnswer.LOST

    async def news(self) -> None:
        await self._ear.hear(queries.CHANNEL, self._name, _LOOK)

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        values = Values()
        moment, named = f"{values.add(now)}::float8", f"{values.add(bool(which.states))}::bool"
        sql = queries.CANCEL if verb == "cancel" else queries.RETRY
        query = sql.format(which=selected(which, values), now=moment, named=named)
        changed = await self._writing().transaction(partial(_run, self._handout, now, query, values))
        if verb == "retry":
            await self._writing().fetch(queries.TELL, self._name)
        return changed

    async def park(self, parked: Parked, now: float) -> None:
        row = (encode_name(parked.scope), parked.until, to_json(parked.trouble.as_json()), now)
        await self._writes.join(WriteRequest(park=row))

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        return await self._writing().transaction(
            partial(_unpark, [*scopes], [*classes], now, self._name, self._handout)
        )

    async def bring_forward(self, now: float) -> int:
        return await self._writing().transaction(partial(_bring_forward, now, self._handout))

    async def aclose(self) -> None:
        await self._ear.aclose()
        await self._reader.aclose()
        if self._writer is not None:
            await self._writer.aclose()

    # --------------------------------------------------------------------------------------------------- journal

    async def note_run(self, note: RunNote) -> None:
        await self._writing().count(queries.NOTE_RUN, *encode_note(note))

    async def save(self, name: str, value: Json) -> None:
        await self._writing().count(queries.SAVE, name, to_json(value))

    async def drop(self, name: str) -> None:
        await self._writing().count(queries.DROP, name)

    async def change(self, name: str, change: Change[T]) -> T:
        if self._writer is None:  # a reader may look
            new, answer = change(await self.load(name))
            if new is None:
                return answer
        return await self._writing().transaction(partial(_change, name, change))

    async def enter(self, spend: Spend, budget: BudgetGuard | None = None) -> bool:
        return await self._writing().transaction(partial(enter, encode_spend(spend), budget))

    async def catch_up(self, marks: Sequence[int], name: str, value: Json, before: Json | None) -> bool:
        old = None if before is None else to_json(before)
        return await self._writing().transaction(partial(_catch_up, [*marks], name, to_json(value), old))

    # ---------------------------------------------------------------------------------------------------- upkeep

    async def drop_answers(self, ids: Sequence[int]) -> int:
        return await self._writing().count(queries.DROP_ANSWERS, [*ids])

    async def drop_runs(self, keep: int) -> int:
        return await self._writing().count(queries.DROP_RUNS, keep)

    async def forget(self, tasks: Sequence[int], subject: str, stamp: str) -> int:
        before = f"forgotten/{encode_name(stamp)}/"
        return await self._writing().transaction(
            partial(_forget, [*tasks], encode_name(subject), before, self._handout)
        )

    async def compact(self) -> None:
        if not (await self._writing().fetch(queries.OWNS, SCHEMA))[0][0]:
            raise errors.of_code("42501", "only their owner can rewrite the tables", f"the {self._address}")
        for table in TABLES:
            await self._writing().rebuild(queries.COMPACT.format(table=table))

    # --------------------------------------------------------------------------------------------------- writing

    async def _write(self, group: Sequence[WriteRequest]) -> list[WriteReply]:
        unheard, self._unheard = self._unheard, []
        now = anyio.current_time()
        tells = leaves_work(group) and now - self._told_at >= _SELDOM
        try:
            replies = await self._writing().transaction_in_lock(
                partial(write, group, unheard, self._name if tells else "", self._handout)
            )
        except BaseException:
            self._unheard = [*unheard, *(request.claim for request in group if request.claim is not None)]
            raise
        self._told_at = now if tells else self._told_at
        return replies

    def _writing(self) -> Link:
        if self._writer is None:
            raise StoreError(f"The {self._address} was opened for reading only.", code="database_read_only")
        return self._writer


def _handout(engine: Engine) -> HandOut:
    if engine == "none":
        return TableHandOut()
    from pipeline.store.postgres.handout.hints import HintHandOut

    return HintHandOut({})


async def _run(handout: HandOut, now: float, sql: str, values: Sequence[Any], transaction: Transaction) -> int:
    return await change_rows(transaction, handout, now, sql, *values)


async def _renew(leases: Sequence[Any], handout: HandOut, transaction: Transaction) -> frozenset[int]:
    ours = frozenset(row[0] for row in await transaction.fetch(queries.RENEW, *leases))
    await handout.renewed(transaction, [*ours])
    return ours


async def _change(name: str, change: Change[T], transaction: Transaction) -> T:
    await transaction.fetch(queries.ALONE, name)
    rows = await transaction.fetch(NOTE, name)
    new, answer = change(loads(rows[0][0]) if rows else None)
    if new is not None:
        await transaction.count(queries.SAVE, name, to_json(new))
    return answer


async def _catch_up(marks: list[int], name: str, value: str, before: str | None, transaction: Transaction) -> bool:
    await transaction.fetch(queries.ALONE, name)
    there = await transaction.fetch(NOTE, name)
    if (there[0][0] if there else None) != before:
        return False
    await transaction.count(queries.SAVE, name, value)
    await transaction.count(queries.CATCH_UP, marks)
    return True


async def _forget(tasks: list[int], subject: str, before: str, handout: HandOut, transaction: Transaction) -> int:
    changed = await change_rows(transaction, handout, 0.0, queries.FORGET, tasks)
    await transaction.count(queries.FORGET_RESULTS, subject)
    await transaction.count(queries.RENAME_SPENDS, subject, before)
    return changed


async def _bring_forward(now: float, handout: HandOut, transaction: Transaction) -> int:
    lanes = [lane.value for lane in Lane]
    changed = await change_rows(transaction, handout, now, queries.BRING_FORWARD, now, lanes)
    await transaction.count(queries.UNPARK_LATER, now, bool(changed))
    return changed


async def _unpark(
    scopes: list[str], classes: list[str], now: float, name: str, handout: HandOut, transaction: Transaction
) -> int:
    changed = await change_rows(transaction, handout, now, queries.WAKE, classes, now)
    await transaction.count(queries.UNPARK, scopes)
    await transaction.fetch(queries.TELL, name)
    return changed

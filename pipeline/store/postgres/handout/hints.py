"""PgQueuer hands out the work, inside our transactions. Only this file touches it.

A hint is a job of PgQueuer's: its entrypoint is the lane (and ``@`` the host whose disk the task needs), its priority the
rank, its payload and its key the task's id. It is put, picked and completed by the same commit as the row that it stands for,
so the two part only where somebody else changes one of them: then the sweep makes hints again, and a hint that is wrong is
dropped when it is picked. PgQueuer's clock alone says whether a hint is due: two clocks in one claim would disagree by
milliseconds, and drop what is as good as due.
"""

from __future__ import annotations

import uuid
from asyncio import Event
from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from datetime import timedelta
from typing import NoReturn, Self

import anyio
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.models import Job, JobId, TracebackRecord
from pgqueuer.ports.driver import NotifyCallback, TaskManagerPort
from pgqueuer.queries import EntrypointExecutionParameter, Queries
from pgqueuer.types import JOB_STATUS, Channel, QueueEntrypoint, QueueManagerId

from pipeline.core.model import Lane, Task
from pipeline.store.encoding import Row, parse_task
from pipeline.store.postgres.connection import Transaction
from pipeline.store.postgres.handout import hint_queries
from pipeline.store.postgres.schema import SCHEMA
from pipeline.store.postgres.selection import columns_of
from pipeline.store.requeue import Identity
from pipeline.store.write_group import Claim

#: Names are given one by one: PgQueuer would take any that is left out from the environment. Its log and its statistics need
#: not survive a crash of the server; the hints do, which spares the first minute after it a sweep of all that is due.
_SETTINGS = DBSettings(
    prefix="", db_schema=SCHEMA, channel=Channel("reelmill_pgqueuer"), function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics", queue_status_type="pgqueuer_status", queue_table="pgqueuer",
    queue_table_log="pgqueuer_log", trigger="tg_pgqueuer_changed", schedules_table="pgqueuer_schedules",
    durability=Durability.balanced, widen_id=True,
)  # fmt: skip
_BUILDERS = (QueryBuilderEnvironment(_SETTINGS), QueryQueueBuilder(_SETTINGS), QuerySchedulerBuilder(_SETTINGS))
_SOON = timedelta(microseconds=-1)  #: due now, also for the transaction that puts it
_AGAIN = timedelta(milliseconds=20)  #: for one whose row somebody else is changing
_LONGEST = 100 * 365 * 86_400.0  #: seconds that a hint waits at most
#: The silence after which PgQueuer would pick a hint again: that a lease is over, our own sweep says, and a hint whose row is
#: still at work would take the place of one that is due.
_NEVER = timedelta(seconds=_LONGEST)
_PRIORITIES = (-(2**31), 2**31 - 1)
_AT_ONCE = 2_000  #: hints that one statement puts
_NO_WORKER = "A transaction of Reelmill's is no worker of PgQueuer's."
_EVERY, _HUNGRY = 60.0, 10.0  #: seconds between two sweeps, and between two where there was nothing to take


class HintHandOut:
    """``HandOut`` by PgQueuer.

    ``limits``: how many tasks of a lane all hosts together work on; a lane that is left out has none.
    """

    follows = True

    def __init__(self, limits: Mapping[Lane, int]) -> None:
        self._limits = {lane.value: number for lane, number in limits.items()}
        self._manager = QueueManagerId(uuid.uuid4())
        self._swept = float("-inf")  #: seconds of the event loop
        self._tidied = float("-inf")  #: the same, of PgQueuer's log
        self._more = False  #: the last sweep has found some: there may be more behind them

    async def claim(self, transaction: Transaction, claim: Claim) -> Sequence[Task]:
        found = await self._pick(transaction, claim)
        if await self._sweep(transaction, claim.now, hungry=not found) and not found:
            found = await self._pick(transaction, claim)
        order = {lane: place for place, lane in enumerate(claim.free_slots)}
        return sorted(found, key=lambda task: (order[task.lane], -task.rank))

    async def follow(
        self, transaction: Transaction, now: float, ids: Sequence[int], identities: Sequence[Identity] = ()
    ) -> None:
        for start in range(0, max(len(ids), len(identities)), _AT_ONCE):
            some, named = ids[start : start + _AT_ONCE], identities[start : start + _AT_ONCE]
            kinds, keys = [kind for kind, _ in named], [key for _, key in named]
            await self._put(transaction, now, await transaction.fetch(hint_queries.WRITTEN, [*some], kinds, keys))

    async def renewed(self, transaction: Transaction, ids: Sequence[int]) -> None:
        held = [row[0] for row in await transaction.fetch(hint_queries.PICKED, [str(each) for each in ids])]
        if held:
            await _pgqueuer(transaction).update_heartbeat(held)

    # ----------------------------------------------------------------------------------------------------------- picking

    async def _pick(self, transaction: Transaction, claim: Claim) -> list[Task]:
        """Pick due hints and take their rows."""
        free = {lane.value: number for lane, number in claim.free_slots.items() if number > 0}
        names = _entrypoints([*free], claim)
        due: defaultdict[str, list[str]] = defaultdict(list)
        for name, lane in await transaction.fetch(hint_queries.DUE, [*names], [*names.values()], claim.now):
            due[lane].append(name)
        found: list[Task] = []
        known = columns_of(claim.steps)
        for lane, entrypoints in due.items():
            hints = {
                int(job.payload or b"0"): job for job in await self._dequeue(transaction, entrypoints, lane, free[lane])
            }
            rows = await transaction.fetch(hint_queries.TAKE, [*hints], claim.owner, claim.until, claim.now, *known)
            tasks = {task.id: task for task in map(parse_task, rows)}
            found += [tasks[number] for number in hints if number in tasks]
            await self._drop(transaction, claim, {number: hints[number] for number in hints if number not in tasks})
        return found

    async def _dequeue(self, transaction: Transaction, names: Sequence[str], lane: str, number: int) -> list[Job]:
        """Pick up to so many hints of a lane, of these entrypoints.

        Where another host has taken the last slot of a limit first, PgQueuer swallows the error that has ended our transaction:
        what it did is undone up to a savepoint.
        """
        limit = self._limits.get(lane, 0)
        wanted = {QueueEntrypoint(name): EntrypointExecutionParameter(limit) for name in names}
        pgqueuer = _pgqueuer(transaction)
        if not limit:
            return await pgqueuer.dequeue(number, wanted, self._manager, None, _NEVER)
        async with transaction.savepoint() as savepoint:
            jobs = await pgqueuer.dequeue(number, wanted, self._manager, None, _NEVER)
            savepoint.kept = bool(jobs)
        return jobs

    async def _drop(self, transaction: Transaction, claim: Claim, hints: Mapping[int, Job]) -> None:
        """Put picked hints right whose rows were not taken.

        Each row is gone, not due yet, at a step that this host does not know, or in somebody else's hands.
        """
        if not hints:
            return
        pending = [row[0] for row in await transaction.fetch(hint_queries.PENDING, [*hints])]
        rows = await transaction.fetch(hint_queries.WRITTEN, pending, [], [])
        await self._put(transaction, claim.now, rows, claim.steps)
        rest = hints.keys() - set(pending)
        busy = {row[0] for row in await transaction.fetch(hint_queries.BUSY, [*rest])}
        for number in busy:
            await _pgqueuer(transaction).retry_job(hints[number], _AGAIN, None)
        await _complete(transaction, {hints[number].id: "canceled" for number in rest - busy})

    # --------------------------------------------------------------------------------------------------------- following

    async def _put(
        self, transaction: Transaction, now: float, rows: Sequence[Row], known: Container[tuple[str, str]] | None = None
    ) -> None:
        """Put a hint for each pending row, and complete what any had.

        What is at no ``known`` step gets an entrypoint of its own, at which only hosts look that know it.
        """
        old: dict[JobId, JOB_STATUS] = {
            row[5]: "successful" if row[6] == "picked" else "canceled" for row in rows if row[5] is not None
        }
        await _complete(transaction, old)
        pending = [row for row in rows if row[1] == "pending"]
        if not pending:
            return
        names = [str(row[0]) for row in pending]
        await _pgqueuer(transaction).enqueue(
            [row[2] if known is None or tuple(row[7:9]) in known else f"{row[2]}:{row[7]}.{row[8]}" for row in pending],
            [name.encode() for name in names],
            [min(max(row[3], _PRIORITIES[0]), _PRIORITIES[1]) for row in pending],
            [_delay(row[4] - now) for row in pending],
            [*names],
            on_conflict="skip",  # another host has put one just now
        )

    async def _sweep(self, transaction: Transaction, now: float, *, hungry: bool) -> bool:
        """Make hints for due rows that have none; tell whether there were any.

        Once a minute on one host. ``hungry``: there is nothing else to take, so it is looked for sooner.
        """
        at, pause = anyio.current_time(), 0.0 if self._more else _HUNGRY if hungry else _EVERY
        if at - self._swept < pause:
            return False
        self._swept = at
        if not await transaction.fetch(hint_queries.MAY_SWEEP, pause):
            return False
        lost = [
            row[0] for row in await transaction.fetch(hint_queries.WITHOUT_HINT, [lane.value for lane in Lane], now)
        ]
        self._more = bool(lost)
        await self.follow(transaction, now, lost)
        if at - self._tidied >= _EVERY:
            self._tidied = at
            await transaction.fetch(hint_queries.FORGET_LOG)
        return self._more


async def install(transaction: Transaction) -> None:
    """Make PgQueuer's tables, where they are not there."""
    if not (await transaction.fetch(hint_queries.INSTALLED))[0][0]:
        await _pgqueuer(transaction).install(create_schema=False)
        await transaction.fetch(hint_queries.SILENCE)


async def upgrade(transaction: Transaction) -> None:
    """Bring PgQueuer's tables to its release.

    Each statement must be a transaction of its own.
    """
    await _pgqueuer(transaction).upgrade()


def _entrypoints(lanes: Collection[str], claim: Claim) -> dict[str, str]:
    """Return where a claim looks, each entrypoint with its lane.

    Beside the lane's own that of this host, and of each step that another host may not have known.
    """
    places = ["", f"@{claim.host}"] if claim.host else [""]
    names = {f"{lane}{place}": lane for place in places for lane in lanes}
    for (kind, stage), lane in (claim.steps or {}).items():
        if lane.value in lanes:
            names |= {f"{lane.value}{place}:{kind}.{stage}": lane.value for place in places}
    return names


def _delay(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, _LONGEST)) if seconds > 0 else _SOON


async def _complete(transaction: Transaction, hints: Mapping[JobId, JOB_STATUS]) -> None:
    ended: list[tuple[Job, JOB_STATUS, TracebackRecord | None]] = []
    ended += [(Job.model_construct(id=number), how, None) for number, how in hints.items()]
    if ended:
        await _pgqueuer(transaction).log_jobs(ended)


def _pgqueuer(transaction: Transaction) -> Queries:
    return Queries(_Driver(transaction), *_BUILDERS)


class _Driver:
    """``pgqueuer.db.Driver`` on a transaction of ours: statements, and nothing that lasts.

    To listen, to shut down and to keep background tasks is for PgQueuer's own workers, which hold a connection each. We run
    none of them, and ``Queries`` asks for nothing of that; a release of PgQueuer that does must fail, not go on without.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._transaction.fetch(query, *args)]

    async def execute(self, query: str, *args: object) -> str:
        return await self._transaction.execute(query, *args)

    async def notify(self, channel: str, payload: str) -> None:
        await self._transaction.fetch("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> NoReturn:
        raise NotImplementedError(_NO_WORKER)

    @property
    def shutdown(self) -> Event:
        raise NotImplementedError(_NO_WORKER)

    @property
    def tm(self) -> TaskManagerPort:
        raise NotImplementedError(_NO_WORKER)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

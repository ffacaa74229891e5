"""Reads on a connection of their own, which never wait for the writer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from json import loads
from typing import Any

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.model import (
    About,
    ChangedVideo,
    CostGroup,
    CostKey,
    Counts,
    DiskUse,
    ItemQuery,
    Json,
    Lane,
    ListedItem,
    Parked,
    PendingGroup,
    Result,
    RunNote,
    Selection,
    Spend,
    Stopped,
    StoredAnswer,
    Task,
)
from pipeline.ports.budget import CountedEntry, LedgerDays
from pipeline.ports.store import WaitingHere
from pipeline.store.encoding import (
    SPEND,
    TASK,
    Row,
    parse_note,
    parse_parked,
    parse_result,
    parse_spend,
    parse_task,
    storable_part,
)
from pipeline.store.postgres import catalog, tallies
from pipeline.store.postgres.connection import Link
from pipeline.store.postgres.schema import TABLES
from pipeline.store.postgres.selection import Values, columns_of, selected
from pipeline.store.standing import parse_item

#: Tasks of a selection, in the order of their first submission.
TASKS = f"SELECT {TASK} FROM task WHERE id IN ({{which}}) ORDER BY id"
#: Of the same, ids and keys.
KEYS = "SELECT id, key FROM task WHERE id IN ({which}) ORDER BY id"
#: Running tasks whose lease ended before a time (NULL: all).
EXPIRED = f"""
SELECT {TASK} FROM task WHERE state = 'running' AND ($1::float8 IS NULL OR wake_at < $1) AND starts_with(owner, $2)
ORDER BY wake_at, id
"""

#: The smallest due time in some lanes; one index look per rank that occurs. ($1: lanes; $2: this host; $3, $4: kinds and stages
#: that it knows, NULL: all.)
NEXT_DUE = """
WITH RECURSIVE
asked (lane) AS MATERIALIZED (
    SELECT DISTINCT lane FROM unnest($1::text[]) AS given (lane)
),
rung (lane, rank) AS (
    SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND task.lane = asked.lane) FROM asked
    UNION ALL
    SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND task.lane = rung.lane AND task.rank < rung.rank)
    FROM rung WHERE rung.rank IS NOT NULL
)
SELECT min((
    SELECT wake_at FROM task
    WHERE state = 'pending' AND task.lane = rung.lane AND task.rank = rung.rank AND task.place = near.place
        AND ($3::text[] IS NULL OR (kind, stage) IN (SELECT * FROM unnest($3::text[], $4::text[])))
    ORDER BY wake_at LIMIT 1
))
FROM rung CROSS JOIN (SELECT '' AS place UNION SELECT $2::text) AS near WHERE rung.rank IS NOT NULL
"""
#: What waits for the disks of hosts, by host.
_PLACES = """
SELECT place, count(*), min(wake_at) FROM task WHERE state = 'pending' AND place <> '' GROUP BY place ORDER BY place
"""
_OF_PLACE = f"""
SELECT {TASK} FROM task
WHERE state = 'pending' AND place <> '' AND place = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4
"""

#: The results of some videos but for some jobs, oldest first.
RESULTS = """
SELECT subject, job, fingerprint, body, meta, created FROM result
WHERE subject = ANY ($1::text[]) AND job <> ALL ($2::text[]) ORDER BY created, id
"""
#: A page of the videos that have results.
SUBJECTS = "SELECT DISTINCT subject FROM result WHERE subject > $1 ORDER BY subject LIMIT $2"
#: Tasks by kind and state; live ones by lane; failed and held ones by trouble code.
COUNTS = """
SELECT 'task', kind, state, count(*) FROM task GROUP BY kind, state
UNION ALL
SELECT 'lane', lane, '', count(*) FROM task WHERE state = 'pending' GROUP BY lane
UNION ALL
SELECT 'lane', lane, '', count(*) FROM task WHERE state = 'running' GROUP BY lane
UNION ALL
SELECT 'trouble', trouble_code, '', count(*) FROM task
WHERE trouble_code IS NOT NULL AND state IN ('failed', 'held') GROUP BY trouble_code
"""

#: Pending tasks in groups that are alike, each with its oldest task. ($1: now.)
PENDING = f"""
WITH alike AS (
    SELECT
        count(DISTINCT coalesce(nullif(subject, ''), key)) AS items,
        min(wake_at) AS first, max(wake_at) AS last, min(id) AS example
    FROM task WHERE state = 'pending' GROUP BY kind, stage, lane, trouble_code, place, wake_at > $1
)
SELECT items, first, last, {TASK} FROM alike JOIN task ON task.id = example ORDER BY first, example
"""

_WORDS = ("done", "failed", "held", "cancelled", "working")
#: Scopes that are parked.
PARKED = "SELECT scope, until, trouble FROM parked WHERE until > $1 ORDER BY scope"
#: The ledger entries of some videos, oldest first.
SPENDS = f"SELECT {SPEND} FROM spend WHERE subject = ANY ($1::text[]) ORDER BY id"
#: The newest runs.
RUNS = "SELECT id, started, ended, exit_code, summary FROM run ORDER BY started DESC, number DESC LIMIT $1"
#: A page of the provider's answers from before a time, with the bytes of each.
ANSWERS = """
SELECT id, subject, fingerprint, octet_length(body) + octet_length(meta) FROM result
WHERE job = '_answer' AND created < $1 AND id > $2 ORDER BY id LIMIT $3
"""
#: A page of the videos that have changed.
CHANGED = "SELECT mark, key FROM changed WHERE mark > $1 ORDER BY mark LIMIT $2"
#: Runs behind the newest.
SURPLUS_RUNS = """
SELECT count(*), coalesce(sum(octet_length(summary)), 0)::bigint
FROM (SELECT summary FROM run ORDER BY started DESC, number DESC OFFSET $1) AS surplus
"""
#: Bytes of the tables and their indices. How much of it is unused, PostgreSQL does not say without reading all.
DISK_USE = "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest($1::text[]) AS known (name)"
#: A remembered value.
NOTE = "SELECT value FROM note WHERE name = $1"
_NOTES = "SELECT name, value FROM note WHERE name >= $1 AND name < $1 || chr(1114111) ORDER BY name"
_ITEMS = 200  #: read at once


def _texts(values: Sequence[str]) -> list[str]:
    """Return those that can be stored.

    The name of a file may be no Unicode, and then nothing is known of it.
    """
    return [each for each in values if storable_part(each) == each]


class PostgresRecords:
    """Records, and the reading half of Store and Journal.

    Who writes reads from the primary, because a standby lags behind: what was just written would be missing there, and a lease
    that was renewed would have ended. ``read_only``: whichever of the hosts answers first will do.
    """

    def __init__(self, address: DatabaseAddress, *, read_only: bool) -> None:
        self._address = address
        self._read_only = read_only
        self._host = ""
        self._steps: Mapping[tuple[str, str], Lane] | None = None
        self._reader = self._new_reader()

    def _new_reader(self) -> Link:
        return Link(self._address, read_only=self._read_only)

    def serve(self, host: str) -> None:
        """Give out what needs this host's disk, and what needs none."""
        self._host = host

    def know(self, steps: Mapping[tuple[str, str], Lane]) -> None:
        """Give out only tasks at these steps; until then, all.

        Each is a (kind, stage) with its lane. What another release has put stays in the queue for a host that knows it.
        """
        self._steps = steps

    async def _read(self, sql: str, *values: Any) -> list[Row]:
        return await self._reader.read(sql, *values)

    async def time(self) -> float:
        """Return the server's time, epoch seconds."""
        found: float = (await self._read("SELECT extract(epoch FROM clock_timestamp())::float8"))[0][0]
        return found

    async def expired(self, now: float | None, family: str = "") -> list[Task]:
        return [parse_task(row) for row in await self._read(EXPIRED, now, family)]

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        rows = await self._read(NEXT_DUE, [lane.value for lane in lanes], self._host, *columns_of(self._steps))
        due: float | None = rows[0][0]
        return due

    async def places(self) -> Mapping[str, WaitingHere]:
        return {place: WaitingHere(number, due) for place, number, due in await self._read(_PLACES)}

    async def tasks_of_place(self, place: str, kind: str, after_id: int, limit: int) -> list[Task]:
        return [parse_task(row) for row in await self._read(_OF_PLACE, place, kind, after_id, limit)]

    async def tasks(self, which: Selection) -> list[Task]:
        values = Values()
        query = selected(which, values)
        return [parse_task(row) for row in await self._read(TASKS.format(which=query), *values)]

    async def keys(self, which: Selection) -> list[tuple[int, str]]:
        values = Values()
        query = selected(which, values)
        return [(row[0], row[1]) for row in await self._read(KEYS.format(which=query), *values)]

    async def results(self, subjects: Sequence[str], without: Sequence[str] = ()) -> list[Result]:
        return [parse_result(row) for row in await self._read(RESULTS, _texts(subjects), [*without])]

    async def about(self, subject: str) -> About:
        values = Values()
        query, one = selected(Selection(subjects=(subject,)), values), _texts([subject])
        asked = [(TASKS.format(which=query), values), (RESULTS, [one, []]), (SPENDS, [one])]
        tasks, results, spends = await self._reader.read_all(asked)
        return About([*map(parse_task, tasks)], [*map(parse_result, results)], [*map(parse_spend, spends)])

    async def subjects(self, after: str, limit: int) -> list[str]:
        return [row[0] for row in await self._read(SUBJECTS, after, limit)]

    async def counts(self) -> Counts:
        by: defaultdict[str, dict[str, int]] = defaultdict(dict)
        in_lane: defaultdict[str, int] = defaultdict(int)
        troubles: dict[str, int] = {}
        for what, name, state, number in await self._read(COUNTS):
            match what:
                case "task":
                    by[name][state] = number
                case "lane":
                    in_lane[name] += number
                case _:
                    troubles[name] = number
        return Counts(dict(by), dict(in_lane), troubles)

    async def pending(self, now: float) -> list[PendingGroup]:
        return [PendingGroup(row[0], row[1], row[2], parse_task(row[3:])) for row in await self._read(PENDING, now)]

    async def tally(self, *, by_video: bool = False) -> Mapping[str, int]:
        rows = await self._read(tallies.TALLY_VIDEOS if by_video else tallies.TALLY)
        return dict(zip(_WORDS, rows[0], strict=True))

    async def stopped(self, kinds: Sequence[str], ignored: Sequence[int]) -> Stopped:
        values = ([*kinds], [*ignored])
        asked = [(tallies.STOPPED_CLASSES, values), (tallies.STOPPED_ITEMS, values)]
        by_class, items = await self._reader.read_all(asked)
        classes = {row[1] or "unknown": row[2] for row in by_class if not row[0]}
        return Stopped(items[0][0], classes, sum(row[2] for row in by_class if row[0]))

    async def parked(self, now: float) -> list[Parked]:
        return [parse_parked(row) for row in await self._read(PARKED, now)]

    async def spent(self, since: float = 0.0) -> tuple[float, float, int]:
        usd, minutes, doubtful = (await self._read(tallies.SPENT, since))[0]
        return usd, minutes, doubtful

    async def spends(self, subjects: Sequence[str]) -> list[Spend]:
        return [parse_spend(row) for row in await self._read(SPENDS, _texts(subjects))]

    async def costs(self, by: CostKey, since: float = 0.0) -> list[CostGroup]:
        return [CostGroup(row[0] or "", *row[1:]) for row in await self._read(tallies.costs(by), since)]

    async def daily(self) -> LedgerDays:
        rows = await self._read(tallies.DAILY)
        return LedgerDays({row[0]: row[1] for row in rows}, max((row[2] for row in rows), default=0))

    async def entered_since(self, number: int) -> list[CountedEntry]:
        return [CountedEntry(*row) for row in await self._read(tallies.ENTERED_SINCE, number)]

    async def items(self, which: ItemQuery) -> AsyncGenerator[Sequence[ListedItem], None]:
        # A connection of its own: others read while somebody looks at a page.
        reader = self._new_reader()
        try:
            sql, values = catalog.find_ids(which)
            async with reader.pages(sql, values) as pages:
                while found := await pages(_ITEMS):
                    query, more = catalog.details(which, [row[0] for row in found])
                    rows = await self._read(query, *more)
                    yield [parse_item(row, len(which.facts), catalog.read_fact) for row in rows]
        finally:
            await reader.aclose()

    async def runs(self, limit: int) -> list[RunNote]:
        return [parse_note(row) for row in await self._read(RUNS, limit)]

    async def load(self, name: str) -> Json | None:
        rows = await self._read(NOTE, name)
        return loads(rows[0][0]) if rows else None

    async def load_all(self, begins: str) -> Mapping[str, Json]:
        return {name: loads(value) for name, value in await self._read(_NOTES, begins)}

    async def changed_videos(self, after: int, limit: int) -> list[ChangedVideo]:
        return [ChangedVideo(*row) for row in await self._read(CHANGED, after, limit)]

    async def answers(self, before: float, after_id: int, limit: int) -> list[StoredAnswer]:
        return [StoredAnswer(*row) for row in await self._read(ANSWERS, before, after_id, limit)]

    async def surplus_runs(self, keep: int) -> tuple[int, int]:
        number, size = (await self._read(SURPLUS_RUNS, keep))[0]
        return number, size

    async def disk_use(self) -> DiskUse:
        return DiskUse((await self._read(DISK_USE, list(TABLES)))[0][0], 0)

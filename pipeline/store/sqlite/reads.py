"""Reads on a read-only connection that never waits for the writer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from json import loads
from pathlib import Path
from typing import TypeAlias

import anyio

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
    CALLS,
    SETTLES,
    SPEND,
    TASK,
    Row,
    parse_note,
    parse_parked,
    parse_result,
    parse_spend,
    parse_task,
    storable_part,
    to_json,
)
from pipeline.store.group_commit import GroupCommit
from pipeline.store.sqlite import catalog, tallies
from pipeline.store.sqlite.connection import Connection, Values
from pipeline.store.sqlite.errors import closed, translate_errors
from pipeline.store.sqlite.names import named
from pipeline.store.sqlite.packing import unpack
from pipeline.store.standing import parse_item

#: Tasks of a selection, in the order of their first submission.
TASKS = f"SELECT {TASK} FROM task WHERE id IN ({{which}}) ORDER BY id"
#: Of the same, ids and keys.
KEYS = "SELECT id, key FROM task WHERE id IN ({which}) ORDER BY id"
#: Running tasks whose lease ended before ``:now`` (NULL: all).
EXPIRED = f"""
SELECT {TASK} FROM task INDEXED BY task_lease
WHERE state = 'running' AND (:now IS NULL OR wake_at < :now) AND substr(owner, 1, length(:family)) = :family
ORDER BY wake_at, id
"""

#: The smallest due time in some lanes; one index look per rank that occurs.
NEXT_DUE = """
WITH RECURSIVE
asked (lane) AS MATERIALIZED (
    SELECT DISTINCT value FROM json_each(:lanes)
),
rung (lane, rank) AS (
    SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = asked.lane) FROM asked
    UNION ALL
    SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = rung.lane AND rank < rung.rank)
    FROM rung WHERE rung.rank IS NOT NULL
)
SELECT min((SELECT min(wake_at) FROM task WHERE state = 'pending' AND lane = rung.lane AND rank = rung.rank))
FROM rung WHERE rung.rank IS NOT NULL
"""

#: The results of some videos but for some jobs, oldest first.
RESULTS = """
SELECT subject, job, fingerprint, body, meta, created, packed FROM result
WHERE subject IN (SELECT value FROM json_each(?1)) AND job NOT IN (SELECT value FROM json_each(?2)) ORDER BY created, id
"""
#: A page of the videos that have results.
SUBJECTS = "SELECT DISTINCT subject FROM result WHERE subject > ? ORDER BY subject LIMIT ?"
#: Tasks by kind and state; live ones by lane; failed and held ones by trouble code. Each part walks a covering index; the first
#: one looks for each pair that there is, because to count a range costs a third of what it costs to group it.
COUNTS = """
WITH RECURSIVE
known (state) AS (
    SELECT min(state) FROM task
    UNION ALL
    SELECT (SELECT min(state) FROM task WHERE task.state > known.state) FROM known WHERE state IS NOT NULL
),
pair (state, kind) AS (
    SELECT state, (SELECT min(kind) FROM task WHERE task.state = known.state) FROM known WHERE state IS NOT NULL
    UNION ALL
    SELECT state, (SELECT min(kind) FROM task WHERE task.state = pair.state AND task.kind > pair.kind)
    FROM pair WHERE kind IS NOT NULL
)
SELECT 'task', kind, state, (SELECT count(*) FROM task WHERE task.state = pair.state AND task.kind = pair.kind)
FROM pair WHERE kind IS NOT NULL
UNION ALL
SELECT 'lane', lane, '', count(*) FROM task INDEXED BY task_due WHERE state = 'pending' GROUP BY lane
UNION ALL
SELECT 'lane', lane, '', count(*) FROM task INDEXED BY task_lease WHERE state = 'running' GROUP BY lane
UNION ALL
SELECT 'trouble', trouble_code, '', count(*) FROM task{by_stop}
WHERE state IN ('failed', 'held') AND trouble_code IS NOT NULL GROUP BY state, kind, trouble_code
"""

#: Pending tasks in groups that are alike, each with its oldest task.
PENDING = f"""
WITH alike AS (
    SELECT
        count(DISTINCT coalesce(nullif(subject, ''), key)) AS items,
        min(wake_at) AS first, max(wake_at) AS last, min(id) AS example
    FROM task WHERE state = 'pending' GROUP BY kind, stage, lane, trouble_code, wake_at > :now
)
SELECT items, first, last, {TASK} FROM alike JOIN task ON task.id = example ORDER BY first, example
"""

_WORDS = ("done", "failed", "held", "cancelled", "working")
#: Scopes that are parked.
PARKED = "SELECT scope, until, trouble FROM parked WHERE until > ? ORDER BY scope"
#: The ledger in three numbers.
SPENT = "SELECT total(usd), total(minutes), coalesce(sum(doubtful), 0) FROM spend WHERE at >= ?"
#: The ledger entries of some videos, oldest first.
SPENDS = f"""
SELECT {SPEND} FROM spend
WHERE subject IN (SELECT value FROM json_each(?)) ORDER BY id
"""
#: The ledger in groups, in one pass. ``{name}`` is what they are named by.
COSTS = f"""
WITH part AS (
    SELECT
        {{name}} AS name,
        sum({CALLS}) AS calls, sum({CALLS} * (what = 'ask' AND usd = 0 AND estimate = 0)) AS unpriced,
        sum({SETTLES}) AS settled,
        total(estimate * (NOT doubtful)) AS estimate, total(usd * (NOT doubtful)) AS usd, total(minutes) AS minutes,
        sum(doubtful) AS doubtful, total(usd * doubtful) AS doubtful_usd,
        count(DISTINCT nullif(subject, '')) AS videos
    FROM spend WHERE at >= ? GROUP BY 1
)
SELECT
    {{shown}}, calls, settled, estimate, usd, minutes, doubtful, doubtful_usd, videos, unpriced
FROM part ORDER BY 1
"""
#: (what groups are named by, how that is shown)
_GROUPED: Mapping[CostKey, tuple[str, str]] = {
    "kind": ("what", "name"),
    "job": ("CASE WHEN jobs = '' THEN what ELSE jobs END", "name"),
    "run": ("run", "name"),
    "day": ("strftime('%Y-%m-%d', at, 'unixepoch')", "name"),
    "month": ("strftime('%Y-%m', at, 'unixepoch')", "name"),
    "source": (
        "subject",
        "coalesce((SELECT key FROM task WHERE subject = name AND kind = 'item' AND name <> '' ORDER BY id LIMIT 1), name)",
    ),
}
#: The newest runs.
RUNS = "SELECT id, started, ended, exit_code, summary FROM run ORDER BY started DESC, rowid DESC LIMIT ?"
#: A page of the provider's answers from before a time, with the bytes of each.
ANSWERS = """
SELECT id, subject, fingerprint, length(CAST(body AS BLOB)) + length(CAST(meta AS BLOB)) + coalesce(length(packed), 0)
FROM result
WHERE job = '_answer' AND created < ? AND id > ? ORDER BY id LIMIT ?
"""
#: Runs behind the newest.
SURPLUS_RUNS = """
SELECT count(*), coalesce(sum(length(CAST(summary AS BLOB))), 0)
FROM (SELECT summary FROM run ORDER BY started DESC, rowid DESC LIMIT -1 OFFSET ?)
"""
#: Bytes of the file, and of its unused pages.
DISK_USE = """
SELECT page_count * page_size, freelist_count * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
#: A page of the videos that have changed.
CHANGED = "SELECT mark, key FROM changed WHERE mark > ? ORDER BY mark LIMIT ?"
#: A remembered value.
NOTE = "SELECT value FROM note WHERE name = ?"
_NOTES = "SELECT name, value FROM note WHERE name >= :begins AND name < :begins || char(1114111) ORDER BY name"
_ITEMS = 200  #: read at once
_COLUMNS = {
    "kinds": "kind", "keys": "key", "subjects": "subject", "states": "state", "stages": "stage", "classes": "trouble_code",
}  # fmt: skip


def selected(which: Selection, *, indexed: bool = True) -> tuple[str, dict[str, Json]]:
    """Return a query for the ids of a selection, and its parameters.

    ``indexed``: the file has an index of names; one of an early release has not.
    """
    where = ["id > :after_id"]
    values: dict[str, Json] = {"after_id": which.after_id, "limit": which.limit or -1}
    for field, column in _COLUMNS.items():
        wanted = getattr(which, field)
        if len(wanted) == 1 and storable_part(wanted[0]) == wanted[0]:  # a file's name may be no Unicode
            # One value keeps the index in the order of the ids, so that a page costs only its own rows.
            where.append(f"{column} = :{field}")
            values[field] = wanted[0]
        elif wanted:
            where.append(f"{column} IN (SELECT value FROM json_each(:{field}))")
            values[field] = to_json(list(wanted))
    if which.since:
        where.append("updated >= :since")
        values["since"] = which.since
    if which.begins:
        where.append("subject >= :begins AND subject < :begins || char(1114111)")
        values["begins"] = which.begins
    if which.mentions:
        found = " UNION ALL ".join(named(" AND ".join(where), which.mentions, values, indexed=indexed))
        return f"SELECT id FROM ({found}) ORDER BY id LIMIT :limit", values
    return f"SELECT id FROM task WHERE {' AND '.join(where)} ORDER BY id LIMIT :limit", values


#: A query with its parameters.
_Query: TypeAlias = tuple[str, Values]


class SqliteRecords:
    """Records, and the reading half of Store and Journal.

    An answer is one statement, so it shows one moment; only :meth:`about` takes three.
    """

    def __init__(self, reader: Connection, path: Path) -> None:
        self._reader = reader
        self._indexed = reader.indexed
        self._path = path
        self._closed = False
        # Reads that arrive while the connection is busy share the next hop to its thread.
        self._reads: GroupCommit[Sequence[_Query], list[list[Row]]] = GroupCommit(anyio.Lock(), self._read_all)

    async def _read(self, sql: str, values: Values = ()) -> list[Row]:
        return (await self._reads.join([(sql, values)]))[0]

    async def _read_all(self, requests: Sequence[Sequence[_Query]]) -> list[list[list[Row]]]:
        if self._closed:
            raise closed(self._path)
        with translate_errors(self._path):
            return await self._reader.run(
                lambda db: [[db.execute(*query).fetchall() for query in queries] for queries in requests]
            )

    async def expired(self, now: float | None, family: str = "") -> list[Task]:
        return [parse_task(row) for row in await self._read(EXPIRED, {"now": now, "family": family})]

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        rows = await self._read(NEXT_DUE, {"lanes": to_json([lane.value for lane in lanes])})
        due: float | None = rows[0][0]
        return due

    async def places(self) -> Mapping[str, WaitingHere]:
        await self._read("SELECT 1", ())  # it must be open
        return {}

    async def tasks_of_place(self, place: str, kind: str, after_id: int, limit: int) -> list[Task]:
        await self._read("SELECT 1", ())
        return []

    async def tasks(self, which: Selection) -> list[Task]:
        query, values = selected(which, indexed=self._indexed)
        return [parse_task(row) for row in await self._read(TASKS.format(which=query), values)]

    async def keys(self, which: Selection) -> list[tuple[int, str]]:
        query, values = selected(which, indexed=self._indexed)
        return [(row[0], row[1]) for row in await self._read(KEYS.format(which=query), values)]

    async def results(self, subjects: Sequence[str], without: Sequence[str] = ()) -> list[Result]:
        asked = (to_json(list(subjects)), to_json(list(without)))
        return [parse_result(unpack(row)) for row in await self._read(RESULTS, asked)]

    async def about(self, subject: str) -> About:
        query, values = selected(Selection(subjects=(subject,)))
        one = (to_json([subject]),)
        asked: list[_Query] = [(TASKS.format(which=query), values), (RESULTS, (*one, "[]")), (SPENDS, one)]
        tasks, results, spends = await self._reads.join(asked)
        return About(
            [*map(parse_task, tasks)], [parse_result(unpack(row)) for row in results], [*map(parse_spend, spends)]
        )

    async def subjects(self, after: str, limit: int) -> list[str]:
        return [row[0] for row in await self._read(SUBJECTS, (after, limit))]

    async def counts(self) -> Counts:
        by: defaultdict[str, dict[str, int]] = defaultdict(dict)
        in_lane: defaultdict[str, int] = defaultdict(int)
        troubles: defaultdict[str, int] = defaultdict(int)
        for what, name, state, number in await self._read(tallies.of_schema(COUNTS, indexed=self._indexed)):
            match what:
                case "task":
                    by[name][state] = number
                case "lane":
                    in_lane[name] += number
                case _:
                    troubles[name] += number
        return Counts(dict(by), dict(in_lane), dict(troubles))

    async def pending(self, now: float) -> list[PendingGroup]:
        rows = await self._read(PENDING, {"now": now})
        return [PendingGroup(row[0], row[1], row[2], parse_task(row[3:])) for row in rows]

    async def tally(self, *, by_video: bool = False) -> Mapping[str, int]:
        sql = tallies.TALLY_VIDEOS if by_video else tallies.TALLY
        row = (await self._read(tallies.of_schema(sql, indexed=self._indexed)))[0]
        return dict(zip(_WORDS, row, strict=True))

    async def stopped(self, kinds: Sequence[str], ignored: Sequence[int]) -> Stopped:
        values = {"kinds": to_json(list(kinds)), "ignored": to_json(list(ignored))}
        by_class = await self._read(tallies.of_schema(tallies.STOPPED_CLASSES, indexed=self._indexed), values)
        items = await self._read(tallies.of_schema(tallies.STOPPED_ITEMS, indexed=self._indexed), values)
        classes = {row[1] or "unknown": row[2] for row in by_class if not row[0]}
        return Stopped(items[0][0], classes, sum(row[2] for row in by_class if row[0]))

    async def parked(self, now: float) -> list[Parked]:
        return [parse_parked(row) for row in await self._read(PARKED, (now,))]

    async def spent(self, since: float = 0.0) -> tuple[float, float, int]:
        usd, minutes, doubtful = (await self._read(SPENT, (since,)))[0]
        return usd, minutes, doubtful

    async def spends(self, subjects: Sequence[str]) -> list[Spend]:
        return [parse_spend(row) for row in await self._read(SPENDS, (to_json(list(subjects)),))]

    async def costs(self, by: CostKey, since: float = 0.0) -> list[CostGroup]:
        name, shown = _GROUPED[by]
        rows = await self._read(COSTS.format(name=name, shown=shown), (since,))
        return [CostGroup(row[0] or "", *row[1:]) for row in rows]

    async def daily(self) -> LedgerDays:
        rows = await self._read(tallies.DAILY)
        return LedgerDays({row[0]: row[1] for row in rows}, max((row[2] for row in rows), default=0))

    async def entered_since(self, number: int) -> list[CountedEntry]:
        return [CountedEntry(*row) for row in loads((await self._read(tallies.ENTERED_SINCE, (number,)))[0][0])]

    async def items(self, which: ItemQuery) -> AsyncGenerator[Sequence[ListedItem], None]:
        rare = catalog.rare_states(which)
        if rare and (await self._read(catalog.COUNT_FEW, (to_json(list(rare)),)))[0][0] > catalog.FEW:
            rare = ()
        beginning = (await self._read(catalog.COUNT_BEGINNING, {"begins": which.begins}))[0][0] if which.begins else 0
        found = catalog.find_ids(which, rare=rare, few=beginning <= catalog.FEW, indexed=self._indexed)
        with translate_errors(self._path):
            ids = await self._reader.run(lambda db: db.execute(*found))
        try:
            while True:
                with translate_errors(self._path):
                    page = await self._reader.run(lambda _: ids.fetchmany(_ITEMS))
                if not page:
                    return
                rows = await self._read(*catalog.details(which, [row[0] for row in page]))
                yield [parse_item(row, len(which.facts)) for row in rows]
        finally:
            with anyio.CancelScope(shield=True):
                await self._reader.run(lambda _: ids.close())

    async def runs(self, limit: int) -> list[RunNote]:
        return [parse_note(row) for row in await self._read(RUNS, (limit,))]

    async def load(self, name: str) -> Json | None:
        rows = await self._read(NOTE, (name,))
        return loads(rows[0][0]) if rows else None

    async def load_all(self, begins: str) -> Mapping[str, Json]:
        return {name: loads(value) for name, value in await self._read(_NOTES, {"begins": begins})}

    async def changed_videos(self, after: int, limit: int) -> list[ChangedVideo]:
        return [ChangedVideo(*row) for row in await self._read(CHANGED, (after, limit))]

    async def answers(self, before: float, after_id: int, limit: int) -> list[StoredAnswer]:
        return [StoredAnswer(*row) for row in await self._read(ANSWERS, (before, after_id, limit))]

    async def surplus_runs(self, keep: int) -> tuple[int, int]:
        number, size = (await self._read(SURPLUS_RUNS, (keep,)))[0]
        return number, size

    async def disk_use(self) -> DiskUse:
        return DiskUse(*(await self._read(DISK_USE))[0])

"""Reads on a read-only connection that never waits for the writer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from json import loads
from pathlib import Path
from typing import TypeAlias

import anyio

from pipeline.core.model import (
    REFUND,
    SETTLEMENTS,
    About,
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
    StoredAnswer,
    Task,
)
from pipeline.store.encoding import (
    SPEND,
    TASK,
    Row,
    escaped_pattern,
    parse_note,
    parse_parked,
    parse_result,
    parse_spend,
    parse_task,
    to_json,
)
from pipeline.store.sqlite import catalog
from pipeline.store.sqlite.connection import Connection, Values
from pipeline.store.sqlite.errors import closed, translate_errors
from pipeline.store.sqlite.group_commit import GroupCommit

#: Tasks of a selection, in the order of their first submission.
TASKS = f"SELECT {TASK} FROM task WHERE id IN ({{which}}) ORDER BY id"
#: Running tasks whose lease ended before ``:now`` (NULL: all).
EXPIRED = f"""
SELECT {TASK} FROM task INDEXED BY task_lease
WHERE state = 'running' AND (:now IS NULL OR wake_at < :now) ORDER BY wake_at, id
"""

#: The smallest due time in lanes that are not parked; one index look per rank that occurs.
NEXT_DUE = """
WITH RECURSIVE
open (lane) AS MATERIALIZED (
    SELECT DISTINCT value FROM json_each(:lanes) WHERE value NOT IN (SELECT scope FROM parked WHERE until > :now)
),
rung (lane, rank) AS (
    SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = open.lane) FROM open
    UNION ALL
    SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = rung.lane AND rank < rung.rank)
    FROM rung WHERE rung.rank IS NOT NULL
)
SELECT min((SELECT min(wake_at) FROM task WHERE state = 'pending' AND lane = rung.lane AND rank = rung.rank))
FROM rung WHERE rung.rank IS NOT NULL
"""

#: The results of some videos but for some jobs, oldest first.
RESULTS = """
SELECT subject, job, fingerprint, body, meta, created FROM result
WHERE subject IN (SELECT value FROM json_each(?1)) AND job NOT IN (SELECT value FROM json_each(?2)) ORDER BY created, id
"""
#: A page of the videos that have results.
SUBJECTS = "SELECT DISTINCT subject FROM result WHERE subject > ? ORDER BY subject LIMIT ?"
#: Tasks by kind and state; live ones by lane; failed and held ones by trouble code. Each part walks a covering index.
COUNTS = """
SELECT 'task', kind, state, count(*) FROM task GROUP BY state, kind
UNION ALL
SELECT 'lane', lane, '', count(*) FROM task INDEXED BY task_due WHERE state = 'pending' GROUP BY lane
UNION ALL
SELECT 'lane', lane, '', count(*) FROM task INDEXED BY task_lease WHERE state = 'running' GROUP BY lane
UNION ALL
SELECT 'trouble', trouble_code, '', count(*) FROM task INDEXED BY task_trouble
WHERE trouble_code IS NOT NULL AND state IN ('failed', 'held') GROUP BY trouble_code
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
#: Each video by its items, and by the worst of its tasks: 3 held, 2 failed, 1 working, 0 done. One pass over an index.
_BY_VIDEO = """
WITH video AS (
    SELECT
        subject,
        sum(kind = 'item' AND state = 'done') AS done,
        sum(kind = 'item' AND state = 'failed') AS failed,
        sum(kind = 'item' AND state = 'held') AS held,
        sum(kind = 'item' AND state = 'cancelled') AS cancelled,
        sum(kind = 'item' AND state IN ('pending', 'running')) AS working,
        max(CASE
            WHEN subject = '' THEN 0
            WHEN state = 'held' THEN 3
            WHEN state = 'failed' THEN 2
            WHEN state IN ('pending', 'running') THEN 1
            ELSE 0
        END) AS worst
    FROM task GROUP BY subject
)
"""

#: Items by how they stand as a whole.
TALLY = f"""
{_BY_VIDEO}
SELECT
    coalesce(sum(done * (worst = 0)), 0), coalesce(sum(failed + done * (worst = 2)), 0),
    coalesce(sum(held + done * (worst = 3)), 0), coalesce(sum(cancelled), 0),
    coalesce(sum(working + done * (worst = 1)), 0)
FROM video
"""

#: Videos by the worst of their items; an item without a subject is a video of its own.
TALLY_VIDEOS = f"""
{_BY_VIDEO},
told AS (
    SELECT *, CASE
        WHEN subject = '' THEN NULL
        WHEN held > 0 OR done > 0 AND worst = 3 THEN 'held'
        WHEN failed > 0 OR done > 0 AND worst = 2 THEN 'failed'
        WHEN working > 0 OR done > 0 AND worst = 1 THEN 'working'
        WHEN done > 0 THEN 'done'
        WHEN cancelled > 0 THEN 'cancelled'
        ELSE ''
    END AS word
    FROM video
)
SELECT
    coalesce(sum(coalesce(word = 'done', done)), 0), coalesce(sum(coalesce(word = 'failed', failed)), 0),
    coalesce(sum(coalesce(word = 'held', held)), 0), coalesce(sum(coalesce(word = 'cancelled', cancelled)), 0),
    coalesce(sum(coalesce(word = 'working', working)), 0)
FROM told
"""
#: Scopes that are parked.
PARKED = "SELECT scope, until, trouble FROM parked WHERE until > ? ORDER BY scope"
#: The ledger in three numbers.
SPENT = "SELECT total(usd), total(minutes), coalesce(sum(doubtful), 0) FROM spend WHERE at >= ?"
#: The ledger entries of some videos, oldest first.
SPENDS = f"""
SELECT {SPEND} FROM spend
WHERE subject IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_SETTLEMENT = " OR ".join(f"key LIKE '%{ending}'" for ending in SETTLEMENTS)
#: The ledger in groups, in one pass. ``{name}`` is what they are named by.
COSTS = f"""
WITH part AS (
    SELECT
        {{name}} AS name,
        sum(CASE WHEN key LIKE '%{REFUND}' THEN -1 WHEN {_SETTLEMENT} THEN 0 ELSE 1 END) AS calls,
        sum({_SETTLEMENT}) AS settled,
        total(estimate * (NOT doubtful)) AS estimate, total(usd * (NOT doubtful)) AS usd, total(minutes) AS minutes,
        sum(doubtful) AS doubtful, total(usd * doubtful) AS doubtful_usd,
        count(DISTINCT nullif(subject, '')) AS videos
    FROM spend WHERE at >= ? GROUP BY 1
)
SELECT {{shown}}, calls, settled, estimate, usd, minutes, doubtful, doubtful_usd, videos FROM part ORDER BY 1
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
SELECT id, subject, fingerprint, length(CAST(body AS BLOB)) + length(CAST(meta AS BLOB)) FROM result
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
#: A remembered value.
NOTE = "SELECT value FROM note WHERE name = ?"
_MENTIONS = """
EXISTS (
    SELECT 1 FROM json_each(:mentions) AS text
    WHERE data LIKE text.value ESCAPE '^' OR key LIKE text.value ESCAPE '^' OR subject LIKE text.value ESCAPE '^'
)
"""
_ITEMS = 200  #: read at once
_COLUMNS = {"kinds": "kind", "keys": "key", "subjects": "subject", "states": "state", "classes": "trouble_code"}


def selected(which: Selection) -> tuple[str, dict[str, Json]]:
    """Return a query for the ids of a selection, and its parameters."""
    where = ["id > :after_id"]
    values: dict[str, Json] = {"after_id": which.after_id, "limit": which.limit or -1}
    for field, column in _COLUMNS.items():
        wanted = getattr(which, field)
        if len(wanted) == 1:
            # One value keeps the index in the order of the ids, so that a page costs only its own rows.
            where.append(f"{column} = :{field}")
            values[field] = wanted[0]
        elif wanted:
            where.append(f"{column} IN (SELECT value FROM json_each(:{field}))")
            values[field] = to_json(list(wanted))
    if which.since:
        where.append("updated >= :since")
        values["since"] = which.since
    if which.mentions:
        where.append(_MENTIONS)
        values["mentions"] = to_json([f"%{escaped_pattern(text)}%" for text in which.mentions])
    return f"SELECT id FROM task WHERE {' AND '.join(where)} ORDER BY id LIMIT :limit", values


#: A query with its parameters.
_Query: TypeAlias = tuple[str, Values]


class SqliteRecords:
    """Records, and the reading half of Store and Journal.

    An answer is one statement, so it shows one moment; only :meth:`about` takes three.
    """

    def __init__(self, reader: Connection, path: Path) -> None:
        self._reader = reader
        self._path = path
        self._closed = False
        # Reads that arrive while the connection is busy share the next hop to its thread.
        self._reads: GroupCommit[Sequence[_Query], list[list[Row]]] = GroupCommit(anyio.Lock(), self._read_all)
        self._last_claim = 0.0  #: epoch seconds: what "now" means where a call does not say it

    async def _read(self, sql: str, values: Values = ()) -> list[Row]:
        return (await self._reads.join([(sql, values)]))[0]

    async def _read_all(self, requests: Sequence[Sequence[_Query]]) -> list[list[list[Row]]]:
        if self._closed:
            raise closed(self._path)
        with translate_errors(self._path):
            return await self._reader.run(
                lambda db: [[db.execute(*query).fetchall() for query in queries] for queries in requests]
            )

    async def expired(self, now: float | None) -> list[Task]:
        return [parse_task(row) for row in await self._read(EXPIRED, {"now": now})]

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        rows = await self._read(NEXT_DUE, {"lanes": to_json([lane.value for lane in lanes]), "now": self._last_claim})
        due: float | None = rows[0][0]
        return due

    async def tasks(self, which: Selection) -> list[Task]:
        query, values = selected(which)
        return [parse_task(row) for row in await self._read(TASKS.format(which=query), values)]

    async def results(self, subjects: Sequence[str], without: Sequence[str] = ()) -> list[Result]:
        asked = (to_json(list(subjects)), to_json(list(without)))
        return [parse_result(row) for row in await self._read(RESULTS, asked)]

    async def about(self, subject: str) -> About:
        query, values = selected(Selection(subjects=(subject,)))
        one = (to_json([subject]),)
        asked: list[_Query] = [(TASKS.format(which=query), values), (RESULTS, (*one, "[]")), (SPENDS, one)]
        tasks, results, spends = await self._reads.join(asked)
        return About([*map(parse_task, tasks)], [*map(parse_result, results)], [*map(parse_spend, spends)])

    async def subjects(self, after: str, limit: int) -> list[str]:
        return [row[0] for row in await self._read(SUBJECTS, (after, limit))]

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
        rows = await self._read(PENDING, {"now": now})
        return [PendingGroup(row[0], row[1], row[2], parse_task(row[3:])) for row in rows]

    async def tally(self, *, by_video: bool = False) -> Mapping[str, int]:
        row = (await self._read(TALLY_VIDEOS if by_video else TALLY))[0]
        return dict(zip(_WORDS, row, strict=True))

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

    async def items(self, which: ItemQuery) -> AsyncGenerator[Sequence[ListedItem], None]:
        rare = catalog.rare_states(which)
        if rare and (await self._read(catalog.COUNT_FEW, (to_json(list(rare)),)))[0][0] > catalog.FEW:
            rare = ()
        found = catalog.find_ids(which, rare=rare)
        with translate_errors(self._path):
            ids = await self._reader.run(lambda db: db.execute(*found))
        try:
            while True:
                with translate_errors(self._path):
                    page = await self._reader.run(lambda _: ids.fetchmany(_ITEMS))
                if not page:
                    return
                rows = await self._read(*catalog.details(which, [row[0] for row in page]))
                yield [catalog.parse_item(row, len(which.facts)) for row in rows]
        finally:
            with anyio.CancelScope(shield=True):
                await self._reader.run(lambda _: ids.close())

    async def runs(self, limit: int) -> list[RunNote]:
        return [parse_note(row) for row in await self._read(RUNS, (limit,))]

    async def load(self, name: str) -> Json | None:
        rows = await self._read(NOTE, (name,))
        return loads(rows[0][0]) if rows else None

    async def answers(self, before: float, after_id: int, limit: int) -> list[StoredAnswer]:
        return [StoredAnswer(*row) for row in await self._read(ANSWERS, (before, after_id, limit))]

    async def surplus_runs(self, keep: int) -> tuple[int, int]:
        number, size = (await self._read(SURPLUS_RUNS, (keep,)))[0]
        return number, size

    async def disk_use(self) -> DiskUse:
        return DiskUse(*(await self._read(DISK_USE))[0])

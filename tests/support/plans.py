"""How PostgreSQL carries out each statement of the store over large tables: what it reads, and how many blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.store.postgres import queries, reads, tallies
from pipeline.store.postgres.handout import hint_queries

#: What grows with the work that was ever done; the others hold few rows.
LARGE = frozenset({"task", "result", "spend", "pgqueuer", "pgqueuer_log"})
#: Statements that are about all rows, or that no step makes: an operator's, and what belongs to no table.
WHOLE = frozenset({
    "queries.KNOWN", "queries.CANCEL", "queries.RETRY", "queries.COMPACT", "queries.CHANNEL", "queries.TELL",
    "queries.ALONE", "queries.ALONE_IN_LEDGER", "queries.OWNS", "hint_queries.KNOWN", "hint_queries.SILENCE",
    "hint_queries.INSTALLED",
})  # fmt: skip
NOW = 1_000.0
_FILL = (
    """
    INSERT INTO task (kind, key, stage, state, lane, rank, wake_at, subject, stage_since, created, updated, owner, token, data,
        rearm_stage, rearm_lane, rearm_rank, rearm_due)
    SELECT CASE n % 2 WHEN 0 THEN 'item' ELSE 'video' END, 'k' || n, 'one', state, lane, n % 7,
        CASE state WHEN 'done' THEN NULL WHEN 'running' THEN 2000 ELSE CASE n % 10 WHEN 1 THEN 900 ELSE 90000 END END,
        'v' || n / 2, 0, 0, 0, CASE state WHEN 'running' THEN 'host:' || n END, 1, '{}',
        'one', lane, 0, 0
    FROM (
        SELECT n, CASE WHEN n % 10 < 8 THEN 'done' WHEN n % 1000 = 9 THEN 'running' ELSE 'pending' END AS state,
            (ARRAY['fetch', 'upload', 'poll', 'analyze', 'write'])[1 + n % 5] AS lane
        FROM generate_series(1, $1::bigint) AS n
    ) AS made
    """,
    """
    UPDATE task SET trouble = '{"code":"rare"}'
    WHERE id IN (SELECT id FROM task WHERE state = 'pending' AND $1::bigint > 0 LIMIT 20)
    """,
    """
    INSERT INTO result (subject, job, fingerprint, body, meta, created)
    SELECT 'v' || n, CASE n % 50 WHEN 0 THEN '_answer' ELSE 'gist' END, 'f', '{}', '{}', n
    FROM generate_series(1, $1::bigint) AS n
    """,
    """
    INSERT INTO spend (key, what, usd, minutes, subject, doubtful, at, estimate, jobs, run)
    SELECT 's' || n, 'analyze', 0.5, 1, 'v' || n, 0, n, 0, '', 'r' FROM generate_series(1, $1::bigint) AS n
    """,
    """
    INSERT INTO pgqueuer (priority, execute_after, status, entrypoint, dedupe_key, payload)
    SELECT rank, to_timestamp(wake_at), CASE state WHEN 'running' THEN 'picked' ELSE 'queued' END::pgqueuer_status, lane,
        id::text, id::text::bytea FROM task WHERE state IN ('pending', 'running') AND $1::bigint > 0
    """,
    """
    INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint)
    SELECT now() - make_interval(secs => n / 100), n, 'successful', 0, 'fetch' FROM generate_series(1, $1::bigint) AS n
    """,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one statement does."""

    name: str
    scans: Sequence[str]  #: large tables that are read from end to end, as planned for these values or for any
    blocks: int  #: of 8 kB, read or written


async def fill(link: Any, rows: int) -> None:
    """Put so many tasks, results, entries and lines of PgQueuer's log, and hints for what is pending: a fifth."""
    await link.execute("SET search_path = reelmill")
    for table in sorted(
        LARGE
    ):  # or the server looks at the rows again whenever it comes to that, perhaps between two plans
        await link.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    for statement in _FILL:
        await link.execute(statement, rows)
    await link.execute("VACUUM (ANALYZE) task, result, spend, pgqueuer, pgqueuer_log")


def statements(ids: Sequence[int]) -> Mapping[str, tuple[str, Sequence[Any]]]:
    """Return each statement that a step, a claim or a sweep makes, by its name, with parameters for 25 tasks."""
    some = [*ids][:25]
    names = [f"k{number}" for number in some]
    kinds = ["item" if number % 2 == 0 else "video" for number in some]
    nothing, many = [None] * len(some), len(some)
    move = (
        some, ["done"] * many, ["one"] * many, ["fetch"] * many, [0] * many, [0] * many, [0] * many, nothing, [0.0] * many,
        nothing, nothing, nothing, [True] * many, [0.0] * many, [True] * many,
    )  # fmt: skip
    lanes, step = ["fetch", "upload", "poll", "analyze", "write"], (["item", "video"], ["one", "one"])
    texts = [f"new{number}" for number in some]
    return {
        "queries.LOCK": (queries.LOCK, (some, kinds, names)),
        "queries.FIND_DUE": (queries.FIND_DUE, (lanes, [5] * 5, NOW, "host", *step)),
        "queries.AT_WORK": (queries.AT_WORK, ("upload", "poll", 200)),
        "queries.TAKE": (queries.TAKE, (some, "me", NOW + 60, NOW)),
        "queries.GIVE_BACK": (queries.GIVE_BACK, ("host:9", 2_000.0, 0.0)),
        "queries.RENEW": (queries.RENEW, (some, ["host:1"] * many, [1] * many, NOW + 90)),
        "queries.MOVE": (queries.MOVE, move),
        "queries.RESTART_ENDED": (queries.RESTART_ENDED, (some[0], NOW)),
        "queries.KEEP_RESULT": (queries.KEEP_RESULT, (texts, texts, texts, texts, texts, [0.0] * many)),
        "queries.ENTER_SPEND": (
            queries.ENTER_SPEND,
            (texts, texts, [0.0] * many, [0.0] * many, texts, [0] * many, [0.0] * many, [0.0] * many, texts, texts),
        ),
        "queries.EXISTING": (queries.EXISTING, (kinds, names, [True] * many)),
        "queries.INSERT": (
            queries.INSERT,
            (kinds, texts, texts, lanes * 5, [0] * many, [0.0] * many, texts, [0.0] * many, ["{}"] * many),
        ),
        "queries.RESTART": (queries.RESTART, ("item", "k2", "one", "fetch", 0, 0.0, NOW, "{}")),
        "queries.RESTART_LATER": (queries.RESTART_LATER, ("item", "k2", "one", "fetch", 0, 0.0, NOW)),
        "queries.MERGE": (queries.MERGE, ("item", "k2", "{}", NOW)),
        "queries.PARK": (queries.PARK, ("fetch", NOW, "{}", NOW)),
        "queries.WAKE": (queries.WAKE, (["rare"], NOW)),
        "queries.BRING_FORWARD": (queries.BRING_FORWARD, (NOW * 1e6, lanes)),
        "queries.UNPARK_LATER": (queries.UNPARK_LATER, (NOW, True)),
        "queries.UNPARK": (queries.UNPARK, (["fetch"],)),
        "queries.NOTE_RUN": (queries.NOTE_RUN, ("r", NOW, None, None, "{}")),
        "queries.DROP_ANSWERS": (queries.DROP_ANSWERS, (some,)),
        "queries.DROP_RUNS": (queries.DROP_RUNS, (5,)),
        "queries.FORGET": (queries.FORGET, (some,)),
        "queries.FORGET_RESULTS": (queries.FORGET_RESULTS, ("v5",)),
        "queries.RENAME_SPENDS": (queries.RENAME_SPENDS, ("v5", "forgotten/x/")),
        "queries.SAVE": (queries.SAVE, ("name", "1")),
        "queries.DROP": (queries.DROP, ("name",)),
        "queries.CATCH_UP": (queries.CATCH_UP, ([1, 2],)),
        "reads.NEXT_DUE": (reads.NEXT_DUE, (lanes, "host", *step)),
        "reads.EXPIRED": (reads.EXPIRED, (NOW, "")),
        "tallies.ENTERED_SINCE": (tallies.ENTERED_SINCE, (10**12,)),
        "hint_queries.DUE": (hint_queries.DUE, (lanes, lanes, NOW)),
        "hint_queries.TAKE": (hint_queries.TAKE, (some, "me", NOW + 60, NOW, *step)),
        "hint_queries.PENDING": (hint_queries.PENDING, (some,)),
        "hint_queries.BUSY": (hint_queries.BUSY, (some,)),
        "hint_queries.WRITTEN": (hint_queries.WRITTEN, (some, kinds, names)),
        "hint_queries.PICKED": (hint_queries.PICKED, ([str(number) for number in some],)),
        "hint_queries.MAY_SWEEP": (hint_queries.MAY_SWEEP, (60.0,)),
        "hint_queries.WITHOUT_HINT": (hint_queries.WITHOUT_HINT, (lanes, NOW)),
        "hint_queries.FORGET_LOG": (hint_queries.FORGET_LOG, ()),
    }


def named() -> frozenset[str]:
    """Return the names of all statements of the two files."""
    files = {"queries": queries, "hint_queries": hint_queries}
    return frozenset(
        f"{file}.{name}"
        for file, module in files.items()
        for name, value in vars(module).items()
        if name.isupper()
        and not name.startswith("_")
        and isinstance(value, str)
        and name not in ("TASK", "SPEND", "SCHEMA")
    )


async def explain(link: Any, name: str, sql: str, values: Sequence[Any]) -> Plan:
    """Carry a statement out, look how, and undo it; and how it would be planned for any values."""
    transaction = link.transaction()
    await transaction.start()
    try:
        done = await link.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}", *values)
    finally:
        await transaction.rollback()
    root = json.loads(done)[0]["Plan"]
    scans = [*_scans(root)]
    if values:
        scans += _scans(json.loads(await _planned_for_any(link, sql, len(values)))[0]["Plan"])
    return Plan(name, sorted({*scans}), root["Shared Hit Blocks"] + root["Shared Read Blocks"])


async def _planned_for_any(link: Any, sql: str, number: int) -> str:
    """Return the plan that a prepared statement may get after a few uses, whatever its values."""
    await link.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE looked_at AS {sql}")
    try:
        nothing = ", ".join(["NULL"] * number)
        found: str = await link.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE looked_at ({nothing})")
        return found
    finally:
        await link.execute("DEALLOCATE looked_at; RESET plan_cache_mode")


def _scans(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in LARGE:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scans(child)

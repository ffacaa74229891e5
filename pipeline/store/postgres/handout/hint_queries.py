"""The queries about hints, each with a name.

Hints are the jobs that PgQueuer keeps for pending tasks.

A table is looked into for one row after the other (``LATERAL`` with ``LIMIT``): a join would be planned as a scan of the whole
table once that is large.
"""

from __future__ import annotations

from pipeline.store.encoding import TASK
from pipeline.store.postgres.queries import KNOWN, rungs
from pipeline.store.postgres.schema import MIGRATION_LOCK, SCHEMA

_LIVE = "status IN ('queued', 'picked')"
#: Alone while hints are made again: a name for an advisory lock.
_SWEEP_LOCK = MIGRATION_LOCK + 16

#: Whether PgQueuer's tables are there.
INSTALLED = f"SELECT to_regclass('{SCHEMA}.pgqueuer') IS NOT NULL"
#: Its trigger tells of each change; the store tells of work by itself, once for a whole group.
SILENCE = "ALTER TABLE pgqueuer DISABLE TRIGGER tg_pgqueuer_changed"

#: Of these entrypoints those that have a due hint and whose lane is not parked, in this order. ($1: entrypoints; $2: the lane
#: of each; $3: the caller's now.)
DUE = """
SELECT asked.entrypoint, asked.lane
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (entrypoint, lane, place)
CROSS JOIN LATERAL (
    SELECT FROM pgqueuer WHERE entrypoint = asked.entrypoint AND status = 'queued' AND execute_after < now()
    ORDER BY execute_after LIMIT 1  -- in the order of an index; without, any scan would look as good
) AS due
WHERE asked.lane NOT IN (SELECT scope FROM parked WHERE until > $3)
ORDER BY asked.place
"""

#: Give out the leases of tasks whose hints are picked. What another host is changing is passed over, and so is what a host
#: without hints has put off meanwhile; the second is more than two clocks can differ by.
#: ($1: ids; $2: owner; $3: until; $4: now; $5, $6: kinds and stages that this host knows, NULL: all.)
TAKE = f"""
UPDATE task SET state = 'running', claims = claims + 1, token = token + 1, owner = $2, wake_at = $3, updated = $4
WHERE id = ANY (ARRAY(
    SELECT id FROM task
    WHERE id = ANY ($1::bigint[]) AND state = 'pending' AND wake_at <= extract(epoch FROM now())::float8 + 1.0 AND {KNOWN}
    ORDER BY id FOR UPDATE SKIP LOCKED
))
RETURNING {TASK}
"""

#: Of tasks that were not taken those that are pending: whether they can be locked tells who is to put their hints.
PENDING = "SELECT id FROM task WHERE id = ANY ($1::bigint[]) AND state = 'pending' ORDER BY id FOR UPDATE SKIP LOCKED"
BUSY = "SELECT id FROM task WHERE id = ANY ($1::bigint[]) AND state = 'pending'"

#: Tasks as they stand now, each with its hint. ($1: ids; $2, $3: kinds and keys of more.)
WRITTEN = f"""
SELECT ours.id, row.state, row.lane || CASE row.place WHEN '' THEN '' ELSE '@' || row.place END, row.rank, row.wake_at,
    hint.id, hint.status, row.kind, row.stage
FROM (
    SELECT unnest($1::bigint[]) AS id
    UNION
    SELECT found.id FROM unnest($2::text[], $3::text[]) AS named (kind, key) CROSS JOIN LATERAL (
        SELECT id FROM task WHERE task.key = named.key AND task.kind = named.kind LIMIT 1
    ) AS found
) AS ours
LEFT JOIN LATERAL (
    SELECT kind, stage, state, lane, rank, place, wake_at FROM task WHERE task.id = ours.id LIMIT 1
) AS row ON true
LEFT JOIN LATERAL (
    SELECT id, status FROM pgqueuer WHERE dedupe_key = ours.id::text AND {_LIVE} LIMIT 1
) AS hint ON true
ORDER BY row.wake_at, ours.id
"""

#: The picked hints of tasks, by the tasks' ids as text.
PICKED = f"SELECT id FROM pgqueuer WHERE dedupe_key = ANY ($1::text[]) AND {_LIVE} AND status = 'picked'"

#: Whether it is this process's turn to sweep: nobody is at it, and nobody has been for so long. ($1: seconds.)
MAY_SWEEP = f"""
INSERT INTO note (name, value)
SELECT 'hints/swept', extract(epoch FROM now())::text WHERE pg_try_advisory_xact_lock({_SWEEP_LOCK})
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE note.value::float8 <= excluded.value::float8 - $1::float8
RETURNING true
"""

#: Due tasks without a queued hint, among the first that would be given out; what stands behind them comes to the front.
#: ($1: lanes; $2: the caller's now.)
WITHOUT_HINT = f"""
WITH RECURSIVE {rungs("$1")},
head AS (
    SELECT first.id FROM rung CROSS JOIN LATERAL (
        SELECT id FROM task
        WHERE state = 'pending' AND task.lane = rung.lane AND task.rank = rung.rank AND task.place = rung.place
            AND wake_at <= $2
        ORDER BY wake_at, id LIMIT 500
    ) AS first
),
lost AS (
    SELECT head.id FROM head LEFT JOIN LATERAL (
        SELECT id FROM pgqueuer WHERE dedupe_key = head.id::text AND {_LIVE} AND status = 'queued' LIMIT 1
    ) AS hint ON true
    WHERE hint.id IS NULL
)
SELECT id FROM task WHERE id = ANY (ARRAY(SELECT id FROM lost)) AND state = 'pending' ORDER BY id FOR UPDATE SKIP LOCKED
"""

#: Let PgQueuer's log of what it did end after a day.
FORGET_LOG = """
DELETE FROM pgqueuer_log WHERE id = ANY (ARRAY(
    SELECT id FROM pgqueuer_log WHERE created < now() - interval '1 day' ORDER BY created LIMIT 50000
))
"""

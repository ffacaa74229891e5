"""The writing queries, each with a name and what it is for.

Many rows are one statement: each column is an array, so that a statement is prepared once whatever their number. What is
changed is named by an array of ids, because a join would be planned as a scan of the whole table once that is large.
"""

from __future__ import annotations

from pipeline.store.encoding import SPEND, TASK
from pipeline.store.postgres.schema import LEDGER_LOCK

#: Whether this host knows the step of a task. ($5, $6: kinds and stages, NULL: all.)
KNOWN = "($5::text[] IS NULL OR (kind, stage) IN (SELECT * FROM unnest($5::text[], $6::text[])))"

#: Lock every task that a group may change, in the order of the ids, so that two hosts cannot wait for each other. Of those
#: whose outcome is handed in, tell what became of the lease. ($1: their ids; $2, $3: kinds and keys that may restart.)
LOCK = """
SELECT id, owner, token, state, rearm_stage IS NOT NULL, lapsed FROM task
WHERE id = ANY (ARRAY(
    SELECT unnest($1::bigint[])
    UNION
    SELECT task.id FROM unnest($2::text[], $3::text[]) AS ours (kind, key) JOIN task USING (key, kind)
))
ORDER BY id FOR UPDATE
"""

#: Due tasks, at most so many per lane that is not parked, highest rank first, then longest due: their ids in order. One index
#: range per rank that occurs, so that neither a long queue nor many tasks not yet due are walked through, nor what only another
#: host can do. What another host is taking right now is passed over, and so is what another release has put.
#: ($1: lanes; $2: free slots; $3: now; $4: this host; $5, $6: kinds and stages that it knows, NULL: all.)
FIND_DUE = f"""
WITH RECURSIVE
open (lane, free) AS MATERIALIZED (
    SELECT lane, free FROM unnest($1::text[], $2::bigint[]) AS asked (lane, free)
    WHERE free > 0 AND lane NOT IN (SELECT scope FROM parked WHERE until > $3)
),
rung (lane, free, rank) AS (
    SELECT lane, free, (SELECT max(rank) FROM task WHERE state = 'pending' AND task.lane = open.lane) FROM open
    UNION ALL
    SELECT lane, free,
        (SELECT max(rank) FROM task WHERE state = 'pending' AND task.lane = rung.lane AND task.rank < rung.rank)
    FROM rung WHERE rung.rank IS NOT NULL
),
due AS (
    SELECT rung.lane, rung.free, rung.rank, first.wake_at, first.id
    FROM rung CROSS JOIN (SELECT '' AS place UNION SELECT $4::text) AS near CROSS JOIN LATERAL (
        SELECT id, wake_at FROM task
        WHERE state = 'pending' AND task.lane = rung.lane AND task.rank = rung.rank AND task.place = near.place
            AND wake_at <= $3 AND {KNOWN}
        ORDER BY wake_at, id LIMIT rung.free FOR UPDATE SKIP LOCKED
    ) AS first
    WHERE rung.rank IS NOT NULL
)
SELECT id FROM (
    SELECT id, lane, free, row_number() OVER (PARTITION BY lane ORDER BY rank DESC, wake_at, id) AS place FROM due
) AS placed
WHERE place <= free
ORDER BY lane, place
"""

#: How many tasks run in a lane, or wait or run in another one. ($1: the lane; $2: the other; $3: enough of those that wait.)
AT_WORK = """
SELECT (SELECT count(*) FROM (SELECT FROM task WHERE state = 'pending' AND lane = $2 LIMIT $3) AS waiting)
    + (SELECT count(*) FROM task WHERE state = 'running' AND lane IN ($1, $2))
"""

#: Give the leases out. ($1: ids; $2: owner; $3: until; $4: now.)
TAKE = f"""
UPDATE task SET state = 'running', claims = claims + 1, token = token + 1, owner = $2, wake_at = $3, updated = $4
WHERE id = ANY ($1::bigint[]) AND state = 'pending'
RETURNING {TASK}
"""

#: Give back what a claim took whose answer was lost: nobody holds it, and nobody has acted. ($1: owner; $2: until; $3: now.)
GIVE_BACK = """
UPDATE task SET state = 'pending', claims = claims - 1, owner = NULL, wake_at = $3, lapsed = lapsed || token
WHERE state = 'running' AND wake_at = $2 AND owner = $1 AND updated = $3
RETURNING id
"""

#: Extend leases: only those still held under the same owner and token. ($1: ids; $2: owners; $3: tokens; $4: until.)
RENEW = """
WITH ours AS MATERIALIZED (
    SELECT task.id FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS held (id, owner, token) JOIN task USING (id)
    WHERE task.state = 'running' AND task.owner = held.owner AND task.token = held.token
    ORDER BY task.id FOR UPDATE OF task
)
UPDATE task SET wake_at = $4 WHERE id = ANY (ARRAY(SELECT id FROM ours)) RETURNING id
"""

#: Write transitions; nothing given keeps what is there.
MOVE = """
UPDATE task SET state = move.state, stage = move.stage, lane = move.lane, rank = move.rank,
    attempt = move.attempt, claims = move.claims, wake_at = move.wake_at, stage_since = move.stage_since,
    data = coalesce(move.data, task.data), subject = coalesce(move.subject, task.subject),
    trouble = CASE WHEN move.clears THEN move.trouble ELSE coalesce(move.trouble, task.trouble) END,
    owner = NULL, updated = move.now,
    lapsed = CASE WHEN move.by_holder THEN task.lapsed ELSE task.lapsed || task.token END
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::float8[], $9::float8[],
    $10::text[], $11::text[], $12::text[], $13::bool[], $14::float8[], $15::bool[]
) AS move (
    id, state, stage, lane, rank, attempt, claims, wake_at, stage_since, data, subject, trouble, clears, now, by_holder
)
WHERE task.id = move.id AND task.id = ANY ($1::bigint[])
"""

#: Restart tasks that have just ended as done and were to restart then. ($1: ids; $2: now.)
RESTART_ENDED = """
UPDATE task SET state = 'pending', stage = rearm_stage, lane = rearm_lane, rank = rearm_rank, wake_at = rearm_due,
    attempt = 0, claims = 0, stage_since = $2,
    rearm_stage = NULL, rearm_lane = NULL, rearm_rank = NULL, rearm_due = NULL
WHERE id = $1
"""

#: Keep finished answers; a second one of the same identity changes nothing.
KEEP_RESULT = """
INSERT INTO result (subject, job, fingerprint, body, meta, created)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[])
ON CONFLICT (subject, job, fingerprint) DO NOTHING
"""

#: Enter paid effects into the ledger; each key once.
ENTER_SPEND = f"""
INSERT INTO spend ({SPEND})
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::float8[], $4::float8[], $5::text[], $6::bigint[], $7::float8[], $8::float8[], $9::text[],
    $10::text[]
)
ON CONFLICT (key) DO NOTHING
"""

#: One process after the other enters into the ledger, until its transaction ends: so entries are committed in the order of
#: their numbers. It is taken after the locks of tasks and before new ones are put.
ALONE_IN_LEDGER = f"SELECT pg_advisory_xact_lock({LEDGER_LOCK})"

#: Which of these tasks are there already, and what a restart needs to know of them. ($3: whether the data is needed.)
EXISTING = """
SELECT task.kind, task.key, task.state, task.rearm_stage, CASE WHEN ours.restarts THEN task.data END
FROM unnest($1::text[], $2::text[], $3::bool[]) AS ours (kind, key, restarts) JOIN task USING (key, kind)
"""

#: Put new tasks into the queue, in this order. Another host may have put one of them just now: that ends the transaction.
INSERT = """
INSERT INTO task (kind, key, stage, state, lane, rank, wake_at, subject, stage_since, created, updated, data)
SELECT kind, key, stage, 'pending', lane, rank, wake_at, subject, now, now, now, data
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::float8[], $7::text[], $8::float8[], $9::text[]
) WITH ORDINALITY AS new (kind, key, stage, lane, rank, wake_at, subject, now, data, place)
ORDER BY place
"""

#: Restart ended tasks.
RESTART = """
UPDATE task SET state = 'pending', stage = $3, lane = $4, rank = $5, wake_at = $6, stage_since = $7, updated = $7, data = $8,
    attempt = 0, claims = 0, rearm_stage = NULL, rearm_lane = NULL, rearm_rank = NULL, rearm_due = NULL
WHERE kind = $1 AND key = $2
"""

#: Remember that a running task restarts when it is done.
RESTART_LATER = """
UPDATE task SET rearm_stage = $3, rearm_lane = $4, rearm_rank = $5, rearm_due = $6, updated = $7
WHERE kind = $1 AND key = $2
"""
#: Put new data over a pending task's own.
MERGE = "UPDATE task SET data = $3, updated = $4 WHERE kind = $1 AND key = $2"
#: Remember a parked scope; the later time wins.
PARK = """
INSERT INTO parked (scope, until, trouble, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (scope) DO UPDATE SET until = excluded.until, trouble = excluded.trouble, since = excluded.since
WHERE excluded.until > parked.until
"""

#: Make pending tasks due that wait because of these classes of trouble.
WAKE = """
UPDATE task SET wake_at = $2, updated = $2
WHERE id = ANY (ARRAY(
    SELECT id FROM task WHERE state = 'pending' AND wake_at > $2 AND trouble_code = ANY ($1::text[]) ORDER BY id FOR UPDATE
))
"""


def rungs(lanes: str) -> str:
    """Return a recursive table: every rank and host of pending tasks.

    ``lanes``: the parameter that names the lanes. One step of the index for each rung, however long the queue is.
    """
    return f"""
rung (lane, rank, place) AS (
    SELECT lane, first.rank, first.place FROM unnest({lanes}::text[]) AS asked (lane) CROSS JOIN LATERAL (
        SELECT rank, place FROM task WHERE state = 'pending' AND task.lane = asked.lane ORDER BY rank DESC, place DESC LIMIT 1
    ) AS first
    UNION ALL
    SELECT lane, below.rank, below.place FROM rung CROSS JOIN LATERAL (
        SELECT rank, place FROM task
        WHERE state = 'pending' AND task.lane = rung.lane AND (task.rank, task.place) < (rung.rank, rung.place)
        ORDER BY rank DESC, place DESC LIMIT 1
    ) AS below
)
"""


#: Let tasks wait from now on that began to wait in what is the future now. One index range per lane, rank and host that occurs,
#: so that a long queue of due tasks is not walked through.
BRING_FORWARD = f"""
WITH RECURSIVE {rungs("$2")},
late AS (
    SELECT task.id FROM rung JOIN task
        ON task.state = 'pending' AND task.lane = rung.lane AND task.rank = rung.rank AND task.place = rung.place
        AND task.wake_at > $1
    WHERE task.updated > $1
)
UPDATE task SET wake_at = $1 + greatest(0.0, wake_at - updated), updated = $1, stage_since = least(stage_since, $1)
WHERE id = ANY (ARRAY(SELECT id FROM task WHERE id = ANY (ARRAY(SELECT id FROM late)) ORDER BY id FOR UPDATE))
"""
#: Forget what was parked after a moment; or, if that is wanted, all that is parked beyond it.
UNPARK_LATER = "DELETE FROM parked WHERE since > $1 OR $2 AND until > $1"
#: One process after the other, per name of a note, until the transaction ends.
ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
#: Forget parked scopes.
UNPARK = "DELETE FROM parked WHERE scope = ANY ($1::text[])"
#: Insert or replace a line of the run history.
NOTE_RUN = """
INSERT INTO run (id, started, ended, exit_code, summary) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET started = excluded.started, ended = excluded.ended, exit_code = excluded.exit_code,
    summary = excluded.summary
"""
#: Delete provider answers as received.
DROP_ANSWERS = "DELETE FROM result WHERE id = ANY ($1::bigint[]) AND job = '_answer'"
#: Delete the runs behind the newest.
DROP_RUNS = "DELETE FROM run WHERE id IN (SELECT id FROM run ORDER BY started DESC, number DESC OFFSET $1)"
#: Delete tasks by their ids.
FORGET = "DELETE FROM task WHERE id = ANY ($1::bigint[])"
#: Delete the results of a video.
FORGET_RESULTS = "DELETE FROM result WHERE subject = $1 AND subject <> ''"
#: Give the ledger's entries of a video names that no later call has.
RENAME_SPENDS = """
UPDATE spend SET key = $2 || key WHERE subject = $1 AND subject <> '' AND key NOT LIKE 'forgotten/%'
"""
#: Whether this role owns the tables: what others may not, the server tells them only in passing. ($1: the schema.)
OWNS = "SELECT bool_and(pg_has_role(current_user, tableowner, 'USAGE')) FROM pg_tables WHERE schemaname = $1"
#: Give unused space back, table by table.
COMPACT = "VACUUM (FULL, ANALYZE) {table}"
#: What processes tell each other by: that there is work, or that a lane was opened. ($1: who tells.)
CHANNEL = "reelmill"
TELL = f"SELECT pg_notify('{CHANNEL}', $1)"
#: Remember a value under a name.
SAVE = "INSERT INTO note (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
#: Remember nothing under a name any more.
DROP = "DELETE FROM note WHERE name = $1"
#: Forget that videos have changed, by their marks.
CATCH_UP = "DELETE FROM changed WHERE mark = ANY ($1::bigint[])"
#: An operator's command on the tasks of a selection (``{which}``); ``{now}`` and ``{named}`` (whether the selection names
#: states) are parameters. A member that is written again at the end is the one that counts.
CANCEL = """
UPDATE task SET state = 'cancelled', wake_at = NULL, owner = NULL, updated = {now},
    lapsed = CASE WHEN state = 'running' THEN lapsed || token ELSE lapsed END,
    data = CASE
        WHEN data = '{{}}' THEN '{{"cancelled":true}}'
        WHEN fact(data, 'cancelled') = 'true' THEN data
        ELSE left(data, -1) || ',"cancelled":true}}'
    END
WHERE id = ANY (ARRAY(
    SELECT id FROM task WHERE id IN ({which}) AND ({named} OR state IN ('pending', 'running', 'held')) ORDER BY id FOR UPDATE
))
"""

RETRY = """
UPDATE task SET state = 'pending', wake_at = {now}, attempt = 0, stage_since = {now}, updated = {now}
WHERE id = ANY (ARRAY(
    SELECT id FROM task
    WHERE id IN ({which})
        AND (state IN ('failed', 'held', 'cancelled') OR {named} AND state = 'pending' AND wake_at > {now})
    ORDER BY id FOR UPDATE
))
"""

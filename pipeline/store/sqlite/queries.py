"""The writing queries, each with a name and what it is for.

A plus sign before a column keeps the planner from an index on it: the ids are known, and it would walk the whole index.
Writing many tasks is one statement and reading them one row, because Python releases its interpreter lock at every row
and must win it back from a busy event loop: 0.15 ms each time. ``{rows}`` stands for as many parenthesised rows as there
are; values are always bound, so that numbers stay exact.
"""

from __future__ import annotations

from pipeline.store.encoding import SPEND, TASK

#: Due tasks, at most `free` per lane that is not parked, highest rank first, then longest due: their ids in order.
#: One index range per rank that occurs, so that neither a long queue nor many tasks not yet due are walked through.
FIND_DUE = """
WITH RECURSIVE
open (lane, free) AS MATERIALIZED (
    SELECT key, value FROM json_each(:free_slots)
    WHERE value > 0 AND key NOT IN (SELECT scope FROM parked WHERE until > :now)
),
rung (lane, free, rank) AS (
    SELECT lane, free, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = open.lane) FROM open
    UNION ALL
    SELECT lane, free,
        (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = rung.lane AND rank < rung.rank)
    FROM rung WHERE rung.rank IS NOT NULL
),
due (lane, free, rank, nth, id) AS (
    SELECT rung.lane, rung.free, rung.rank, first.key, first.value
    FROM rung, json_each((
        SELECT json_group_array(id) FROM (
            SELECT id FROM task
            WHERE state = 'pending' AND lane = rung.lane AND rank = rung.rank AND wake_at <= :now
            ORDER BY wake_at, id LIMIT :most
        )
    )) AS first
    WHERE rung.rank IS NOT NULL
)
SELECT id FROM (
    SELECT id, lane, rank, nth, free, row_number() OVER (PARTITION BY lane ORDER BY rank DESC, nth) AS place FROM due
)
WHERE place <= free
ORDER BY lane, place
"""

#: How many tasks run in a lane, or wait or run in another one. (?1: the lane; ?2: the other; ?3: enough of those that wait.)
AT_WORK = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM task WHERE state = 'pending' AND lane = ?2 LIMIT ?3))
    + (SELECT count(*) FROM task WHERE state = 'running' AND lane IN (?1, ?2))
"""

#: Give the leases out. Checks the state again, because another process may have cancelled one of them just now.
TAKE = f"""
UPDATE task SET state = 'running', claims = claims + 1, token = token + 1, owner = ?2, wake_at = ?3, updated = ?4
WHERE id IN (SELECT value FROM json_each(?1)) AND +state = 'pending'
RETURNING {TASK}
"""

#: Extend leases: only those still held under the same owner and token.
RENEW = """
UPDATE task SET wake_at = ?2
FROM json_each(?1) AS ours
WHERE task.id = json_extract(ours.value, '$[0]') AND +task.state = 'running'
    AND task.owner = json_extract(ours.value, '$[1]') AND task.token = json_extract(ours.value, '$[2]')
RETURNING task.id
"""

#: Which of these leases still hold, and which of their tasks restart when they are done; as one JSON array.
FENCE = """
SELECT json_group_array(json_array(task.id, task.owner, task.token, task.rearm_stage IS NOT NULL))
FROM json_each(?1) AS ours CROSS JOIN task ON task.id = json_extract(ours.value, '$[0]')
WHERE +task.state = 'running'
    AND task.owner = json_extract(ours.value, '$[1]') AND task.token = json_extract(ours.value, '$[2]')
"""

#: Write transitions; nothing given keeps what is there.
MOVE = """
UPDATE task SET state = move.column2, stage = move.column3, lane = move.column4, rank = move.column5,
    attempt = move.column6, claims = move.column7, wake_at = move.column8, stage_since = move.column9,
    data = coalesce(move.column10, data), subject = coalesce(move.column11, subject),
    trouble = CASE WHEN move.column13 THEN move.column12 ELSE coalesce(move.column12, trouble) END,
    owner = NULL, updated = move.column14,
    lapsed = CASE WHEN move.column15 THEN lapsed ELSE json_insert(coalesce(lapsed, '[]'), '$[#]', token) END
FROM (VALUES {rows}) AS move
WHERE task.id = move.column1
"""

#: Of these leases that do not hold, those that ended with their holder's outcome; as one JSON array.
ENDED_BY_HOLDER = """
SELECT json_group_array(json_array(task.id, json_extract(ours.value, '$[2]')))
FROM json_each(?1) AS ours CROSS JOIN task ON task.id = json_extract(ours.value, '$[0]')
WHERE json_extract(ours.value, '$[2]') BETWEEN 1 AND task.token - (task.state = 'running')
    AND json_extract(ours.value, '$[2]') NOT IN (SELECT value FROM json_each(coalesce(task.lapsed, '[]')))
"""

#: Restart a task that has just ended as done and was to restart then.
RESTART_ENDED = """
UPDATE task SET state = 'pending', stage = rearm_stage, lane = rearm_lane, rank = rearm_rank, wake_at = rearm_due,
    attempt = 0, claims = 0, stage_since = ?2,
    rearm_stage = NULL, rearm_lane = NULL, rearm_rank = NULL, rearm_due = NULL
WHERE id = ?1
"""

#: Keep a finished answer; a second one of the same identity changes nothing.
KEEP_RESULT = """
INSERT INTO result (subject, job, fingerprint, body, meta, created, packed) VALUES {rows}
ON CONFLICT (subject, job, fingerprint) DO NOTHING
"""

#: Enter a paid effect into the ledger; each key once.
ENTER_SPEND = f"""
INSERT INTO spend ({SPEND}) VALUES {{rows}}
ON CONFLICT (key) DO NOTHING
"""

#: Which of these tasks are there already, and what a restart needs to know of them.
EXISTING = """
SELECT task.kind, task.key, task.state, task.rearm_stage, CASE WHEN json_extract(ours.value, '$[2]') THEN task.data END
FROM json_each(?1) AS ours CROSS JOIN task
    ON task.key = json_extract(ours.value, '$[1]') AND task.kind = json_extract(ours.value, '$[0]')
"""

#: Put new tasks into the queue.
INSERT = """
INSERT INTO task (kind, key, stage, state, lane, rank, wake_at, subject, stage_since, created, updated, data)
VALUES {rows}
"""

#: Restart an ended task.
RESTART = """
UPDATE task SET state = 'pending', stage = ?3, lane = ?4, rank = ?5, wake_at = ?6, stage_since = ?7, updated = ?7, data = ?8,
    attempt = 0, claims = 0, rearm_stage = NULL, rearm_lane = NULL, rearm_rank = NULL, rearm_due = NULL
WHERE kind = ?1 AND key = ?2
"""

#: Remember that a running task restarts when it is done.
RESTART_LATER = """
UPDATE task SET rearm_stage = ?3, rearm_lane = ?4, rearm_rank = ?5, rearm_due = ?6, updated = ?7
WHERE kind = ?1 AND key = ?2
"""
#: Put new data over a pending task's own.
MERGE = "UPDATE task SET data = ?3, updated = ?4 WHERE kind = ?1 AND key = ?2"
#: Remember a parked scope; the later time wins.
PARK = """
INSERT INTO parked (scope, until, trouble, since) VALUES (?, ?, ?, ?)
ON CONFLICT (scope) DO UPDATE SET until = excluded.until, trouble = excluded.trouble, since = excluded.since
WHERE excluded.until > parked.until
"""

#: Make pending tasks due that wait because of these classes of trouble.
WAKE = """
UPDATE task SET wake_at = ?2, updated = ?2
WHERE state = 'pending' AND wake_at > ?2 AND json_extract(trouble, '$.code') IN (SELECT value FROM json_each(?1))
"""
#: Let tasks wait from now on that began to wait in what is the future now. One index range per lane and rank that occurs,
#: so that a long queue of due tasks is not walked through.
BRING_FORWARD = """
UPDATE task SET wake_at = :now + max(0.0, wake_at - updated), updated = :now, stage_since = min(stage_since, :now)
WHERE id IN (
    WITH RECURSIVE rung (lane, rank) AS (
        SELECT value, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = value) FROM json_each(:lanes)
        UNION ALL
        SELECT lane, (SELECT max(rank) FROM task WHERE state = 'pending' AND lane = rung.lane AND rank < rung.rank)
        FROM rung WHERE rung.rank IS NOT NULL
    )
    SELECT task.id FROM rung CROSS JOIN task
        ON task.state = 'pending' AND task.lane = rung.lane AND task.rank = rung.rank AND task.wake_at > :now
    WHERE task.updated > :now
)
"""
#: Forget what was parked after a moment; or, if that is wanted, all that is parked beyond it.
UNPARK_LATER = "DELETE FROM parked WHERE since > ?1 OR ?2 AND until > ?1"
#: Forget parked scopes.
UNPARK = "DELETE FROM parked WHERE scope IN (SELECT value FROM json_each(?))"
#: Insert or replace a line of the run history.
NOTE_RUN = """
INSERT INTO run (id, started, ended, exit_code, summary) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET started = excluded.started, ended = excluded.ended, exit_code = excluded.exit_code,
    summary = excluded.summary
"""
#: Delete provider answers as received.
DROP_ANSWERS = "DELETE FROM result WHERE id IN (SELECT value FROM json_each(?)) AND job = '_answer'"
#: Delete the runs behind the newest.
DROP_RUNS = "DELETE FROM run WHERE id IN (SELECT id FROM run ORDER BY started DESC, rowid DESC LIMIT -1 OFFSET ?)"
#: Delete tasks by their ids.
FORGET = "DELETE FROM task WHERE id IN (SELECT value FROM json_each(?))"
#: Delete the results of a video.
FORGET_RESULTS = "DELETE FROM result WHERE subject = ? AND subject <> ''"
#: Give the ledger's entries of a video names that no later call has.
RENAME_SPENDS = "UPDATE spend SET key = ?2 || key WHERE subject = ?1 AND subject <> '' AND key NOT LIKE 'forgotten/%'"
#: Let what is sorted or copied lie beside the database, however large it is; and no longer.
BESIDE = ("PRAGMA temp_store_directory = '{folder}'", "PRAGMA temp_store = FILE")
NO_LONGER_BESIDE = ("PRAGMA temp_store_directory = ''", "PRAGMA temp_store = MEMORY")
#: Write the file again without unused pages, then the log into it.
COMPACT = (*BESIDE, "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", *NO_LONGER_BESIDE)
#: Remember a value under a name.
SAVE = "INSERT INTO note (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
#: Remember nothing under a name any more.
DROP = "DELETE FROM note WHERE name = ?"
#: Forget that videos have changed, by their marks.
CATCH_UP = "DELETE FROM changed WHERE mark IN (SELECT value FROM json_each(?))"
#: An operator's command on the tasks of a selection (``{which}``); ``:named``: the selection names states.
CANCEL = """
UPDATE task SET state = 'cancelled', wake_at = NULL, owner = NULL, updated = :now,
    lapsed = CASE WHEN state = 'running' THEN json_insert(coalesce(lapsed, '[]'), '$[#]', token) ELSE lapsed END,
    data = json_set(data, '$.cancelled', json('true'))
WHERE (:named OR +state IN ('pending', 'running', 'held')) AND id IN ({which})
"""

RETRY = """
UPDATE task SET state = 'pending', wake_at = :now, attempt = 0, stage_since = :now, updated = :now
WHERE (+state IN ('failed', 'held', 'cancelled') OR :named AND +state = 'pending' AND wake_at > :now) AND id IN ({which})
"""

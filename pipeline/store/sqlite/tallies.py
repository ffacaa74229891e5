"""How items stand, counted without reading every task.

What is done is counted from an index. Only videos of which something is not done are looked at one by one. ``{by_item}`` and
``{by_stop}`` stand for their indices; a file of an early release is read without them.
"""

from __future__ import annotations

#: Videos that have an item or a task that is not done, with the worst of their tasks: 3 held, 2 failed, 1 working, 0 none.
_SPECIAL = """
WITH special (subject, weight) AS MATERIALIZED (
    SELECT subject, max(weight) FROM (
        SELECT subject, CASE state WHEN 'held' THEN 3 ELSE 2 END AS weight
        FROM task{by_stop} WHERE state IN ('failed', 'held') AND subject <> ''
        UNION ALL
        SELECT subject, 1 FROM task INDEXED BY task_state
        WHERE state IN ('pending', 'running') AND kind <> 'item' AND subject <> ''
        UNION ALL
        SELECT subject, state IN ('pending', 'running') FROM task{by_item}
        WHERE state IN ('pending', 'running', 'failed', 'held', 'cancelled') AND kind = 'item' AND subject <> ''
    ) GROUP BY subject
)"""
_STATES = ("done", "failed", "held", "cancelled")
#: Items in each state, whatever their videos do.
_OWN = ",\n".join(
    f"(SELECT count(*) FROM task INDEXED BY task_state WHERE state = '{state}' AND kind = 'item') AS {state}"
    for state in (*_STATES, "pending", "running")
)
#: Items by how they stand as a whole.
TALLY = f"""
{_SPECIAL},
own AS MATERIALIZED (SELECT {_OWN}),
finished (weight, number) AS MATERIALIZED (
    SELECT weight, (
        SELECT count(*) FROM task
        WHERE task.subject = special.subject AND subject <> '' AND kind = 'item' AND +state = 'done'
    ) FROM special WHERE weight > 0
)
SELECT
    done - (SELECT coalesce(sum(number), 0) FROM finished),
    failed + (SELECT coalesce(sum(number), 0) FROM finished WHERE weight = 2),
    held + (SELECT coalesce(sum(number), 0) FROM finished WHERE weight = 3),
    cancelled,
    pending + running + (SELECT coalesce(sum(number), 0) FROM finished WHERE weight = 1)
FROM own
"""

#: Items that have no video yet, in each state: all of them without those that have one.
_ALONE = ",\n".join(f"{state} - (SELECT coalesce(sum({state}), 0) FROM told) AS {state}" for state in _STATES)
#: Videos by the worst of their items; an item without a video is one of its own.
TALLY_VIDEOS = f"""
{_SPECIAL},
own AS MATERIALIZED (SELECT {_OWN}),
-- of each special video: its items by their states
near AS MATERIALIZED (
    SELECT special.weight,
        sum(state = 'done') AS done, sum(state = 'failed') AS failed, sum(state = 'held') AS held,
        sum(state = 'cancelled') AS cancelled, sum(state IN ('pending', 'running')) AS working
    FROM special CROSS JOIN task ON task.subject = special.subject AND task.subject <> '' AND task.kind = 'item'
    GROUP BY special.subject
),
told AS MATERIALIZED (
    SELECT *, CASE
        WHEN held > 0 OR done > 0 AND weight = 3 THEN 'held'
        WHEN failed > 0 OR done > 0 AND weight = 2 THEN 'failed'
        WHEN working > 0 OR done > 0 AND weight = 1 THEN 'working'
        WHEN done > 0 THEN 'done'
        ELSE 'cancelled'
    END AS word
    FROM near
),
-- with an item that is done
video AS MATERIALIZED (
    SELECT count(*) AS number FROM (
        SELECT 1 FROM task{{by_item}} WHERE state = 'done' AND kind = 'item' AND subject <> '' GROUP BY subject
    )
)
SELECT
    -- an item that is done has a video, or is skipped and stands alone
    (SELECT number FROM video) - (SELECT count(*) FROM told WHERE done > 0 AND word <> 'done')
        + done - (SELECT count(*) FROM task{{by_item}} WHERE state = 'done' AND kind = 'item' AND subject <> ''),
    failed - (SELECT coalesce(sum(failed), 0) FROM told) + (SELECT count(*) FROM told WHERE word = 'failed'),
    held - (SELECT coalesce(sum(held), 0) FROM told) + (SELECT count(*) FROM told WHERE word = 'held'),
    cancelled - (SELECT coalesce(sum(cancelled), 0) FROM told) + (SELECT count(*) FROM told WHERE word = 'cancelled'),
    pending + running - (SELECT coalesce(sum(working), 0) FROM told)
        + (SELECT count(*) FROM told WHERE word = 'working')
FROM own
"""

#: Failed and held tasks: whether they count, their class, how many, of how many videos, how many without a video. One that is
#: ignored does not count, nor one whose video has no item any more.
_STOPPED = """
WITH ended AS (
    SELECT
        trouble_code, subject,
        CASE
            WHEN id IN (SELECT value FROM json_each(:ignored)) THEN 1
            WHEN kind IN ('item', 'listing') THEN 0
            WHEN subject = '' THEN 1
            ELSE NOT EXISTS (SELECT 1 FROM task AS named WHERE named.subject = task.subject AND named.kind = 'item')
        END AS away
    FROM task{by_stop}
    WHERE state IN ('failed', 'held') AND kind IN (SELECT value FROM json_each(:kinds))
)
"""
STOPPED_CLASSES = f"{_STOPPED} SELECT away, coalesce(trouble_code, ''), count(*) FROM ended GROUP BY 1, 2"
STOPPED_ITEMS = (
    f"{_STOPPED} SELECT count(DISTINCT nullif(subject, '')) + coalesce(sum(subject = ''), 0) FROM ended WHERE NOT away"
)
#: What each day has spent, UTC, and the last entry of all; by one look into the index for each day there is.
DAILY = """
WITH RECURSIVE day (number) AS (
    SELECT CAST(min(at) / 86400 AS INTEGER) FROM spend
    UNION ALL
    SELECT (SELECT CAST(min(at) / 86400 AS INTEGER) FROM spend WHERE at >= (number + 1) * 86400.0) FROM day
    WHERE number IS NOT NULL
)
SELECT number, (SELECT total(usd) FROM spend WHERE at >= number * 86400.0 AND at < (number + 1) * 86400.0),
    (SELECT max(id) FROM spend)
FROM day WHERE number IS NOT NULL
"""
#: The ledger's entries behind one, in their order; as one JSON array.
ENTERED_SINCE = """
SELECT json_group_array(json_array(id, key, usd, at, run)) FROM (SELECT * FROM spend WHERE id > ?1 ORDER BY id)
"""


def of_schema(sql: str, *, indexed: bool) -> str:
    """Return a query, with or without the names of indices."""
    names = {"by_item": "task_item", "by_stop": "task_stopped"}
    return sql.format(**{mark: f" INDEXED BY {name}" if indexed else "" for mark, name in names.items()})

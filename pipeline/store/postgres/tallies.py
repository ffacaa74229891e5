"""How items stand, counted; the ledger in sums."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.model import CostKey
from pipeline.store.encoding import CALLS, SETTLES

_STATES = ("done", "failed", "held", "cancelled")
#: Videos of which something is not done, with the worst of their tasks: 3 held, 2 failed, 1 working.
_SPECIAL = """
WITH special AS MATERIALIZED (
    SELECT subject, max(CASE state WHEN 'held' THEN 3 WHEN 'failed' THEN 2 ELSE 1 END) AS weight FROM task
    WHERE state IN ('held', 'failed', 'pending', 'running') AND subject <> ''
    GROUP BY subject
)"""
_OWN = ",\n".join(
    f"(SELECT count(*) FROM task WHERE state = '{state}' AND kind = 'item') AS {state}"
    for state in (*_STATES, "pending", "running")
)
#: Items by how they stand as a whole.
TALLY = f"""
{_SPECIAL},
own AS MATERIALIZED (SELECT {_OWN}),
finished AS MATERIALIZED (
    SELECT special.weight, count(*) AS number
    FROM special JOIN task ON task.subject = special.subject AND task.kind = 'item' AND task.state = 'done'
    GROUP BY special.weight
),
many (failed, held, working) AS (
    SELECT coalesce(sum(number) FILTER (WHERE weight = 2), 0), coalesce(sum(number) FILTER (WHERE weight = 3), 0),
        coalesce(sum(number) FILTER (WHERE weight = 1), 0)
    FROM finished
)
SELECT (done - many.failed - many.held - many.working)::bigint, (own.failed + many.failed)::bigint,
    (own.held + many.held)::bigint, cancelled, (pending + running + many.working)::bigint
FROM own, many
"""
#: Videos by the worst of their items; an item without a video is one of its own.
TALLY_VIDEOS = f"""
{_SPECIAL},
video AS (
    SELECT
        count(*) FILTER (WHERE item.state = 'done') AS done, count(*) FILTER (WHERE item.state = 'failed') AS failed,
        count(*) FILTER (WHERE item.state = 'held') AS held,
        count(*) FILTER (WHERE item.state IN ('pending', 'running')) AS working,
        -- of done items only: others stand as they do
        coalesce(max(special.weight) FILTER (WHERE item.state = 'done'), 0) AS worst
    FROM task AS item LEFT JOIN special USING (subject)
    WHERE item.kind = 'item'
    GROUP BY CASE item.subject WHEN '' THEN item.id::text ELSE 'v' || item.subject END
),
told AS (
    SELECT CASE
        WHEN held > 0 OR worst = 3 THEN 'held'
        WHEN failed > 0 OR worst = 2 THEN 'failed'
        WHEN working > 0 OR worst = 1 THEN 'working'
        WHEN done > 0 THEN 'done'
        ELSE 'cancelled'
    END AS word
    FROM video
)
SELECT {", ".join(f"count(*) FILTER (WHERE word = '{word}')" for word in (*_STATES, "working"))} FROM told
"""
#: Failed and held tasks: whether they count, their class, how many, of how many videos, how many without a video. One that is
#: ignored does not count, nor one whose video has no item any more. ($1: kinds; $2: ignored ids.)
_STOPPED = """
WITH ended AS (
    SELECT
        trouble_code, subject,
        CASE
            WHEN id = ANY ($2::bigint[]) THEN true
            WHEN kind IN ('item', 'listing') THEN false
            WHEN subject = '' THEN true
            ELSE NOT EXISTS (SELECT FROM task AS named WHERE named.subject = task.subject AND named.kind = 'item')
        END AS away
    FROM task WHERE state IN ('failed', 'held') AND kind = ANY ($1::text[])
)
"""
STOPPED_CLASSES = f"{_STOPPED} SELECT away, coalesce(trouble_code, ''), count(*) FROM ended GROUP BY 1, 2"
STOPPED_ITEMS = f"""
{_STOPPED}
SELECT count(DISTINCT nullif(subject, '')) + count(*) FILTER (WHERE subject = '') FROM ended WHERE NOT away
"""
#: What each day has spent, UTC, and its last entry.
DAILY = "SELECT floor(at / 86400)::bigint, sum(usd), max(id) FROM spend GROUP BY 1"
#: The ledger's entries behind one, in their order. ($1: its number.)
ENTERED_SINCE = "SELECT id, key, usd, at, run FROM spend WHERE id > $1 ORDER BY id"
#: The ledger in three numbers. ($1: since.)
SPENT = """
SELECT coalesce(sum(usd), 0.0), coalesce(sum(minutes), 0.0), coalesce(sum(doubtful), 0)::bigint FROM spend WHERE at >= $1
"""
#: The ledger in groups, in one pass. ``{name}`` is what they are named by, ``{shown}`` how that is shown.
_COSTS = f"""
WITH part AS (
    SELECT
        {{name}} AS name,
        sum({CALLS}) AS calls,
        coalesce(sum({CALLS}) FILTER (WHERE what = 'ask' AND usd = 0 AND estimate = 0), 0) AS unpriced,
        count(*) FILTER (WHERE {SETTLES}) AS settled,
        coalesce(sum(estimate) FILTER (WHERE doubtful = 0), 0.0) AS estimate,
        coalesce(sum(usd) FILTER (WHERE doubtful = 0), 0.0) AS usd, sum(minutes) AS minutes,
        sum(doubtful)::bigint AS doubtful, coalesce(sum(usd) FILTER (WHERE doubtful <> 0), 0.0) AS doubtful_usd,
        count(DISTINCT nullif(subject, '')) AS videos
    FROM spend WHERE at >= $1 GROUP BY 1
)
SELECT {{shown}}, calls, settled, estimate, usd, minutes, doubtful, doubtful_usd, videos, unpriced
FROM part ORDER BY 1
"""
_GROUPED: Mapping[CostKey, tuple[str, str]] = {
    "kind": ("what", "name"),
    "job": ("CASE WHEN jobs = '' THEN what ELSE jobs END", "name"),
    "run": ("run", "name"),
    "day": ("to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD')", "name"),
    "month": ("to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM')", "name"),
    "source": (
        "subject",
        "coalesce((SELECT key FROM task WHERE subject = name AND kind = 'item' AND name <> '' ORDER BY id LIMIT 1), name)",
    ),
}


def costs(by: CostKey) -> str:
    """Return the query for the ledger's groups. ($1: since.)"""
    name, shown = _GROUPED[by]
    return _COSTS.format(name=name, shown=shown)

"""The items as a whole: found by index, read some at a time."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.model import FactPath, ItemQuery, Json
from pipeline.store.encoding import TASK, to_json
from pipeline.store.sqlite.names import named
from pipeline.store.standing import OWN_STATES, WEIGHTS

#: How bad the worst task of a done item's video is: 3 held, 2 failed, 1 working, 0 done. A look into one index.
_WORST = """
CASE WHEN item.subject = '' THEN 0 ELSE (
    SELECT max(CASE
        WHEN near.state IN ('held', 'failed') AND near.id IN (SELECT value FROM json_each(:ignored)) AND EXISTS (
            SELECT 1 FROM task AS written
            WHERE written.subject = item.subject AND written.kind = 'publish' AND written.state = 'done'
        ) THEN 0
        WHEN near.state = 'held' THEN 3
        WHEN near.state = 'failed' THEN 2
        WHEN near.state IN ('pending', 'running') THEN 1
        ELSE 0
    END)
    FROM task AS near WHERE near.subject = item.subject
) END
"""
#: So few tasks are looked up one by one; of more, the first that fit are met soon in the order of the list.
FEW = 20_000
#: Stopped or live tasks of videos in such a state, up to that number.
COUNT_FEW = f"""
SELECT count(*) FROM (
    SELECT 1 FROM task INDEXED BY task_state
    WHERE state IN (SELECT value FROM json_each(?)) AND kind <> 'item' LIMIT {FEW + 1}
)
"""
_BEGINS = "key >= :begins AND key < :begins || char(1114111)"
#: Tasks whose keys begin so, up to that number.
COUNT_BEGINNING = f"SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_identity WHERE {_BEGINS} LIMIT {FEW + 1})"
_RARE = """
item.id IN (
    SELECT named.id FROM task AS near INDEXED BY task_state
    CROSS JOIN task AS named ON named.subject = near.subject AND named.kind = 'item'
    WHERE near.state IN (SELECT value FROM json_each(:rare)) AND near.kind <> 'item' AND near.subject <> ''
)
"""
#: Some items by their ids, in this order, with ``{facts}`` of the other tasks of their videos.
_DETAILS = f"""
SELECT
    {_WORST},
    (SELECT total(usd) FROM spend WHERE subject = item.subject AND subject <> ''),
    (SELECT total(doubtful) FROM spend WHERE subject = item.subject AND subject <> ''),
    {", ".join(f"item.{name.strip()}" for name in TASK.split(","))}
    {{facts}}
FROM json_each(:ids) AS wanted CROSS JOIN task AS item ON item.id = wanted.value
ORDER BY wanted.key
"""


def rare_states(which: ItemQuery) -> tuple[str, ...]:
    """Return the states of other tasks that make a done item stand as asked.

    Empty where a done item may stand so by itself.
    """
    if not which.standing or "done" in which.standing:
        return ()
    return tuple(state for word in which.standing for state in (OWN_STATES[word] if word != "cancelled" else ()))


def find_ids(
    which: ItemQuery, *, rare: Sequence[str], few: bool = False, indexed: bool = True
) -> tuple[str, dict[str, Json]]:
    """Return a query for the ids of the items in order, and its parameters.

    ``rare``: the few tasks in these states are looked up, instead of every done item; ``few``: those whose keys begin as
    asked. ``indexed``: the file has an index of names.
    """
    wanted = which.standing or ("done", "working", "failed", "held", "cancelled")
    values: dict[str, Json] = {"ignored": to_json(list(which.ignored)), "rare": to_json(list(rare))}
    found = [_mention(text, at, values, indexed=indexed) for at, text in enumerate(which.mentions)]
    texts_of = f"WITH {', '.join(found)} " if found else ""
    also = [f"item.id IN mention{at}" for at in range(len(found))]
    if which.begins:
        values["begins"] = which.begins
        also.append(f"item.id IN (SELECT id FROM task WHERE {_BEGINS})" if few else f"{_BEGINS}")
    columns = "item.id, item.subject, item.data" if which.order else "item.id"
    parts = [_of_state(state, also, columns) for word in wanted for state in OWN_STATES[word]]
    weights = [WEIGHTS[word] for word in wanted if word in WEIGHTS]
    if weights:
        all_of_them = len(weights) == len(WEIGHTS)
        worst = [] if all_of_them else [f"{_WORST} IN ({', '.join(map(str, weights))})"]
        parts.append(_of_state("done", [*([_RARE] if rare else []), *also, *worst], columns))
    if not which.order:
        # Each part is read in the order of an index; SQLite merges them, and a page costs its own rows.
        return f"{texts_of}{' UNION ALL '.join(parts)} ORDER BY id DESC", values
    texts = [f"nullif({_fact(path)}, '')" for path in which.order]
    title = f"coalesce({', '.join(texts)}, '')"
    # What does not fit into memory is sorted on the disk: ids and titles only.
    titled = f"SELECT id, {title} AS title FROM ({' UNION ALL '.join(parts)}) AS item"
    return f"{texts_of}SELECT id FROM ({titled}) ORDER BY title COLLATE NOCASE, id", values


def _mention(text: str, at: int, values: dict[str, Json], *, indexed: bool) -> str:
    """Return a table of the items with this text in a name.

    The names of their results count, too.
    """
    own = named("kind = 'item'", [text], values, indexed=indexed, first=at)
    written = named("kind = 'publish'", [text], values, indexed=indexed, column="subject", first=at)
    of_results = f"""
        SELECT id FROM task WHERE kind = 'item' AND subject <> '' AND subject IN ({" UNION ALL ".join(written)})
    """
    return f"mention{at} (id) AS MATERIALIZED ({' UNION ALL '.join([*own, of_results])})"


def _of_state(state: str, also: Sequence[str], columns: str) -> str:
    where = " AND ".join([f"item.state = '{state}'", "item.kind = 'item'", *also])
    return f"SELECT {columns} FROM task AS item INDEXED BY task_state WHERE {where}"


def _fact(path: FactPath) -> str:
    """Return an expression for a fact; kinds and places come from our own code."""
    kind, place = path
    if kind == "item":
        return f"json_extract(item.data, '{place}')"
    return (
        f"(SELECT json_extract(near.data, '{place}') FROM task AS near"
        f" WHERE near.subject = item.subject AND item.subject <> '' AND near.kind = '{kind}' LIMIT 1)"
    )


def details(which: ItemQuery, ids: Sequence[int]) -> tuple[str, dict[str, Json]]:
    """Return a query for these items, and its parameters."""
    facts = "".join(f", {_fact(path)}" for path in which.facts)
    return _DETAILS.format(facts=facts), {"ids": to_json(list(ids)), "ignored": to_json(list(which.ignored))}

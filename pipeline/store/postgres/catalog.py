"""The items as a whole: ids in order, then some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads

from pipeline.core.model import FactPath, ItemQuery, Json, Standing
from pipeline.store.encoding import TASK
from pipeline.store.postgres.selection import Values, mentions
from pipeline.store.standing import OWN_STATES, WEIGHTS

#: How bad the worst task of a done item's video is: 3 held, 2 failed, 1 working, 0 done. ``{ignored}``: ids.
_WORST = """
CASE WHEN item.subject = '' THEN 0 ELSE (
    SELECT max(CASE
        WHEN near.state IN ('held', 'failed') AND near.id = ANY ({ignored}::bigint[]) AND EXISTS (
            SELECT FROM task AS written
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
_ALL: tuple[Standing, ...] = ("done", "working", "failed", "held", "cancelled")


def find_ids(which: ItemQuery) -> tuple[str, Values]:
    """Return a query for the ids of the items in order, and its parameters."""
    wanted = which.standing or _ALL
    values = Values()
    own = [state for word in wanted for state in OWN_STATES[word]]
    weights = [WEIGHTS[word] for word in wanted if word in WEIGHTS]
    stands = [f"item.state = ANY ({values.add(own)}::text[])"]
    if len(weights) == len(WEIGHTS):
        stands.append("item.state = 'done'")
    elif weights:
        worst = f"{_WORST.format(ignored=values.add([*which.ignored]))} = ANY ({values.add(weights)}::bigint[])"
        if 0 not in weights:  # then it has a task in such a state: few have, and they are looked up first
            rare = values.add([state for word in wanted if word in WEIGHTS for state in OWN_STATES[word]])
            worst = f"item.subject IN (SELECT subject FROM task WHERE state = ANY ({rare}::text[])) AND {worst}"
        stands.append(f"item.state = 'done' AND {worst}")
    where = ["item.kind = 'item'", f"({' OR '.join(stands)})", *(_mention(text, values) for text in which.mentions)]
    if which.begins:
        begins = values.add(which.begins)
        where.append(f"item.key >= {begins} AND item.key < {begins} || chr(1114111)")
    if not which.order:
        return f"SELECT id FROM task AS item WHERE {' AND '.join(where)} ORDER BY id DESC", values
    texts = [f"nullif({_fact(path)} #>> '{{}}', '')" for path in which.order]
    title = f"coalesce({', '.join(texts)}, '')"
    return f'SELECT id FROM task AS item WHERE {" AND ".join(where)} ORDER BY lower({title} COLLATE "C"), id', values


def _mention(text: str, values: Values) -> str:
    """Return the condition that a name of an item holds this text.

    The names of its results count, too.
    """
    fits = mentions([text], values)
    return f"""
    (id IN (SELECT id FROM task WHERE kind = 'item' AND {fits}) OR item.subject <> '' AND item.subject IN (
        SELECT subject FROM task WHERE kind = 'publish' AND {fits}
    ))
    """


def _fact(path: FactPath) -> str:
    """Return an expression for a fact as JSON.

    Kinds and places come from our own code.
    """
    kind, place = path
    steps = ", ".join(f"'{step}'" for step in place.removeprefix("$.").split("."))
    found = f"json_extract_path(readable({{table}}.data), {steps})"
    if kind == "item":
        return found.format(table="item")
    return (
        f"(SELECT {found.format(table='near')} FROM task AS near"
        f" WHERE near.subject = item.subject AND item.subject <> '' AND near.kind = '{kind}' ORDER BY id LIMIT 1)"
    )


def details(which: ItemQuery, ids: Sequence[int]) -> tuple[str, Values]:
    """Return a query for these items in this order, and its parameters."""
    values = Values()
    wanted, ignored = values.add([*ids]), values.add([*which.ignored])
    columns = [
        _WORST.format(ignored=ignored),
        "(SELECT coalesce(sum(usd), 0.0) FROM spend WHERE subject = item.subject AND subject <> '')",
        "(SELECT coalesce(sum(doubtful), 0)::bigint FROM spend WHERE subject = item.subject AND subject <> '')",
        *(f"item.{name.strip()}" for name in TASK.split(",")),
        *map(_fact, which.facts),
    ]
    return (
        f"SELECT {', '.join(columns)} FROM unnest({wanted}::bigint[]) WITH ORDINALITY AS wanted (id, place)"
        " JOIN task AS item USING (id) ORDER BY wanted.place",
        values,
    )


def read_fact(fact: str | None) -> Json:
    """Return what a column of :func:`details` says."""
    return None if fact is None else loads(fact)

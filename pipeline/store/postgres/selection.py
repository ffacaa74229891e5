"""Selections of tasks as statements with numbered parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from pipeline.core.model import Selection
from pipeline.store.encoding import json_pattern, storable_part, text_pattern

_COLUMNS = {
    "kinds": "kind", "keys": "key", "subjects": "subject", "states": "state", "stages": "stage", "classes": "trouble_code",
}  # fmt: skip
_UPPER = re.compile("[A-Z]+")


class Values(list[Any]):
    """The parameters of a statement that is being put together."""

    def add(self, value: Any) -> str:
        """Take a value in; return what the statement names it by."""
        self.append(value)
        return f"${len(self)}"


def columns_of(steps: Collection[tuple[str, str]] | None) -> tuple[list[str] | None, list[str] | None]:
    """Return steps as a column of kinds and one of stages.

    None: no matter which.
    """
    return ([kind for kind, _ in steps], [stage for _, stage in steps]) if steps is not None else (None, None)


def selected(which: Selection, values: Values) -> str:
    """Return a query for the ids of a selection; ``values`` gets its parameters."""
    where = [f"id > {values.add(which.after_id)}"]
    for field, column in _COLUMNS.items():
        wanted = [str(each) for each in getattr(which, field)]
        # A file's name may be no Unicode: then no task has it.
        known = [each for each in wanted if storable_part(each) == each]
        if len(known) == 1:
            # One value keeps the index in the order of the ids, so that a page costs only its own rows.
            where.append(f"{column} = {values.add(known[0])}")
        elif wanted:
            where.append(f"{column} = ANY ({values.add(known)}::text[])")
    if which.since:
        where.append(f"updated >= {values.add(which.since)}")
    if which.begins:
        begins = values.add(which.begins)
        where.append(f"subject >= {begins} AND subject < {begins} || chr(1114111)")
    if which.mentions:
        where.append(mentions(which.mentions, values))
    limit = f" LIMIT {values.add(which.limit)}" if which.limit else ""
    return f"SELECT id FROM task WHERE {' AND '.join(where)} ORDER BY id{limit}"


def mentions(texts: Sequence[str], values: Values) -> str:
    """Return the condition that a name holds one of these texts.

    ASCII letters in any case.
    """
    # Tags are looked for as they are stored, in one JSON text.
    patterns = dict.fromkeys(_lower(each) for text in texts for each in (text_pattern(text), json_pattern(text)))
    fits = " OR ".join(f"names LIKE {values.add(each)} ESCAPE '^'" for each in patterns)
    return f"(names IS NOT NULL AND ({fits}))"


def _lower(text: str) -> str:
    return _UPPER.sub(lambda found: found[0].lower(), text)

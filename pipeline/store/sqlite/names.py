"""Tasks found by a part of a name.

What is done is found in an index of names; the few others are read. A file of an older release has no such index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.core.model import Json
from pipeline.store.encoding import json_pattern, text_pattern
from pipeline.store.sqlite.schema import NAMED_KINDS, NAMES

#: The end of the scheme that a source has among the names, and not in the data.
_SCHEME = re.compile("^(?:(?:(?:f?i)?l)?e)?:", re.IGNORECASE | re.ASCII)
_OPEN = "state IN ('pending', 'running', 'failed', 'cancelled', 'held')"


def named(
    where: str, texts: Sequence[str], values: dict[str, Json], *, indexed: bool, column: str = "id", first: int = 0
) -> list[str]:
    """Return queries for tasks with a text in a name.

    One of the texts is enough; ``values`` gets their parameters. ``where``: what else must be true; ``first``: the number of
    the first parameter.
    """
    for number, text in enumerate(texts, first):
        values[f"text{number}"], values[f"json{number}"] = text_pattern(text), json_pattern(text)
        values[f"near{number}"] = json_pattern(_SCHEME.sub("", text))
    numbers = range(first, first + len(texts))
    # Tags are looked for as they are stored, in one JSON text.
    marks = [f":{sort}{number}" for number in numbers for sort in ("text", "json")]
    fits = " OR ".join(f"{NAMES} LIKE {mark} ESCAPE '^'" for mark in marks if mark[1] == "t" or _differ(mark, values))
    # Cheaper than the names, and true wherever they are.
    near = " OR ".join(f"data LIKE :near{number} ESCAPE '^' OR key LIKE :text{number} ESCAPE '^'" for number in numbers)
    index = " INDEXED BY task_named" if indexed else ""
    return [
        f"SELECT {column} FROM task{index} WHERE {where} AND state = 'done' AND {NAMED_KINDS} AND ({fits})",
        f"SELECT {column} FROM task WHERE {where} AND {_OPEN} AND {NAMED_KINDS} AND ({near}) AND ({fits})",
    ]


def _differ(mark: str, values: dict[str, Json]) -> bool:
    return bool(values[mark[1:]] != values[mark[1:].replace("json", "text")])

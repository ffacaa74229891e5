"""How an item stands, for every database alike.

By its own state; once it is done, by the worst task of its video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.core.model import Json, ListedItem, Standing
from pipeline.store.encoding import Row, parse_task

#: How bad the worst task of a done item's video is.
WEIGHTS: Mapping[Standing, int] = {"done": 0, "working": 1, "failed": 2, "held": 3}
#: The states in which an item that is not done stands so.
OWN_STATES: Mapping[Standing, tuple[str, ...]] = {
    "done": (), "working": ("pending", "running"), "failed": ("failed",), "held": ("held",), "cancelled": ("cancelled",),
}  # fmt: skip
_BY_WEIGHT = {weight: word for word, weight in WEIGHTS.items()}
_BY_STATE = {state: word for word, states in OWN_STATES.items() for state in states}


def parse_item(row: Row, facts: int, read: Callable[[Any], Json] = lambda fact: fact) -> ListedItem:
    """Parse (weight, USD, doubtful calls, a task's columns, so many ``facts``).

    ``read`` makes a fact what it is.
    """
    end = len(row) - facts
    task = parse_task(row[3:end])
    standing = _BY_STATE.get(task.state.value) or _BY_WEIGHT[row[0] or 0]
    return ListedItem(task, standing, tuple(map(read, row[end:])), row[1], int(row[2]))

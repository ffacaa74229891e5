"""A vendor for a whole library: the simulation's, with windows that refuse, and lists that do not read everything it has."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.ledger import Effect, Ledger, Thing
from tests.simulation.schedule import Habits
from tests.simulation.vendor import Asked, Reply, refused
from tests.simulation.vendor_v1_3 import VendorV13

SPANS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_MINUTES = re.compile(r"-([\d]+)-[0-9a-f]{24}-")
_CHARGED = {
    ("POST", "/v1.3/assets"): "assets",
    ("POST", "/v1.3/analyze/tasks"): "analyze",
    ("POST", "/v1.3/analyze/batches"): "analyze",
}


@dataclass
class Windows:
    """The vendor's sliding windows, exact to the moment."""

    limits: Mapping[str, Mapping[str, float]]  #: by group, by name
    used: Counter[str] = field(default_factory=Counter)  #: units taken, by ``group.window``
    refused: Counter[str] = field(default_factory=Counter)
    first: dict[str, float] = field(default_factory=dict)  #: when the first was taken
    last: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._logs: dict[str, deque[tuple[float, float]]] = defaultdict(deque)
        self._sums: Counter[str] = Counter()

    def take(self, group: str, minutes: float, now: float) -> str:
        """Take a call; return the window that refuses it, or nothing."""
        asked = {
            f"{group}.{name}": (1.0 if name.startswith("requests") else minutes, limit, SPANS[name.rpartition("_")[2]])
            for name, limit in self.limits.get(group, {}).items()
        }
        for name, (amount, limit, span) in asked.items():
            log = self._logs[name]
            while log and log[0][0] <= now - span:
                self._sums[name] -= log.popleft()[1]
            if log and self._sums[name] + amount > limit + 1e-6:
                self.refused[name] += 1
                return name
        for name, (amount, _, _) in asked.items():
            self._logs[name].append((now, amount))
            self._sums[name] += amount
            self.used[name] += amount
            self.first.setdefault(name, now)
            self.last[name] = now
        return ""


class _NoLedger(Ledger):
    def accept(self, effect: Effect) -> None:
        """Enter nothing: the windows count."""


class LibraryVendor(VendorV13):
    """Uploads say in their names how many minutes they have."""

    def __init__(
        self,
        time: Callable[[], float],
        habits: Habits,
        rng: Random,
        limits: Mapping[str, Mapping[str, float]],
        hours: float,
    ) -> None:
        """``hours``: until the last answer of a batch is there."""
        super().__init__(time, habits, rng, _NoLedger(lambda _state: {}), lambda _site: ("", 0.0))
        self.windows = Windows(limits)
        self.requests: Counter[str] = Counter()  #: by group
        self.batches = 0
        self.one_call = float("inf")
        self._hours = hours
        self._named: dict[str, list[Thing]] = defaultdict(list)
        self._asked_of: dict[str, list[Thing]] = defaultdict(list)
        self._kinds: dict[str, list[Thing]] = defaultdict(list)
        self._open: dict[str, Thing] = {}  #: analyses that have not ended, oldest first

    def carry_out(self, asked: Asked) -> Reply:
        group = _CHARGED.get((asked.method, asked.path), "read")
        self.requests[group] += 1
        wall = self.windows.take(group, self._minutes_of(asked), self._time() if self._at is None else self._at)
        if wall:
            words = wall.partition(".")[2].replace("_", " ")
            limit = self.windows.limits[group][wall.partition(".")[2]]
            return Reply(429, {"code": "too_many_requests", "message": f"You exceeded {limit:g} {words}."})
        return super().carry_out(asked)

    def _minutes_of(self, asked: Asked) -> float:
        if asked.path == "/v1.3/analyze/tasks" and asked.method == "POST":
            return self._length(asked.json()["video"]["asset_id"]) / 60
        if asked.path == "/v1.3/analyze/batches" and asked.method == "POST":
            return sum(self._length(each["video"]["asset_id"]) for each in asked.json()["requests"]) / 60
        return 0.0

    def _length(self, asset_id: str) -> float:
        found = _MINUTES.search(self.things[asset_id].name)
        assert found is not None
        return 60 * float(found[1])

    # -------------------------------------------------------------------------------------------------- no long lists

    def make(self, kind: str, name: str, takes: float = 0.0, fated: str = "", **data: Any) -> Thing:
        thing = super().make(kind, name, takes, fated, **data)
        self._kinds[kind].append(thing)
        if kind == "asset":
            self._named[name].append(thing)
        if kind == "analysis":
            self._asked_of[data["asset"]].append(thing)
            self._open[thing.id] = thing
        if kind == "batch":
            self.batches += 1
        return thing

    def shown(self, *kinds: str) -> list[Thing]:
        """Return what lists show of what is rare."""
        assert kinds in (("batch",), ("index",)), kinds
        return _listed(self._kinds[kinds[0]], self.now())

    def _assets(self, asked: Asked) -> Reply:
        ids, name = asked.all("asset_ids"), asked.get("filename")
        found = [self.things[each] for each in ids if each in self.things] if ids else self._named.get(name, [])
        return self.page(asked, _listed(found, self.now()), self._asset_body)

    def _analyses(self, asked: Asked) -> Reply:
        asset, word = asked.get("asset_id"), asked.get("status")
        if asset:
            found = self._asked_of.get(asset, [])
        else:
            for thing in list(self._open.values()):
                if thing.ready <= self.now():
                    del self._open[thing.id]
            found = [thing for thing in self._open.values() if self.task_word(thing) == word]
        return self.page(asked, _listed(found, self.now()), lambda thing: self._task_body(thing, listed=True))

    # ------------------------------------------------------------------------------------------------- their lengths

    def _asset_body(self, thing: Thing) -> dict[str, Any]:
        self.seconds = self._length(thing.id)
        return super()._asset_body(thing)

    def _analyze(self, asked: Asked) -> Reply:
        body = asked.json()
        asset = self.find("asset", body["video"]["asset_id"])
        if asset is None or asset.word(self.now(), "processing") != "ready":
            return refused(400, "asset_not_ready", nested=True)
        return Reply(202, {"task_id": self.ask(body, asset, "").id, "status": "queued"})

    def ask(self, body: Mapping[str, Any], asset: Thing, key: str, *, batch: str = "") -> Thing:
        self.seconds = self._length(asset.id)
        thing = super().ask(body, asset, key, batch=batch)
        if batch:
            thing.ready = thing.made + 3600 * self._hours * (0.1 + 0.9 * self._rng.random())
        return thing


def _listed(things: Sequence[Thing], now: float) -> list[Thing]:
    """Return what lists show of these, newest first."""
    return sorted((each for each in things if each.listed <= now), key=lambda each: (-each.made, each.id))

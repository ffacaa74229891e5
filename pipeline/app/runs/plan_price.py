"""What a plan costs, by kind and model: expected, and at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import ceil

from pipeline.budget.prices import PriceList
from pipeline.config.settings import LimitsSection
from pipeline.ingest.batches.lane import Backlog, BatchRules, choose_lane
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.request_builder import expected_tokens, max_tokens
from pipeline.ingest.windows.parts import billed_seconds
from pipeline.money_views import PlannedLane, PricePart
from pipeline.ports.batch_api import BatchCeilings
from pipeline.ports.quota import QuotaGauge

_ASKED = ("analysis minutes", "answer tokens")
_KINDS = ("requests", "minutes", "tokens")
_SPANS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


class PlanPrice:
    """Adds up the price of a plan, call by call."""

    def __init__(self, prices: PriceList, model: str, longest: float) -> None:
        """``longest``: seconds of the longest video that the platform takes."""
        self._prices = prices
        self._model = model
        self._longest = longest
        self._parts: dict[tuple[str, str], PricePart] = {}
        self._loads = {group: dict.fromkeys(_KINDS, 0.0) for group in ("analyze", "index", "search")}
        self.unknown_most: float | None = 0.0  #: USD that videos of unknown length add at most; None: nobody can tell

    def analysis(self, requests: Sequence[JobRequest], seconds: float | None) -> float:
        """Add one call and return its price: nothing without a length.

        ``seconds`` are the video's; what the call looks at is billed.
        """
        expected, room, window = expected_tokens(requests), max_tokens(requests, 0), requests[0].window
        if seconds is None:
            if self.unknown_most is not None:
                self.unknown_most += self._prices.analysis(billed_seconds(window, self._longest), room, self._model)
            return 0.0
        seconds = billed_seconds(window, seconds)
        self._load("analyze", requests=1, minutes=seconds / 60, tokens=room)
        minutes, output = self._prices.analysis(seconds, 0, self._model), self._tokens(expected)
        self._add(PricePart(_ASKED[0], self._model, seconds / 60, minutes, minutes))
        self._add(PricePart(_ASKED[1], self._model, expected, output, self._tokens(room)))
        return minutes + output

    def any_number(self) -> None:
        """Take note of a list that may hold any number of videos."""
        self.unknown_most = None

    def indexing(self, seconds: float) -> float:
        """Add a place in the index and return its price."""
        usd = self._prices.indexing(seconds / 60)
        self._load("index", requests=1)
        self._add(PricePart("indexing minutes", self._prices.index_model, seconds / 60, usd, usd))
        return usd

    def queries(self, number: int) -> float:
        """Add standing queries and return their price."""
        usd = number * self._prices.query()
        self._load("search", requests=number)
        if number:
            self._add(PricePart("queries", self._prices.index_model, number, usd, usd))
        return usd

    def parts(self) -> list[PricePart]:
        """Return the parts, in the order in which they came up."""
        return list(self._parts.values())

    def seconds(self, limits: LimitsSection, gauges: Sequence[QuotaGauge] = ()) -> float:
        """Return how long the calls take, by the slowest limit.

        ``gauges``: what of the windows is not free at once, and limits that the platform has named.
        """
        named = {(each.group, each.window): each for each in gauges}
        waits = [0.0]
        for group, load in self._loads.items():
            for kind, (span, seconds) in product(_KINDS, _SPANS.items()):
                window = f"{kind}_per_{span}"
                gauge = named.get((group, window))
                limit, used = (
                    (gauge.limit, gauge.used) if gauge is not None else (getattr(getattr(limits, group), window), 0.0)
                )
                if limit is not None and load[kind]:
                    waits.append((load[kind] + min(used, limit) - limit) / limit * seconds)
        return max(waits)

    @property
    def analyses(self) -> int:
        """How many there are."""
        return int(self._loads["analyze"]["requests"])

    def lane(self, rules: BatchRules, ceilings: BatchCeilings | None, per_minute: float | None) -> PlannedLane | None:
        """Return how they are asked; None where no batch comes into question."""
        if rules.mode == "off" or not self.analyses or (rules.mode == "auto" and self.analyses < rules.least):
            return None
        choice = choose_lane(Backlog(self.analyses, self._model, per_minute), rules, ceilings)
        by_batch = choice.lane == "batch" and ceilings is not None
        batches = ceil(self.analyses / ceilings.items) if by_batch and ceilings is not None else 0
        usd = sum(part.usd for part in self.parts() if part.kind in _ASKED)
        return PlannedLane(
            choice.lane, choice.why, self.analyses, batches, choice.task_hours, choice.batch_hours,
            (1 - rules.factor) * usd if by_batch else 0.0,
        )  # fmt: skip

    def _load(self, group: str, **amounts: float) -> None:
        for kind, amount in amounts.items():
            self._loads[group][kind] += amount

    def _tokens(self, number: int) -> float:
        return self._prices.analysis(0.0, number, self._model)

    def _add(self, part: PricePart) -> None:
        old = self._parts.get((part.kind, part.model))
        if old is not None:
            amount, usd, most = old.amount + part.amount, old.usd + part.usd, old.usd_most + part.usd_most
            part = replace(part, amount=amount, usd=usd, usd_most=most)
        self._parts[part.kind, part.model] = part

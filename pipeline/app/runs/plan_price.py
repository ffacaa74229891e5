"""What a plan costs, by kind and model: expected, and at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import ceil

from pipeline.budget.prices import PriceList
from pipeline.config.settings import BucketSection, LimitsSection, Settings
from pipeline.ingest.batches.lane import Backlog, BatchRules, choose_lane
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.request_builder import expected_tokens, max_tokens
from pipeline.ingest.windows.parts import billed_seconds
from pipeline.money_views import PlannedLane, PricePart
from pipeline.ports.batch_api import BatchCeilings
from pipeline.ports.quota import QuotaGauge

_ASKED = ("analysis minutes", "answer tokens")
_GROUPS = ("assets", "analyze", "index", "search", "read")
_ONE_BY_ONE = (("analyze", "requests"), ("read", "requests"))  #: what a batch takes once for all
_KINDS = ("requests", "minutes", "tokens")
_POLLED = 2 / 3  #: of the list requests that may be made, a busy run makes so many (``python -m tests.bench backfill``)
_SPANS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


class PlanPrice:
    """Adds up the price of a plan, call by call."""

    def __init__(self, prices: PriceList, model: str, longest: float) -> None:
        """``longest``: seconds of the longest video that the platform takes."""
        self._prices = prices
        self._model = model
        self._longest = longest
        self._parts: dict[tuple[str, str], PricePart] = {}
        self._loads = {group: dict.fromkeys(_KINDS, 0.0) for group in _GROUPS}
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
        self._load("read", requests=1)  # its answer
        minutes, output = self._prices.analysis(seconds, 0, self._model), self._tokens(expected)
        self._add(PricePart(_ASKED[0], self._model, seconds / 60, minutes, minutes))
        self._add(PricePart(_ASKED[1], self._model, expected, output, self._tokens(room)))
        return minutes + output

    def upload(self) -> None:
        """Add the sending of a file in one call; nobody knows how many parts."""
        self._load("assets", requests=1)

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

    def seconds(self, limits: LimitsSection, gauges: Sequence[QuotaGauge] = (), polls: float = 0.0) -> float:
        """Return how long the calls take, by the slowest limit.

        ``gauges``: what of the windows is not free at once, and limits that the platform has named. ``polls``: list
        requests a minute that may be made to look how far things are; answers are read beside them.
        """
        return max([0.0, *(wait for _, wait in self._waits(limits, gauges, polls))])

    def _waits(
        self, limits: LimitsSection, gauges: Sequence[QuotaGauge], polls: float
    ) -> Iterator[tuple[tuple[str, str], float]]:
        """Yield (group, kind) of each limit, and the seconds that it takes."""
        named = {(each.group, each.window): each for each in gauges}
        for (group, load), kind, (span, seconds) in product(self._loads.items(), _KINDS, _SPANS.items()):
            window = f"{kind}_per_{span}"
            gauge, limit, used = named.get((group, window)), getattr(getattr(limits, group), window), 0.0
            if gauge is not None:
                limit, used = gauge.limit, gauge.used
            if limit is None or not load[kind]:
                continue
            if group == "read":
                limit = max(limit / 2, limit - _POLLED * polls * seconds / 60)
            yield (group, kind), (load[kind] + min(used, limit) - limit) / limit * seconds

    @property
    def analyses(self) -> int:
        """How many there are."""
        return int(self._loads["analyze"]["requests"])

    def lane(
        self,
        rules: BatchRules,
        ceilings: BatchCeilings | None,
        limits: LimitsSection,
        gauges: Sequence[QuotaGauge] = (),
    ) -> PlannedLane | None:
        """Return how they are asked; None where no batch comes into question."""
        per_minute = limits.analyze.requests_per_minute
        if rules.mode == "off" or not self.analyses or (rules.mode == "auto" and self.analyses < rules.least):
            return None
        choice = choose_lane(Backlog(self.analyses, self._model, per_minute), rules, ceilings)
        by_batch = choice.lane == "batch" and ceilings is not None
        batches = ceil(self.analyses / ceilings.items) if by_batch and ceilings is not None else 0
        usd = sum(part.usd for part in self.parts() if part.kind in _ASKED)
        hours = choice.batch_hours
        if hours is not None:  # the last batch goes when its videos are there and its minutes are free
            waits = (wait for of, wait in self._waits(limits, gauges, 0.0) if of not in _ONE_BY_ONE)
            hours = max(hours, max([0.0, *waits]) / 3600 + rules.hours)
        return PlannedLane(
            choice.lane, choice.why, self.analyses, batches, choice.task_hours, hours,
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


def plan_limits(settings: Settings, *, local: bool) -> LimitsSection:
    """Return the limits that a plan's calls meet.

    ``local``: the embedded platform, which has none.
    """
    said, none = settings.limits, BucketSection()
    if local:
        return LimitsSection(assets=none, analyze=none, index=none, search=none, read=none)
    # On v1.2 an upload is a place in the index, and an answer comes with its question.
    return said if settings.provider.api == "v1.3" else said.model_copy(update={"assets": none, "read": none})

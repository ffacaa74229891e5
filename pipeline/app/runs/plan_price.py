"""What a plan costs, by kind and model: expected, and at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.budget.prices import PriceList
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.request_builder import expected_tokens, max_tokens
from pipeline.money_views import PricePart


class PlanPrice:
    """Adds up the price of a plan, call by call."""

    def __init__(self, prices: PriceList, model: str, longest: float) -> None:
        """``longest``: seconds of the longest video that the platform takes."""
        self._prices = prices
        self._model = model
        self._longest = longest
        self._parts: dict[tuple[str, str], PricePart] = {}
        self.unknown_most = 0.0  #: USD that the videos of unknown length cost at most, beside what is expected

    def analysis(self, requests: Sequence[JobRequest], seconds: float | None) -> float:
        """Add one call and return its price: nothing without a length."""
        expected, room = expected_tokens(requests), max_tokens(requests, 0)
        if seconds is None:
            self.unknown_most += self._prices.analysis(self._longest, room, self._model)
            return 0.0
        minutes, output = self._prices.analysis(seconds, 0, self._model), self._tokens(expected)
        self._add(PricePart("analysis minutes", self._model, seconds / 60, minutes, minutes))
        self._add(PricePart("answer tokens", self._model, expected, output, self._tokens(room)))
        return minutes + output

    def indexing(self, seconds: float) -> float:
        """Add a place in the index and return its price."""
        usd = self._prices.indexing(seconds / 60)
        self._add(PricePart("indexing minutes", self._prices.index_model, seconds / 60, usd, usd))
        return usd

    def queries(self, number: int) -> float:
        """Add standing queries and return their price."""
        usd = number * self._prices.query()
        if number:
            self._add(PricePart("queries", self._prices.index_model, number, usd, usd))
        return usd

    def parts(self) -> list[PricePart]:
        """Return the parts, in the order in which they came up."""
        return list(self._parts.values())

    def _tokens(self, number: int) -> float:
        return self._prices.analysis(0.0, number, self._model)

    def _add(self, part: PricePart) -> None:
        old = self._parts.get((part.kind, part.model))
        if old is not None:
            amount, usd, most = old.amount + part.amount, old.usd + part.usd, old.usd_most + part.usd_most
            part = replace(part, amount=amount, usd=usd, usd_most=most)
        self._parts[part.kind, part.model] = part

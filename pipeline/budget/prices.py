"""The price list: what each paid call costs by the configured prices. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.settings import PricesSection


@dataclass(frozen=True, slots=True)
class PriceList:
    """Estimates in USD. Only here is it decided that the local platform costs nothing."""

    rates: PricesSection
    free: bool = False

    def analysis(self, seconds: float, tokens: int) -> float:
        """Return the price of an analysis with at most ``tokens`` of output."""
        return self._usd(seconds / 60 * self.rates.analyze_minute + tokens / 1000 * self.rates.output_1000_tokens)

    def indexing(self, minutes: float) -> float:
        """Return the price of putting so many minutes of video into an index."""
        return self._usd(minutes * self.rates.index_minute)

    def query(self) -> float:
        """Return the price of a search or a classification; later pages are free."""
        return self._usd(self.rates.search_1000_queries / 1000)

    def _usd(self, usd: float) -> float:
        return 0.0 if self.free else usd

"""The price list: what each paid call costs by the configured prices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.config.local_model import ModelSection
from pipeline.config.settings import PricesSection

#: Models that the default prices of ``[prices]`` are known to be right for.
_PRICED = frozenset({"pegasus1.5", "marengo3.0"})


#: Tokens of evidence in a minute of video: fast speech with its times; with up to eight pictures; pictures of all shots.
_SPEECH, _WITH_PICTURES, _ALL_SHOTS = 500, 1500, 6000


def own_model_rates(own: ModelSection) -> PricesSection:
    """Return what the local platform costs where a model of the user's own writes."""
    into, out = own.input_million_tokens or 0.0, own.output_million_tokens or 0.0
    return PricesSection(
        analyze_minute=(_WITH_PICTURES if own.images else _SPEECH) * into / 1_000_000,
        output_1000_tokens=out / 1000,
        index_minute=(_ALL_SHOTS * into + _ALL_SHOTS / 10 * out) / 1_000_000 if own.images else 0.0,
        search_1000_queries=0.0,
        response_input_million_tokens=0.0,
        response_output_million_tokens=0.0,
    )


@dataclass(frozen=True, slots=True)
class PriceList:
    """Estimates in USD. Only here is it decided that the local platform costs nothing."""

    rates: PricesSection
    free: bool = False
    index_model: str = ""  #: the model that indexes and searches; empty: by the default prices

    def analysis(self, seconds: float, tokens: int, model: str = "") -> float:
        """Return the price of an analysis with so many ``tokens`` of output."""
        minutes, output = self._rate(model, "analyze_minute"), self._rate(model, "output_1000_tokens")
        return self._usd(seconds / 60 * minutes + tokens / 1000 * output)

    def indexing(self, minutes: float) -> float:
        """Return the price of putting so many minutes of video into an index."""
        return self._usd(minutes * self._rate(self.index_model, "index_minute"))

    def query(self) -> float:
        """Return the price of a search or a classification; later pages are free."""
        return self._usd(self._rate(self.index_model, "search_1000_queries") / 1000)

    def response(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the price of an answer across videos; None: nobody has set one."""
        into, out = self.rates.response_input_million_tokens, self.rates.response_output_million_tokens
        if self.free:
            return 0.0
        if into is None or out is None:
            return None
        return (input_tokens * into + output_tokens * out) / 1_000_000

    def unknown(self, models: Iterable[str]) -> Sequence[str]:
        """Return a sentence for each of these models that has no price."""
        if self.free:
            return []
        return [
            f'no price known for {model}: set [prices."{model}"]; until then the default prices of '
            f"{self.rates.as_of.isoformat()} count"
            for model in models
            if model not in _PRICED and model not in self.rates.models
        ]

    def _rate(self, model: str, name: str) -> float:
        """Return a model's price, the default one where it has none of its own."""
        own: float | None = getattr(self.rates.models.get(model), name, None)
        default: float = getattr(self.rates, name)
        return default if own is None else own

    def _usd(self, usd: float) -> float:
        return 0.0 if self.free else usd

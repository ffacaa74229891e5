"""Prices to estimates. Pure. What the platform really bills is its own ledger's business; this is the order of it."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config.settings import PricesSection


def analysis_usd(prices: PricesSection, seconds: float, tokens: int) -> float:
    """Return the price of one analysis: input minutes and the output tokens expected at most. USD."""
    return seconds / 60 * prices.analyze_minute + tokens / 1000 * prices.output_1000_tokens


def pricer(prices: PricesSection, *, free: bool) -> Callable[[float, int], float]:
    """Return (seconds, tokens) → USD; always 0 where the platform is our own."""
    if free:
        return lambda seconds, tokens: 0.0
    return lambda seconds, tokens: analysis_usd(prices, seconds, tokens)

"""Gauges as Prometheus reads them: the only file that knows its library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its rows; a name that ends in ``_total`` is a counter."""

    name: str  #: without the prefix that all of ours have
    means: str
    rows: Sequence[tuple[Sequence[str], float]]  #: (values of the labels, number)
    labels: Sequence[str] = ()


class _Given(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for each in self._families:
            kind = CounterMetricFamily if each.name.endswith("_total") else GaugeMetricFamily
            metric = kind(f"reelmill_{each.name}", each.means, labels=each.labels)
            for values, number in each.rows:
                metric.add_metric(values, number)
            yield metric


def render(families: Iterable[Family]) -> bytes:
    """Return the text of a textfile; families without rows are left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given([each for each in families if each.rows]))
    return generate_latest(registry)

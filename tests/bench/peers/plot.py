"""The peers as bars in one SVG file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rcParams
from matplotlib.figure import Figure

__all__ = ["draw"]

#: figure -> what its bars say
BARS = {
    "items_per_second": "items per second",
    "cpu_ms_per_item": "CPU per item, ms",
    "peak_mb": "memory, MB at most",
    "polls_per_item": "polls per item",
    "lag_median": "told after it was ready, s",
}


def draw(found: Mapping[Any, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Draw a row of bars for each scene; figures that are zero for all are left out."""
    scenes = list(found.items())
    figure = Figure(figsize=(16, 0.9 + 2.4 * len(scenes)), layout="constrained")
    axes = figure.subplots(len(scenes), len(BARS), squeeze=False)
    for row, (scene, peers) in zip(axes, scenes, strict=True):
        for place, (axis, (key, title)) in enumerate(zip(row, BARS.items(), strict=True)):
            values = [peer[key] for peer in peers.values()]
            if not any(values):
                axis.set_axis_off()
                continue
            colours = ["#1f6f8b", *["#b5c4cc"] * (len(values) - 1)]
            axis.bar_label(axis.barh(list(peers), values, color=colours), fmt="%.3g", padding=3)
            axis.invert_yaxis()
            axis.margins(x=0.2)
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_title(title, fontsize=10)
            if place:
                axis.set_yticklabels([])
            else:
                axis.set_ylabel(f"{scene.items:,} videos,\n{scene.name}")
    rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "reelmill"}
    )  # letters stay letters, the same file every time
    figure.savefig(path, format="svg", metadata={"Date": None})

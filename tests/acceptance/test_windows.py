"""A film of three hours, and a part of it, by the command line over the local platform."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.core.text import stamp
from tests.acceptance.test_captions_beside import paid
from tests.support.cli import Terminal, customer, serving
from tests.support.media import film_bytes

HOURS = 3
TOPICS = ("bees", "glaciers", "lighthouses", "bread", "tides", "owls")


def night(folder: Path) -> None:
    """Write three hours of film, a picture every four minutes, with a caption a minute about six topics in turn."""
    (folder / "night.mp4").write_bytes(film_bytes(HOURS * 3600, fps=Fraction(1, 240), codec="libx264"))
    cues = [
        f"{stamp(at)} --> {stamp(at + 50)}\nAt minute {at // 60} people tell of {TOPICS[at // 1800]} again.\n"
        for at in range(0, HOURS * 3600, 60)
    ]
    (folder / "night.vtt").write_text("WEBVTT\n\n" + "\n".join(cues))


def result(here: Terminal, name: str) -> Any:
    """Return one written result."""
    (path,) = (here.folder / "out").glob(f"night--*/{name}")
    return json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()


def spans(here: Terminal) -> list[tuple[float, float]]:
    """Return the chapters' times."""
    return [(each["start_time"], each["end_time"]) for each in result(here, "chapters.json")["chapters"]]


def test_three_hours_are_asked_at_once_and_ten_minutes_alone(tmp_path: Path) -> None:
    """The local platform takes any length: chapters cover the film on its own clock; a window of it is one more call."""
    here = Terminal(tmp_path / "here")
    night(here.folder)
    ended = here.run("run", "night.mp4", "--json", "--jobs", "summary,chapters")
    assert (ended.code, paid(here)) == (0, (1, 1)), ended.err
    times = spans(here)
    assert (times[0][0], times[-1][1]) == (0.0, 10_800.0)
    assert all(before[1] == after[0] for before, after in pairwise(times))
    assert "bees" in result(here, "summary.md")
    (here.folder / "list.jsonl").write_text('{"source": "night.mp4", "window": "1:00:00-1:10:00"}\n')
    assert here.run("run", "list.jsonl", "--jobs", "summary,chapters").code == 0
    assert paid(here) == (1, 2)
    times = spans(here)
    assert (times[0][0], times[-1][1]) == (3600.0, 4200.0)
    assert "lighthouses" in result(here, "summary.md")


def test_three_hours_are_asked_in_two_parts_of_the_vendors_length(tmp_path: Path) -> None:
    """As long as the vendor takes at a time, over a platform that stands for it: one result, told part by part."""
    with serving(tmp_path / "platform") as platform:
        here = customer(tmp_path / "here", platform, "twelvelabs")
        night(here.folder)
        ended = here.run("run", "night.mp4", "--json", "--jobs", "summary,chapters")
        assert ended.code == 0, ended.err
        assert Counter(effect for effect, _ in platform.paid()) == {"asset_created": 1, "analyze_task_created": 2}
    times = spans(here)
    assert (times[0][0], times[-1][1]) == (0.0, 10_800.0)
    assert all(before[1] == after[0] for before, after in pairwise(times))
    assert 5400.0 in [start for start, _ in times]
    assert "## 1:30:00–3:00:00" in result(here, "summary.md")

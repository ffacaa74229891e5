"""What v1.2 bills when it indexes: reserved before it is sent, booked, and never beyond a limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_exit_codes import QUICK
from tests.support.cli import Platform, Terminal, customer, serving
from tests.support.media import clips

pytestmark = pytest.mark.slow

#: Each clip of 5 s costs 1 USD to index, and its analyses next to nothing.
PRICES = {"index_minute": 12.0, "analyze_minute": 0.0, "output_1000_tokens": 0.0}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform that plays the vendor's."""
    with serving(tmp_path / "there") as served:
        yield served


def at(folder: Path, platform: Platform, **sections: Any) -> Terminal:
    """Return a terminal that speaks v1.2 to it, with two clips."""
    quick = {**QUICK, "provider": {**QUICK["provider"], "api": "v1.2"}}
    quick["limits"] = {group: {"requests_per_minute": 6000.0} for group in ("index", "analyze", "read")}
    terminal = customer(folder, platform, "twelvelabs", **quick, prices=PRICES, jobs={"enabled": ["gist"]}, **sections)
    clips(terminal.folder / "films", 2)
    return terminal


def test_indexing_is_booked_as_it_is_billed(tmp_path: Path, platform: Platform) -> None:
    """Two clips, two entries in the index: 2 USD in plan, run, status and the film's own card, as v1.3's are."""
    here = at(tmp_path / "here", platform)
    assert here.run("plan", "films", "--json").json["usd"] == pytest.approx(2.0, rel=0.05)
    ended = here.run("run", "films", "--json")
    assert ended.code == 0, ended.err
    billed = [entry for entry in platform.entries() if entry["effect"] == "indexed"]
    assert len(billed) == 2
    assert ended.json["usd"] == pytest.approx(2.0, rel=0.05)
    assert here.run("status", "--json").json["usd_total"] == pytest.approx(ended.json["usd"])
    spends = here.run("show", "films/clip-00.mp4", "--json").json["spends"]
    assert [(spend["what"], spend["usd"] > 0.9) for spend in spends if spend["what"] == "index"] == [("index", True)]
    again = here.run("run", "films", "--json").json
    assert (again["usd"], len([e for e in platform.entries() if e["effect"] == "indexed"])) == (0.0, 2)


def test_indexing_stops_at_the_limit(tmp_path: Path, platform: Platform) -> None:
    """A limit of 0.05 USD sends nothing (exit 5); one of 1.50 sends one clip; without a limit the other follows."""
    here = at(tmp_path / "here", platform)
    poor = here.run("run", "films", "--max-usd", "0.05")
    assert poor.code == 5, poor.out
    assert "One indexing alone (up to $1.0" in poor.out
    assert [entry["effect"] for entry in platform.entries() if entry["effect"] != "index_created"] == []
    assert here.run("run", "films", "--max-usd", "1.5").code == 5
    assert [entry["effect"] for entry in platform.entries()].count("indexed") == 1
    rest = here.run("run", "films", "--json")
    assert (rest.code, rest.json["items"]["done"]) == (0, 2)
    assert [entry["effect"] for entry in platform.entries()].count("indexed") == 2
    assert here.run("status", "--json").json["usd_total"] == pytest.approx(2.0, rel=0.05)

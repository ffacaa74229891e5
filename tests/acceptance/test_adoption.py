"""A state folder that is lost, or a second one on the same account: what is there is adopted, nothing is paid again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Platform, Terminal, customer, serving
from tests.support.media import clips

pytestmark = pytest.mark.slow

_TIMES = ("asked", "answered")


def effects(platform: Platform) -> Counter[str]:
    """Return how often the platform accepted each sort of thing."""
    return Counter(entry["effect"] for entry in platform.entries())


def results(out: Path) -> dict[str, Any]:
    """Return every result file by path, without the times and the cost that ``video.json`` tells of its own run."""
    found: dict[str, Any] = {}
    for path in sorted(out.glob("*--*/**/*")):
        if path.is_file() and path.name != "video.json":
            found[str(path.relative_to(out))] = path.read_bytes()
    for path in out.glob("*/video.json"):
        card = json.loads(path.read_bytes())
        del card["cost"]
        card["results"] = [{k: v for k, v in r.items() if k not in _TIMES} for r in card["results"].values()]
        found[str(path.relative_to(out))] = card
    return found


def run(terminal: Terminal, state: str, out: str) -> dict[str, Any]:
    """Ingest the folder ``films`` and return what the run reports."""
    ended = terminal.run("run", "films", "--state", state, "--output", out, "--json")
    assert ended.code == 0, ended.err
    report: dict[str, Any] = ended.json
    return report


@pytest.mark.parametrize("api", ["v1.3", "v1.2"])
def test_a_lost_state_folder_costs_nothing(tmp_path: Path, api: str) -> None:
    """From an empty state folder, finished videos are found in the account: on v1.3 nothing is uploaded, indexed or paid
    again and the results are the same; on v1.2, where answers leave no trace, nothing is uploaded again.
    """
    index = {"index": {"name": "films"}, "jobs": {"enabled": ["gist", "chapters"]}}
    with serving(tmp_path / "there") as platform:
        terminal = customer(tmp_path / "here", platform, provider={"api": api}, **index)
        clips(terminal.folder / "films", 20 if api == "v1.3" else 3)
        first = run(terminal, "state", "out")
        paid, before = effects(platform), platform.requests()
        shutil.rmtree(terminal.folder / "state")
        second = run(terminal, "state", "out2")

        now = effects(platform)
        if api == "v1.3":
            assert now == paid
            assert results(terminal.folder / "out2") == results(terminal.folder / "out")
            for route in ("GET /v1.3/assets", "GET /v1.3/analyze/tasks"):  # polling included
                assert platform.requests()[route] - before[route] < 20
            assert second["analyses"] == 0
        else:
            assert not {"task_created", "indexed", "index_created"} & (now - paid).keys()
            assert len(results(terminal.folder / "out2")) == len(results(terminal.folder / "out"))
        assert first["exit_code"] == second["exit_code"] == 0
        assert (first["indexed"], second["indexed"]) == (20 if api == "v1.3" else 3, 0)


def test_two_state_folders_get_the_same(tmp_path: Path) -> None:
    """A second state folder that lives beside the first is served from the account, in turn and at once, from their first
    run on: each question and each entry of the index is paid once, and nothing fails.
    """
    with serving(tmp_path / "there") as platform:
        terminal = customer(tmp_path / "here", platform, jobs={"enabled": ["gist"]}, index={"name": "films"})
        clips(terminal.folder / "films", 4)
        together = [terminal.start("run", "films", "--state", name, "--output", f"out-{name}") for name in ("a", "b")]
        assert [running.wait().code for running in together] == [0, 0]
        first = effects(platform)
        assert first["analyze_task_created"] == first["indexed"] == 4
        run(terminal, "c", "out-c")
        paid = effects(platform)
        clips(terminal.folder / "films", 2, first=4)
        run(terminal, "c", "out-c")
        run(terminal, "a", "out-a")

        grown = effects(platform) - paid
        assert grown["asset_created"] == grown["analyze_task_created"] == 2
        texts = {name: results_text(terminal.folder / f"out-{name}") for name in ("a", "c")}
        assert texts["a"] == texts["c"]


def results_text(out: Path) -> dict[str, bytes]:
    """Return what was answered, by file."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.glob("*/gist.json")}

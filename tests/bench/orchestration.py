"""What orchestration costs: Reelmill's whole run against a bare httpx loop that makes the same requests.

Both talk to the benchmark's own platform on loopback. The run is the real one (SQLite with synchronous=FULL, the real
client, results written and synced file by file); only the look into each file is synthetic, because decoding is not
orchestration. The bare loop makes as many requests of each kind, with bodies of the same size and as many workers as the
run has connections, and keeps nothing. It is measured twice: as one writes it naturally (one ``httpx.AsyncClient``), and
with its connections parted into small pools as ours are. Each measurement is a process of its own, round by round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.bench.child import WIDE, settings_for, spawn
from tests.bench.parts import show as show_parts
from tests.bench.server import serving

NATURAL, SHARDED = "bare httpx, one client", "bare httpx, small pools"
PRODUCT = "reelmill"


def question_body(folder: Path, jobs: Sequence[str]) -> dict[str, Any]:
    """Return the body of an analysis request as the product sends it."""
    from pipeline.app.wiring.run_plan import make_run_plan
    from pipeline.ingest.payloads import AnalysisData
    from pipeline.ingest.request_builder import build_question
    from pipeline.ingest.tasks.item import unsaved_task
    from pipeline.ports.source import Item, ManifestLine
    from pipeline.provider.dialects.v1_3.media import V13

    planner = make_run_plan(settings_for(folder, "http://127.0.0.1:1", jobs)).planner
    requests = planner.requests([unsaved_task(Item("k", "file", "k", ManifestLine("k")))])
    data = AnalysisData(media_id="m", temperature=0.2, model="pegasus1.5", seconds=60.0)
    body = V13().submit_analysis(build_question("key", data, requests)).request.json
    assert isinstance(body, dict)
    return body


def _round(url: str, films: Path, items: int, jobs: Sequence[str], figures: dict[str, list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory(dir=films.parent) as name, httpx.Client(base_url=url) as ask:
        folder = Path(name)
        told: dict[str, Any] = {"url": url, "items": items, "folder": name, "films": str(films), "jobs": jobs}
        ask.get("/reset")
        mine = spawn("product", told)
        seen = ask.get("/figures").json()
        assert seen["assets"] == seen["analyses"] == items, seen
        assert seen["counts"]["create asset"] == seen["counts"]["create task"] == items, seen
        mine["requests_per_item"] = sum(seen["counts"].values()) / items
        mine["counts"] = seen["counts"]
        figures[PRODUCT].append(mine)
        same = {**told, "question": question_body(folder, jobs), **seen}
        for label, shards in ((NATURAL, 0), (SHARDED, WIDE // 5)):
            ask.get("/reset")
            bare = spawn("bare", {**same, "shards": shards})
            made = ask.get("/figures").json()["counts"]
            bare["requests_per_item"] = sum(made.values()) / items
            figures[label].append(bare)


def _show(figures: dict[str, list[dict[str, Any]]]) -> None:
    def middle(label: str, name: str) -> float:
        return statistics.median(entry[name] for entry in figures[label])

    for label in figures:
        each = " ".join(f"{entry['items_per_second']:.0f}" for entry in figures[label])
        print(
            f"{label:<24} {middle(label, 'items_per_second'):7.1f} items/s",
            f"{middle(label, 'cpu_ms_per_item'):6.2f} ms CPU/item",
            f"{middle(label, 'requests_per_item'):5.2f} requests/item  {middle(label, 'peak_mb'):5.0f} MB peak",
            f"(rounds: {each})",
            sep="  ",
        )
    mine = middle(PRODUCT, "items_per_second")
    for label in (NATURAL, SHARDED):
        print(f"reelmill / {label:<24} {mine / middle(label, 'items_per_second'):6.1%}")
    print("requests of the last run:", ", ".join(f"{n} {k}" for k, n in figures[PRODUCT][-1]["counts"].items()))


def _show_where(url: str, films: Path, items: int, jobs: Sequence[str], plain: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=films.parent) as name, httpx.Client(base_url=url) as ask:
        ask.get("/reset")
        told = {"url": url, "items": items, "folder": name, "films": str(films), "jobs": jobs}
        show_parts(plain, spawn("parts", told)["parts"])


def main() -> None:
    """Read the arguments, measure in turns, print medians."""
    parser = argparse.ArgumentParser(description="Items per second of a run against a bare HTTP loop.")
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--jobs", default="gist", help="asked in one request; each more is files to write, not requests"
    )
    parser.add_argument("--think-ms", type=float, default=0.0, help="until an upload or analysis is ready")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of every answer of the platform")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; a local disk")
    parser.add_argument("--where", action="store_true", help="also print which part the CPU of a run goes to")
    given = parser.parse_args()
    jobs = given.jobs.split(",")
    figures: dict[str, list[dict[str, Any]]] = {PRODUCT: [], NATURAL: [], SHARDED: []}
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as name,
        serving(given.think_ms / 1e3, given.latency_ms / 1e3) as url,
    ):
        films = Path(name) / "films"
        films.mkdir()
        for number in range(given.items):
            (films / f"{number:07}.mp4").write_bytes(b"%064d" % number)
        print(
            f"{given.items:,} items of 64 bytes, jobs {given.jobs} in one request, {WIDE} connections and bare workers; "
            f"platform: ready after {given.think_ms:g} ms, answers after {given.latency_ms:g} ms; synthetic look into files"
        )
        for _ in range(given.rounds):
            _round(url, films, given.items, jobs, figures)
        _show(figures)
        if given.where:
            _show_where(url, films, given.items, jobs, figures[PRODUCT][-1])

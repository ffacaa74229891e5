"""``python -m tests.faults.kills --api v1.3 --kills 500 --seed 1``: runs over many videos, killed with SIGKILL.

Real processes, SQLite, HTTP and disk; the platform is a process of its own, lives on, and its ledger is the truth. Exit code
1 if a call was repeated in silence, or an item is lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.local.state.ledger import Ledger
from tests.faults.canned_platform import canned
from tests.faults.reckoning import Reckoning, reckon
from tests.faults.siege import THIRDS, Siege, check_whole, padded
from tests.support.cli import KEY, Terminal

#: What the platform accepts of one video, by API; a folder of results is one step more.
WORK = {
    "v1.3": ("asset_created", "analyze_task_created", "indexed"),
    "v1.2": ("task_created", "indexed", "gist", "summarize"),
}
#: The same of a video that is asked by a batch.
BATCHED = ("asset_created", "batch_item_created", "indexed")
#: Runs after the last kill, each after the operator's ``retry``: v1.2 cannot be asked for an answer, so a question that was
#: lost twice is held for a person.
ENDS = 4


@dataclass(frozen=True)
class Toll:
    """What the kills have come to."""

    kills: int
    thirds: Counter[str]
    calls: Reckoning
    lost: int  #: items that are not done in the end
    held: int  #: items that waited for the operator's ``retry`` after the last kill
    seconds: float

    @property
    def good(self) -> bool:
        """Nothing was repeated in silence, and nothing is lost."""
        return not (self.calls.silent or self.calls.unbooked or self.calls.anew or self.lost)

    def table(self, api: str, videos: int) -> str:
        """Return the figures as lines."""
        thirds = ", ".join(f"{self.thirds[part]} {part}" for part in THIRDS)
        rows = {
            "kills": f"{self.kills} ({thirds})", "videos": videos, "paid calls": self.calls.paid,
            "repeats told": self.calls.told, "repeats silent": self.calls.silent + self.calls.anew,
            "not in our ledger": self.calls.unbooked, "items held, then done": self.held, "items lost": self.lost,
            "seconds": round(self.seconds),
        }  # fmt: skip
        return "\n".join([f"API {api}", *(f"  {name:<22} {value}" for name, value in rows.items())])


def besiege(folder: Path, api: str, kills: int, seed: int, videos: int, *, batches: bool = False) -> Toll:
    """Kill that many runs over that many videos, let the last ones end, and hold the ledgers side by side."""
    work = BATCHED if batches else WORK[api]
    began = time.monotonic()
    films = padded(folder / "films", videos)
    with canned(folder / "there") as (base_url, database):
        sections: dict[str, dict[str, Any]] = {
            "provider": {"kind": "local", "base_url": base_url, "api": api},
            "jobs": {"enabled": ["gist", "chapters"]},
            "index": {"name": "films"},
            **({"batches": {"mode": "always"}} if batches else {}),
        }
        terminal = Terminal(folder / "here", {"TWELVELABS_API_KEY": KEY}, sections)
        siege = Siege(terminal, films, database, videos, latest=0.1, effects=work, steps_each=len(work) + 1)
        siege.storm(kills, seed)
        held = _end(terminal, films)
        status = terminal.run("status", "--json").json["items"]
        lost = videos - status["done"]
        if not lost:
            check_whole(terminal, videos)
        calls = reckon(Ledger(database).entries(), terminal.folder / ".reelmill")
    return Toll(len(siege.hits), siege.thirds(), calls, lost, held, time.monotonic() - began)


def _end(terminal: Terminal, films: Path) -> int:
    """Run to the end, with an operator's ``retry`` for what is held; return how much was."""
    held = 0
    for _ in range(ENDS):
        last = terminal.run("run", str(films), "--json", timeout=600)
        if last.code == 0:
            break
        held += last.json["items"]["held"]
        stopped = terminal.run("status", "--json").json["troubles"]
        terminal.run("retry", *(word for name in stopped for word in ("--class", name)))
    return held


def main() -> int:
    """Do what the command line says; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--api", choices=sorted(WORK), default="v1.3", help="the dialect spoken")
    parser.add_argument("--kills", type=int, default=100, help="runs to kill")
    parser.add_argument("--videos", type=int, help="videos to ingest; as many as kills")
    parser.add_argument("--seed", type=int, default=1, help="decides the moments")
    parser.add_argument("--batches", action="store_true", help="ask by the batch (v1.3)")
    given = parser.parse_args()
    videos = given.videos or max(given.kills, 10)
    with tempfile.TemporaryDirectory() as folder:
        toll = besiege(Path(folder), given.api, given.kills, given.seed, videos, batches=given.batches)
    print(toll.table(given.api, videos))
    if toll.kills < given.kills:
        print(f"{given.kills - toll.kills} runs had ended before their moment")
    return 0 if toll.good else 1


if __name__ == "__main__":
    sys.exit(main())

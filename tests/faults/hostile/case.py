"""One hostile answer to one call: a real ``reelmill run`` meets it, then the operator's ``retry`` and an honest platform."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from pipeline.core.clock import SystemClock
from pipeline.core.exit_codes import ExitCode
from pipeline.local.limits import PlatformLimits
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import Canned
from tests.faults.hostile import question
from tests.faults.hostile.front import Front, fronted
from tests.faults.hostile.playing import CALLS, HONEST, HOSTILE, Call, HostileCase, Seen, ended, until
from tests.faults.reckoning import reckon
from tests.faults.siege import padded
from tests.support.cli import KEY, Terminal

#: ``retry`` and ``run`` so often: a refusal that was heard while the platform was hostile may fail the item at first.
ROUNDS = 2
_CHUNK = 16 * 1024 * 1024
_LARGE = 201_000_000  #: bytes of a file that is sent in parts


def configuration(call: Call, port: int, kind: str) -> dict[str, dict[str, Any]]:
    """Return settings that do not wait longer than they must; with the rules for the vendor, its limits and waits hold."""
    timeout = 10.0 if call.large else 2.0  # a disk under load takes its time for a part
    made: dict[str, dict[str, Any]] = {
        "provider": {
            "kind": kind,
            "base_url": f"http://127.0.0.1:{port}",
            "api": call.api,
            "timeout": timeout,
            "poll_spacing": 1.0,
        },
        "policy": {"retry_first": 0.1, "retry_most": 0.5},
        "limits": {
            group: {"requests_per_minute": 6000.0} for group in ("assets", "analyze", "index", "search", "read")
        },
        "run": {"stop_grace": 2.0},
        "jobs": {"enabled": ["gist"]},
    }
    return {**made, "index": {"name": "films"}} if call.index else made


def films(folder: Path, case: HostileCase) -> Path:
    """Write the videos of a case; one that is sent in parts is mostly a hole."""
    made = padded(folder, 1 if CALLS[case.call].large else case.answer.films)
    if CALLS[case.call].large:
        (path,) = made.iterdir()
        with path.open("r+b") as file:
            size = file.seek(0, 2)
            file.write((_LARGE - size).to_bytes(4, "big") + b"free")
            file.truncate(_LARGE)
    return made


async def tried(case: HostileCase, folder: Path, times: float, kind: str) -> Seen:
    """Play a case: the hostile run, then, unless all is done, ``retry`` and a run before an honest platform."""
    call, seen = CALLS[case.call], Seen(case)
    videos = films(folder / "films", case)
    limits = PlatformLimits(chunk_size=_CHUNK)
    there = LocalPlatform(
        folder / "there", token=KEY, clock=SystemClock(), analyzer=Canned(seconds=5.0), workers=2, limits=limits
    )
    async with there as platform:
        loses = re.compile(call.loses) if call.loses else None
        upstream = int(platform.base_url.rpartition(":")[2])
        front = Front(upstream, re.compile(call.hits), case.answer.make, case.acts, loses, times)
        async with fronted(front):
            here = Terminal(folder / "here", {"TWELVELABS_API_KEY": KEY}, configuration(call, front.port, kind))
            try:
                play = question.ask if call.asks else _run
                await play(seen, front, here, videos, platform)
            finally:
                here.close()
    if seen.codes[-1] != 0:
        seen.faults.append(f"the last run ended with {seen.codes[-1]}")
    _told(here.folder, seen)
    return seen


async def _run(seen: Seen, front: Front, here: Terminal, videos: Path, platform: LocalPlatform) -> None:
    """Run before a hostile platform, then retry and run before an honest one."""
    hostile = here.start("run", str(videos))
    await until(lambda: front.given > 0, hostile, seen, HONEST)
    await ended(hostile, seen, HOSTILE)
    front.honest, seen.given = True, front.given
    films = _paths(videos)
    for _ in range(ROUNDS):
        if seen.codes[-1] != 0:
            await ended(here.start("retry", *map(str, films)), seen, HONEST)
            await ended(here.start("run", str(videos)), seen, HONEST, honest=True)
    seen.calls = reckon(platform.ledger.entries(), here.folder / ".reelmill")
    seen.lost = len(films) - _done(here.folder / ".reelmill")


def _paths(videos: Path) -> list[Path]:
    return sorted(videos.iterdir())


def _done(state: Path) -> int:
    with closing(sqlite3.connect(f"file:{state / 'reelmill.db'}?mode=ro", uri=True)) as reader:
        query = "SELECT count(*) FROM task WHERE kind = 'publish' AND state = 'done'"
        return int(reader.execute(query).fetchone()[0])


def _told(folder: Path, seen: Seen) -> None:
    """Look through everything that was said and kept: no traceback, and the key nowhere."""
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if KEY.encode() in content:
            seen.faults.append(f"the key is in {path.relative_to(folder)}")
        if path.suffix == ".err" and b"Traceback" in content:
            seen.faults.append(f"a traceback in {path.relative_to(folder)}")
        if path.suffix == ".err" and b"reelmill: unexpected" in content:
            seen.faults.append(f"an unexpected error in {path.relative_to(folder)}")
    # A command that asks fails so for what it has foreseen, too: nobody can tell whether it was answered.
    if ExitCode.UNEXPECTED in seen.codes and not CALLS[seen.case.call].asks:
        seen.faults.append("an unexpected error")

"""One hostile answer to one call: a real ``reelmill run`` meets it, then the operator's ``retry`` and an honest platform."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.clock import SystemClock
from pipeline.core.exit_codes import ExitCode
from pipeline.local.limits import PlatformLimits
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import Canned
from tests.faults.hostile.answers import HostileAnswer, general, special
from tests.faults.hostile.front import Front, fronted
from tests.faults.reckoning import Reckoning, reckon
from tests.faults.siege import padded
from tests.support.cli import KEY, Running, Terminal

#: Seconds from the first hostile answer until Ctrl-C; of an honest run until it counts as one that sleeps; that Ctrl-C
#: may take.
HOSTILE, HONEST, STOPPING = 6.0, 300.0, 60.0
#: ``retry`` and ``run`` so often: a refusal that was heard while the platform was hostile may fail the item at first.
ROUNDS = 2
_CHUNK = 16 * 1024 * 1024
_LARGE = 201_000_000  #: bytes of a file that is sent in parts


@dataclass(frozen=True)
class Call:
    """A call of a run, and the configuration that has it made."""

    hits: str
    api: str = "v1.3"
    index: bool = False
    large: bool = False  #: sent in parts
    paid: bool = False
    loses: str = ""  #: the answer that is lost, so that the client looks
    answers: bool = False  #: its answer is the result: where that is bad, the question is asked, and paid, anew


CALLS: Mapping[str, Call] = {
    "upload": Call("POST /v1.3/assets$", paid=True),
    "asset read": Call(r"GET /v1.3/assets\b"),
    "analysis": Call("POST /v1.3/analyze/tasks$", paid=True),
    "analysis read": Call(r"GET /v1.3/analyze/tasks\b"),
    "look for an upload": Call(r"GET /v1.3/assets\?", loses="POST /v1.3/assets$"),
    "look for an analysis": Call(r"GET /v1.3/analyze/tasks\?", loses="POST /v1.3/analyze/tasks$"),
    "session": Call("POST /v1.3/assets/multipart-uploads$", large=True),
    "addresses": Call("POST .*/presigned-urls$", large=True),
    "chunk": Call("PUT /_storage/", large=True),
    "report": Call("POST /v1.3/assets/multipart-uploads/[^/]+$", large=True),
    "index list": Call(r"GET /v1.3/indexes\?", index=True),
    "index": Call("POST /v1.3/indexes$", index=True),
    "entry": Call("POST .*/indexed-assets$", index=True, paid=True),
    "entry read": Call("GET .*/indexed-assets", index=True),
    "v1.2 task": Call("POST /v1.2/tasks$", "v1.2", paid=True),
    "v1.2 task read": Call(r"GET /v1.2/tasks\b", "v1.2"),
    "v1.2 gist": Call("POST /v1.2/(gist|summarize)$", "v1.2", paid=True, answers=True),
}  # fmt: skip


@dataclass(frozen=True)
class HostileCase:
    """An answer at a call; ``acts``: the platform has done what it was asked before it is given."""

    call: str
    answer: HostileAnswer
    acts: bool

    @property
    def name(self) -> str:
        """What people call it."""
        when = ("after" if self.acts else "instead") if CALLS[self.call].paid and self.answer.canned else ""
        return f"{self.call}: {self.answer.name} {when}".rstrip()


def cases(call: str) -> Iterator[HostileCase]:
    """Return every answer at a call; a paid one is carried out before it, and, in other cases, not."""
    for answer in (*general(), *special(call)):
        paid = CALLS[call].paid
        if not paid or answer.canned:
            yield HostileCase(call, answer, not answer.canned and not paid)
        if paid and not answer.proof:
            yield HostileCase(call, answer, True)


@dataclass
class Seen:
    """What came of a case."""

    case: HostileCase
    given: int = 0
    codes: list[int] = field(default_factory=list)
    peak: int = 0  #: bytes, the most of any process
    lost: int = 0  #: items that are not done in the end
    calls: Reckoning = field(default_factory=Reckoning)
    faults: list[str] = field(default_factory=list)

    @property
    def silent(self) -> int:
        """Calls paid twice of which nobody is told."""
        excused = self.case.answer.lies or CALLS[self.case.call].answers
        return self.calls.silent + self.calls.unbooked + (0 if excused else self.calls.anew)


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
        "limits": {group: {"requests_per_minute": 6000.0} for group in ("assets", "analyze", "index", "read")},
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
                hostile = here.start("run", str(videos))
                await _until(lambda: front.given > 0, hostile, seen, HONEST)
                await _ended(hostile, seen, HOSTILE)
                front.honest, seen.given = True, front.given
                for _ in range(ROUNDS):
                    if seen.codes[-1] != 0:
                        await _ended(here.start("retry", *map(str, sorted(videos.iterdir()))), seen, HONEST)
                        await _ended(here.start("run", str(videos)), seen, HONEST, honest=True)
            finally:
                here.close()
        seen.calls = reckon(platform.ledger.entries(), here.folder / ".reelmill")
    seen.lost = len(list(videos.iterdir())) - _done(here.folder / ".reelmill")
    if seen.codes[-1] != 0:
        seen.faults.append(f"the last run ended with {seen.codes[-1]}")
    _told(here.folder, seen)
    return seen


def _done(state: Path) -> int:
    with closing(sqlite3.connect(f"file:{state / 'reelmill.db'}?mode=ro", uri=True)) as reader:
        query = "SELECT count(*) FROM task WHERE kind = 'publish' AND state = 'done'"
        return int(reader.execute(query).fetchone()[0])


async def _ended(running: Running, seen: Seen, patience: float, *, honest: bool = False) -> None:
    """Wait for the end, with Ctrl-C where it takes too long; look at the memory meanwhile."""
    for step, seconds in (("", patience), ("it slept", STOPPING), ("it did not stop", 1.0)):
        if step and running.alive:
            running.signal(signal.SIGINT) if step == "it slept" else running.kill()
            if honest or step != "it slept":
                seen.faults.append(step)
        await _until(lambda: False, running, seen, seconds)
    seen.codes.append(running.wait().code)


async def _until(fact: Callable[[], bool], running: Running, seen: Seen, seconds: float) -> None:
    """Wait for a fact, as long as a process lives, and look at its memory meanwhile."""
    end = asyncio.get_running_loop().time() + seconds
    while running.alive and not fact() and asyncio.get_running_loop().time() < end:
        seen.peak = max(seen.peak, _peak(running.pid))
        await asyncio.sleep(0.03)


def _peak(pid: int) -> int:
    """Return the most memory that a process has had so far, bytes; 0 where the system does not tell.

    What ``wait4`` says begins with what the process was forked from, which is this one and its platforms.
    """
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) * 1024
    return 0


def _told(folder: Path, seen: Seen) -> None:
    """Look through everything that was said and kept: no traceback, and the key nowhere."""
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if KEY.encode() in content:
            seen.faults.append(f"the key is in {path.relative_to(folder)}")
        if path.suffix == ".err" and b"Traceback" in content:
            seen.faults.append(f"a traceback in {path.relative_to(folder)}")
    if ExitCode.UNEXPECTED in seen.codes:
        seen.faults.append("an unexpected error")

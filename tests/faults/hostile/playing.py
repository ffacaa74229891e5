"""What is known of a hostile case, and how a process that meets it is watched."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.hostile.answers import HostileAnswer, general, special
from tests.faults.reckoning import Reckoning
from tests.support.cli import Running

#: Seconds from the first hostile answer until Ctrl-C; of an honest run until it counts as one that sleeps; that Ctrl-C
#: may take.
HOSTILE, HONEST, STOPPING = 6.0, 300.0, 60.0


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
    asks: bool = False  #: of ``reelmill ask``, after an honest run


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
    "stores": Call(r"GET /v1.3/knowledge-stores\?", asks=True),
    "store": Call("POST /v1.3/knowledge-stores$", asks=True),
    "place": Call("POST .*/items$", paid=True, asks=True),
    "places": Call(r"GET .*/items\?", asks=True),
    "answer": Call("POST /v1.3/responses$", paid=True, asks=True),
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


async def ended(running: Running, seen: Seen, patience: float, *, honest: bool = False) -> None:
    """Wait for the end, with Ctrl-C where it takes too long; look at the memory meanwhile."""
    for step, seconds in (("", patience), ("it slept", STOPPING), ("it did not stop", 1.0)):
        if step and running.alive:
            running.signal(signal.SIGINT) if step == "it slept" else running.kill()
            if honest or step != "it slept":
                seen.faults.append(step)
        await until(lambda: False, running, seen, seconds)
    seen.codes.append(running.wait().code)


async def until(fact: Callable[[], bool], running: Running, seen: Seen, seconds: float) -> None:
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

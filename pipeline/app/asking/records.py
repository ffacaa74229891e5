"""What is kept of each question: that it is being asked, and its answer.

A platform has no list of its answers, so nothing of a lost one can be looked for: this note alone says that a question was
sent. It is written before the call, with its place in the ledger, and names the answer once that is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.app.asking.citations import AskedVideo
from pipeline.core.clock import Clock
from pipeline.core.model import Json, fingerprint
from pipeline.ingest.stored_json import StoredJson, changed, stored
from pipeline.ports.knowledge_api import Citation, CrossReply
from pipeline.ports.store import Journal


def _write_videos(videos: Sequence[AskedVideo]) -> Json:
    return [[each.label, each.item_id, each.asset_id, each.key, each.seconds, each.clock_start] for each in videos]


def _read_videos(rows: Json) -> list[AskedVideo]:
    return [AskedVideo(key, asset, seconds, item, label, *clock) for label, item, asset, key, seconds, *clock in rows]


def _write_citations(citations: Sequence[Citation]) -> Json:
    return [[each.item_id, each.start, each.end, each.at] for each in citations]


def _read_citations(rows: Json) -> list[Citation]:
    return [Citation(*row) for row in rows]


@dataclass(frozen=True, kw_only=True)
class AskedQuestion(StoredJson):
    """One question about certain videos, and how far it is."""

    state: Literal["asked", "answered"] = "asked"  #: asked: what became of the last call, nobody can tell
    sent: float = 0.0  #: when it was sent last, epoch seconds
    repeated: int = 0  #: calls in a row of which nobody can tell what became, before the last
    #: The last answer that came: a later call that was lost does not take it away.
    text: str = ""  #: as received
    at: float = 0.0  #: when that was asked
    end: Literal["completed", "incomplete"] = "completed"
    usage: Mapping[str, int] = stored(dict)
    citations: Sequence[Citation] = stored((), read=_read_citations, write=_write_citations)
    usd: float | None = None  #: by the ledger; None: nobody knows the price
    videos: Sequence[AskedVideo] = stored((), read=_read_videos, write=_write_videos)

    @property
    def reply(self) -> CrossReply:
        """The last answer, as it came."""
        return CrossReply(self.text, self.end, citations=self.citations)


class AskedNotes:
    """The notes of a journal, one per question."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def load(self, name: str) -> AskedQuestion | None:
        """Return what is known of a question; None: it was never sent."""
        kept = await self._journal.load(name)
        return AskedQuestion.from_json(kept) if isinstance(kept, dict) else None

    async def save(self, name: str, asked: AskedQuestion | None) -> None:
        """Keep a note; None: the question was surely not taken."""
        await self._journal.save(name, None if asked is None else dict(asked.to_json()))


class QuestionNote:
    """The note of one question while it is asked."""

    def __init__(self, notes: AskedNotes, name: str, before: AskedQuestion | None, clock: Clock) -> None:
        self._notes, self._name, self._before, self._clock = notes, name, before, clock
        doubted = before is not None and before.state == "asked"
        self.repeated = before.repeated + 1 if before is not None and doubted else 0
        self._sent = 0.0

    async def intend(self) -> None:
        """Write down that it is sent now."""
        self._sent = self._clock.now()
        kept = self._before or AskedQuestion()
        await self._notes.save(self._name, changed(kept, state="asked", sent=self._sent, repeated=self.repeated))

    async def take_back(self) -> None:
        """Write down again what was known before."""
        await self._notes.save(self._name, self._before)

    async def answer(self, reply: CrossReply, usd: float | None, videos: Sequence[AskedVideo]) -> AskedQuestion:
        """Keep the answer, and return it."""
        answered = AskedQuestion(
            state="answered",
            sent=self._sent,
            text=reply.text,
            at=self._sent,
            end="incomplete" if reply.state == "incomplete" else "completed",
            usage=dict(reply.usage),
            citations=reply.citations,
            usd=usd,
            videos=videos,
        )
        await self._notes.save(self._name, answered)
        return answered


def name_question(identity: str, text: str, keys: Sequence[str]) -> str:
    """Return what a question is kept under; other words or videos make another."""
    return f"ask/{fingerprint([identity, text, sorted(keys)])}"

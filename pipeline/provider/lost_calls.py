"""Looks for what calls without an answer have left behind.

Each is looked for in a list of little else; many at a time in one list of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio

from pipeline.core.errors import Ambiguous, ReelmillError
from pipeline.core.log import get
from pipeline.ports.video_api import Question
from pipeline.provider.dialects.protocol import AnalysisTasks, Call, FoundObject, Page
from pipeline.provider.dialects.recovery import CLOCK_SKEW, pick_by_label
from pipeline.provider.http.caller import ApiCaller

log = get("provider")
_PAGES = 2_000  #: of one search
_ALONE = 4  #: looks that one list could have served, until it is read
_READ = 400  #: pages of the list of all that are read and kept: 20,000 analyses
_KEPT = 300.0  #: seconds for which it is kept


async def list_back(
    caller: ApiCaller, call: Callable[[int], Call[Page[FoundObject]]], since: float
) -> list[FoundObject]:
    """Read a list to its end, or back to the intent's time."""
    found: list[FoundObject] = []
    for page in range(1, _PAGES + 1):
        listed = await caller.call(call(page))
        found += listed.entries
        if listed.last or _newest(listed.entries) < platform_time(caller, since) - CLOCK_SKEW:
            return found
    raise Ambiguous("the platform's list has no end", detail=f"{_PAGES} pages")


def platform_time(caller: ApiCaller, since: float) -> float:
    """Return a moment of our clock by the platform's.

    One that lies ahead is from before ours was set back.
    """
    return min(since, caller.clock.now()) + caller.ahead


def _newest(entries: Sequence[FoundObject]) -> float:
    """Return the time of a page's newest; inf if what follows may be newer."""
    times = [entry.created for entry in entries if entry.created is not None]
    newest_first = len(times) == len(entries) and times == sorted(times, reverse=True)
    return times[0] if times and newest_first else float("inf")


@dataclass(slots=True)
class _ListOfAll:
    """The account's analyses, newest first, as far as they were read."""

    begun: float  #: epoch seconds
    begun_monotonic: float
    entries: dict[str, list[FoundObject]] = field(default_factory=dict)  #: by their labels
    pages: int = 0
    total: int = 0  #: entries on all pages, as last told
    back_to: float = float("inf")  #: all that is younger was read
    trusted: bool = True  #: no page of it was missed

    def add(self, page: Page[FoundObject]) -> None:
        """Take the next page.

        What was deleted meanwhile moves others to a page that was read before: then the total has shrunk.
        """
        self.trusted = self.trusted and page.total is not None and page.total >= self.total
        self.pages, self.total = self.pages + 1, page.total or 0
        for entry in page.entries:
            self.entries.setdefault(entry.label, []).append(entry)
        self.back_to = min(self.back_to, float("-inf") if page.last else _newest(page.entries))

    def tells(self, floor: float) -> bool:
        """Return True if all that is younger than ``floor`` was read."""
        return self.trusted and self.back_to < floor


class AnalysisSearch:
    """Looks for analyses by their keys.

    The platform lists them by the video, so that one look costs a request. When many look at a time, as after a lost batch,
    each also reads one more page of the list of all, until that answers for those still to come: hardly more requests than
    the cheaper of the two ways.
    """

    def __init__(self, caller: ApiCaller, analyses: AnalysisTasks) -> None:
        self._caller, self._analyses = caller, analyses
        self._all: _ListOfAll | None = None
        self._since: float | None = None  #: when the first of these looks was made
        self._looks = 0  #: looks since then that a list read at that time could have served
        self._turn = anyio.Lock()

    async def find(self, question: Question) -> str | None:
        """Return the id of this very question, or None."""
        async with self._turn:
            listed = self._listed(question)
            if listed is not None:
                await self._read_on(listed, question.since)
        if listed is not None:
            since = platform_time(self._caller, question.since)  # the answers have told the platform's clock
            entries = listed.entries.get(question.key, [])
            found = pick_by_label(entries, question.key, since, question.useless)
            if found or (listed.tells(since - CLOCK_SKEW) and all(entry.id for entry in entries)):
                return found
        alone = await list_back(self._caller, lambda page: self._analyses.find_analyses(question, page), question.since)
        since = platform_time(self._caller, question.since)
        return pick_by_label(alone, question.key, since, question.useless)

    def _listed(self, question: Question) -> _ListOfAll | None:
        """Return the list of all that serves a look; None: it is made alone."""
        now, monotonic = self._caller.clock.now(), self._caller.clock.monotonic()
        as_of = now if question.as_of is None else question.as_of
        if self._all is not None and (self._all.begun > now or monotonic - self._all.begun_monotonic > _KEPT):
            self._all = None
        if max(question.since, as_of) > now:
            return None  # our clock was set back: it may be older than all that would be read
        if self._all is not None and as_of <= self._all.begun:
            return self._all
        if self._since is None or not as_of <= self._since <= now:
            self._since, self._looks = now, 0
        self._looks += 1
        if self._looks <= _ALONE:
            return None
        self._since, self._all = None, _ListOfAll(now, monotonic)
        return self._all

    async def _read_on(self, listed: _ListOfAll, since: float) -> None:
        """Read one more page, if something younger than the intent may be on it."""
        if listed.tells(platform_time(self._caller, since) - CLOCK_SKEW) or listed.pages >= _READ or not listed.trusted:
            return
        try:
            listed.add(await self._caller.call(self._analyses.find_analyses(None, listed.pages + 1)))
        except ReelmillError as error:  # it only saves requests: each is asked for alone
            log.info("analyses.not_listed", why=error.trouble.message, detail=error.trouble.detail)
            listed.trusted = False

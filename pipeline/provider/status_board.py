"""The status board: thousands of waiting tasks share a few list requests a minute.

Nothing polls in the background. A task that wants a status looks at the board. What was seen recently is answered from
memory; of the tasks that find it too old, one makes the next list request for all. The longest unseen are asked about
first. The board tells each task when looking again makes sense: when the status will be old *and* its turn in the
rotation has come. All of it is memory only: a restart begins with an empty board.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel

from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent, ReelmillError
from pipeline.ports.index_api import IndexingStatus
from pipeline.ports.video_api import AnalysisStatus, MediaStatus
from pipeline.provider.dialects.protocol import Page

T = TypeVar("T", bound=MediaStatus | AnalysisStatus | IndexingStatus)
_FORGET = 3_600.0  #: seconds without a look after which an object is dropped from the board
_DRY = 2  #: pages of a newest-first list without anything we wait for, until the rest is asked about alone
_PATIENCE = 4.0  #: an analysis of age a is looked at again after a / 4: never late by more than a quarter


class Pacer:
    """At most ``per_minute`` list requests, spread by ``spacing`` seconds."""

    def __init__(self, per_minute: float, spacing: float, clock: Clock) -> None:
        self._window = min(spacing, 60.0)
        share = int(per_minute * self._window / 60.0)
        if share < 1:
            share, self._window = 1, 60.0 / per_minute
        self._share = share
        self._clock = clock
        self._taken: deque[float] = deque(maxlen=share)

    def take(self) -> bool:
        """Take a place if there is one now."""
        if self.wait() > 0:
            return False
        self._taken.append(self._clock.monotonic())
        return True

    def wait(self, places: int = 1) -> float:
        """Return the seconds until the ``places``-th request from now can be made."""
        now = self._clock.monotonic()
        while self._taken and self._taken[0] + self._window <= now:
            self._taken.popleft()
        late = places - (self._share - len(self._taken))
        if late <= 0:
            return 0.0
        rounds, position = divmod(late - 1, self._share)
        frees = self._taken[position] if position < len(self._taken) else now
        return max(0.0, frees + self._window - now) + rounds * self._window


class Lister(Protocol[T]):
    """How the statuses of many objects are fetched at once."""

    blank: T  #: the status of what was never seen yet

    async def fetch_some(self, waiting: Iterator[str]) -> tuple[Mapping[str, T], frozenset[str]]:
        """List once for those first in line; return those seen, and those missing."""
        ...

    async def fetch_one(self, key: str) -> T:
        """Ask about one."""
        ...

    def requests(self, waiting: int) -> int:
        """Return how many list requests it takes to see ``waiting`` of them."""
        ...


class ByIds(Generic[T]):
    """A list of given ids: one request per page of them."""

    def __init__(
        self, blank: T, many: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]], one: Callable[[str], Awaitable[T]],
        page: int,
    ) -> None:  # fmt: skip
        self.blank = blank
        self._many, self._one, self._page = many, one, page

    async def fetch_some(self, waiting: Iterator[str]) -> tuple[Mapping[str, T], frozenset[str]]:
        wanted = list(islice(waiting, self._page))
        seen = await self._many(wanted)
        return seen, frozenset(wanted) - seen.keys()

    async def fetch_one(self, key: str) -> T:
        return await self._one(key)

    def requests(self, waiting: int) -> int:
        return -(-waiting // self._page)


class FilteredSweep(Generic[T]):
    """A list filtered by status word: what is not on it is done.

    One request is one page; a sweep goes on where the last request left it. Entries move between pages and words
    meanwhile, so that one may be missed: absence is only a reason to ask about that one alone.
    """

    def __init__(
        self, blank: T, fetch_page: Callable[[str, int], Awaitable[Page[tuple[str, T]]]], one: Callable[[str], Awaitable[T]],
        words: Sequence[str],
    ) -> None:  # fmt: skip
        self.blank = blank
        self._fetch_page, self._one = fetch_page, one
        self._words = list(words)
        self._refused: set[str] = set()
        self._left: list[str] = []
        self._page = 1
        self._missing: set[str] = set()
        self._made = 0
        self._cost = len(words)

    async def fetch_some(self, waiting: Iterator[str]) -> tuple[Mapping[str, T], frozenset[str]]:
        """Read the sweep's next page; at its end, name those missing."""
        if not self._left:
            self._left, self._page, self._made, self._missing = list(self._words), 1, 0, set(waiting)
        try:
            page = await self._fetch_page(self._left[0], self._page)
        except Permanent:
            if len(self._words) == 1:
                raise
            self._refused.add(self._left[0])  # a word that we learned is not a filter: never ask for it again
            self._words.remove(self._left[0])
            page = Page((), last=True)
        self._made += 1
        seen = {key: status for key, status in page.entries if status.state == "working"}
        finished = {key for key, status in page.entries if status.state != "working"} & self._missing
        self._missing -= seen.keys() | finished
        self._page += 1
        if page.last:
            self._left.pop(0)
            self._page = 1
        if self._left and self._missing:
            return seen, frozenset(finished)
        absent = frozenset(self._missing | finished)
        self._left, self._missing, self._cost = [], set(), self._made
        return seen, absent

    async def fetch_one(self, key: str) -> T:
        """Ask about one; a new word for "unfinished" is added to what is swept."""
        status = await self._one(key)
        if status.state == "working" and status.word and status.word not in (*self._words, *self._refused):
            self._words.append(status.word)
        return status

    def requests(self, waiting: int) -> int:
        """Return what is left of the sweep, or what the last one took."""
        return max(len(self._left), self._cost - self._made if self._left else self._cost)


class NewestFirst(Generic[T]):
    """A list that can only be read newest first.

    What we wait for is mostly young, so a sweep goes on as long as the pages hold some of it. What was not on them, or
    stands there without all that is needed, is asked about alone.
    """

    def __init__(
        self,
        blank: T,
        fetch_page: Callable[[int], Awaitable[Page[tuple[str, T]]]],
        one: Callable[[str], Awaitable[T]],
        enough: Callable[[T], bool],
        page: int,
    ) -> None:
        self.blank = blank
        self._fetch_page, self._one, self._enough, self._size = fetch_page, one, enough, page
        self._missing: set[str] = set()
        self._page = self._dry = self._cost = 0

    async def fetch_some(self, waiting: Iterator[str]) -> tuple[Mapping[str, T], frozenset[str]]:
        """Read the sweep's next page; at its end, name those missing."""
        if not self._missing:
            self._missing, self._page, self._dry = set(waiting), 0, 0
        page = await self._fetch_page(self._page + 1)
        self._page += 1
        met = {key for key, _ in page.entries} & self._missing
        seen = {key: status for key, status in page.entries if self._enough(status)}
        absent = met - seen.keys()
        self._missing -= met
        self._dry = 0 if met else self._dry + 1
        if page.last or not self._missing or self._dry >= _DRY:
            self._cost = self._page
            absent, self._missing = absent | self._missing, set()
        return seen, frozenset(absent)

    async def fetch_one(self, key: str) -> T:
        return await self._one(key)

    def requests(self, waiting: int) -> int:
        """Return the requests left of the sweep, or those the last took."""
        done = self._page if self._missing else 0
        return max(1, -(-waiting // self._size), self._cost - done)


@dataclass(slots=True)
class _Entry(Generic[T]):
    """One object on the board. Times are monotonic seconds."""

    status: T
    born: float
    asked: float
    turn: int
    seen: float | None = None
    absent: bool = False


@dataclass(slots=True)
class _Round:
    """One list request under way."""

    over: anyio.Event
    error: ReelmillError | None = None


@dataclass(frozen=True, slots=True)
class Polling:
    """How boards poll: shortest and longest wait between looks, seconds."""

    pacer: Pacer  #: shared by all boards
    clock: Clock
    first: float
    spacing: float
    settle: float  #: seconds in which an unknown id may still be one that was just made


def no_advice(_status: object) -> float:
    """Where the platform does not say when to look again."""
    return 0.0


class StatusBoard(Generic[T]):
    """The objects that tasks wait for, and what is known of them.

    ``advice`` reads a longer wait from a status.
    """

    def __init__(self, lister: Lister[T], polling: Polling, advice: Callable[[T], float] = no_advice) -> None:
        self._lister, self._pacer, self._clock, self._advice = lister, polling.pacer, polling.clock, advice
        self._spacing, self._settle = polling.spacing, polling.settle
        self._first = min(polling.first, polling.spacing)
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()  # longest unseen first
        self._asking: dict[str, None] = {}
        self._round: _Round | None = None
        self._turns = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def look(self, key: str) -> T:
        """Return one object's status, from memory or a shared request."""
        entry = self._enter(key)
        self._asking[key] = None
        try:
            await anyio.lowlevel.checkpoint()  # tasks that woke in the same instant enter first, and share the request
            while self._stale(entry):
                if self._round is not None:
                    await self._join(self._round)
                elif entry.absent:
                    self._note(key, entry, await self._lister.fetch_one(key))
                elif not self._pacer.take():
                    return self._wait(entry)
                elif self._lister.requests(len(self._entries)) >= len(self._entries):
                    self._note(key, entry, await self._lister.fetch_one(key))
                else:
                    await self._ask()
        finally:
            self._asking.pop(key, None)
        return self._tell(key, entry)

    def _enter(self, key: str) -> _Entry[T]:
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        if entry is None:
            self._turns += 1
            entry = self._entries[key] = _Entry(self._lister.blank, now, now, self._turns)
        entry.asked = now
        return entry

    def _due(self, entry: _Entry[T]) -> float:
        if entry.seen is None:
            return entry.born
        age = entry.seen - entry.born
        usual, advised = min(self._spacing, max(self._first, age / _PATIENCE)), self._advice(entry.status)
        return entry.seen + (advised if advised > self._spacing else usual)

    def _stale(self, entry: _Entry[T]) -> bool:
        return entry.status.state == "working" and (entry.absent or self._clock.monotonic() >= self._due(entry))

    async def _join(self, under_way: _Round) -> None:
        await under_way.over.wait()
        if under_way.error is not None:
            raise under_way.error

    async def _ask(self) -> None:
        """Make one list request for all that is waited for."""
        self._round = mine = _Round(anyio.Event())
        try:
            seen, absent = await self._lister.fetch_some(self._line())
        except ReelmillError as error:
            mine.error = error
            raise
        finally:
            self._round = None
            mine.over.set()
        for key, status in seen.items():
            entry = self._entries.get(key)
            if entry is not None:
                self._note(key, entry, status)
        for key in absent:
            entry = self._entries.get(key)
            if entry is not None:
                entry.absent = True

    def _line(self) -> Iterator[str]:
        """Yield what to ask about, urgent ones first; forget the abandoned."""
        now = self._clock.monotonic()
        for key in [key for key, entry in islice(self._entries.items(), 100) if entry.asked < now - _FORGET]:
            if key not in self._asking:
                del self._entries[key]
        urgent = [key for key in self._asking if (entry := self._entries.get(key)) is not None and self._stale(entry)]
        chosen = frozenset(urgent)
        return chain(urgent, (key for key in list(self._entries) if key not in chosen))

    def _note(self, key: str, entry: _Entry[T], status: T) -> None:
        now = self._clock.monotonic()
        if status.state == "gone" and now - entry.born < self._settle:
            status = self._lister.blank  # just created: it may not be visible everywhere yet
        entry.status, entry.seen, entry.absent = status, now, False
        self._turns += 1
        entry.turn = self._turns
        if key in self._entries:
            self._entries.move_to_end(key)

    def _tell(self, key: str, entry: _Entry[T]) -> T:
        if entry.status.state != "working":
            self._entries.pop(key, None)
            return entry.status
        return self._wait(entry)

    def _wait(self, entry: _Entry[T]) -> T:
        ahead = entry.turn - next(iter(self._entries.values())).turn if self._entries else 0
        share = max(0.0, min(1.0, ahead / max(1, len(self._entries))))
        requests = 1 + int(share * max(0, self._lister.requests(len(self._entries)) - 1))
        turn = self._pacer.wait(requests)
        return replace(entry.status, look_again=max(self._due(entry) - self._clock.monotonic(), turn, 0.05))

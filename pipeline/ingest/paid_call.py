"""The pay-once protocol: store the intent, ask, act.

Every call that is billed, or leaves something behind, follows it.

::

    intend ──▶ act ────────────────────▶ accepted
      │         │ no answer, no proof ▲
      │         └──▶ look ────────────┘ found
      └─ given up ───▲ │ not there: look again, some minutes long
                       └ still not there, or nobody can tell: hold, or act again, booked as doubtful

``intend`` reserves the money and stores the intent with its ledger entry in one transaction, before the call. ``act``
sends only when its stage is fresh: nobody can have sent before. In any other case the platform is asked first, by our
key: several times, because it may accept, or list, what it got minutes later. Then the policy decides; a call that may
be paid twice is always reserved and booked as doubtful, however long ago the first one was.

A refusal, or a word to come later, counts as not accepted only where it proves that (``ReelmillError.in_doubt`` is False).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, takewhile
from random import Random
from typing import Generic, Literal, Protocol, TypeVar

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import (
    Ambiguous,
    InputError,
    NeedsOperator,
    Permanent,
    ReelmillError,
    Transient,
    is_surely_refused,
)
from pipeline.core.model import DOUBT, MOVED, REFUND, SETTLED, SETTLEMENTS, Json, Spend, Task, Trouble
from pipeline.core.outcome import Advance, Fail, Hold, Outcome, Park, Retry
from pipeline.core.retry import AwayPatience, retry
from pipeline.ingest.look_schedule import LookSchedule
from pipeline.ingest.payloads import Doubt, PaidData, TroubleData
from pipeline.ingest.stored_json import changed
from pipeline.ports.store import Records

P = TypeVar("P", bound=PaidData)
T = TypeVar("T")
OnAmbiguous = Literal["hold", "look", "resubmit"]
_NOT_LISTED = Trouble(
    "ambiguous",
    "A call was interrupted, or its answer lost, and the platform shows nothing of it; it may still have been accepted.",
    "look into the platform's own console; `reelmill retry` makes the call again",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs, under our key of it."""

    key: str
    what: str  #: as ``Spend.what``
    usd: float = 0.0  #: expected
    minutes: float = 0.0
    subject: str = ""
    most: float | None = None  #: USD, where it can be more than is expected
    jobs: str = ""  #: as ``Spend.jobs``


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What to do about a doubtful call, and how often to try.

    ``on_ambiguous``: "hold" never makes a second call by itself; "look" makes one if the platform can be asked and shows
    nothing; "resubmit" makes one in any case.
    """

    attempts: int
    on_ambiguous: OnAmbiguous
    repeats: int | None = None  #: blind calls in a row before a person must decide; None: as many as ``attempts``

    def holds(self, repeated: int) -> bool:
        """Return True if a person must decide after this many repeats."""
        return self.on_ambiguous != "resubmit" or (self.repeats is not None and repeated >= self.repeats)


@dataclass(frozen=True, slots=True)
class Stages:
    """The names of a task type's stages.

    ``held`` is where a held task starts when the operator retries it. ``book`` reserves the money of a second call, if the
    stage that looks is in a lane that a spent budget does not close; empty: it is reserved where it was looked for.
    """

    intend: str
    act: str
    look: str
    held: str
    book: str = ""


class CallRefused(Permanent):
    """The platform refused a call without proof, and shows nothing of it."""


class Spending(Protocol):
    """The limits that a call must pass."""

    def reserve(self, spend: Spend, instead: Spend | None = None) -> Trouble | None:
        """Reserve an entry's amount; a Trouble says which limit forbids it.

        ``instead``: an entry of the ledger that is taken back by the same writing.
        """
        ...

    def outdated(self, booked: float, run: str) -> bool:
        """Return True if another run's or day's limit counts than when this was booked."""
        ...


class Billing:
    """Reserves the money of calls, makes their entries, counts what was accepted."""

    def __init__(
        self, spending: Spending, records: Records, clock: Clock, run_id: str = "", *, patience: float = 0.0
    ) -> None:
        self._spending = spending
        self._records = records
        self._patience = patience  #: seconds for which a ledger that does not answer is waited for
        self._clock = clock
        self._run_id = run_id
        self._in_doubt: set[str] = set()  # keys of which only the platform can tell
        self.accepted = 0  #: calls of this run that the platform has taken, or may have

    def book(self, cost: Cost, repeated: int = 0) -> Spend | Trouble:
        """Return the entry to store before the call; a Trouble over a limit.

        A repeat that may be paid twice has an entry of its own, beside those of the calls before.
        """
        spend = Spend(
            _again(cost.key, repeated) if repeated else cost.key,
            cost.what,
            cost.usd if cost.most is None else cost.most,
            cost.minutes,
            cost.subject,
            doubtful=repeated > 0,
            at=self._clock.now(),
            estimate=cost.usd,
            jobs=cost.jobs,
            run=self._run_id,
        )
        return self._spending.reserve(spend) or spend

    def doubt(self, cost: Cost, repeated: int) -> Spend:
        """Return an entry without an amount.

        It is no call; it tells that another one may pay for a part of this one again.
        """
        return Spend(
            _again(cost.key, repeated) + DOUBT, cost.what, 0.0, 0.0, cost.subject,
            doubtful=True, at=self._clock.now(), estimate=0.0, jobs=cost.jobs, run=self._run_id,
        )  # fmt: skip

    async def settle(self, cost: Cost, *, expected: bool = True) -> Sequence[Spend]:
        """Return the entry that makes a booked call cost this, once.

        ``expected`` False: it was booked before anybody could know what to expect. No limit refuses it. What this
        database has not booked, e.g. an analysis that another one asked for, has nothing to settle.
        """
        booked = await self._booked(cost)
        if booked is None:
            return []
        usd, estimate = cost.usd - booked.usd, 0.0 if expected else cost.usd - booked.estimate
        minutes = cost.minutes - booked.minutes
        return [replace(booked, key=cost.key + SETTLED, usd=usd, minutes=minutes, estimate=estimate)]

    async def move(self, cost: Cost) -> Sequence[Spend] | Trouble:
        """Return the entries that count an unsent call here; a Trouble over a limit.

        They take it back where it was booked.
        """
        old = await self._booked(cost)
        if old is None:
            return []
        number = int(old.key.rpartition(MOVED)[2]) + 1 if old.key != cost.key else 1
        here = replace(old, key=f"{cost.key}{MOVED}{number}", at=self._clock.now(), run=self._run_id)
        usd, minutes, estimate = -old.usd, -old.minutes, -old.estimate
        back = replace(old, key=here.key + REFUND, usd=usd, minutes=minutes, estimate=estimate)
        return self._spending.reserve(here, old) or [back, here]

    async def refund(self, cost: Cost) -> Sequence[Spend]:
        """Return the entry that takes back a surely refused call; its key is spent."""
        booked = await self._booked(cost)
        if booked is None:
            return []
        key, usd, minutes = cost.key + REFUND, -booked.usd, -booked.minutes
        return [replace(booked, key=key, usd=usd, minutes=minutes, estimate=-booked.estimate)]

    def reserved(self, data: P) -> P:
        """Return the payload of a call whose money is reserved by this run, now."""
        now = self._clock.now()
        return changed(data, booked=now if now != data.since else 0.0, run=self._run_id)

    def outdated(self, data: PaidData) -> bool:
        """Return True if an unsent call's money is another run's or day's."""
        return self._spending.outdated(data.booked or data.since, data.run)

    async def _booked(self, cost: Cost) -> Spend | None:
        """Return what the ledger holds of a call, None where it was corrected already."""
        # Perhaps read with a paid answer in hand that nothing but its outcome can keep.
        spends = await retry(lambda: self._records.spends([cost.subject]), AwayPatience(self._patience), self._clock)
        entries = {spend.key: spend for spend in spends}
        if any(cost.key + ending in entries for ending in (REFUND, *SETTLEMENTS)):
            return None
        moves = (f"{cost.key}{MOVED}{number}" for number in count(1))
        return [entries.get(cost.key), *(entries[key] for key in takewhile(entries.__contains__, moves))][-1]

    @contextmanager
    def counted(self, key: str) -> Iterator[None]:
        """Count a call unless surely refused; remember it while in doubt."""
        self.accepted += 1
        self._in_doubt.add(key)
        try:
            yield
        except ReelmillError as error:
            if is_surely_refused(error):
                self.never_came(key)
            raise
        self.came(key)

    def came(self, key: str) -> None:
        """Take note that a call was accepted."""
        self._in_doubt.discard(key)

    def never_came(self, key: str) -> None:
        """Take note that a call was not accepted."""
        self.accepted -= key in self._in_doubt
        self._in_doubt.discard(key)


class PaidCall(Generic[P]):
    """The paid call of one task type, as outcomes.

    ``give_up`` and ``renew`` say what the payload keeps of a call that was given up, and of one that is held.
    """

    def __init__(
        self,
        stages: Stages,
        policy: CallPolicy,
        looks: LookSchedule,
        billing: Billing,
        clock: Clock,
        rng: Random,
        *,
        gave_up: Trouble,
        give_up: Callable[[P, str], P] = lambda data, key: data,
        renew: Callable[[P], P] = lambda data: data,
    ) -> None:
        self._stages = stages
        self._policy = policy
        self._looks = looks
        self.billing = billing
        self._clock = clock
        self._rng = rng
        self._gave_up = gave_up
        self._give_up = give_up
        self._renew = renew
        self._backoff = Backoff(2.0, 300.0)

    def intend(self, data: P, cost: Cost | None, *, given_up: bool, repeated: int = 0) -> Outcome:
        """Reserve the money and store the intent; without a cost nothing is booked.

        ``given_up``: this very call was given up once. What never seemed to arrive may have arrived since: look first.
        ``repeated``: how often it was made although nobody could tell whether the one before had arrived.
        """
        stage = self._stages.look if given_up else self._stages.act
        data = _unsent(data)
        if cost is None or given_up:  # the entry of what was given up still stands in the ledger
            return Advance(stage, data.to_json())
        spend = self.billing.book(cost, repeated)
        if isinstance(spend, Trouble):
            return Park("budget", self._clock.now(), spend)
        return Advance(stage, self.billing.reserved(data).to_json(), spend=[spend])

    async def act(self, task: Task, data: P, cost: Cost, send: Callable[[], Awaitable[T]]) -> T | Outcome:
        """Send the call and return its answer, unless it may be sent already.

        What has waited unsent into another day or run passes that one's limits first: it counts where it is sent. Not a
        repeat in doubt, and not where a spent budget would not close the lane.

        Raises:
            ReelmillError: the call was not accepted, which is certain.
        """
        first = await self._before_sending(task, data, cost)
        if first is not None:
            return first
        try:
            with self.billing.counted(cost.key):
                return await send()
        except Ambiguous as error:
            return Retry(error.trouble, after=0.0, data=self._doubt(data, "lost"))
        except NeedsOperator as error:
            if not error.in_doubt:
                raise
            return Park("run:operator", self._clock.now(), error.trouble, False, self._doubt(data, "refused"))
        except Transient as error:
            if not error.in_doubt:
                raise
            return Retry(error.trouble, error.after, counted=False, data=self._doubt(data, "throttled"))
        except Permanent as error:
            if not error.in_doubt:
                raise
            return Retry(error.trouble, after=0.0, data=self._doubt(data, "refused", error.trouble))

    async def _before_sending(self, task: Task, data: P, cost: Cost) -> Outcome | None:
        """Return what comes before the call is sent; None: nothing."""
        if not task.fresh:
            data = changed(data, looks=0, doubted=data.doubted or self._clock.now())
            return Advance(self._stages.look, data.to_json(), after=self._until_look(data) or 0.0)
        if cost.usd and not data.doubtful and not self._stages.book and self.billing.outdated(data):
            return await self._move(data, cost)
        return None

    async def _move(self, data: P, cost: Cost) -> Outcome:
        """Count an unsent call here and now, not where it was reserved."""
        entries = await self.billing.move(cost)
        if isinstance(entries, Trouble):
            return Park("budget", self._clock.now(), entries)
        return Advance(self._stages.act, self.billing.reserved(data).to_json(), spend=entries)

    async def look(
        self,
        task: Task,
        data: P,
        cost: Cost,
        find: Callable[[], Awaitable[str | None]],
        unwanted: Advance | None = None,
    ) -> str | Outcome:
        """Look for a call without an answer.

        Return the id of what it left behind, or what to do where there is nothing. ``unwanted``: what follows then of
        a call that nobody would make again.

        Raises:
            CallRefused: the platform has refused the call, and shows nothing of it.
        """
        try:
            found = await find()
        except Ambiguous as error:
            return unwanted or self._unknown(task, data, cost, error.trouble, blind=True)
        if found is not None:
            self.billing.came(cost.key)
            if data.doubt == "lost" and data.looks:
                await self._looks.learn(data.looks, self._clock.now() - data.doubted)
            return found
        looked = changed(data, looks=data.looks + 1)
        later = self._until_look(looked)
        if later is not None:
            return Advance(self._stages.look, looked.to_json(), after=later)
        return unwanted or self._unknown(task, data, cost, _NOT_LISTED, blind=False)

    def as_of(self, data: P) -> float | None:
        """Return since when the present look is due, epoch seconds; None: nobody knows."""
        if data.doubted < data.since or not data.doubted:  # or our clock was set back in between
            return None
        return data.doubted + self._looks.planned(data.looks, data.doubt)

    def fail(self, task: Task, data: P, key: str) -> Fail:
        """Give the call up; an operator's retry begins with its intent."""
        kept = self._give_up(changed(_unsent(data), again=0, booked=data.booked or data.since), key)
        return Fail(task.trouble or self._gave_up, stage=self._stages.intend, data=kept.to_json())

    def refused(self, data: P, error: Permanent | InputError) -> Fail:
        """End with a refusal; an operator's retry makes the call again.

        It looks before where one may have been accepted.
        """
        stage = self._stages.look if data.again or error.in_doubt else self._stages.act
        return Fail(error.trouble, stage=stage, data=_unsent(data).to_json())

    def _until_look(self, data: P) -> float | None:
        """Return the seconds until the next look; None: looked for often enough.

        The looks are later after each call in vain.
        """
        delay = self._looks.after(data.looks, data.doubt)
        if delay is None or not data.again:
            return delay
        return delay + self._backoff.delay(data.again, self._rng)

    def _doubt(self, data: P, doubt: Doubt, refusal: Trouble | None = None) -> Mapping[str, Json]:
        kept = None if refusal is None else TroubleData.from_trouble(refusal)
        return changed(data, doubt=doubt, doubted=self._clock.now(), refusal=kept).to_json()

    def _check_refusal(self, data: P) -> None:
        """Raise CallRefused if the call was refused: there is nothing of it so far."""
        if data.refusal is not None:
            error = CallRefused.from_trouble(data.refusal.to_trouble())
            error.in_doubt = True
            raise error

    def _unknown(self, task: Task, data: P, cost: Cost, trouble: Trouble, *, blind: bool) -> Outcome:
        """Have a person decide about a doubtful call, or make it again, booked so.

        ``blind``: the platform cannot be asked at all.

        Raises:
            CallRefused: as :meth:`look`.
        """
        self._check_refusal(data)
        policy = self._policy
        hold = policy.holds(data.again) if blind else policy.on_ambiguous == "hold"
        if hold and not data.agreed:
            if blind:
                return Hold(trouble, stage=self._stages.held, data=self._renew(_unsent(data)).to_json())
            return Hold(trouble, stage=self._stages.look, data=changed(_unsent(data), agreed=True).to_json())
        if data.again + 1 >= policy.attempts and not (blind and policy.repeats) and not data.agreed:
            return self.fail(task, data, cost.key)
        doubtful = data.doubtful + 1
        if self._stages.book:
            return replace(self._send_again(changed(data, doubtful=doubtful)), stage=self._stages.book)
        spend = self.billing.book(cost, doubtful)
        if isinstance(spend, Trouble):
            return Park("budget", self._clock.now(), spend)
        return self._send_again(self.billing.reserved(changed(data, doubtful=doubtful)), [spend])

    def _send_again(self, data: P, spend: Sequence[Spend] = ()) -> Advance:
        data = changed(_unsent(data), again=data.again + 1)
        return Advance(self._stages.act, data.to_json(), spend=spend)


def _unsent(data: P) -> P:
    """Return the payload of a call that was not sent yet."""
    return changed(data, looks=0, doubt="ended", doubted=0.0, refusal=None, agreed=False)


def _again(key: str, repeated: int) -> str:
    """Return the ledger's key of a call that was made ``repeated`` times more."""
    return f"{key}/again" if repeated == 1 else f"{key}/again-{repeated}"

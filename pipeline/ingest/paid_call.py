"""The pay-once protocol: store the intent, ask, act. Every call that is billed, or leaves something behind, follows it.

::

    intend ──▶ act ───────────────▶ accepted
      │         │ stopped midway ▲
      │         └──▶ look ───────┘ found
      └─ given up ───▲ │ not there: act again, or give up
                       └ nobody can tell: hold, or act again, booked as doubtful

``intend`` reserves the money and stores the intent with its ledger entry in one transaction, before the call. ``act``
sends only when its stage is fresh: nobody can have sent before. In any other case the platform is asked first, by our
key. Where it cannot be asked, the policy decides; a call that may be paid twice is always booked as doubtful.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Generic, Literal, TypeVar

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import (
    Ambiguous,
    ConfigError,
    InputError,
    LostLease,
    NeedsOperator,
    Permanent,
    ReelmillError,
    Transient,
)
from pipeline.core.model import REFUND, Spend, Task, Trouble
from pipeline.core.outcome import Advance, Fail, Hold, Outcome, Park
from pipeline.ingest.payloads import PaidData
from pipeline.ingest.stored_json import changed

P = TypeVar("P", bound=PaidData)
T = TypeVar("T")
#: Reserves (USD, minutes of video) for this run; a Trouble says which limit forbids it.
Reserve = Callable[[float, float], Trouble | None]
#: What people are told of a task that looks for the trace of a call.
LOOKING = "waits until the provider has been asked whether an interrupted call arrived"


def free(usd: float, minutes: float) -> Trouble | None:
    """Reserve what costs nothing."""
    return None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs, under our key of it."""

    key: str
    what: str  #: as ``Spend.what``
    usd: float = 0.0
    minutes: float = 0.0
    subject: str = ""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What to do about a call of which nobody can tell whether it was accepted, and how often to try at all."""

    attempts: int
    on_ambiguous: Literal["hold", "resubmit"]
    repeats: int | None = None  #: doubtful calls in a row before a person must decide; None: as many as ``attempts``

    def holds(self, repeated: int) -> bool:
        """Return True if a person must decide after this many repeats."""
        return self.on_ambiguous == "hold" or (self.repeats is not None and repeated >= self.repeats)


@dataclass(frozen=True, slots=True)
class LookSchedule:
    """When a call without an answer is looked for: seconds before each look. The only place where looks are scheduled."""

    delays: Sequence[float]

    def after(self, looks: int) -> float | None:
        """Return the wait after that many looks; None: it was looked for often enough."""
        return self.delays[looks] if looks < len(self.delays) else None


@dataclass(frozen=True, slots=True)
class Stages:
    """The names of a task type's stages. ``held`` is where a held task starts when the operator retries it."""

    intend: str
    act: str
    look: str
    held: str


class Billing:
    """Reserves the money of calls and makes their ledger entries; counts what was accepted, or may have been."""

    def __init__(
        self, reserve: Reserve, clock: Clock, add: Callable[[float, float], None] = lambda usd, minutes: None
    ) -> None:
        self._reserve = reserve
        self._add = add
        self._clock = clock
        self._in_doubt: set[str] = set()  # keys of which only the platform can tell
        self.accepted = 0  #: calls of this run that the platform has taken, or may have

    def book(self, cost: Cost, repeated: int = 0) -> Spend | Trouble:
        """Return the entry to store before the call; a Trouble if a limit forbids it.

        A repeat that may be paid twice has an entry of its own, beside those of the calls before.
        """
        trouble = self._reserve(cost.usd, cost.minutes)
        if trouble is not None:
            return trouble
        key = cost.key if not repeated else f"{cost.key}/again" if repeated == 1 else f"{cost.key}/again-{repeated}"
        return Spend(key, cost.what, cost.usd, cost.minutes, cost.subject, repeated > 0, self._clock.now())

    def correct(self, reserved: Cost, cost: Cost) -> Spend:
        """Return the entry that makes ``cost`` of what was reserved, once it is known; no limit can refuse it."""
        usd, minutes = cost.usd - reserved.usd, cost.minutes - reserved.minutes
        self._add(usd, minutes)
        return Spend(f"{cost.key}/length", cost.what, usd, minutes, cost.subject, at=self._clock.now())

    def refund(self, cost: Cost) -> Spend:
        """Return the entry that takes back what was booked for a call that was surely refused. Its key is spent."""
        self._reserve(-cost.usd, -cost.minutes)
        return Spend(cost.key + REFUND, cost.what, -cost.usd, -cost.minutes, cost.subject, at=self._clock.now())

    @contextmanager
    def counted(self, key: str) -> Iterator[None]:
        """Count a call unless it was surely refused; remember it while it is in doubt."""
        self.accepted += 1
        self._in_doubt.add(key)
        try:
            yield
        except (Permanent, InputError, NeedsOperator, ConfigError, LostLease):
            self.never_came(key)
            raise
        except Transient as error:
            if error.untouched:
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
        if cost is None:
            return Advance(stage, data.to_json())
        spend = self.billing.book(cost, repeated)
        if isinstance(spend, Trouble):
            return Park("budget", self._clock.now(), spend)
        return Advance(stage, data.to_json(), spend=[spend])

    async def act(self, task: Task, data: P, key: str, send: Callable[[], Awaitable[T]]) -> T | Advance:
        """Send the call, once, and return its answer; go to look where it may have been sent before."""
        if not task.fresh:
            return Advance(self._stages.look, data.to_json(), after=self._looks.after(0) or 0.0)
        with self.billing.counted(key):
            return await send()

    async def look(self, task: Task, data: P, cost: Cost, find: Callable[[], Awaitable[str | None]]) -> str | Outcome:
        """Look for a call without an answer. Return the id of what it left behind, or what to do where there is nothing."""
        try:
            found = await find()
        except Ambiguous as error:
            return self._nobody_can_tell(task, data, cost, error.trouble)
        if found is not None:
            self.billing.came(cost.key)
            return found
        later = self._looks.after(data.looks + 1)
        if later is not None:
            return Advance(self._stages.look, changed(data, looks=data.looks + 1).to_json(), after=later)
        self.billing.never_came(cost.key)
        again = data.again + 1
        if again >= self._policy.attempts:
            return self.fail(task, data, cost.key)
        after = self._backoff.delay(again, self._rng)
        return Advance(self._stages.act, changed(data, again=again, looks=0).to_json(), after=after)

    def fail(self, task: Task, data: P, key: str) -> Fail:
        """Give the call up; an operator's retry begins with its intent."""
        kept = self._give_up(changed(data, again=0, looks=0), key)
        return Fail(task.trouble or self._gave_up, stage=self._stages.intend, data=kept.to_json())

    def _nobody_can_tell(self, task: Task, data: P, cost: Cost, trouble: Trouble) -> Outcome:
        if self._policy.holds(data.again):
            return Hold(trouble, stage=self._stages.held, data=self._renew(data).to_json())
        again = data.again + 1
        if self._policy.repeats is None and again >= self._policy.attempts:
            return self.fail(task, data, cost.key)
        doubtful = data.doubtful + 1
        spend = self.billing.book(cost, doubtful)
        if isinstance(spend, Trouble):
            return Park("budget", self._clock.now(), spend)
        data = changed(data, again=again, looks=0, doubtful=doubtful)
        return Advance(self._stages.act, data.to_json(), spend=[spend])


class DirectCall:
    """A paid call that no task stands for: it leaves nothing behind that could be looked for.

    ``enter`` writes into the ledger; ``wait`` waits, and returns False if that is too long or the run is stopped.
    """

    def __init__(
        self,
        policy: CallPolicy,
        billing: Billing,
        backoff: Backoff,
        rng: Random,
        *,
        enter: Callable[[Spend], Awaitable[None]],
        wait: Callable[[float], Awaitable[bool]],
    ) -> None:
        self._policy = policy
        self._billing = billing
        self._backoff = backoff
        self._rng = rng
        self._enter = enter
        self._wait = wait

    async def ask(self, cost: Cost, prepare: Callable[[], Awaitable[object]], send: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer, each doubtful repeat booked by itself. ``prepare`` is free and comes first.

        Raises:
            ReelmillError: a limit forbids it, or what the last attempt raised.
        """
        repeated, booked = 0, -1
        for attempt in range(1, self._policy.attempts + 1):
            try:
                await prepare()
                if booked < repeated:
                    await self._book(cost, repeated)
                    booked = repeated
                with self._billing.counted(cost.key):
                    return await send()
            except Ambiguous:
                if attempt == self._policy.attempts or self._policy.holds(repeated):
                    raise
                repeated += 1
            except Transient as error:
                delay = error.after if error.after is not None else self._backoff.delay(attempt, self._rng)
                if attempt == self._policy.attempts or not await self._wait(delay):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _book(self, cost: Cost, repeated: int) -> None:
        spend = self._billing.book(cost, repeated)
        if isinstance(spend, Trouble):
            raise ReelmillError(spend.message, code=spend.code, remedy=spend.remedy)
        await self._enter(spend)

"""Walls that nobody names: all calls are refused, and no answer says why. Pure.

A wall is known by its length: calls stay refused for minutes, however far apart they come. Then it is *closed*, and one call
tries it again: at rising distances, at midnight (UTC), and when the first call of the last 24 hours leaves them. What
opens it shows when its day turns, and what was accepted until it closed is its *allowance*.

An answer does not say whether calls or minutes of video are counted. Both are noted, and when the first of the two is used
up, one call after the other goes on: what is accepted disproves it, what is refused proves it, and then it is believed for a
week. Then it is tested again, as a plan may have grown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.core.model import Json
from pipeline.ports.quota import QuotaGauge
from pipeline.provider.http.windows import KINDS, SPANS, Amounts, Window

_DAY = SPANS["day"]
_LONG = 120.0  #: seconds of refusals after which no minute's limit can be the reason, where more was accepted before
_UNPROVED = 900.0  #: the same where nothing shows that more is ever accepted
_BUSY = 10.0  #: calls of one slot of a day (288 s) that show it: twice as many as are made while all are refused
_FEWEST = 3  #: refusals without which nothing is a wall
_SLOWEST = 300.0  #: seconds between two calls that are refused, at most
_TRIALS = (480.0, 3_600.0, 14_400.0, 43_200.0)  #: seconds between two trials; the last repeats
_LATE = (30.0, 600.0)  #: seconds after midnight of its trials: clocks differ
_PASSING = 1  #: trial that nothing is learned from: what opens so soon was trouble, not a wall
_HOUR = SPANS["hour"] + 15.0  #: seconds after the first refusal by which an hour's wall has opened
_ANSWER = 30.0  #: seconds that a trial's answer is waited for
_LOOK = 1.0  #: seconds after which is looked whether it is there
_FAR = 2 * _DAY  #: seconds; a trial further away was set by a clock that has been set back
_BELIEVED = 7 * _DAY
_DOUBTS = 2  #: refusals after which a day is thought to have no beginning
_EPSILON = 1e-9
_NOTHING: Amounts = dict.fromkeys(KINDS, 0.0)

_Span = Annotated[str, Field(pattern="^(hour|day)$")]
_Kind = Annotated[str, Field(pattern="^(requests|minutes)$")]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Units = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Limits = Annotated[dict[_Kind, _Units], Field(min_length=1)]


@dataclass(slots=True)
class _Streak:
    """Refusals without anything accepted."""

    since: _Number
    last: _Number
    count: int = 1


@dataclass(slots=True)
class _Closed:
    """A wall that stands before all calls."""

    since: _Number  #: the first refusal
    turn: _Number  #: seconds of the day at which its day is thought to begin
    borders: Annotated[
        list[_Number], Field(min_length=1)
    ]  #: when it may open; first, when the oldest call is a day old
    met: dict[str, tuple[_Number, _Number]]  #: window -> accepted in its span, and since the turn
    trials: int = 0
    refused_at: _Number = 0.0
    until: _Number = 0.0  #: of the next trial

    def refuse(self, now: float) -> None:
        """Choose the next trial."""
        midnight = now // _DAY * _DAY
        moments = [*self.borders, *(begin + late for begin in (midnight, midnight + _DAY) for late in _LATE)]
        rising = now + _TRIALS[min(self.trials, len(_TRIALS) - 1)]
        self.until = min([rising, *(moment for moment in moments if moment > now)])
        self.refused_at, self.trials = now, self.trials + 1

    def opened(self, now: float) -> tuple[str, float | None] | None:
        """Return span and turn of a wall that opened; None: it was none."""
        if self.turned(self.turn, now):
            return "day", self.turn
        if self.turned(_LATE[0], now):
            return "day", _LATE[0]
        if self.trials <= _PASSING:
            return None
        if self.refused_at < self.since + _HOUR:
            return "hour", None
        return "day", None if self.refused_at < self.borders[0] <= now else now % _DAY

    def turned(self, seconds: float, now: float) -> bool:
        """Return True if such a day has begun since the last refusal."""
        return _begin(seconds, now) > self.refused_at


@dataclass(slots=True)
class _Allowance:
    """What is accepted in an hour or a day."""

    turn: _Number | None  #: seconds of the day at which it begins; None: any 24 hours
    limits: _Limits  #: kind -> units; more than one: nobody knows yet which of them counts
    at: _Number  #: when it was met
    believed: _Number = 0.0  #: until when
    grown: _Units = 1.0  #: calls by which it grows next
    doubts: int = 0  #: refusals that a day without a beginning would explain, and this one does not


@dataclass(slots=True)
class _Kept:
    """What the journal holds."""

    learned: dict[_Span, _Allowance] = field(default_factory=dict)
    streak: _Streak | None = None
    closed: _Closed | None = None


@cache  # made where a wall was met: to make it takes as long as to read all else that `status` shows
def _form() -> TypeAdapter[_Kept]:
    return TypeAdapter(_Kept)


@dataclass(slots=True)
class Wall:
    """The walls of one endpoint group.

    ``windows``: what its calls took in an hour and a day, refused ones left out, by names such as ``requests_per_day``.
    """

    windows: Mapping[str, Window]
    closed: _Closed | None = None
    learned: dict[str, _Allowance] = field(default_factory=dict)  #: by span
    _streak: _Streak | None = None
    trial: float = 0.0  #: until when a trial's answer is waited for
    _flying: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))  #: let in, and not answered

    def wait(self, amounts: Amounts, now: float) -> float:
        """Return the seconds until the next call may be made."""
        waits = [self._held(span, amounts, now) for span in self.learned]
        if self.closed is not None:
            if self.closed.until > now + _FAR:
                self.closed.until = now
            waits.append(self.closed.until - now)
        if self.closed is not None or self._streak is not None:
            waits.append(self._awaited(now))
        return max(waits, default=0.0)

    @property
    def stands(self) -> bool:
        """True if one was met that has not been disproved."""
        return bool(self.closed or self.learned or self._streak)

    @property
    def flying(self) -> Mapping[str, float]:
        """What calls need that are let in, and not answered."""
        return dict(self._flying)

    @flying.setter
    def flying(self, amounts: Mapping[str, float]) -> None:
        self._flying = dict(amounts)

    def trial_until(self, kept: object) -> None:
        """Wait for the answer of a trial that another host makes."""
        self.trial = float(kept) if isinstance(kept, int | float) else 0.0

    def take(self, amounts: Amounts, now: float) -> None:
        """Note that a call is let in."""
        if self.closed is not None or self._streak is not None:
            self.trial = now + _ANSWER
        for kind in KINDS:
            self._flying[kind] += amounts[kind]

    def answered(self, amounts: Amounts) -> None:
        """Note, before anything else, that a call is over which was let in."""
        self.trial = 0.0
        for kind in KINDS:
            self._flying[kind] = max(0.0, self._flying[kind] - amounts[kind])

    def accepted(self, amounts: Amounts, taken: float, now: float) -> None:
        """Note that a counted call was accepted; ``taken``: when it was let in."""
        if self._streak is not None and (taken >= self._streak.since or now < self._streak.since):
            self._streak = None
        if self.closed is not None and (taken >= self.closed.refused_at or now < self.closed.refused_at):
            closed, self.closed = self.closed, None
            self._open(closed, now)
        for span, wall in self.learned.items():
            over = self._exceeded(span, _NOTHING, now)
            if len(over) == len(wall.limits):
                for kind in over:
                    wall.limits[kind] = self._certain(span, kind, now) + amounts[kind] * (wall.grown - 1)
                wall.grown, wall.believed = 2 * wall.grown, 0.0
            else:
                wall.limits = {kind: limit for kind, limit in wall.limits.items() if kind not in over}

    def refused(self, amounts: Amounts, taken: float, now: float) -> float:
        """Note a refusal that names no limit; return the seconds of a pause.

        The call is counted no more.
        """
        if self.closed is not None:
            if not taken < self.closed.refused_at <= now:  # otherwise it was sent before it closed
                self.closed.refuse(now)
            return 0.0
        proved = [self._prove(span, amounts, now) for span in self.learned]
        if any(proved):
            self._streak = None
            return 0.0
        streak = self._streak
        if streak is None or not streak.since <= streak.last <= now:
            streak = self._streak = _Streak(now, now)
        elif taken >= streak.last:  # otherwise it was sent at the same time
            streak.last, streak.count = now, streak.count + 1
        long = _LONG if self._was_faster() else _UNPROVED
        if (streak.count >= _FEWEST and now - streak.since >= long) or any(
            wall.grown > 1 for wall in self.learned.values()
        ):
            self._close(streak.since, now)
            return 0.0
        return min(now - streak.since, _SLOWEST)

    def named(self) -> None:
        """Note a refusal that says which limit it is: no guess is needed."""
        self.closed = self._streak = None

    # ------------------------------------------------------------------------------------------------- what is told

    def too_large(self, amounts: Amounts, now: float, rest: float) -> bool:
        """Return True if a smaller call has room; ``rest``: a share that is none."""
        if self.closed is not None or self._awaited(now) > 0:
            return False
        return all(
            set(wall.limits) == {"minutes"}
            and amounts["minutes"] <= wall.limits["minutes"]
            and self._used(span, "minutes", now) < (1 - rest) * wall.limits["minutes"]
            for span, wall in self.learned.items()
            if self._held(span, amounts, now) > 0
        )

    def reason(self, amounts: Amounts, now: float) -> str:
        """Return why a call must wait, in words."""
        if self.closed is not None or not self.learned:
            return "all calls are refused, and no answer says why"
        span = max(self.learned, key=lambda each: self._held(each, amounts, now))
        limits = " or ".join(f"{limit:,.10g} {kind}" for kind, limit in self.learned[span].limits.items())
        return f"{limits} per {span}, met without being named"

    def gauges(self, group: str, now: float) -> Iterable[QuotaGauge]:
        """Yield how much of each allowance is used."""
        for span, wall in self.learned.items():
            for kind, limit in wall.limits.items():
                wait = self._held(span, {"requests": 1.0, "minutes": 1.0}, now)
                used = self._used(span, kind, now)
                yield QuotaGauge(
                    group, f"{kind}_per_{span}", used, limit, now + wait if wait > 0 else 0.0, wall.at, unnamed=True
                )

    # ---------------------------------------------------------------------------------------------------- allowances

    def _used(self, span: str, kind: str, now: float) -> float:
        window, turn = self.windows[f"{kind}_per_{span}"], self.learned[span].turn
        return window.used(now) if turn is None else window.since(_begin(turn, now), now)

    def _over(self, span: str, amounts: Amounts, now: float) -> list[str]:
        """Return the kinds of which these amounts, after others, are too much."""
        found = []
        for kind, limit in self.learned[span].limits.items():
            used = self._used(span, kind, now)
            if amounts[kind] > 0 and used > 0 and used + amounts[kind] > limit + _EPSILON:
                found.append(kind)
        return found

    def _exceeded(self, span: str, amounts: Amounts, now: float) -> list[str]:
        """Return the kinds of which these amounts certainly take more than is allowed."""
        limits = self.learned[span].limits
        return [kind for kind in limits if self._certain(span, kind, now) + amounts[kind] > limits[kind] + _EPSILON]

    def _certain(self, span: str, kind: str, now: float) -> float:
        """Return what certainly is used: by calls that are answered."""
        rolls = self.learned[span].turn is None
        used = self.windows[f"{kind}_per_{span}"].certain(now) if rolls else self._used(span, kind, now)
        return used - self._flying[kind]

    def _held(self, span: str, amounts: Amounts, now: float) -> float:
        """Return the seconds for which an allowance lets nothing of this size in."""
        wall, over = self.learned[span], self._over(span, amounts, now)
        if not over:
            return 0.0
        if len(over) < len(wall.limits) or not now < wall.believed <= now + _BELIEVED:
            if self._flying["requests"]:
                return _LOOK
            if self._exceeded(span, amounts, now):
                return 0.0  # one tests it
        if wall.turn is not None:
            return max(0.0, _begin(wall.turn, now) + _DAY - now)
        windows = ((self.windows[f"{kind}_per_{span}"], kind) for kind in over)
        return min(window.wait(amounts[kind], now, wall.limits[kind]) for window, kind in windows)

    def _awaited(self, now: float) -> float:
        """Return the seconds after which to look again for a trial's answer."""
        return _LOOK if now < self.trial <= now + _ANSWER else 0.0

    def _prove(self, span: str, amounts: Amounts, now: float) -> bool:
        """Return True if an allowance explains a refusal, and believe it."""
        wall = self.learned[span]
        over = [kind for kind in self._exceeded(span, amounts, now) if self._certain(span, kind, now) > 0]
        if over:  # by more than one call that is larger than the whole
            grew = wall.grown > 1
            wall.limits = {kind: self._certain(span, kind, now) if grew else wall.limits[kind] for kind in over}
            wall.at, wall.believed, wall.grown = now, now + (_DAY if grew else _BELIEVED), 1.0
            return True
        if wall.turn is None:
            return False
        rolling = ((self.windows[f"{kind}_per_{span}"].used(now) + amounts[kind], kind) for kind in wall.limits)
        if any(used > wall.limits[kind] + _EPSILON for used, kind in rolling):
            wall.doubts += 1
        if wall.doubts >= _DOUBTS:
            wall.turn = None
        return wall.turn is None

    # -------------------------------------------------------------------------------------------- closing and opening

    def _was_faster(self) -> bool:
        """Return True if more was once accepted than is asked while all is refused."""
        return self.windows["requests_per_day"].busiest() >= _BUSY

    def _close(self, since: float, now: float) -> None:
        turn = next((wall.turn for wall in self.learned.values() if wall.turn is not None), _LATE[0])
        begin = _begin(turn, since)
        flying = {name: self._flying[name.partition("_per_")[0]] for name in self.windows}
        met = {
            name: (window.used(now) - flying[name], window.since(begin, now) - flying[name])
            for name, window in self.windows.items()
        }
        first = self.windows["requests_per_day"].first_back() + 1
        self.closed = _Closed(since, turn, [first, since + _HOUR, begin + _DAY, begin + 2 * _DAY], met)
        self.closed.refuse(now)
        self._streak = None

    def _open(self, closed: _Closed, now: float) -> None:
        """Learn from what opened a wall."""
        opened = closed.opened(now) if closed.refused_at <= now else None  # otherwise a clock was set back
        if opened is None:
            return
        span, turn = opened
        known = closed.turned(closed.turn, now)
        accepted = {
            name.partition("_per_")[0]: fixed if known else rolling
            for name, (rolling, fixed) in closed.met.items()
            if name.endswith(span)
        }
        limits = {kind: amount for kind, amount in accepted.items() if amount > 0}
        if limits:
            self.learned[span] = _Allowance(turn, limits, closed.since)

    # --------------------------------------------------------------------------------------------------- remembering

    def dump(self) -> Json:
        """Return everything for the journal."""
        kept: Json = _form().dump_python(_Kept(self.learned, self._streak, self.closed), mode="json")
        return kept

    def load(self, kept: object) -> None:
        """Restore what an earlier run saved, unless it is damaged."""
        if isinstance(kept, dict) and not any(kept.values()):  # none was met
            return
        try:
            found = _form().validate_python(kept)
        except ValidationError:
            return
        if self.windows:
            self.learned, self._streak, self.closed = found.learned, found.streak, found.closed


def _begin(turn: float, now: float) -> float:
    """Return when the day that turns at these seconds has begun."""
    return (now - turn) // _DAY * _DAY + turn

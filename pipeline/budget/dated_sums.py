"""What was spent by day and month, whatever the machine's clock does. Pure.

An entry counts on the day of its own date. Where the clock was set back, entries lie in the future: money that was spent
all the same. It counts on the day on which it is first seen there, too, and in that day's month; on no other day before
its own. So a clock that is set back over midnight forgets nothing, and one that was a month ahead for an hour does not
block a month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

from pipeline.core.model import Json

DAY = 86_400.0
_CENT = 1e-9  #: USD below which a sum is none
_KEPT = 62  #: days for which it is remembered what was counted early


@dataclass(frozen=True, slots=True)
class Early:
    """Money of a future day, counted on the day it was seen."""

    day: int  #: since 1970, UTC
    seen: int
    usd: float
    upto: float  #: USD that its day had then: what is more is new


class DatedSums:
    """USD by day."""

    def __init__(self, days: Mapping[int, float] = MappingProxyType({}), early: Json = None) -> None:
        """``days``: the ledger by day; ``early``: what :meth:`as_json` returned."""
        self._days: defaultdict[int, float] = defaultdict(float, days)
        self._last = max(self._days, default=0)
        self.early = _read(early)

    def add(self, at: float, usd: float) -> None:
        """Count ``usd`` on the day of ``at``, epoch seconds."""
        day = day_of(at)
        self._days[day] += usd
        self._last = max(self._last, day)
        if usd < 0:  # settled or refunded: what comes after it is as new as before
            self.early = [replace(each, upto=each.upto + usd * (each.day == day)) for each in self.early]

    def day(self, now: float) -> float:
        """Return USD of the day of ``now``."""
        today = self._today(now)
        return self._days.get(today, 0.0) + sum(self._counted(each) for each in self.early if each.seen == today)

    def month(self, now: float) -> float:
        """Return USD of the month of ``now``."""
        month = month_of(self._today(now))
        own = sum(usd for day, usd in self._days.items() if month_of(day) == month)
        seen = (each for each in self.early if month_of(each.seen) == month != month_of(each.day))
        return own + sum(map(self._counted, seen))

    def ahead(self, now: float) -> float:
        """Return USD that lie on days after that of ``now``."""
        return sum(usd for day, usd in self._days.items() if day > day_of(now))

    def as_json(self) -> Json:
        """Return what must be remembered of early money."""
        return [[each.day, each.seen, each.usd, each.upto] for each in self.early]

    def _today(self, now: float) -> int:
        """Return the day; note what lies in its future for the first time."""
        today = day_of(now)
        if self._last > today:
            for day in sorted(day for day in self._days if day > today):
                self._note(day, today)
        return today

    def _note(self, day: int, today: int) -> None:
        # What was counted on a day after this one lies ahead, like that day's own money.
        counted = max((each.upto for each in self.early if each.day == day and each.seen <= today), default=0.0)
        if (new := self._days[day] - counted) > _CENT:
            self.early.append(Early(day, today, new, self._days[day]))

    def _counted(self, early: Early) -> float:
        """Return what counts of early money: at most what its day has."""
        return min(early.usd, self._days.get(early.day, 0.0))


def day_of(at: float) -> int:
    """Return the number of the day, since 1970, UTC."""
    return int(at // DAY)


@lru_cache(maxsize=4096)
def month_of(day: int) -> tuple[int, int]:
    """Return (year, month); a day beyond the calendar is in no month of it."""
    try:
        date = datetime.fromtimestamp(day * DAY, UTC)
    except (ValueError, OverflowError, OSError):
        return (0, 0)
    return (date.year, date.month)


def _read(early: Json) -> list[Early]:
    """Read what was remembered; of what cannot be read, nothing is."""
    try:
        found = [Early(int(day), int(seen), float(usd), float(upto)) for day, seen, usd, upto in early or ()]
    except (TypeError, ValueError):
        return []
    newest = max((each.seen for each in found), default=0)
    return [each for each in found if each.seen > newest - _KEPT or each.day > newest]

"""When lost calls are looked for, and how slow the platform was seen."""

from __future__ import annotations

from itertools import count

from pipeline.core.clock import Clock
from pipeline.ingest.payloads import Doubt
from pipeline.ports.store import Journal

_DAY = 86_400.0
_REMEMBERED = 7  #: days


class LookSchedule:
    """When a call without an answer is looked for; only here.

    ``grace``: seconds after which an ordinary platform shows what it has accepted. A lost answer is looked for 1, 4, 13
    and 37 graces after its loss. A call whose process ended, or that was refused without proof, is looked for twice. Where
    the ``platform`` was seen to be slower within a week, all are looked for three times as long as it took then.
    """

    #: Seconds: the longest wait that is learned. Platforms are slower than that only when they are down.
    MOST = 1_800.0

    def __init__(self, grace: float, clock: Clock, journal: Journal, platform: str) -> None:
        self._delays = (grace, 3 * grace, 9 * grace, 24 * grace)
        self._clock = clock
        self._journal = journal
        self._name = f"lag:{platform}"
        self._lags: dict[int, float] = {}  #: day since 1970 -> the longest lag that was seen on it, seconds

    async def open(self) -> None:
        """Read what earlier runs have learned; what is no such memory counts as none."""
        kept = await self._journal.load(self._name)
        for entry in kept if isinstance(kept, list) else ():
            match entry:
                case [int(day), int() | float() as lag] if 0 < lag <= self.MOST:
                    self._lags[day] = max(self._lags.get(day, 0.0), float(lag))

    def after(self, looks: int, doubt: Doubt) -> float | None:
        """Return the wait after that many looks, seconds; None: often enough."""
        delays = self._delays if doubt == "lost" else self._delays[:2]
        if looks < len(delays):
            return delays[looks]
        missing = min(3 * self._lag(), self.MOST) - sum(delays)
        return missing if looks == len(delays) and missing > 0 else None

    def planned(self, looks: int, doubt: Doubt) -> float:
        """Return when the look after that many is due, seconds after the loss."""
        return sum(self.after(made, doubt) or 0.0 for made in range(looks + 1))

    def whole(self) -> float:
        """Return for how long a lost call is looked for, seconds."""
        looks = next(number for number in count(1) if self.after(number, "lost") is None)
        return self.planned(looks - 1, "lost")

    async def learn(self, looks: int, waited: float) -> None:
        """Take note that a lost call was found after so many looks and seconds.

        When nobody looked for longer than planned, as between two runs, the platform was not slow for so long.
        """
        planned = sum(self._delays[: looks + 1]) if looks < len(self._delays) else self.MOST
        lag, today = min(waited, planned), self._today()
        if lag <= self._lags.get(today, 0.0):
            return
        self._lags = {day: kept for day, kept in self._lags.items() if self._counts(day)} | {today: lag}
        await self._journal.save(self._name, [[day, kept] for day, kept in sorted(self._lags.items())])

    def _lag(self) -> float:
        return max((lag for day, lag in self._lags.items() if self._counts(day)), default=0.0)

    def _counts(self, day: int) -> bool:
        # A clock that was put back leaves days to come behind; they go by like others.
        return abs(self._today() - day) < _REMEMBERED

    def _today(self) -> int:
        return int(self._clock.now() // _DAY)

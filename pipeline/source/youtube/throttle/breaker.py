"""The circuit breaker and the rate limit of a site as one value. Pure.

::

    closed ──refusal──▶ open ──time──▶ half-open ──answer──▶ closed
                         ▲              one request │
                         └──── refusal, for twice as long
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import PydanticUseDefault

from pipeline.core.model import Json, Trouble

HOUR = 3600.0
MAX_PAUSE = 6 * HOUR
SHORT_WAIT = 1.0  #: seconds that an admission sleeps at most; longer waits are rows in the database
_MAX_SLOWDOWN = 8.0
_MAX_GAP = 20.0  #: seconds of gap that another run may keep, whatever this one does
_FORGIVEN = 50  #: good requests after which the pace doubles again
_HALF_OPEN = 600.0  #: seconds in which the one request of a half-open breaker must have an answer
Time = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class ThrottleRules:
    """Seconds from start to start, and starts in any hour."""

    min_gap: float = 12.0
    max_gap: float = 20.0
    per_hour: int = 300


@dataclass(frozen=True, slots=True)
class OutagePatience:
    """How long a run waits for a site that refuses again and again. Seconds."""

    most: float  #: from the first refusal in a row to the end of the last pause that is waited for
    park: float  #: a pause that would end later lasts at least so long: the lane is parked and the run may end


class BreakerState(BaseModel):
    """What is remembered, named as in the file; times in epoch seconds."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    next: Time = 0.0  #: nothing starts before
    starts: tuple[Time, ...] = ()
    until: Time = 0.0  #: the end of a pause
    failures: Count = Field(default=0, alias="trips")  #: refusals in a row; the breaker is half-open after the pause
    since: Time = 0.0  #: of the first of them
    slow: Time = 1.0  #: by how much gaps are wider than configured
    good: Count = 0
    trouble: Trouble | None = None
    half_open_owner: str = Field(
        default="", alias="prober"
    )  #: who finds out whether the site answers: process and number
    half_open_until: Time = Field(default=0.0, alias="probe_until")

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Forget what another version or nobody's program wrote; it must not stop a run."""
        try:
            return validate(value)
        except (ValidationError, OverflowError):
            raise PydanticUseDefault from None

    @classmethod
    def load(cls, kept: Json, now: float, rules: ThrottleRules | None) -> BreakerState:
        """Load what others left; times beyond any pause, from a wrong clock, are cut.

        Something that cannot be read costs one full gap: nobody knows when the last request started.
        """
        max_gap = rules.max_gap if rules is not None else 0.0
        if not kept:
            return cls(next=0.0 if kept is None else now + max_gap)
        found = cls.model_validate(kept)
        return found.with_(
            next=min(found.next, now + max(_MAX_GAP, max_gap) * _MAX_SLOWDOWN),
            until=min(found.until, now + MAX_PAUSE),
            slow=min(_MAX_SLOWDOWN, max(1.0, found.slow)),
            half_open_until=min(found.half_open_until, now + _HALF_OPEN),
        )

    def as_json(self) -> dict[str, Json]:
        """Return it as it is kept."""
        return self.model_dump(mode="json", by_alias=True)

    def with_(self, **changes: Any) -> BreakerState:
        """Return it with other values."""
        return self.model_copy(update=changes)

    def starts_within_hour(self, now: float, ahead: float = 0.0) -> list[float]:
        """Return the starts of the last hour, in order."""
        return sorted(start for start in self.starts if now - HOUR < start <= now + ahead)

    def wait(self, rules: ThrottleRules, now: float) -> float:
        """Return the seconds until the next start is allowed."""
        within = self.starts_within_hour(now, SHORT_WAIT)
        full = within[-rules.per_hour] + HOUR - now if len(within) >= rules.per_hour else 0.0
        return max(0.0, self.next - now, full)

    def started(self, start: float, gap: float) -> BreakerState:
        """Return it after a start."""
        starts = (*(each for each in self.starts if each > start - HOUR), start)
        return self.with_(next=start + gap * self.slow, starts=starts)

    def half_opened(self, owner: str, start: float) -> BreakerState:
        """Return it while one request finds out whether the site answers again."""
        return self.with_(half_open_owner=owner, half_open_until=start + _HALF_OPEN)

    def released(self) -> BreakerState:
        """Return it with nobody finding out."""
        return self.with_(half_open_owner="", half_open_until=0.0)

    def succeeded(self, now: float) -> BreakerState:
        """Return it closed; an answer older than the refusal changes nothing."""
        if self.until > now or (not self.failures and self.slow <= 1):
            return self
        state = self.released().with_(failures=0, until=0.0, trouble=None, good=self.good + 1)
        if state.slow > 1 and state.good >= _FORGIVEN:
            state = state.with_(slow=max(1.0, state.slow / 2), good=0)
        return state

    def refused(
        self, trouble: Trouble, pause: float, now: float, *, slower: bool, patience: OutagePatience | None = None
    ) -> BreakerState:
        """Return it open, twice as long each time; simultaneous refusals count once."""
        state = self.released()
        if state.until > now:
            return state
        until = now + min(MAX_PAUSE, pause * 2.0 ** min(state.failures, 10))
        since = state.since if state.failures and 0 < state.since <= now else now
        if patience is not None and until - since > patience.most:
            until = max(until, now + patience.park)
        state = state.with_(failures=state.failures + 1, since=since, until=until, trouble=trouble)
        return state.with_(slow=min(_MAX_SLOWDOWN, state.slow * 2), good=0) if slower else state

"""Everything that can go wrong, by what must happen next.

::

    ReelmillError
    ├── ConfigError        the user must correct the configuration or the command      exit 2
    ├── InputError         one manifest line or one file is at fault; nothing else
    ├── OverBudget         a spending limit forbids a call that somebody asked for         exit 5
    ├── Busy               another process holds the state folder                      exit 75
    ├── StoreError         the database cannot be used as it is
    ├── DatabaseAway       the database does not answer now: wait, and blame nobody
    ├── Transient          try again later by itself (may name a delay)
    │   └── Throttled      the provider named a limit; nothing was accepted
    ├── NotYet             nothing is wrong, it is only not time yet: no attempt           exit 6
    ├── Unwanted           nothing is wrong, but outside what its list may take: skipped
    ├── Permanent          never by itself again: this video, this request
    ├── Ambiguous          the provider may or may not have accepted: ask before acting
    ├── NeedsOperator      key, credit or plan: stops the run, blames no video         exit 4
    └── LostLease          another worker owns the task now; drop everything

Adapters raise only these. ``engine.attempt`` is the one place that turns an exception into a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Self

from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Trouble

#: Codes of troubles that lie in the file, the line or the question itself: a retry cannot help, and a changed one needs none.
NO_RETRY = frozenset({
    "aspect_ratio", "bad_ref", "bare_stream", "drm", "file_changed", "file_empty", "file_missing", "file_too_large",
    "live_gone", "no_video_stream", "not_a_file", "not_supported_by_local_platform", "paid", "parameter_invalid",
    "permission_denied", "removed", "resolution_too_high", "resolution_too_low", "unreadable_video", "unsupported_source",
    "video_too_long", "video_too_short", "window_outside", "youtube_bad_id",
})  # fmt: skip
#: Codes of what the platform does not let an account use, whatever the request: what can do without it goes on so.
NOT_FOR_US = frozenset({"plan_required", "not_allowed", "region_not_allowed"})


class ReelmillError(Exception):
    """Something failed in a way we foresaw."""

    code = "error"
    in_doubt = False  #: a refusal that does not prove that nothing was accepted: look before the call is made again

    def __init__(self, message: str, *, code: str = "", remedy: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.trouble = Trouble(code or self.code, message, remedy, detail[:500])

    @classmethod
    def from_trouble(cls, trouble: Trouble) -> Self:
        """Return the error of this class that carries a trouble."""
        return cls(trouble.message, code=trouble.code, remedy=trouble.remedy, detail=trouble.detail)

    def __str__(self) -> str:
        return self.trouble.message


class ConfigError(ReelmillError):
    """The configuration or the command line must be corrected by the user."""

    code = "config"


class InputError(ReelmillError):
    """One line of a manifest or one media file cannot be used."""

    code = "input"


class OverBudget(ReelmillError):
    """A spending limit forbids the call, or nobody can tell whether it does."""

    code = "budget"


class Busy(ReelmillError):
    """Another process is running on the same state folder."""

    code = "already_running"


class StoreError(ReelmillError):
    """The database cannot be used as it is.

    It is newer, damaged, on a network disk, or its disk is full.
    """

    code = "store"


class DatabaseAway(ReelmillError):
    """The database does not answer now; the same call will probably work later.

    Locked by another process, no room on its disk, a disk that fails for a moment. Whether a write happened is not known:
    it is made again, and the database knows it.
    """

    code = "database_away"


class Transient(ReelmillError):
    """Will probably work later.

    ``after`` is the wait in seconds that the other side asked for, if it did. ``untouched`` is True when it is certain
    that nothing reached the other side (connection refused, 429): the next attempt may act without asking first.
    ``waits`` replaces the stage's policy where something is worth only a few tries: the seconds before each next attempt;
    after the last one the failure is final.
    """

    code = "transient"

    def __init__(
        self,
        message: str,
        *,
        after: float | None = None,
        untouched: bool = False,
        code: str = "",
        remedy: str = "",
        detail: str = "",
        waits: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, detail=detail)
        self.after = after
        self.untouched = untouched
        self.waits = waits


class Throttled(Transient):
    """A rate limit or quota: nothing was accepted, no attempt is counted."""

    code = "rate_limited"

    def __init__(self, message: str, *, after: float, group: str, detail: str = "", alone: bool = False) -> None:
        super().__init__(message, after=after, untouched=True, detail=detail)
        self.group = group  #: the limiter's endpoint group
        self.alone = alone  #: only this call must wait: a smaller one has room


class NotYet(ReelmillError):
    """It will be there by itself; look again in ``after`` seconds.

    For example a premiere, or a stream that still runs. ``then`` are the seconds before the looks after that one; the
    last of them repeats.
    """

    code = "not_yet"

    def __init__(
        self,
        message: str,
        *,
        after: float,
        then: tuple[float, ...] = (),
        code: str = "",
        remedy: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, detail=detail)
        self.after = after
        self.then = then


class Unwanted(ReelmillError):
    """The video turned out to be outside what is taken of its list.

    ``day`` (``YYYYMMDD``) and ``seconds`` are what was found, so that other bounds can be checked without another look.
    """

    code = "unwanted"

    def __init__(self, message: str, *, code: str, remedy: str, day: str, seconds: float | None) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.day = day
        self.seconds = seconds


class Permanent(ReelmillError):
    """Trying the same again cannot help."""

    code = "permanent"


class Ambiguous(ReelmillError):
    """The request may have been accepted: its answer was lost."""

    code = "ambiguous"


class NeedsOperator(ReelmillError):
    """The account is at fault: key refused, no credit, plan or region."""

    code = "needs_operator"


class LostLease(ReelmillError):
    """Another worker owns this task, or our lease is too old to pay on."""

    code = "lost_lease"


def is_surely_refused(error: ReelmillError) -> bool:
    """Return True if an error proves that nothing was accepted."""
    if error.in_doubt:
        return False
    if isinstance(error, Transient):
        return error.untouched
    return isinstance(error, Permanent | InputError | NeedsOperator | ConfigError | LostLease)


#: First match wins; everything else that we foresaw is a plain failure of the command.
_CODES: Final[tuple[tuple[type[ReelmillError], ExitCode], ...]] = (
    (NeedsOperator, ExitCode.NEEDS_OPERATOR),
    (ConfigError, ExitCode.USAGE),
    (Permanent, ExitCode.USAGE),  # the platform refuses what was asked: the command must be corrected
    (OverBudget, ExitCode.BUDGET),
    (Throttled, ExitCode.QUOTA),
    (NotYet, ExitCode.QUOTA),
    (Busy, ExitCode.BUSY),
    (ReelmillError, ExitCode.UNEXPECTED),
)


def decide_exit(error: BaseException) -> tuple[ExitCode, BaseException]:
    """Return what a command ends with for an exception, and which error decides it.

    Total; looks into exception groups. What is no ``Exception`` is an interruption; next counts what nobody foresaw.
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if not isinstance(leaf, Exception):
            return ExitCode.INTERRUPTED, leaf
    for leaf in leaves:
        if not isinstance(leaf, ReelmillError):
            return ExitCode.UNEXPECTED, leaf
    for kind, code in _CODES:
        for leaf in leaves:
            if isinstance(leaf, kind):
                return code, leaf
    raise AssertionError("an exception group is never empty")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

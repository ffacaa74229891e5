"""What an exception means to the user: exit code, sentence, remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.core.errors import Busy, ConfigError, NeedsOperator, Permanent, ReelmillError, Throttled
from pipeline.core.exit_codes import ExitCode
from pipeline.present.formatting import span

#: First match wins; everything else that we foresaw is a plain failure of the command.
_CODES: Final[tuple[tuple[type[ReelmillError], ExitCode], ...]] = (
    (NeedsOperator, ExitCode.NEEDS_OPERATOR),
    (ConfigError, ExitCode.USAGE),
    (Permanent, ExitCode.USAGE),  # the platform refuses what was asked: the command must be corrected
    (Throttled, ExitCode.QUOTA),
    (Busy, ExitCode.BUSY),
    (ReelmillError, ExitCode.UNEXPECTED),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a command ends that did not work."""

    code: ExitCode
    message: str
    remedy: str = ""
    raw: str = ""  #: the platform's own code and words
    cause: BaseException | None = None  #: set when nobody foresaw it: its traceback belongs into the log


def failure_of(error: BaseException) -> Failure:
    """Return what an exception means. Total; looks into exception groups."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt | asyncio.CancelledError) for leaf in leaves):
        return Failure(ExitCode.INTERRUPTED, "interrupted", "the same command goes on where this one stopped")
    unforeseen = [leaf for leaf in leaves if not isinstance(leaf, ReelmillError)]
    if unforeseen:
        first = unforeseen[0]
        return Failure(
            ExitCode.UNEXPECTED,
            f"unexpected {type(first).__name__}: {first}",
            "nothing is lost: the same command goes on where this one stopped; the log holds the traceback",
            cause=error,
        )
    for kind, code in _CODES:
        for leaf in leaves:
            if isinstance(leaf, kind) and isinstance(leaf, ReelmillError):
                return _foreseen(code, leaf)
    raise AssertionError("an exception group is never empty")


def _foreseen(code: ExitCode, error: ReelmillError) -> Failure:
    trouble = error.trouble
    remedy = trouble.remedy
    if isinstance(error, Throttled) and not remedy and error.after is not None:
        remedy = f"the platform takes the next one in {span(error.after)}"
    return Failure(code, trouble.message, remedy, f"{trouble.code}: {trouble.detail}" if trouble.detail else "")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

"""What an exception means to the user: exit code, sentence, remedy."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import ReelmillError, Throttled, decide_exit
from pipeline.core.exit_codes import ExitCode
from pipeline.present.formatting import span


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
    code, decisive = decide_exit(error)
    if isinstance(decisive, ReelmillError):
        return _foreseen(code, decisive)
    if code is ExitCode.INTERRUPTED:
        return Failure(code, "interrupted", "the same command goes on where this one stopped")
    return Failure(
        code,
        f"unexpected {type(decisive).__name__}: {decisive}",
        "nothing is lost: the same command goes on where this one stopped; the log holds the traceback",
        cause=error,
    )


def _foreseen(code: ExitCode, error: ReelmillError) -> Failure:
    trouble = error.trouble
    remedy = trouble.remedy
    if isinstance(error, Throttled) and not remedy and error.after is not None:
        remedy = f"the platform takes the next one in {span(error.after)}"
    return Failure(code, trouble.message, remedy, f"{trouble.code}: {trouble.detail}" if trouble.detail else "")

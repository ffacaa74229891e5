"""The process's exit codes; a number never changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    INCOMPLETE = 3
    NEEDS_OPERATOR = 4
    BUDGET = 5
    QUOTA = 6
    BUSY = 75  #: EX_TEMPFAIL of sysexits.h: try again later
    INTERRUPTED = 130  #: 128 + SIGINT, as shells expect


#: One line each, as the run summary and the run history show them. Commands that only change tasks say more in their help.
MEANING: Mapping[ExitCode, str] = MappingProxyType(
    {
        ExitCode.DONE: "all done",
        ExitCode.UNEXPECTED: "unexpected error",
        ExitCode.USAGE: "usage or configuration must be corrected",
        ExitCode.INCOMPLETE: "finished, some items failed or are held, or lines were bad",
        ExitCode.NEEDS_OPERATOR: "needs the operator: key, credit or plan",
        ExitCode.BUDGET: "stopped at the budget",
        ExitCode.QUOTA: "stopped at a quota or an outage, resume time printed",
        ExitCode.BUSY: "already running on this state folder",
        ExitCode.INTERRUPTED: "interrupted, safe to resume",
    }
)


def meaning(code: int) -> str:
    """Return the meaning of an exit code, known or not."""
    try:
        return MEANING[ExitCode(code)]
    except ValueError:
        return f"code {code}, of another release"

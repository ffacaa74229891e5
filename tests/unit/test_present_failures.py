"""One exception, one exit code, one sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import errors
from pipeline.core.errors import (
    Busy,
    ConfigError,
    InputError,
    LostLease,
    NeedsOperator,
    Permanent,
    ReelmillError,
    StoreError,
    Transient,
)
from pipeline.core.exit_codes import MEANING, ExitCode, meaning
from pipeline.present.exit_messages import failure_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("c", remedy="r"), 2),
        (Busy("b", remedy="r"), 75),
        (NeedsOperator("n", remedy="r"), 4),
        (StoreError("s", remedy="r"), 1),
        (Transient("t", remedy="r"), 1),
        (Permanent("p", remedy="r"), 2),
        (InputError("i", remedy="r"), 1),
        (LostLease("l", remedy="r"), 1),
    ],
)
def test_what_we_foresaw_has_its_code_and_no_traceback(error: ReelmillError, code: int) -> None:
    """Message and remedy are the error's own words; nothing is logged as a crash."""
    failure = failure_of(error)
    assert (failure.code, failure.message, failure.remedy, failure.cause) == (code, str(error), "r", None)


def test_every_foreseen_error_is_mapped() -> None:
    """A new class of error ends as something that we know, never as a crash."""
    words: dict[type[ReelmillError], dict[str, Any]] = {
        errors.Throttled: {"after": 1.0, "group": "g"},
        errors.NotYet: {"after": 1.0},
        errors.Unwanted: {"code": "too_old", "remedy": "r", "day": "20200101", "seconds": None},
    }
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ReelmillError)]
    for kind in kinds:
        assert failure_of(kind("x", **words.get(kind, {}))).cause is None


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), asyncio.CancelledError(), BaseExceptionGroup("g", [KeyboardInterrupt()])]
)
def test_an_interruption_is_no_crash(error: BaseException) -> None:
    """Ctrl-C says 130 and that it is safe to go on."""
    failure = failure_of(error)
    assert (failure.code, failure.cause) == (ExitCode.INTERRUPTED, None)
    assert "goes on" in failure.remedy


def test_what_nobody_foresaw_keeps_its_cause_for_the_log() -> None:
    """The sentence names type and words; the exception goes along for the traceback."""
    error = ValueError("odd")
    failure = failure_of(error)
    assert (failure.code, failure.message) == (1, "unexpected ValueError: odd")
    assert failure.cause is error


def test_groups_are_looked_into_and_the_gravest_word_wins() -> None:
    """A task group that dies of a refused key says so, whatever else fell over at the same time."""
    group = ExceptionGroup("g", [StoreError("s"), ExceptionGroup("h", [NeedsOperator("key refused")])])
    assert failure_of(group).code == ExitCode.NEEDS_OPERATOR
    assert failure_of(group).message == "key refused"
    mixed = ExceptionGroup("g", [NeedsOperator("key refused"), RuntimeError("bug")])
    assert failure_of(mixed).message == "unexpected RuntimeError: bug"
    assert failure_of(mixed).cause is mixed


def test_every_exit_code_has_a_meaning_and_keeps_its_number() -> None:
    """Scripts depend on these numbers: they are part of the interface."""
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0, "UNEXPECTED": 1, "USAGE": 2, "INCOMPLETE": 3, "NEEDS_OPERATOR": 4, "BUDGET": 5, "QUOTA": 6, "BUSY": 75,
        "INTERRUPTED": 130,
    }  # fmt: skip
    assert set(MEANING) == set(ExitCode)
    assert meaning(75).startswith("already running")
    assert "99" in meaning(99)


def test_errors_name_their_exit_codes_as_mapped() -> None:
    """The drawing in ``errors`` and the mapping agree."""
    drawn = {
        line.split()[1]: int(line.split()[-1])
        for line in Path(errors.__file__).read_text().splitlines()
        if "exit " in line
    }
    assert drawn == {"ConfigError": 2, "OverBudget": 5, "Busy": 75, "NotYet": 6, "NeedsOperator": 4}
    more = {"NotYet": {"after": 1.0}}
    assert all(
        failure_of(getattr(errors, name)("x", **more.get(name, {}))).code == code for name, code in drawn.items()
    )

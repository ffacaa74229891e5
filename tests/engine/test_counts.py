"""``paid N analyses``: what the platform took, not what we meant to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, Throttled, Transient
from pipeline.views import RunReport
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, Wreck, clips, items
from tests.support.scripted_run import BLIND, Life, priced

VIDEOS = 5


def throttled() -> Exception:
    """Return a refusal for lack of time."""
    return Throttled("too many requests", after=30.0, group="analyze")


@pytest.mark.parametrize(
    ("trouble", "paid", "code"),
    [
        pytest.param(lambda: NeedsOperator("No credit.", code="credit"), 0, 4, id="no credit"),
        pytest.param(lambda: Permanent("No.", code="bad_request"), 0, 3, id="refused"),
        pytest.param(lambda: Throttled("no more today", after=20_000.0, group="analyze"), 0, 6, id="quota"),
    ],
)
def test_what_is_refused_is_not_counted_as_paid(
    tmp_path: Path, trouble: Callable[[], Exception], paid: int, code: int
) -> None:
    """Every request is refused: the summary says that nothing was paid, as the platform's ledger does."""
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: trouble()
    report = run_virtual(life.run(items(clips(tmp_path, VIDEOS))))
    assert (report.exit_code, report.analyses) == (code, paid)
    assert life.effects_of("analysis") == []


@pytest.mark.parametrize("error", [throttled, lambda: Transient("refused", untouched=True)])
def test_what_is_refused_first_and_taken_later_counts_once(tmp_path: Path, error: Callable[[], Exception]) -> None:
    """Three refusals on the way change nothing about five paid analyses."""
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: error() if number <= 3 else None
    report = run_virtual(life.run(items(clips(tmp_path, VIDEOS))))
    assert (report.exit_code, report.analyses) == (0, VIDEOS)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_lost_answer_counts_once_unless_it_may_be_paid_twice(tmp_path: Path, accepted: bool) -> None:
    """Found by asking: one analysis. Sent again because it was not there: the first may still come, and is told."""
    life = Life.at(tmp_path, **priced())
    life.api.accepted = accepted
    life.api.ask_trouble = lambda number: Ambiguous("lost") if number in (2, 3) else None
    report = run_virtual(life.run(items(clips(tmp_path, VIDEOS))))
    doubtful = 0 if accepted else 2
    assert (report.exit_code, report.analyses, report.doubtful) == (0, VIDEOS + doubtful, doubtful)
    assert len(life.effects_of("analysis")) == VIDEOS


def test_what_nobody_can_tell_is_counted(tmp_path: Path) -> None:
    """Where the platform cannot be asked, both tries may have been billed, and the summary says how many are in doubt."""
    life = Life.at(tmp_path, **priced(policy=BLIND))
    life.api.can_be_asked = False
    life.api.ask_trouble = lambda number: Ambiguous("lost") if number == 1 else None
    report = run_virtual(life.run(items(clips(tmp_path, VIDEOS))))
    assert (report.exit_code, report.analyses, report.doubtful) == (0, VIDEOS + 1, 1)


def test_what_nobody_can_tell_outlives_the_run_that_was_killed(tmp_path: Path) -> None:
    """The run dies over the repeat; the next one's report has it in the ledger's total, though not as its own."""
    life = Life.at(tmp_path, **priced(policy=BLIND))
    life.api.can_be_asked = False
    life.api.ask_trouble = lambda number: Ambiguous("lost") if number == 1 else None
    whole = Wreck()
    entries = items(clips(tmp_path, 1))
    run_virtual(life.run(entries, whole))
    second = [place for place, call in enumerate(whole.calls, 1) if call == "api.submit_analysis"][1]

    life = Life.at(tmp_path, **priced(policy=BLIND))
    life.api.can_be_asked = False
    life.api.ask_trouble = lambda number: Ambiguous("lost") if number == 1 else None
    with pytest.raises((Crash, BaseExceptionGroup)):
        run_virtual(life.run(entries, Wreck((second, "before"))))
    life.clock.skew += 60.0
    report = run_virtual(life.run(entries, seed=2))
    assert report.doubtful < report.doubtful_total
    assert report.doubtful_total == run_virtual(life.database.spent())[2]


def test_a_refusal_that_may_be_a_lie_is_cured_by_retries_where_nobody_can_be_asked(tmp_path: Path) -> None:
    """A first retry is told that it may be billed already, a second lets it be asked again: once, told as doubtful."""
    life = Life.at(tmp_path, **priced(policy={"on_ambiguous_create": "hold"}))
    life.api.can_be_asked, life.api.accepted = False, True
    refusal = Permanent("451", code="refused")
    refusal.in_doubt = True
    life.api.ask_trouble = lambda number: refusal if number == 1 else None

    async def nights() -> tuple[RunReport, list[Mapping[str, str]]]:
        said = []
        entries = items(clips(tmp_path, 1))
        await life.run(entries)
        for _ in range(2):
            said.append(await life.troubles())
            await life.retry()
            report = await life.run(entries)
        return report, said

    report, said = run_virtual(nights())
    assert said == [{"analysis": "refused"}, {"analysis": "cannot_be_asked"}]
    assert (report.exit_code, report.doubtful_total, len(life.api.questions)) == (0, 1, 2)

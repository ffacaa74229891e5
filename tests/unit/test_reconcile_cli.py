"""``reconcile`` as it is typed: nothing without --apply, nothing without a yes, and exit codes that scripts can read."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from pipeline.config.settings import Settings
from pipeline.core import errors
from pipeline.core.model import Trouble
from pipeline.views import Agreed, Reconciled, Reconciliation
from tests.unit.test_present_cli import FakeApp, Reelmill, reelmill
from tests.unit.test_reconcile_present import ASSET, EMPTY, FULL, IDS, TASK

__all__ = ["reelmill"]  # the fixture


@dataclass
class Tidying(FakeApp):
    """An app that has a plan, and does what is agreed to."""

    plan_: Reconciliation = FULL
    refuses: bool = False
    agreed: Agreed | None = None

    async def reconcile(
        self, settings: Settings, *, ask: Callable[[Reconciliation], Agreed] | None, limit: int, only: Sequence[str]
    ) -> Reconciled:
        self._note("reconcile", settings, asked=ask is not None, limit=limit, only=only)
        self.agreed = ask(self.plan_) if ask is not None else Agreed()
        refused = [(TASK, Trouble("conflict", "in use"))] if self.refuses else []
        deleted = [each.holding for each in self.agreed.delete]
        return Reconciled(
            self.plan_, deleted, refused=refused, rearmed=self.agreed.repair, declined=self.agreed.declined
        )


class Person(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_plan_changes_nothing(reelmill: Reelmill) -> None:
    """Without --apply nobody is asked and nothing is agreed to; ids and limit narrow the plan; JSON is data alone."""
    ran = reelmill("reconcile", "a1", "a2", "--limit", "5", "--state", "s", app=Tidying())
    assert (ran.code, ran.given) == (0, {"asked": False, "limit": 5, "only": ["a1", "a2"]})
    assert str(ran.settings.run.state) == "s"
    assert all(each in ran.out for each in IDS)
    data = reelmill("reconcile", "--json", app=Tidying())
    assert json.loads(data.out)["plan"]["account"] == "twelvelabs/v1.3"
    assert reelmill("reconcile", app=Tidying(plan_=EMPTY)).out.endswith("the database and the account agree\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("reconcile", "--yes"), "reconcile: --yes is for --apply"),
        (("reconcile", "--apply"), "reconcile: nobody is there to be asked"),
        (("reconcile", "--apply", "--json"), "reconcile: nobody is there to be asked"),
    ],
)
def test_what_cannot_be_agreed_to_is_refused_before_anything_is_read(
    reelmill: Reelmill, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], said: str
) -> None:
    """A script must say --yes; a yes without --apply is a mistake."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ran = reelmill(*args, app=Tidying())
    assert (ran.code, ran.app.calls) == (2, [])
    assert ran.err.startswith(f"reelmill: {said}")


def test_yes_deletes_what_is_ours_and_strays_only_when_named(reelmill: Reelmill) -> None:
    """--yes agrees to orphans and to what can be repaired; --strays adds what this state folder has not made."""
    app = Tidying()
    ran = reelmill("reconcile", "--apply", "--yes", app=app)
    assert app.agreed == Agreed(list(FULL.orphans), list(FULL.repairable))
    assert ran.code == 0
    assert ran.out.splitlines()[-1].startswith("deleted 1 analysis, 1 asset · 1 video to be uploaded again")
    app = Tidying()
    reelmill("reconcile", "--apply", "--yes", "--strays", app=app)
    assert app.agreed is not None
    assert list(app.agreed.delete) == [*FULL.orphans, *FULL.strays]


@pytest.mark.parametrize(
    ("typed", "delete", "repair", "code"),
    [("y\ny\n", True, True, 0), ("n\ny\n", False, True, 130), ("y\nn\n", True, False, 130), ("", False, False, 130)],
)
def test_a_person_is_asked_about_each(
    reelmill: Reelmill, monkeypatch: pytest.MonkeyPatch, typed: str, delete: bool, repair: bool, code: int
) -> None:
    """The plan with all its ids is shown first; deleting and uploading again are two questions; the default is no."""
    monkeypatch.setattr(sys, "stdin", Person(typed))
    app = Tidying()
    ran = reelmill("reconcile", "--apply", app=app)
    assert app.agreed is not None
    assert (bool(app.agreed.delete), bool(app.agreed.repair), ran.code) == (delete, repair, code)
    assert all(each in ran.err for each in IDS)
    assert ran.err.count("[y/N]") == 2


def test_nobody_is_asked_about_nothing(reelmill: Reelmill, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing left over and nothing to repair there is no question, and that is success."""
    monkeypatch.setattr(sys, "stdin", Person("y\n"))
    ran = reelmill("reconcile", "--apply", app=Tidying(plan_=replace(EMPTY, counts={"asset": {"kept": 1}})))
    assert (ran.code, "[y/N]" in ran.err, ran.out) == (0, False, "deleted nothing\n")


def test_what_is_left_undone_has_its_exit_code(reelmill: Reelmill) -> None:
    """3 if the platform refused something, or no id matched; 75 beside a run; 6 at a limit that is not waited for."""
    ran = reelmill("reconcile", "--apply", "--yes", app=Tidying(refuses=True))
    assert (ran.code, "analysis " + TASK.id + ": in use" in ran.out) == (3, True)
    none = Tidying(plan_=replace(EMPTY, not_found=["nobody"]))
    assert (ran := reelmill("reconcile", "nobody", app=none)).code == 3
    assert "nothing to do about nobody" in ran.out
    for error, code in ((errors.Busy("another"), 75), (errors.Throttled("limit", after=9e3, group="read"), 6)):
        assert reelmill("reconcile", app=Tidying(raises=error)).code == code
    assert ASSET.id not in reelmill("reconcile", app=Tidying(raises=errors.Busy("another"))).out

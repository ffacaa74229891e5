"""What the operator's own views say: a quiet night, a plan's files and quota, a prune."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.model import ForgetRow, Forgotten, Recalled, Trouble
from pipeline.money_views import FileChange
from pipeline.ports.quota import QuotaGauge
from pipeline.present.pruned import prune_table
from pipeline.present.tables.items.forgotten import forgotten_table, outcome
from pipeline.present.tables.items.recalled import recalled_lines
from pipeline.present.tables.plan import plan_table
from pipeline.present.tables.run import unheard
from pipeline.present.tables.status import status_table
from pipeline.present.terminal import rendered
from pipeline.views import Delivery, Pruned, PruneLine
from tests.unit.test_present_tables import EVIL, NOW, PLAN, REPORT, STATUS, text

PRUNED = Pruned(
    [PruneLine("answers", 1200, 5_000_000, 3), PruneLine("runs", 1, 900), PruneLine("downloads", 0, 0)],
    9_000_000,
    1_000_000,
)


def test_a_quiet_night_keeps_nothing_to_itself() -> None:
    """Exit 0 and yet a word: who was not told, a page that is old, money that nobody can tell."""
    assert unheard(REPORT) == []
    night = replace(
        REPORT,
        doubtful=2,
        page_trouble=Trouble("disk_full", "The disk is full."),
        untold=[Delivery("ping", "https://example.org", False, 1.0, EVIL)],
    )
    told = unheard(night)
    assert told[1:] == [
        "the page was not written: The disk is full",
        "2 calls of this run may have been paid twice; `reelmill costs` has the sum",
    ]
    assert told[0].startswith("ping of [watch] was not told: ")
    assert "\x1b" not in told[0]


def test_a_plan_lists_files_behind_what_becomes_of_them() -> None:
    """With their number, also of those that are not named; nothing where nobody asked."""
    assert "files:" not in text(plan_table(PLAN))
    assert "no file would be written, changed or removed" in text(plan_table(replace(PLAN, files=())))
    files = [FileChange("write", "a-talk--*/gist.json"), FileChange("remove", f"x/{EVIL[:20]}")]
    shown = text(plan_table(replace(PLAN, files=files, file_counts={"write": 11, "remove": 1})))
    assert "files: 11 to write, 1 to remove" in shown
    assert "write   a-talk--*/gist.json" in shown
    assert "… and 10 more" in shown
    assert "\x1b" not in shown


def test_a_plan_says_what_is_used_of_the_quota() -> None:
    """Only where there is something."""
    assert "quota" not in text(plan_table(PLAN))
    used = [QuotaGauge("analyze", "requests_per_day", 37.4, 100), QuotaGauge("assets", "requests_per_hour", 60, 60)]
    shown = text(plan_table(replace(PLAN, quota=used)))
    assert "quota     used: analyze 37% of requests per day · assets 100% of requests per hour" in shown


def test_forget_says_what_brings_an_item_back_and_what_is_not_here() -> None:
    """A line of a list, or whatever names its file; results that lie in another folder are no silent success."""
    row = ForgetRow(
        "talk", "file:/v/talk.mp4", "/v/talk.mp4", 4, 4, "talk--abc", ["gist.json"], usd=0.5, place="argument 1"
    )
    whole = text(forgotten_table(Forgotten([row])))
    assert "talk--abc/ with 1 file" in whole
    assert "is not in the output folder" not in whole
    assert "the next run that is given its file, folder or address takes it in again" in whole
    missing = text(forgotten_table(Forgotten([replace(row, files=(), place="list.txt:3")])))
    assert (
        "stays  talk--abc/ is not in the output folder: if it lies in another one, name that with --output" in missing
    )
    assert missing.count("stays") == 1
    assert "list.txt:3 named it" in missing
    assert "takes it in again" not in text(forgotten_table(Forgotten([replace(row, place="")])))


def test_forget_says_what_becomes_of_what_the_platform_is_at_work_on() -> None:
    """Before it asks: it is cancelled there, or goes on; afterwards, what came of that, and no command that finds nothing."""
    row = ForgetRow("talk", "file:/v/talk.mp4", "/v/talk.mp4", 4, 0, usd=0.5, at_work=1)
    assert "first  1 analysis that the platform may be at work on: cancelled there" in text(
        forgotten_table(Forgotten([row]))
    )
    left = text(forgotten_table(Forgotten([replace(row, at_work=0, left_running=2)])))
    assert "stays  2 analyses go on at the platform, and may be billed" in left
    told = Recalled(cancelled=1, usd=0.25, answered=1, in_batches=1, absent=1)
    said = outcome(Forgotten([row], done=True, platform=told))
    assert said.splitlines() == [
        "forgot 1 item",
        "1 analysis cancelled at the platform; it does not say that this is free: $0.25 stay counted",
        "1 analysis answered before it could be cancelled: paid, and kept by the platform",
        "1 analysis in a batch with others: that goes on, and they with it",
        "1 analysis whose call was never answered, and the platform does not show: counted, as it may have been paid",
    ]
    (cancelled, *_, looks) = recalled_lines(replace(told, sought=2))
    assert (cancelled, "the next run looks for it again" in looks) == (said.splitlines()[1], True)
    assert "`reelmill retry`" in "\n".join(recalled_lines(told))


@pytest.mark.parametrize("width", [80, 200])
def test_a_prune_is_shown_before_and_after(width: int) -> None:
    """What goes, what stays and why, and what the disk has of it."""
    before = rendered(prune_table(PRUNED), width=width)
    assert "1,200 answers as received, 5 MB" in before
    assert "3 older stay" in before
    assert "1 run of the history" in before
    assert "9 MB, 1 MB of it unused" in before
    assert "--yes does it" in before
    after = rendered(prune_table(replace(PRUNED, done=True, given_back=4_000_000)), width=width)
    assert "4 MB given back to the disk" in after
    assert "--yes" not in after
    kept = rendered(prune_table(replace(PRUNED, done=True, note="the disk is full")), width=200)
    assert "nothing given back: the disk is full" in kept
    assert max(map(len, f"{before}\n{after}".splitlines())) <= width


def test_status_says_of_a_run_in_time_that_it_was_that() -> None:
    """Not a quota, which the code alone could mean."""
    run = {"id": "r", "started": NOW - 100, "ended": NOW - 40, "exit_code": 6}
    shown = text(
        status_table(replace(STATUS, runs=[{**run, "summary": {"time_up": True}}, run, {**run, "summary": 7}]), NOW)
    )
    assert "6: its time was up" in shown
    assert shown.count("6: stopped at a quota or an outage") == 2

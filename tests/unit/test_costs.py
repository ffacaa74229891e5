"""``costs``: what was paid, in groups; nothing of it disturbs a run, and it answers at once over a large ledger."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core.model import SETTLED, CostGroup, Spend, SpentWindow
from pipeline.money_views import CostsView
from pipeline.present.formatting import windows_text
from pipeline.present.tables.costs import costs_csv, costs_table
from pipeline.present.terminal import rendered
from pipeline.store.sqlite.database import open_database
from tests.support.clock import EPOCH

GROUPS = (
    CostGroup("gist, summary, chapters, highlights", 1200, 1100, 48.0, 39.5, 12_345.0),
    CostGroup("index", 3, 0, 0.25, 0.25, 4.0, 1, 0.125),
)


def text(view: CostsView, width: int = 80) -> str:
    """Return the table as a terminal of this width shows it."""
    return rendered(costs_table(view, "/data/me"), width=width)


def test_expected_paid_and_doubtful_stand_side_by_side() -> None:
    """At 80 columns each group has its calls, what was expected, what was paid, and what may be paid twice; then the sum."""
    shown = text(CostsView("job", 0.0, GROUPS))
    assert max(map(len, shown.splitlines())) <= 80
    head, first, second, total, note = shown.splitlines()
    assert head.split()[:2] == ["job", "calls"]
    assert all(word in head for word in ("expected", "paid", "twice?"))
    assert "1,200" in first
    assert first.index("$48.00") < first.index("$39.50")
    assert "$0.12 (1)" in second
    assert all(word in total for word in ("in all", "1,203", "$48.25", "$39.75", "$0.12 (1)"))
    assert "counts as the most" in note


def test_an_answer_without_a_price_costs_no_zero() -> None:
    """Where no price of answers is configured, the sum says that it does not know all."""
    groups = [CostGroup("gist", 4, 4, 2.0, 1.5, 40.0), CostGroup("ask", 2, unpriced=2)]
    _, gist, ask, total, note = text(CostsView("job", 0.0, groups)).splitlines()
    assert gist.count("$") == 2
    assert (ask.count("unknown"), ask.count("$")) == (2, 0)
    assert total.count(" + ?") == 2
    assert "2 answers of `ask`" in note
    assert "unknown" not in text(CostsView("job", 0.0, [CostGroup("ask", 2, 2, 0.1, 0.1)]))


def test_what_has_no_name_is_told_and_paths_are_short() -> None:
    """A run of an older release, an entry of no video; a file below the folder one stands in."""
    assert "before this release" in text(CostsView("run", 0.0, [CostGroup("", 1, 1)]))
    shown = text(CostsView("source", 0.0, [CostGroup("file:/data/me/films/a.mp4", 1, 1), CostGroup("", 1, 1)]))
    assert "films/a.mp4" in shown
    assert "/data/me" not in shown
    assert "no video" in shown


def test_nothing_paid_is_a_sentence() -> None:
    """No table of nothing, and whether it is only since a day."""
    assert text(CostsView("month", 0.0, [])).strip() == "nothing was paid"
    assert text(CostsView("month", 5.0, [])).strip() == "nothing was paid since then"


def test_a_long_list_is_cut_and_says_so() -> None:
    """The newest days, the dearest others; the sum is of all."""
    groups = [CostGroup(f"2026-{number:04}", 1, 1, 1.0, 1.0) for number in range(80)]
    newest, dearest = text(CostsView("day", 0.0, groups)), text(CostsView("job", 0.0, groups))
    assert ("2026-0079" in newest, "2026-0000" in newest) == (True, False)
    assert ("2026-0079" in dearest, "2026-0000" in dearest) == (False, True)
    assert "30 more" in newest
    assert "$80.00" in newest


def test_csv_has_a_head_and_every_group() -> None:
    """Numbers are bare, names hold no line breaks."""
    rows = list(csv.reader(io.StringIO(costs_csv(CostsView("job", 0.0, [*GROUPS, CostGroup("a\nb")])))))
    assert rows[0] == ["job", "calls", "settled", "estimate", "usd", "minutes", "doubtful", "doubtful_usd", "videos",
        "unpriced",
    ]  # fmt: skip
    assert rows[1][:5] == ["gist, summary, chapters, highlights", "1200", "1100", "48.0", "39.5"]
    assert [row[0] for row in rows[2:]] == ["index", "a b"]


def test_status_tells_day_and_month_beside_their_limits() -> None:
    """A limit that is not set is not told."""
    windows = [SpentWindow("day", 1.5, 10.0), SpentWindow("month", 12.0)]
    assert windows_text(windows) == "today $1.50 of $10.00, this month $12.00 (UTC)"


async def _ledger(state: Path) -> None:
    database = await open_database(state / "reelmill.db")
    for number in range(3):
        at = EPOCH + 86_400 * number
        await database.enter(Spend(f"{number}", "analyze", 0.5, 1.0, "v", at=at, estimate=0.4, jobs="gist", run="r"))
    await database.enter(Spend("0" + SETTLED, "analyze", -0.25, 0.0, "v", at=EPOCH, jobs="gist", run="r"))
    await database.aclose()


def test_the_command_reads_the_ledger(tmp_path: Path) -> None:
    """By job, since a day; as a table, JSON or CSV."""
    (tmp_path / "state").mkdir()
    anyio.run(_ledger, tmp_path / "state")
    costs = ["costs", "--state", str(tmp_path / "state"), "--by", "job"]
    shown = CliRunner().invoke(app, costs)
    assert (shown.exit_code, "$1.25" in shown.stdout, "$1.20" in shown.stdout) == (0, True, True)
    found = json.loads(CliRunner().invoke(app, [*costs, "--since", "2027-01-16", "--json"]).stdout)
    assert [(group["name"], group["calls"], group["usd"]) for group in found["groups"]] == [("gist", 2, 1.0)]
    assert CliRunner().invoke(app, [*costs, "--csv"]).stdout.splitlines()[1].startswith("gist,3,1,")


def test_two_forms_at_once_and_a_wrong_day_are_told(tmp_path: Path) -> None:
    """One sentence each, exit 2."""
    for words, said in ((("--csv", "--json"), "exclude each other"), (("--since", "soon"), "should be a day")):
        ended = CliRunner().invoke(app, ["costs", "--state", str(tmp_path), *words])
        assert ended.exit_code == 2
        assert said in ended.stderr


@pytest.mark.asyncio
async def test_a_large_ledger_is_summed_by_the_database(tmp_path: Path) -> None:
    """A hundred thousand entries come back as a handful of groups: what is read does not grow with the ledger."""
    database = await open_database(tmp_path / "reelmill.db")
    rows = [
        (f"{n}", "analyze", 0.01, 1.0, f"v{n % 500}", 0, EPOCH + 60.0 * n, 0.02, "gist", f"r{n % 7}")
        for n in range(100_000)
    ]
    columns = "key, what, usd, minutes, subject, doubtful, at, estimate, jobs, run"
    assert database._writer is not None
    await database._writer.transaction(
        lambda connection: connection.executemany(f"INSERT INTO spend ({columns}) VALUES ({', '.join('?' * 10)})", rows)
    )
    found = {by: await database.costs(by) for by in ("kind", "job", "run", "day", "month", "source")}  # type: ignore[arg-type]
    await database.aclose()
    assert {by: len(groups) for by, groups in found.items()} == {
        "kind": 1, "job": 1, "run": 7, "day": 70, "month": 3, "source": 500,
    }  # fmt: skip
    assert all(sum(group.calls for group in groups) == 100_000 for groups in found.values())

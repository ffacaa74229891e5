"""The price of a plan: by kind and model, expected and at most, and how long it takes at the limits."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.app.runs.plan_price import PlanPrice
from pipeline.budget.prices import PriceList
from pipeline.cli import app
from pipeline.config.settings import LimitsSection, PricesSection
from pipeline.core.model import SpentWindow
from pipeline.ingest.batches.lane import BatchRules
from pipeline.money_views import PricePart
from pipeline.ports.batch_api import BatchCeilings
from pipeline.ports.quota import QuotaGauge
from pipeline.present.tables.plan import plan_table
from tests.support.media import clips
from tests.unit.test_job_requests import only, planner
from tests.unit.test_present_tables import PLAN, text

RATES = PricesSection(analyze_minute=0.1, output_1000_tokens=1.0, index_minute=0.2, search_1000_queries=4.0)


def priced() -> PlanPrice:
    """Return the price of two videos of 30 min, one of unknown length, one place in the index and two queries."""
    price = PlanPrice(PriceList(RATES, index_model="marengo3.0"), "pegasus1.5", 7200.0)
    requests = [only(planner(enabled=("gist",)))]
    for seconds in (1800.0, 1800.0, None):
        price.analysis(requests, seconds)
    price.indexing(600.0)
    price.queries(2)
    return price


def test_the_price_is_told_by_kind_and_model() -> None:
    """Minutes and tokens of analyses, minutes of indexing, queries: their sum is the price, and only tokens have a most."""
    parts = {part.kind: part for part in priced().parts()}
    assert parts["analysis minutes"] == PricePart("analysis minutes", "pegasus1.5", 60.0, 6.0, 6.0)
    assert parts["indexing minutes"] == PricePart("indexing minutes", "marengo3.0", 10.0, 2.0, 2.0)
    assert parts["queries"] == PricePart("queries", "marengo3.0", 2, 0.008, 0.008)
    tokens = parts["answer tokens"]
    assert (tokens.usd, tokens.usd_most) == (pytest.approx(tokens.amount / 1000), pytest.approx(2 * 2.048))


def test_a_video_of_unknown_length_is_at_most_the_longest() -> None:
    """It adds nothing to the price, and that of two hours and the longest answer to what nobody can exclude."""
    price = priced()
    assert price.unknown_most == pytest.approx(120 * 0.1 + 2.048)
    price.any_number()
    assert price.unknown_most is None
    assert math.isinf(replace(PLAN, unknown_usd_most=None).highest_usd)


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({"requests_per_minute": 1.0}, 60.0),
        ({"requests_per_minute": 10.0}, 0.0),
        ({"requests_per_minute": 10.0, "minutes_per_day": 12.0}, 4 * 86_400.0),
        ({"requests_per_minute": 10.0, "tokens_per_hour": 1024.0}, 3 * 3600.0),
    ],
)
def test_the_slowest_limit_decides_how_long_it_takes(limits: dict[str, float], seconds: float) -> None:
    """The first window is free at once; each further one is waited for."""
    section = LimitsSection.model_validate({"analyze": limits})
    assert priced().seconds(section) == pytest.approx(seconds)


def test_the_table_tells_parts_most_what_is_left_and_how_long() -> None:
    """At 80 columns: what may be more than expected, what is left of the limits, and the time at the limits."""
    shown = text(
        plan_table(
            replace(
                PLAN, parts=priced().parts(), usd_most=1.6, unknown=2, unknown_usd_most=20.0, seconds=600_000.0,
                spent=[SpentWindow("day", 4.5, 5.0), SpentWindow("month", 12.0)],
            )
        ),
        80,
    )  # fmt: skip
    assert max(map(len, shown.splitlines())) <= 80
    said = " ".join(shown.split())
    assert "about $1.20 for 42.0 min of video, at most $1.60" in said
    assert "2 videos of unknown length (at most $20.00 more)" in said
    assert "analysis minutes (pegasus1.5) $6.00 · answer tokens" in said
    assert "budget $0.50 left of this day's limit: $0.70 short" in said
    assert "no limit set" not in said
    assert "month" not in said
    assert "takes at your limits about 6 d 22 h" in said
    assert "any number" in text(plan_table(replace(PLAN, unknown=1, unknown_usd_most=None)))


def test_a_run_above_the_confirmed_price_is_refused_where_nobody_can_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 5 with the sum and nothing started; a plan ends so, too. A list from stdin cannot be priced before it is read."""
    monkeypatch.setenv("TWELVELABS_API_KEY", "tlk_none")
    monkeypatch.chdir(tmp_path)
    clips(tmp_path / "films", 1)
    ended = CliRunner().invoke(app, ["run", "films", "--confirm-over", "0.001"])
    assert ended.exit_code == 5, ended.stderr
    assert "this run costs about $0.0" in ended.stderr
    assert "--yes" in ended.stderr
    assert not (tmp_path / ".reelmill").exists()
    assert CliRunner().invoke(app, ["plan", "films", "--confirm-over", "0.001"]).exit_code == 5
    assert CliRunner().invoke(app, ["plan", "films", "--confirm-over", "9"]).exit_code == 0
    (tmp_path / "reelmill.toml").write_text("[budget]\nmax_usd_per_month = 7.0\n")
    assert "$7.00 left of this month's limit" in CliRunner().invoke(app, ["plan", "films"]).stdout  # before any run
    piped = CliRunner().invoke(app, ["run", "-", "--confirm-over", "9"])
    assert piped.exit_code == 2
    assert "stdin" in piped.stderr


def test_a_plan_prices_the_window_and_tells_what_lies_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of five seconds are priced and shown; a window behind the end, or written wrongly, is told by its place."""
    monkeypatch.setenv("TWELVELABS_API_KEY", "tlk_none")
    monkeypatch.chdir(tmp_path)
    clips(tmp_path / "films", 3)
    lines = ("0:01-0:03,films/clip-00.mp4", "0:30-,films/clip-01.mp4", "3-1,films/clip-02.mp4", "0-2,films/clip-00.mp4")
    (tmp_path / "list.csv").write_text("\n".join(["window,source", *lines]))
    plan = json.loads(CliRunner().invoke(app, ["plan", "list.csv", "--json"]).stdout)
    part, outside = plan["rows"]
    assert (part["looks_at"], part["seconds"], part["problem"]) == (2.0, 5.0, "")
    assert (plan["minutes"], part["usd"]) == (pytest.approx(2 / 60), pytest.approx(plan["usd"]))
    assert (outside["action"], outside["usd"], outside["jobs"]) == ("failed", 0.0, [])
    assert outside["problem"] == "The window 0:30- begins after the end of the video, which is 0:05 long."
    bad, twice = plan["bad_lines"]
    assert (twice["place"], twice["trouble"]["message"]) == (
        "list.csv:5",
        "This line asks about 0:00-0:02 of the video, and list.csv:2 about 0:01-0:03 of it. The first line counts.",
    )
    assert (bad["place"], bad["trouble"]["message"]) == (
        "list.csv:4", "'window' must end after it starts: 0:03 to 0:01 does not."
    )  # fmt: skip
    assert "0:02 of 0:05" in CliRunner().invoke(app, ["plan", "list.csv"], env={"COLUMNS": "80"}).stdout
    (tmp_path / "reelmill.toml").write_text('[provider]\napi = "v1.2"\n[jobs.gist]\nwindow = "0-3"\n')
    refused = CliRunner().invoke(app, ["plan", "films"])
    assert (refused.exit_code, "API v1.2 looks at whole videos only" in refused.stderr) == (2, True)


def test_what_is_used_of_a_window_is_waited_for() -> None:
    """Today's limit, not the one of an unused day; a window that these calls do not touch says nothing."""
    limits = LimitsSection.model_validate(
        {"analyze": {"requests_per_minute": None, "requests_per_day": 4}, "assets": {"requests_per_day": 1}}
    )
    assert priced().seconds(limits) == pytest.approx(0.0)
    used = [QuotaGauge("analyze", "requests_per_day", 3, 4), QuotaGauge("assets", "requests_per_day", 9, 1)]
    assert priced().seconds(limits, used) == pytest.approx(86_400 / 4)
    named = QuotaGauge(
        "analyze", "minutes_per_hour", 0, 15
    )  # by the platform: the four hours of a 60-minute plan, less one
    assert priced().seconds(limits, [named]) == pytest.approx(3 * 3600)


def test_uploads_and_answers_take_their_time_as_well() -> None:
    """A limit of uploads holds both lanes up; reading answers beside the polls, only what is asked one by one."""
    price, requests = PlanPrice(PriceList(RATES), "pegasus1.5", 7200.0), [only(planner(enabled=("gist",)))]
    for _ in range(1200):
        price.upload()
        price.analysis(requests, 60.0)
    said = {"analyze": {"requests_per_minute": 300}, "assets": {"requests_per_minute": 60}, "read": {}}
    limits = LimitsSection.model_validate(said)
    assert price.seconds(limits, polls=60) == pytest.approx(19 * 60)
    lane = price.lane(BatchRules(mode="always"), BatchCeilings(), limits)
    assert lane is not None
    assert lane.batch_hours == pytest.approx(19 / 60 + 1.5)
    slow = LimitsSection.model_validate({**said, "read": {"requests_per_minute": 60}})
    assert price.seconds(slow, polls=60) == pytest.approx(39 * 60)
    assert price.lane(BatchRules(mode="always"), BatchCeilings(), slow) == lane


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (49, ""),  # a night's work says nothing of batches
        (600, "lane one by one: tasks are as quick"),
        (6000, "takes by batches about 3 h 00 min, one by one at your limits about 9 h 59 min"),
    ],
)
def test_a_large_backlog_says_how_long_both_lanes_take(number: int, said: str) -> None:
    """By batches and one by one, at today's limits; what is too small for a batch is asked as ever."""
    price, requests = PlanPrice(PriceList(RATES), "pegasus1.5", 7200.0), [only(planner(enabled=("gist",)))]
    for _ in range(number):
        price.analysis(requests, 60.0)
    limits = LimitsSection()
    lane = price.lane(BatchRules(), BatchCeilings(), limits)
    plan = replace(PLAN, usd_most=1.0, seconds=price.seconds(limits), lane=lane)
    shown = " ".join(text(plan_table(plan)).split())
    assert said in shown
    assert ("lane" in shown) is bool(said)

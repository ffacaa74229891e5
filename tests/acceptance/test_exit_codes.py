"""What scripts and cron read: every exit code from a real situation, with the words that go with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Ended, Platform, Terminal, customer, serving, until
from tests.support.media import clips

ANALYZE = "POST /v1.3/analyze/tasks$"
#: As quick as a platform on this machine allows, under the rules of the vendor's.
QUICK: dict[str, dict[str, Any]] = {
    "provider": {"poll_spacing": 0.2, "poll_requests_per_minute": 6000},
    "limits": {
        group: {"requests_per_minute": 6000.0} for group in ("assets", "analyze", "read")
    },
    "policy": {"retry_first": 0.1, "retry_most": 0.5},
}  # fmt: skip


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform that plays the vendor's."""
    with serving(tmp_path / "there") as served:
        yield served


@pytest.fixture
def here(tmp_path: Path, platform: Platform) -> Terminal:
    """A terminal whose runs cost money, with two clips."""
    terminal = customer(tmp_path / "here", platform, "twelvelabs", **QUICK)
    clips(terminal.folder / "films", 2)
    return terminal


def check_goes_on(here: Terminal, platform: Platform) -> None:
    """The same line again ends well, and nothing was paid for twice."""
    platform.spoil()
    ended = here.run("run", "films", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["items"]["done"] == 2
    assert platform.twice() == []
    assert sorted(effect for effect, _ in platform.paid()) == ["analyze_task_created"] * 2 + ["asset_created"] * 2


def stopped_early(ended: Ended) -> str:
    """Return the line that says why."""
    found = re.search(r"^stopped early: (.*)$", ended.out, re.M)
    assert found is not None, ended.out
    return found[1]


def test_0_all_done(here: Terminal, platform: Platform) -> None:
    """Everything there, and paid as planned: the plan's price is the run's, and its answers say what it did cost."""
    planned = here.run("plan", "films", "--json").json
    ended = here.run("run", "films", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["estimate_usd"] == pytest.approx(planned["usd"])
    assert 0 < ended.json["usd"] <= planned["usd_most"]
    assert ended.json["minutes"] == pytest.approx(planned["minutes"])
    check_goes_on(here, platform)


def test_1_unexpected(tmp_path: Path) -> None:
    """A database that is none: one sentence that names the file, and it is left as it was."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 1)
    (here.folder / ".reelmill").mkdir()
    path = here.folder / ".reelmill" / "reelmill.db"
    path.write_bytes(b"precious" * 1000)
    ended = here.run("run", "films")
    assert (ended.code, ended.out) == (1, "")
    assert str(path.relative_to(here.folder)) in ended.told[0]
    assert len(ended.told) == 2
    assert path.read_bytes() == b"precious" * 1000


@pytest.mark.parametrize(
    "words", [["run", "--jobs", "nonsense", "films"], ["run", "--provider", "twelvelabs", "films"]]
)
def test_2_usage(tmp_path: Path, words: list[str]) -> None:
    """A job that does not exist, the vendor without a key: refused before anything is opened."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 1)
    ended = here.run(*words)
    assert (ended.code, ended.out, len(ended.told)) == (2, "", 2)
    assert not (here.folder / "out" / "results.jsonl").exists()


def test_3_some_failed(here: Terminal) -> None:
    """A bad file among good ones: the good ones are done, the bad one is named with its remedy."""
    (here.folder / "films" / "bad.mp4").write_bytes(b"nothing to see" * 50)
    ended = here.run("run", "films")
    assert ended.code == 3
    assert "in all   2 done · 1 failed" in ended.out
    assert re.search(r"bad\.mp4 +This is a text file, not a video\.\n +→ ", ended.out)


@pytest.mark.parametrize(
    ("rule", "words", "remedy"),
    [
        ({"match": ANALYZE, "do": "credit"}, "no credit", "add credit"),
        ({"match": "POST /v1.3/assets$", "do": "key"}, "refuses the API key", "set TWELVELABS_API_KEY"),
        ({"match": ANALYZE, "do": "status", "status": 403, "code": "forbidden"}, "", ""),
    ],
    ids=["credit", "key", "forbidden"],
)
def test_4_needs_the_operator(
    here: Terminal, platform: Platform, rule: dict[str, Any], words: str, remedy: str
) -> None:
    """No credit, a refused key, a plan that does not allow it: the run stops, no video is blamed, and goes on after."""
    platform.spoil(rule)
    ended = here.run("run", "films")
    assert ended.code == 4, ended.out
    assert words in stopped_early(ended)
    assert f"; {remedy}" in stopped_early(ended)
    status = here.run("status", "--json").json
    assert (status["items"]["working"], status["items"]["failed"], status["troubles"]) == (2, 0, {})
    assert words in status["stopped"]["message"]
    told, why = here.run("status").out, here.run("why", "clip-00.mp4").out
    assert told.index("needs attention") < told.index(f"→ {remedy}") < told.index("\nwaiting\n")
    assert "by itself" not in why
    assert remedy.casefold() in " ".join(why.split()).casefold()
    check_goes_on(here, platform)
    assert here.run("status", "--json").json["stopped"] is None


def test_5_stopped_at_the_budget(here: Terminal, platform: Platform) -> None:
    """Not a cent beyond the limit: one of two analyses is made, the other waits for a run that may pay for it."""
    one = here.run("plan", "films/clip-00.mp4", "--json").json["usd_most"]
    plan = here.run("plan", "films", "--max-usd", str(one), "--json").json
    assert plan["usd_most"] > plan["budget_usd"]
    ended = here.run("run", "films", "--max-usd", str(one))
    assert ended.code == 5, ended.out
    assert "limit" in stopped_early(ended)
    assert "max_usd_per_run" in stopped_early(ended)
    assert "in all   1 done · 1 unfinished" in ended.out
    assert [effect for effect, _ in platform.paid()].count("analyze_task_created") == 1
    assert 0 < here.run("status", "--json").json["usd_total"] < one
    check_goes_on(here, platform)


def test_6_stopped_at_a_quota(here: Terminal, platform: Platform) -> None:
    """A 429 with a wait of two hours: the rest is done, the time to resume is printed, and kept to by the next run."""
    platform.spoil({"match": ANALYZE, "do": "status", "status": 429, "hint": "retry-after", "seconds": 7200})
    ended = here.run("run", "films")
    assert ended.code == 6, ended.out
    resume = re.search(r"resume at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) \(in (1 h 59|2 h 00) min\)", ended.out)
    assert resume is not None, ended.out
    assert ended.out.count(resume[1]) == 1
    assert "rate limit" in stopped_early(ended)
    before = platform.requests()[ANALYZE.removesuffix("$")]
    assert before <= 2
    again = here.run("run", "films", "--json")
    assert (again.code, again.json["resume_at"]) == (6, resume[1])
    assert platform.requests()[ANALYZE.removesuffix("$")] == before
    why = here.run("why", "films/clip-00.mp4", "--json").json
    assert resume[1] in why["next_step"]
    assert "rate limit" in why["explanation"]
    (parked,) = here.run("status", "--json").json["parked"]
    assert parked["scope"] == "analyze"
    assert sorted({effect for effect, _ in platform.paid()}) == ["asset_created"]
    assert platform.twice() == []


def test_75_and_130(here: Terminal, platform: Platform) -> None:
    """A second run beside the first is turned away; the first is interrupted; then all is done."""
    # Long enough for a second process to begin on a loaded machine; short of the grace of the first.
    platform.spoil({"match": ANALYZE, "do": "latency", "seconds": 10.0})
    first = here.start("run", "films")
    until(lambda: platform.requests().get(ANALYZE.removesuffix("$"), 0) >= 1, "the first run to pay")
    assert here.run("run", "films").code == 75
    first.signal(2)
    assert first.wait().code == 130
    check_goes_on(here, platform)
    here.close()

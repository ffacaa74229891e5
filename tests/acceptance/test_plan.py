"""What ``plan`` says is what the next run does and pays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.acceptance.test_exit_codes import QUICK
from tests.support.cli import Platform, Terminal, customer, serving
from tests.support.media import clips, film

pytestmark = pytest.mark.slow

#: Each clip of 5 s costs 1 USD to index, and its analyses nothing.
PRICES = {"index_minute": 12.0, "analyze_minute": 0.0, "output_1000_tokens": 0.0}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform that plays the vendor's."""
    with serving(tmp_path / "there") as served:
        yield served


def at(here: Path, platform: Platform, index: str) -> Terminal:
    """Return a terminal with this index configured, or with none."""
    sections = {"index": {"name": index}} if index else {}
    jobs = {"enabled": ["gist", "summary"]}
    return customer(here, platform, "twelvelabs", **QUICK, prices=PRICES, jobs=jobs, **sections)


def check_plan(here: Terminal, counts: dict[str, int], usd: float, *words: str) -> None:
    """The plan says so, and the run pays so."""
    planned = here.run("plan", "films", "--json", *words).json
    assert (planned["counts"], planned["usd"]) == (counts, pytest.approx(usd, rel=0.05))
    ended = here.run("run", "films", "--json", *words)
    assert ended.code == 0, ended.err
    assert ended.json["usd"] == pytest.approx(planned["usd"])
    assert here.run("plan", "films", "--json", *words).json["counts"] == {"nothing": 2}


def test_fewer_jobs_cost_nothing_and_another_index_its_price(tmp_path: Path, platform: Platform) -> None:
    """A job less is a rewrite for nothing, with an index and without; only an index that is new is paid."""
    here = at(tmp_path / "here", platform, "")
    clips(here.folder / "films", 2)
    check_plan(here, {"new": 2}, 0.0)
    check_plan(here, {"rewrite": 2}, 0.0, "--jobs", "gist")
    here = at(here.folder, platform, "films")
    check_plan(here, {"analyze": 2}, 2.0, "--jobs", "gist")
    check_plan(here, {"rewrite": 2}, 0.0)
    shown = here.run("plan", "films", "--jobs", "gist").out
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith("rewrite")] == [
        ["rewrite", "0:05", "$0.00"]
    ] * 2
    here = at(here.folder, platform, "others")
    check_plan(here, {"analyze": 2}, 2.0, "--jobs", "gist")
    check_plan(here, {"rewrite": 2}, 0.0)


def test_what_stopped_before_says_why_and_what_is_cancelled_is_no_success(tmp_path: Path) -> None:
    """A failed item has its reason in every later plan, once and without its path; a cancelled one is counted as such."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 1)
    (here.folder / "films" / "broken.mp4").write_bytes(b"nothing to see" * 50)
    first = here.run("plan", "films").out
    assert here.run("run", "films").code == 3
    second = here.run("plan", "films").out
    for shown in (first, second):
        lines = shown.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("failed "))
        assert lines[at].endswith("films/broken.mp4")
        assert "his is a text file, not a video." in lines[at + 1]
        assert shown.count("broken.mp4") == 1
    assert "1 already done · 1 failed" in second or "1 failed · 1 already done" in second
    assert here.run("cancel", "films/broken.mp4").code == 0
    third = here.run("plan", "films", "--json")
    assert (third.code, third.json["counts"], third.json["rows"]) == (0, {"nothing": 1, "cancelled": 1}, [])


def test_a_refused_item_keeps_its_reason(tmp_path: Path, platform: Platform) -> None:
    """What a run refused for good is planned for nothing, with its sentence."""
    here = customer(tmp_path / "here", platform, "twelvelabs")
    (here.folder / "films").mkdir(parents=True, exist_ok=True)
    film(here.folder / "films" / "short.mp4", 0.5)
    assert here.run("run", "films").code == 3
    (row,) = here.run("plan", "films", "--json").json["rows"]
    assert (row["action"], row["jobs"], row["usd"]) == ("failed", [], 0.0)
    assert "The video is 0.5 s long" in row["problem"]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what lies below a folder, but for pictures, which are made as far as time allows."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".webp"
    }


def check_files(here: Terminal, *words: str) -> Counter[str]:
    """The plan names each file that the next run writes, changes or removes, and no other; return how many."""
    out = here.folder / "out"
    planned = here.run("plan", "films", "--files", "--json", *words).json
    before = files_of(out)
    ended = here.run("run", "films", "--json", *words)
    assert ended.code == 0, ended.err
    after = files_of(out)
    did = {
        "write": after.keys() - before.keys(),
        "remove": before.keys() - after.keys(),
        "change": {name for name in before.keys() & after.keys() if before[name] != after[name]},
    }
    for change, names in did.items():
        told = [each["path"] for each in planned["files"] if each["change"] == change]
        assert [name for name in names if not any(fnmatch(name, path) for path in told)] == []
    for each in planned["files"]:
        same = before.keys() & after.keys() if each["change"] == "change" else set()  # another answer may say the same
        touched = [name for name in {*did[each["change"]], *same} if fnmatch(name, each["path"])]
        assert touched or each["path"].endswith("chapters.txt"), each  # which short films have not
    assert sum(planned["file_counts"].values()) == len(planned["files"])
    return Counter(planned["file_counts"])


def test_each_file_that_a_run_touches_is_told_before(tmp_path: Path, platform: Platform) -> None:
    """New films, one more job, other words for one, fewer jobs, a result that is gone, and nothing at all."""
    here = at(tmp_path / "here", platform, "")
    clips(here.folder / "films", 2)
    film(here.folder / "films" / "Über den Fluß.mp4", seed=7)
    assert check_files(here)["write"] >= 3 * 4
    assert check_files(here, "--jobs", "gist,summary,chapters")["change"] >= 3
    (here.folder / "reelmill.toml").write_text(
        (here.folder / "reelmill.toml").read_text() + '\n[jobs.chapters]\nprompt = "Few of them."\n'
    )
    assert (
        check_files(here, "--jobs", "gist,summary,chapters")["remove"] == 3
    )  # answers that nothing comes from any more
    gone = next((here.folder / "out").glob("*/gist.json"))
    gone.unlink()
    assert check_files(here, "--jobs", "gist,summary,chapters")["write"] == 1
    planned = here.run("plan", "films", "--files", "--jobs", "gist,summary,chapters")
    assert "no file would be written, changed or removed" in planned.out


def test_what_is_used_of_the_quota_is_told(tmp_path: Path, platform: Platform) -> None:
    """What a run has taken of a day's limit is gone for the next, and the plan says so."""
    limits = {**QUICK["limits"], "analyze": {"requests_per_minute": 6000.0, "requests_per_day": 40.0}}
    sections = {**QUICK, "limits": limits, "jobs": {"enabled": ["gist"]}}
    here = customer(tmp_path / "here", platform, "twelvelabs", **sections)
    clips(here.folder / "films", 2)
    assert here.run("plan", "films", "--json").json["quota"] == []
    assert here.run("run", "films", "--json").code == 0
    (used,) = here.run("plan", "films", "--json").json["quota"]
    assert (used["group"], used["window"], used["used"], used["limit"]) == ("analyze", "requests_per_day", 2, 40)
    assert "quota     used: analyze 5% of requests per day" in here.run("plan", "films").out

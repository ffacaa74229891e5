"""Files where they are: what only one host can read waits for that host, whoever else works."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.acceptance.test_shared_database import url
from tests.acceptance.test_work import here, host
from tests.support.cli import serving, until
from tests.support.media import clips
from tests.support.postgres import databases

__all__ = ["databases", "url"]


@pytest.mark.slow(seconds=15)
def test_a_file_of_one_host_waits_for_it(tmp_path: Path, url: str) -> None:
    """Another host leaves it alone, says so and goes; shared folders are anybody's; the host itself does the rest."""
    films, shared = tmp_path / "films", tmp_path / "shared"
    mine, both = clips(films, 2), clips(shared, 1, first=5)
    source = {"shared": [str(shared)]}
    with serving(tmp_path / "platform") as platform:
        one, two = (host(tmp_path / name, platform, url, source=source) for name in ("one", "two"))
        try:
            left = here(one, "run", "--submit", "--json", str(films), str(shared))
            assert left.json["actions"] == {"new": 3}
            assert here(one, "plan", "--json", str(films)).json["counts"] == {"unfinished": 2}
            other = here(two, "work", "--until-idle", "--json")
            assert (other.code, other.json["published"], other.json["items"]["working"]) == (0, 1, 2)
            told = here(two, "run", "--json", str(shared))
            assert (told.code, "only the host one can read" in told.json["note"]) == (6, True)
            status = here(two, "status", "--json").json
            (waits,) = status["waits"]
            assert (waits["code"], waits["items"]) == ("host_away", 2)
            assert [(each["name"], each["waits"]) for each in status["hosts"]] == [("one", 2), ("two", 0)]
            why = here(two, "why", "--json", str(mine[0]))
            assert (why.code, "reelmill hosts forget one" in why.json["next_step"]) == (0, True)
            assert here(two, "list", "--source", str(films), "--json").out.count('"state"') == 2
            done = here(one, "run", "--json", str(films), str(shared))
            assert (done.code, done.json["items"]["done"]) == (0, 3)
            assert platform.twice() == []
            assert len(platform.paid()) == 6
            again = here(
                two, "run", "--json", str(films)
            )  # its own files of the same content: known, and not paid again
            assert (again.code, again.json["items"]["done"], len(platform.paid())) == (0, 5, 6)
            assert both[0].exists()
        finally:
            one.close()
            two.close()


@pytest.mark.slow(seconds=10)
def test_the_files_of_a_forgotten_host_are_missing(tmp_path: Path, url: str) -> None:
    """They fail by that word, also where another host has the same path; the host that comes back tries them again."""
    films = tmp_path / "films"
    clips(films, 1)
    with serving(tmp_path / "platform") as platform:
        one, two = (host(tmp_path / name, platform, url) for name in ("one", "two"))
        try:
            assert here(one, "run", "--submit", str(films)).code == 0
            forgotten = here(two, "hosts", "forget", "one", "--json")
            assert (forgotten.code, forgotten.json["items"]) == (0, 1)
            assert here(two, "work", "--until-idle").code == 0
            status = here(two, "status", "--json").json
            assert (status["troubles"], status["items"]["failed"]) == ({"file_missing": 1}, 1)
            lost = here(two, "why", "--json", str(films / "clip-00.mp4")).json
            assert "the host one, which was forgotten" in lost["explanation"]
            own = here(two, "run", "--json", str(*clips(tmp_path / "own", 1, first=3)))
            assert (own.code, own.json["troubled"]) == (3, 1)  # a list of this host takes nothing off those of others
            assert here(two, "status", "--json").json["unlisted_tasks"] == 0
            back = here(one, "run", "--json", str(films))
            assert (back.code, back.json["items"]["done"], platform.twice()) == (0, 2, [])
        finally:
            one.close()
            two.close()


@pytest.mark.slow(seconds=15)
def test_a_host_that_would_give_other_results_is_refused(tmp_path: Path, url: str) -> None:
    """The setting that differs is named, while another host is at work; so is a results folder that is not theirs."""
    with serving(tmp_path / "platform") as platform:
        one = host(tmp_path / "one", platform, url)
        asks = {"short": {"job": "ask", "prompt": "What is it about?"}}
        others = {
            "[jobs] enabled": {"jobs": {"enabled": ["gist"]}},
            "[jobs.short]": {"jobs": asks},
            "[prices] analyze_minute": {"prices": {"analyze_minute": 9.0}},
            "[provider] base_url": {"provider": {"base_url": "http://127.0.0.2:1"}},
            "[run] output": {"run": {"output": "elsewhere"}},
        }
        try:
            worker = one.start("work")
            until(lambda: any(each["role"] == "work" for each in here(one, "hosts", "--json").json), "the worker")
            for number, (name, sections) in enumerate(others.items()):
                other = host(tmp_path / f"other{number}", platform, url, **sections)
                refused = here(other, "work", "--until-idle")
                assert (refused.code, name in refused.err) == (2, True), refused.err
                other.close()
            two = host(tmp_path / "two", platform, url)
            assert here(two, "work", "--until-idle").code == 0
            worker.signal(signal.SIGTERM)
            assert worker.wait().code == 0
            changed = host(tmp_path / "two", platform, url, **others["[jobs] enabled"])
            assert here(changed, "work", "--until-idle").code == 0  # nobody else is at work
            changed.close()
            two.close()
        finally:
            one.close()

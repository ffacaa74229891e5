"""``work`` and ``run --submit``: a list is left on one host, and others do the work."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.support.cli import Platform, Terminal, customer, serving, until
from tests.support.media import clips
from tests.support.postgres import Databases, databases

__all__ = ["databases"]


def host(folder: Path, platform: Platform, url: str, **sections: dict[str, object]) -> Terminal:
    """Return a terminal of one more host: a state folder of its own, and the results that all write."""
    run = {"output": str(folder.parent / "out"), **sections.pop("run", {})}  # type: ignore[dict-item]
    return customer(
        folder, platform, run=run, store={"url": url}, cluster={"host": folder.name}, policy={"lease": 6}, **sections
    )


@pytest.mark.asyncio
@pytest.mark.slow(seconds=15)
async def test_a_list_is_left_and_done_by_a_worker(tmp_path: Path, databases: Databases) -> None:
    """Submitting asks the platform nothing; it goes beside a worker, which ends by a signal, or once it is idle."""
    films, later = tmp_path / "films", tmp_path / "later.mp4"
    clips(films, 4)[-1].rename(later)
    async with databases.lent() as url:
        with serving(tmp_path / "platform") as platform:
            one = host(tmp_path / "one", platform, url)
            try:
                left = one.run("run", "--submit", "--json", str(films))
                assert (left.code, left.json["actions"], left.json["host"]) == (0, {"new": 3}, "one")
                assert platform.paid() == Counter()
                worker = one.start("work", "--json")
                until(lambda: len(platform.paid()) == 6, "the worker to have it all done")
                until((tmp_path / "out" / "results.jsonl").exists, "the index, while the worker stays", timeout=40)
                assert one.run("run", str(films)).code == 75  # it works on the same state folder
                again = one.run("run", "--submit", "--json", str(films), str(later), str(films / "no.mp4"))
                assert (again.code, again.json["actions"]) == (3, {"new": 1, "nothing": 3})
                until(lambda: len(platform.paid()) == 8, "the worker to do what was added")
                (line,) = one.run("hosts", "--json").json
                assert (line["name"], line["state"], line["role"]) == ("one", "at work", "work")
                worker.signal(signal.SIGTERM)
                ended = worker.wait()
                assert (ended.code, ended.json["published"], ended.json["note"]) == (0, 4, "")
                assert one.run("hosts", "--json").json[0]["state"] == "left"
                assert one.run("work", "--until-idle", "--quiet").code == 0
                assert platform.twice() == []
                assert Counter(effect for effect, _ in platform.paid()).total() == 8
                history = one.run("status", "--json").json["runs"]
                assert history == []  # workers and lists are no runs
            finally:
                one.close()


def test_work_needs_a_shared_database(tmp_path: Path) -> None:
    """A file has one host; a lane that is none is named with those that are."""
    terminal = Terminal(tmp_path)
    for words in (("work",), ("run", "--submit", "a.mp4")):
        refused = terminal.run(*words)
        assert (refused.code, "[store] url" in refused.err) == (2, True)

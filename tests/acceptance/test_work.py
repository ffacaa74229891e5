"""``work`` and ``run --submit``: a list is left on one host, and others do the work."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.test_shared_database import url
from tests.support.cli import KEY, Ended, Platform, Terminal, command, customer, serving, until
from tests.support.media import clips
from tests.support.postgres import databases

__all__ = ["databases", "url"]


def host(folder: Path, platform: Platform, url: str, **sections: dict[str, object]) -> Terminal:
    """Return a terminal of one more host: a state folder of its own, and the results that all write."""
    folder.mkdir(exist_ok=True)
    (folder / "key").write_text(KEY, encoding="ascii")
    run = {"state": str(folder / "state"), "output": str(folder.parent / "out"), **sections.pop("run", {})}  # type: ignore[dict-item]
    return customer(
        folder, platform, run=run, store={"url": url}, cluster={"host": folder.name}, policy={"lease": 6},
        provider={"key_file": "key", **sections.pop("provider", {})}, **sections,
    )  # fmt: skip


def here(host: Terminal, *args: str) -> Ended:
    """Run a command of a host in this process."""
    return command(host.folder, *args)


@pytest.mark.slow(seconds=15)
def test_a_list_is_left_and_done_by_a_worker(tmp_path: Path, url: str) -> None:
    """Submitting asks the platform nothing; it goes beside a worker, which ends by a signal, or once it is idle."""
    films, later = tmp_path / "films", tmp_path / "later.mp4"
    clips(films, 4)[-1].rename(later)
    with serving(tmp_path / "platform") as platform:
        one = host(tmp_path / "one", platform, url)
        try:
            left = here(one, "run", "--submit", "--json", str(films))
            assert (left.code, left.json["actions"], left.json["host"]) == (0, {"new": 3}, "one")
            assert platform.paid() == Counter()
            worker = one.start("work", "--json")
            until(lambda: len(platform.paid()) == 6, "the worker to have it all done")
            until((tmp_path / "out" / "results.jsonl").exists, "the index, while the worker stays", timeout=40)
            assert here(one, "run", str(films)).code == 75  # it works on the same state folder
            again = here(one, "run", "--submit", "--json", str(films), str(later), str(films / "no.mp4"))
            assert (again.code, again.json["actions"]) == (3, {"new": 1, "nothing": 3})
            until(lambda: len(platform.paid()) == 8, "the worker to do what was added")
            until(lambda: len(list((tmp_path / "out").glob("*/video.json"))) == 4, "its results")
            (line,) = here(one, "hosts", "--json").json
            assert (line["name"], line["state"], line["role"]) == ("one", "at work", "work")
            worker.signal(signal.SIGTERM)
            ended = worker.wait()
            assert (ended.code, ended.json["published"], ended.json["note"]) == (0, 4, "")
            assert here(one, "hosts", "--json").json[0]["state"] == "left"
            assert here(one, "work", "--until-idle", "--quiet").code == 0
            assert platform.twice() == []
            assert Counter(effect for effect, _ in platform.paid()).total() == 8
            history = here(one, "status", "--json").json["runs"]
            assert history == []  # workers and lists are no runs
        finally:
            one.close()


def test_work_needs_a_shared_database(tmp_path: Path) -> None:
    """A file has one host; a lane that is none is named with those that are."""
    for words in (("work",), ("run", "--submit", "a.mp4")):
        refused = command(tmp_path, *words)
        assert (refused.code, "[store] url" in refused.err) == (2, True)

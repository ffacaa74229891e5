"""What an operator does with items by name, typed into a shell."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import Terminal, environment
from tests.support.media import clips


def test_list_names_everything_beside_a_run(tmp_path: Path) -> None:
    """State, cost and folder of each item as JSON and CSV, while another process holds the state folder; no half list."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 2)
    (here.folder / "films" / "bad.mp4").write_bytes(b"no video" * 100)
    assert here.run("run", "films").code == 3
    hold = "import sys; from pathlib import Path; from pipeline.app.wiring.state_folder import lock_state_folder\n"
    hold += "with lock_state_folder(Path('.reelmill')): print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold], cwd=here.folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        found = here.run("list", "--json", "--source", "films").json
        assert sorted((item["title"], item["state"]) for item in found["items"]) == [
            ("bad.mp4", "failed"), ("clip 00", "done"), ("clip 01", "done"),
        ]  # fmt: skip
        rows = list(csv.DictReader(io.StringIO(here.run("list", "--csv", "--is", "done").out)))
        assert {row["folder"] for row in rows} == {path.parent.name for path in here.folder.glob("out/*/video.json")}
        assert "2 done" in here.run("status").out
        table = here.run("list", env={"COLUMNS": "80"})
        assert (table.code, len(table.out.splitlines()), table.err) == (0, 4, "")
        assert here.run("show", rows[0]["key"]).code == 0
    finally:
        holder.communicate(timeout=30)
    assert here.run("ls").err.splitlines()[-1].split("`")[1] == "reelmill list"


@pytest.mark.parametrize("api", ["v1.3", "v1.2"])
def test_asked_again_on_purpose(tmp_path: Path, api: str) -> None:
    """The price first; typed twice it is one new call; old results until the run; nothing counts as possibly paid twice."""
    here = Terminal(tmp_path / "here", {}, {"provider": {"kind": "local", "api": api}, "jobs": {"enabled": ["gist"]}})
    clips(here.folder / "films", 2)
    assert here.run("run", "films").code == 0
    nobody = here.run("retry", "--again", "clip-00.mp4")
    assert (nobody.code, nobody.out) == (2, "")
    assert "nobody is there to be asked" in nobody.err
    assert "did you mean" in here.run("retry", "--again", "clip-0l.mp4").err
    before = {path: path.read_bytes() for path in here.folder.glob("out/*/video.json")}
    for words in (("clip 00", "--yes"), ("clip-00", "--confirm-over", "5", "--jobs", "gist")):
        typed = here.run("retry", "--again", *words, "--json")
        assert typed.code == 0, typed.err
        assert typed.json["rows"][0]["left"] == ""
    assert here.run("list", "--json", "--is", "unfinished").json["items"][0]["title"] == "clip 00"
    assert {path: path.read_bytes() for path in before} == before
    assert here.run("plan", "films", "--json").json["counts"] == {"unfinished": 1, "nothing": 1}
    ran = here.run("run", "--json")
    assert (ran.code, ran.json["analyses"], ran.json["doubtful"]) == (0, 1, 0), ran.err
    assert sum(path.read_bytes() != old for path, old in before.items()) == 1
    assert here.run("run", "films", "--json").json["analyses"] == 0
    wrong = here.run("retry", "--again", "--yes", "clip-00.mp4", "--jobs", "gits")
    assert (wrong.code, wrong.err.splitlines()[-1]) == (2, "  → did you mean gist?")
    empty = here.run("retry", "--again", "--yes", "clip-00.mp4", "--jobs", "")
    assert (empty.code, empty.out) == (2, "")
    assert "--jobs names no job" in empty.err


def test_an_item_is_forgotten(tmp_path: Path) -> None:
    """It shows what goes, asks or wants --yes, and leaves the rest; beside a run it is refused with what to do."""
    here = Terminal(tmp_path / "here", {}, {"jobs": {"enabled": ["gist"]}})
    clips(here.folder / "films", 2)
    (here.folder / "list.txt").write_text("films/clip-00.mp4\nfilms/clip-01.mp4\n")
    assert here.run("run", "list.txt").code == 0
    nobody = here.run("forget", "clip 00")
    assert nobody.code == 2
    assert "list.txt:1 named it" in nobody.err
    assert "--yes does it without asking" in nobody.err
    assert len(list(here.folder.glob("out/*/video.json"))) == 2
    elsewhere = " ".join(here.run("forget", "clip 00", "--output", "other").err.split())
    assert "is not in the output folder: if it lies in another one, name that with --output" in elsewhere
    assert "did you mean" in here.run("forget", "clip-0O.mp4", "--yes").err
    done = here.run("forget", "clip 00", "--yes", "--json")
    assert (done.code, done.json["done"], done.json["rows"][0]["kept"]) == (0, True, []), done.err
    assert len(list(here.folder.glob("out/*/video.json"))) == 1
    assert len((here.folder / "out" / "results.jsonl").read_text("utf-8").splitlines()) == 1
    assert [item["title"] for item in here.run("list", "--json").json["items"]] == ["clip 01"]
    assert here.run("forget", "clip 00", "--yes").code == 2
    again = here.run("run", "list.txt", "--json")
    assert (again.code, again.json["analyses"]) == (0, 0), again.err


@pytest.mark.parametrize("api", ["v1.3", "v1.2"])
def test_an_item_is_forgotten_with_what_the_account_holds(tmp_path: Path, api: str) -> None:
    """Upload, answer and index entry go; the other video's stay; the line brings it back, is paid again and booked again."""
    config: dict[str, dict[str, object]] = {"jobs": {"enabled": ["gist"]}, "index": {"name": "films"}}
    here = Terminal(tmp_path / "here", {}, {"provider": {"kind": "local", "api": api}, **config})
    clips(here.folder / "films", 2)
    assert here.run("run", "films").code == 0
    assert len(here.run("videos", "--json").json["videos"]) == 2
    booked = sum(group["calls"] for group in here.run("costs", "--json").json["groups"])
    done = here.run("forget", "clip 00", "--account", "--yes", "--json")
    assert (done.code, done.json["done"], done.json["refused"]) == (0, True, []), done.err
    assert {name.partition(" ")[0] for name in done.json["rows"][0]["account"]} == (
        {"indexed", "analysis", "asset"} if api == "v1.3" else {"video", "task"}
    )
    assert len(here.run("videos", "--json").json["videos"]) == 1
    assert here.run("reconcile", "--json").json["plan"]["vanished"] == []
    again = here.run("run", "films", "--json")
    assert (again.code, again.json["analyses"]) == (0, 1), again.err
    assert sum(group["calls"] for group in here.run("costs", "--json").json["groups"]) == booked + booked // 2

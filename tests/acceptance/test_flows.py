"""What README promises, typed into a shell: real processes, real SQLite, real HTTP, real videos."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from tests.support.cli import KEY, Terminal, serving
from tests.support.media import clip, clips

WRITTEN = {
    "chapters.ffmeta", "chapters.json", "chapters.vtt", "gist.json", "highlights.csv", "highlights.json",
    "summary.md", "video.json",
}  # fmt: skip


def shell(folder: Path, **config: Any) -> Terminal:
    """Return a terminal in a folder of its own, without a key: everything runs on the embedded platform."""
    return Terminal(folder / "here", {}, config)


def ledger_of(terminal: Terminal) -> Ledger:
    """Return what the terminal's embedded platform has accepted."""
    return Ledger(terminal.folder / ".reelmill" / "platform" / "platform.sqlite3")


def paid(terminal: Terminal) -> tuple[int, int]:
    """Return (uploads, analyses) that the embedded platform has accepted."""
    ledger = ledger_of(terminal)
    return len(ledger.entries("asset_created")), len(ledger.entries("analyze_task_created"))


def folders(terminal: Terminal) -> list[Path]:
    """Return the folders with results."""
    return sorted(path for path in (terminal.folder / "out").glob("*--*") if path.is_dir())


def test_from_plan_to_results(tmp_path: Path) -> None:
    """Plan tells, run does, status agrees, show and why explain, a second run finds nothing to do."""
    here = shell(tmp_path)
    clips(here.folder / "films", 2)
    planned = here.run("plan", "films", "--json")
    assert planned.code == 0, planned.err
    assert planned.json["counts"] == {"new": 2}
    assert not (here.folder / ".reelmill").exists()
    ran = here.run("run", "films", "--json")
    assert ran.code == 0, ran.err
    report = ran.json
    assert (report["items"]["done"], report["analyses"], report["published"]) == (2, 2, 2)
    assert report["provider"] == "local/v1.3"
    for folder in folders(here):
        assert {path.name for path in folder.iterdir() if path.is_file()} == WRITTEN
        assert len(list((folder / "raw").iterdir())) == 1
    status = here.run("status", "--json").json
    assert (status["items"]["done"], status["running"], len(status["runs"])) == (2, "", 1)
    shown = here.run("show", "films/clip-00.mp4", "--json").json
    assert shown["state"] == "done"
    assert {result["job"] for result in shown["results"]} == {"gist", "summary", "chapters", "highlights"}
    assert Path(shown["folder"]).name in {folder.name for folder in folders(here)}
    why = here.run("why", "clip-00.mp4", "--json").json
    assert (why["state"], why["next_step"]) == ("done", "")
    assert here.run("plan", "films", "--json").json["counts"] == {"nothing": 2}
    again = here.run("run", "films", "--json").json
    assert (again["exit_code"], again["analyses"], again["published"]) == (0, 0, 0)
    assert paid(here) == (2, 2)


def test_answers_are_about_the_video(tmp_path: Path) -> None:
    """Each result speaks of what its own video's captions say, and of nothing in the other's."""
    here = shell(tmp_path)
    clip(here.folder / "one.mp4", 0)
    clip(here.folder / "two.mp4", 1)
    assert here.run("run", "one.mp4", "two.mp4").code == 0
    lines = [
        json.loads(line) for line in (here.folder / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    texts = {Path(line["sources"][0]["locator"]).name: json.dumps(line["results"]) for line in lines}
    assert "bees" in texts["one.mp4"]
    assert "glaciers" not in texts["one.mp4"]
    assert "glaciers" in texts["two.mp4"]
    assert "bees" not in texts["two.mp4"]


def test_text_for_people(tmp_path: Path) -> None:
    """Without --json every command says something useful on stdout and keeps its log on stderr."""
    here = shell(tmp_path)
    clip(here.folder / "film.mp4")
    assert "film.mp4" in here.run("plan", "film.mp4").out
    ran = here.run("run", "film.mp4")
    assert ran.out.startswith("new      1: film.mp4\n")
    assert "asked    1 analysis · $0.00" in ran.out
    assert "items    1 done" in here.run("status").out
    assert "chapters.json" not in here.run("why", "film.mp4").out
    assert "Everything that was asked for is there." in here.run("why", "film.mp4").out
    assert "film.mp4" in here.run("show", "film.mp4").out
    assert "python" in here.run("doctor").out
    assert "the configuration is usable" in here.run("config", "check").out


@pytest.mark.slow
def test_every_json_is_json_and_every_log_line_too(tmp_path: Path) -> None:
    """stdout holds one JSON value with --json; a log that no terminal reads is one object a line with event and time."""
    here = shell(tmp_path, log={"level": "debug"})
    clip(here.folder / "film.mp4")
    (here.folder / "bad.mp4").write_bytes(b"no video" * 100)
    commands = (
        (["plan", "film.mp4", "bad.mp4"], 3), (["run", "film.mp4", "bad.mp4", "nothing.mp4"], 3), (["status"], 0),
        (["show", "film.mp4"], 0), (["show", "bad.mp4"], 0), (["why", "bad.mp4"], 0), (["retry", "--failed"], 0),
        (["cancel", "bad.mp4"], 0), (["doctor"], 0), (["config", "check"], 0),
    )  # fmt: skip
    for words, code in commands:
        ended = here.run(*words, "--json")
        assert ended.code == code, (words, ended.err)
        assert isinstance(ended.json, dict | list), words
        for event in ended.events:
            assert {"event", "level", "timestamp", "log"} <= set(event), words
        if words[0] == "run":
            assert {"run.started", "attempt.advanced", "attempt.failed", "run.ended"} <= {
                e["event"] for e in ended.events
            }


def test_retry_and_cancel(tmp_path: Path) -> None:
    """What failed can be cancelled, and goes on once the file is mended; what was cancelled stays away until it is retried."""
    here = shell(tmp_path)
    bad = here.folder / "bad.mp4"
    bad.write_bytes(b"no video" * 100)
    assert here.run("run", "bad.mp4").code == 3
    why = here.run("why", "bad.mp4")
    assert "this is a text file, not a video" in why.out
    assert here.run("retry", "--class", "unreadable_video", "--json").json["tasks"] == 1
    assert here.run("cancel", "bad.mp4", "--json").json["tasks"] == 1
    again = here.run("cancel", "bad.mp4")
    assert (again.code, again.out) == (3, "bad.mp4: nothing changed; it was cancelled before\n")
    assert here.run("run", "--json").code == 2  # nothing to do
    clip(bad)
    assert here.run("run", "bad.mp4").code == 0
    assert paid(here) == (0, 0)
    assert here.run("retry", "bad.mp4", "--json").json["tasks"] == 1
    assert here.run("run", "--json").json["items"]["done"] == 1
    assert paid(here) == (1, 1)


def test_the_list_is_the_truth(tmp_path: Path) -> None:
    """A mended file is tried by itself, a deleted one with results is no failure, what left the list does not count."""
    here = shell(tmp_path)
    clip(here.folder / "good.mp4")
    films, listed = here.folder / "films.txt", here.folder / "bad.mp4"
    listed.write_bytes(b"no video" * 100)
    films.write_text("good.mp4\nbad.mp4\n", encoding="utf-8")
    assert here.run("run", "films.txt").code == 3
    clip(listed, 1)
    assert here.run("run", "films.txt").code == 0
    listed.unlink()
    assert here.run("run", "films.txt", "--strict").code == 0
    assert here.run("plan", "films.txt", "--json").json["counts"] == {"nothing": 2}
    (here.folder / "worse.mp4").write_bytes(b"no video" * 100)
    films.write_text("good.mp4\nworse.mp4\n", encoding="utf-8")
    assert here.run("run", "films.txt").code == 3
    assert "needs attention" in here.run("status").out
    films.write_text("good.mp4\n", encoding="utf-8")
    assert here.run("run", "films.txt").code == 0
    status = here.run("status").out
    assert ("needs attention" in status, "no longer listed or asked for: 1 task" in status) == (False, True)
    why = here.run("why", "worse", "--json").json
    assert (why["state"], "in no list of the last run" in why["explanation"]) == ("failed", True)
    assert paid(here) == (2, 2)


def test_commands_that_name_nothing(tmp_path: Path) -> None:
    """Exit 2 with what to do: before any run, for an unknown item, for an ambiguous one, for no item at all."""
    here = shell(tmp_path)
    for words in (["status"], ["show", "x"], ["why", "x"], ["retry", "x"], ["cancel", "x"], ["run"], ["plan"]):
        ended = here.run(*words)
        assert (ended.code, ended.out, len(ended.told)) == (2, "", 2), (words, ended)
    assert list(here.folder.iterdir()) == []
    for number, name in enumerate(("a", "b")):
        (here.folder / name).mkdir()
        clip(here.folder / name / "film.mp4", number)
    assert here.run("run", "a", "b").code == 0
    unknown, two = here.run("why", "nobody.mp4"), here.run("show", "film.mp4")
    assert (unknown.code, two.code) == (2, 2)
    assert "No item is called 'nobody.mp4'" in unknown.err
    assert "fits 2 items" in two.err
    assert here.run("show", "a/film.mp4").code == 0


def test_doctor_looks_at_everything(tmp_path: Path) -> None:
    """Exit 0 on a healthy machine, one finding per line; exit 2 with the cost where something would stop a run."""
    here = shell(tmp_path)
    found = {finding["name"]: finding for finding in here.run("doctor", "--json").json}
    assert "any video that can be opened; Twelve Labs: 1 s to 240 min, 360×360" in found["takes"]["value"]
    assert {"python", "sqlite", "state folder", "output folder", "running", "jobs", "platform"} <= set(found)
    assert not (here.folder / ".reelmill").exists()
    assert "bad" not in {finding["state"] for finding in found.values()}
    (here.folder / "blocked").write_text("a file", encoding="utf-8")
    assert found["YouTube's patience"]["value"] == "0 of 300 requests in the last hour"
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "reelmill.db").write_bytes(b"no database" * 1000)
    assert here.run("doctor", "--state", str(tmp_path / "torn")).code == 2
    ended = here.run("doctor", "--output", "blocked", "--json")
    assert ended.code == 2
    assert {finding["name"] for finding in ended.json if finding["state"] == "bad"} == {"output folder"}


@pytest.mark.slow
def test_demo_and_its_files(tmp_path: Path) -> None:
    """The first command of README: real videos, real results, no account, and nothing outside its folder."""
    here = shell(tmp_path)
    ended = here.run("demo", "--count", "1", "--json")
    assert ended.code == 0, ended.err
    assert [Path(path).suffix for path in ended.json["videos"]] == [".mp4"]
    assert ended.json["report"]["items"]["done"] == 1
    assert [path.name for path in here.folder.iterdir()] == ["reelmill-demo"]
    (folder,) = (path for path in (here.folder / "reelmill-demo" / "out").glob("*--*") if path.is_dir())
    chapters = json.loads((folder / "chapters.json").read_text(encoding="utf-8"))["chapters"]
    assert len(chapters) >= 3
    rows = list(csv.DictReader(io.StringIO((folder / "highlights.csv").read_text(encoding="utf-8"))))
    assert rows
    assert here.run("run", "--state", "reelmill-demo/state", "--output", "reelmill-demo/out", "reelmill-demo/videos", "--json",
                    ).json["analyses"] == 0  # fmt: skip
    there = Terminal(here.folder / "reelmill-demo")  # a place to go on from, with every command as it is
    assert there.run("status", "--json").json["items"]["done"] == 1
    again = there.run("run", "--json")
    assert (again.code, again.json["analyses"], again.json["items"]["done"]) == (0, 0, 1)
    (there.folder / "reelmill.toml").write_text("[run]\n", encoding="utf-8")
    assert here.run("demo", "--count", "1").code == 0
    assert (there.folder / "reelmill.toml").read_text(encoding="utf-8") == "[run]\n"  # what somebody changed stays


@pytest.mark.slow
def test_a_platform_in_another_terminal(tmp_path: Path) -> None:
    """``reelmill platform`` prints the exports that make a run elsewhere use it; doctor finds it; Ctrl-C ends it well."""
    with serving(tmp_path / "there") as platform:
        here = Terminal(
            tmp_path / "here",
            {
                "TWELVELABS_API_KEY": KEY,
                "REELMILL_PROVIDER__KIND": "twelvelabs",
                "REELMILL_PROVIDER__BASE_URL": platform.base_url,
                "REELMILL_PROVIDER__POLL_SPACING": "0.2",
                "REELMILL_PROVIDER__POLL_REQUESTS_PER_MINUTE": "6000",
            },
        )
        clip(here.folder / "film.mp4")
        assert here.run("doctor").code == 0
        assert here.run("doctor", env={"TWELVELABS_API_KEY": "wrong"}).code == 2
        ran = here.run("run", "film.mp4", "--json")
        assert ran.code == 0, ran.err
        assert ran.json["provider"] == "twelvelabs/v1.3"
        assert ran.json["usd"] > 0
        assert sorted(effect for effect, _ in platform.paid()) == ["analyze_task_created", "asset_created"]
        assert platform.running is not None
        platform.running.signal(signal.SIGINT)
        ended = platform.running.wait(60)
        assert (ended.code, ended.told[0]) == (130, "reelmill: interrupted")
        assert here.run("doctor").code == 2
        platform.start()
        assert here.run("run", "film.mp4", "--json").json["analyses"] == 0


@pytest.mark.slow
def test_the_cron_line(tmp_path: Path) -> None:
    """``reelmill run --config FILE`` from any folder: manifests, state and output count from the configuration's folder."""
    home = tmp_path / "nightly"
    clips(home / "films", 1)
    (home / "list.csv").write_text("source,title\nfilms/clip-00.mp4,A title\n", encoding="utf-8")
    (home / "nightly.toml").write_text(
        '[run]\nmanifests = ["list.csv"]\nstate = "st"\noutput = "res"\n', encoding="utf-8"
    )
    elsewhere = shell(tmp_path)
    ended = elsewhere.run("run", "--config", str(home / "nightly.toml"), "--json")
    assert ended.code == 0, ended.err
    assert [path.name for path in elsewhere.folder.iterdir()] == []
    assert [path.name[:9] for path in (home / "res").glob("*--*") if path.is_dir()] == ["a-title--"]
    assert elsewhere.run("status", "--config", str(home / "nightly.toml"), "--json").json["items"]["done"] == 1

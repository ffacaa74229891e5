"""A run makes true what the lists and the configuration want, at the least price: the embedded platform's ledger tells."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from tests.support.cli import Terminal, leftovers
from tests.support.media import clip, clips

QUESTION = {"job": "ask", "prompt": "What is it about?"}


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    """A terminal without a key."""
    return Terminal(tmp_path / "here")


def configure(here: Terminal, **config: Any) -> None:
    """Write another configuration."""
    replaced = Terminal(here.folder, here.env, config)
    assert (replaced.folder / "reelmill.toml").exists()


def paid(here: Terminal) -> tuple[int, int]:
    """Return (uploads, analyses) that the platform has accepted so far; nothing twice."""
    ledger = Ledger(here.folder / ".reelmill" / "platform" / "platform.sqlite3")
    assert ledger.twice() == []
    return len(ledger.entries("asset_created")), len(ledger.entries("analyze_task_created"))


def ran(here: Terminal, *words: str, code: int = 0, stdin: str = "") -> dict[str, Any]:
    """Run, expect an exit code, and return the report."""
    ended = here.run("run", *words, "--json", stdin=stdin)
    assert ended.code == code, ended.err
    report: dict[str, Any] = ended.json
    return report


def card(here: Terminal) -> dict[str, Any]:
    """Return the one video's ``video.json``."""
    (path,) = (here.folder / "out").glob("*/video.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by relative path, but for the page's index: it tells of the runs."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "index.js")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_changed_prompt_redoes_that_job_alone(here: Terminal) -> None:
    """One more analysis, no upload; the other answers stay as they were, byte for byte."""
    configure(here, jobs={"enabled": ["gist", "chapters", "topic"], "topic": QUESTION})
    clip(here.folder / "film.mp4")
    ran(here, "film.mp4")
    assert paid(here) == (1, 1)
    before = tree(here.folder / "out")
    prints = {name: entry["fingerprint"] for name, entry in card(here)["results"].items()}
    configure(here, jobs={"enabled": ["gist", "chapters", "topic"], "topic": {**QUESTION, "prompt": "Who is it for?"}})
    planned = here.run("plan", "film.mp4", "--json").json
    assert [(row["action"], row["jobs"], row["upload_bytes"]) for row in planned["rows"]] == [("analyze", ["topic"], 0)]
    report = ran(here, "film.mp4")
    assert (report["analyses"], paid(here)) == (1, (1, 2))
    after = tree(here.folder / "out")
    same = {name for name in before if "/chapters." in name or name.endswith("/gist.json")}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    now = {name: entry["fingerprint"] for name, entry in card(here)["results"].items()}
    assert {name for name in now if now[name] != prints[name]} == {"topic"}
    configure(here, jobs={"enabled": ["gist", "chapters", "topic"], "topic": QUESTION})
    assert ran(here, "film.mp4")["analyses"] == 0  # the first answer is still known
    assert {name: entry["fingerprint"] for name, entry in card(here)["results"].items()} == prints


def test_a_new_job_costs_one_analysis_and_one_less_costs_nothing(here: Terminal) -> None:
    """Jobs come and go by configuration: only what is missing is asked; what is paid for stays, wanted or not."""
    configure(here, jobs={"enabled": ["gist"]})
    clip(here.folder / "film.mp4")
    ran(here, "film.mp4")
    ran(here, "film.mp4", "--jobs", "gist,summary")
    assert paid(here) == (1, 2)
    assert set(card(here)["results"]) == {"gist", "summary"}
    ran(here, "film.mp4")
    assert paid(here) == (1, 2)
    assert set(card(here)["results"]) == {"gist", "summary"}
    assert list((here.folder / "out").glob("*/summary.md"))


def test_deleted_results_come_back_without_a_call(here: Terminal) -> None:
    """One file, a folder, everything: the same bytes are there again, and the platform has heard nothing of it."""
    clips(here.folder / "films", 2)
    ran(here, "films")
    out = here.folder / "out"
    before, bill = tree(out), paid(here)
    next(out.glob("*/gist.json")).unlink()
    assert ran(here, "films")["published"] == 1
    assert tree(out) == before
    shutil.rmtree(next(path for path in out.glob("*--*") if path.is_dir()))
    ran(here, "films")
    assert tree(out) == before
    (out / "results.jsonl").unlink()
    ran(here, "films")
    assert tree(out) == before
    shutil.rmtree(out)
    ran(here, "films")
    assert tree(out) == before
    assert paid(here) == bill
    assert leftovers(out) == []


def test_a_renamed_file_is_not_uploaded_again(here: Terminal) -> None:
    """The content decides: a new name is a new item of the same video, with the same folder and no new call."""
    films = here.folder / "films"
    clips(films, 1)
    ran(here, "films")
    folder = next((here.folder / "out").glob("*/video.json")).parent
    os.rename(films / "clip-00.mp4", films / "renamed.mp4")
    planned = here.run("plan", "films", "--json").json
    assert (planned["counts"], planned["usd"], planned["upload_bytes"]) == ({"moved": 1}, 0.0, 0)
    ran(here, "films")
    assert paid(here) == (1, 1)
    assert [path.parent for path in (here.folder / "out").glob("*/video.json")] == [folder]
    assert {Path(source["locator"]).name for source in card(here)["sources"]} >= {"renamed.mp4"}


def test_a_moved_folder_a_new_title_and_a_new_time_cost_nothing_in_the_plan(here: Terminal) -> None:
    """With prices: content that is uploaded is priced as a run would pay for it, whatever its path, title or time."""
    clips(here.folder / "films", 2)
    configure(here, provider={"kind": "local"})
    ran(here, "films")
    os.rename(here.folder / "films", here.folder / "moved")
    key = {"TWELVELABS_API_KEY": "tlk_nobody-asks"}
    configure(here, provider={"kind": "local", "api": "v1.3"})
    planned = here.run("plan", "moved", env=key)
    assert planned.code == 0, planned.err
    assert "2 moved or renamed" in planned.out
    assert "about $0.00" in planned.out
    ran(here, "moved")
    os.utime(here.folder / "moved" / "clip-00.mp4", (1, 1))
    (here.folder / "list.csv").write_text("source,title\nmoved/clip-00.mp4,Other\nmoved/clip-01.mp4,Bees\n")
    assert here.run("plan", "list.csv", "--json").json["counts"] == {"rewrite": 2}
    clip(here.folder / "moved" / "clip-00.mp4", 5)
    assert here.run("plan", "list.csv", "--json").json["counts"] == {"new": 1, "rewrite": 1}


def test_a_changed_file_is_a_new_video(here: Terminal) -> None:
    """Other content under the old name is uploaded and analysed; the old answers do not pass for its own."""
    clip(here.folder / "film.mp4", 0)
    ran(here, "film.mp4")
    clip(here.folder / "film.mp4", 1)
    ran(here, "film.mp4")
    assert paid(here) == (2, 2)
    shown = here.run("show", "film.mp4", "--json").json
    gist = next(result for result in shown["results"] if result["job"] == "gist")
    assert "glaciers" in json.dumps(gist["body"]).lower()


def test_the_same_content_under_two_names_is_one_video(here: Terminal) -> None:
    """One upload, one analysis, one folder that names both sources; both items are done."""
    clip(here.folder / "a.mp4")
    clip(here.folder / "b.mp4")
    report = ran(here, "a.mp4", "b.mp4")
    assert report["items"]["done"] == 2
    assert paid(here) == (1, 1)
    assert sorted(Path(source["locator"]).name for source in card(here)["sources"]) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_line_has_words_of_its_own(here: Terminal, form: str) -> None:
    """Jobs, prompt, title, tags and metadata per line, in both forms: each video gets what its own line asks for."""
    clips(here.folder / "films", 3)
    rows: list[dict[str, Any]] = [
        {"source": "films/clip-00.mp4", "id": "A1", "title": "Of Bees", "tags": ["x", "y"], "jobs": ["gist"]},
        {"source": "films/clip-01.mp4", "prompt": "Where does it happen?", "jobs": ["summary", "ask"]},
        {"source": "films/clip-02.mp4", "metadata": {"shelf": "7"}},
    ]
    path = here.folder / f"list.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        path.write_text(
            "source,id,title,tags,jobs,prompt,metadata\n"
            "films/clip-00.mp4,A1,Of Bees,x|y,gist,,\n"
            'films/clip-01.mp4,,,,"summary,ask",Where does it happen?,\n'
            'films/clip-02.mp4,,,,,,"{""shelf"": ""7""}"\n',
            encoding="utf-8",
        )
    ran(here, path.name)
    cards = [json.loads(found.read_text(encoding="utf-8")) for found in (here.folder / "out").glob("*/video.json")]
    by_name = {Path(found["sources"][0]["locator"]).name: found for found in cards}
    first, second, third = (by_name[f"clip-0{number}.mp4"] for number in range(3))
    assert (first["title"], first["sources"][0]["id"], first["sources"][0]["tags"]) == ("Of Bees", "A1", ["x", "y"])
    assert [set(found["results"]) for found in (first, second)] == [{"gist"}, {"summary", "ask"}]
    assert "ask.md" in second["files"]
    assert third["sources"][0]["metadata"] == {"shelf": "7"}
    assert set(third["results"]) == {"gist", "summary", "chapters", "highlights"}
    assert here.run("show", "A1", "--json").json["title"] == "Of Bees"
    assert paid(here) == (3, 3)


def test_a_list_on_stdin(here: Terminal) -> None:
    """``find … | reelmill run -``: lines, comments and blanks; a bad one is named by its line and stops nothing."""
    clips(here.folder / "films", 2)
    listed = "# films\nfilms/clip-00.mp4\n\nfilms/nothing.mp4\nfilms/clip-01.mp4\nfilms/clip-00.mp4\n"
    report = ran(here, "-", stdin=listed, code=3)
    assert (report["items"]["done"], report["lines"], report["bad_count"]) == (2, 3, 1)
    assert report["bad_lines"][0]["place"].endswith(":4")
    assert paid(here) == (2, 2)


def test_strict_refuses_before_anything_is_paid(here: Terminal) -> None:
    """One bad line and --strict: exit 2, nothing started; the plan says the same."""
    clips(here.folder / "films", 1)
    (here.folder / "list.txt").write_text("films/clip-00.mp4\nfilms/nothing.mp4\n", encoding="utf-8")
    ended = here.run("run", "list.txt", "--strict")
    assert (ended.code, ended.out) == (2, "")
    assert "list.txt:2" in ended.told[0]
    assert here.run("plan", "list.txt", "--strict").code == 2
    assert paid(here) == (0, 0)


def test_unfused_and_fused_jobs(here: Terminal) -> None:
    """One request for all jobs of a video, or one for each, as configured; no job is asked again by a change of mind."""
    configure(here, jobs={"fuse": False, "enabled": ["gist", "summary", "chapters"]})
    clip(here.folder / "film.mp4")
    ran(here, "film.mp4")
    assert paid(here) == (1, 3)
    configure(here, jobs={"fuse": True, "enabled": ["gist", "summary", "chapters"]})
    ran(here, "film.mp4")
    assert paid(here) == (1, 3)

"""Searching what was ingested, as a process: the embedded platform, real files, both APIs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.demo.scripts import load_scripts
from pipeline.local.demo.videos import make_demo
from tests.acceptance.test_cli_help import reelmill
from tests.support.media import film as stripes
from tests.support.slide_reader import install_slide_reader

pytestmark = pytest.mark.slow

CONFIG = """
[provider]
kind = "local"
api = "{api}"
[index]
name = "films"
[jobs]
enabled = ["gist", "kind"]
[jobs.kind]
job = "classify"
classes = {{ Queen = "bees and their queen", Comet = "things in the sky" }}
[[queries]]
name = "queen"
text = "queen"
{more}
"""
CLASSES = """
[[queries]]
name = "kinds"
classes = { Bees = ["queen", "honey"], Sky = ["comet"] }
threshold = 10
clips = true
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One captioned film about bees."""
    return make_demo(tmp_path_factory.mktemp("films"), 1)[0]


def ingested(folder: Path, film: Path, api: str, more: str = "") -> Any:
    """Run in a folder; return the report."""
    (folder / "reelmill.toml").write_text(CONFIG.format(api=api, more=more), encoding="utf-8")
    ran = reelmill("run", str(film), "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def read(path: Path) -> Any:
    """Return a JSON file's value."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_v1_3_from_the_file_to_the_hit(tmp_path: Path, film: Path) -> None:
    """One run ingests, indexes, classifies and asks the standing query; then every command finds what it left."""
    report = ingested(tmp_path, film, "v1.3")
    assert [(query["name"], query["state"]) for query in report["queries"]] == [("queen", "done")]
    assert report["analyses"] == 1
    found = read(tmp_path / "out" / "searches" / "queen.json")
    assert found["hits"][0]["rank"] == 1
    assert "queen" in found["hits"][0]["text"].lower()
    link = (tmp_path / "out" / "searches" / found["hits"][0]["video"]["results"]).resolve()
    assert link.is_file()
    (labels,) = (tmp_path / "out").glob("*/kind.json")
    assert read(labels)["label"] == "Queen"

    typed = json.loads(reelmill("search", "queen", "--json", cwd=tmp_path).stdout)
    assert [hit["start"] for hit in typed["hits"]] == [hit["start"] for hit in found["hits"]]
    shown = reelmill("search", "queen", "--limit", "1", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert str(Path("out") / link.parent.name / "gist.json") in shown.stdout.splitlines()[-1]
    videos = json.loads(reelmill("videos", "--json", cwd=tmp_path).stdout)["videos"]
    assert [entry["ours"]["source"] for entry in videos] == [str(film)]

    sight = reelmill("search", "queen", "--option", "visual", cwd=tmp_path)
    assert sight.returncode == 2
    assert "raw: search_option_not_supported" in sight.stderr
    retired = reelmill("classify", "--class", "Bees=queen", cwd=tmp_path)
    assert retired.returncode == 2
    assert '[jobs.classify] classes = { "Bees" = "queen" }' in retired.stderr

    again = reelmill("run", str(film), "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["analyses"] == 0
    assert read(tmp_path / "out" / "searches" / "queen.json")["run"] != found["run"]
    gone = reelmill("indexes", "delete", "films", "--yes", cwd=tmp_path)
    assert gone.stdout.startswith("deleted films")
    assert json.loads(reelmill("indexes", "--json", cwd=tmp_path).stdout) == []


@pytest.mark.parametrize("api", ["v1.3", "v1.2"])
def test_a_search_without_options_looks_where_words_can_be(tmp_path: Path, film: Path, api: str) -> None:
    """No words at all: one plain sentence. Some: what could not be searched is counted, with the reason."""
    (tmp_path / "reelmill.toml").write_text(
        f'[provider]\napi = "{api}"\n[index]\nname = "films"\n[jobs]\nenabled = ["gist"]\n', encoding="utf-8"
    )
    silent = [str(stripes(tmp_path / f"silent{number}.mp4", seed=number)) for number in (1, 2)]
    assert reelmill("run", *silent, cwd=tmp_path).returncode == 0
    refused = reelmill("search", "queen", cwd=tmp_path)
    assert refused.returncode == 2
    assert "no video of this index has speech or text that can be searched" in refused.stderr
    assert not any(word in refused.stderr for word in ("conversation", "text_in_video", "option", "API_KEY"))

    assert reelmill("run", str(film), cwd=tmp_path).returncode == 0
    nothing = reelmill("search", "zeppelin", cwd=tmp_path)
    assert nothing.returncode == 0, nothing.stderr
    assert nothing.stdout.startswith("0 of 0 hits · 1 video searched")
    assert "2 videos of the index could not be searched: no captions" in nothing.stdout
    assert json.loads(reelmill("search", "queen", "--json", cwd=tmp_path).stdout)["unread_videos"] == 2


def test_an_index_that_is_named_later_gets_the_videos_that_are_there(tmp_path: Path, film: Path) -> None:
    """Nothing is uploaded or asked again for it, and the run after that has nothing to do."""
    first = reelmill("run", str(film), "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    (tmp_path / "reelmill.toml").write_text('[index]\nname = "films"\n', encoding="utf-8")
    plan = json.loads(reelmill("plan", str(film), "--json", cwd=tmp_path).stdout)
    assert (plan["counts"], plan["rows"][0]["jobs"]) == ({"analyze": 1}, [])
    second = reelmill("run", str(film), "--json", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["analyses"] == 0
    videos = json.loads(reelmill("videos", "--json", cwd=tmp_path).stdout)["videos"]
    assert [entry["ours"]["source"] for entry in videos] == [str(film)]
    assert json.loads(reelmill("plan", str(film), "--json", cwd=tmp_path).stdout)["counts"] == {"nothing": 1}


def test_v1_2_searches_and_sorts(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old API: scores and confidence, what speaks and what is written, classes with their moments."""
    slides = [(scene.heading, scene.lines) for scene in load_scripts()[0].scenes]
    monkeypatch.setenv("PATH", str(install_slide_reader(tmp_path / "bin", film, slides)), prepend=os.pathsep)
    report = ingested(tmp_path, film, "v1.2", CLASSES)
    assert [(query["name"], query["state"]) for query in report["queries"]] == [("queen", "done"), ("kinds", "done")]
    hit = read(tmp_path / "out" / "searches" / "queen.json")["hits"][0]
    assert (hit["confidence"], "rank" in hit) == ("high", False)
    kinds = read(tmp_path / "out" / "searches" / "kinds.json")
    assert [fit["name"] for fit in kinds["videos"][0]["classes"]] == ["Bees"]
    assert kinds["videos"][0]["classes"][0]["clips"]

    exact = reelmill(
        "search", "one queen", "--option", "conversation", "--speech", "exact_match", "--json", cwd=tmp_path
    )
    assert all("one queen" in hit["text"].lower() for hit in json.loads(exact.stdout)["hits"])
    sorted_ = reelmill("classify", "--class", "Bees=queen", "--threshold", "10", "--detailed", cwd=tmp_path)
    assert sorted_.returncode == 0
    assert "Bees" in sorted_.stdout
    assert "max 100" in sorted_.stdout
    assert "no option 'audio'" in reelmill("search", "x", "--option", "audio", cwd=tmp_path).stderr


def test_a_query_that_fails_costs_the_run_no_result(tmp_path: Path, film: Path) -> None:
    """Exit 3: the report names the query; the video's results are there."""
    more = '[[queries]]\nname = "elsewhere"\ntext = "queen"\nindex = "nowhere"\n'
    (tmp_path / "reelmill.toml").write_text(CONFIG.format(api="v1.3", more=more), encoding="utf-8")
    ran = reelmill("run", str(film), cwd=tmp_path)
    assert ran.returncode == 3
    assert "elsewhere" in ran.stdout
    assert "no index 'nowhere'" in ran.stdout
    assert len(list((tmp_path / "out").glob("*/gist.json"))) == 1
    assert (tmp_path / "out" / "searches" / "queen.md").is_file()


def test_a_query_that_cannot_be_asked_refuses_the_run_before_it_pays(tmp_path: Path, film: Path) -> None:
    """Exit 2, for ``run`` and for ``config check``; nothing is written."""
    more = '[[queries]]\nname = "old"\ntext = "x"\noptions = "logo"\n'
    (tmp_path / "reelmill.toml").write_text(CONFIG.format(api="v1.3", more=more), encoding="utf-8")
    for args in (("run", str(film)), ("config", "check")):
        ran = reelmill(*args, cwd=tmp_path)
        assert ran.returncode == 2
        assert "'old': API v1.3 has no option 'logo'" in ran.stderr
    assert not (tmp_path / "out").exists()

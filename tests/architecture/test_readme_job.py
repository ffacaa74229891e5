"""The job in ``jobs/README.md`` is complete: the tests take it from there, run it, and hold it to the text."""

from __future__ import annotations

import inspect
import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import anyio
import pytest

import jobs
from pipeline import kit
from pipeline.app.runs.run import run
from pipeline.config.settings import load
from pipeline.kit import Job, Video
from tests.architecture.tree import ROOT
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.media import clip
from tests.support.scripted_run import Life


def block() -> str:
    """Return the document's one block of Python."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / "jobs/README.md").read_text(encoding="utf-8"), re.S)
    assert len(found) == 1
    return str(found[0])


def job() -> Job:
    """Execute the block and return an instance of its only class."""
    module = ModuleType("speakers")
    exec(compile(block(), "jobs/README.md", "exec"), module.__dict__)
    (made,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ in ("speakers", "builtins")
    ]
    found: Job = made()
    return found


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Job:
    """Add the job to ``JOBS``, as the text says."""
    made = job()
    monkeypatch.setattr(jobs, "JOBS", (*jobs.JOBS, made))
    assert sys.modules["jobs"] is jobs
    return made


def test_the_job_is_as_short_as_promised() -> None:
    """Fifteen lines and an import."""
    lines = [line for line in block().splitlines() if line.strip()]
    assert len(lines) <= 18


def test_the_job_needs_the_kit_and_nothing_else() -> None:
    """One import, of names that the kit exports."""
    imports = re.findall(r"^(?:from|import) .*$", block(), re.M)
    assert [line.split()[1] for line in imports] == ["pipeline.kit"]
    names = imports[0].partition(" import ")[2].split(", ")
    assert set(names) <= set(kit.__all__)


def test_the_job_is_a_job() -> None:
    """It has every member of the protocol, with the protocol's parameters in order."""
    made = job()
    assert isinstance(made.name, str)
    assert isinstance(made.version, int)
    for method in ("params", "ask", "check", "render"):
        wanted = list(inspect.signature(getattr(Job, method)).parameters)[1:]
        assert list(inspect.signature(getattr(made, method)).parameters) == wanted


def test_the_job_checks_and_renders() -> None:
    """A good answer is cleaned and written; a bad one is refused with a sentence."""
    made, video = job(), Video("sha256:x", 60.0, "T")
    params = made.params({})
    good = made.check({"speakers": ["Ada", "Grace"]}, video, params)
    assert good.value == {"speakers": ["Ada", "Grace"]}
    (file,) = made.render(good.value, video, params)
    assert (file.name, file.content) == ("speakers.txt", "Ada\nGrace\n")
    unknown = made.check({"speakers": None}, video, params)
    assert unknown.value == {"speakers": []}
    bad = made.check({"speakers": 7}, video, params)
    assert bad.value is None
    assert bad.problem


def test_the_job_refuses_what_it_does_not_know() -> None:
    """A parameter that is misspelt in the configuration is told."""
    with pytest.raises(kit.ConfigError):
        job().params({"languge": "en"})


def test_the_job_goes_through_a_whole_run(tmp_path: Path, installed: Job) -> None:
    """Enabled beside the others: fused into one request, checked, kept under its fingerprint, written to its file."""
    life = Life.at(tmp_path, jobs={"enabled": ("gist", installed.name)})
    report = run_virtual(life.run(items(clips(tmp_path, 2))))
    assert report.exit_code == 0
    assert len(life.effects_of("analysis")) == 2
    assert "`speakers`" in life.api.questions[0].prompt
    assert {job for _, job, _ in run_virtual(life.answers())} == {"gist", "speakers"}
    for files in life.sink.folders.values():
        assert files["speakers.txt"] == "speakers1\nspeakers2\nspeakers3\nspeakers4\nspeakers5\n"


def test_the_job_works_on_the_local_platform(tmp_path: Path, installed: Job) -> None:
    """Over HTTP with a real film: the platform cannot tell who speaks, says null, and every result is written."""
    film = clip(tmp_path / "film.mp4")
    place = {"REELMILL_RUN__OUTPUT": str(tmp_path / "out"), "REELMILL_RUN__STATE": str(tmp_path / "state")}
    settings = load(None, env=place, flags={"jobs": {"enabled": ["gist", installed.name]}})
    report = anyio.run(partial(run, settings, [str(film)]))
    assert (report.exit_code, report.published, report.analyses) == (0, 1, 1)
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/video.json"))
    assert (folder / "speakers.txt").exists()
    assert (folder / "gist.json").exists()

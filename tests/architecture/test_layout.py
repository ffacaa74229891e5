"""What may lie in the repository, and what no file in it may say."""

from __future__ import annotations

import re
import tomllib

import pipeline
from tests.architecture.tree import ROOT, files, read

TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "config.example.toml", "jobs", "pipeline", "pyproject.toml",
    "tests",
}  # fmt: skip

TEXT = {".py", ".md", ".toml", ".json", ".txt", ".csv", ".jsonl", ".srt", ".vtt", ".yml", ".yaml", ".html", ".sh", ""}
#: Put together here, so that this file does not say them itself.
UNSPOKEN = {
    "a package registry": re.compile(
        "|".join(["py" + r"pi\.org", "python" + "hosted", r"files\." + "python", "simple/" + "<"])
    ),
    "a path of one machine": re.compile(r"(?<![\w.])/(work|home/\w+|root|Users/\w+|opt/\w+)" + r"/\w"),
    "the machine's own tools": re.compile(r"\b" + "farm" + r"-[a-z]"),
    "unfinished business": re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b"),
}


def test_nothing_else_lies_at_the_top() -> None:
    """The user fixed what the top level holds."""
    assert {path.parts[0] for path in files()} - TOP == set()
    assert {"README.md", "LICENSE", "CHANGELOG.md", "config.example.toml", "pyproject.toml", ".ci"} <= {
        path.parts[0] for path in files()
    }


def test_no_file_speaks_of_the_place_where_it_was_made() -> None:
    """No registry hosts, no paths of a machine, no tools around it, nothing left for later."""
    found = [
        f"{path}:{number}: {what}"
        for path in files()
        if path.suffix in TEXT
        for number, line in enumerate(read(path).splitlines(), 1)
        for what, pattern in UNSPOKEN.items()
        if pattern.search(line)
    ]
    assert found == []


def test_no_file_is_large() -> None:
    """Media are made by the tests; a repository is for sources."""
    assert [path for path in files() if (ROOT / path).stat().st_size > 200_000] == []


def test_both_packages_say_that_they_are_typed() -> None:
    """A type checker uses our annotations only where ``py.typed`` lies, which the wheel takes along with its package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [name for name in shipped if not (ROOT / name / "py.typed").is_file()] == []


def test_one_version() -> None:
    """Package, project file and the newest released entry of the changelog agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    released = re.findall(
        r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M
    )
    assert project["version"] == pipeline.__version__ == released[0]
    assert released == sorted(released, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def test_every_dependency_is_bounded() -> None:
    """A range with both ends, but for the one package whose versions are dates and whose newest is the only good one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    open_ended = [name for name in wanted if ">=" not in name or "<" not in name]
    assert [name.partition(">")[0] for name in open_ended] == ["yt-dlp"]

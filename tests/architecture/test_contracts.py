"""The layers, held by import-linter: ``pyproject.toml`` says which may import which."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.architecture.tree import ROOT, sources


def test_every_contract_is_kept() -> None:
    """No module imports what stands above or beside its floor."""
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert " 0 broken" in ran.stdout


def test_every_module_stands_on_a_floor() -> None:
    """A new module or package at the top of ``pipeline`` must be given its place."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    floors = next(contract for contract in linter["contracts"] if contract["type"] == "layers")
    placed = {name.strip(" ()") for layer in floors["layers"] for name in layer.split("|")}
    there = {f"pipeline.{_name(path)}" for path in sources("pipeline") if path != Path("pipeline/__init__.py")}
    assert there - placed == set()


def _name(path: Path) -> str:
    return path.parts[1].removesuffix(".py")

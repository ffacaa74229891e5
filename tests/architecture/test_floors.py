"""The declared lower bounds: each can be installed by name, and the gate tests them."""

from __future__ import annotations

import re
import runpy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def floors(pyproject: str) -> list[str]:
    """Run the gate's own script."""
    found: Any = runpy.run_path(str(ROOT / ".ci" / "floors.py"))["floors"](pyproject)
    return list(found)


def test_every_dependency_has_a_floor_that_pip_can_be_given() -> None:
    """One constraint for each dependency, not above what is installed here; the gate installs and tests them."""
    found = dict(line.split("==") for line in floors((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    for name, safe in {"filelock": "3.20.3", "python-multipart": "0.0.31", "starlette": "1.3.1"}.items():
        assert _numbers(found[name]) >= _numbers(safe), f"{name} before {safe} has known holes"
    for name, floor in found.items():
        assert _numbers(floor) <= _numbers(version(name)), name
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert gate.index("floors.py pyproject.toml") < gate.index('"$floors/python" -m pytest')


def test_a_dependency_without_a_floor_is_named() -> None:
    """An unbounded dependency cannot be tested at its lowest: the script says which one it is."""
    text = '[project]\ndependencies = ["alpha[x]>=1.2,<3", "beta>=4", "gamma<5"]\n'
    assert floors(text.replace(', "gamma<5"', "")) == ["alpha==1.2", "beta==4"]
    with pytest.raises(ValueError, match="gamma<5"):
        floors(text)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]

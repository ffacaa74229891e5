"""The scripts of the demo's videos, read from ``scripts.toml`` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scene:
    """One slide and what is said while it stands."""

    heading: str
    lines: tuple[str, ...]
    narration: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoScript:
    """One demo video."""

    name: str  #: file name without ending
    title: str
    scenes: tuple[Scene, ...]


@cache
def load_scripts() -> tuple[DemoScript, ...]:
    """Return the scripts in the order of the file."""
    with Path(__file__).with_name("scripts.toml").open("rb") as file:
        data = tomllib.load(file)
    return tuple(
        DemoScript(
            script["name"],
            script["title"],
            tuple(
                Scene(scene["heading"], tuple(scene["lines"]), tuple(scene["narration"])) for scene in script["scene"]
            ),
        )
        for script in data["script"]
    )

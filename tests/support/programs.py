"""Programs of this machine that the tests must not meet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["path_without"]


def path_without(program: str, environment: Mapping[str, str], folder: Path) -> str:
    """Return a PATH on which everything is found but ``program``.

    A folder that holds it is replaced by one of links to all else, made in ``folder``.
    """
    kept: list[str] = []
    for number, entry in enumerate(environment.get("PATH", os.defpath).split(os.pathsep)):
        if not os.access(Path(entry) / program, os.X_OK):
            kept.append(entry)
            continue
        links = folder / str(number)
        links.mkdir()
        for other in Path(entry).iterdir():
            if other.name != program:
                (links / other.name).symlink_to(other.absolute())
        kept.append(str(links))
    return os.pathsep.join(kept)

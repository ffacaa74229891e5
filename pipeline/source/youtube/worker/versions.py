"""Reports the packages beside yt-dlp; ``doctor`` runs it by path.

It runs under the worker's Python.
Standard library only: that Python need not have Reelmill. One JSON object on stdout: versions, and since when the files
are on this disk. A wheel says nothing of its own age, so nothing else can be known without a network.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import sys
import sysconfig
from typing import Any

#: The packages that decide whether YouTube can be fetched.
_DISTS = ("yt-dlp", "yt-dlp-ejs", "deno", "curl-cffi", "imageio-ffmpeg")


def facts(programs: list[str]) -> dict[str, Any]:
    """Return packages, versions that yt-dlp requires, plugins, and dated programs."""
    plugins = [dist for dist in importlib.metadata.distributions() if _is_plugin(dist)]
    return {
        "dists": {name: found for name in _DISTS if (found := _dist(name)) is not None},
        "wants": _wants(),
        "plugins": {str(dist.metadata["Name"]): str(dist.version) for dist in plugins},
        "programs": {name: found for name in programs if (found := _program(name)) is not None},
    }


def _dist(name: str) -> dict[str, Any] | None:
    try:
        dist = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    records = [str(file.locate()) for file in dist.files or () if file.name == "METADATA"]
    return {"version": dist.version, "since": _since(records[0]) if records else None}


def _wants() -> dict[str, str]:
    """Return the exact versions that the installed yt-dlp requires, e.g. of its challenge solver."""
    try:
        required = importlib.metadata.requires("yt-dlp") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    pins = (re.match(r"([A-Za-z0-9._-]+)\s*==\s*([^\s;,]+)", each) for each in required)
    return {pin[1].lower(): pin[2] for pin in pins if pin is not None}


def _is_plugin(dist: importlib.metadata.Distribution) -> bool:
    return any(file.parts[:1] == ("yt_dlp_plugins",) for file in dist.files or ())


def _program(name: str) -> dict[str, Any] | None:
    """Return where a program is, searched as yt-dlp does: beside this Python first."""
    beside = os.path.join(sysconfig.get_path("scripts"), name)
    path = name if os.path.isabs(name) else beside if os.access(beside, os.X_OK) else shutil.which(name)
    return {"path": path, "since": _since(path)} if path and os.path.exists(path) else None


def _since(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]  # neighbours are no modules
    sys.stdout.write(json.dumps(facts(sys.argv[1:])))

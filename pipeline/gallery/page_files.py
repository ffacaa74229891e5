"""The page itself, as it lies in the package: shell, script, style."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipeline.gallery.lean import lean_script, lean_style
from pipeline.ports.sink import OutFile

SHELL = "index.html"
#: They share one scope, in this order.
SCRIPTS = ("dom", "store", "search", "cards", "list", "blocks", "video", "figures", "report", "app")
_STRICT = '"use strict";\n'
_HERE = Path(__file__).with_name("page")


def shell_file() -> OutFile:
    """Return ``index.html``, which lies in the output folder itself."""
    return OutFile(SHELL, _read(SHELL))


def part_files() -> list[OutFile]:
    """Return what lies in ``gallery/``: one style, one script."""
    return [OutFile("app.css", lean_style(_read("app.css"))), OutFile("app.js", page_script())]


@cache
def page_script() -> str:
    """Return the scripts as one, without comments and needless spaces."""
    return lean_script(_STRICT + "".join(_read(f"{name}.js").removeprefix(_STRICT) for name in SCRIPTS))


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")

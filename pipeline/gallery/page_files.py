"""The page itself, as it lies in the package: shell, script, style."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipeline.ports.sink import OutFile

SHELL = "index.html"
#: They share one scope, in this order.
SCRIPTS = ("dom", "store", "search", "cards", "list", "blocks", "video", "figures", "report", "app")
_HERE = Path(__file__).with_name("page")
_COMMENTS = ("//", "/*", "*/", "* ")


def shell_file() -> OutFile:
    """Return ``index.html``, which lies in the output folder itself."""
    return OutFile(SHELL, _read(SHELL))


def part_files() -> list[OutFile]:
    """Return what lies in ``gallery/``: one script, one style."""
    script = "".join(_read(f"{name}.js") for name in SCRIPTS)
    return [OutFile("app.css", _lean(_read("app.css"))), OutFile("app.js", _lean(script))]


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def _lean(code: str) -> str:
    """Leave out indentation, empty lines and comments.

    Sources may have no text over several lines, and no comment after code that begins a line.
    """
    lines = (line.strip() for line in code.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(_COMMENTS) and line != "*")

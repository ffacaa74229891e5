"""The page itself, as it lies in the package: shell, script, style."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pipeline.ports.sink import OutFile

SHELL = "index.html"
#: They share one scope, in this order.
SCRIPTS = ("dom", "store", "search", "cards", "list", "blocks", "video", "figures", "report", "app")
_STRICT = '"use strict";\n'
_HERE = Path(__file__).with_name("page")
#: What a script is made of, as far as spaces matter: strings, templates, comments, regular expressions, punctuation,
#: ends of lines. The sources hold no template within a template, and no text over several lines.
_PIECE = re.compile(
    r"""(?P<kept>"(?:[^"\\\n]|\\.)*"|`(?:[^`\\\n]|\\.)*`|(?:(?<=[(=!&|?:,])|(?<=[(=!&|?:,]\ ))/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)
      |(?P<left>/\*.*?\*/|\ *//[^\n]*)
      |\ ?(?P<mark>=>|[-+=!<>*&|?]+|[{}()\[\],;:])\ ?
      |(?P<end>\s*\n\s*)""",
    re.VERBOSE | re.DOTALL,
)


def shell_file() -> OutFile:
    """Return ``index.html``, which lies in the output folder itself."""
    return OutFile(SHELL, _read(SHELL))


def part_files() -> list[OutFile]:
    """Return what lies in ``gallery/``: one style, one script."""
    return [OutFile("app.css", lean_style(_read("app.css"))), OutFile("app.js", page_script())]


@cache
def page_script() -> str:
    """Return the scripts as one, without comments and needless spaces: the page stays small, its sources readable."""
    return lean_script(_STRICT + "".join(_read(f"{name}.js").removeprefix(_STRICT) for name in SCRIPTS))


def lean_script(code: str) -> str:
    """Leave out comments, needless spaces and parentheses, and say ``let`` for ``const``."""
    code = _PIECE.sub(lambda piece: piece["kept"] or piece["mark"] or ("\n" if piece["end"] else ""), code)
    code = re.sub(r"(?<![\w$])\((\w+)\)=>", r"\1=>", code)
    code = re.sub(r"\bconst\b", "let", code)
    return re.sub(r";?\n+(?=\})|\n+(?=[)\]])|(?<=[;{,(\[\n])\n+|;(?=\})", "", code)


def lean_style(code: str) -> str:
    """Leave out comments, indentation and the spaces around punctuation."""
    code = re.sub(r"/\*.*?\*/|\n\s*", "", code, flags=re.DOTALL)
    return re.sub(r"\s*([{};,])\s*|(?<=:) ", r"\1", code).replace(";}", "}")


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")

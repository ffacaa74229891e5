"""Leaves out of the page's sources what only their readers need.

The page must stay small, its sources readable, and nothing may have to be built: so this is done when the page is
written. It knows the part of both languages that the sources use: no template within a template, and no text or regular
expression over several lines. In the tests, a browser's own parser finds the same syntax tree in both.
"""

from __future__ import annotations

import re

#: What a script is made of, as far as spaces matter.
_PIECE = re.compile(
    r"""(?P<kept>"(?:[^"\\\n]|\\.)*"|`(?:[^`\\\n]|\\.)*`)  # strings and templates
      |(?P<left>/\*.*?\*/|\ *//[^\n]*)  # comments
      |(?P<expression>(?:(?<=[(\[{=!&|?:;,>])|(?<=[(\[{=!&|?:;,>]\ )|(?<=return\ ))/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)
      |\ ?(?P<mark>=>|[-+=!<>*&|?%]+|[{}()\[\],;:])\ ?
      |(?P<divide>(?:(?<=[)\]]\ )|\ )/\ (?=[\w(]))
      |(?P<end>\s*\n\s*)""",
    re.VERBOSE | re.DOTALL,
)


def lean_script(code: str) -> str:
    """Leave out comments, needless spaces and parentheses, and say ``let`` for ``const``.

    A line that ends in a brace ends a block: whatever else ends in one has a semicolon after it.
    """
    code = _PIECE.sub(_lean_piece, code)
    code = re.sub(r"(?<![\w$])\((\w+)\)=>", r"\1=>", code)
    code = re.sub(r"\bconst\b", "let", code)
    return re.sub(r";?\n+(?=\})|\n+(?=[)\]])|(?<=[;{},(\[\n])\n+|;(?=\})|,\n*(?=[)\]}])|^\n+", "", code)


def _lean_piece(piece: re.Match[str]) -> str:
    if kept := piece["kept"] or piece["expression"]:
        return re.sub(r"(?<=\$\{)[^}]*", _lean_value, kept) if kept.startswith("`") else kept
    return piece["mark"] or ("/" if piece["divide"] else "\n" if piece["end"] else "")


def _lean_value(code: re.Match[str]) -> str:
    """Leave out the spaces of a value within a template."""
    return _PIECE.sub(_lean_piece, code[0])


def lean_style(code: str) -> str:
    """Leave out comments, indentation and the spaces around punctuation."""
    code = re.sub(r"/\*.*?\*/|\n\s*", "", code, flags=re.DOTALL)
    return re.sub(r"\s*([{};,>!])\s*|(?<=:) ", r"\1", code).replace(";}", "}")

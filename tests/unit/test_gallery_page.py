"""The page as it is shipped: small, whole, and without anything that its policy would refuse."""

from __future__ import annotations

import re

import pytest

from pipeline.gallery.lean import lean_script, lean_style
from pipeline.gallery.page_files import SCRIPTS, part_files, shell_file
from tests.architecture.tree import ROOT

PAGE = ROOT / "pipeline" / "gallery" / "page"
SOURCES = {name: (PAGE / f"{name}.js").read_text("utf-8") for name in SCRIPTS}
TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`\n]*`')


def test_every_script_is_shipped() -> None:
    """A script that lies in the folder is part of the page; each begins strictly."""
    assert {path.stem for path in PAGE.glob("*.js")} == set(SCRIPTS)
    assert all(source.startswith('"use strict";\n') for source in SOURCES.values())


def test_shell_and_code_are_small() -> None:
    """60 KB hold the page: shell, style and script together."""
    assert sum(len(file.data) for file in (shell_file(), *part_files())) <= 60_000


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_is_changed(name: str) -> None:
    """What is left out is never part of a text: each one of a script is in the page as it was written."""
    code = re.sub(r"/\*(?s:.*?)\*/|(?m:^\s*//.*$)", "", SOURCES[name])
    lean = lean_script(SOURCES[name])
    texts = [text for text in TEXT.findall(code) if "${" not in text]
    assert [text for text in texts if text not in lean] == []
    assert lean.count("`") == code.count("`")


@pytest.mark.parametrize("name", SCRIPTS)
def test_sources_keep_to_what_is_understood(name: str) -> None:
    """No template within a template, and none over several lines."""
    odd = [line for line in SOURCES[name].splitlines() if line.lstrip()[:2] not in ("//", "/*", "* ")]
    assert [line for line in odd if line.count("`") % 2 or re.search(r"`[^`]*\$\{[^}`]*`", line)] == []


def test_nothing_becomes_markup_or_code() -> None:
    """No text of the data can become HTML or a script: the means for it are not used."""
    means = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser|setTimeout\(\s*[\"'`]"
    assert re.findall(means, "".join(SOURCES.values())) == []
    assert "<script>" not in shell_file().data.decode()
    assert not re.search(r"\son\w+=|\sstyle=", shell_file().data.decode())


def test_comments_and_spaces_are_left_out() -> None:
    """What remains means the same."""
    code = '// Note.\nconst a = (x) => {\n  /* why */\n  return x.replace(/[/"] \\/ {2}/g, "a  //  b") + `c  ${x}`; // end\n};'
    assert lean_script(code) == 'let a=x=>{return x.replace(/[/"] \\/ {2}/g,"a  //  b")+`c  ${x}`};'
    patterns = "const f = (x) => /[/*]  a/.test(x);\nif (f(b / c)) {\n  return /\\/\\/  ;/;\n}"
    assert lean_script(patterns) == "let f=x=>/[/*]  a/.test(x);if(f(b/c)){return /\\/\\/  ;/}"
    assert lean_script("async (x) => x;\nif (a) {\n  b();\n}\nc(\n  d,\n);\n") == "async(x)=>x;if(a){b()}c(d);"
    code = 'f(a) / b % (c / 2) + `a / ${b / c ? "d , )" : e} % f`;'
    assert lean_script(code) == 'f(a)/b%(c/2)+`a / ${b/c?"d , )":e} % f`;'
    assert lean_style("/* A */\na > b,\nc {\n  color: red;\n  margin: 0 calc(1px + 2px);\n}\n") == (
        "a>b,c{color:red;margin:0 calc(1px + 2px)}"
    )

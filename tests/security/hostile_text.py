"""What titles, names and messages can hold: for everything that writes to a disk, a terminal, a log or a spreadsheet."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

#: Each would do something if it got through: move the cursor, set the title or the clipboard, colour, turn the line around.
TERMINAL = (
    "\x1b[31mred",
    "\x1b[2J\x1b[H",
    "\x1b]0;owned\x07",
    "\x1b]52;c;b3duZWQ=\x07",
    "\x1b]8;;http://x\x1b\\link",
    "\x9b31m",
    "\x9d0;owned\x9c",
    "\x90q\x9c",
    "\x1bc",
    "\x08\x08\x08",
    "\rover",
    "\x7f",
    "\x00",
    "\u202egnp.exe",
    "\u2066\u2069",
    "\u200f",
    "\u061c",
    "\u2028two",
    "\x85two",
    "\ufeff",
    "\U000e0041",
    "\ud800",
    "\x1b[200~paste",
    "\x05",
    "\x1bP1$q\x1b\\",
)

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\x00=1",
    "\x1b[0m=1",
    "\u200e=1",
    "\ufeff=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
    '=HYPERLINK("http://x")',
    "\xa0=1",
    "\u3000@x",
    "\v=1",
    "\u202e-1",
    "\x9b0m+1",
    "%0A=1",
    '";=1',
)

MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- x",
    "<?x",
    "<![CDATA[x",
    "</p><iframe src=//x>",
    "[x](javascript:alert(1))",
    "![x](http://x/y.png)",
    "[x]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<http://x>",
    "[x](data:text/html,x)",
    "[x](java&#115;cript:x)",
    "&lt;script&gt;",
    "\\<b>",
    "`</code><b>`",
    "~~~\n<b>",
    "    <b>",
    "| a | b |",
    "# head",
    "===",
    "---",
    "* * *",
    "1. one",
    "> quote",
    "```\n<b>\n```",
    "[x][y]\n\n[y]: javascript:x",
    "a\n\n<div>\n\nb",
    "\t<b>",
    "[x](<javascript:x>)",
    "[x]\n(javascript:x)",
    "[x](\\javascript:x)",
    "&#60;b&#62;",
    "<b\n>",
    "<a/href=x>",
    "<B>",
    "<details open>",
)

PATHS = (
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "a/../../x",
    "..\\x",
    "C:\\x",
    "~root",
    "x\0y",
    "-rf",
    "CON",
    "x" * 5000,
    "",
    " ",
    "a/b/c",
    ".hidden",
    "raw/../../x",
    "video.json",
    "RAW/x",
    "x\n",
    "\u2025/x",
    "\uff0e\uff0e/x",
    "%2e%2e/x",
    "x.",
    "results.jsonl",
    "//x",
    "\\\\host\\x",
    "$HOME",
    "a--../b",
    "$(id)",
    "`id`",
    "x;id",
    "\u202e/x",
    "..;/x",
    "....//x",
)

WORDS = st.one_of(
    st.sampled_from([*TERMINAL, *FORMULAS, *MARKUP, *PATHS]),
    st.text(max_size=12),
    st.text(alphabet="<>[]()!:\\`*_#&;= \n-", max_size=12),
)
#: Several of these and of anything else, in any order.
TEXTS = st.lists(WORDS, max_size=5).map("".join)

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def obeyed(text: str, also: str = "\n") -> list[str]:
    """Return the characters that a terminal could obey, or that make a line read as what it is not; ``also`` is allowed."""
    bad = ("Cc", "Cs", "Zl", "Zp")
    return [char for char in text if (unicodedata.category(char) in bad or char in _BIDI) and char not in also]

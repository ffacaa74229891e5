"""Text for files and terminals: whatever it holds, nothing breaks out. Pure."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterable, Sequence
from json import JSONEncoder
from json.encoder import encode_basestring as quoted

from pipeline.core.model import Json

#: Terminal escape sequences as a whole, so that no tail of one stays behind: OSC, DCS and kin; CSI; two-byte forms.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
#: What a terminal obeys, or an encoder refuses: C0 without tab and newline, DEL, C1, what turns or hides the writing,
#: line and paragraph separators, the byte order mark, halves of a character. The only such list in the project.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
#: Spreadsheets read a cell that starts like this as a formula; full-width forms count too.
_FORMULA = re.compile("[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_MARKS = re.compile(r"([\\`*_\[\]<>|~&#!$])")
_LINE_START = re.compile(r"(?m)^([-+=]|\d+(?=[.)]))")
#: Where a link's target begins, inline or as a reference, unless it is an ordinary address.
_LINK = re.compile(r"(\])(\(|:)(?!\s*<?(?:https?://|mailto:))", re.IGNORECASE)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def sanitize(text: str, replacement: str = "") -> str:
    """Return text without what a terminal obeys; tabs and newlines stay."""
    return _UNSAFE.sub(replacement, _ESCAPES.sub(replacement, text))


def escape_unsafe(json: str) -> str:
    """Return JSON with unsafe characters escaped: the same data."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", json)


def block(text: str) -> str:
    """Return sanitized text that may have several lines, without trailing blanks."""
    if text.isprintable():  # one line, and nothing in it that is replaced
        return text.strip()
    text = sanitize(_BREAKS.sub("\n", text))
    lines = [line.rstrip() for line in text.replace("\t", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def plain(text: str, limit: int = 0) -> str:
    """Return one safe line of at most ``limit`` characters (0 = whole)."""
    return cut(" ".join(block(text).split()), limit)


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters (0 = whole), an ellipsis at the cut."""
    return text if not limit or len(text) <= limit else text[: limit - 1].rstrip() + "…"


def markdown(text: str) -> str:
    """Return text that Markdown shows as written, without any markup."""
    text = _MARKS.sub(r"\\\1", "\n".join(line.lstrip() for line in block(text).split("\n")))
    # A digit is no punctuation: an ordered list is disarmed at its dot, a bullet at the bullet.
    return _LINE_START.sub(lambda m: m[1] + "\\" if m[1].isdigit() else "\\" + m[1], text)


def disarmed(text: str) -> str:
    """Return Markdown without HTML and pictures, whose links lead only to the web."""
    text = _TAG.sub("&lt;", block(text)).replace("![", "!\\[")
    return _LINK.sub(r"\1\\\2", text)


def cue(text: str) -> str:
    """Return text for one WebVTT cue: one line, no tags, no arrow."""
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def ffmeta(text: str) -> str:
    """Escape a value for an FFMETADATA1 file: ``=``, ``;``, ``#``, backslash and newline."""
    # FFmpeg takes the line end after an escaped backslash for escaped too: a blank keeps them apart.
    return re.sub(r"([=;#\\\n])", r"\\\1", text) + (" " if text.endswith("\\") else "")


def json_text(value: Json) -> str:
    """Return indented JSON, order as given, a newline at the end.

    Raises:
        ValueError: NaN or an infinity is in it.
    """
    text = _indented(value, "\n")
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: only its escaped form can be written
        text = text.encode("utf-8", "backslashreplace").decode()
    return text + "\n"


def _indented(value: Json, margin: str) -> str:
    """Return what ``json.dumps(indent=2)`` does, in half the time.

    That one is pure Python, token by token.
    """
    if isinstance(value, str):
        return quoted(value)
    inner = margin + "  "
    if isinstance(value, dict) and value:
        entries = [f"{inner}{_name(name)}: {_indented(each, inner)}" for name, each in value.items()]
        return "{" + ",".join(entries) + margin + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + ",".join([inner + _indented(each, inner) for each in value]) + margin + "]"
    return _compact(value)


def _name(name: Json) -> str:
    # A number or None is written as the text that JSON has for it, as `json.dumps` does.
    return quoted(name) if isinstance(name, str) else _compact({name: 0})[1 : -len(": 0}")]


_compact = JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> str:
    """Return a CSV table (RFC 4180) without formulas for a spreadsheet."""
    return csv_lines([header, *rows])


def csv_lines(rows: Iterable[Sequence[str | int | float]], line_end: str = "\r\n") -> str:
    """Return rows of CSV without formulas for a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=line_end)
    writer.writerows([_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()


def _cell(text: str) -> str:
    text = block(text)
    return "'" + text if _FORMULA.match(text.lstrip()) else text


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans of time in order, those that overlap or touch as one.

    >>> merged([(5, 9), (0, 2), (8, 12), (2, 3)])
    [(0, 3), (5, 12)]
    """
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def stamp(at: float, *, form: str = "vtt") -> str:
    """Write seconds as a time: ``vtt`` 00:01:23.500, ``clock`` 1:23 (hours only when needed).

    >>> stamp(83.5), stamp(83.5, form="clock")
    ('00:01:23.500', '1:23')
    """
    if form == "clock":
        whole = int(at)
        h, m, s = whole // 3600, whole // 60 % 60, whole % 60
        return f"{h}:{m:02}:{s:02}" if h else f"{m}:{s:02}"
    ms = round(at * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


_PARTS = 64  #: of a set: only one of them is there twice while it grows
_PLACES = 16  #: of the smallest part


class TextSet:
    """Texts, known by their hashes of 64 bits.

    Each takes some fifteen bytes; in a Python set of numbers it takes 95. Of ten million texts, two have the same hash once
    in 370,000 sets.
    """

    def __init__(self) -> None:
        self._parts = [array("q", bytes(8 * _PLACES)) for _ in range(_PARTS)]  # 0: free
        self._numbers = [0] * _PARTS

    def __len__(self) -> int:
        return sum(self._numbers)

    def __contains__(self, text: str) -> bool:
        mark = hash(text) or 1
        places = self._parts[mark % _PARTS]
        return places[_place(places, mark)] == mark

    def add(self, text: str) -> None:
        """Add a text."""
        mark = hash(text) or 1
        part = mark % _PARTS
        places = self._parts[part]
        place = _place(places, mark)
        if places[place] == 0:
            places[place] = mark
            self._numbers[part] += 1
            if 10 * self._numbers[part] > 7 * len(places):
                self._parts[part] = _larger(places)


def _place(places: array[int], mark: int) -> int:
    """Return where a hash is, or the free place where it would be."""
    number = len(places)
    place = mark // _PARTS % number
    while places[place] not in (0, mark):
        place = (place + 1) % number
    return place


def _larger(before: array[int]) -> array[int]:
    """Return the same in half as many places more."""
    places = array("q", bytes(8 * (len(before) + len(before) // 2)))
    for mark in before:
        if mark:
            places[_place(places, mark)] = mark
    return places

"""Bytes into numbered, bounded lines; a bad one stops no other."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.core.model import Trouble

#: The longest line that is read, in bytes; nobody writes a longer one on purpose.
MAX_LINE_BYTES = 64 * 1024
#: How much of a file is looked at to tell text from anything else.
HEAD = 8192
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text without its line end. ``number`` counts from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """One line that cannot be read; ``last``: nor can the rest of the file."""

    number: int
    trouble: Trouble
    text: str = ""
    last: bool = False


def read_text_lines(stream: BinaryIO) -> Iterator[TextLine | UnreadableLine]:
    """Yield the lines of a UTF-8 stream in constant memory.

    Raises:
        OSError: the stream cannot be read (any more).
    """
    number = 0
    peek = getattr(stream, "peek", None)  # buffered streams show more than a line, without reading it
    head = peek(HEAD) if peek is not None else b""
    if peek is not None and head.startswith(_UTF16):
        stream = io.BufferedReader(_FromUtf16(stream))
        head = stream.peek(HEAD)
    if _is_nul_separated(head):
        stream = io.BufferedReader(_OtherLineEnds(stream, b"\0"))
        head = head.replace(b"\0", b"\n")
    elif b"\r" in head and b"\n" not in head:
        stream = io.BufferedReader(_OtherLineEnds(stream, b"\r"))
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            if trouble := find_text_problem(head or raw):
                yield UnreadableLine(number, trouble, last=True)
                return
            raw = raw.removeprefix(_BOM)
        if b"\0" in raw:
            yield UnreadableLine(number, _binary(), last=True)
            return
        if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip(stream)
            yield UnreadableLine(number, _too_long(), raw[:200].decode("utf-8", "replace"))
            continue
        try:
            yield TextLine(number, raw.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError:
            yield UnreadableLine(number, _not_utf8(), raw[:200].decode("utf-8", "replace"))


def _is_nul_separated(head: bytes) -> bool:
    """Return True for a list of paths as ``find -print0`` writes it."""
    try:
        *names, _cut = codecs.getincrementaldecoder("utf-8")().decode(head).split("\0")
    except UnicodeDecodeError:
        return False
    # Single letters are UTF-16 without its mark; a name with a line end cannot be a line.
    return any(len(name) > 1 for name in names) and all(name and min(name) >= " " for name in names)


class _OtherLineEnds(io.RawIOBase):
    """A stream with LF for the lone CR of some spreadsheets, or for NUL."""

    def __init__(self, stream: BinaryIO, end: bytes) -> None:
        self._stream, self._end = stream, end

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read a block; a byte stays a byte."""
        found = self._stream.read(len(buffer)).replace(self._end, b"\n")
        buffer[: len(found)] = found
        return len(found)


class _FromUtf16(io.RawIOBase):
    """A stream of marked UTF-16, as spreadsheets save it, in UTF-8."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._left = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read a block; a broken character becomes a mark of its own."""
        while not self._left and (raw := self._stream.read(HEAD)):
            self._left = self._decoder.decode(raw).encode("utf-8", "replace")
        taken, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def find_text_problem(head: bytes) -> Trouble | None:
    """Return why these first bytes are no UTF-8 text, or None. Empty is text."""
    if head.startswith(_UTF16):
        return Trouble("manifest_utf16", "The manifest is written in UTF-16.", "save it as UTF-8")
    head = head[:HEAD]
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in head)
    return _binary() if b"\0" in head or controls * 10 > len(head) else None


def _skip(stream: BinaryIO) -> None:
    """Read to the end of the line and keep nothing."""
    while (raw := stream.readline(MAX_LINE_BYTES)) and not raw.endswith(b"\n"):
        pass


def _binary() -> Trouble:
    remedy = "give a text, CSV or JSONL file; a video is named by its own path"
    return Trouble("manifest_binary", "The manifest is a binary file, not text.", remedy)


def _too_long() -> Trouble:
    return Trouble("line_too_long", f"The line is longer than {MAX_LINE_BYTES} bytes.", "check the file's line ends")


def _not_utf8() -> Trouble:
    return Trouble("line_not_utf8", "The line is not UTF-8 text.", "save the manifest as UTF-8")

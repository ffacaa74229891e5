"""What an unreadable file is: something else, or an incomplete copy. Blocks."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from pipeline.core.errors import InputError, NotYet
from pipeline.source.manifest.lines import HEAD, find_text_problem

#: Seconds without a change after which a file counts as complete: whoever copies writes more often.
SETTLED = 10.0
_BOXES = 10_000
_LEAVE = "leave it out; only videos are taken"
_ANIMATED = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ANIM", b"acTL")
_MAGIC: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b"\xff\xd8\xff", b"II*\0", b"MM\0*"), "a picture", _LEAVE),
    ((b"%PDF",), "a PDF document", _LEAVE),
    ((b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b"), "an archive", "unpack it and name what is in it"),
    ((b"SQLite format 3\0", b"\x7fELF", b"\xd0\xcf\x11\xe0"), "a file of a program", _LEAVE),
    ((b"#EXTM3U", b"<?xml", b"<MPD", b"<SMIL", b"<smil"), "a playlist or another list", "name the video itself"),
    ((b"version https://git-lfs",), "a pointer of Git LFS", "fetch the video: git lfs pull"),
)
_SOUND = (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"MThd", b"caff")


def explain(path: Path, stat: os.stat_result, error: InputError, now: float | None = None) -> InputError | NotYet:
    """Return why a file could not be read, by its bytes and age.

    Else it is the reader's own error.

    Args:
        now: epoch seconds; given, a file that changed a moment ago is to be looked at again.
    """
    if error.trouble.code not in ("unreadable_video", "no_video_stream", "bare_stream", "file_empty"):
        return error
    try:
        with path.open("rb") as file:
            found = recognize(file.read(HEAD), path.name) if stat.st_size else None
            promised = promised_size(file, stat.st_size)
    except OSError:
        return error
    if found is not None:
        return found
    if error.trouble.code in ("unreadable_video", "file_empty") and is_fresh(stat, now):
        return not_ready(path, stat, now or 0.0, error.trouble.message)
    if error.trouble.code == "unreadable_video" and promised > stat.st_size:
        message = f"{path.name}: the file ends early: it has {stat.st_size:,} of {promised:,} bytes."
        return InputError(message, code="unreadable_video", remedy="copy it again", detail=error.trouble.detail)
    return error


def is_fresh(stat: os.stat_result, now: float | None) -> bool:
    """True for a file that changed a moment ago, by a sane time."""
    return now is not None and 0.0 <= now - stat.st_mtime < SETTLED


def not_ready(path: Path, stat: os.stat_result, now: float, detail: str = "") -> NotYet:
    """Return the error for a file to look at again, perhaps complete."""
    age = now - stat.st_mtime
    return NotYet(
        f"{path.name}: the file changed {age:.0f} s ago and is not complete; it seems to be still being copied.",
        after=max(1.0, SETTLED - age + 0.5),
        code="file_not_ready",
        remedy="nothing; it is looked at again by itself",
        detail=detail,
    )


def recognize(head: bytes, name: str) -> InputError | None:
    """Return the error for a file that is surely no video, or None."""
    stem = name.rpartition(".")[0] or name
    if head.startswith(_SOUND) or (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        cover = " and a cover picture" if b"APIC" in head or b"image/" in head else ""
        return InputError(f"{name}: the file has only sound{cover}.", code="no_video_stream", remedy=_LEAVE)
    if head.startswith((b"GIF8", b"\x89PNG")) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        kind = {b"G": "GIF", b"\x89": "PNG", b"R": "WebP"}[head[:1]]
        if any(mark in head for mark in _ANIMATED):
            return _other(
                name,
                f"an animated {kind}",
                f"make a video of it: ffmpeg -i '{name}' -pix_fmt yuv420p '{stem}-film.mp4'",
            )
        return _other(name, f"a {kind} picture", _LEAVE)
    for starts, what, remedy in _MAGIC:
        if head.startswith(starts):
            return _other(name, what, remedy)
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"avif"):
        return _other(name, "a picture", _LEAVE)
    if find_text_problem(head) is None:
        page = head.lstrip().lower().startswith((b"<!doctype html", b"<html"))
        what = "a web page saved under a video's name" if page else "a text file"
        return _other(name, what, "download the video itself" if page else _LEAVE)
    return None


def _other(name: str, what: str, remedy: str) -> InputError:
    return InputError(f"{name}: this is {what}, not a video.", code="unreadable_video", remedy=remedy)


def promised_size(file: BinaryIO, size: int) -> int:
    """Return the bytes that a container says it has, or 0."""
    file.seek(0)
    head = file.read(64)
    try:
        if head[:4] == b"RIFF":
            claimed = int.from_bytes(head[4:8], "little")
            return 8 + claimed if 0 < claimed < 0xFFFFFFFF else 0
        if head[:4] == b"\x1aE\xdf\xa3":
            return _matroska_size(head)
        return _boxes_size(file, size) if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") else 0
    except (IndexError, struct.error):
        return 0


def _boxes_size(file: BinaryIO, size: int) -> int:
    """Add up the boxes of an MP4 at its top level."""
    at = 0
    for _ in range(_BOXES):
        if at + 8 > size:
            return at if at >= size else at + 8
        file.seek(at)
        length, _, larger = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        length = larger if length == 1 else length
        if length < 8:
            return 0  # to the end of the file, or no box
        at += length
    return 0


def _matroska_size(head: bytes) -> int:
    """Return where the segment ends; 0 while it is being written."""
    width, header = _vint(head, 4)
    at = 4 + width + header
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    wide, length = _vint(head, at + 4)
    unknown = (1 << (7 * wide)) - 1
    return 0 if length == unknown else at + 4 + wide + length


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """Return the width and the value of a number of EBML."""
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big")
    return width, value & ((1 << (7 * width)) - 1)

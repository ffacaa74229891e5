"""Names on disk, of letters and digits only, whatever a title holds. Pure."""

from __future__ import annotations

import re
import unicodedata
from base64 import b32encode
from collections.abc import Iterator, Sequence
from hashlib import sha256

_LONGEST = 60  #: characters of a title in a name
_MOST_BYTES = 110  #: of them in UTF-8: with the key's characters at most 128, which every file system takes
_MOST_MARKS = 4  #: on one letter: more is no script
_NAMELESS = "video"
_LONGEST_TAIL = 18
_VIDEO = re.compile(r".+--[a-z2-7]{8}(?:[a-z2-7]{8})?", re.DOTALL)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
_WORD = re.compile(r"[a-z0-9]+")
_ENDING = re.compile(r"[a-z0-9]{1,5}")
#: Letters and signs that show nothing, or stand for what is missing.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\ufffc\ufffd")
_TONES = range(0x1F3FB, 0x1F400)  #: of skin: they change the emoji before them
_FLAGS = range(0x1F1E6, 0x1F200)  #: letters of which two are a flag


def slug(title: str) -> str:
    """Return a title as words of its own letters with ``-`` between, never empty.

    At most 60 characters and 110 bytes; of a title without letters or digits, its emoji.

    >>> slug("Ünïted: ../Nations / 2"), slug("日本語"), slug("🐝!"), slug("...")
    ('ünïted-nations-2', '日本語', '🐝', 'video')
    """
    text = "-".join(_words(title[:1000]))
    return _cut(text) or _NAMELESS


def _words(title: str) -> list[str]:
    """Return the words of a title, lower case and NFC.

    Forms that only look different (full-width, bold, circled) become the plain letters.
    """
    lowered = title.lower().replace("'", "").replace("\u2019", "")
    if lowered.isascii():
        return _WORD.findall(lowered)
    plain = unicodedata.normalize("NFC", "".join(map(_plain, unicodedata.normalize("NFC", lowered)))).lower()
    text = unicodedata.normalize("NFC", "".join(_readable(plain)))
    return text.split() or "".join(filter(_is_emoji, plain)).split()


def _plain(character: str) -> str:
    if "\u0e00" <= character <= "\u0eff":  # of Thai and Lao, a vowel would be taken apart
        return character
    return unicodedata.normalize("NFKC", character)


def _readable(text: str) -> Iterator[str]:
    """Yield letters and digits with their marks, and a blank for anything else."""
    marks = _MOST_MARKS  # none at the beginning of a word
    for character in text:
        category = unicodedata.category(character)
        if category[0] in "LN" and character not in _BLANK:
            marks = 0
            yield character
        elif category in ("Mn", "Mc") and not _is_selector(character):
            marks += 1
            if marks <= _MOST_MARKS:
                yield character
        elif category != "Cf" and category[0] != "M":  # joiners and directions vanish, all else is between words
            marks = _MOST_MARKS
            yield " "


def _is_selector(mark: str) -> bool:
    """True for a mark that shows nothing by itself."""
    selectors = "\u180b" <= mark <= "\u180f" or "\ufe00" <= mark <= "\ufe0f" or mark >= "\U000e0000"
    return selectors or mark in "\u034f\u17b4\u17b5"


def _is_emoji(character: str) -> bool:
    """True for a picture, or the colour of one."""
    shown = character >= "\u2600" and character not in _BLANK and unicodedata.category(character) == "So"
    return shown or ord(character) in _TONES


def _cut(text: str) -> str:
    """Return what fits into a name, whole words unless that costs half."""
    kept = ""
    for cluster in _clusters(text):
        if len(kept + cluster) > _LONGEST or len((kept + cluster).encode()) > _MOST_BYTES:
            whole = kept if text[len(kept)] == "-" else kept.rpartition("-")[0]
            return (whole if 2 * len(whole) > len(kept) else kept).rstrip("-")
        kept += cluster
    return kept


def _clusters(text: str) -> Iterator[str]:
    """Yield what people see as one character each."""
    cluster = ""
    for character in text:
        flag = ord(character) in _FLAGS and len(cluster) == 1 and ord(cluster) in _FLAGS
        if cluster and not flag and unicodedata.category(character)[0] != "M" and ord(character) not in _TONES:
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def key8(subject: str) -> str:
    """Return eight characters for a video, 40 bits.

    Among a million videos two have the same with 36 %: they are told apart by :func:`key16`.
    """
    return key16(subject)[:8]


def key16(subject: str) -> str:
    """Return sixteen characters that no other video has, 80 bits."""
    return b32encode(sha256(subject.encode("utf-8", "surrogatepass")).digest()[:10]).decode().lower()


def folder(subject: str, titles: Sequence[str], *, apart: bool = False) -> str:
    """Return the folder name ``<slug>--<key8>``, by the first usable title.

    ``apart``: with sixteen characters, where another video has that folder.
    """
    slugs = map(slug, titles)
    name = next((each for each in slugs if each != _NAMELESS), _NAMELESS)
    return f"{name}--{key16(subject) if apart else key8(subject)}"


def is_folder(name: str) -> bool:
    """True for a name that :func:`folder` can have made."""
    if name.isascii():
        return bool(_PLAIN.fullmatch(name))
    readable = all(not part or _words(part) == [part] for part in name.split("-"))
    return readable and not name.startswith("-") and len(name.encode()) <= _MOST_BYTES + _LONGEST_TAIL


def is_video_folder(name: str) -> bool:
    """True for the name of a video's folder, with the key's characters."""
    return is_folder(name) and bool(_VIDEO.fullmatch(name))


def is_file(name: str) -> bool:
    """True for a result's name: plain, visible, at most one folder deep (``raw/analysis.json``).

    A file may be called after a video's folder (``posters/<folder>.webp``).
    """
    parts = name.split("/")
    return 1 <= len(parts) <= 2 and all(map(_is_part, parts))


def _is_part(part: str) -> bool:
    if _PART.fullmatch(part):
        return not part.endswith(".")
    stem, _, ending = part.rpartition(".")
    return bool(_ENDING.fullmatch(ending)) and is_video_folder(stem)

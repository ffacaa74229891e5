"""The encoding of a text file that does not declare one.

It is told by its mark, its bytes, its language, and what chardet makes of its words.
Pure. What is not certain is said, so that the caller can tell it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: The encodings that files had before UTF-8, with the languages of each, the most frequent of a language first.
_LANGUAGES = {
    encoding: languages.split()
    for encoding, languages in {
        "cp1252": "de fr es it pt nl sv da no nb nn fi is ca ger deu fre fra spa ita por dut nld swe dan nor fin ice isl cat",
        "cp1251": "ru uk be bg mk sr rus ukr bel bul mac mkd", "koi8-r": "ru rus", "cp866": "ru rus",
        "iso8859-5": "ru bg mk sr rus bul mac mkd",
        "cp1250": "pl cs sk hu sl hr bs ro sq pol ces cze slk slo hun slv hrv bos ron rum",
        "iso8859-2": "pl cs sk hu sl hr bs ro pol ces cze slk slo hun slv hrv bos ron rum",
        "cp1253": "el ell gre", "cp1254": "tr az tur aze", "cp1255": "he iw heb", "cp1256": "ar fa ur ara fas per urd",
        "cp1257": "lt lv et lit lav est", "cp1258": "vi vie", "cp874": "th tha", "cp932": "ja jpn", "euc-jp": "ja jpn",
        "gb18030": "zh zho chi chs", "big5hkscs": "zh zho chi cht", "cp949": "ko kor",
    }.items()
}  # fmt: skip
_CLOSE = 0.5  # what fits the language of the name is taken where it is at least so nearly as likely as the likeliest
_FEW_BAD = 0.02  # share of the foreign bytes that may be broken in a file that is UTF-8 otherwise


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, the encoding it was read in, and whether that is certain."""

    text: str
    encoding: str
    certain: bool


def decode_text(raw: bytes, language: str = "") -> DecodedText:
    """Decode a text file's bytes; ``language`` is its name's, such as ``pt-BR``."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return DecodedText(raw.decode(encoding, "replace").lstrip("\ufeff"), encoding, True)
    if (text := _switched(raw)) is not None:
        return DecodedText(text, "iso2022_jp", True)
    if (wide := _wide(raw)) is not None:
        return DecodedText(raw.decode(wide, "replace"), wide, True)
    try:
        return DecodedText(raw.decode("utf-8"), "utf-8", True)
    except UnicodeDecodeError:
        pass
    loose = raw.decode("utf-8", "replace")
    foreign = sum(not char.isascii() for char in loose)
    if loose.count("\ufffd") <= max(1, _FEW_BAD * foreign) and foreign - loose.count("\ufffd") > 1:
        return DecodedText(loose, "utf-8", False)
    return _guess(raw, language)


def _wide(raw: bytes) -> str | None:
    """Return UTF-16 or UTF-32 without a mark, known by its zero bytes."""
    head = raw[:4000]
    if b"\0" not in head:
        return None
    zeros = [head[place::4].count(0) for place in range(4)]
    most = len(head) // 4 * 0.5
    if zeros[1] > most and zeros[2] > most and zeros[3] > most:
        return "utf-32-le"
    if zeros[0] > most and zeros[1] > most and zeros[2] > most:
        return "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    return "utf-16-le" if odd > 2 * even else "utf-16-be" if even > 2 * odd else None


def _switched(raw: bytes) -> str | None:
    """Return Japanese of 7 bits, known by the signs that switch to it."""
    switches = raw.isascii() and any(sign in raw for sign in (b"\x1b$B", b"\x1b$@"))
    return _strict(raw, "iso2022_jp") if switches else None


def _guess(raw: bytes, language: str) -> DecodedText:
    """Let the words tell; the name's language decides what is close."""
    short = re.split("[-_]", language.lower())[0]
    own = [encoding for encoding, languages in _LANGUAGES.items() if short in languages]
    likely, share = _detect(raw, list(_LANGUAGES))
    if own and likely not in own:
        other, its_share = _detect(raw, own)
        if its_share >= _CLOSE * share and _strict(raw, other) is not None:
            likely = other
    text = _strict(raw, likely)
    if text is None:  # even the most forgiving one leaves a few bytes undefined
        return DecodedText(raw.decode("latin-1"), "latin-1", False)
    return DecodedText(text, likely, likely in own)


def _detect(raw: bytes, among: Sequence[str]) -> tuple[str, float]:
    """Return the likeliest of these encodings and its share.

    Where none fits, it is the first.
    """
    import chardet  # its models take a moment to load: only where a file is not UTF-8

    found = chardet.detect(raw, include_encodings=among, no_match_encoding=among[0], compat_names=False)
    return found["encoding"] or among[0], found["confidence"]


def _strict(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None

"""The encoding of a text file that does not declare one.

It is told by its mark, its bytes, its language, and the look of its words.
Pure. What is not certain is said, so that the caller can tell it.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: The encodings that files in a language had before UTF-8, the most frequent first.
_BY_LANGUAGE = {
    encoding: languages.split()
    for encoding, languages in {
        "cp1251": "ru uk be bg mk sr rus ukr bel bul mac mkd", "koi8-r": "ru rus", "cp866": "ru rus",
        "iso8859-5": "ru bg mk sr rus bul mac mkd",
        "cp1250": "pl cs sk hu sl hr bs ro sq pol ces cze slk slo hun slv hrv bos ron rum",
        "iso8859-2": "pl cs sk hu sl hr bs ro pol ces cze slk slo hun slv hrv bos ron rum",
        "cp1253": "el ell gre", "cp1254": "tr az tur aze", "cp1255": "he iw heb", "cp1256": "ar fa ur ara fas per urd",
        "cp1257": "lt lv et lit lav est", "cp1258": "vi vie", "cp874": "th tha", "cp932": "ja jpn", "euc-jp": "ja jpn",
        "gb18030": "zh zho chi chs", "big5hkscs": "zh zho chi cht", "cp949": "ko kor",
    }.items()
}  # fmt: skip
_ENOUGH = 0.9  # share of the foreign characters that must look right
_SAMPLE = 20_000  # characters that are judged
_FEW_BAD = 0.02  # share of the foreign bytes that may be broken in a file that is UTF-8 otherwise
_PUNCTUATION = frozenset("‘’“”„‚«»‹›–—…·•♪♫¿¡°©®™£€§、。・「」『』！？，：；（）～　")
_WORD = re.compile(r"[^\W\d_]+")


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
    return _by_language(raw, language) or _by_looks(raw)


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


def _by_language(raw: bytes, language: str) -> DecodedText | None:
    short = re.split("[-_]", language.lower())[0]
    for encoding, languages in _BY_LANGUAGE.items():
        if short in languages and (text := _strict(raw, encoding)) is not None and _LOOKS[encoding](text) >= _ENOUGH:
            return DecodedText(text, encoding, True)
    return None


def _by_looks(raw: bytes) -> DecodedText:
    """Choose the first encoding in which words look like words, else Western European."""
    for encoding, looks in _LOOKS.items():
        text = _strict(raw, encoding)
        if text is not None and looks(text) >= _ENOUGH:
            return DecodedText(text, encoding, False)
    text = _strict(raw, "cp1252")
    return DecodedText(raw.decode("latin-1") if text is None else text, "cp1252", False)


def _strict(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _script(char: str) -> str:
    return unicodedata.name(char, "?").partition(" ")[0]


def _letters(*scripts: str) -> Callable[[str], float]:
    """Return a judge: the foreign characters' share in words of one script."""

    def share(text: str) -> float:
        sample, astray = _without_marks(text[:_SAMPLE], scripts)
        foreign = [char for char in sample if not char.isascii() and char not in _PUNCTUATION]
        good = 0
        for word in _WORD.findall(sample):
            own = [char for char in word if not char.isascii()]
            cased = word.islower() or word.isupper() or word.istitle() or word.lower() == word.upper()
            mixed = {_script(char) for char in word}
            good += len(own) * (cased and len(mixed) == 1 and mixed <= set(scripts))
        return good / (len(foreign) + astray) if foreign or astray else 1.0

    return share


def _without_marks(text: str, scripts: Collection[str]) -> tuple[str, int]:
    """Return a text without the marks on its letters, and how many stand elsewhere.

    A mark belongs to the letter before it, and ends no word: Thai, vowels of Hebrew and Arabic.
    """
    kept: list[str] = []
    astray = 0
    for char in text:
        if unicodedata.category(char) != "Mn":
            kept.append(char)
        elif not kept or _script(kept[-1]) not in scripts:
            astray += 1
    return "".join(kept), astray


def _east_asian(encoding: str, first: int, last: int) -> Callable[[str], float]:
    """Return a judge: the share of characters with a frequent lead byte."""

    def share(text: str) -> float:
        foreign = [char for char in text[:_SAMPLE] if not char.isascii() and char not in _PUNCTUATION]
        good = sum(first <= char.encode(encoding, "replace")[0] <= last for char in foreign)
        mixed = sum(not word.isascii() and bool(re.search("[A-Za-z]", word)) for word in _WORD.findall(text[:_SAMPLE]))
        return (good - 2 * mixed) / len(foreign) if foreign else 1.0

    return share


def _japanese(text: str) -> float:
    """Judge Japanese by its kana, of which a quarter is plenty."""
    foreign = [char for char in text[:_SAMPLE] if not char.isascii() and char not in _PUNCTUATION]
    scripts = [_script(char) for char in foreign]
    known = sum(script in ("HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA") for script in scripts)
    kana = sum(script in ("HIRAGANA", "KATAKANA") for script in scripts)
    return min(known / len(foreign), 4 * kana / len(foreign)) if foreign else 1.0


#: In the order in which they are tried: those that hardly anything else fits come first.
_LOOKS: dict[str, Callable[[str], float]] = {
    "euc-jp": _japanese,
    "cp932": _japanese,
    "cp949": _east_asian("cp949", 0xB0, 0xC8),
    "gb18030": _east_asian("gb18030", 0xB0, 0xD7),
    "big5hkscs": _east_asian("big5hkscs", 0xA4, 0xC6),
    "cp1255": _letters("HEBREW"),
    "cp1251": _letters("CYRILLIC"),
    "koi8-r": _letters("CYRILLIC"),
    "cp1253": _letters("GREEK"),
    "cp1256": _letters("ARABIC"),
    "cp874": _letters("THAI"),
    "cp866": _letters("CYRILLIC"),
    "iso8859-5": _letters("CYRILLIC"),
    "cp1252": _letters("LATIN"),
    "cp1250": _letters("LATIN"),
    "iso8859-2": _letters("LATIN"),
    "cp1254": _letters("LATIN"),
    "cp1257": _letters("LATIN"),
    "cp1258": _letters("LATIN"),
}

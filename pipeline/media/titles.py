"""Is a text a title, or a clock, a counter, a placeholder, noise? Pure."""

from __future__ import annotations

import re
import unicodedata

_PART = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
#: What stands beside a number that counts or tells the time: alone with numbers, these name nothing.
_COUNTERS = frozenset(re.findall(r"\w+", """
    frame frames fps rec cam camera channel ch tc timecode time date clock hour hours min mins minute minutes sec secs second
    seconds msec page slide take scene roll shot clip track title sequence timeline video movie film recording count counter
    number battery iso gain khz mhz bit kbps mbps utc gmt cet cest est pst am pm of lap score mon tue wed thu fri sat sun
    monday tuesday wednesday thursday friday saturday sunday jan feb mar apr may jun jul aug sep sept oct nov dec january
    february march april june july august september october november december
    bild kamera seite folie szene zeit datum uhr montag dienstag mittwoch donnerstag freitag samstag sonntag
    image plan temps heure cuadro hora fecha
"""))  # fmt: skip
_PLACEHOLDERS = re.compile(
    r"(?:untitled|no title|unknown|unnamed|default|none|null|n/a|title|video|movie|film|clip|new project|my movie|sequence"
    r"|timeline|core media \w+|untitled (?:project|video|movie|sequence|timeline)|\w*(?:handler|encoder))(?: \d+)?",
    re.IGNORECASE,
)
#: Titles of slides that are shorter than a word.
_SHORT = frozenset({
    "ai", "ml", "ux", "ui", "it", "q&a", "q & a", "r&d", "3d", "2d", "5g", "tv", "eu", "uk", "un", "hr", "pr", "vr", "ar",
    "c++", "c#", "go",
})  # fmt: skip
_VOWEL = re.compile("[aeiouyæøœıə]")
_WORDS = 0.6  #: share of a title's characters that stand in words


def is_title(text: str) -> bool:
    """True if a text can name a video: real words, no mere counter.

    >>> [is_title(text) for text in ("Honey bees", "00-00-05", "144", "Frame 144", "Ko) |e—", "untitled", "蜜蜂")]
    [True, False, False, False, False, False, True]
    """
    apart = unicodedata.normalize("NFKD", text)
    plain = " ".join("".join(char for char in apart if not unicodedata.category(char).startswith("M")).split())
    if not plain or _PLACEHOLDERS.fullmatch(plain):
        return False
    if plain.casefold().strip(" .:!?") in _SHORT:
        return True
    parts = _PART.findall(plain)
    words = [part for part in parts if _is_word(part)]
    counted = any(char.isdigit() for char in plain)
    if not words or (counted and all(word.casefold() in _COUNTERS for word in words)):
        return False
    marks = sum(not char.isspace() and not char.isdigit() for char in plain)
    return sum(map(len, words)) >= _WORDS * marks


def _is_word(part: str) -> bool:
    """True for what looks like a word; abbreviations need three letters."""
    letters = "".join(char for char in part if char.isalpha())
    if len(letters) < len(part.replace("-", "").replace("'", "").replace("’", "")):
        return False  # "25fps", "1080p", "l0ve": a counter, or badly read
    scripts = {unicodedata.name(char, "").partition(" ")[0] for char in letters}
    if scripts != {"LATIN"}:
        return len(letters) > 1 or bool(scripts & {"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})
    if len(letters) < 3 or len(set(letters.lower())) < 2:
        return False
    spoken = bool(_VOWEL.search(letters.lower()))
    if letters.isupper():
        return spoken or len(letters) <= 5
    return spoken and sum(char.isupper() for char in part[1:]) <= 1 + part.count("-")

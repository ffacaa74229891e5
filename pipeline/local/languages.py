"""The language of a text: its stop words and stems.

English words are chosen here; other languages bring the lists of stopwords-iso and the stemmers of Snowball, which are
loaded when a text is first written in one of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

from pipeline.local.openers import CHATTING, JOINING, LINKING, POINTING, SUBORDINATE
from pipeline.local.stopwords import STOP_WORDS

_NONE: frozenset[str] = frozenset()
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_WORD_ELIDED = re.compile(r"[^\W_]+(?:\-[^\W_]+)*")  # l'eau are two words
_ELIDING = frozenset({"fr", "it", "ca"})
_SURE = 0.3  # share of stop words from which on a text is English, without a look at other languages
_LEAST = 0.2  # share below which nothing is known
_SAMPLE = 2_000  # words that are looked at
#: ISO 639-1 code -> Snowball's stemmer; None: stop words only
_STEMMERS: dict[str, str | None] = {
    "ar": "arabic", "bg": None, "ca": "catalan", "cs": None, "da": "danish", "de": "german", "el": "greek",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": None, "fi": "finnish", "fr": "french", "ga": "irish",
    "he": None, "hi": "hindi", "hr": None, "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "lv": None, "nl": "dutch", "no": "norwegian", "pl": None, "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sk": None, "sl": None, "sv": "swedish", "tr": "turkish", "uk": None, "vi": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Language:
    """What must be known of a language to choose words and sentences of it."""

    code: str  #: ISO 639-1
    stop_words: frozenset[str]  #: carry no subject of their own
    stem: Callable[[str], str] = field(compare=False, repr=False)  #: of a word in lower case
    pointing: frozenset[str] = _NONE  #: see :mod:`pipeline.local.openers`
    linking: frozenset[str] = _NONE
    subordinate: frozenset[str] = _NONE
    joining: frozenset[str] = _NONE
    chatting: frozenset[str] = _NONE

    @property
    def word(self) -> re.Pattern[str]:
        """What a word is."""
        return _WORD_ELIDED if self.code in _ELIDING else _WORD

    @property
    def names_by_capital(self) -> bool:
        """True where a capital inside a sentence marks a name, not each noun."""
        return self.code != "de"

    def words(self, text: str) -> list[str]:
        """Return the words of a text in lower case."""
        return [word.lower().replace("’", "'") for word in self.word.findall(text)]

    def stems(self, text: str) -> tuple[str, ...]:
        """Return the stems of the words that carry meaning."""
        found = self.words(text)
        return tuple(self.stem(w) for w in found if w not in self.stop_words and (len(w) > 1 or w.isdigit()))


@lru_cache(maxsize=65_536)
def english_stem(word: str) -> str:
    """Return a word without its commonest English endings: ``bees`` as ``bee``."""
    base = word.removesuffix("'s")
    for ending, rest in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if base.endswith(ending) and len(base) > len(ending) + 2:
            return base[: -len(ending)] + rest
    if base.endswith("s") and not base.endswith(("ss", "us", "is")) and len(base) > 3:
        base = base[:-1]
    for ending in ("ing", "ed"):
        if base.endswith(ending) and len(base) > len(ending) + 2:
            base = base[: -len(ending)]
            return base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base.removesuffix("e")
    return base.removesuffix("e") if len(base) > 3 else base


ENGLISH = Language(
    "en", STOP_WORDS, english_stem, POINTING["en"], LINKING["en"], SUBORDINATE["en"], JOINING["en"], CHATTING["en"]
)  #: also what nothing is known of


def language_of(text: str) -> Language:
    """Return the language whose small words a text has; English where unknown.

    >>> language_of("La fleur de sel est une croûte que l'on cueille le soir avec une planche plate.").code
    'fr'
    """
    found = Counter(word.lower() for word in _WORD_ELIDED.findall(text)[:_SAMPLE])
    total = found.total()
    english = sum(number for word, number in found.items() if word in STOP_WORDS)
    if not total or english >= _SURE * total:
        return ENGLISH
    shares = {code: sum(n for word, n in found.items() if word in small) for code, small in _stop_lists().items()}
    best = max(shares, key=lambda code: (shares[code], code))
    return load_language(best) if shares[best] >= max(_LEAST * total, english + 1) else ENGLISH


@cache
def load_language(code: str) -> Language:
    """Return a language by its ISO 639-1 code; English where unknown."""
    if code not in _STEMMERS:
        return ENGLISH
    tables = (table.get(code, _NONE) for table in (POINTING, LINKING, SUBORDINATE, JOINING, CHATTING))
    return Language(code, _stop_lists()[code], _stemmer(_STEMMERS[code]), *tables)


def _stemmer(algorithm: str | None) -> Callable[[str], str]:
    if algorithm is None:
        return str
    import snowballstemmer

    stem: Callable[[str], str] = lru_cache(maxsize=65_536)(snowballstemmer.stemmer(algorithm).stemWord)
    return stem


@cache
def _stop_lists() -> dict[str, frozenset[str]]:
    import stopwordsiso

    return {code: frozenset(stopwordsiso.stopwords(code)) for code in _STEMMERS}

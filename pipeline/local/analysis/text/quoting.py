"""Whether a sentence can be quoted alone, by what its first words lean on."""

from __future__ import annotations

import re

from pipeline.local.languages import Language

_ARTICLES = frozenset({"das", "der", "die", "den", "dem"})  # German; pronouns, where a small verb follows
_QUESTION = re.compile(r"\?[\"'”’»)\]]*\s*$")
_THAT = "that"  # behind another word it mostly joins: "now that", "so that"


def leans(text: str, language: Language) -> bool:
    """True for a sentence that opens with a pronoun for something outside it.

    So do "It grows", "When they hatch" and "Turn them".

    >>> from pipeline.local.languages import ENGLISH
    >>> leans("After that it rests.", ENGLISH), leans("The mite feeds on it.", ENGLISH)
    (True, False)
    """
    raw = [match.group() for match in language.word.finditer(text)][:3]
    first = [word.lower().replace("’", "'") for word in raw]
    if not first:
        return False
    small = language.stop_words | language.subordinate | language.linking
    for place, word in enumerate(first):
        if word in language.pointing and _points_back(place, first, language):
            return True
        if place == 0 and language.code == "de" and word in _ARTICLES and _is_small_word(raw[1:2], language):
            return True
        if place > 0 and first[0] not in small:
            return False
    return False


def _points_back(place: int, first: list[str], language: Language) -> bool:
    return place == 0 or first[place] != _THAT or first[place - 1] in language.subordinate - language.linking


def _is_small_word(raw: list[str], language: Language) -> bool:
    return bool(raw) and raw[0].islower() and raw[0] in language.stop_words


def is_question(text: str) -> bool:
    """True for a sentence that asks."""
    return _QUESTION.search(text) is not None


def links(text: str, language: Language) -> bool:
    """True for a sentence that begins as a continuation: "But", "Therefore"."""
    return bool(set(language.words(text)[:1]) & language.linking)


def stands_alone(text: str, language: Language) -> bool:
    """True for a statement that can be read without the one before it."""
    return not (is_question(text) or leans(text, language) or links(text, language))

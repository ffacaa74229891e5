"""Headlines that are whole clauses, and file names that people can read."""

from __future__ import annotations

import re

from pipeline.local.languages import Language

_SHORT = 10  #: words of a headline that nobody wants shorter
_MOST = 20  #: words of a headline
_LEAST = 4  #: words of a clause that says something
_BREAK = re.compile(r"[;:]\s|\s[–—]\s|,\s")


def headline(text: str, language: Language) -> str:
    """Return a sentence, or the clause it begins with where that is whole.

    What begins with a condition, or lists things, is left as it is. Only where there is no whole clause within reach, as in
    speech without punctuation, it is cut, and ends in "…".

    >>> from pipeline.local.languages import ENGLISH
    >>> headline("A chain has more than a hundred links, and every one of them is a bearing.", ENGLISH)
    'A chain has more than a hundred links'
    """
    plain = text.strip().rstrip(".!。！")
    count = len(plain.split())
    if count <= _SHORT:
        return plain
    clause = _first_clause(plain, language)
    if clause:
        return clause
    if count <= _MOST:
        return plain
    return " ".join(_undangled(plain.split()[: _MOST - 1], language)).rstrip(",;:") + "…"


def has_whole_headline(text: str, language: Language) -> bool:
    """True if :func:`headline` need not cut within a clause."""
    return not headline(text, language).endswith("…")


def _first_clause(plain: str, language: Language) -> str:
    """Return what stands before the end of a first clause; may be empty."""
    first = language.words(plain)[:1]
    if not first or first[0] in language.subordinate:
        return ""
    for match in _BREAK.finditer(plain):
        before, after = plain[: match.start()], language.words(plain[match.end() :])[:2]
        if "," in before or len(before.split()) > _MOST:
            return ""  # a list, or too much
        if len(before.split()) < _LEAST:
            continue
        promises = language.words(before)[-1] in language.subordinate | language.joining  # "a place where, …"
        if not promises and (not match.group().startswith(",") or _joins(after, language)):
            return before
    return ""


def _joins(after: list[str], language: Language) -> bool:
    """True if a word that joins and a small one, such as "the", follow."""
    return len(after) > 1 and after[0] in language.joining and after[1] in language.stop_words


def _undangled(parts: list[str], language: Language) -> list[str]:
    """Drop small words at the end that promise more: ``and``, ``of the``."""
    while len(parts) > 3 and parts[-1].lower().strip(",;:") in language.stop_words:
        parts = parts[:-1]
    return parts


def readable_name(name: str) -> str:
    """Return a file's name as a title; "Untitled video" where nothing is left.

    A long hexadecimal number at the end makes a name unique for a machine and says nothing to people.
    """
    base = re.sub(r"\.[A-Za-z0-9]{2,4}$", "", name.replace("\\", "/").rsplit("/", 1)[-1])
    base = re.sub(r"(?<=.)[-_][0-9a-f]{16,}(?:[-_]\d+)?$", "", base)
    plain = " ".join(re.sub(r"[_\s]+", " ", base).split())
    if re.fullmatch(r"[\w]+(?:-[\w]+)+", plain):
        plain = plain.replace("-", " ")
    return plain or "Untitled video"


def capital(text: str) -> str:
    """Return a text that begins with a capital."""
    return text[:1].upper() + text[1:]

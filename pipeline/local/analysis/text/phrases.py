"""Key phrases: one to three words for what a text is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.local.languages import ENGLISH, Language
from pipeline.local.stopwords import DETERMINERS


@dataclass(frozen=True, slots=True)
class Phrase:
    """One to three words for what a text is about, as most often spelled."""

    text: str
    stems: tuple[str, ...]
    count: int
    score: float
    is_name: bool  #: written with a capital wherever a capital tells names


def key_phrases(texts: Sequence[str], limit: int, language: Language) -> list[Phrase]:
    """Return the key phrases of texts, best first, as most often spelled."""
    forms: dict[tuple[str, ...], Counter[str]] = {}
    spread: dict[tuple[str, ...], set[int]] = {}
    named: Counter[tuple[str, ...]] = Counter()
    inside: dict[tuple[str, ...], set[bool]] = {}  # whether it has a capital where a sentence does not begin
    for number, text in enumerate(texts):
        for key, form, before in _candidates(text, language):
            forms.setdefault(key, Counter())[form] += 1
            spread.setdefault(key, set()).add(number)
            named[key] += before in DETERMINERS
            if before:
                inside.setdefault(key, set()).add(form[0].isupper())
    phrases = []
    for key, spellings in forms.items():
        count = spellings.total()
        if len(key) > 1 and count < 2:
            continue
        weight = (1.0, 1.9, 2.4)[len(key) - 1] * (0.55 + 0.45 * named[key] / count)
        common = spellings.most_common(1)[0][0].lower()
        verbal = len(key) == 1 and language is ENGLISH and common.endswith(("ing", "ed", "ly"))
        score = weight * count**0.7 * len(spread[key]) ** 0.5 * (0.4 if verbal else 1.0)
        is_name = language.names_by_capital and inside.get(key) == {True}
        phrases.append(Phrase(_spelling(spellings), key, count, float(score), is_name))
    return _distinct(sorted(phrases, key=lambda phrase: (-phrase.score, phrase.text)), limit)


def _candidates(text: str, language: Language) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield (stems, spelling, the word before) for up to three meaningful words."""
    found = list(language.word.finditer(text))
    tokens = [match.group() for match in found]
    good = [t.lower() not in language.stop_words and len(t) > 2 and not t.isdigit() for t in tokens]
    for first in range(len(found)):
        before = tokens[first - 1].lower() if first else ""
        for size in (1, 2, 3):
            last = first + size - 1
            if last >= len(found) or not good[last]:
                break
            if size > 1 and text[found[last - 1].end() : found[last].start()] != " ":
                break
            form = text[found[first].start() : found[last].end()]
            yield tuple(language.stem(token.lower()) for token in tokens[first : last + 1]), form, before


def _spelling(forms: Counter[str]) -> str:
    """Return the most frequent spelling; on a tie lower case, then the shorter."""
    return min(forms, key=lambda form: (-forms[form], form != form.lower(), len(form), form))


def _distinct(ranked: Sequence[Phrase], limit: int) -> list[Phrase]:
    """Leave out phrases that only repeat a better one."""
    kept: list[Phrase] = []
    for phrase in ranked:
        rivals = [other for other in kept if set(phrase.stems) & set(other.stems)]
        inside = any(set(phrase.stems) < set(other.stems) and phrase.count < 2 * other.count for other in rivals)
        around = any(set(other.stems) < set(phrase.stems) and phrase.count * 3 < other.count for other in rivals)
        crossing = any(not set(other.stems) < set(phrase.stems) and len(phrase.stems) > 1 for other in rivals)
        if not (inside or around or crossing):
            kept.append(phrase)
        if len(kept) >= limit:
            break
    return kept

"""Answers to free prompts: known products, else passages, else a plain statement."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.core.text import stamp
from pipeline.local.analysis.answer.prompt_hints import POINTS, SENTENCES, WORDS, find_count
from pipeline.local.analysis.evidence import Evidence
from pipeline.local.analysis.protocol import AnalysisRefused
from pipeline.local.analysis.text.content_summary import ContentSummary, Highlight
from pipeline.local.analysis.text.sentences import Sentence
from pipeline.local.languages import ENGLISH, Language

NOT_SUPPORTED = "not_supported_by_local_platform"
_Product: TypeAlias = tuple[re.Pattern[str], Callable[[ContentSummary, str], str]]


@dataclass(frozen=True, slots=True)
class Passage:
    """Words of the video with their time.

    ``fit`` is the share of the question they cover, 0 to 1.
    """

    start: float
    end: float
    text: str
    fit: float


_COMPOSED = (
    r"song|rap|lyrics|poem|haiku|limerick|rhyme|story|tale|joke|script|screenplay|dialog(?:ue)?|tweet|thread|e-?mail|letter|"
    r"essay|article|blog|press release|advert\w*|slogan|posts?|quiz|caption"
)

_COMPOSE = re.compile(
    rf"\b(?:write|compose|create|invent|make|draft|generate|produce|give me|imagine)\b[^.?!\n]{{0,40}}\b(?:{_COMPOSED})\b",
    re.IGNORECASE,
)

_TRANSLATE = re.compile(
    r"\btranslat\w+\b|"
    r"\b(?:in|into) (?:spanish|french|german|italian|portuguese|chinese|japanese|korean|russian|arabic|hindi)\b",
    re.IGNORECASE,
)
#: words of prompts that are about no subject of their own
_GENERAL = frozenset(
    ENGLISH.stems(
        "video clip film speaker person presenter lecture narrator mention describe description tell explain show list "
        "talk discuss content generate write provide summarize summary create return please detail main key happen topic "
        "title headline hashtag chapter outline highlight moment keyword bullet takeaway transcript sentence tag theme "
        "section overview text screen on-screen onscreen"
    )
)

#: asks for a summary where no product is named
_VAGUE = re.compile(
    r"\bdescri(?:be|ption)\b|"
    r"\bwhat(?:'s| is| happens| does)\b[^.?!\n]{0,30}\b(?:video|clip|film|about)\s*(?:about)?\s*[?.!]?\s*$",
    re.IGNORECASE,
)


def reply(content: ContentSummary, prompt: str) -> str:
    """Answer a free prompt with quoted words and measured facts.

    Raises:
        AnalysisRefused: the prompt asks for new words (a song, a translation), which nothing here can write.
    """
    refuse_new_words(prompt)
    asked = sorted((m.start(), name) for name, (form, _) in _PRODUCTS.items() if (m := form.search(prompt)))
    subject = _subject(prompt, content.language)
    if not asked and not subject and _VAGUE.search(prompt):
        asked = [(0, "summary")]
    if asked and not (subject and "?" in prompt):
        return "\n\n".join(_PRODUCTS[name][1](content, prompt) or _nothing(content) for _, name in asked)
    return _stamped(passages(content, prompt)) or _nothing(content)


def refuse_new_words(prompt: str) -> None:
    """Raise AnalysisRefused for a prompt that asks for words of our own."""
    for form, what in ((_COMPOSE, "compose new text"), (_TRANSLATE, "translate")):
        if form.search(prompt):
            raise AnalysisRefused(NOT_SUPPORTED, _refusal(what))


def _nothing(content: ContentSummary) -> str:
    """Say that the video's words do not answer, and what was not read."""
    base = "Nothing in the captions or on-screen text of this video answers that."
    return " ".join([base, *content.notes])


def passages(content: ContentSummary, question: str, most: int = 3) -> list[Passage]:
    """Return the passages with most of a question's words, best first.

    Each has at least half of them.
    Rare words count more, and words that are nowhere in the video count most: they speak against every passage.
    """
    wanted = _subject(question, content.language)
    spoken = [(s.start, s.end, s.text, set(s.stems)) for s in content.sentences]
    written = [(e.start, e.end, e.text, set(content.language.stems(e.text))) for e in content.shown]
    rows = spoken + written
    if not wanted or not rows:
        return []
    seen = Counter(stem for *_, bag in rows for stem in bag & wanted)
    weight = {stem: math.log(1 + len(rows) / max(0.5, seen[stem])) for stem in wanted}
    total = sum(weight.values())
    found = [Passage(a, b, text, sum(weight[s] for s in bag & wanted) / total) for a, b, text, bag in rows]
    best = max(passage.fit for passage in found)
    good = [passage for passage in found if passage.fit >= max(0.5, 0.75 * best)]
    return sorted(good, key=lambda passage: (-passage.fit, passage.start))[:most]


def _subject(text: str, language: Language) -> set[str]:
    """Return the stems that tell what a question is about.

    They are stems of the video's language; the words around them may be English.
    """
    telling = (word for word in language.words(text) if set(ENGLISH.stems(word)) - _GENERAL)
    return set(language.stems(" ".join(telling)))


def speaks_of_nothing(word: str) -> bool:
    """Return True for a word that tells nothing of what a question is about."""
    return not _subject(word, ENGLISH)


def _refusal(what: str) -> str:
    return (
        f"The local platform cannot {what}: it only quotes captions and on-screen text and measures the picture. "
        "Ask for a title, a summary, chapters, highlights, topics or a fact, or use the Twelve Labs API for this prompt."
    )


def sentences_wanted(text: str, default: int = 4) -> int:
    """Return how many sentences a prompt asks for, at most 40."""
    return min(40, _wanted(text, default, SENTENCES))


def _wanted(prompt: str, default: int, nouns: tuple[str, ...]) -> int:
    count = find_count(prompt, nouns)
    return max(1, count.most) if count else default


def _stamped(found: Iterable[Passage | Sentence | Evidence | Highlight]) -> str:
    return "\n".join(f"[{stamp(each.start, form='clock')}] {each.text}" for each in found)


def _summary(content: ContentSummary, prompt: str) -> str:
    lines = content.summary_lines(sentences_wanted(prompt))
    limit = find_count(prompt, WORDS)
    while limit and len(lines) > 1 and sum(len(line.split()) for line in lines) > limit.most:
        lines.pop()
    return " ".join(lines)


def _points(content: ContentSummary, prompt: str) -> str:
    count = find_count(prompt, POINTS)
    return "\n".join(f"- {line}" for line in content.summary_lines(min(40, count.most) if count else 5))


def _chapters(content: ContentSummary, prompt: str) -> str:
    count = find_count(prompt, ("chapter", "section", "part"))
    found = content.chapters(max(1, count.most), count.exact) if count else content.chapters()
    return "\n".join(f"[{stamp(chapter.start, form='clock')}] {chapter.title}" for chapter in found)


def _product(pattern: str, make: Callable[[ContentSummary, str], str]) -> _Product:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), make


#: What can be asked for by name: the words for it, and what makes it of a content and a prompt.
_PRODUCTS: dict[str, _Product] = {
    "title": _product(r"titles?|headline", lambda content, prompt: content.title),
    "summary": _product(r"summar\w+|synopsis|overview|recap|abstract|gist|tl;?dr", _summary),
    "points": _product(r"bullet(?:s| points?)|takeaways?|key points?|main points?|(?:key|main) facts", _points),
    "chapters": _product(r"chapters?|outline|table of contents?|sections?|agenda", _chapters),
    "highlights": _product(
        r"highlights|key moments?|best moments?|important moments?",
        lambda content, prompt: _stamped(content.highlights(_wanted(prompt, 5, ("highlight", "moment")))),
    ),
    "topics": _product(
        r"topics|keywords?|key ?phrases|tags|themes",
        lambda content, prompt: ", ".join(
            content.topics(_wanted(prompt, 5, ("topic", "keyword", "tag", "theme", "phrase")))
        ),
    ),
    "hashtags": _product(
        r"hash ?tags?", lambda content, prompt: " ".join(content.hashtags(_wanted(prompt, 10, ("hashtag", "tag"))))
    ),
    "filmed": _product(
        r"when (?:was|were|is)\b[^.?!\n]{0,40}\b(?:filmed|recorded|shot|taken|made)|which camera",
        lambda content, prompt: content.origin,
    ),
    "transcript": _product(r"transcript|transcription|transcribe", lambda content, prompt: _stamped(content.sentences)),
    "screen": _product(
        r"on-?screen text|text on (?:the )?screen|text in (?:the )?video|slide text",
        lambda content, prompt: _stamped(content.shown),
    ),
}

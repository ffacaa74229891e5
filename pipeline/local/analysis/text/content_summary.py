"""Title, topics, summary, chapters and highlights of one video, picked from its evidence.

Nothing is composed, except for fixed plain statements about what was measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from pipeline.local.analysis.evidence import CHAPTER_MARKS, HEADING, STILL_BELOW, Evidence, ExtractedContent, Shot
from pipeline.local.analysis.text import chapters as cutting
from pipeline.local.analysis.text.centrality import Floats, centrality, choose
from pipeline.local.analysis.text.headlines import capital, has_whole_headline, headline, readable_name
from pipeline.local.analysis.text.moments import (
    MeasuredMoment,
    describe_moments,
    describe_origin,
    describe_sound,
    describe_speech,
    find_moments,
    is_camera_name,
    show_date,
    without_overlaps,
)
from pipeline.local.analysis.text.phrases import Phrase, key_phrases
from pipeline.local.analysis.text.quoting import stands_alone
from pipeline.local.analysis.text.sentences import Sentence, sentences
from pipeline.local.analysis.text.topics import topic_borders
from pipeline.local.languages import ENGLISH, Language, language_of
from pipeline.media.titles import is_title

Vectors: TypeAlias = Callable[[Sequence[str]], Floats]  #: returns a row of length one for each sentence
_TITLE = 12  # words of a sentence that may be a chapter's title
_TAG = 3  # times that a word is said in a part that is called by it and another
_NAMED, _NAMED_IN_PART = 6, 3  # times that a name is said before a video, or a chapter, is called by it


@dataclass(frozen=True, slots=True)
class Chapter:
    """A piece of the video, seconds, with quoted sentences or a plain statement."""

    start: float
    end: float
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Highlight:
    """A sentence worth hearing, seconds.

    The headline is a clause that it begins with, or all of it.
    """

    start: float
    end: float
    headline: str
    text: str


class ContentSummary:
    """What a video, or a part of it, says.

    Each view is computed at its first use.

    Args:
        content: what was extracted.
        name: the file's name, the last resort for a title.
        title: a title given by a person; it wins.
        start, end: the part that counts, seconds; the whole video by default.
        vectors: the meaning of English sentences, where there is a model for it.
    """

    def __init__(
        self,
        content: ExtractedContent,
        *,
        name: str = "",
        title: str = "",
        start: float | None = None,
        end: float | None = None,
        vectors: Vectors | None = None,
    ) -> None:
        self.facts = content.facts
        self.notes = content.notes
        self.start = max(0.0, start or 0.0)
        self.end = min(content.facts.seconds, content.facts.seconds if end is None else end)
        if self.end <= self.start:
            self.end = max(self.start, content.facts.seconds)
        self.evidence = tuple(kept for item in content.evidence if (kept := self._within(item)) is not None)
        self.shots = tuple(
            replace(shot, start=max(shot.start, self.start), end=min(shot.end, self.end))
            for shot in content.shots
            if shot.end > self.start + 0.01 and shot.start < self.end - 0.01
        )
        self._vectors = vectors
        self._motion, self._loudness, self._speech = content.motion, content.loudness, content.speech
        self._name, self._given, self._tag = name, " ".join(title.split()), content.title
        self._chapters: dict[tuple[int, int], tuple[Chapter, ...]] = {}

    def _within(self, item: Evidence) -> Evidence | None:
        """Return evidence that reaches into the part: captions whole, all else clipped."""
        if item.end <= self.start + 0.01 or item.start >= self.end - 0.01:
            return None
        if item.kind == "conversation":
            return item
        return replace(item, start=max(item.start, self.start), end=min(item.end, self.end))

    def _of(self, kind: str) -> list[Evidence]:
        return [item for item in self.evidence if item.kind == kind]

    @cached_property
    def language(self) -> Language:
        """The language that is spoken, else written."""
        return language_of(" ".join(item.text for item in self._of("conversation") or self.shown))

    @cached_property
    def sentences(self) -> list[Sentence]:
        """What is said, sentence by sentence; each that has its middle in the part."""
        found = sentences(self._of("conversation"), self.language)
        return [each for each in found if self.start <= (each.start + each.end) / 2 <= self.end]

    @cached_property
    def shown(self) -> list[Evidence]:
        """What is written in the picture, line by line, headings included."""
        return self._of("text_in_video")

    @cached_property
    def headings(self) -> list[Evidence]:
        """Headings of slides; a clock or counter on the screen is none."""
        return [item for item in self.shown if item.source == HEADING and is_title(item.text)]

    @cached_property
    def texts(self) -> list[str]:
        """All words, said and shown."""
        return [sentence.text for sentence in self.sentences] + [item.text for item in self.shown]

    @cached_property
    def looks(self) -> list[str]:
        """What the pictures are like, as short tags: measured, for a video without words."""
        moving = self.shots and not all(shot.still for shot in self.shots)
        return ["moving pictures" if moving else "still pictures", *(() if self.facts.has_audio else ("no sound",))]

    @cached_property
    def moments(self) -> list[MeasuredMoment]:
        """What measurements single out, in time order."""
        return find_moments(self.shots, self._motion, self._loudness, self.start, self.end)

    @cached_property
    def origin(self) -> str:
        """When and with what it was filmed, in a sentence; may be empty."""
        return describe_origin(self.facts)

    @cached_property
    def measured(self) -> list[str]:
        """Sentences about the whole: when it was filmed, where it has sound."""
        return [
            text
            for text in (
                self.origin,
                describe_sound(self.facts, self._loudness, self.start, self.end, listened=bool(self._speech)),
                describe_speech(self._speech, self.start, self.end),
            )
            if text
        ]

    @cached_property
    def _meaning(self) -> Floats | None:
        """The vectors of the sentences, where they are English and there is a model."""
        if self._vectors is None or self.language is not ENGLISH or not self.sentences:
            return None
        return self._vectors([sentence.text for sentence in self.sentences])

    @cached_property
    def _weight(self) -> dict[int, float]:
        """How central each sentence is, by its id."""
        weights = centrality(self.sentences, self.language, self._meaning)
        return {id(s): float(weight) for s, weight in zip(self.sentences, weights, strict=True)}

    @cached_property
    def phrases(self) -> list[Phrase]:
        """What it is about, most important first: as said, else as shown."""
        texts = [sentence.text for sentence in self.sentences] or [item.text for item in self.shown]
        if self.sentences:
            texts += [item.text for item in self.headings]
        return key_phrases(texts, 24, self.language)

    @cached_property
    def title(self) -> str:
        """A given title, else the container's, a slide's, a phrase, the file's name.

        One word is a title only as a name.
        """
        if self._given or self._tag:
            return self._given or self._tag
        if self.headings:
            return self.headings[0].text
        phrases = (
            self.phrases[:1] if self.sentences else ()
        )  # what stands in a moving picture again and again is a logo
        strong = [p for p in phrases if p.count >= 3 and (len(p.stems) > 1 or (p.is_name and p.count >= _NAMED))]
        if strong:
            return capital(strong[0].text)
        name = readable_name(self._name)
        return f"{show_date(self.facts.filmed)} ({name})" if self.facts.filmed and is_camera_name(name) else name

    def topics(self, most: int = 5) -> list[str]:
        """Return short noun phrases, most important first."""
        solid = [p for p in self.phrases if p.count > 1] or self.phrases
        return [phrase.text for phrase in solid[:most]]

    def hashtags(self, most: int = 10) -> list[str]:
        """Return joined words, each with a leading #."""
        solid = [p for p in self.phrases if p.count > 1]
        tags = ("#" + "".join(capital(word) for word in re.split(r"[^\w]+", p.text)) for p in solid or self.phrases)
        return list(dict.fromkeys(tags))[:most]

    def key_sentences(self, count: int) -> list[Sentence]:
        """Return up to ``count`` central sentences in time order.

        None repeats another, or opens with a pronoun for something said before it.
        """
        return self._chosen(self.sentences, count, self.start, self.end)

    def _chosen(self, pool: Sequence[Sentence], count: int, start: float, end: float) -> list[Sentence]:
        return choose(pool, [self._weight[id(s)] for s in pool], count, start, end)

    def summary_lines(self, count: int = 4) -> list[str]:
        """Return quoted sentences, or plain statements about what was measured where nothing is said."""
        if self.sentences:
            return [sentence.text for sentence in self.key_sentences(count)]
        video = f"A {self.end - self.start:.0f}-second video without"
        lines = list(dict.fromkeys(item.text for item in self.headings or self.shown))[:12]
        screen = f"On screen: {'; '.join(lines)}."
        if self.headings:
            return [f"{video} captions: {describe(self.shots)}.", screen]
        measured = [screen if lines else "", *self.measured, describe_moments(self.moments)]
        # With what was not read, so that "nothing found" does not claim too much.
        pictures = describe(self.shots, colours=False)
        words = "captions" if lines else "captions or readable text"
        return [f"{video} {words}: {pictures}.", *filter(None, measured), *self.notes]

    def _borders(self, most: int, exactly: int) -> list[float]:
        span = (self.start, self.end)
        marked = cutting.by_marks(self._of("chapter"), *span)
        if marked:
            return marked
        slides = cutting.by_slides(self.shots, self.headings, *span, exactly or most)
        if len(slides) > 2:
            return slides
        if self.sentences:
            return topic_borders(self.sentences, self.language, *span, most, exactly, self._meaning)
        return cutting.by_shots(self.shots, *span, exactly or most)

    def chapters(self, most: int = cutting.MOST, exactly: int = 0) -> tuple[Chapter, ...]:
        """Return up to ``most`` chapters that cover the whole part without gaps."""
        key = (most, exactly)
        if key not in self._chapters:
            self._chapters[key] = tuple(self._chaptered(self._borders(most, exactly)))
        return self._chapters[key]

    def _chaptered(self, borders: Sequence[float]) -> list[Chapter]:
        pieces = cutting.nearest(self.sentences, borders)
        titles = self._titles(borders, pieces)
        found = []
        for number, piece in enumerate(pieces):
            start, end = borders[number], borders[number + 1]
            if piece:
                best = self._chosen(piece, 1 + (len(piece) > 8), start, end)
                summary = " ".join(sentence.text for sentence in best)
            else:
                summary = self._seen(start, end)
            found.append(Chapter(round(start, 2), round(end, 2), titles[number], summary))
        return found

    def _seen(self, start: float, end: float) -> str:
        """Return what the screen shows in this time, or how the pictures are."""
        lines = list(dict.fromkeys(item.text for item in self.shown if _shared(item, start, end)))
        if lines:
            return " ".join(lines[:8])
        inside = [shot for shot in self.shots if min(end, shot.end) - max(start, shot.start) > 0.1]
        return f"Nothing said or written; {describe(inside)}."

    def _titles(self, borders: Sequence[float], pieces: Sequence[Sequence[Sentence]]) -> list[str]:
        marks = [*self._of("chapter"), *self.headings]
        bags = [Counter(stem for s in piece for stem in s.stems) for piece in pieces]
        titles: list[str] = []
        for number, piece in enumerate(pieces):
            start, end = borders[number], borders[number + 1]
            inside = [item for item in marks if _shared(item, start, end)]
            if inside:
                # A container's mark is the maker's word; among headings, the one that stands longest.
                best = max(inside, key=lambda m: (m.source == CHAPTER_MARKS, min(end, m.end) - max(start, m.start)))
                titles.append(best.text)
            else:
                titles.append(self._worded(piece, bags, number, titles) or self._numbered(number, start, end))
        return titles

    def _worded(
        self, piece: Sequence[Sentence], bags: Sequence[Counter[str]], number: int, taken: Sequence[str]
    ) -> str:
        """Return a typical phrase, else a sentence about key words, else these."""
        phrases = key_phrases([sentence.text for sentence in piece], 8, self.language)

        def own(phrase: Phrase) -> float:
            here = sum(bags[number][stem] for stem in phrase.stems)
            there = sum(bag[stem] for bag in bags for stem in phrase.stems)
            return phrase.score * (here / max(1, there))

        named = [set(self.language.stems(title)) for title in taken]
        ranked = [p for p in sorted(phrases, key=own, reverse=True) if set(p.stems) not in named]
        if ranked and (len(ranked[0].stems) > 1 or (ranked[0].is_name and ranked[0].count >= _NAMED_IN_PART)):
            return capital(ranked[0].text)
        about = {stem for phrase in ranked[:3] for stem in phrase.stems}
        short = [s for s in piece if self._is_title(s)]
        if near := [s for s in short if about & set(s.stems)]:
            return self._headline_of_best(near)
        if many := [p for p in ranked if len(p.stems) > 1]:
            return capital(many[0].text)
        if short:
            return self._headline_of_best(short)
        often = [p for p in ranked if p.count >= _TAG] or ranked
        return f"{capital(often[0].text)}, {often[1].text}" if len(often) > 1 else self._headline_of_best(piece)

    def _headline_of_best(self, found: Sequence[Sentence]) -> str:
        best = max(found, key=lambda s: self._weight[id(s)], default=None)
        return headline(best.text, self.language) if best is not None else ""

    def _is_title(self, sentence: Sentence) -> bool:
        """True for a short sentence that can be read alone, and no chat."""
        if not sentence.text.endswith((".", "!", "。")) or not stands_alone(sentence.text, self.language):
            return False
        said = self.language.words(headline(sentence.text, self.language))
        if not 3 <= len(said) <= _TITLE or not has_whole_headline(sentence.text, self.language):
            return False
        return said[0] not in self.language.chatting and not self.language.pointing & set(said)

    def _numbered(self, number: int, start: float, end: float) -> str:
        inside = [shot for shot in self.shots if min(end, shot.end) - max(start, shot.start) > 0.1]
        names = [each.name for each in self.moments if start <= (each.start + each.end) / 2 < end]
        return f"Part {number + 1}: {', '.join(names) or describe(inside, colours=not self._motion)}"

    def highlights(self, most: int = 5) -> list[Highlight]:
        """Return central sentences in time order, else slide headings, else measured moments."""
        if not self.sentences:
            shown = list({item.text: item for item in self.headings}.values())[:most]
            if not shown:
                measured = without_overlaps(self.moments)[:most]
                return [Highlight(each.start, each.end, capital(each.name), each.text) for each in measured]
            return [Highlight(i.start, i.end, headline(i.text, self.language), i.text) for i in shown]
        limit = min(most, max(1, len(self.sentences) // 2))
        whole = [s for s in self.sentences if has_whole_headline(s.text, self.language)] or self.sentences
        chosen = self._chosen(whole, limit, self.start, self.end)
        ends = [*(s.start for s in chosen[1:]), self.end]
        found = [
            Highlight(
                s.start,
                round(min(max(s.end, s.start + 1.0), end, self.end), 2),
                headline(s.text, self.language),
                s.text,
            )
            for s, end in zip(chosen, ends, strict=True)
        ]
        return [highlight for highlight in found if highlight.end > highlight.start]


def describe(shots: Sequence[Shot], *, colours: bool = True) -> str:
    """Return what shots look like in a few plain words: ``moving pictures, 6 shots, mainly green and black``."""
    if not shots:
        return "no picture"
    total = sum(shot.end - shot.start for shot in shots) or 1.0
    motion = sum(shot.motion * (shot.end - shot.start) for shot in shots) / total
    area: Counter[str] = Counter()
    for shot in shots:
        for place, colour in enumerate(shot.colours):
            area[colour] += round(1000 * (shot.end - shot.start) / (place + 1))
    kind = "still" if motion < 0.02 else "mostly still" if motion < STILL_BELOW else "moving"
    several = f" pictures, {len(shots)} shots" if len(shots) > 1 else " picture"
    mainly = f", mainly {' and '.join(colour for colour, _ in area.most_common(2))}" if colours else ""
    return f"{kind}{several}{mainly}"


def _shared(item: Evidence, start: float, end: float) -> bool:
    """True if a good part of what is shown falls between these times."""
    common = min(end, item.end) - max(start, item.start)
    return common > 0.3 * min(item.end - item.start, end - start)

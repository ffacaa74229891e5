"""Title, topics, summary, chapters and highlights of one video, picked from its evidence.

Nothing is composed, except for fixed plain statements about what was measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.local.analysis.evidence import CHAPTER_MARKS, HEADING, STILL_BELOW, Evidence, ExtractedContent, Shot
from pipeline.local.analysis.text import chapters as cutting
from pipeline.local.analysis.text.moments import (
    MeasuredMoment,
    describe_moments,
    describe_origin,
    describe_sound,
    find_moments,
    is_camera_name,
    show_date,
    without_overlaps,
)
from pipeline.local.analysis.text.sentences import (
    Phrase,
    Sentence,
    alike,
    centrality,
    key_phrases,
    sentences,
    stands_alone,
)
from pipeline.local.stopwords import STOP_WORDS
from pipeline.media.titles import is_title

_REPEATS = 0.5  # share of its words that a sentence may have in common with one already chosen
_HEADLINE = 10  # words
_FEW = 8  # sentences; from fewer, single words are a poor title


@dataclass(frozen=True, slots=True)
class Chapter:
    """A piece of the video, seconds, with quoted sentences or a plain statement."""

    start: float
    end: float
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class Highlight:
    """A sentence worth hearing, seconds. The headline is its beginning or all of it."""

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
    """

    def __init__(
        self,
        content: ExtractedContent,
        *,
        name: str = "",
        title: str = "",
        start: float | None = None,
        end: float | None = None,
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
        self._motion, self._loudness = content.motion, content.loudness
        self._name, self._given, self._tag = name, " ".join(title.split()), content.title
        self._chapters: dict[tuple[int, int], tuple[Chapter, ...]] = {}

    def _within(self, item: Evidence) -> Evidence | None:
        """Return evidence that lies in the part, shown evidence clipped to it."""
        if item.kind == "conversation":
            return item if self.start <= (item.start + item.end) / 2 <= self.end else None
        if item.end <= self.start + 0.01 or item.start >= self.end - 0.01:
            return None
        return replace(item, start=max(item.start, self.start), end=min(item.end, self.end))

    def _of(self, kind: str) -> list[Evidence]:
        return [item for item in self.evidence if item.kind == kind]

    @cached_property
    def sentences(self) -> list[Sentence]:
        """What is said, sentence by sentence."""
        return sentences(self._of("conversation"))

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
            text for text in (self.origin, describe_sound(self.facts, self._loudness, self.start, self.end)) if text
        ]

    @cached_property
    def _weight(self) -> dict[int, float]:
        """How central each sentence is, by its id."""
        return {id(s): float(weight) for s, weight in zip(self.sentences, centrality(self.sentences), strict=True)}

    @cached_property
    def phrases(self) -> list[Phrase]:
        """What it is about, most important first: as said, else as shown."""
        texts = [sentence.text for sentence in self.sentences] or [item.text for item in self.shown]
        if self.sentences:
            texts += [item.text for item in self.headings]
        return key_phrases(texts, 24)

    @cached_property
    def title(self) -> str:
        """A given title, else the container's, a slide's, a phrase, the file's name."""
        if self._given or self._tag:
            return self._given or self._tag
        if self.headings:
            return self.headings[0].text
        phrases = self.phrases if self.sentences else ()  # what stands in a moving picture again and again is a logo
        strong = [p for p in phrases if p.count >= 3 and (len(p.stems) > 1 or p.count >= 6)]
        if strong:
            return _capital(strong[0].text)
        name = readable_name(self._name)
        return f"{show_date(self.facts.filmed)} ({name})" if self.facts.filmed and is_camera_name(name) else name

    def topics(self, most: int = 5) -> list[str]:
        """Return short noun phrases, most important first."""
        solid = [p for p in self.phrases if p.count > 1] or self.phrases
        return [phrase.text for phrase in solid[:most]]

    def hashtags(self, most: int = 10) -> list[str]:
        """Return joined words, each with a leading #."""
        solid = [p for p in self.phrases if p.count > 1]
        tags = ("#" + "".join(_capital(word) for word in re.split(r"[^\w]+", p.text)) for p in solid or self.phrases)
        return list(dict.fromkeys(tags))[:most]

    def key_sentences(self, count: int) -> list[Sentence]:
        """Return up to ``count`` central sentences in time order, none that repeats another."""
        if not self.sentences or count < 1:
            return []
        home = {id(s): n for n, piece in enumerate(self._pieces) for s in piece}
        chosen: list[Sentence] = []
        rest = list(self.sentences)
        while rest and len(chosen) < count:
            used = Counter(home.get(id(s), 0) for s in chosen)
            best = max(rest, key=lambda s: self._weight[id(s)] * 0.55 ** used[home.get(id(s), 0)])
            chosen.append(best)
            rest = [s for s in rest if s is not best and alike(s, best) <= _REPEATS]
        return sorted(chosen, key=lambda s: s.start)

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

    @cached_property
    def _pieces(self) -> list[list[Sentence]]:
        return cutting.nearest(self.sentences, self._borders(cutting.MOST, 0))

    def _borders(self, most: int, exactly: int) -> list[float]:
        span = (self.start, self.end)
        marked = cutting.by_marks(self._of("chapter"), *span)
        if marked:
            return marked
        slides = cutting.by_slides(self.shots, self.headings, *span, exactly or most)
        if len(slides) > 2:
            return slides
        if self.sentences:
            return cutting.by_words(self.sentences, *span, most, exactly)
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
                best = sorted(
                    sorted(piece, key=lambda s: -self._weight[id(s)])[: 1 + (len(piece) > 8)], key=lambda s: s.start
                )
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
        """Return a phrase typical of this piece, else key words, else a sentence."""
        phrases = key_phrases([sentence.text for sentence in piece], 8)

        def own(phrase: Phrase) -> float:
            here = sum(bags[number][stem] for stem in phrase.stems)
            there = sum(bag[stem] for bag in bags for stem in phrase.stems)
            return phrase.score * (here / max(1, there))

        ranked = [p for p in sorted(phrases, key=own, reverse=True) if _capital(p.text) not in taken]
        if ranked and len(ranked[0].stems) > 1:
            return _capital(ranked[0].text)
        if len(piece) > _FEW and len(ranked) > 1:  # counts can be trusted
            return f"{_capital(ranked[0].text)}, {ranked[1].text}"
        short = [s for s in piece if stands_alone(s.text) and 3 <= len(s.text.split()) <= _HEADLINE]
        best = max(short or piece, key=lambda s: self._weight[id(s)], default=None)
        return headline(best.text) if best is not None else ""

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
                return [Highlight(each.start, each.end, _capital(each.name), each.text) for each in measured]
            return [Highlight(i.start, i.end, headline(i.text), i.text) for i in shown]
        limit = min(most, max(1, len(self.sentences) // 2))
        chosen = self.key_sentences(limit)
        ends = [*(s.start for s in chosen[1:]), self.end]
        found = [
            Highlight(s.start, round(min(max(s.end, s.start + 1.0), end, self.end), 2), headline(s.text), s.text)
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


def headline(text: str, most: int = _HEADLINE) -> str:
    """Return a sentence's first clause if it is short, else its first words.

    >>> headline("When the water content falls below eighteen percent, the workers seal the cell with wax.")
    'When the water content falls below eighteen percent'
    """
    plain = text.strip().rstrip(".!")
    if len(plain.split()) <= most:
        return plain
    for match in re.finditer(r"[,;:–—]\s", plain):
        clause = plain[: match.start()]
        if 4 <= len(clause.split()) <= most:
            return " ".join(_undangled(clause.split()))
    return " ".join(_undangled(plain.split()[: most - 1])).rstrip(",;:") + "…"


def _undangled(parts: list[str]) -> list[str]:
    """Drop small words at the end that promise more: ``and``, ``of the``."""
    while len(parts) > 3 and parts[-1].lower().strip(",;:") in STOP_WORDS:
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


def _shared(item: Evidence, start: float, end: float) -> bool:
    """True if a good part of what is shown falls between these times."""
    common = min(end, item.end) - max(start, item.start)
    return common > 0.3 * min(item.end - item.start, end - start)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

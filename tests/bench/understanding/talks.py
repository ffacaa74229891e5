"""Talks with known truth: texts of our own, spoken at a made-up but realistic pace.

A text is a file in ``texts``: title, ``## section``, one sentence a line, ``*`` before the section's key sentence, ``?``
before a query in the section's own words, ``~`` before one that means the same in others, ``=`` before each sentence of the
summary that a person wrote. Its name ends in the language.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pipeline.local.analysis.evidence import CAPTIONS_GIVEN, Evidence, ExtractedContent, Facts, Shot

_CUE = 11  # words that a cue holds at most
_PACE = 0.062  # seconds a letter; about 2.5 words a second
TUNED_ON = ("lighthouse", "compost", "glas", "rain")  #: texts that parameters were chosen by; the others only judge


@dataclass(frozen=True, slots=True)
class TalkSection:
    """A section of a text, with the place of its key sentence."""

    heading: str
    sentences: tuple[str, ...]
    key: int
    literal: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TalkText:
    """A text with its truth."""

    name: str
    language: str
    title: str
    sections: tuple[TalkSection, ...]
    summary: str

    @property
    def keys(self) -> set[str]:
        """The key sentences."""
        return {section.sentences[section.key] for section in self.sections}


@dataclass(frozen=True, slots=True)
class Talk:
    """Captions, seconds, and where each part truly begins and ends."""

    name: str
    language: str
    cues: tuple[tuple[float, float, str], ...]
    borders: tuple[float, ...]  #: with the beginning and the end
    starts: tuple[float, ...]  #: of all sentences

    def content(self) -> ExtractedContent:
        """Return the talk as if it had been read from a video without slides."""
        end = self.borders[-1]
        facts = Facts(end, 1280, 720, 25.0, "mov,mp4", "h264", "aac", True, 1, 1, "video/mp4", "", "")
        said = tuple(Evidence(a, b, "conversation", text, CAPTIONS_GIVEN) for a, b, text in self.cues)
        return ExtractedContent(facts, said, "", (Shot(0.0, end, 0.3, ("grey",)),))


@cache
def load_texts() -> tuple[TalkText, ...]:
    """Return all texts, by name."""
    return tuple(_parsed(path) for path in sorted((Path(__file__).parent / "texts").glob("*.txt")))


def _parsed(path: Path) -> TalkText:
    name, language = path.stem.split(".")
    title, *lines = path.read_text(encoding="utf-8").splitlines()
    sections: list[TalkSection] = []
    summary: list[str] = []
    for line in lines:
        if line.startswith("## "):
            sections.append(TalkSection(line[3:], (), 0))
        elif line.startswith("= "):
            summary.append(line[2:])
        else:
            sections.append(_with_line(sections.pop(), line))
    return TalkText(name, language, title, tuple(sections), " ".join(summary))


def _with_line(section: TalkSection, line: str) -> TalkSection:
    if line.startswith("? "):
        return replace(section, literal=(*section.literal, line[2:]))
    if line.startswith("~ "):
        return replace(section, synonyms=(*section.synonyms, line[2:]))
    key = len(section.sentences) if line.startswith("* ") else section.key
    return replace(section, sentences=(*section.sentences, line.removeprefix("* ")), key=key)


def spoken(parts: Sequence[Sequence[str]], name: str, language: str, seed: int, *, gaps: bool = True) -> Talk:
    """Speak the sentences of parts.

    A pause between sections is longer than one between sentences more often than not, never surely. Without ``gaps`` a
    caption stands until the next one comes, as many programs write it.
    """
    rng = random.Random(f"{name} {seed}")
    at, cues, borders, starts = 0.4, [], [0.0], []
    for number, part in enumerate(parts):
        for place, sentence in enumerate(part):
            first_of_part = place == 0 and number > 0
            at += rng.lognormvariate(-0.1, 0.5) if first_of_part else rng.lognormvariate(-1.05, 0.5)
            if first_of_part:
                borders.append(round(at, 3))
            starts.append(round(at, 3))
            pace = _PACE * rng.uniform(0.85, 1.15)
            words = sentence.split()
            count = -(-len(words) // _CUE)
            size = -(-len(words) // count)
            for first in range(0, len(words), size):
                text = " ".join(words[first : first + size])
                until = at + pace * (len(text) + 1)
                cues.append((round(at, 3), round(until, 3), text))
                at = until
    end = round(at + 0.8, 3)
    borders.append(end)
    if not gaps:
        ends = [*(start for start, _, _ in cues[1:]), end]
        cues = [(a, until, text) for (a, _, text), until in zip(cues, ends, strict=True)]
    return Talk(name, language, tuple(cues), tuple(borders), tuple(starts))


def automatic(talk: Talk) -> Talk:
    """Return the talk as a recogniser without punctuation would write it."""
    plain = str.maketrans("", "", ".,:;?!")
    cues = tuple((a, b, text.translate(plain).lower()) for a, b, text in talk.cues)
    return Talk(talk.name, talk.language, cues, talk.borders, talk.starts)


def talks(seed: int = 1, *, gaps: bool = True) -> list[Talk]:
    """Return every text as a talk."""
    return [
        spoken([section.sentences for section in text.sections], text.name, text.language, seed, gaps=gaps)
        for text in load_texts()
    ]


def mixes(count: int, language: str = "en") -> list[Talk]:
    """Return talks of four pieces, 70 to 110 s each, of different texts."""
    texts = [text for text in load_texts() if text.language == language]
    found = []
    for number in range(count):
        rng = random.Random(number)
        parts = []
        for text in rng.sample(texts, 4):
            lines = [sentence for section in text.sections for sentence in section.sentences]
            seconds = [len(line) * (_PACE + 0.004) + 0.4 for line in lines]
            wanted = rng.uniform(70, 110)
            latest = max(n for n in range(len(lines)) if sum(seconds[n:]) >= wanted)
            first = rng.randint(0, latest)
            last = first
            while sum(seconds[first:last]) < wanted and last < len(lines):
                last += 1
            parts.append(lines[first:last])
        found.append(spoken(parts, f"mix {number}", language, number))
    return found

"""The local platform understands more of the bench's talks than plain methods do.

The whole is ``python -m tests.bench understanding``.
"""

from __future__ import annotations

from statistics import fmean

import pytest

from pipeline.local.analysis.plugins.meaning.models import find_folder
from pipeline.local.analysis.text.content_summary import ContentSummary
from pipeline.local.analysis.text.quoting import leans
from pipeline.local.languages import language_of
from tests.bench.understanding import measures
from tests.bench.understanding.talks import TUNED_ON, Talk, TalkText, automatic, load_texts, mixes, talks
from tests.bench.understanding.words import borders_of, installed_vectors

PAIRS = list(zip(load_texts(), talks(), strict=True))


def rows(found: list[Talk], seconds: float) -> tuple[int, int, int]:
    """Return right borders of ours, those of an equal split into as many parts, and how many were told."""
    ours = even = told = 0
    for talk in found:
        borders = borders_of(talk)
        ours += measures.hits(borders, talk.borders, seconds)
        even += measures.hits(measures.equal_split(talk.borders[-1], len(borders) - 1), talk.borders, seconds)
        told += len(borders) - 2
    return ours, even, told


@pytest.mark.parametrize(
    ("kind", "found", "seconds"),
    [
        ("other texts", [t for t in talks() if t.name not in TUNED_ON], 2.0),
        ("without gaps", [t for t in talks(gaps=False) if t.name not in TUNED_ON], 2.0),
        ("without punctuation", [automatic(t) for t in talks() if t.name not in TUNED_ON], 2.0),
        ("mixes", mixes(8), 10.0),
    ],
)
def test_chapters_are_better_than_an_equal_split(kind: str, found: list[Talk], seconds: float) -> None:
    """With as many parts, more borders are right, on texts that nothing was tuned on."""
    ours, even, told = rows(found, seconds)
    assert told
    assert ours > even, kind


def test_half_the_borders_of_a_talk_are_found_from_its_words_and_pauses() -> None:
    """Of what is told, and of what there is, at least half, within 2 s."""
    found = [t for t in talks() if t.name not in TUNED_ON]
    ours, _, told = rows(found, 2.0)
    assert ours >= 0.5 * told
    assert ours >= 0.5 * sum(len(t.borders) - 2 for t in found)


def test_the_digest_is_at_least_text_rank() -> None:
    """ROUGE-1 and key sentences, over all texts: no worse than the plain reference, which may quote whatever it likes."""
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    for text, talk in PAIRS:
        summary = ContentSummary(talk.content())
        said, count = summary.sentences, len(text.sections)
        plain = [said[at] for at in measures.text_rank([s.stems for s in said], count)]
        for scores, chosen in ((ours, summary.key_sentences(count)), (theirs, plain)):
            joined = " ".join(s.text for s in chosen)
            scores.append((measures.rouge(joined, text.summary), sum(s.text in text.keys for s in chosen)))
    for mine, plain_one in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        assert fmean(mine) >= fmean(plain_one)


@pytest.mark.parametrize(("text", "talk"), PAIRS, ids=lambda each: each.name if isinstance(each, Talk) else "")
def test_what_is_told_of_a_talk_can_be_read_alone(text: TalkText, talk: Talk) -> None:
    """No quote opens with a pronoun for something before it, no headline is cut, no title is a lone word; all are literal."""
    summary = ContentSummary(talk.content(), name="talk 12.mp4")
    said = " ".join(line for section in text.sections for line in section.sentences)
    language = language_of(said)
    assert language.code == text.language
    quoted = [s.text for s in summary.key_sentences(6)] + [h.text for h in summary.highlights()]
    assert not [line for line in quoted if leans(line, language)]
    headlines = [highlight.headline for highlight in summary.highlights()]
    assert not [line for line in headlines if line.endswith("…") or line not in said]
    titles = [chapter.title for chapter in summary.chapters()]
    assert not [title for title in titles if " " not in title]
    assert len(set(titles)) == len(titles)


@pytest.mark.skipif(find_folder("auto") is None, reason="the wheel with a sentence model is not installed")
def test_with_a_sentence_model_topics_are_told_apart() -> None:
    """Of the borders between four different talks, 8 of 10 are found within 10 s, and as many that are told are right."""
    vectors, found = installed_vectors(), mixes(12)
    borders = [borders_of(talk, vectors) for talk in found]
    right = sum(measures.hits(ours, talk.borders, 10.0) for ours, talk in zip(borders, found, strict=True))
    assert right >= 0.8 * sum(len(each) - 2 for each in borders)
    assert right >= 0.8 * sum(len(talk.borders) - 2 for talk in found)

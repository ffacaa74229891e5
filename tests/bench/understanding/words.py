"""Chapters, digest, highlights and titles of talks that have captions and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from pipeline.local.analysis.plugins.meaning.encoder import unit_rows
from pipeline.local.analysis.text.centrality import Floats
from pipeline.local.analysis.text.content_summary import ContentSummary, Vectors
from pipeline.local.analysis.text.quoting import leans
from pipeline.local.analysis.text.sentences import Sentence
from tests.bench.understanding import measures
from tests.bench.understanding.search import installed_encoder
from tests.bench.understanding.talks import TUNED_ON, Talk, TalkText, automatic, load_texts, mixes, talks

_DRAWS = 200  # random digests


def report() -> None:
    """Print the tables."""
    began = time.process_time()
    print("\n# Words: talks with captions only\n")
    unseen = [text.name for text in load_texts() if text.name not in TUNED_ON]
    print(f"{len(load_texts())} texts; no parameter was chosen by: {', '.join(unseen)}.\n")
    seeds = (1, 2, 3)
    kinds: dict[str, list[tuple[Talk, float]]] = {
        "texts tuned on": [(t, 2.0) for seed in seeds for t in talks(seed) if t.name in TUNED_ON],
        "other texts": [(t, 2.0) for seed in seeds for t in talks(seed) if t.name not in TUNED_ON],
        "the same, captions without gaps": [(t, 2.0) for s in seeds for t in talks(s, gaps=False) if t.name in unseen],
        "the same, no punctuation": [(automatic(t), 2.0) for s in seeds for t in talks(s) if t.name in unseen],
        "mixes of four texts, 10 s": [(t, 10.0) for t in mixes(30)],
        "mixes of four texts, 2 s": [(t, 2.0) for t in mixes(30)],
    }
    print(f"{'chapters':<40}{'talks':>6}{'borders':>9}{'P':>7}{'R':>7}{'WD':>7}   equal split: P      R     WD")
    vectors = installed_vectors()
    for kind, found in kinds.items():
        _chapters(kind, found, None)
    for kind, found in kinds.items() if vectors is not None else ():
        _chapters(f"{kind}: meaning", found, vectors)
    _digests(unseen, vectors)
    _faults()
    _read(load_texts())
    print(f"\n{time.process_time() - began:.1f} s of CPU time")


def borders_of(talk: Talk, vectors: Vectors | None = None) -> list[float]:
    """Return the product's chapter borders."""
    found = ContentSummary(talk.content(), vectors=vectors).chapters()
    return [chapter.start for chapter in found] + [found[-1].end]


def installed_vectors() -> Vectors | None:
    """Return the sentence model of the wheel, if it is installed; each text is encoded once."""
    encoder = installed_encoder()
    if encoder is None:
        return None
    rows: dict[str, Floats] = {}

    def vectors(texts: Sequence[str]) -> Floats:
        new = [text for text in dict.fromkeys(texts) if text not in rows]
        rows.update(zip(new, unit_rows(encoder.encode(new)) if new else (), strict=True))
        return np.array([rows[text] for text in texts])

    return vectors


def _chapters(kind: str, cases: Sequence[tuple[Talk, float]], vectors: Vectors | None) -> None:
    right = told = true = equal = equal_told = 0
    ours, theirs = [], []
    for talk, seconds in cases:
        found = borders_of(talk, vectors)
        even = measures.equal_split(talk.borders[-1], len(found) - 1)
        right += measures.hits(found, talk.borders, seconds)
        equal += measures.hits(even, talk.borders, seconds)
        told += len(found) - 2
        equal_told += len(even) - 2
        true += len(talk.borders) - 2
        ours.append(measures.window_diff(found, talk.borders))
        theirs.append(measures.window_diff(even, talk.borders))
    print(
        f"{kind:<40}{len(cases):>6}{true:>9}{right / max(1, told):>7.2f}{right / true:>7.2f}{fmean(ours):>7.2f}"
        f"{equal / max(1, equal_told):>17.2f}{equal / true:>7.2f}{fmean(theirs):>7.2f}"
    )


def _digests(unseen: Sequence[str], vectors: Vectors | None) -> None:
    rows: dict[str, list[list[float]]] = {}
    for text, talk in zip(load_texts(), talks(), strict=True):
        summary = ContentSummary(talk.content())
        said, count = summary.sentences, len(text.sections)
        lines, bags = [s.text for s in said], [s.stems for s in said]
        chosen: dict[str, list[list[Sentence]]] = {
            "product": [summary.key_sentences(count)],
            "LEAD": [[said[at] for at in measures.lead(lines, count)]],
            "first of each equal part": [[said[at] for at in measures.spread(lines, count)]],
            f"random, mean of {_DRAWS}": [
                [said[at] for at in measures.by_chance(seed)(lines, count)] for seed in range(_DRAWS)
            ],
            "TextRank": [[said[at] for at in measures.text_rank(bags, count)]],
        }
        if vectors is not None:
            chosen["product, by meaning"] = [ContentSummary(talk.content(), vectors=vectors).key_sentences(count)]
        for name, draws in chosen.items():
            for group in ("all", "others") if text.name in unseen else ("all",):
                rows.setdefault(f"{name} ({group})", []).append(_scores(text, talk, draws))
    print(
        f"\n{'digest, a sentence for each section':<40}{'texts':>6}{'keys':>7}{'covered':>9}{'ROUGE-1':>9}{'ROUGE-2':>9}"
    )
    for name in sorted(rows, key=lambda name: (name.endswith("(all)"), name)):
        means = [fmean(column) for column in zip(*rows[name], strict=True)]
        print(f"{name:<40}{len(rows[name]):>6}{means[0]:>7.2f}{means[1]:>9.2f}{means[2]:>9.3f}{means[3]:>9.3f}")


def _scores(text: TalkText, talk: Talk, draws: Sequence[Sequence[Sentence]]) -> list[float]:
    count = len(text.sections)
    each = []
    for draw in draws:
        joined = " ".join(sentence.text for sentence in draw)
        keys = sum(sentence.text in text.keys for sentence in draw) / count
        covered = len(measures.sections_of((s.start for s in draw), talk.borders)) / count
        each.append([keys, covered, measures.rouge(joined, text.summary), measures.rouge(joined, text.summary, 2)])
    return [fmean(column) for column in zip(*each, strict=True)]


def _faults() -> None:
    """Print how many quotes, headlines and titles have a fault that a reader would see at once."""
    quotes: list[bool] = []
    headlines: list[bool] = []
    titles: list[bool] = []
    for talk in talks():
        summary = ContentSummary(talk.content(), name="talk 12.mp4")
        quotes += [leans(each.text, summary.language) for each in summary.key_sentences(6)]
        headlines += [highlight.headline.endswith("…") for highlight in summary.highlights()]
        titles += [" " not in chapter.title for chapter in summary.chapters()]
    print()
    for what, found in (
        ("quotes that open with a pronoun for something before them", quotes),
        ("headlines that are cut", headlines),
        ("titles of one word", titles),
    ):
        print(f"{sum(found)} of {len(found)} {what}")


def _read(texts: Sequence[TalkText]) -> None:
    print("\nTo be read by a person:")
    for text, talk in zip(texts, talks(), strict=True):
        summary = ContentSummary(talk.content(), name=f"{text.name}.mp4")
        print(f"\n{text.title} -> {summary.title}; topics: {', '.join(summary.topics())}")
        for chapter in summary.chapters():
            print(f"  {chapter.start:6.1f} {chapter.title} | {chapter.summary}")
        for highlight in summary.highlights():
            print(f"       * {highlight.headline}")

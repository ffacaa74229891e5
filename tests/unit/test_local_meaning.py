"""Sentence vectors: tokens, numbers, files that cannot be used, and which clips are nearest."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from pipeline.local.analysis.plugins.meaning.encoder import SentenceEncoder
from pipeline.local.analysis.plugins.meaning.models import UnusableModel, find_folder, open_model
from pipeline.local.analysis.plugins.meaning.wordpiece import WordPieces
from pipeline.local.analysis.ranking.search_hits import hits_of_any, with_nearest
from pipeline.local.state import fulltext, vectors
from pipeline.local.state.fulltext import ClipMatch
from tests.bench.understanding import search
from tests.support.sentence_model import (
    CONFIG,
    HEADS,
    LAYERS,
    SIZE,
    VOCABULARY,
    Tensors,
    random_tensors,
    safetensors,
    write_model,
)

TEXTS = ["The sea rises.", "sea", "the the the rises twice a sea.", "Naïve 東 abb"]


def encoder(folder: Path, tensors: Tensors | None = None) -> SentenceEncoder:
    """Return the encoder of a model that is written for it."""
    return SentenceEncoder(open_model(write_model(folder, tensors), trusted=True))


def test_words_become_their_longest_known_pieces() -> None:
    """Case and accents fall, marks and ideographs stand alone, what has no pieces is unknown, and a long text is cut."""
    pieces = WordPieces(VOCABULARY, 8)
    names = [VOCABULARY[number] for number in pieces.encode("The SEA rises. naïve 東 x")]
    assert names == ["[CLS]", "the", "sea", "rise", "##s", ".", "naive", "[SEP]"]
    assert [VOCABULARY[n] for n in pieces.encode("東 x ab a\u200bb")] == [
        "[CLS]", "東", "[UNK]", "a", "##b", "a", "##b", "[SEP]",
    ]  # fmt: skip
    assert pieces.encode("") == [VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")]


def slow(tensors: Tensors, tokens: list[int]) -> list[float]:
    """Return the vector of one text, written out number by number."""

    def dot(a: Iterable[float], b: Iterable[float]) -> float:
        return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))

    def linear(row: list[float], name: str) -> list[float]:
        return [dot(w, row) + float(b) for w, b in zip(tensors[f"{name}.weight"], tensors[f"{name}.bias"], strict=True)]

    def normal(row: list[float], name: str) -> list[float]:
        mean = fmean(row)
        spread = math.sqrt(fmean((x - mean) ** 2 for x in row) + 1e-12)
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return [(x - mean) / spread * float(w) + float(b) for x, w, b in zip(row, weight, bias, strict=True)]

    def added(rows: list[list[float]], more: list[list[float]], name: str) -> list[list[float]]:
        return [normal([x + y for x, y in zip(a, b, strict=True)], name) for a, b in zip(rows, more, strict=True)]

    place, kind = (
        tensors["embeddings.position_embeddings.weight"],
        tensors["embeddings.token_type_embeddings.weight"][0],
    )
    words = tensors["embeddings.word_embeddings.weight"]
    state = [
        normal([float(words[t][i] + place[n][i] + kind[i]) for i in range(SIZE)], "embeddings.LayerNorm")
        for n, t in enumerate(tokens)
    ]
    part = SIZE // HEADS
    for number in range(LAYERS):
        name = f"encoder.layer.{number}."
        query, key, value = (
            [linear(row, f"{name}attention.self.{w}") for row in state] for w in ("query", "key", "value")
        )
        mixed = []
        for q in query:
            row: list[float] = []
            for head in range(HEADS):
                span = slice(head * part, head * part + part)
                scores = [dot(q[span], k[span]) / math.sqrt(part) for k in key]
                share = [math.exp(s - max(scores)) for s in scores]
                row += [dot(share, (v[span][i] for v in value)) / sum(share) for i in range(part)]
            mixed.append(linear(row, f"{name}attention.output.dense"))
        state = added(state, mixed, f"{name}attention.output.LayerNorm")
        wide = [linear(row, f"{name}intermediate.dense") for row in state]
        bent = [[x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in row] for row in wide]
        state = added(state, [linear(row, f"{name}output.dense") for row in bent], f"{name}output.LayerNorm")
    mean = [fmean(row[i] for row in state) for i in range(SIZE)]
    length = math.sqrt(sum(x * x for x in mean))
    return [x / length for x in mean]


def test_vectors_are_those_of_the_model_written_out(tmp_path: Path) -> None:
    """Embeddings, attention, gelu, norms and the mean over tokens agree with plain arithmetic, to a 127th."""
    tensors = random_tensors()
    found = encoder(tmp_path / "model", tensors).encode(TEXTS)
    pieces = WordPieces(VOCABULARY, 32)
    for text, row in zip(TEXTS, found, strict=True):
        assert row.tolist() == pytest.approx([127 * x for x in slow(tensors, pieces.encode(text))], abs=0.51)


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(tmp_path: Path) -> None:
    """What is padded does not count, and the order of texts stays theirs."""
    model = encoder(tmp_path / "model")
    together = model.encode(TEXTS * 9)
    alone = [model.encode([text])[0] for text in TEXTS]
    assert np.abs(together.astype(int) - np.array(alone * 9).astype(int)).max() <= 1


def test_weights_in_half_precision_and_with_a_prefix_are_read(tmp_path: Path) -> None:
    """Both ways in which such models are saved give the same vectors."""
    halves: Tensors = {name: tensor.astype(np.float16) for name, tensor in random_tensors().items()}
    plain = encoder(tmp_path / "plain", {name: tensor.astype(np.float32) for name, tensor in halves.items()})
    half = encoder(tmp_path / "half", halves)
    named = encoder(tmp_path / "named", {f"bert.{name}": tensor for name, tensor in halves.items()})
    assert (plain.encode(TEXTS) == half.encode(TEXTS)).all()
    assert (half.encode(TEXTS) == named.encode(TEXTS)).all()


def _without_file(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _no_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def _configured(**changed: object) -> Callable[[Path], None]:
    config = {name: value for name, value in {**CONFIG, **changed}.items() if value != "left out"}

    def damage(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return damage


def _longer_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join([*VOCABULARY, "land"]), encoding="utf-8")


def _not_finite(folder: Path) -> None:
    tensors = random_tensors()
    tensors["encoder.layer.0.output.dense.bias"][:] = np.nan
    (folder / "model.safetensors").write_bytes(safetensors(tensors))


@pytest.mark.parametrize(
    "damage",
    [
        _without_file("config.json"), _without_file("vocab.txt"), _without_file("model.safetensors"),
        _cut, _no_header, _longer_vocabulary, _not_finite, _configured(model_type="gpt2"),
        _configured(num_hidden_layers=5), _configured(num_hidden_layers="left out"), _configured(num_hidden_layers=None),
        _configured(num_attention_heads=0), _configured(num_attention_heads=3),
    ],
)  # fmt: skip
def test_a_damaged_model_is_told_and_not_used(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Each fault names the folder, before any text is encoded."""
    folder = write_model(tmp_path / "model")
    damage(folder)
    with pytest.raises(UnusableModel, match="model"):
        SentenceEncoder(open_model(folder, trusted=True))


def test_texts_are_cut_to_the_positions_that_a_model_has(tmp_path: Path) -> None:
    """Whatever its configuration says of them."""
    folder = write_model(tmp_path / "model")
    _configured(max_position_embeddings=512)(folder)
    assert SentenceEncoder(open_model(folder, trusted=True)).encode(["sea " * 99]).shape == (1, SIZE)


def test_a_wheel_with_other_weights_than_the_published_ones_is_refused(tmp_path: Path) -> None:
    """What the user has named may be any model; what comes by a package must be the one that is known."""
    folder = write_model(tmp_path / "model")
    assert open_model(folder, trusted=True).id.startswith("model ")
    with pytest.raises(UnusableModel, match="not those that were published"):
        open_model(folder, trusted=False)


def database(*clips: tuple[str, str, bytes]) -> sqlite3.Connection:
    """Return a database with clips of an index: (video, text, vector)."""
    db = sqlite3.connect(":memory:")
    for statement in (*fulltext.DDL, *vectors.DDL):
        db.execute(statement)
    for number, (video, text, vector) in enumerate(clips):
        fulltext.add(db, "i", video, [("conversation", float(number), number + 1.0, text)])
        vectors.put(db, "m", vectors.clips_of(db, video)[-1:], [vector])
    return db


def test_the_nearest_clips_come_first_and_far_ones_not_at_all() -> None:
    """The order is that of the cosines, and what points elsewhere is not near."""
    db = database(("v", "near", bytes([127, 0])), ("v", "nearer", bytes([90, 90])), ("w", "far", bytes([0, 127])))
    found = vectors.nearest(db, "i", ["conversation"], "m", bytes([120, 40]))
    assert [match.text for match in found] == ["near", "nearer", "far"]
    assert all(45 <= match.score <= 60 and match.by_meaning for match in found)
    assert [m.text for m in vectors.nearest(db, "i", ["conversation"], "m", bytes([127, 0]))] == ["near", "nearer"]
    assert [m.text for m in vectors.nearest(db, "i", ["conversation"], "m", bytes([127, 0]), most=1)] == ["near"]
    for nothing in (("other", ["conversation"], "m"), ("i", ["text_in_video"], "m"), ("i", ["conversation"], "n")):
        assert vectors.nearest(db, *nothing, bytes([127, 0])) == []


def test_a_clips_vector_goes_with_it() -> None:
    """A video that is dropped leaves no vectors, and one that is gone gets none."""
    db = database(("v", "near", bytes([127, 0])), ("w", "far", bytes([0, 127])))
    fulltext.drop(db, "v")
    vectors.put(db, "m", [(1, "near")], [bytes([1, 1])])
    assert db.execute("SELECT seq FROM clip_vectors").fetchall() == [(2,)]


def test_a_vector_never_falls_to_a_clip_that_has_taken_the_number() -> None:
    """A video that is deleted while its clips are encoded frees their numbers, and another may have them by then."""
    db = database(("v", "near", bytes([127, 0])), ("w", "far", bytes([0, 127])))
    encoded = vectors.clips_of(db, "w")
    fulltext.drop(db, "w")
    fulltext.add(db, "i", "x", [("conversation", 0.0, 1.0, "another")])
    assert [number for number, _ in vectors.clips_of(db, "x")] == [number for number, _ in encoded]
    vectors.put(db, "m", encoded, [bytes([0, 127])])
    assert vectors.nearest(db, "i", ["conversation"], "m", bytes([0, 127])) == []


def test_what_has_no_vector_is_read_in_pieces_that_end() -> None:
    """Each clip of an index is named once, also where none of them gets a vector; what is in no index is not."""
    db = database(*((f"v{n}", f"text {n}", bytes([1, 2])) for n in range(5)))
    db.execute("CREATE TABLE videos (id TEXT)")
    db.executemany("INSERT INTO videos VALUES (?)", [(f"v{n}",) for n in range(4)])
    assert vectors.missing(db, "m", 0, 9) == []
    seen: list[str] = []
    after = 0
    while clips := vectors.missing(db, "another", after, 3):
        seen += [text for _, text in clips]
        after = clips[-1][0]
    assert seen == [f"text {n}" for n in range(4)]


def test_all_of_the_words_beat_meaning_and_meaning_beats_a_few_words() -> None:
    """A clip that has words and is near counts once, and is not called near where its words weigh more."""

    def clip(text: str, score: float, *, near: bool = False) -> ClipMatch:
        return ClipMatch("v", "conversation", float(len(text)), len(text) + 1.0, text, score, near)

    words = hits_of_any([clip("all", 99.0), clip("most of", 70.0), clip("few", 40.0)])
    found = with_nearest(words, [clip("all", 58.0, near=True), clip("meant", 52.0, near=True)])
    assert [hit.text for hit in found] == ["all", "most of", "meant", "few"]
    assert [hit.by_meaning for hit in found] == [False, False, True, False]


@pytest.mark.skipif(find_folder("auto") is None, reason="the wheel with a sentence model is not installed")
def test_the_installed_model_finds_what_means_the_same() -> None:
    """Queries in other words, in English: the section that is meant is among the first three in 85 of 100."""
    installed = search.installed_encoder()
    assert installed is not None
    db = search.fill(installed)
    found = search.measured(lambda query: with_nearest(search.by_words(db, query), search.near(db, installed, query)))
    assert fmean(0 < rank <= 3 for rank in found["other words, English"]) >= 0.85
    assert all(rank == 1 for label, ranks in found.items() if label.startswith("own") for rank in ranks)


def test_words_alone_find_every_query_in_its_own_words() -> None:
    """Literal search is exact, with a model or without one."""
    db = search.fill(None)
    found = search.measured(lambda query: search.by_words(db, query))
    assert all(rank == 1 for label, ranks in found.items() if label.startswith("own") for rank in ranks)

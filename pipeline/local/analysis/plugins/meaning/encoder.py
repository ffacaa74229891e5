"""A BERT's sentence vectors, computed by numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.local.analysis.plugins.meaning.models import SentenceModel, UnusableModel
from pipeline.local.analysis.plugins.meaning.tensors import Tensor, read_tensors
from pipeline.local.analysis.plugins.meaning.wordpiece import WordPieces

_MOST_TOKENS = 256  # of a sentence, as the model was trained
_BATCH = 16  # sentences at once
_SCALE = 127  # of a vector's numbers as it is stored: one signed byte each


class SentenceEncoder:
    """Turns sentences into vectors of length one.

    Their products tell how near meanings are.

    Raises:
        UnusableModel: the folder lacks the vocabulary or a tensor, or they do not fit together.
    """

    def __init__(self, model: SentenceModel) -> None:
        self.model = model
        self._tensors: Mapping[str, Tensor] = read_tensors(model)
        try:
            self._layers = int(model.config["num_hidden_layers"])
            self._heads = int(model.config["num_attention_heads"])
            self._epsilon = float(model.config.get("layer_norm_eps", 1e-12))
            vocabulary = (model.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
            most = min(_MOST_TOKENS, len(self._tensors["embeddings.position_embeddings.weight"]))
            self._tokens = WordPieces(vocabulary, most)
            if not np.isfinite(self._forward([[0, len(vocabulary) - 1]])).all():
                raise ValueError("its numbers are not finite")
        except KeyError as error:
            raise UnusableModel(f"{model.folder} is not whole: it lacks {error}") from None
        except (OSError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            raise UnusableModel(f"{model.folder} is not whole: {error}") from None

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int8]:
        """Return one row of signed bytes per text; 127 stands for 1."""
        tokens = [self._tokens.encode(text) for text in texts]
        size = int(self._tensors["embeddings.word_embeddings.weight"].shape[1])
        found = np.zeros((len(texts), size), dtype=np.int8)
        order = sorted(range(len(texts)), key=lambda n: len(tokens[n]))  # so that little is padded
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            found[batch] = np.rint(self._forward([tokens[n] for n in batch]) * _SCALE).astype(np.int8)
        return found

    def _forward(self, rows: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, rows))
        ids = np.zeros((len(rows), longest), dtype=np.intp)
        real = np.zeros((len(rows), longest), dtype=np.float32)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            real[number, : len(row)] = 1
        t = self._tensors
        state = t["embeddings.word_embeddings.weight"][ids] + t["embeddings.position_embeddings.weight"][:longest]
        state = self._normal(state + t["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        unseen = ((1 - real) * -1e9)[:, np.newaxis, np.newaxis, :]
        for number in range(self._layers):
            state = self._layer(state, unseen, f"encoder.layer.{number}.")
        mean = (state * real[:, :, np.newaxis]).sum(1) / real.sum(1, keepdims=True)
        result: Tensor = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
        return result

    def _layer(self, state: Tensor, unseen: Tensor, name: str) -> Tensor:
        query, key, value = (self._split(self._linear(state, f"{name}attention.self.{n}")) for n in _ATTENTION)
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(query.shape[-1] ** 0.5) + unseen
        share: Tensor = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (share / share.sum(-1, keepdims=True) @ value).transpose(0, 2, 1, 3).reshape(state.shape)
        state = self._normal(
            state + self._linear(mixed, f"{name}attention.output.dense"), f"{name}attention.output.LayerNorm"
        )
        wide = _gelu(self._linear(state, f"{name}intermediate.dense"))
        return self._normal(state + self._linear(wide, f"{name}output.dense"), f"{name}output.LayerNorm")

    def _split(self, state: Tensor) -> Tensor:
        rows, length, size = state.shape
        return state.reshape(rows, length, self._heads, size // self._heads).transpose(0, 2, 1, 3)

    def _linear(self, state: Tensor, name: str) -> Tensor:
        result: Tensor = state @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return result

    def _normal(self, state: Tensor, name: str) -> Tensor:
        centred = state - state.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(self._epsilon))
        result: Tensor = centred / spread * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]
        return result


def unit_rows(rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Return stored vectors as numbers, each of length one."""
    numbers = rows.astype(np.float64)
    result: npt.NDArray[np.float64] = numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-9)
    return result


_ATTENTION = ("query", "key", "value")
#: Abramowitz and Stegun 7.1.26: the error function within 1.5e-7.
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _gelu(x: Tensor) -> Tensor:
    share = _erf(np.multiply(x, 0.5**0.5, dtype=np.float32)) + np.float32(1)
    return np.multiply(x * share, 0.5, dtype=np.float32)


def _erf(x: Tensor) -> Tensor:
    size = np.abs(x)
    step = np.reciprocal(np.float32(1) + np.float32(0.3275911) * size)
    series: Tensor = np.zeros_like(x)
    for factor in _ERF:
        series = np.multiply(series + np.float32(factor), step, dtype=np.float32)
    result: Tensor = np.sign(x) * (1 - series * np.exp(-size * size))
    return result

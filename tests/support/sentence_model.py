"""A sentence model of a few thousand random numbers, in the files that real ones come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "sea", "rise", "##s", "naive", ".", "東", "a", "##b", "twice"]
SIZE, HEADS, LAYERS, WIDE, LENGTH = 16, 4, 2, 24, 32
CONFIG = {
    "model_type": "bert", "hidden_act": "gelu", "hidden_size": SIZE, "num_hidden_layers": LAYERS, "layer_norm_eps": 1e-12,
    "num_attention_heads": HEADS, "intermediate_size": WIDE, "max_position_embeddings": LENGTH,
}  # fmt: skip
Tensors = dict[str, np.ndarray[Any, np.dtype[np.floating[Any]]]]


def random_tensors(seed: int = 1) -> Tensors:
    """Return the tensors of a BERT of that size."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), SIZE),
        "embeddings.position_embeddings.weight": (LENGTH, SIZE),
        "embeddings.token_type_embeddings.weight": (2, SIZE),
        "embeddings.LayerNorm.weight": (SIZE,),
        "embeddings.LayerNorm.bias": (SIZE,),
    }
    for number in range(LAYERS):
        name = f"encoder.layer.{number}."
        linear = {f"attention.self.{part}": (SIZE, SIZE) for part in ("query", "key", "value")}
        linear |= {
            "attention.output.dense": (SIZE, SIZE),
            "intermediate.dense": (WIDE, SIZE),
            "output.dense": (SIZE, WIDE),
        }
        for part, shape in linear.items():
            shapes |= {f"{name}{part}.weight": shape, f"{name}{part}.bias": shape[:1]}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}{part}.weight": (SIZE,), f"{name}{part}.bias": (SIZE,)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def safetensors(tensors: Tensors) -> bytes:
    """Return the bytes of a safetensors file; half precision stays that."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        first = len(data)
        half = tensor.dtype == np.float16
        data += tensor.astype("<f2" if half else "<f4").tobytes()
        header[name] = {
            "dtype": "F16" if half else "F32",
            "shape": list(tensor.shape),
            "data_offsets": [first, len(data)],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write_model(folder: Path, tensors: Tensors | None = None) -> Path:
    """Write a model into a new folder and return it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(tensors or random_tensors()))
    return folder

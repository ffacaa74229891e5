"""The numbers of a model, read from a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.core.model import Json
from pipeline.local.analysis.plugins.meaning.models import SentenceModel, UnusableModel

Tensor: TypeAlias = npt.NDArray[np.float32]
_DTYPES = {"F32": "<f4", "F16": "<f2"}
_MAX_HEADER = 1 << 24  # bytes


def read_tensors(model: SentenceModel) -> dict[str, Tensor]:
    """Return the tensors by name, mapped from the file where they are float32.

    Raises:
        UnusableModel: the file is damaged, or holds other numbers than floats.
    """
    try:
        raw = np.memmap(model.folder / "model.safetensors", dtype=np.uint8, mode="r")
        size = int.from_bytes(raw[:8].tobytes(), "little")
        if not 0 < size <= min(_MAX_HEADER, len(raw) - 8):
            raise ValueError("no header")
        header = json.loads(raw[8 : 8 + size].tobytes())
        return {
            name.removeprefix("bert."): _tensor(raw[8 + size :], entry)
            for name, entry in header.items()
            if name != "__metadata__" and entry["dtype"] in _DTYPES
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableModel(f"{model.folder}/model.safetensors is damaged: {error}") from None


def _tensor(data: npt.NDArray[np.uint8], entry: Mapping[str, Json]) -> Tensor:
    first, last = entry["data_offsets"]
    if not 0 <= first <= last <= len(data):
        raise ValueError("a tensor lies outside of the file")
    found = data[first:last].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return found.astype(np.float32, copy=False)

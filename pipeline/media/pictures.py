"""The one safe way to open a foreign picture. Blocks."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")
_SIDE = 4096  #: pixels


def open_picture(data: bytes) -> Image | None:
    """Return a whole, decoded picture with its ``format``; None for anything else."""
    from PIL import Image  # takes a moment to load: only where it is needed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of pictures that would fill the memory
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            if max(picture.size) > _SIDE:
                return None
            picture.load()
            return picture
    except (OSError, ValueError, SyntaxError, KeyError, Warning, Image.DecompressionBombError):
        return None

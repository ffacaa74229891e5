"""The process that reads captions; run as ``python -m``.

It takes ``{"texts": [[<folder>, <text>], ...]}`` and answers ``{"scripts": [...]}``.
"""

from __future__ import annotations

from pipeline.core.model import Json
from pipeline.gallery.data_files import captions_script
from pipeline.media.process_lines import serve_lines


def answer(request: Json) -> Json:
    """Return what one request gets."""
    return {"scripts": [captions_script(folder, text) for folder, text in request["texts"]]}


if __name__ == "__main__":
    serve_lines(answer)

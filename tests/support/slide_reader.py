"""A stand-in for the ``tesseract`` program: it knows a film's slides by sight and reads them out.

Tests of what happens to recognised text need no OCR engine on the machine, and get the same words on each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import av

_GRID = (160, 90)  #: columns and rows of the brightness pattern that a slide is known by
_PROGRAM = """#!{python} -IS
import json, sys
from pathlib import Path

data = sys.stdin.buffer.read()
size = data.split(b" ", 3)
width, height = int(size[1]), int(size[2])
picture = data[len(data) - width * height :]
columns, rows = {grid}
seen = [picture[(2 * y + 1) * height // (2 * rows) * width + (2 * x + 1) * width // (2 * columns)]
        for y in range(rows) for x in range(columns)]
slides = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
away = lambda slide: sum(abs(a - b) for a, b in zip(slide["pattern"], seen))
best = min(slides, key=away)
print("level page block par line word left top width height conf text".replace(" ", "\\t"))
if away(best) < 12 * len(seen):
    for line, text in enumerate(best["lines"], 1):
        tall = height // (8 if line == 1 else 16)
        for word, each in enumerate(text.split(), 1):
            print(5, 1, line, 1, 1, word, 60 * word, line * height // 6, 50, tall, 96, each, sep="\\t")
"""


def install_slide_reader(folder: Path, film: Path, slides: Sequence[tuple[str, Sequence[str]]]) -> Path:
    """Write the program for a film of slides; return its folder, to be put on the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [
        {"pattern": pattern, "lines": [heading, *lines]}
        for pattern, (heading, lines) in zip(_patterns(film), slides, strict=True)
    ]
    program = folder / "tesseract"
    program.with_suffix(".json").write_text(json.dumps(known), encoding="utf-8")
    program.write_text(_PROGRAM.format(python=sys.executable, grid=_GRID), encoding="utf-8")
    program.chmod(0o755)
    return folder


def _patterns(film: Path) -> list[list[int]]:
    """Return the pattern of each picture that differs from the one before."""
    found: list[list[int]] = []
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            pattern = _pattern(frame)
            if not found or sum(abs(a - b) for a, b in zip(found[-1], pattern, strict=True)) > len(pattern):
                found.append(pattern)
    return found


def _pattern(frame: av.VideoFrame) -> list[int]:
    columns, rows = _GRID
    grey = frame.to_ndarray(format="gray")
    height, width = grey.shape
    return [
        int(grey[(2 * y + 1) * height // (2 * rows), (2 * x + 1) * width // (2 * columns)])
        for y in range(rows)
        for x in range(columns)
    ]

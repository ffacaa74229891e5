"""On-screen text through the ``tesseract`` program, where it is installed.

Optional: without it nothing fails.
A frame goes in as PGM on stdin and words come out as TSV with a confidence each. One thread per program
(``OMP_THREAD_LIMIT``; with more, one frame took 30 s on a busy machine) and a time limit per frame (noise took minutes).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.local.analysis.evidence import Picture

SECONDS_PER_FRAME = 4.0
MIN_CONFIDENCE = 60.0  #: per word, of tesseract's 0 to 100
_MIN_LINE = 3  # letters and digits that a line must have
_LONG_LINE = 6  # letters and digits that chance hardly makes
_SURE = 85.0  # confidence that one word of a shorter line must have: leaves and fur make syllables of 60 to 84


@dataclass(frozen=True, slots=True)
class OcrLine:
    """One line of text; ``height`` is its tallest word's share of the frame's height."""

    text: str
    top: float  #: share of the frame's height, 0 at the top
    height: float


class Ocr:
    """The program as found on the PATH, or none: then nothing is read."""

    def __init__(self, program: str | None = "tesseract", *, seconds_per_frame: float = SECONDS_PER_FRAME) -> None:
        self._program = shutil.which(program) if program else None
        self._limit = seconds_per_frame
        self.gave_up = 0  #: frames on which the program failed or ran into the time limit

    @property
    def available(self) -> bool:
        """True if there is a program to ask."""
        return self._program is not None

    def read(self, picture: Picture) -> list[OcrLine]:
        """Return the legible lines of a grey picture, top first."""
        if self._program is None:
            return []
        height, width = picture.shape
        image = b"P5 %d %d 255\n" % (width, height) + picture.tobytes()
        command = [self._program, "stdin", "stdout", "--psm", "11", "--dpi", "96", "tsv"]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(
                command, input=image, capture_output=True, timeout=self._limit, check=True, env=environment
            )
        except (OSError, subprocess.SubprocessError):
            self.gave_up += 1
            return []
        return list(_lines(done.stdout.decode("utf-8", "replace"), height))


def _lines(table: str, height: int) -> Iterator[OcrLine]:
    """Put the words of a TSV table together by line, without doubtful ones."""
    rows: dict[tuple[str, ...], list[tuple[str, int, int, float]]] = {}
    for row in table.splitlines()[1:]:
        fields = row.split("\t")
        if len(fields) != 12 or not (fields[7].isdigit() and fields[9].isdigit()):
            continue
        sure = _confidence(fields[10])
        if sure >= MIN_CONFIDENCE:
            rows.setdefault(tuple(fields[1:5]), []).append((fields[11].strip(), int(fields[7]), int(fields[9]), sure))
    lines = []
    for words in rows.values():
        text = " ".join(word for word, *_ in words)
        if _is_legible(text, max(sure for *_, sure in words)):
            top = min(word_top for _, word_top, _, _ in words)
            lines.append(OcrLine(text, top / height, max(tall for _, _, tall, _ in words) / height))
    yield from sorted(lines, key=lambda line: line.top)


def _is_legible(text: str, sure: float) -> bool:
    """True for a line of letters; a short one must be read for sure."""
    letters = sum(map(str.isalnum, text))
    if letters < _MIN_LINE or (letters < _LONG_LINE and sure < _SURE):
        return False
    return letters >= 0.6 * len(text.replace(" ", ""))


def _confidence(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return 0.0

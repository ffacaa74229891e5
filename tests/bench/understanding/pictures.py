"""What the local platform sees, on videos with known truth, and what reading them costs beside a plain decode.

A border counts as found within half a second. The cost is CPU time: reading a video whole (without a program for text in
pictures) against decoding the same file with PyAV and nothing else, in turns, the least of each.

Reading passes over the pictures that no other depends on. Where an encoder writes none (``h264, no B``, ``vp8``), all must be
decoded, and what is left to gain is what follows. To leave out the loop filter as well saves a quarter to a half of the
decoding, but errors add up until the next key picture: borders move by up to 0.6 s here, and one appears that is not there.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import av

from pipeline.local.analysis.extract.reader import read
from pipeline.local.analysis.plugins.ocr import Ocr
from tests.bench.understanding.measures import hits
from tests.bench.understanding.videos import CODECS, make

CLOSE = 0.5  #: seconds
TURNS = 3


def cost(work: Callable[[], object]) -> float:
    """Return CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def decode(path: Path) -> None:
    """Decode every picture, and do nothing with it."""
    with av.open(str(path)) as container:
        for _ in container.decode(video=0):
            pass


def compare(path: Path, turns: int) -> float:
    """Return the cost of a plain decode, as a multiple of that of reading."""
    plain, whole = [], []
    for _ in range(turns):
        plain.append(cost(lambda: decode(path)))
        whole.append(cost(lambda: read(path, ocr=Ocr(None))))
    return min(plain) / min(whole)


def report() -> None:
    """Print what is found, and how fast."""
    print(f"\n{'codec':<13} {'video':<32} {'found':>6} {'of':>3} {'false':>6} {'speed':>8}")
    for codec in CODECS:
        right = wrong = there = 0
        speeds = []
        with tempfile.TemporaryDirectory() as folder:
            for made in make(Path(folder), codec):
                content = read(made.path, ocr=Ocr(None))
                found = [shot.start for shot in content.shots[1:]]
                right_here = hits(
                    [0.0, *found, content.facts.seconds], [0.0, *made.borders, content.facts.seconds], CLOSE
                )
                right, wrong, there = right + right_here, wrong + len(found) - right_here, there + len(made.borders)
                speeds.append(compare(made.path, TURNS))
                figures = f"{right_here:>6} {len(made.borders):>3} {len(found) - right_here:>6} {speeds[-1]:>7.2f}x"
                print(f"{codec:<13} {made.name:<32} {figures}", flush=True)
        rates = f"recall {right / there:.2f}, precision {right / max(1, right + wrong):.2f} of n = {there} borders"
        print(f"{codec:<13} {rates}; speed {min(speeds):.2f} to {max(speeds):.2f}x\n", flush=True)

"""What the local platform understands, measured against known truth; one part a file."""

from __future__ import annotations

import argparse
import importlib

#: part -> what it measures; each is a module here with ``report() -> None``
PARTS = {
    "pictures": "borders of slides and shots, and the cost of reading a video beside that of decoding it",
    "search": "queries in a talk's own words, and in others, with and without sentence vectors",
    "words": "chapters, digest, highlights and titles from captions alone, beside plain baselines",
}


def main() -> None:
    """Measure the parts that are named, else all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", metavar="PART", help="; ".join(f"{k}: {v}" for k, v in PARTS.items()))
    wanted = parser.parse_args().part
    if unknown := sorted(set(wanted) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    for part in wanted or PARTS:
        importlib.import_module(f"{__name__}.{part}").report()

"""``python -m tests.faults.enumerate [WORD …]``: every scene of the enumeration (or those named), as a table."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog

from tests.faults.crash_scenes import Studio
from tests.faults.crash_trial import Count, Trial, table


def main(words: Sequence[str]) -> None:
    """Run the scenes and print what they came to."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    counts: list[Count] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in Studio(Path(folder)).scenes().items():
            if not words or any(word in name for word in words):
                counts.append(Trial(make()).run())
    print("\n".join(table(counts)))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What a piece of our code costs in memory and time, in a process of its own: nothing of the test's own is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cli import environment

MEGABYTE = 1024 * 1024
_FRAME = """
import json, resource, sys, time
{before}
_unit = 1 if sys.platform == "darwin" else 1024
_start, _low = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = ""
try:
    {work}
except Exception as error:
    found = type(error).__name__ + ": " + str(error)
_high = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"found": str(found), "cpu": time.process_time() - _start, "grown": (_high - _low) * _unit}}))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What came out, and at which price: processor seconds, and bytes by which the process's peak grew."""

    found: str
    cpu: float
    grown: int


def measured(before: str, work: str, *args: object) -> Cost:
    """Run ``work`` (one statement, which may set ``found``) after ``before``; ``args`` are in ``sys.argv``."""
    ran = subprocess.run(
        [sys.executable, "-c", _FRAME.format(before=before, work=work), *map(str, args)], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], env=environment(), timeout=120, check=True,
    )  # fmt: skip
    return Cost(**json.loads(ran.stdout.splitlines()[-1]))

"""What a piece of our code costs in memory and time, in a process of its own: nothing of the test's own is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import environment

MEGABYTE = 1024 * 1024
_FRAME = """
import json, sys, time
from tests.security.measured import peak as _peak
{before}
_start, _low = time.process_time(), _peak()
found = ""
try:
    {work}
except Exception as error:
    found = type(error).__name__ + ": " + str(error)
print(json.dumps({{"found": str(found), "cpu": time.process_time() - _start, "grown": _peak() - _low}}))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What came out, and at which price: processor seconds, and bytes by which the process's peak grew."""

    found: str
    cpu: float
    grown: int


def peak() -> int:
    """Return the most memory that this process ever had, bytes.

    What ``getrusage`` says on Linux begins with what the process was forked from: the whole test run.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) * 1024


def measured(before: str, work: str, *args: object) -> Cost:
    """Run ``work`` (one statement, which may set ``found``) after ``before``; ``args`` are in ``sys.argv``."""
    ran = subprocess.run(
        [sys.executable, "-c", _FRAME.format(before=before, work=work), *map(str, args)], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], env=environment(), timeout=120, check=True,
    )  # fmt: skip
    return Cost(**json.loads(ran.stdout.splitlines()[-1]))

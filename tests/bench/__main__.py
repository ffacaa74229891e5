"""``python -m tests.bench COMMAND [OPTIONS]``: see each command's ``--help``."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "orchestration": "items per second of a whole run, against a bare HTTP loop that makes the same requests",
    "queue": "peak memory of a run and the time to its first request, with a long queue",
    "polling": "list requests per minute with many uploads and analyses in flight",
    "posters": "what one poster costs, in time, memory and bytes",
    "store": "rows, claims and outcomes per second of the SQLite store",
    "gallery": "the gallery's page in real browsers: first cards, search, memory, sizes, and the time to write it",
    "transport": "what one HTTP request costs",
    "quota": "how much of a quota is used and how often one is refused, beside two plain clients, in virtual time",
    "backfill": "how long a library of 100,000 videos takes against limits, as tasks and by batches, beside what plan says",
    "scale": "how long commands take, and what a night needs, over a library of a million rows; each beside its limit",
    "understanding": "what the local platform understands of talks with known truth, beside plain baselines",
    "startup": "how long short commands take, what each imports, and what its libraries alone need",
}


def main() -> None:
    """Load the command's module and hand it the rest of the arguments."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        print(__doc__, *(f"  {command:<15} {text}" for command, text in COMMANDS.items()), sep="\n")
        raise SystemExit(0 if name in ("", "-h", "--help") else 2)
    sys.argv[:2] = [f"tests.bench {name}"]
    importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main()

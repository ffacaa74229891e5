"""``python -m tests.bench COMMAND [OPTIONS]``: see each command's ``--help``."""

from __future__ import annotations

import importlib
import subprocess
import sys

COMMANDS = {
    "orchestration": "items per second of a whole run, against a bare HTTP loop that makes the same requests",
    "peers": "a run beside the vendor's SDK, DBOS, PgQueuer and a plain aiohttp loop: one table, one plot",
    "queue": "peak memory of a run and the time to its first request, with a long queue",
    "polling": "list requests per minute with many uploads and analyses in flight",
    "posters": "what one poster costs, in time, memory and bytes",
    "store": "rows, claims and outcomes per second of the SQLite store",
    "gallery": "the gallery's page in real browsers: first cards, search, memory, sizes, and the time to write it",
    "transport": "what one HTTP request costs",
    "upload": "the CPU and memory of one large upload in chunks, beside bare httpx",
    "quota": "how much of a quota is used and how often one is refused, beside two plain clients, in virtual time",
    "backfill": "how long a library of 100,000 videos takes against limits, as tasks and by batches, beside what plan says",
    "plans": "how PostgreSQL carries out each statement over a million rows; fails where one reads a table whole",
    "scale": "how long commands take, and what a night needs, over a library of a million rows; each beside its limit",
    "understanding": "what the local platform understands of talks with known truth, beside plain baselines",
    "startup": "how long short commands take, what each imports, and what its libraries alone need",
    "all": "all of these in turn, the peers first, with their plot in bench.svg; takes hours on a small machine",
}


def main() -> None:
    """Load the command's module and hand it the rest of the arguments."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        print(__doc__, *(f"  {command:<15} {text}" for command, text in COMMANDS.items()), sep="\n")
        raise SystemExit(0 if name in ("", "-h", "--help") else 2)
    if name == "all":
        raise SystemExit(_all())
    sys.argv[:2] = [f"tests.bench {name}"]
    importlib.import_module(f"tests.bench.{name}").main()


def _all() -> int:
    """Run each command in a process of its own; return 1 if one failed, after all have run."""
    failed = []
    for command in ("peers", *(each for each in COMMANDS if each not in ("peers", "all"))):
        print(f"\n# {command}\n", flush=True)
        given = ["--svg", "bench.svg"] if command == "peers" else []
        if subprocess.run([sys.executable, "-m", "tests.bench", command, *given], check=False).returncode:
            failed.append(command)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return min(1, len(failed))


if __name__ == "__main__":
    main()

"""One measured peer in a process of its own: ``python -m tests.bench.peers.child PEER WORK``."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys

from tests.bench.peers.work import Work


def main() -> None:
    """Do the work that is told as JSON; print the figures as the last line."""
    name, text = sys.argv[1:]
    work = Work.from_text(text)
    figures = asyncio.run(importlib.import_module(f"tests.bench.peers.{name}").run(work))
    assert work.kept() == work.items, (work.kept(), work.items)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

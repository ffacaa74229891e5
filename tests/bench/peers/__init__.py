"""Reelmill beside other ways to do the same work, in the same run, against the same platform.

Each peer is written as a careful user of that library would: it uploads, waits, asks, waits, and keeps the answer as one
synced file a video. What each promises differs: only Reelmill makes no paid call twice (see ``tests/README.md``).
"""

from tests.bench.peers.compare import main

__all__ = ["main"]

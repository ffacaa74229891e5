"""The process that knows apprise.

A JSON request on stdin, one line of JSON for each address on stdout.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

_MISSING = "apprise is not installed: pip install 'reelmill[notify]'"


class _LastWords(logging.Handler):
    """Keeps the last complaint of each thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.of: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.of[threading.get_ident()] = record.getMessage()


def main() -> None:
    """Send the message to all addresses at once; answer as they do."""
    request = json.load(sys.stdin)
    words, lock = _LastWords(), threading.Lock()
    logger = logging.getLogger("apprise")
    logger.addHandler(words)
    logger.propagate = False

    def tell(numbered: tuple[int, str]) -> None:
        number, address = numbered
        why = _send(address, request["title"], request["body"], words)
        with lock:
            sys.stdout.write(json.dumps({"number": number, "why": why}) + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(max_workers=max(1, len(request["addresses"]))) as pool:
        list(pool.map(tell, enumerate(request["addresses"])))


def _send(address: str, title: str, body: str, words: _LastWords) -> str:
    """Return why it was not taken; empty if it was."""
    try:
        apprise: Any = import_module("apprise")
    except ImportError:
        return _MISSING
    way = apprise.Apprise.instantiate(
        address
    )  # its own call would use more threads, whose complaints nobody could tell apart
    if not way:
        return "apprise does not know this address, or it is not complete"
    try:
        taken = way.notify(title=title, body=body, notify_type=apprise.NotifyType.INFO, body_format="text")
    except Exception as error:  # noqa: BLE001 - a plug-in of a foreign library, in a process that only does this
        return f"{type(error).__name__}: {error}"
    return "" if taken else words.of.get(threading.get_ident(), "it was not taken")


if __name__ == "__main__":
    main()

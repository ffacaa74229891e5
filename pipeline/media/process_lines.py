"""The child's side of a process for work on foreign media.

It loads nothing that the work does not need.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

from pipeline.core.model import Json


def serve_lines(answer: Callable[[Json], Json]) -> None:
    """Answer the lines of stdin until the pipe ends: the process's side."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while line := lines.get():
        out.write(json.dumps(answer(json.loads(line)), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        out.flush()


def _listen(lines: SimpleQueue[bytes]) -> None:
    """Queue the lines that arrive; exit when the pipe ends with the parent."""
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)

"""A worker process of the analysis: one JSON line in, one out.

It runs until the pipe ends, as ``python -m``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import BinaryIO

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import AnalysisRefused, Analyzer, dispatch
from pipeline.local.analysis.service import LocalAnalysis


def work(analyzer: Analyzer, lines: SimpleQueue[bytes], out: BinaryIO) -> None:
    """Answer every line of the queue; an empty one ends it."""
    while line := lines.get():
        request = json.loads(line)
        try:
            answer: Json = {"ok": dispatch(analyzer, request["do"], request["data"])}
        except AnalysisRefused as refusal:
            answer = {"refused": [refusal.code, refusal.message]}
        except (OSError, MemoryError) as error:
            answer = {"broken": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        out.flush()


def _listen(lines: SimpleQueue[bytes]) -> None:
    """Queue the lines that arrive; exit when the pipe ends with the server."""
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


def main() -> None:
    """Serve the real analysis over stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server to handle
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    work(LocalAnalysis(), lines, out)


if __name__ == "__main__":
    main()

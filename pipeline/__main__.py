"""``python -m pipeline`` and the ``reelmill`` command."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line; Ctrl-C during start-up is an interruption too."""
    signal.signal(signal.SIGTERM, _interrupt)  # where no event loop runs: nothing is lost there
    gc.disable()  # a tenth of a start goes into looking for garbage among what was just imported; work enables it
    try:
        from pipeline.cli import app

        app(prog_name="reelmill")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()
        gc.enable()
        while True:
            try:
                _ignore_signals()
                break
            except KeyboardInterrupt:  # one that came between the last line of the command and this
                continue


def _ignore_signals() -> None:
    """Ignore signals: while threads end, one could only spoil the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()

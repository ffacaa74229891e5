"""The command line inside this process: what an acceptance test says to it, without the price of a start-up each time."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

import structlog

from pipeline.__main__ import main
from tests.support.cli import Ended


def command(folder: Path, *args: str) -> Ended:
    """Run a command in a folder to its end, and return how it ended and what it said."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    argv, hidden = (
        sys.argv,
        {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("REELMILL_", "TWELVELABS_"))},
    )
    sys.argv = ["reelmill", *args]
    code = 0
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = argv
        os.environ.update(hidden)
        structlog.reset_defaults()
    return Ended(code, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err)))

"""``python -m pipeline`` and the ``reelmill`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code; Ctrl-C during start-up counts as an interruption too."""
    try:
        from pipeline.cli import app

        app(prog_name="reelmill")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

"""Short texts that are not tables. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.present.formatting import clean, count
from pipeline.views import GalleryMade


def platform(base_url: str, token: str) -> str:
    """Return shell lines that point another terminal's ``reelmill`` at this platform."""
    key = f"export TWELVELABS_API_KEY={shlex.quote(token)}"
    return "\n".join(
        [
            "export REELMILL_PROVIDER__KIND=twelvelabs",
            f"export REELMILL_PROVIDER__BASE_URL={shlex.quote(base_url)}",
            key if token else "# and TWELVELABS_API_KEY as it was set here",
        ]
    )


def gallery(made: GalleryMade) -> str:
    """Return where the page is and what it holds."""
    rest = f", {count(made.open_items, 'item')} without results" if made.open_items else ""
    return f"{clean(made.address)}\n{count(made.videos, 'video')}{rest}"


def demo(videos: Sequence[Path], output: Path) -> str:
    """Return where to look after the demo."""
    made = f"\nmade {count(len(videos), 'video')}"
    where = f" in {clean(videos[0].parent)}" if videos else ""
    here = shlex.quote(clean(output.parent))
    own = f"go on there: cd {here} && reelmill status\nnow your own: reelmill run FILE..."
    return f"{made}{where}\nlook into {clean(output)}: summary.md, chapters.vtt, highlights.json for each\n{own}"

"""axe-core, the engine that finds what shuts people out of a page."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tests.support.browser import Tab


def axe_source() -> str | None:
    """Return the text of ``axe.min.js`` from ``REELMILL_AXE``, or from a package that brings it; None without."""
    if path := os.environ.get("REELMILL_AXE"):
        return Path(path).read_text(encoding="utf-8")
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def violations(tab: Tab, source: str) -> list[str]:
    """Return what axe-core objects to in the page as it stands, with the elements; all its rules but experiments."""
    tab.run(f"if (!window.axe) {{ {source} }}")
    return list(
        tab.run(
            "const found = await axe.run(document, {resultTypes: ['violations'], preload: false});"
            "return found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(' ') + ' '"
            " + n.html.slice(0, 200) + ' ' + n.failureSummary.slice(0, 300)).slice(0, 5).join(' | ')}`)"
        )
    )

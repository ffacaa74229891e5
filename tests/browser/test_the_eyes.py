"""What the tests of the page see with: a browser that tells everything that goes wrong, in both browsers alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.axe import violations
from tests.support.browser import BROWSERS, Tab, missing

_POLICY = "default-src 'none'; script-src 'self'; img-src 'self'"


def page(folder: Path, body: str, head: str = "") -> Path:
    """Write a page."""
    path = folder / "page with space.html"
    text = f'<!doctype html><html lang="en"><head><title>A page</title>{head}</head><body>{body}</body></html>'
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_that_goes_wrong_is_overlooked(lone_tab: Tab, tmp_path: Path) -> None:
    """Console errors, exceptions, refused scripts and pictures: a clean console means a clean page."""
    (tmp_path / "bad.js").write_text("console.error('said'); console.warn('warned'); throw new Error('thrown')")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    body = '<img src="https://example.org/a.png" onerror="x()"><script src="bad.js"></script>'
    lone_tab.watch_requests()
    lone_tab.open(page(tmp_path, body, policy))
    told = "\n".join(lone_tab.errors())
    for word in ("said", "warned", "thrown", "img-src", "script-src-attr"):
        assert word in told, word


def test_hands(tab: Tab, tmp_path: Path) -> None:
    """Keys go where the focus is, clicks to what is seen, and the history goes back and forward."""
    script = "addEventListener('click', (e) => { if (e.target.id === 'go') location.hash = '#there'; });"
    (tmp_path / "page.js").write_text(script)
    tab.open(
        page(tmp_path, '<input id="first"><button id="go">Go</button>', '<script src="page.js"></script>'), "#here"
    )
    tab.click("#first")
    tab.type("Zoë")
    tab.press("ArrowLeft", "x", "Shift+ArrowLeft", "y")
    assert tab.value("document.querySelector('#first').value") == "Zoyë"
    tab.press("Tab", "Enter")
    tab.wait("location.hash === '#there'")
    tab.back()
    tab.wait("location.hash === '#here'")
    tab.back(+1)
    tab.wait("location.hash === '#there'")


def test_eyes(tab: Tab, tmp_path: Path) -> None:
    """Size, scheme, medium and motion are what the test asks for, and none of it lasts."""
    tab.open(page(tmp_path, "<h1>A</h1>"))
    tab.viewport(320, 256)
    assert tab.value("[innerWidth, innerHeight]") == [320, 256]
    seen = "['(prefers-color-scheme: dark)', 'print', '(prefers-reduced-motion: reduce)'].map((q) => matchMedia(q).matches)"
    assert tab.value(seen) == [False, False, False]
    tab.media(dark=True)
    assert tab.value(seen) == [True, False, False]
    tab.media(print_=True)
    assert tab.value(seen) == [False, True, False]
    tab.media(still=True)
    assert tab.value(seen) == [False, False, True]
    tab.media()
    assert tab.value(seen) == [False, False, False]
    tab.screenshot(tmp_path / "seen.png")
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
    assert tab.printed().startswith(b"%PDF")


def test_the_heap_is_the_pages_own(tab: Tab, tmp_path: Path) -> None:
    """Ten megabytes of text in a page are seen as ten megabytes."""
    tab.open(page(tmp_path, "<h1>A</h1>"))
    tab.run("window.kept = JSON.parse(JSON.stringify(Array.from({length: 10000}, (_, i) => 'x'.repeat(1000) + i)))")
    assert 10e6 < tab.heap() < 15e6


def test_axe_sees(tab: Tab, tmp_path: Path, axe: str) -> None:
    """A picture without words is a violation, and a page that is well made has none."""
    tab.open(page(tmp_path, "<main><h1>A</h1></main>"))
    assert violations(tab, axe) == []
    tab.open(page(tmp_path, '<main><h1>A</h1><img src="data:,"></main>'))
    assert [each.partition(":")[0] for each in violations(tab, axe)] == ["image-alt"]


def test_what_is_skipped_has_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a browser is told which programs it lacks and what brings them; the gate lets none be missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    told = [missing(name) for name in BROWSERS]
    for reason, words in zip(told, (("chromium", "chromedriver", "chromium-driver"), ("firefox-esr",)), strict=True):
        assert all(word in reason for word in words), reason
    gate = (Path(__file__).parents[2] / ".ci" / "run").read_text(encoding="utf-8")
    assert gate.index("export REELMILL_BROWSERS=required") < gate.index('bash -euo pipefail -c "$command"')
    assert gate.index("export REELMILL_AXE") < gate.index('bash -euo pipefail -c "$command"')

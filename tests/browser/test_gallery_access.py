"""The page for everybody: axe-core in each view and scheme, small and zoomed, printed, without motion."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.axe import violations
from tests.support.browser import Tab
from tests.support.gallery_pages import SmallGallery, everything, film, write_gallery

VIEWS = {
    "list": "#/",
    "search": "#/?q=waggle&tag=bees",
    "nothing found": "#/?q=xyzzy",
    "video": "#/v/film-1--00000001?t=20",
    "youtube": "#/v/film-2--00000002",
    "partial": "#/v/film-4--00000004",
    "unknown video": "#/v/none--00000000",
    "report": "#/runs",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gallery with everything in it."""
    return write_gallery(tmp_path_factory.mktemp("out"), everything())


def shown(tab: Tab, index: Path, view: str) -> None:
    """Open a view and wait until it has all it shows."""
    tab.open(index, VIEWS[view])
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    tab.wait("document.querySelector('.card, .video details, main svg, .empty, .notice')")
    tab.wait("!document.body.innerText.includes('Loading')")


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(tab: Tab, index: Path, axe: str, view: str) -> None:
    """No violation, in light and dark, wide and at 320 pixels, with everything unfolded."""
    shown(tab, index, view)
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for dark in (False, True):
        tab.media(dark=dark, still=True)
        tab.viewport(*((320, 700) if dark else (1280, 800)))
        assert violations(tab, axe) == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_scrolls_sideways(tab: Tab, index: Path, view: str) -> None:
    """320 CSS pixels, a small telephone or 1,280 pixels at 400 %, are enough: only tables scroll, in themselves."""
    tab.viewport(320, 256)
    shown(tab, index, view)
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert sideways(tab) == []


def sideways(tab: Tab) -> list[str]:
    """Return what is wider than the window and does not scroll in itself; empty if the page fits."""
    return list(
        tab.run(
            "const room = document.documentElement.clientWidth + 1;"
            "const wide = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > room"
            " && e.checkVisibility() && !e.closest('.scroll, pre, code, svg, .unseen, .skip'));"
            "return document.documentElement.scrollWidth < room ? [] : wide.slice(-3).map((e) => e.outerHTML.slice(0, 150))"
        )
    )


def test_small_targets_are_large_enough(tab: Tab, index: Path) -> None:
    """A finger hits every button and link of the list on a telephone: 24 pixels at least (WCAG 2.2, 2.5.8)."""
    tab.viewport(320, 700)
    shown(tab, index, "list")
    tab.run("document.querySelectorAll('.card').forEach((each) => { each.style.contentVisibility = 'visible'; })")
    small = tab.run(
        "return [...document.querySelectorAll('button, select, input')].filter((e) => e.checkVisibility())"
        ".map((e) => [e.getBoundingClientRect(), e.outerHTML.slice(0, 80)])"
        ".filter(([box]) => box.height < 24 || box.width < 24).map(([, html]) => html)"
    )
    assert small == []


def test_printed(tab: Tab, index: Path) -> None:
    """On paper: titles and answers in dark on white, without what can only be clicked; a PDF comes of it."""
    for view in ("list", "video", "report"):
        shown(tab, index, view)
        tab.media(dark=True, print_=True)
        ink = tab.value("getComputedStyle(document.body).color.match(/[\\d.]+/g).slice(0, 3).map(Number)")
        assert max(ink) < 120, (view, ink)
        left = "[type=search], .toggle, .top nav, .way"
        seen = f"[...document.querySelectorAll('{left}')].filter((e) => e.checkVisibility()).map((e) => e.outerHTML)"
        assert tab.value(seen) == [], view
        tab.media()
        assert tab.printed().startswith(b"%PDF")


def test_without_motion(tab: Tab, index: Path) -> None:
    """Whoever wants no motion sees none."""
    tab.media(still=True)
    shown(tab, index, "video")
    moving = tab.run(
        "document.querySelector('.chapter-bar button').focus();"
        "return document.getAnimations().filter((a) => a.effect.getComputedTiming().duration > 1).length"
    )
    assert moving == 0
    assert tab.value("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_landmarks_and_titles(tab: Tab, index: Path) -> None:
    """One main, one first heading, a language, and a title that names the view."""
    titles = set()
    for view in ("list", "video", "report"):
        shown(tab, index, view)
        found = tab.value("[document.querySelectorAll('main').length, document.querySelectorAll('h1').length]")
        assert found == [1, 1], view
        assert tab.value("document.documentElement.lang") == "en"
        titles.add(tab.value("document.title"))
    assert len(titles) == 3


def test_the_choice_of_colours_is_kept(tab: Tab, index: Path) -> None:
    """The reader may overrule the system's scheme, and the page remembers."""
    shown(tab, index, "list")
    before = tab.value("getComputedStyle(document.body).backgroundColor")
    tab.click("#scheme")
    tab.click("#scheme")
    tab.wait("getComputedStyle(document.body).backgroundColor !== args[0]", before)
    shown(tab, index, "report")
    assert tab.value("document.documentElement.dataset.scheme") == "dark"
    tab.click("#scheme")


def test_long_words_at_320_pixels(tab: Tab, tmp_path: Path) -> None:
    """A title without spaces breaks instead of pushing the page wide."""
    word = "Donaudampfschifffahrtsgesellschaft" * 12
    films = [film(1, word, summary=word, chapters=[(0, 9, word), (9, 60, "b")], cues=[(0, 9, word)], tags=[word, "#x"])]
    index = write_gallery(tmp_path, SmallGallery(films))
    tab.viewport(320, 640)
    for fragment in ("#/", "#/?q=donau", "#/v/film-1--00000001"):
        tab.open(index, fragment)
        tab.wait("document.querySelector('.card, .video details')")
        tab.wait("!document.body.innerText.includes('Loading')")
        assert sideways(tab) == [], fragment[:9]

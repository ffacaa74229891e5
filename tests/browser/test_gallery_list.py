"""The library's list, opened from disk: cards, search, filters, and the address that remembers them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import Tab
from tests.support.gallery_list import TITLES, titles
from tests.support.gallery_pages import SmallGallery, everything, film, write_gallery


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gallery with everything in it."""
    return write_gallery(tmp_path_factory.mktemp("out"), everything())


def opened(tab: Tab, index: Path, fragment: str = "") -> Tab:
    """Open the page and wait for all that is to be searched."""
    tab.open(index, fragment)
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    return tab


def search(tab: Tab, words: str) -> None:
    """Type a search in place of the last one."""
    tab.click("[type=search]")
    tab.press("Control+a", "Backspace", *words)
    tab.wait("document.querySelector('[type=search]').value === args[0]", words)


def test_the_first_look(tab: Tab, index: Path) -> None:
    """A card for each video and each item without results: title, length, first line, tags, state and what to do."""
    opened(tab, index)
    assert len(tab.value(TITLES)) == 8
    for words in (
        "A Year in the Beehive", "1:01", "Honey bees through the seasons.", "bees", "Café Zoë in Łódź",
        "broken.mp4", "The file cannot be read.", "Mend the file.", "reelmill retry --class unreadable",
    ):  # fmt: skip
        tab.wait("document.body.innerText.includes(args[0])", words)
    tab.wait("document.querySelector('.count').textContent === '8 videos'")


def test_search_folds_accents_and_case(tab: Tab, index: Path) -> None:
    """Nobody types ``Łódź`` with its strokes; who does finds it as well."""
    opened(tab, index)
    for words in ("cafe zoe lodz", "CAFÉ ŁÓDŹ", "ou l'on boit"):
        search(tab, words)
        assert titles(tab) == ["Café Zoë in Łódź"]
    search(tab, "nothing has this")
    assert titles(tab) == []
    tab.wait("document.body.innerText.includes('Nothing matches.')")  # first it says "Nothing yet."
    search(tab, "")
    assert len(titles(tab)) == 8


def test_search_leads_to_the_moment(tab: Tab, index: Path) -> None:
    """A hit in a chapter, or in captions that are read later, links to its second; the count says what was searched."""
    opened(tab, index)
    search(tab, "waggle")
    assert titles(tab) == ["A Year in the Beehive"]
    assert "8 of 8 searched" in tab.wait("document.querySelector('.count').textContent")
    search(tab, "quokka")
    assert titles(tab) == ["A Year in the Beehive"]
    tab.wait("document.querySelector('.card .moment')?.innerText.includes('quokka')")
    tab.wait("document.querySelector('.count').textContent === '1 found · 8 of 8 searched · captions of 1 of 1'")
    tab.click(".card .moment")
    tab.wait("location.hash.startsWith('#/v/film-1--00000001?t=20')")
    tab.wait("document.querySelector('[aria-label=Captions] [aria-current]')?.innerText.includes('quokka')")


def test_each_filter_and_the_order(tab: Tab, index: Path) -> None:
    """Filters by tag, class, state, source, day and length; each is in the address, which alone brings the view back."""
    for fragment, wanted in {
        "#/?tag=%23nature&sort=title": ["A Year in the Beehive", "Glaciers, slowly"],
        "#/?class.kind=film": ["Café Zoë in Łódź"],
        "#/?state=partial": ["Empty answers"],
        "#/?state=failed": ["broken.mp4"],
        "#/?source=url": ["Tides of the North Sea"],
        "#/?source=file&min=1&max=2&sort=-length": [
            "A Year in the Beehive", "Sourdough for Beginners", "Empty answers",
        ],
        "#/?q=nature&sort=cost": ["Glaciers, slowly", "A Year in the Beehive"],
        "#/?tag=bees&tag=%23nature": ["A Year in the Beehive"],
        "#/?day=2025-11&state=done&sort=-day": [
            "Sourdough for Beginners", "Café Zoë in Łódź", "A Year in the Beehive",
        ],
        "#/?min=30&sort=length": ["Glaciers, slowly", "Tides of the North Sea"],
    }.items():  # fmt: skip
        tab.open(index, fragment)
        assert titles(tab) == wanted, fragment
    tab.open(index, "#/?day=2020-01")
    assert titles(tab) == []
    tab.wait("document.body.innerText.includes('Nothing matches.')")  # first it says "Nothing yet."


def until_only(tab: Tab, *wanted: str) -> None:
    """Wait until exactly these cards are shown, in this order."""
    tab.wait(f"JSON.stringify({TITLES}) === JSON.stringify(args[0])", list(wanted))


def test_choosing_filters_goes_into_the_history(tab: Tab, index: Path) -> None:
    """Back takes a filter away and forward puts it back; reloading changes nothing."""
    opened(tab, index)
    choose = 'const s = document.querySelector(`select[aria-label="${args[0]}"]`); s.value = args[1];'
    choose += "s.dispatchEvent(new Event('change', {bubbles: true}))"
    tab.run(choose, "Filter by state", "partial")
    until_only(tab, "Empty answers")
    assert tab.value("location.hash") == "#/?state=partial"
    tab.run(choose, "Filter by source", "youtube")
    tab.wait("document.body.innerText.includes('Nothing matches.')")
    tab.back()
    until_only(tab, "Empty answers")
    tab.back()
    tab.wait(f"({TITLES}).length === 8")
    tab.back(+2)
    tab.wait("location.hash.includes('source=youtube')")
    tab.back(-1)
    until_only(tab, "Empty answers")
    tab.open(tab.value("location.href"))
    until_only(tab, "Empty answers")


def test_a_list_with_many(tab: Tab, tmp_path: Path) -> None:
    """The first 60 cards, and more on scrolling; the address of a search can be shared while it is typed."""
    index = write_gallery(tmp_path, SmallGallery([film(i, f"Film {i:03}", summary="word") for i in range(200)]))
    opened(tab, index)
    tab.wait(f"({TITLES}).length >= 60")
    assert 60 <= tab.value(f"({TITLES}).length") < 200
    tab.wait(f"scrollTo(0, document.documentElement.scrollHeight), ({TITLES}).length === 200")
    search(tab, "film 07")
    tab.wait(f"({TITLES}).length === 10")
    tab.wait("location.hash === '#/?q=film+07'")


def test_an_empty_library(tab: Tab, tmp_path: Path) -> None:
    """Before the first run the page says what it will show."""
    tab.open(write_gallery(tmp_path, SmallGallery()))
    assert titles(tab) == []
    assert "No videos yet: they come with the first run." in tab.text()
    assert tab.value("document.querySelector('.count').textContent") == "0 videos"


def test_the_focus_stays_while_more_is_found(tab: Tab, tmp_path: Path) -> None:
    """Who has reached a card by keyboard keeps it when captions that are read later put another before it."""
    later = film(1, "A film", cues=[(3, 6, "An arctic tern.")])
    index = write_gallery(tmp_path, SmallGallery([later, film(2, "B film", summary="A tern flies.")]))
    tab.open(index, "#/?sort=title")
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    tab.click("[type=search]")
    tab.type("tern")
    tab.wait("document.querySelectorAll('.card').length === 1")
    tab.run("document.querySelector('.card .whole').focus()")
    assert titles(tab) == ["A film", "B film"]
    assert tab.value("document.activeElement.textContent") == "B film"

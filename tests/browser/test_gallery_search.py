"""What a search finds, in which order, and the way to a video and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.gallery.values import OpenItem
from pipeline.kit.page import Tags, Value
from tests.support.browser import Tab
from tests.support.gallery_list import TITLES, titles
from tests.support.gallery_pages import DAY, NOW, SmallGallery, film, write_gallery


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gallery in which each place of a text has its own words."""
    films = [
        film(1, "Title wren", summary="Nothing else."),
        film(2, "Second", chapters=[(0, 20, "Start"), (20, 60, "Chapter wren")]),
        film(3, "Third", summary="The summary's wren sits\nby a self-driving car."),
        film(4, "Fourth", Tags(["wren", "brook"]), Value({"answer": ["tide-pool", {"deep": "lagoon"}]})),
        film(5, "Fifth", summary="A wrench and a wheelwright.", cues=[(3, 6, "We are by the"), (6, 9, "river now.")]),
        film(6, "Sixth", summary="Über die Straße, 東京の夜. Don’t."),
    ]
    return write_gallery(tmp_path_factory.mktemp("out"), SmallGallery(films))


def found(tab: Tab, index: Path, query: str) -> list[str]:
    """Search, and return which cards are shown in the end, in their order."""
    tab.open(index)
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    tab.run(
        "const box = document.querySelector('#q'); box.value = args[0]; box.dispatchEvent(new Event('input'))", query
    )
    return titles(tab)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("wren", ["Title wren", "Fourth", "Second", "Third", "Fifth"]),  # by place: title, tag, chapter, summary
        ("wrights", []),
        ("wright", ["Fifth"]),  # a long word is found inside a longer one
        ("ight", ["Fifth"]),
        ("car", ["Third"]),
        ("ar", ["Fifth"]),  # a short one at a beginning only: "are", not "car"
        ("nothing wren", ["Title wren"]),
        ('"wren sits by"', ["Third"]),
        ('"sits wren"', []),
        ("self driving", ["Third"]),
        ("self-driving", ["Third"]),
        ("lagoon", ["Fourth"]),
        ("wheelwright river", ["Fifth"]),  # one word in the summary, one in the captions
        ('"by the river"', ["Fifth"]),  # a phrase goes on in the next caption
        ("uber strasse", ["Sixth"]),
        ("京", ["Sixth"]),
        ("don't", ["Sixth"]),
        ("DON’T", ["Sixth"]),
    ],
)
def test_what_is_found(tab: Tab, index: Path, query: str, wanted: Sequence[str]) -> None:
    """Words, their beginnings and phrases, whatever their case, accents and punctuation, the best place first."""
    assert found(tab, index, query) == wanted


def test_the_best_moment_is_shown(tab: Tab, index: Path) -> None:
    """A hit shows where it was found, its words marked, and its second if it has one."""
    assert found(tab, index, "wren") == ["Title wren", "Fourth", "Second", "Third", "Fifth"]
    shown = tab.value(
        "[...document.querySelectorAll('.card')].map((card) => [card.querySelector('mark')?.textContent,"
        " card.querySelector('.moment')?.getAttribute('href')])"
    )
    assert shown == [
        [None, None], ["wren", None], ["wren", "#/v/film-2--00000002?t=20"], ["wren", None], ["wren", None],
    ]  # fmt: skip


def test_back_to_the_card_that_was_left(tab: Tab, tmp_path: Path) -> None:
    """Back from a video: the same card at the same place of the screen, with the focus, and as many cards as before."""
    films = [film(i, f"Film {i:03}", summary="word " * (i % 40)) for i in range(180)]
    tab.open(write_gallery(tmp_path, SmallGallery(films)), "#/?sort=title")
    tab.wait(f"scrollTo(0, document.documentElement.scrollHeight), ({TITLES}).length === 180")
    place = "document.querySelectorAll('.card .whole')[90].getBoundingClientRect().top"
    tab.run("document.querySelectorAll('.card')[90].scrollIntoView({block: 'center'})")
    tab.run("await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 100)))")
    before = tab.value(place)
    tab.run(
        "const card = document.querySelectorAll('.card .whole')[90]; card.focus({preventScroll: true}); card.click()"
    )
    tab.wait("document.querySelector('.video h1')?.textContent === 'Film 090'")
    assert tab.value("[scrollY, document.activeElement.tagName]") == [0, "H1"]
    assert (
        tab.value("document.querySelector('.way a[aria-label^=Next]').getAttribute('aria-label')") == "Next: Film 091"
    )
    tab.back()
    tab.wait("document.activeElement.textContent === 'Film 090'")
    assert tab.value(place) == pytest.approx(before, abs=4)
    assert tab.value(f"({TITLES}).length") == 180


def test_a_search_outlives_the_way_to_a_video(tab: Tab, index: Path) -> None:
    """The address has each letter at once, so Back brings the search back."""
    assert found(tab, index, "lagoon") == ["Fourth"]
    assert tab.value("location.hash") == "#/?q=lagoon"
    tab.click(".card .whole")
    tab.wait("document.querySelector('.video h1')?.textContent === 'Fourth'")
    tab.back()
    tab.wait(f"({TITLES}).length > 0")
    assert titles(tab) == ["Fourth"]
    assert tab.value("document.querySelector('#q').value") == "lagoon"


def test_what_has_no_results_comes_last(tab: Tab, tmp_path: Path) -> None:
    """A night of failures does not hide the library: they stand after the videos, and a filter shows them alone."""
    failed = [OpenItem(f"failed {i}", "failed", "file", NOW + i) for i in range(3)]
    index = write_gallery(tmp_path, SmallGallery([film(1, "Old"), film(2, "Older", at=NOW - 9 * DAY)], failed))
    for sort, wanted in {
        "": ["Old", "Older", "failed 2", "failed 1", "failed 0"],
        "-day": ["Older", "Old", "failed 0", "failed 1", "failed 2"],
    }.items():
        tab.open(index, f"#/?sort={sort}")
        assert titles(tab) == wanted
    tab.open(index, "#/?state=failed")
    assert titles(tab) == ["failed 2", "failed 1", "failed 0"]


def test_a_command_is_copied_or_selected(lone_tab: Tab, index: Path) -> None:
    """Where a page from disk may not copy, the command is selected, and the page says which it was."""
    lone_tab.open(index, "#/v/film-1--00000001")
    lone_tab.click(".command button")
    lone_tab.wait("/^(Copied|Selected)/.test(document.querySelector('.said').textContent)")
    selected = lone_tab.value("[document.querySelector('.said').textContent, String(getSelection())]")
    assert selected[0] == "Copied" or selected[1] == "reelmill run films/film-1.mp4"

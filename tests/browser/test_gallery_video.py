"""A video's view, opened from disk: player, chapters, captions, answers and where they came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gallery.values import PageSource
from tests.support import media
from tests.support.browser import Tab
from tests.support.gallery_pages import SmallGallery, changed, everything, film, write_gallery

BEES = "#/v/film-1--00000001"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gallery with everything in it, and one video whose file plays."""
    out = tmp_path_factory.mktemp("out")
    gallery = everything()
    media.film(out / "played film.webm", 61.0, (64, 36), fps=1, codec="libvpx")
    films = [changed(gallery.films[0], media="played%20film.webm"), *gallery.films[1:]]
    return write_gallery(out, SmallGallery(films, gallery.open, gallery.report))


def opened(tab: Tab, index: Path, fragment: str) -> Tab:
    """Open a video's view and wait for its answers."""
    tab.open(index, fragment)
    tab.wait("document.querySelector('.video details')")
    return tab


def second(tab: Tab) -> float:
    """Return the second that the player shows, once it has found it."""
    tab.wait("document.querySelector('video').readyState >= 1 && !document.querySelector('video').seeking")
    return float(tab.value("document.querySelector('video').currentTime"))


def test_it_plays_from_the_second_in_the_address(tab: Tab, index: Path) -> None:
    """A shared link starts at its moment; a chapter and a caption each lead to theirs, and the address follows."""
    opened(tab, index, f"{BEES}?t=45")
    tab.wait("document.querySelector('video').currentTime > 0")
    assert second(tab) == pytest.approx(45, abs=1)
    assert tab.wait("document.querySelector('.chapter-bar [aria-current]')?.textContent") == "Winter cluster"
    tab.click(".chapter-bar button", 1)
    assert tab.wait("location.hash !== args[0] && location.hash", f"{BEES}?t=45") == f"{BEES}?t=18"
    assert 17.9 <= second(tab) < 40
    assert tab.value("document.querySelector('.chapter-bar [aria-current]').textContent") == "Waggle dance"
    tab.click("[aria-label=Captions] button", 0)
    assert tab.wait("location.hash !== args[0] && location.hash", f"{BEES}?t=18") == BEES
    assert 0.4 <= second(tab) < 17
    assert tab.value("document.querySelector('video').paused") is False
    tab.run("document.querySelector('video').pause(); document.querySelector('video').currentTime = 21")
    tab.wait("document.querySelector('[aria-label=Captions] [aria-current]')?.innerText.includes('quokka')")
    assert second(tab) == 21
    assert tab.value("document.querySelector('.chapter-bar [aria-current]').textContent") == "Waggle dance"


def test_chapters_are_as_wide_as_they_are_long(tab: Tab, index: Path) -> None:
    """The bar shows proportions."""
    opened(tab, index, BEES)
    wide = tab.value(
        "[...document.querySelectorAll('.chapter-bar button')].map((b) => b.getBoundingClientRect().width)"
    )
    assert wide[0] < wide[2] < wide[1]
    assert wide[1] / wide[0] == pytest.approx(22 / 18, rel=0.1)


def test_answers_and_their_origin(tab: Tab, index: Path) -> None:
    """Each answer in a fitting form, then model, prompt, cost, files and the command that asks again."""
    opened(tab, index, BEES)
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    text = tab.text()
    for words in (
        "The waggle dance tells", "Speakers", "Ann", "Rating", "What is there to see?", "local/v1.3",
        "$0.01", "1 paid call", "film-1.mp4", "reelmill run films/film-1.mp4", "A note.", "lecture",
    ):  # fmt: skip
        assert words in text, words
    links = tab.value("[...document.querySelectorAll('.files a')].map((a) => a.getAttribute('href'))")
    assert "film-1--00000001/summary.json" in links


def test_without_a_file_the_source_is_linked_at_its_second(tab: Tab, index: Path) -> None:
    """YouTube does not play on a page from disk: a poster and a link with the second instead."""
    opened(tab, index, "#/v/film-2--00000002?t=75")
    link = tab.value("document.querySelector('.stage a').href")
    assert link == "https://www.youtube.com/watch?v=abcdefghijk&t=75s"
    assert tab.value("document.querySelectorAll('iframe, video').length") == 0


def test_by_keyboard_alone(tab: Tab, index: Path) -> None:
    """From the first key to a moment of a video and back, with nothing but keys."""
    tab.open(index)
    tab.wait("document.querySelector('.card')")
    tab.press("Tab")
    assert tab.value("document.activeElement.className") == "skip"
    tab.press("Enter")
    tab.wait("document.activeElement.id === 'main'")
    reach(tab, "[type=search]")
    tab.type("waggle")
    tab.wait("document.querySelectorAll('.card').length === 1")
    reach(tab, ".card .whole")
    tab.press("Enter")
    tab.wait("document.querySelector('.video h1') === document.activeElement")
    reach(tab, ".chapter-bar button")
    tab.press("ArrowRight", "ArrowRight", "Enter")
    tab.wait("location.hash.endsWith('?t=40')")
    outline = tab.value(
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).boxShadow"
    )
    assert outline != "nonenone"
    reach(tab, "[aria-label=Captions] button")
    tab.press("End", "Enter")
    tab.wait("location.hash.endsWith('?t=45')")
    reach(tab, ".way a", key="Shift+Tab")
    tab.press("Enter")
    tab.wait("location.hash === '#/?q=waggle' && document.querySelector('.card')")


def reach(tab: Tab, selector: str, key: str = "Tab") -> None:
    """Press a key until the focus is on what a selector finds, or is inside it."""
    for _ in range(40):
        if tab.value("!!document.activeElement.closest(args[0])", selector):
            return
        tab.press(key)
    raise AssertionError(f"{selector} is not reached by {key}\n{tab.text()}")


def test_a_moved_file_leaves_the_rest(lone_tab: Tab, tmp_path: Path) -> None:
    """A video whose file is gone shows its poster and all answers, and says what happened to the player."""
    lost = changed(film(1, "Lost film", summary="Still known."), media="../elsewhere/lost.mp4")
    opened(lone_tab, write_gallery(tmp_path, SmallGallery([lost])), BEES)
    lone_tab.wait("document.body.innerText.includes('moved or deleted')")
    assert "Still known." in lone_tab.text()
    assert [line for line in lone_tab.errors() if "lost.mp4" not in line] == []


def test_an_unknown_video(tab: Tab, index: Path) -> None:
    """An address of a video that is not there says so and leads back."""
    tab.open(index, "#/v/no-such-film--12345678")
    tab.wait("/not (here|there|found)|no video|no such/i.test(document.querySelector('main').innerText)")
    assert tab.value("document.querySelectorAll('main a[href^=\"#/\"]').length") > 0


def test_metadata_of_the_manifest(tab: Tab, tmp_path: Path) -> None:
    """What the list said about a video is shown with its source."""
    source = PageSource("talk.mp4", "https://example.org/talk", metadata={"speaker": "Ann Ok"})
    one = changed(film(1, "Talk"), sources=[source])
    opened(tab, write_gallery(tmp_path, SmallGallery([one])), BEES)
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert "Ann Ok" in tab.text()
    assert tab.value("[...document.querySelectorAll('a')].some((a) => a.href === 'https://example.org/talk')")

"""The report of the runs, opened from disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import Tab
from tests.support.gallery_pages import SmallGallery, everything, film, report, write_gallery


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gallery with everything in it."""
    return write_gallery(tmp_path_factory.mktemp("out"), everything())


def opened(tab: Tab, index: Path) -> Tab:
    """Open the report."""
    tab.open(index, "#/runs")
    tab.wait("document.querySelector('main svg')")
    return tab


def test_the_night_in_one_sentence(tab: Tab, index: Path) -> None:
    """The last run first, then what needs a person, by cause, with number, remedy and command; then what waits."""
    opened(tab, index).run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    text = tab.text()
    words = [
        "4 new · $2.00 for 40.0 min", "The file cannot be read.", "Mend the file.",
        "reelmill retry --class unreadable", "The minutes of the day are used up.",
    ]  # fmt: skip
    places = [text.find(each) for each in words]
    assert -1 not in places
    assert places == sorted(places)
    assert "broken.mp4" in text


def test_each_figure_has_its_table(tab: Tab, index: Path) -> None:
    """What is drawn can be read: a name for each figure, and a table with a row for each bar."""
    opened(tab, index)
    figures = tab.run(
        "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
        "return [...document.querySelectorAll('main figure')].map((f) => ({"
        " name: f.querySelector('figcaption, h2, h3')?.innerText || f.getAttribute('aria-label') || '',"
        " label: f.querySelector('svg')?.getAttribute('aria-label') || f.querySelector('svg title')?.textContent || '',"
        " hidden: f.querySelector('svg')?.getAttribute('aria-hidden') === 'true',"
        " head: f.querySelectorAll('table thead th').length, rows: f.querySelectorAll('table tbody tr').length}))"
    )
    assert [figure["name"] for figure in figures] == [
        "Videos of each run", "Spent per day", "Minutes of video per day", "How full the limits are", "Waiting, by cause",
        "Course of the last run",
    ]  # fmt: skip
    for figure in figures:
        assert figure["name"], figure
        assert figure["label"] or figure["hidden"], figure
        assert figure["head"] >= 2, figure
        assert figure["rows"] >= 1, figure
    assert sorted(figure["rows"] for figure in figures)[-1] >= 5


def test_before_the_first_run(tab: Tab, tmp_path: Path) -> None:
    """No runs, no empty axes: a sentence."""
    tab.open(write_gallery(tmp_path, SmallGallery([film(1, "One")])), "#/runs")
    tab.wait("location.hash === '#/runs' && document.querySelector('main').innerText.trim().length > 10")
    assert tab.value("[...document.querySelectorAll('main figure svg')].filter((s) => s.checkVisibility()).length") == 0


def test_four_hundred_runs(tab: Tab, tmp_path: Path) -> None:
    """A year of nights is still drawn within the page."""
    index = write_gallery(tmp_path, SmallGallery([film(1, "One")], report=report(400)))
    opened(tab, index)
    for width in (1280, 320):
        tab.viewport(width, 800)
        assert tab.value("document.documentElement.scrollWidth") <= width

"""What is damaged, missing, moved or of another version: the page says so, and shows the rest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.browser import Tab
from tests.support.gallery_list import titles
from tests.support.gallery_pages import SmallGallery, everything, film, write_gallery


def shown(tab: Tab, index: Path, fragment: str = "") -> str:
    """Open the page, wait until nothing is loaded any more, and return what it says."""
    tab.open(index, fragment)
    tab.wait("document.querySelector('main').innerText.trim().length > 10")
    return tab.text()


@pytest.mark.parametrize("harm", ["cut", "empty", "other words", "deleted", "other JSON"])
def test_a_damaged_shard(lone_tab: Tab, tmp_path: Path, harm: str) -> None:
    """The videos of other shards are whole; those of this one keep their cards, and the count is honest."""
    index = write_gallery(tmp_path, everything())
    shard = tmp_path / "gallery" / "data" / "v-0000.js"
    _harm(shard, harm)
    shown(lone_tab, index)
    lone_tab.wait("document.querySelectorAll('.card').length === 8")
    lone_tab.open(index, "#/?q=tides")
    lone_tab.wait("document.querySelector('.count').textContent === '1 found · 4 of 8 searched'")
    lone_tab.open(index, "#/v/film-1--00000001")
    lone_tab.wait("document.body.innerText.includes('A Year in the Beehive')")
    lone_tab.wait("document.body.innerText.includes('The details of this video')")
    assert "reelmill gallery" in lone_tab.text()
    lone_tab.open(index, "#/v/film-2001--00002001")
    lone_tab.wait("document.body.innerText.includes('Ebb and flood.')")
    said = [line for line in lone_tab.errors() if "v-0000.js" not in line]
    assert said == [] or (harm in ("cut", "other words") and all("SyntaxError" in line for line in said))


def _harm(path: Path, how: str) -> None:
    text = path.read_text(encoding="utf-8")
    if how == "deleted":
        path.unlink()
    else:
        other = {"cut": text[: len(text) // 2], "empty": "", "other words": "this is no script at all",
                 "other JSON": 'reelmill("shard","v-0000","[1,null,{\\"number\\":1}]");'}  # fmt: skip
        path.write_text(other[how], encoding="utf-8")


@pytest.mark.parametrize("harm", ["cut", "empty", "deleted"])
def test_a_damaged_index(lone_tab: Tab, tmp_path: Path, harm: str) -> None:
    """Without its index the page says which command makes it again, and leads to the plain one."""
    index = write_gallery(tmp_path, everything())
    _harm(tmp_path / "gallery" / "data" / "index.js", harm)
    text = shown(lone_tab, index)
    assert "reelmill gallery" in text
    assert lone_tab.value("[...document.querySelectorAll('a')].some((a) => a.getAttribute('href') === 'index.txt')")


def test_another_format(tab: Tab, tmp_path: Path) -> None:
    """Data of another version of Reelmill is not guessed at."""
    index = write_gallery(tmp_path, everything())
    path = tmp_path / "gallery" / "data" / "index.js"
    text = path.read_text(encoding="utf-8")
    assert '\\"format\\":1' in text
    path.write_text(text.replace('\\"format\\":1', '\\"format\\":99'), encoding="utf-8")
    assert "reelmill gallery" in shown(tab, index)
    assert tab.value("document.querySelectorAll('.card').length") == 0


def test_a_missing_poster(lone_tab: Tab, tmp_path: Path) -> None:
    """A card whose poster is gone shows a drawn one; another's real one is seen."""
    films = [film(1, "Without", poster=True), film(2, "With", poster=True)]
    index = write_gallery(tmp_path, SmallGallery(films))
    posters = tmp_path / "gallery" / "posters"
    posters.mkdir()
    _picture(posters / "film-2--00000002.webp")
    lone_tab.open(index)
    lone_tab.wait("document.querySelectorAll('.card').length === 2 && document.querySelector('.card .drawn')")
    lone_tab.wait(
        "[...document.querySelectorAll('.card img')].map((i) => i.complete && i.naturalWidth).join() === '32'"
    )
    assert [line for line in lone_tab.errors() if "film-1--00000001.webp" not in line] == []


def _picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 18), "teal").save(path)


def test_a_moved_output_folder(tab: Tab, tmp_path: Path) -> None:
    """Everything is relative: the folder can be copied to another place, with spaces and umlauts in its name."""
    write_gallery(tmp_path / "out", everything())
    moved = tmp_path / "größer # ? %41 out"
    shutil.move(tmp_path / "out", moved)
    tab.open(moved / "index.html", "#/v/film-1--00000001")
    tab.wait("document.querySelector('.cues button')")
    for words in ("The waggle dance tells", "Winter cluster", "Welcome to the apiary."):
        assert words in tab.text()
    summary = moved / "film-1--00000001" / "summary.json"
    assert tab.value("document.querySelector('.files a').href") == summary.as_uri()
    tab.open(moved / "index.html", "#/")
    assert len(titles(tab)) == 8


def test_without_javascript(lone_tab: Tab, tmp_path: Path) -> None:
    """The plain index remains: a link to it, and each title and folder in it."""
    index = write_gallery(tmp_path, everything())
    lone_tab.scripts(allowed=False)
    try:
        lone_tab.open(index)
        (link,) = lone_tab.located("noscript a")
        assert link["attributes"]["href"] == "index.txt"
        assert lone_tab.located(".card") == []
    finally:
        lone_tab.scripts(allowed=True)
    lone_tab.open(index.with_name("index.txt"))
    text = lone_tab.text()
    assert "Café Zoë in Łódź\tfilm-2--00000002/" in text
    assert "Tides of the North Sea" in text


def test_more_items_than_are_listed(tab: Tab, tmp_path: Path) -> None:
    """What waits beyond the 500 that are listed is counted, not hidden."""
    index = write_gallery(tmp_path, replace(everything(), open_count=12_345))
    tab.open(index)
    tab.wait("document.querySelector('.card')")
    assert "12,343 more" in tab.wait("document.querySelector('.count').textContent")

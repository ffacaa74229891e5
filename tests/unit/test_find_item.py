"""Any name that people see finds its item; what finds none, or several, says so usefully."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.app.operator.find_item import find_item
from pipeline.core.errors import ConfigError
from pipeline.core.model import Json, Lane, NewTask, Placed
from pipeline.ingest.payloads import ItemData, LineData, PublishData
from tests.support.clock import run_virtual
from tests.support.memory_database import MemoryDatabase

BEES, CHAPLIN, TALK = "sha256:beef0123456789", "sha256:cafe0123456789", "youtube:video:dQw4w9WgXcQ"


def item(number: int, path: str, subject: str, **line: Json) -> NewTask:
    """Return an item with its video."""
    data = ItemData(source=path, locator=path, type="file", line=LineData(**line))
    return NewTask("item", f"file:{path}", "resolve", data.to_json(), subject)


def publish(subject: str, folder: str, title: str) -> NewTask:
    """Return what was written of a video."""
    return NewTask("publish", subject, "write", PublishData(folder=folder, title=title).to_json(), subject)


@pytest.fixture
def database(tmp_path: Path) -> MemoryDatabase:
    """Return a small library: three videos, one of them twice, and one address."""
    made = MemoryDatabase()
    talk = ItemData(
        source="https://youtu.be/dQw4w9WgXcQ", locator="https://www.youtube.com/watch?v=dQw4w9WgXcQ", type="youtube",
        about={"title": "A talk on the site"},
    )  # fmt: skip
    signed = ItemData(
        source="https://cdn.org/v/clip.mp4?token=s", locator="https://cdn.org/v/clip.mp4?token=s", type="url"
    )
    tasks = [
        item(1, f"{tmp_path}/media/bees.mp4", BEES, id="b-1", title="Honey Bees: A Short Introduction"),
        publish(BEES, "honey-bees--7sqzwedp", "Honey Bees: A Short Introduction"),
        item(2, f"{tmp_path}/media/chaplin.mp4", CHAPLIN),
        publish(CHAPLIN, "the-kid--p3wvacly", "The Kid (1921)"),
        item(3, f"{tmp_path}/copy/chaplin.mp4", CHAPLIN),
        item(4, f"{tmp_path}/one/film.mp4", "sha256:aaaa0123456789"),
        item(5, f"{tmp_path}/two/film.mp4", "sha256:bbbb0123456789"),
        NewTask("item", TALK, "download", talk.to_json(), TALK),
        NewTask("video", TALK, "place", {"media_id": "asset-77"}, TALK),
        NewTask(
            "item", "url:https://cdn.org/v/clip.mp4", "resolve", signed.to_json(), "url:https://cdn.org/v/clip.mp4"
        ),
    ]
    run_virtual(made.submit([Placed(each, Lane.FETCH, 0) for each in tasks], 0.0))
    return made


def find(database: MemoryDatabase, name: str) -> str:
    """Return the key of the item that a name finds."""
    return run_virtual(find_item(database, name)).key


@pytest.mark.parametrize(
    "name",
    [
        "media/bees.mp4", "{here}/media/bees.mp4", "file:{here}/media/bees.mp4", "../media/bees.mp4", "./media/bees.mp4",
        "bees.mp4", "bees", "b-1", "Honey Bees: A Short Introduction", "honey bees:  a short introduction",
        "Honey Bees: A Sho…", "honey-bees--7sqzwedp", "out/honey-bees--7sqzwedp", "out/honey-bees--7sqzwedp/",
        "/srv/out/honey-bees--7sqzwedp/summary.md", BEES, "beef01", "sha256:beef0123", "BEES.MP4",
    ],
)  # fmt: skip
def test_every_name_that_is_shown_finds_its_item(database: MemoryDatabase, tmp_path: Path, name: str) -> None:
    """Path, id, key, hash, title in any case or cut, results folder or a file in it, file name, its stem."""
    assert find(database, name.format(here=tmp_path)) == f"file:{tmp_path}/media/bees.mp4"


@pytest.mark.parametrize("name", ["The Kid (1921)", "the-kid--p3wvacly", "chaplin", "chaplin.mp4", "cafe0123", CHAPLIN])
def test_one_video_under_two_names_is_one_item(database: MemoryDatabase, tmp_path: Path, name: str) -> None:
    """Whatever names the video names it, by the line that came first; a path still tells the lines apart."""
    assert find(database, name) == f"file:{tmp_path}/media/chaplin.mp4"
    assert find(database, "copy/chaplin.mp4") == f"file:{tmp_path}/copy/chaplin.mp4"


@pytest.mark.parametrize("name", ["old-cut--lmkrax3l", "out/old-cut--lmkrax3l/video.json", "The old cut"])
def test_results_that_no_line_names_any_more_are_found(database: MemoryDatabase, tmp_path: Path, name: str) -> None:
    """A file has other content now: its old results lie there, and only their video can be named; a line goes first."""
    old = "sha256:0dd0123456789"
    tasks = [NewTask("video", old, "settle", {}, old), publish(old, "old-cut--lmkrax3l", "The old cut")]
    run_virtual(database.submit([Placed(each, Lane.FETCH, 0) for each in tasks], 0.0))
    assert find(database, name) == old
    again = [publish("sha256:0ee0123456789", "the-kid--aaaaaaaa", "The Kid (1921)")]
    run_virtual(database.submit([Placed(each, Lane.FETCH, 0) for each in again], 0.0))
    assert find(database, "The Kid (1921)") == f"file:{tmp_path}/media/chaplin.mp4"


@pytest.mark.parametrize(
    "name",
    ["dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ", "youtu.be/dQw4w9WgXcQ", TALK, "A talk on the site", "asset-77"],
)
def test_a_video_of_a_site_has_its_addresses_title_and_ids(database: MemoryDatabase, name: str) -> None:
    """In any form that people paste, and by the platform's id as ``videos`` shows it."""
    assert find(database, name) == TALK


@pytest.mark.parametrize(
    "name", ["https://cdn.org/v/clip.mp4", "https://cdn.org/v/clip.mp4?token=s", "clip.mp4", "clip"]
)
def test_an_address_is_found_with_and_without_its_query(database: MemoryDatabase, name: str) -> None:
    """What is shown has no query: it may be a key."""
    assert find(database, name) == "url:https://cdn.org/v/clip.mp4"


def test_a_path_means_what_it_means_from_here(
    database: MemoryDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words from another folder are another file."""
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "two")
    assert find(database, "film.mp4") == f"file:{tmp_path}/two/film.mp4"


def test_a_name_of_several_items_names_them(database: MemoryDatabase, tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(ConfigError) as caught:
        find(database, "film.mp4")
    trouble = caught.value.trouble
    assert trouble.message == f"'film.mp4' fits 2 items: {tmp_path}/one/film.mp4, {tmp_path}/two/film.mp4"
    assert "longer part of the path" in trouble.remedy


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("chaplain.mp4", "chaplin.mp4"), ("beees", "bees"), ("The Kidd (1921)", "The Kid (1921)"),
        ("honey-bees--7sqzwedq", "honey-bees--7sqzwedp"), ("media/chaplni.mp4", "chaplin.mp4"), ("nothing-like-it", ""),
        ("", ""), ("\0", ""), ("…", ""),
    ],
)  # fmt: skip
def test_a_near_miss_is_told(database: MemoryDatabase, name: str, meant: str) -> None:
    """The suggestion is a name that works; where nothing is alike, none is made."""
    with pytest.raises(ConfigError) as caught:
        find(database, name)
    assert (f"did you mean '{meant}'?" in caught.value.trouble.remedy) == bool(meant), caught.value.trouble
    if meant:
        assert find(database, meant)
    else:
        assert "did you mean" not in caught.value.trouble.remedy

"""Task type ``item``: a line becomes a video, or says why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import InputError
from pipeline.core.model import Task, Trouble
from pipeline.core.outcome import Done, Fail, Outcome
from pipeline.ingest.payloads import ItemData
from pipeline.ingest.tasks.item import ItemTaskType, item_task, unsaved_task
from pipeline.local.demo.videos import make_slides
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.files import FileSource
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import FakeSource, clips
from tests.support.services import fake_services

LINE = ManifestLine("a.mp4", "list:3", "id7", "A title", ("x", "y"), ("gist",), "Who?", {"k": "v"})


def ensure_fresh() -> None:
    """Nothing here pays."""


def no_objection(facts: MediaFacts, ceilings: Ceilings) -> Trouble | None:
    """Find every video fit."""
    return None


def resolve(item: Item, preflight: Any = no_objection, source: Any = None) -> tuple[Task, Outcome]:
    """Run the one step for an item."""
    sources = {"file": source or FakeSource()}
    made = ItemTaskType(fake_services(), sources, preflight, Path("work"))
    task = unsaved_task(item)
    return task, run_virtual(made.resolve(task, ensure_fresh))


def test_a_line_survives_the_database() -> None:
    """Every word of a line is there again when its task is read back."""
    item = Item("file:/a.mp4", "file", "/a.mp4", LINE)
    assert ItemData.of(unsaved_task(item)).to_item(item.key) == item


def test_a_file_becomes_a_video_under_the_hash_of_its_content(tmp_path: Path) -> None:
    """Two names of one content hand over one and the same video; what was found goes with it."""
    first, other = clips(tmp_path, 2)
    other.write_bytes(first.read_bytes())
    spawned = []
    for path in (first, other):
        _, outcome = resolve(Item(f"file:{path}", "file", str(path), LINE))
        assert isinstance(outcome, Done)
        (video,) = outcome.spawn
        assert outcome.subject == video.key == video.subject
        assert (video.kind, video.stage, video.restart_at, video.restart_failed) == ("video", "place", "fan_out", False)
        assert video.data["path"] == str(path)
        assert video.data["seconds"] == 60.0
        spawned.append(video.key)
    assert spawned[0] == spawned[1]
    assert spawned[0].startswith("sha256:")


def test_an_item_remembers_what_tells_a_changed_file(tmp_path: Path) -> None:
    """Size and time of the file as it was read, beside the line's words."""
    (path,) = clips(tmp_path, 1)
    item = Item(f"file:{path}", "file", str(path), LINE)
    _, outcome = resolve(item)
    assert isinstance(outcome, Done)
    stat = path.stat()
    assert outcome.data is not None
    assert (outcome.data["size"], outcome.data["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
    assert outcome.data["line"] == ItemData.from_item(item).to_json()["line"]


def test_an_item_remembers_the_title_that_the_file_tells(tmp_path: Path) -> None:
    """The container's own: it names the results before any answer does; a placeholder is none."""
    for tag, found in (("About tides", {"title": "About tides"}), ("untitled", None), ("", None)):
        path = make_slides(tmp_path / "film.mp4", [("Tides", [])], 2.0, [], title=tag)
        _, outcome = resolve(Item(f"file:{path}", "file", str(path), LINE), source=FileSource(VirtualClock()))
        assert isinstance(outcome, Done)
        assert outcome.data is not None
        assert outcome.data.get("about") == found


def test_what_the_platform_would_refuse_is_refused_before_a_byte_moves(tmp_path: Path) -> None:
    """The preflight's words fail the item, and a changed file will be looked at again."""
    (path,) = clips(tmp_path, 1)
    why = Trouble("video_too_short", "It has 1 s; the platform takes 4 s and more.")
    _, outcome = resolve(Item(f"file:{path}", "file", str(path), LINE), lambda facts, ceilings: why)
    assert isinstance(outcome, Fail)
    assert outcome.trouble is why
    assert outcome.data is not None
    assert outcome.data["mtime_ns"] == path.stat().st_mtime_ns
    assert outcome.spawn == ()


def test_a_missing_file_is_the_lines_own_fault() -> None:
    """The source's InputError comes out as it is: the engine makes it a failure of this item."""
    with pytest.raises(InputError) as caught:
        resolve(Item("file:/nowhere.mp4", "file", "/nowhere.mp4", LINE))
    assert caught.value.trouble.code == "file_missing"


def test_an_address_is_handed_over_as_it_is() -> None:
    """Nothing is fetched: the platform fetches it; the key is the item's own."""
    _, outcome = resolve(
        Item("url:https://h/a.mp4", "url", "https://h/a.mp4?sig=1", ManifestLine("https://h/a.mp4?sig=1"))
    )
    assert isinstance(outcome, Done)
    (video,) = outcome.spawn
    assert (video.key, video.data) == ("url:https://h/a.mp4", {"url": "https://h/a.mp4?sig=1"})


def test_an_item_that_is_wished_again_takes_the_lines_present_words() -> None:
    """First time it is only queued; again means that a finished or failed one starts again with this line's words."""
    item = Item("file:/a.mp4", "file", "/a.mp4", LINE)
    first, again = item_task(item), item_task(item, restart=True)
    assert (first.restart_at, first.restart_failed) == (None, False)
    assert (again.restart_at, again.restart_failed) == ("resolve", True)
    assert first.data == again.data == ItemData.from_item(item).to_json()

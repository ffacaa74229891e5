"""Task type ``item`` for what is fetched from a site, and ``listing``: over the memory store, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.settings import JobsSection
from pipeline.config.youtube import ListsSection
from pipeline.core.errors import Transient, Unwanted
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, Placed, State, Task, Trouble
from pipeline.core.outcome import Done, Fail, Outcome
from pipeline.ingest.enqueue import Decision, KnownVideo, decide
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.payloads import ItemData
from pipeline.ingest.tasks.item import ItemTaskType, item_task, unsaved_task
from pipeline.ingest.tasks.playlist import PlaylistTaskType, playlist_task
from pipeline.ports.playlists import Playlist, PlaylistEntry, explain_exclusion
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from tests.support.clock import run_virtual
from tests.support.memory_database import MemoryDatabase
from tests.support.services import fake_services
from tests.support.vendor import Client, ClientV12

V = "youtube:video:dQw4w9WgXcQ"
ITEM = Item(V, "youtube", "https://www.youtube.com/watch?v=dQw4w9WgXcQ", ManifestLine("dQw4w9WgXcQ"))


def ensure_fresh() -> None:
    """Nothing here pays."""


class Site:
    """A source that notes what it fetched."""

    kind = "youtube"

    def __init__(self) -> None:
        self.fetched: list[str] = []

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        self.fetched.append(item.key)
        about = {"title": "T"}
        return MediaFacts(
            Path("/work-folder/a.mp4"), 9, 60.0, 640, 360, "mp4", "h264", "aac", "video/mp4", "ab" * 32, 1,
            (Path("a.en.vtt"),), about=about, fetched=True,
        )  # fmt: skip


class Bench:
    """An item task type over a database and a site."""

    def __init__(self, *, check_line: Trouble | None = None, external: bool = False) -> None:
        self.site, self.database, self.released = Site(), MemoryDatabase(), list[Path]()

        async def release(path: Path) -> None:
            self.released.append(path)

        self.services = fake_services(ClientV12 if external else Client, self.database)
        self.kind = ItemTaskType(
            self.services, {"youtube": self.site}, lambda facts, ceilings: check_line, Path("w"),
            read_captions=lambda paths: "WEBVTT", release=release,
        )  # fmt: skip

    def download(self, **data: Any) -> Outcome:
        """Run the step."""
        task = Task(
            1, "item", V, "download", {**ItemData.from_item(ITEM).to_json(), **data}, State.RUNNING, Lane.DOWNLOAD, 0
        )
        return run_virtual(self.kind.download(task, ensure_fresh))

    def video(self) -> None:
        """Put a video task under the item's key."""
        run_virtual(
            self.database.submit([Placed(replace(item_task(ITEM), kind="video", stage="place"), Lane.UPLOAD, 1)], 0.0)
        )


def test_a_site_s_video_waits_in_a_lane_of_its_own() -> None:
    """Files are never held up by a site that refuses us; a premiere may be waited for longer than a day."""
    assert item_task(ITEM).stage == "download"
    stages = {stage.name: stage for stage in Bench().kind.task_type(Policy(deadline=10.0)).stages}
    assert (stages["resolve"].lane, stages["download"].lane) == (Lane.FETCH, Lane.DOWNLOAD)
    assert stages["download"].policy.deadline >= 14 * 86_400


def test_the_site_s_id_is_the_video_s_name_and_captions_are_kept() -> None:
    """No hash decides here: the same id is the same video, however it was encoded this time."""
    outcome = Bench().download()
    assert isinstance(outcome, Done)
    (video,) = outcome.spawn
    assert (video.key, video.data["fetched"], video.restart_at, video.restart_failed) == (V, True, "fan_out", False)
    (captions,) = outcome.results
    assert (captions.job, captions.body) == ("_captions", {"name": "captions.vtt", "text": "WEBVTT"})


def test_a_video_that_is_there_is_not_fetched_again() -> None:
    """A line whose words changed asks for new answers, not for a new download; a lost upload does."""
    bench = Bench()
    bench.video()
    outcome = bench.download()
    assert isinstance(outcome, Done)
    assert (bench.site.fetched, dict(outcome.spawn[0].data), outcome.spawn[0].restart_at) == ([], {}, "fan_out")
    outcome = bench.download(refetch=True)
    assert isinstance(outcome, Done)
    assert (bench.site.fetched, outcome.spawn[0].restart_at, outcome.spawn[0].restart_failed) == ([V], "place", True)
    assert outcome.data is not None
    assert not ItemData.from_json(outcome.data).refetch


class Old(Site):
    """A source whose look shows a day before its list's floor."""

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        found = explain_exclusion(item.bounds, "20260130", 60.0)
        if found is not None:
            raise Unwanted(found.message, code=found.code, remedy=found.remedy, day="20260130", seconds=60.0)
        return await super().fetch(item, workdir)


def test_what_its_list_does_not_take_is_skipped_as_data_and_not_looked_at_again() -> None:
    """Done without a video, with the reason; other nights judge by what was found, a line of its own fetches it."""
    bench = Bench()
    bench.site = Old()
    bench.kind = ItemTaskType(bench.services, {"youtube": bench.site}, lambda facts, most: None, Path("w"))
    listed = replace(ITEM, bounds={"since": "2026-01-31"})
    outcome = bench.download(**ItemData.from_item(listed).to_json())
    assert isinstance(outcome, Done)
    assert (outcome.spawn, outcome.subject, bench.site.fetched) == ((), None, [])
    assert outcome.data is not None
    assert outcome.data["skipped"]["code"] == "skipped_older"
    there = KnownVideo(replace(unsaved_task(listed), state=State.DONE, data=outcome.data))
    planner = JobPlanner((), JobsSection(enabled=()), ["local"])

    def decided(item: Item) -> Decision:
        return decide(item, there, planner, attempts=8, changed=False, missing=False)

    assert decided(listed) == Decision("nothing")
    assert decided(replace(listed, bounds={"since": "2026-02-01", "min_seconds": 9})).action == "nothing"
    for wanted in (replace(listed, bounds={"since": "2026-01-30"}), ITEM):
        (again,) = decided(wanted).submit
        assert (again.restart_at, again.data["bounds"]) == ("download", wanted.bounds)
        fetched = bench.download(**{**outcome.data, **again.data})
        assert isinstance(fetched, Done)
        assert fetched.data is not None
        assert "skipped" not in fetched.data


def test_what_the_platform_will_not_take_is_let_go() -> None:
    """A refused file does not fill the disk."""
    bench = Bench(check_line=Trouble("aspect_ratio", "too wide"))
    assert isinstance(bench.download(), Fail)
    assert bench.released == [Path("/work-folder/a.mp4")]


def test_a_platform_that_fetches_by_itself_gets_the_address() -> None:
    """On v1.2 nothing is downloaded here."""
    bench = Bench(external=True)
    outcome = bench.download()
    assert isinstance(outcome, Done)
    assert outcome.spawn[0].data["external"] == ITEM.locator
    assert bench.site.fetched == []


# -------------------------------------------------------------------------------------------------------------- listings


class Shelf:
    """A lister with one list."""

    def __init__(self, *ids: str) -> None:
        self.ids: Sequence[str] = ids
        self.asked: list[tuple[str, int]] = []

    async def list(self, item: Item, channel: str, most: int) -> Playlist:
        self.asked.append((channel, most))
        entries = [PlaylistEntry(each, f"youtube:video:{each}", f"https://x/{each}", title=each) for each in self.ids]
        return Playlist(entries, "A list", "UCx")


def expand(kind: PlaylistTaskType, data: dict[str, Any]) -> Outcome:
    """Run the step."""
    task = Task(1, "listing", "youtube:playlist:L", "expand", data, State.RUNNING, Lane.DOWNLOAD, 0)
    return run_virtual(kind.expand(task, ensure_fresh))


def subscription(shelf: Shelf, taken: list[str], rules: ListsSection | None = None) -> PlaylistTaskType:
    """Return a listing task type whose items end in ``taken``."""

    async def enqueue_listed(items: Sequence[Item]) -> None:
        taken.extend(item.key for item in items)

    made = PlaylistTaskType(shelf, rules or ListsSection())
    made.enqueue_with(enqueue_listed)
    return made


PLAYLIST = Item("youtube:playlist:L", "youtube_list", "https://x", ManifestLine("https://x", metadata={"exclude": "b"}))


def test_a_list_is_read_every_run_and_remembers_what_it_saw() -> None:
    """The second reading finds what has gone, keeps it told while it stays away, and asks by the channel's id."""
    shelf, taken = Shelf("a", "b", "c"), list[str]()
    kind = subscription(shelf, taken)
    assert playlist_task(PLAYLIST).restart_at == "expand"
    first = expand(kind, ItemData.from_item(PLAYLIST).to_json())
    assert isinstance(first, Done)
    assert taken == ["youtube:video:a", "youtube:video:c"]
    assert first.data is not None
    shelf.ids = ("n", "b", "c")
    second = expand(kind, dict(first.data))
    assert isinstance(second, Done)
    assert second.data is not None
    assert (second.data["gone"], second.data["left_out"]) == (["a"], {"title": 1})
    assert shelf.asked == [("", 2000), ("UCx", 2000)]
    shelf.ids = ()
    third = expand(kind, dict(second.data))
    assert isinstance(third, Done)
    assert third.data is not None
    assert (third.data["gone"], third.data["seen"]) == (["a"], ["n", "b", "c"])


def test_last_reads_no_further_than_it_needs() -> None:
    """A window of ten does not page through ten thousand."""
    shelf = Shelf("a")
    expand(subscription(shelf, [], ListsSection(last=10)), ItemData.from_item(PLAYLIST).to_json())
    assert shelf.asked == [("", 50)]


def test_wrong_rules_on_a_line_fail_that_list_only() -> None:
    """The line is named with what is known; nothing was asked."""
    shelf = Shelf("a")
    request = replace(PLAYLIST, line=replace(PLAYLIST.line, metadata={"last": "few"}))
    outcome = expand(subscription(shelf, []), ItemData.from_item(request).to_json())
    assert isinstance(outcome, Fail)
    assert (outcome.trouble.code, shelf.asked) == ("list_rules", [])


def test_a_list_that_cannot_be_had_now_is_tried_again() -> None:
    """The lister's error goes to the engine as it is."""

    class Down(Shelf):
        async def list(self, item: Item, channel: str, most: int) -> Playlist:
            raise Transient("down")

    with pytest.raises(Transient):
        expand(subscription(Down(), []), ItemData.from_item(PLAYLIST).to_json())

"""Fetching through the real worker and the real yt-dlp, from a site on loopback that misbehaves on demand."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.to_thread
import pytest
import pytest_asyncio

from pipeline.clock import SystemClock
from pipeline.errors import NotYet, Permanent, Throttled, Transient
from pipeline.ports import Ceilings, Item, Line, MediaFacts
from pipeline.sections import YouTube
from pipeline.source.pace import Pace, PaceRules
from pipeline.source.pace_notes import OwnNotes
from pipeline.source.room import Room
from pipeline.source.youtube import Asker, YouTubeSource
from pipeline.source.youtube_folder import JobFolder, discard
from pipeline.source.youtube_process import Crew, Launch
from pipeline.store.memory import MemoryDatabase
from tests.media_server import Blob, MediaServer, captions, interpreter, plain, player

V = "dQw4w9WgXcQ"
VTT = b"WEBVTT\n\n00:00.000 --> 00:02.000\nHello there\n"


@pytest.fixture
def site() -> Iterator[MediaServer]:
    """A site on loopback."""
    with MediaServer() as server:
        yield server


@dataclass
class Fetching:
    """A source with its workers."""

    source: YouTubeSource
    crew: Crew
    work: Path

    async def get(self, video: str = V) -> MediaFacts:
        """Fetch a video by its id."""
        item = Item(f"youtube:video:{video}", "youtube", f"https://www.youtube.com/watch?v={video}", Line(video))
        return await self.source.fetch(item, self.work)

    def left(self, video: str = V) -> list[str]:
        """Return what lies in a video's folder."""
        return sorted(os.listdir(JobFolder(self.work / "youtube", video).path))


def build(site: MediaServer, folder: Path, *, more: str = "", most: int = 0, **rules: Any) -> Fetching:
    """Put a source together as a run does, with a Python that takes YouTube's answers from the site."""
    clock, words = SystemClock(), YouTube(min_gap=0, max_gap=0, **rules)
    crew = Crew(Launch(str(interpreter(folder, site, more))), 2)
    journal = MemoryDatabase()
    pace = Pace(OwnNotes(journal, "a"), OwnNotes(journal, "b"), clock, Random(1), PaceRules(0, 0, 2000))
    room = Room(folder / "work" / "youtube", most, clock, 600.0)
    return Fetching(YouTubeSource(Asker(words, crew, pace), room, Ceilings(), clock), crew, folder / "work")


@pytest_asyncio.fixture
async def fetching(site: MediaServer, tmp_path: Path) -> AsyncIterator[Fetching]:
    """A source with default rules."""
    made = build(site, tmp_path)
    yield made
    await made.crew.aclose()


# ---------------------------------------------------------------------------------------------------------- the good way


@pytest.mark.asyncio
async def test_a_video_arrives_whole_with_captions_and_its_story(site: MediaServer, fetching: Fetching) -> None:
    """One look, one download: the bytes are the site's, captions lie beside them, and where it came from is known."""
    content = site.video(V, captions=captions(site.base + "/caption"))
    site.files["/caption"] = Blob(VTT, "text/vtt")
    found = await fetching.get()
    assert found.path.read_bytes() == content
    assert [path.read_bytes() for path in found.captions] == [VTT]
    assert (found.about["title"], found.about["id"], found.fetched) == (f"Video {V}", V, True)
    assert site.count("/player/") == 1
    assert await fetching.get() == found
    assert site.count("/player/") == 1


@pytest.mark.asyncio
async def test_picture_and_sound_are_put_together_without_ffmpeg(
    site: MediaServer, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two streams become one file, stream by stream."""
    monkeypatch.setenv("PATH", "/nowhere")
    site.split(V)
    found = await fetching.get()
    assert (found.video_codec, found.audio_codec, round(found.seconds)) == ("mpeg4", "aac", 5)
    assert fetching.left() == sorted(["done.json", found.path.name])


@pytest.mark.asyncio
async def test_a_failing_caption_costs_nothing_but_itself(site: MediaServer, fetching: Fetching) -> None:
    """A 429 for captions neither fails the video nor closes the source."""
    site.video(V, captions=captions(site.base + "/caption"))
    site.files["/caption"] = Blob(b"", status=429)
    assert (await fetching.get()).captions == ()
    site.video("second00001")
    assert (await fetching.get("second00001")).size


@pytest.mark.asyncio
async def test_a_worker_serves_many_videos(site: MediaServer, fetching: Fetching) -> None:
    """The second video does not wait for a process to start."""
    for number in range(3):
        site.video(f"video{number:06}", seconds=4 + number)
        await fetching.get(f"video{number:06}")
    assert len(fetching.crew._idle) == 1


# ---------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.asyncio
async def test_a_line_that_breaks_is_taken_up_where_it_broke(site: MediaServer, fetching: Fetching) -> None:
    """Two answers break off in the middle, and the file is exact."""
    content = site.video(V)
    site.files[f"/media/{V}.mp4"].drops = 2
    assert (await fetching.get()).path.read_bytes() == content
    assert site.count("/player/") == 1


@pytest.mark.asyncio
async def test_a_site_that_cannot_resume_is_asked_from_the_start(site: MediaServer, fetching: Fetching) -> None:
    """Without ranges the download starts over inside, and the file is exact."""
    content = site.video(V)
    blob = site.files[f"/media/{V}.mp4"]
    blob.drops, blob.ranges = 1, False
    assert (await fetching.get()).path.read_bytes() == content


@pytest.mark.asyncio
async def test_a_file_that_is_too_short_is_fetched_anew_and_then_given_back(
    site: MediaServer, fetching: Fetching
) -> None:
    """A success that brought half the film is no success: fetched once more, then tried later, and nothing is left."""
    site.video(V, seconds=5)
    site.players[V]["videoDetails"]["lengthSeconds"] = "60"
    with pytest.raises(Transient) as caught:
        await fetching.get()
    assert caught.value.trouble.code == "damaged_download"
    assert site.count("/media/") == 2
    assert fetching.left() == []


@pytest.mark.asyncio
async def test_what_is_no_video_is_not_taken_for_one(site: MediaServer, fetching: Fetching) -> None:
    """An error page with status 200 in place of the media does not count, however long it is."""
    site.video(V)
    site.files[f"/media/{V}.mp4"].content = b"<html>sorry</html>" * 2000
    site.players[V]["streamingData"]["adaptiveFormats"][0].pop("contentLength")
    with pytest.raises(Transient) as caught:
        await fetching.get()
    assert caught.value.trouble.code == "damaged_download"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "code", "waits"),
    [(403, "forbidden", (30.0, 300.0)), (404, "gone", (30.0,)), (503, "server", None)],
)
async def test_refused_media_are_tried_again_from_a_new_look(
    site: MediaServer, tmp_path: Path, status: int, code: str, waits: tuple[float, ...] | None
) -> None:
    """Each status has its patience; the next attempt extracts again, because addresses of media wear out."""
    fetching = build(site, tmp_path, options={"retries": 0})
    content = site.video(V)
    site.files[f"/media/{V}.mp4"].status = status
    with pytest.raises(Transient) as caught:
        await fetching.get()
    assert (caught.value.trouble.code, caught.value.waits) == (code, waits)
    site.files[f"/media/{V}.mp4"].status = 200
    assert (await fetching.get()).path.read_bytes() == content
    assert site.count("/player/") == 2
    await fetching.crew.aclose()


@pytest.mark.asyncio
async def test_a_complete_part_is_no_dead_end(site: MediaServer, fetching: Fetching) -> None:
    """A process killed between the last byte and the rename leaves what a server answers with 416 for ever."""
    content = site.video(V)
    folder = JobFolder(fetching.work / "youtube", V)
    with folder:
        (folder.path / "attempt.json").write_text(
            f'{{"video": "{V}", "formats": [["18", "http", {len(content)}, "mp4"]]}}'
        )
        (folder.path / f"{V}.18.mp4.part").write_bytes(content)
    assert (await fetching.get()).path.read_bytes() == content


# --------------------------------------------------------------------------------------------------------- YouTube's no

STATES = [
    ("LOGIN_REQUIRED", "Private video", Permanent, "private"),
    ("LOGIN_REQUIRED", "Sign in to confirm your age", Permanent, "age_restricted"),
    ("UNPLAYABLE", "Join this channel to get access to members-only content", Permanent, "members_only"),
    ("ERROR", "This video has been removed by the uploader", Permanent, "removed"),
    ("ERROR", "Video unavailable", Transient, "unavailable"),
    ("LIVE_STREAM_OFFLINE", "Premieres in 3 hours", NotYet, "upcoming"),
    ("LOGIN_REQUIRED", "Sign in to confirm you\u2019re not a bot", Throttled, "bot_check"),
    ("UNPLAYABLE", "This content isn't available, try again later.", Throttled, "rate_limited"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "reason", "kind", "code"), STATES)
async def test_every_state_of_a_video_has_its_answer(
    site: MediaServer, fetching: Fetching, status: str, reason: str, kind: type[Exception], code: str
) -> None:
    """What YouTube says of a video comes out as one of our errors, with a sentence, a next step and the raw words."""
    site.refuse(V, status, reason)
    with pytest.raises(kind) as caught:
        await fetching.get()
    trouble = caught.value.trouble  # type: ignore[attr-defined]
    assert (trouble.code, bool(trouble.remedy)) == (code, True)
    assert reason.rstrip(".").partition("\u2019")[0] in trouble.detail


@pytest.mark.asyncio
async def test_a_running_stream_waits_for_its_end(site: MediaServer, fetching: Fetching) -> None:
    """A live stream is not downloaded for as long as it lasts."""
    made = player(V, 5, [plain(site.base + "/x", 9)], details={"isLive": True, "isLiveContent": True})
    site.players[V] = made
    with pytest.raises(NotYet) as caught:
        await fetching.get()
    assert caught.value.trouble.code == "live"
    assert site.count("/x") == 0


@pytest.mark.asyncio
async def test_what_the_platform_would_refuse_is_not_fetched(site: MediaServer, fetching: Fetching) -> None:
    """Three hours of video are refused after the look, before a byte of media."""
    site.players[V] = player(V, 10_800, [plain(site.base + "/media/x.mp4", 10**9)])
    with pytest.raises(Permanent) as caught:
        await fetching.get()
    assert caught.value.trouble.code == "video_too_long"
    assert site.count("/media/") == 0


@pytest.mark.asyncio
async def test_a_bot_check_stops_everything_but_only_here(site: MediaServer, fetching: Fetching) -> None:
    """After it no request leaves this machine for YouTube, and the operator is told until when."""
    site.refuse(V, "LOGIN_REQUIRED", "Sign in to confirm you\u2019re not a bot")
    site.video("second00001")
    for video in (V, "second00001", V):
        with pytest.raises(Throttled) as caught:
            await fetching.get(video)
        assert "until 20" in caught.value.trouble.message
        assert (caught.value.after or 0) > 3500
    assert site.count("/player/") == 1


@pytest.mark.asyncio
async def test_one_fault_after_the_other_is_this_machines_fault(site: MediaServer, fetching: Fetching) -> None:
    """Three videos without a usable format are three failures; the fourth in a row pauses the source instead."""
    for number in range(4):
        site.players[f"video{number:06}"] = player(f"video{number:06}", 5, [])
    codes = []
    for number in range(4):
        with pytest.raises((Permanent, Throttled)) as caught:
            await fetching.get(f"video{number:06}")
        codes.append(caught.value.trouble.code)
    assert codes == ["format", "format", "format", "youtube_format"]


@pytest.mark.asyncio
async def test_media_refused_one_after_the_other_pause_the_source(site: MediaServer, fetching: Fetching) -> None:
    """That the pages still answer does not make up for it: after three videos without media the fourth pauses."""
    codes = []
    for number in range(4):
        video = f"video{number:06}"
        site.video(video)
        site.files[f"/media/{video}.mp4"].status = 403
        with pytest.raises((Transient, Throttled)) as caught:
            await fetching.get(video)
        codes.append(caught.value.trouble.code)
    assert codes == ["forbidden", "forbidden", "forbidden", "youtube_forbidden"]


@pytest.mark.asyncio
async def test_without_yt_dlp_the_source_pauses(site: MediaServer, tmp_path: Path) -> None:
    """No item is blamed for an interpreter that is not there."""
    made = build(site, tmp_path)
    made.crew.launch = Launch("/nowhere/python")
    with pytest.raises(Throttled) as caught:
        await made.get()
    assert caught.value.trouble.code == "ytdlp_missing"
    assert "/nowhere/python" in caught.value.trouble.detail


# ----------------------------------------------------------------------------------------------------- cookies, proxy, room


@pytest.mark.asyncio
async def test_cookies_are_sent_and_never_written_back(site: MediaServer, tmp_path: Path) -> None:
    """A read-only secret stays as it is; a missing or wrong file pauses the source with its name."""
    path = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\thunter2\n"
    path.write_text(text)
    path.chmod(0o400)
    site.video(V)
    more = "import builtins; keep = v.YoutubeIE._initial_extract\n"
    more += "def see(self, *a):\n    c = self._get_cookies('https://www.youtube.com/')\n"
    more += "    assert c['SID'].value == 'hunter2'\n    return keep(self, *a)\nv.YoutubeIE._initial_extract = see"
    made = build(site, tmp_path, more=more, cookies=path)
    assert (await made.get()).size
    await made.crew.aclose()
    assert path.read_text() == text
    path.chmod(0o600)
    path.write_text('[{"name": "SID"}]')
    with pytest.raises(Throttled) as caught:
        await made.get("second00001")
    assert caught.value.trouble.code == "cookies_bad"
    assert str(path) in caught.value.trouble.message


@pytest.mark.asyncio
async def test_a_password_of_the_proxy_is_in_no_message(site: MediaServer, tmp_path: Path) -> None:
    """The proxy is used, and its address never comes back to us in words."""
    site.video(V)
    made = build(site, tmp_path, proxy="http://me:hunter2@127.0.0.1:9")
    with pytest.raises((Throttled, Transient)) as caught:
        await made.get()
    await made.crew.aclose()
    assert site.count("/player/") == 0
    assert "hunter2" not in str(caught.value.trouble)


@pytest.mark.asyncio
async def test_downloads_wait_for_uploads_when_the_disk_is_taken(site: MediaServer, tmp_path: Path) -> None:
    """Above the limit nothing more is fetched, not even looked at; what is uploaded and discarded makes room."""
    site.video(V)
    site.video("second00001")
    made = build(site, tmp_path, most=40_000)
    first = await made.get()
    looked = site.count("/player/")
    with pytest.raises(Throttled) as caught:
        await made.get("second00001")
    assert caught.value.trouble.code == "disk_room"
    assert site.count("/media/") == 1
    discard(first.path)
    assert (await made.get("second00001")).size
    assert site.count("/player/") <= looked + 2
    await made.crew.aclose()


@pytest.mark.asyncio
async def test_a_download_that_grows_is_broken_off(site: MediaServer, tmp_path: Path) -> None:
    """A file that does not say how long it is stops at the limit: the bytes are counted, not believed."""
    site.video(V)
    site.players[V]["streamingData"]["adaptiveFormats"][0].pop("contentLength")
    site.players[V]["streamingData"]["adaptiveFormats"][0].pop("bitrate")
    blob = site.files[f"/media/{V}.mp4"]
    blob.length, blob.content = False, bytes(3_000_000)
    made = build(site, tmp_path, most=1_000_000)
    with pytest.raises(Permanent) as caught:
        await made.get()
    assert caught.value.trouble.code == "too_large"
    await made.crew.aclose()


# --------------------------------------------------------------------------------------------------------- interruptions


@pytest.mark.asyncio
@pytest.mark.parametrize("state", ["look", "download", "stall"])
async def test_a_cancel_takes_a_tenth_of_a_second_in_every_state(
    site: MediaServer, fetching: Fetching, state: str
) -> None:
    """While the page hangs, while bytes come, while none come: the worker's whole group is gone at once."""
    site.video("warmup00001")
    await fetching.get("warmup00001")
    site.video(V)
    if state == "look":
        site.players[V] = "hang"
    else:
        blob = site.files[f"/media/{V}.mp4"]
        blob.stall, blob.rate = state == "stall", 20_000.0 if state == "download" else 0.0
    async with anyio.create_task_group() as group:
        group.start_soon(fetching.get)
        path = f"/player/{V}" if state == "look" else f"/media/{V}"
        while not site.count(path):  # noqa: ASYNC110 - the site lives in a thread
            await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        before = time.monotonic()
        group.cancel_scope.cancel()
    assert time.monotonic() - before < 0.1
    assert fetching.crew._idle == []


@pytest.mark.asyncio
async def test_the_event_loop_never_stands_still(site: MediaServer, fetching: Fetching) -> None:
    """Four videos with a description of a megabyte each, two at a time: no gap above fifty milliseconds."""
    for number in range(4):
        site.video(f"video{number:06}", seconds=10)
        site.players[f"video{number:06}"]["padding"] = ["x" * 1000] * 1000
    gaps: list[float] = []

    async def watch() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        async with anyio.create_task_group() as jobs:
            for number in range(4):
                jobs.start_soon(fetching.get, f"video{number:06}")
        group.cancel_scope.cancel()
    gaps.sort()
    # The very largest belongs to whoever else is using this machine's processors.
    assert gaps[-3] < 0.055


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(("form", "seed"), [("http", 1), ("http", 2), ("hls", 3), ("hls", 4)])
async def test_a_hundred_kills_leave_no_wrong_file(site: MediaServer, tmp_path: Path, form: str, seed: int) -> None:
    """Four times 25 downloads are killed at a random moment, some of them twice, with all they started: each is exact."""
    chance = Random(seed)
    content = site.video(V, seconds=400) if form == "http" else site.hls(V, tmp_path / "hls", seconds=6)
    for blob in site.files.values():
        blob.rate = len(content) / 0.1
    made = build(site, tmp_path)
    resumed = 0
    for _ in range(25):
        for _ in range(chance.choice([1, 1, 2])):
            await _killed(made, site, chance.random() * 0.15)
        before = len(site.asked)
        found = await made.get()
        assert found.path.read_bytes() == content
        resumed += any("player" not in path for path in site.asked[before:])
        discard(found.path)
    await made.crew.aclose()
    assert resumed > 10


async def _killed(made: Fetching, site: MediaServer, after: float) -> None:
    """Fetch, and kill the worker's process group so many seconds after the first byte of media was asked for."""
    asked = len(site.asked)

    async def kill() -> None:
        while not any(path.startswith(("/media", "/hls")) for path in site.asked[asked:]):  # noqa: ASYNC110
            await anyio.sleep(0.005)
        await anyio.sleep(after)
        for entry in await anyio.to_thread.run_sync(_children):
            with suppress(ProcessLookupError):
                os.killpg(entry, signal.SIGKILL)

    async with anyio.create_task_group() as group:
        group.start_soon(kill)
        with suppress(Transient):
            await made.get()
        group.cancel_scope.cancel()


def _children() -> list[int]:
    """Return the process groups that our own children lead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[1:3]
                if int(parent) == os.getpid() and int(group) == int(entry.name):
                    found.append(int(entry.name))
    return found

"""Fetching through the real worker and the real yt-dlp, from a site on loopback that misbehaves on demand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import NotYet, Permanent, Throttled, Transient
from pipeline.source.youtube.storage.folder import DownloadFolder, discard_download
from pipeline.source.youtube.worker.pool import WorkerCommand
from tests.support.site import Blob, MediaServer, captions, plain, player
from tests.support.youtube_runs import Fetching, V, build

VTT = b"WEBVTT\n\n00:00.000 --> 00:02.000\nHello there\n"


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
    assert len(fetching.workers._idle) == 1


_GROWING = """
keep, hoard = v.YoutubeIE._initial_extract, []
def grow(self, *given):
    if given[-1] == "heavy000001": hoard.append(b"x" * 330_000_000)
    return keep(self, *given)
v.YoutubeIE._initial_extract = grow
"""


@pytest.mark.asyncio
async def test_a_worker_that_has_grown_is_replaced(site: MediaServer, tmp_path: Path) -> None:
    """Above 300 MiB it finishes its video, which counts, and is ended; the next video gets a new process."""
    made = build(site, tmp_path, more=_GROWING)
    pids = []
    for number, video in enumerate(("light000001", "heavy000001", "light000002", "light000003")):
        content = site.video(video, seconds=4 + number)
        assert (await made.get(video)).path.read_bytes() == content
        pids.append([worker.pid for worker in made.workers._idle])
    await made.workers.aclose()
    first, during, after, later = pids
    assert (len(first), during, after == later, after == first) == (1, [], True, False)
    with pytest.raises(ProcessLookupError):
        os.kill(first[0], 0)


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
    await fetching.workers.aclose()


@pytest.mark.asyncio
async def test_a_complete_part_is_no_dead_end(site: MediaServer, fetching: Fetching) -> None:
    """A process killed between the last byte and the rename leaves what a server answers with 416 for ever."""
    content = site.video(V)
    folder = DownloadFolder(fetching.work / "youtube", V)
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
    """Five hours of video are refused after the look, before a byte of media."""
    site.players[V] = player(V, 18_000, [plain(site.base + "/media/x.mp4", 10**9)])
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
async def test_a_connection_that_breaks_again_and_again_pauses_the_source(
    site: MediaServer, fetching: Fetching
) -> None:
    """Three times it is tried again; the fourth in a row is this machine's network: YouTube pauses for minutes."""
    site.refuse(V, "ERROR", "[Errno 101] Network is unreachable")
    codes = []
    for _ in range(4):
        with pytest.raises((Transient, Throttled)) as caught:
            await fetching.get(V)
        codes.append(caught.value.trouble.code)
    assert codes == ["network", "network", "network", "youtube_network"]
    assert 100 < (caught.value.after or 0) <= 120


@pytest.mark.asyncio
async def test_without_yt_dlp_the_source_pauses(site: MediaServer, tmp_path: Path) -> None:
    """No item is blamed for an interpreter that is not there."""
    made = build(site, tmp_path)
    made.workers.command = WorkerCommand("/nowhere/python")
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
    await made.workers.aclose()
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
    await made.workers.aclose()
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
    discard_download(first.path)
    assert (await made.get("second00001")).size
    assert site.count("/player/") <= looked + 2
    await made.workers.aclose()


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
    await made.workers.aclose()

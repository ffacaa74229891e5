"""What becomes of a video's streams: merged by ffmpeg, put together by ourselves, or one file; and what lies beside."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import av
import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from pipeline.core.errors import Transient
from pipeline.ports.source import MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.files import probe_file
from pipeline.source.preflight import check
from pipeline.source.thumbnails import LARGEST, read_thumbnail
from pipeline.source.youtube.muxing import is_transport_stream, mux
from tests.support.media import film, picture_bytes
from tests.support.site import Blob, MediaServer, captions
from tests.support.youtube_runs import Fetching, V, build
from tests.unit.test_youtube_worker import gone

FFMPEG = Path(imageio_ffmpeg.get_ffmpeg_exe())


@pytest_asyncio.fixture
async def bare(site: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fetching]:
    """A source on a machine without ffmpeg."""
    monkeypatch.setenv("PATH", "/nowhere")
    made = build(site, tmp_path)
    yield made
    await made.workers.aclose()


@pytest.fixture
def warned() -> Iterator[list[Any]]:
    """Warnings of our own, as they come."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with capture_logs() as said:
        yield said


def pictures(source: Any) -> tuple[int, str]:
    """Return how many pictures decode, and a digest of all of them."""
    digest, count = hashlib.sha256(), 0
    with av.open(source) as container:
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray().tobytes())
            count += 1
    return count, digest.hexdigest()


def assert_an_mp4(found: MediaFacts, *, sound: bool = True) -> None:
    """It opens, it is what its name says, the platform takes it, and both streams begin together."""
    assert found.path.suffix == ".mp4"
    assert found.container.startswith("mov")
    assert bool(found.audio_codec) is sound
    assert check(found, Ceilings()) is None
    with av.open(str(found.path)) as container:
        starts = [
            float((stream.start_time or 0) * stream.time_base) for stream in container.streams if stream.time_base
        ]
    assert max(map(abs, starts)) < 0.3


# ------------------------------------------------------------------------------------------------------------ with ffmpeg


@pytest.mark.asyncio
async def test_ffmpeg_as_configured_merges_picture_and_sound(
    site: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in the configuration is enough, whatever the program there is called; one file is left."""
    monkeypatch.setenv("PATH", "/nowhere")
    made = build(site, tmp_path, ffmpeg=FFMPEG)
    picture = site.split(V)
    found = await made.get()
    await made.workers.aclose()
    assert (found.about["plan"], found.about["formats"]) == ("merge", ["136", "140"])
    assert_an_mp4(found)
    assert pictures(str(found.path)) == pictures(BytesIO(picture))
    assert made.left() == sorted(["done.json", found.path.name])


@pytest.mark.asyncio
@pytest.mark.parametrize("apart", [False, True])
async def test_ffmpeg_on_the_path_makes_an_mp4_of_pieces(
    site: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    """HLS comes as MPEG-TS, with its sound inside or in pieces of its own; what arrives is an MP4."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(FFMPEG)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    made = build(site, tmp_path)
    content = site.hls(V, tmp_path / "hls", seconds=5, apart=apart, busy=False)
    found = await made.get()
    await made.workers.aclose()
    assert found.about["plan"] == "merge"
    assert_an_mp4(found)
    assert pictures(str(found.path)) == pictures(BytesIO(content))


@pytest.mark.asyncio
async def test_an_ffmpeg_that_is_not_there_is_done_without(site: MediaServer, tmp_path: Path) -> None:
    """A path that leads nowhere costs the merge, not the video: we put the streams together."""
    made = build(site, tmp_path, ffmpeg=tmp_path / "ffmpeg")
    site.split(V)
    found = await made.get()
    await made.workers.aclose()
    assert found.about["plan"] == "split"
    assert_an_mp4(found)


@pytest.mark.asyncio
async def test_an_ffmpeg_that_fails_is_named(site: MediaServer, tmp_path: Path) -> None:
    """It says its version and cannot merge: the video fails with words about that, and nothing half-made counts."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *-bsfs*) exec "{FFMPEG}" "$@";; esac\necho "no room at all" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    made = build(site, tmp_path, ffmpeg=program)
    site.split(V)
    with pytest.raises(Transient) as caught:
        await made.get()
    await made.workers.aclose()
    assert "no room at all" in caught.value.trouble.detail
    assert not [name for name in made.left() if name.endswith(".temp.mp4") or name == "done.json"]


_SLOW = """#!/bin/sh
case "$*" in *-bsfs*) exec "{ffmpeg}" "$@";; esac
[ -e "{folder}/again" ] && exec "{ffmpeg}" "$@"
for last; do :; done
echo torn > "${{last#file:}}"
echo $$ > "{folder}/there"
sleep 60
"""


@pytest.mark.asyncio
async def test_a_merge_that_was_cut_off_is_made_anew_from_the_same_streams(site: MediaServer, tmp_path: Path) -> None:
    """The ffmpeg dies with its worker, what it had written counts for nothing, and no byte is fetched twice."""
    program = tmp_path / "ffmpeg"
    program.write_text(_SLOW.format(ffmpeg=FFMPEG, folder=tmp_path))
    program.chmod(0o755)
    made = build(site, tmp_path, ffmpeg=program)
    picture, there = site.split(V), tmp_path / "there"
    async with anyio.create_task_group() as group:
        group.start_soon(made.get)
        while not there.exists() or not there.read_text().strip():  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert await gone(int(there.read_text()))
    assert [name for name in made.left() if name.endswith(".temp.mp4")]
    (tmp_path / "again").touch()
    found = await made.get()
    await made.workers.aclose()
    assert_an_mp4(found)
    assert pictures(str(found.path)) == pictures(BytesIO(picture))
    assert site.count("/media/") == 2
    assert made.left() == sorted(["done.json", found.path.name])


# --------------------------------------------------------------------------------------------------------- without ffmpeg


@pytest.mark.asyncio
async def test_picture_and_sound_are_put_together_without_ffmpeg(site: MediaServer, bare: Fetching) -> None:
    """Two streams become one file, stream by stream, and every picture is there."""
    picture = site.split(V)
    found = await bare.get()
    assert (found.about["plan"], found.about["formats"]) == ("split", ["136", "140"])
    assert_an_mp4(found)
    assert pictures(str(found.path)) == pictures(BytesIO(picture))
    assert bare.left() == sorted(["done.json", found.path.name])


@pytest.mark.asyncio
@pytest.mark.parametrize(("apart", "plan"), [(False, "single"), (True, "pieces")])
async def test_pieces_become_an_mp4_without_ffmpeg(
    site: MediaServer, bare: Fetching, tmp_path: Path, apart: bool, plan: str
) -> None:
    """HLS leaves no MPEG-TS behind that calls itself an MP4, whether its sound comes with it or apart."""
    content = site.hls(V, tmp_path / "hls", seconds=5, apart=apart, busy=False)
    found = await bare.get()
    assert found.about["plan"] == plan
    assert_an_mp4(found)
    assert pictures(str(found.path)) == pictures(BytesIO(content))
    assert bare.left() == sorted(["done.json", found.path.name])


@pytest.mark.asyncio
async def test_a_single_file_comes_with_a_warning(site: MediaServer, bare: Fetching, warned: list[Any]) -> None:
    """Where neither is possible, the one whole file is taken as it is, and the log says what that costs."""
    content = site.video(V)
    found = await bare.get()
    assert found.path.read_bytes() == content
    assert_an_mp4(found)
    (warning,) = [entry for entry in warned if entry["event"] == "youtube.single_file"]
    assert (warning["log_level"], warning["video"]) == ("warning", V)


@pytest.mark.asyncio
async def test_pieces_that_cannot_be_put_together_have_a_class_of_their_own(
    site: MediaServer, bare: Fetching, tmp_path: Path
) -> None:
    """A stream whose clock jumps back is no video that we can make: said so, tried again, and nothing counts."""
    site.hls(V, tmp_path / "hls", seconds=5, busy=False)
    for number, other in ((0, 4), (1, 3)):
        site.files[f"/hls/{V}/96/{number}.ts"] = site.files[f"/hls/{V}/96/{other}.ts"]
    with pytest.raises(Transient) as caught:
        await bare.get()
    assert caught.value.trouble.code == "merge_failed"
    assert "ffmpeg" in caught.value.trouble.remedy
    assert "done.json" not in bare.left()


def test_a_file_with_both_is_read_in_one_pass(tmp_path: Path) -> None:
    """Remuxing a part that holds picture and sound loses nothing of either, and time begins at 0."""
    source, target = film(tmp_path / "in.ts", 5, sound=True, codec="libx264"), tmp_path / "out.mp4"
    assert is_transport_stream(source)
    mux([source], target, lambda: None)
    assert not is_transport_stream(target)
    assert pictures(str(target)) == pictures(str(source))
    assert abs(probe_file(target).seconds - 5) < 0.3
    mux([source], again := tmp_path / "again.mp4", lambda: None)
    assert again.read_bytes() == target.read_bytes()


# ------------------------------------------------------------------------------------------------------------- thumbnails


@pytest.mark.asyncio
@pytest.mark.parametrize(("form", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp")])
async def test_a_thumbnail_lies_beside_the_video(site: MediaServer, bare: Fetching, form: str, suffix: str) -> None:
    """It comes apart from the video and from captions, byte for byte, under a name that fits what it is."""
    site.video(V, captions=captions(site.base + "/caption"))
    site.files["/caption"] = Blob(b"WEBVTT\n", "text/vtt")
    content = picture_bytes(form)
    site.thumbnail(V, content)
    found = await bare.get()
    assert found.thumbnail is not None
    assert (found.thumbnail.suffix, found.thumbnail.read_bytes()) == (suffix, content)
    assert read_thumbnail(found.thumbnail) == (f"thumbnail{suffix}", content)
    assert len(found.captions) == 1
    assert await bare.get() == found
    assert site.count("/picture/") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["missing", "busy", "page", "torn", "huge", "endless"])
async def test_a_failing_thumbnail_costs_nothing_but_itself(
    site: MediaServer, bare: Fetching, warned: list[Any], fault: str
) -> None:
    """Refused, not a picture, cut short, larger than any: the video arrives, the log says why, nothing else is left."""
    site.video(V)
    site.thumbnail(V, picture_bytes())
    blob = site.files[f"/picture/{V}"]
    blob.status = {"missing": 404, "busy": 429}.get(fault, 200)
    wrong = {"page": b"<html>sorry</html>" * 99, "huge": bytes(LARGEST + 1), "endless": bytes(4 * LARGEST)}
    blob.content = wrong.get(fault, blob.content[: len(blob.content) // 2])
    blob.length = fault != "endless"
    found = await bare.get()
    assert (found.thumbnail, bool(found.size)) == (None, True)
    assert "youtube.no_thumbnail" in [entry["event"] for entry in warned]
    assert bare.left() == sorted(["done.json", found.path.name])
    site.video("second00001")
    assert (await bare.get("second00001")).size


@pytest.mark.asyncio
async def test_thumbnails_can_be_left_out(site: MediaServer, tmp_path: Path) -> None:
    """``thumbnail = false`` asks for none."""
    made = build(site, tmp_path, thumbnail=False)
    site.video(V)
    site.thumbnail(V, picture_bytes())
    assert (await made.get()).thumbnail is None
    await made.workers.aclose()
    assert site.count("/picture/") + site.count("/guessed/") == 0


def test_what_is_read_again_is_judged_again(tmp_path: Path) -> None:
    """A thumbnail that was changed on disk, is gone, or is larger than a screen never reaches the results."""
    path = tmp_path / "a.thumbnail.jpg"
    assert read_thumbnail(None) is None
    assert read_thumbnail(path) is None
    path.write_bytes(picture_bytes(size=(5000, 10)))
    assert read_thumbnail(path) is None
    path.write_bytes(picture_bytes("PNG"))
    assert read_thumbnail(path) == ("thumbnail.png", path.read_bytes())
    shutil.copyfile(__file__, path)
    assert read_thumbnail(path) is None

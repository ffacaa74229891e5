"""Files that are no videos, or not yet: they are called what they are, and a copy in progress is waited for."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline import app
from pipeline.core.errors import InputError, NotYet
from pipeline.ports.source import Item, ManifestLine
from pipeline.source.file_content import SETTLED, promised_size, recognize
from pipeline.source.files import FileSource, probe_file
from pipeline.views import RunReport
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.fakes import items
from tests.support.media import clip_bytes, film_bytes
from tests.support.run_harness import settings_for
from tests.support.scripted_run import Life
from tests.unit.test_file_source import sound_only


def pictures(form: str, count: int) -> bytes:
    """Return a picture file, animated if there are several."""
    target, frames = io.BytesIO(), [Image.new("RGB", (64, 36), (40 * n, 90, 200)) for n in range(count)]
    more = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 0} if count > 1 else {}
    frames[0].save(target, form, **more)
    return target.getvalue()


THINGS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "gif": (lambda: pictures("GIF", 3), "this is an animated GIF, not a video.", "ffmpeg -i 'clip.mp4'"),
    "still gif": (lambda: pictures("GIF", 1), "this is a GIF picture, not a video.", "leave it out"),
    "webp": (lambda: pictures("WEBP", 3), "this is an animated WebP, not a video.", "ffmpeg"),
    "apng": (lambda: pictures("PNG", 3), "this is an animated PNG, not a video.", "ffmpeg"),
    "jpeg": (lambda: pictures("JPEG", 1), "this is a picture, not a video.", "leave it out"),
    "page": (lambda: b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "this is a web page saved", "download the video"),
    "text": (lambda: b"nothing to see here\n" * 50, "this is a text file, not a video.", "leave it out"),
    "zip": (lambda: b"PK\x03\x04" + bytes(range(256)), "this is an archive, not a video.", "unpack it"),
    "list": (lambda: b"#EXTM3U\n#EXTINF:5,\nx.ts\n", "this is a playlist", "name the video itself"),
    "lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS", "git lfs pull"),
    "mp3": (lambda: b"ID3\x04\0\0\0\0\x10\0APIC\0\0\x01\0image/jpeg\0" + b"\xff\xfb" * 99,
            "the file has only sound and a cover picture.", "leave it out"),
    "wav": (lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(60), "the file has only sound.", "leave it out"),
    "m4a": (sound_only, "the file has only sound.", "leave it out"),
    "cover": (lambda: sound_only(cover=True), "the file has only sound and a cover picture.", "leave it out"),
}  # fmt: skip


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_video_is_called_what_it_is(tmp_path: Path, thing: str) -> None:
    """In one sentence with the next step that fits; nobody is told to play a text file."""
    make, sentence, remedy = THINGS[thing]
    path = tmp_path / "clip.mp4"
    path.write_bytes(make())
    with pytest.raises(InputError) as caught:
        probe_file(path)
    assert sentence in caught.value.trouble.message
    assert caught.value.trouble.message.startswith("clip.mp4: ")
    assert remedy in caught.value.trouble.remedy


@pytest.mark.parametrize("form", ["mp4", "mkv", "webm", "avi", "mov"])
def test_a_container_says_how_long_it_is(form: str) -> None:
    """A whole file has what it promises; one that was cut off anywhere has less."""
    whole = film_bytes(2, codec="libvpx" if form == "webm" else "mpeg4", form=form)
    assert promised_size(io.BytesIO(whole), len(whole)) in (0, len(whole))
    assert promised_size(io.BytesIO(whole[:-1]), len(whole) - 1) == len(whole)
    for part in (len(whole) // 4, len(whole) // 2, len(whole) - 1):
        assert promised_size(io.BytesIO(whole[:part]), part) > part


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(data: bytes) -> None:
    """Property: whatever stands at a file's beginning, there is an answer and nothing is raised."""
    for head in (data, b"\x1aE\xdf\xa3" + data, b"\0\0\0\x18ftyp" + data, b"RIFF" + data):
        assert promised_size(io.BytesIO(head), len(head)) >= 0
        recognize(head, "a.mp4")


def test_a_copy_that_was_broken_off_says_so(tmp_path: Path) -> None:
    """How much is there and how much was promised: copying it again is what helps."""
    whole = film_bytes(2)
    path = tmp_path / "half.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    os.utime(path, (EPOCH - 3600, EPOCH - 3600))
    with pytest.raises(InputError) as caught:
        probe_file(path)
    assert f"ends early: it has {len(whole) // 2:,} of " in caught.value.trouble.message
    assert caught.value.trouble.remedy == "copy it again"


@pytest.mark.parametrize("age", [0.0, 3.0, SETTLED - 1])
@pytest.mark.parametrize(
    "content",
    [b"", bytes(9000), film_bytes(2)[:9000], film_bytes(2, form="mkv")[:-1]],
    ids=["none", "zeros", "cut", "tail"],
)
def test_a_file_that_changed_a_moment_ago_and_is_not_complete_is_not_judged(
    tmp_path: Path, content: bytes, age: float
) -> None:
    """Empty, preallocated, cut off, or readable but short of its end: it is looked at again once it has rested."""
    path = tmp_path / "a.mp4"
    path.write_bytes(content)

    async def look() -> None:
        clock = VirtualClock()
        os.utime(path, (clock.now() - age, clock.now() - age))
        await FileSource(clock).fetch(Item("file:a", "file", str(path), ManifestLine("a.mp4")), tmp_path)

    with pytest.raises(NotYet) as caught:
        run_virtual(look())
    assert caught.value.trouble.code == "file_not_ready"
    assert "still being copied" in caught.value.trouble.message
    assert SETTLED - age <= caught.value.after <= SETTLED + 1


def test_a_plan_says_the_same_of_a_file_that_is_being_copied(tmp_path: Path) -> None:
    """It has no price yet, and nobody is told to convert it."""
    path = tmp_path / "a.mp4"
    path.write_bytes(film_bytes(2)[:9000])
    plan = anyio.run(app.plan, settings_for(tmp_path), [str(path)])
    assert "still being copied" in plan.rows[0].problem


@pytest.mark.parametrize("thing", ["gif", "text", "zip", "m4a"])
def test_what_is_surely_no_video_is_not_waited_for(tmp_path: Path, thing: str) -> None:
    """However new it is: more bytes make no video of it."""
    path = tmp_path / "a.mp4"
    path.write_bytes(THINGS[thing][0]())

    async def look() -> None:
        clock = VirtualClock()
        os.utime(path, (clock.now(), clock.now()))
        await FileSource(clock).fetch(Item("file:a", "file", str(path), ManifestLine("a.mp4")), tmp_path)

    with pytest.raises(InputError):
        run_virtual(look())


@pytest.mark.parametrize(("finished_after", "exit_code"), [(5.0, 0), (45.0, 0), (None, 3)])
def test_a_run_waits_for_a_file_that_is_being_copied(
    tmp_path: Path, finished_after: float | None, exit_code: int
) -> None:
    """It is looked at again later in the same run: taken when it is whole, and given up when nobody writes any more."""
    life, path, whole = Life.at(tmp_path), tmp_path / "film.mp4", clip_bytes(0)
    life.source = FileSource(life.clock)  # type: ignore[assignment]

    def grow(size: int) -> None:
        path.write_bytes(whole[:size])
        os.utime(path, (life.clock.now(), life.clock.now()))

    async def copying() -> None:
        for step in range(1, 6):
            if finished_after is not None:
                await anyio.sleep(finished_after / 5)
                grow(len(whole) * step // 5)

    async def night() -> RunReport:
        grow(len(whole) // 10)
        async with anyio.create_task_group() as group:
            group.start_soon(copying)
            return await life.run(items([path]))
        raise AssertionError

    report = run_virtual(night())
    assert report.exit_code == exit_code
    if exit_code:
        assert "ends early" in report.troubles[0][1].message

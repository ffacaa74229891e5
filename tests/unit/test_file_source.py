"""Looking into real files: what is found, what is refused, what is only tried later."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.errors import InputError, Transient
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.files import FileSource, probe_file
from pipeline.source.preflight import check
from pipeline.source.read_errors import to_read_error
from tests.support.media import film, film_bytes, turned


class Now:
    """A clock that stands an hour after every file of a test."""

    def __init__(self, now: float = 4e9) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


class Memory:
    """A hash cache that counts what it was asked."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, int, int, int], str] = {}
        self.hits = 0

    async def cached(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
        found = self.known.get((path, size, mtime_ns, inode))
        self.hits += found is not None
        return found

    async def remember(self, path: str, size: int, mtime_ns: int, inode: int, sha256: str) -> None:
        self.known[path, size, mtime_ns, inode] = sha256


def item(path: Path) -> Item:
    """Return the item that expand would make."""
    return Item(f"file:{path}", "file", str(path), ManifestLine(source=str(path)))


async def fetch(path: Path, cache: Memory | None = None) -> MediaFacts:
    """Look into one file."""
    return await FileSource(Now(), cache).fetch(item(path), path.parent)


class Pipe(io.RawIOBase):
    """A file object that cannot seek: what is written through it knows no duration."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.data += bytes(data)
        return len(data)


@pytest.mark.asyncio
async def test_the_facts_of_a_video(tmp_path: Path) -> None:
    """Length, sides, codecs, type, size and content hash are those of the file."""
    path = film(tmp_path / "a film é.mp4", 5, sound=True)
    facts = await fetch(path)
    assert facts.seconds == pytest.approx(5, abs=0.1)
    assert (facts.width, facts.height, facts.video_codec, facts.audio_codec) == (640, 360, "mpeg4", "aac")
    assert (facts.mime, facts.path, facts.size) == ("video/mp4", path, path.stat().st_size)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.mtime_ns == path.stat().st_mtime_ns
    assert replace(facts, sha256="", beside=None) == probe_file(path)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "codec", "mime"),
    [("a.mkv", "mpeg4", "video/x-matroska"), ("a.avi", "mpeg4", "video/x-msvideo"), ("a.mov", "mpeg4", "video/quicktime"),
     ("a.webm", "libvpx", "video/webm"), ("a.ts", "mpeg2video", "video/mp2t")],
)  # fmt: skip
async def test_other_containers(tmp_path: Path, name: str, codec: str, mime: str) -> None:
    """Each usual container is read and named by its type; a silent one has no audio codec."""
    facts = await fetch(film(tmp_path / name, 2, codec=codec, fps=25 if codec == "mpeg2video" else 4))
    assert (facts.mime, facts.audio_codec) == (mime, "")
    assert facts.seconds == pytest.approx(2, abs=0.3)
    assert facts.clock_start == pytest.approx(0.04 if name == "a.ts" else 0.0)  # a transport stream begins late


@pytest.mark.asyncio
async def test_a_turned_picture_counts_as_it_is_seen(tmp_path: Path) -> None:
    """A phone's portrait video is portrait."""
    path = tmp_path / "phone.mp4"
    path.write_bytes(turned(film_bytes(1)))
    facts = await fetch(path)
    assert (facts.width, facts.height) == (360, 640)


@pytest.mark.asyncio
async def test_a_length_that_no_header_knows_is_measured(tmp_path: Path) -> None:
    """A WebM written to a pipe has no duration; its packets tell it."""
    pipe = Pipe()
    film_bytes(5, codec="libvpx", form="webm", into=pipe)
    path = tmp_path / "live.webm"
    path.write_bytes(pipe.data)
    assert (await fetch(path)).seconds == pytest.approx(5, abs=0.3)


def sound_only(cover: bool = False) -> bytes:
    """Return an MP4 with an audio stream only, or with a cover picture, which players show like a video stream."""
    import av
    import numpy as np
    from av.stream import Disposition

    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=16_000)
        if cover:
            picture: Any = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 640, 360, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            image = av.VideoFrame.from_ndarray(np.zeros((360, 640, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(image.reformat(format="yuvj420p")))
            container.mux(picture.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda: b"", "file_empty"),
        (lambda: b"\x00" * 5000, "unreadable_video"),
        (lambda: b"#EXTM3U\n#EXTINF:5,\n/etc/hostname\n#EXT-X-ENDLIST\n", "unreadable_video"),
        (lambda: b"ffconcat version 1.0\nfile other.mp4\n", "unreadable_video"),
        (lambda: film_bytes(1)[:3000], "unreadable_video"),
        (sound_only, "no_video_stream"),
        (lambda: sound_only(cover=True), "no_video_stream"),
    ],
)
async def test_what_is_no_video_says_so(tmp_path: Path, content: Callable[[], bytes], code: str) -> None:
    """Empty, damaged, cut-off, silent-picture and playlist files each have a code and a remedy, and name the file."""
    path = tmp_path / "bad.mp4"
    path.write_bytes(content())
    film(tmp_path / "other.mp4", 1)
    with pytest.raises(InputError) as caught:
        await fetch(path)
    assert caught.value.trouble.code == code
    assert caught.value.trouble.remedy
    assert "bad.mp4" in str(caught.value)


@pytest.mark.asyncio
async def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    """Missing, below a file, a folder, a pipe that nobody writes to: named at once, never waited for."""
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "file").touch()
    for name, code in {
        "no.mp4": "file_missing",
        "file/x.mp4": "file_missing",
        ".": "not_a_file",
        "pipe.mp4": "not_a_file",
    }.items():
        with pytest.raises(InputError) as caught:
            await fetch(tmp_path / name)
        assert caught.value.trouble.code == code


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.EIO, Transient, "disk_trouble"),
        (errno.ESTALE, Transient, "disk_trouble"),
        (errno.EMFILE, Transient, "disk_trouble"),
        (errno.EACCES, InputError, "permission_denied"),
        (errno.ENAMETOOLONG, InputError, "file_missing"),
        (errno.EILSEQ, InputError, "unreadable_video"),
    ],
)
def test_the_disk_is_told_from_the_file(number: int, kind: type[Exception], code: str) -> None:
    """What may pass by itself is tried again; what is the file's own fault is not."""
    found = to_read_error(OSError(number, os.strerror(number)), Path("/films/a.mp4"))
    assert isinstance(found, kind)
    assert found.trouble.code == code


@pytest.mark.asyncio
async def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    """The content is read once per state of the file; a touched file is read again."""
    cache, path = Memory(), film(tmp_path / "a.mp4", 1)
    first = await fetch(path, cache)
    again = await fetch(path, cache)
    assert (first.sha256, cache.hits) == (again.sha256, 1)
    film(path, 1, seed=5)
    os.utime(path, (1, 1))
    assert (await fetch(path, cache)).sha256 != first.sha256
    assert cache.hits == 1


@pytest.mark.asyncio
async def test_a_hash_of_a_file_just_written_is_not_trusted(tmp_path: Path) -> None:
    """Within a time stamp's precision a file can change unseen, so nothing is remembered yet."""
    cache, path = Memory(), film(tmp_path / "a.mp4", 1)
    source = FileSource(Now(path.stat().st_mtime + 1), cache)
    await source.fetch(item(path), tmp_path)
    assert not cache.known


@pytest.mark.asyncio
async def test_a_file_that_is_still_being_copied_is_tried_later(tmp_path: Path) -> None:
    """A change between the first look and the last byte is found, whenever it happens."""
    path = film(tmp_path / "a.mp4", 1)

    class Growing(Memory):
        async def cached(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
            os.truncate(path, size + 1)
            return None

    with pytest.raises(Transient) as caught:
        await fetch(path, Growing())
    assert caught.value.trouble.code == "file_changed"
    assert caught.value.after is not None


def is_open(path: Path) -> bool:
    """True while this process has the file open."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}") == str(path):
                return True
        except OSError:
            continue
    return False


@pytest.mark.asyncio
@pytest.mark.timeout(20)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen through /proc")
async def test_hashing_can_be_stopped_between_blocks(tmp_path: Path) -> None:
    """A cancelled run does not read the rest of a large file: 64 GB here, which would take a minute."""
    path = film(tmp_path / "a.mp4", 1)
    os.truncate(path, 64 * 1024**3)  # a hole: nothing is stored
    looked = anyio.Event()

    class Looked(Memory):
        async def cached(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
            looked.set()
            return None

    async with anyio.create_task_group() as group:
        group.start_soon(fetch, path, Looked())
        await looked.wait()
        while not is_open(path):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert not is_open(path)


@pytest.mark.asyncio
async def test_captions_beside_a_video_are_found(tmp_path: Path) -> None:
    """Same name, with or without a language; captions of other videos are not taken."""
    for name in (
        "film.srt",
        "film.en.srt",
        "film.pt-BR.sdh.vtt",
        "film.VTT",
        "film.part2.srt",
        "film2.srt",
        "film.txt",
    ):
        (tmp_path / name).touch()
    (tmp_path / "film.de.srt").mkdir()
    film(tmp_path / "film.mp4", 1)
    facts = await fetch(tmp_path / "film.mp4")
    assert [path.name for path in facts.captions] == ["film.VTT", "film.srt", "film.en.srt", "film.pt-BR.sdh.vtt"]


@pytest.mark.asyncio
async def test_how_captions_were_read_is_known_and_so_is_a_guess(tmp_path: Path) -> None:
    """The file that is used, its encoding, and whether that is certain; without captions nothing is said."""
    path, words = film(tmp_path / "film.mp4", 1), "1\n00:00:01,000 --> 00:00:02,000\nМатка откладывает яйца всё лето.\n"
    assert (await fetch(path)).about == {}
    for name, encoding, guessed in (
        ("film.srt", "utf-8", False),
        ("film.srt", "cp1251", True),
        ("film.ru.srt", "cp1251", False),
    ):
        (tmp_path / "film.srt").unlink(missing_ok=True)
        (tmp_path / name).write_bytes(words.encode(encoding))
        os.utime(tmp_path, (len(name), len(name)))
        assert (await fetch(path)).about == {"captions": {"file": name, "encoding": encoding, "guessed": guessed}}


@pytest.mark.asyncio
async def test_new_captions_are_seen_by_the_next_look(tmp_path: Path) -> None:
    """Listings are kept only as long as the folder stays as it is."""
    path = film(tmp_path / "film.mp4", 1)
    source = FileSource(Now())
    os.utime(tmp_path, (1, 1))
    assert (await source.fetch(item(path), tmp_path)).captions == ()
    (tmp_path / "film.srt").touch()
    assert (await source.fetch(item(path), tmp_path)).captions == (tmp_path / "film.srt",)


def facts(seconds: float = 60, width: int = 1280, height: int = 720, size: int = 1000) -> MediaFacts:
    """Return facts that every platform takes, unless told otherwise."""
    return MediaFacts(Path("a.mp4"), size, seconds, width, height, "mov", "h264", "aac", "video/mp4")


@pytest.mark.parametrize(
    ("seen", "code", "number"),
    [
        (facts(seconds=0.8), "video_too_short", "0.8 s"),
        (facts(seconds=0), "video_too_short", "1 s"),
        (facts(seconds=14_500), "video_too_long", "240 min"),
        (facts(width=640, height=359), "resolution_too_low", "640×359"),
        (facts(width=7680, height=4320), "resolution_too_high", "5184×2160"),
        (facts(width=2160, height=5300), "resolution_too_high", "2160×5300"),
        (facts(width=360, height=900), "aspect_ratio", "2.50:1"),
        (facts(size=11 * 10**9), "file_too_large", "11 GB"),
    ],
)
def test_what_the_platform_would_refuse_is_refused_before_a_byte_moves(
    seen: MediaFacts, code: str, number: str
) -> None:
    """Every ceiling has its code, and its message has the numbers."""
    found = check(seen, Ceilings())
    assert found is not None
    assert found.code == code
    assert number in found.message
    assert found.remedy


@pytest.mark.parametrize(
    "seen",
    [
        facts(),
        facts(1),
        facts(4),
        facts(7200),
        facts(width=360, height=360),
        facts(width=2160, height=5184),
        facts(size=10**10),
    ],
)
def test_what_is_just_inside_passes(seen: MediaFacts) -> None:
    """The ceilings themselves are allowed, upright or lying."""
    assert check(seen, Ceilings()) is None

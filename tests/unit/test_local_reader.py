"""From a file to evidence: what is read, what is noted, and what is refused."""

from __future__ import annotations

import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.local.analysis.evidence import CAPTIONS_GIVEN, HEADING, ExtractedContent
from pipeline.local.analysis.extract.media import large_frames, read_header
from pipeline.local.analysis.extract.reader import UnreadableMedia, read
from pipeline.local.analysis.plugins.ocr import Ocr
from pipeline.local.analysis.text.content_summary import ContentSummary
from pipeline.local.demo.videos import make_demo, make_slides
from tests.unit.local_video import film, noise

CUES = [(0.5, 2.0, "The sea rises twice a day."), (3.2, 5.0, "The Moon pulls it.")]
SLIDES = [("Tides", ["High and low"]), ("The Moon", ["Gravity"])]


def blind() -> Ocr:
    """Return an OCR that has no program, whatever this machine has installed."""
    return Ocr(None)


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    """A slide video of 6 s with captions, a title and chapter marks."""
    return make_slides(
        tmp_path / "deck.mp4", SLIDES, 3.0, CUES, title="About tides", chapters=[(0, 3, "One"), (3, 6, "Two")]
    )


def fake_tesseract(folder: Path, body: str) -> str:
    """Write a program that takes a picture on stdin as tesseract does, and return its path."""
    program = folder / "tesseract"
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


TABLE = "\\n".join([
    "level\\tpage\\tblock\\tpar\\tline\\tword\\tleft\\ttop\\twidth\\theight\\tconf\\ttext",
    "5\\t1\\t1\\t1\\t1\\t1\\t10\\t20\\t50\\t40\\t96\\tHigh", "5\\t1\\t1\\t1\\t1\\t2\\t70\\t20\\t50\\t40\\t95\\ttides",
    "5\\t1\\t2\\t1\\t1\\t1\\t10\\t200\\t50\\t18\\t91\\ttwice", "5\\t1\\t2\\t1\\t1\\t2\\t10\\t200\\t50\\t18\\t90\\tdaily",
    "5\\t1\\t3\\t1\\t1\\t1\\t10\\t240\\t50\\t18\\t31\\tunsure", "5\\t1\\t4\\t1\\t1\\t1\\t10\\t260\\t50\\t18\\t99\\t|~",
])  # fmt: skip


def test_probe_tells_the_facts(deck: Path) -> None:
    """Size, length, codecs and sound are as they were written."""
    facts = read_header(deck).facts
    assert (facts.width, facts.height, facts.seconds, facts.fps) == (640, 360, 6.0, 5.0)
    assert (facts.video_codec, facts.audio_codec, facts.has_audio, facts.mime) == ("h264", "", False, "video/mp4")
    assert facts.size == deck.stat().st_size
    assert facts.bitrate == round(facts.size * 8 / 6)


def test_probe_sees_sound(tmp_path: Path) -> None:
    """A tone track is sound."""
    facts = read_header(make_slides(tmp_path / "tone.mp4", SLIDES, 1.0, tone=True)).facts
    assert facts.has_audio
    assert facts.audio_codec == "aac"


def test_reading_holds_captions_shots_chapters_and_title(deck: Path) -> None:
    """Everything found is in one list in time order, each with its source."""
    reading = read(deck, ocr=blind())
    assert reading.title == "About tides"
    said = [(e.start, e.end, e.text, e.source) for e in reading.of("conversation")]
    assert said == [(start, end, text, "embedded captions (eng)") for start, end, text in CUES]
    assert [e.text for e in reading.of("chapter")] == ["One", "Two"]
    assert [(e.start, e.end) for e in reading.of("shot")] == [(0.0, 3.0), (3.0, 6.0)]
    assert [e.start for e in reading.evidence] == sorted(e.start for e in reading.evidence)


def test_captions_in_matroska_are_read(tmp_path: Path) -> None:
    """SubRip inside Matroska is the same evidence as mov_text inside MP4."""
    path = make_slides(tmp_path / "deck.mkv", SLIDES, 3.0, CUES)
    assert [e.text for e in read(path, ocr=blind()).of("conversation")] == [text for *_, text in CUES]


def test_captions_given_win_over_embedded_ones_and_end_with_the_video(deck: Path) -> None:
    """What a person hands in is used instead; cues beyond the end are left out and noted."""
    given = "1\n00:00:01,000 --> 00:00:02,000\nGiven words.\n\n2\n00:00:50,000 --> 00:00:51,000\nToo late.\n"
    reading = read(deck, ["nonsense", given], ocr=blind())
    assert [(e.text, e.source) for e in reading.of("conversation")] == [("Given words.", CAPTIONS_GIVEN)]
    assert any("beyond the end" in note for note in reading.notes)


def test_captions_given_that_are_none_fall_back_to_embedded_ones(deck: Path) -> None:
    """An HTML error page in place of captions is noted and harms nothing."""
    reading = read(deck, ["<html>"], ocr=blind())
    assert len(reading.of("conversation")) == 2
    assert any("no cue" in note for note in reading.notes)


def test_what_was_not_looked_at_is_noted(tmp_path: Path) -> None:
    """Without captions and without tesseract both are said."""
    reading = read(film(tmp_path / "n.mp4", [noise(1)] * 10), ocr=blind())
    assert any("no captions" in note for note in reading.notes)
    assert any("tesseract" in note for note in reading.notes)


def test_a_reading_survives_json(deck: Path) -> None:
    """What is written to the cache is read back as the same value."""
    reading = read(deck, ocr=blind())
    assert ExtractedContent.from_json(reading.to_json()) == reading


def test_foreign_json_is_refused(deck: Path) -> None:
    """A kind of evidence that nobody knows is an error, not a silent loss."""
    data = json.loads(read(deck, ocr=blind()).to_json())
    data["evidence"][0]["kind"] = "smell"
    with pytest.raises(ValueError, match="smell"):
        ExtractedContent.from_json(json.dumps(data).encode())


@pytest.mark.parametrize("content", [b"", b"not a video at all", b"\x00" * 5000])
def test_files_that_are_no_video_are_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, text and zero files are unreadable, in one plain sentence."""
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    for look in (read_header, read):
        with pytest.raises(UnreadableMedia) as caught:
            look(path)
        assert caught.value.message
        assert str(tmp_path) not in caught.value.message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """No file is unreadable, not a traceback."""
    with pytest.raises(UnreadableMedia):
        read(tmp_path / "nowhere.mp4")


def test_a_truncated_copy_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """Half a file gives the pictures of the first half and a note about the end."""
    whole = film(tmp_path / "whole.mkv", [noise(n // 10) for n in range(100)])
    half = tmp_path / "half.mkv"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    reading = read(half, ocr=blind())
    assert 1.0 < reading.facts.seconds < 9.0
    assert reading.shots[-1].end == pytest.approx(reading.facts.seconds, abs=0.01)


def test_a_recording_with_one_frame_per_slide_is_read_like_any_other(tmp_path: Path) -> None:
    """Frames that stand for ten seconds have their borders where they change, and the last one stands to the end."""
    source = make_slides(tmp_path / "s.mp4", [*SLIDES, ("The Sun", ["Half as strong"])], 1.0, fps=1)
    slow = tmp_path / "slow.mkv"
    with av.open(str(source)) as given, av.open(str(slow), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts, packet.duration = packet.pts * 10, packet.dts * 10, (packet.duration or 0) * 10
                packet.stream = stream
                out.mux(packet)
    reading = read(slow, ocr=blind())
    assert [shot.start for shot in reading.shots] == pytest.approx([0.0, 10.0, 20.0], abs=0.2)
    assert reading.facts.seconds == pytest.approx(30.0, abs=0.5)
    assert reading.shots[-1].end == pytest.approx(reading.facts.seconds, abs=0.5)


def test_damaged_bytes_in_the_middle_are_stepped_over(tmp_path: Path) -> None:
    """A few broken packets cost a few pictures, not the video."""
    whole = film(tmp_path / "whole.mkv", [noise(n // 25) for n in range(100)])
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xff" * 400
    whole.write_bytes(data)
    assert read(whole, ocr=blind()).facts.seconds > 3.0


def test_text_in_the_picture_is_read_by_tesseract(deck: Path, tmp_path: Path) -> None:
    """Lines read with confidence become evidence, the tallest near the top as heading; the rest is left out."""
    ocr = Ocr(fake_tesseract(tmp_path, f'cat >/dev/null; printf "{TABLE}"'))
    shown = read(deck, ocr=ocr).of("text_in_video")
    assert [(e.text, e.source == HEADING) for e in shown] == [("High tides", True), ("twice daily", False)]
    assert {(e.start, e.end) for e in shown} == {(0.0, 6.0)}


@pytest.mark.parametrize(
    ("text", "confidence", "stays"),
    [
        ("4783", 64, False), ("Moy", 67, False), ("ore", 80, False), ("ihe", 66, False), ("we 4", 84, False),
        ("ATP", 96, True), ("LIVE", 90, True), ("News", 87, True), ("Tides rise", 62, True), ("Jane Doe, Oslo", 70, True),
    ],
)  # fmt: skip
def test_a_line_of_few_letters_must_be_read_for_sure(
    deck: Path, tmp_path: Path, text: str, confidence: int, stays: bool
) -> None:
    """Leaves and fur make a syllable now and then, at the confidences above; hardly a long line."""
    words = "\\n".join(
        f"5\\t1\\t1\\t1\\t1\\t{n}\\t10\\t20\\t50\\t40\\t{confidence}\\t{word}" for n, word in enumerate(text.split())
    )
    ocr = Ocr(fake_tesseract(tmp_path, f'cat >/dev/null; printf "head\\n{words}"'))
    assert [found.text for found in read(deck, ocr=ocr).of("text_in_video")] == [text] * stays


@pytest.mark.parametrize("above", ["00:00:05", "144", "Frame 12", "REC 10:05:33"])
def test_a_clock_or_counter_above_the_words_is_no_heading(deck: Path, tmp_path: Path, above: str) -> None:
    """However tall it stands: the tallest line of words is the heading, and the title."""
    row = "\\n5\\t1\\t9\\t1\\t1\\t{}\\t10\\t5\\t50\\t80\\t96\\t{}"
    rows = "".join(row.format(number, word) for number, word in enumerate(above.split()))
    found = read(deck, ocr=Ocr(fake_tesseract(tmp_path, f'cat >/dev/null; printf "{TABLE}{rows}"')))
    assert [item.text for item in found.evidence if item.source == HEADING] == ["High tides"]
    head = TABLE.split("\\n")[0]
    alone = read(deck, ocr=Ocr(fake_tesseract(tmp_path, f'cat >/dev/null; printf "{head}{rows}"')))
    silent = replace(alone, title="", evidence=tuple(item for item in alone.evidence if item.kind == "text_in_video"))
    assert ContentSummary(silent, name="my_film.mp4").title == "my film"


@pytest.mark.parametrize("tag", ["144", "00:00:05", "Untitled", "VideoHandler"])
def test_a_counter_or_placeholder_in_the_container_is_no_title(tmp_path: Path, tag: str) -> None:
    """Cameras and editors write them into every file alike."""
    path = make_slides(tmp_path / "deck.mp4", SLIDES, 3.0, [], title=tag)
    assert read(path, ocr=blind()).title == ""


def test_tesseract_gets_a_picture_and_one_thread(deck: Path, tmp_path: Path) -> None:
    """The program is started with one thread and a PGM of the full frame."""
    log = tmp_path / "log"
    ocr = Ocr(fake_tesseract(tmp_path, f'head -c 14 > {log}; echo "$OMP_THREAD_LIMIT" >> {log}; cat >/dev/null'))
    _, picture = next(large_frames(deck, [1.0]))
    assert ocr.read(picture) == []
    assert log.read_text().splitlines()[0].startswith("P5 640 360 255")
    assert log.read_text().strip().endswith("1")


@pytest.mark.parametrize("body", ["cat >/dev/null; exec tail -f /dev/null", "cat >/dev/null; exit 3"])
def test_a_program_that_hangs_or_fails_costs_only_its_text(deck: Path, tmp_path: Path, body: str) -> None:
    """A frame on which tesseract hangs or fails is given up and counted; the reading goes on and says so."""
    ocr = Ocr(fake_tesseract(tmp_path, body), seconds_per_frame=0.2)
    reading = read(deck, ocr=ocr)
    assert reading.of("text_in_video") == ()
    assert ocr.gave_up == 2
    assert any("took too long or failed" in note for note in reading.notes)


def test_one_key_frame_does_not_cost_decoding_all_for_every_look(tmp_path: Path) -> None:
    """Recordings may have no other: 600 looks at 1200 pictures decode each picture a few times, not 300 times."""
    path = tmp_path / "recording.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "9999", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(1200):
            shade = np.full((180, 320, 3), 40 + number // 10, np.uint8)
            frame = av.VideoFrame.from_ndarray(shade, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    times = [number / 5 for number in range(600)]
    before = time.process_time()
    found = list(large_frames(path, times))
    assert time.process_time() - before < 10
    assert [at for at, _ in found] == times
    assert all(abs(int(picture[90, 160]) - (40 + at)) < 8 for at, picture in found)


def test_large_frames_are_those_of_the_times_asked(tmp_path: Path) -> None:
    """Seeking gives the frame that stands at a time, at full size."""
    path = film(tmp_path / "f.mp4", [np.full((90, 160, 3), 40 + 20 * (n // 10), np.uint8) for n in range(40)])
    found = list(large_frames(path, [0.5, 1.5, 3.5]))
    assert [at for at, _ in found] == [0.5, 1.5, 3.5]
    assert [round(float(picture.mean())) for _, picture in found] == pytest.approx([40, 60, 100], abs=3)
    assert found[0][1].shape == (90, 160)


def test_the_demo_is_deterministic_short_and_captioned(tmp_path: Path) -> None:
    """The demo's first film is the same each time, between 20 and 60 s, small, and carries captions and a title."""
    (one,) = make_demo(tmp_path / "a", 1)
    (two,) = make_demo(tmp_path / "b", 1)
    assert one.read_bytes() == two.read_bytes()
    reading = read(one, ocr=blind())
    assert 20 <= reading.facts.seconds <= 60
    assert reading.facts.size < 400_000
    assert reading.title == "A Year in the Beehive"
    assert len(reading.of("conversation")) == 13
    assert len(reading.shots) == 5


def test_a_stream_that_changes_its_shape_is_read_to_its_end(tmp_path: Path) -> None:
    """Recordings of calls do; the change is a border, and what comes behind it is looked at, too."""
    parts = [
        film(tmp_path / f"{number}.ts", [noise(number, size)] * 20, after=20 * number)
        for number, size in enumerate([(320, 240), (320, 180), (180, 320)])
    ]
    path = tmp_path / "call.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = read(path, ocr=blind())
    assert (found.facts.width, found.facts.height) == (320, 240)
    assert [shot.start for shot in found.shots] == pytest.approx([0.0, 2.0, 4.0], abs=0.2)
    assert found.shots[-1].end == pytest.approx(6.0, abs=0.3)

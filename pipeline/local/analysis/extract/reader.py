"""Extract a video's content: pictures and captions, then on-screen text. CPU bound.

Notes say what could not be read; only a file that is no video is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from pipeline.local.analysis.evidence import (
    CAPTIONS_GIVEN,
    CHAPTER_MARKS,
    HEADING,
    ON_SCREEN,
    PICTURE,
    Evidence,
    EvidenceKind,
    ExtractedContent,
    Picture,
    Shot,
)
from pipeline.local.analysis.extract import media
from pipeline.local.analysis.extract.by_second import SecondMeans
from pipeline.local.analysis.extract.media import Header, Heard, Sample
from pipeline.local.analysis.extract.shots import ShotFinder
from pipeline.local.analysis.extract.sound import levels
from pipeline.local.analysis.plugins.ocr import Ocr, OcrLine
from pipeline.local.analysis.text.content_summary import describe
from pipeline.local.analysis.text.sentences import telling
from pipeline.media.captions import MAX_CUES, Cue, count_lost, parse, tidy
from pipeline.media.container import UnreadableMedia
from pipeline.media.titles import is_title

__all__ = ["MAX_FRAMES", "NO_OCR", "UnreadableMedia", "read"]
NO_OCR = "The program tesseract (about 24 MB) is not installed, so text in the picture was not read."
MAX_FRAMES = 600  #: pictures of one video that are searched for text
_EVERY = 20.0  # seconds between two looks for text within one shot
_KINDS: dict[EvidenceKind, int] = {"chapter": 0, "shot": 1, "text_in_video": 2, "conversation": 3}


def read(path: Path, captions: Sequence[str] = (), *, ocr: Ocr | None = None) -> ExtractedContent:
    """Read the whole video.

    Args:
        path: the media file.
        captions: SubRip or WebVTT texts from outside; the first with any cue is used instead of embedded captions.
        ocr: the program that reads text in pictures; by default ``tesseract`` if it is on the PATH.

    Raises:
        UnreadableMedia: no video stream, or not one picture can be decoded.
    """
    header = media.read_header(path)
    facts = header.facts
    notes: list[str] = []
    try:
        seen = _watch(path, facts.seconds)
    except (av.FFmpegError, OSError) as error:
        raise UnreadableMedia("it broke off while being read") from error
    shots, last = seen.shots, seen.end
    if not shots:
        raise UnreadableMedia("not one picture of it can be decoded")
    # A header may promise less than is there, or more than survived a broken copy; a caption may outlast the picture.
    if abs(last - facts.seconds) > 2.0:
        if last < facts.seconds:
            notes.append(f"The pictures end at {last:.0f} s although the file says {facts.seconds:.0f} s.")
        facts = replace(facts, seconds=round(last, 3))
        shots = _closing(shots, facts.seconds)
    evidence = [
        Evidence(cue.start, min(cue.end, facts.seconds), "chapter", cue.text, CHAPTER_MARKS) for cue in header.marks
    ]
    evidence += _pictures(shots)
    evidence += _heard(header, captions, seen.spoken, facts.seconds, notes)
    evidence += _read_screen(path, shots, ocr if ocr is not None else Ocr(), notes)
    kept = (item for item in evidence if item.end > item.start)
    ordered = sorted(kept, key=lambda item: (item.start, _KINDS[item.kind], item.source != HEADING))
    return ExtractedContent(facts, tuple(ordered), header.title, shots, seen.motion, seen.loudness, tuple(notes))


class _Watched(NamedTuple):
    """What one pass over the packets has found."""

    shots: tuple[Shot, ...]
    spoken: dict[tuple[int, str], list[Cue]]  #: caption cues, by stream and language
    motion: tuple[float, ...]
    loudness: tuple[float, ...]
    end: float  #: seconds


def _watch(path: Path, seconds: float) -> _Watched:
    """Look through the video once."""
    finder, powers = ShotFinder(), SecondMeans()
    spoken: dict[tuple[int, str], list[Cue]] = {}
    last = 0.0
    for found in media.stream_through(path):
        if isinstance(found, Sample):
            finder.push(found)
            last = max(found.at + 1 / media.SAMPLES_PER_SECOND, found.until)
        elif isinstance(found, Heard):
            powers.add(found.at, found.power, found.seconds)
        elif len(cues := spoken.setdefault((found.stream, found.language), [])) < MAX_CUES:
            cues.append(found.cue)
    end = seconds if abs(seconds - last) <= 2.0 else last
    return _Watched(finder.finish(end), spoken, finder.motion(), levels(powers), end)


def _closing(shots: tuple[Shot, ...], end: float) -> tuple[Shot, ...]:
    return (*shots[:-1], replace(shots[-1], end=round(end, 2)))


def _pictures(shots: Sequence[Shot]) -> list[Evidence]:
    return [
        Evidence(shot.start, shot.end, "shot", f"Shot {number}: {describe([shot])}.", PICTURE)
        for number, shot in enumerate(shots, start=1)
    ]


def _heard(
    header: Header, given: Sequence[str], spoken: dict[tuple[int, str], list[Cue]], seconds: float, notes: list[str]
) -> list[Evidence]:
    """Choose one set of captions: given ones, else the English, else the first."""
    outside = [(cues, text) for text in given if (cues := parse(text))]
    if given and not outside:
        notes.append("The captions given hold no cue that can be read.")
    if outside:
        cues, text = outside[0]
        if lost := count_lost(text):
            notes.append(f"{lost} caption cues have times that cannot be read and were left out.")
        return _said(cues, CAPTIONS_GIVEN, seconds, notes)
    streams = {key: cues for key, raw in spoken.items() if (cues := tidy(raw))}
    if not streams:
        bitmaps = ", ".join(header.bitmaps)
        kind = f"Captions are there only as pictures ({bitmaps})" if bitmaps else "There are no captions"
        notes.append(f"{kind}, so nothing that is said was read.")
        return []
    stream, language = min(streams, key=lambda key: (not key[1].startswith("en"), key[0]))
    others = [key[1] or "unnamed" for key in streams if key[0] != stream]
    if others:
        notes.append(f"Caption streams set aside: {', '.join(others)}.")
    source = f"embedded captions ({language})" if language else "embedded captions"
    return _said(streams[stream, language], source, seconds, notes)


def _said(cues: Sequence[Cue], source: str, seconds: float, notes: list[str]) -> list[Evidence]:
    inside = [cue for cue in cues if cue.start < seconds]
    if len(inside) < len(cues):
        notes.append(f"{len(cues) - len(inside)} caption cues lie beyond the end of the video and were left out.")
    return [Evidence(round(c.start, 3), round(min(c.end, seconds), 3), "conversation", c.text, source) for c in inside]


def _read_screen(path: Path, shots: Sequence[Shot], ocr: Ocr, notes: list[str]) -> list[Evidence]:
    """Read the text of one late picture per shot and every 20 s."""
    if not ocr.available:
        notes.append(NO_OCR)
        return []
    looks = list(_looks(shots))
    if len(looks) > MAX_FRAMES:
        notes.append(f"Only the first {MAX_FRAMES} of {len(looks)} pictures were searched for text.")
    spans = dict(looks[:MAX_FRAMES])
    found: list[Evidence] = []
    standing: dict[str, int] = {}  # text -> where it is in found
    before = -1.0
    turned = media.is_turned(path)
    for at, picture in media.large_frames(path, list(spans)):
        start, end = spans[at]
        fresh: dict[str, int] = {}
        for line, heading in _headed(_read_either_way(ocr, picture, turned)):
            if not telling(line.text):
                continue
            place = standing.get(line.text)
            if place is not None and found[place].end >= before:
                found[place] = replace(found[place], end=end)
            else:
                place = len(found)
                found.append(Evidence(start, end, "text_in_video", line.text, HEADING if heading else ON_SCREEN))
            fresh[line.text] = place
        standing, before = fresh, end - 0.01
    if ocr.gave_up:
        notes.append(f"{ocr.gave_up} of {len(spans)} pictures took too long or failed while text was looked for.")
    return _without_fixtures(found, shots)


def is_turned_wrongly(path: Path, at: float, *, ocr: Ocr | None = None) -> bool:
    """True where words can be read only against the turn that a file tells."""
    ocr = ocr if ocr is not None else Ocr()
    if not ocr.available or not media.is_turned(path):
        return False
    picture = next((found for _, found in media.large_frames(path, [at])), None)
    if picture is None or any(is_title(line.text) for line in ocr.read(picture)):
        return False
    # Leaves and gravel make a word now and then, but hardly two in a line.
    lines = [line.text for line in ocr.read(np.ascontiguousarray(picture[::-1, ::-1]))]
    return any(is_title(line) and len(line.split()) > 1 for line in lines)


def _read_either_way(ocr: Ocr, picture: Picture, turned: bool) -> Sequence[OcrLine]:
    """Read a picture; one of a turned film upside down as well.

    Some programs write the turn the wrong way round.
    """
    found = ocr.read(picture)
    if turned and not any(telling(line.text) for line in found):
        return ocr.read(np.ascontiguousarray(picture[::-1, ::-1])) or found
    return found


def _looks(shots: Sequence[Shot]) -> Iterator[tuple[float, tuple[float, float]]]:
    """Yield (time to look at, span it stands for); late, because slides fill up."""
    for shot in shots:
        count = max(1, round((shot.end - shot.start) / _EVERY))
        step = (shot.end - shot.start) / count
        for number in range(count):
            start = shot.start + number * step
            yield round(start + max(step * 0.5, step - 0.5), 3), (round(start, 2), round(start + step, 2))


def _headed(lines: Sequence[OcrLine]) -> list[tuple[OcrLine, bool]]:
    """Mark the heading: the tallest line above the middle, if clearly taller than usual."""
    words = [line for line in lines if is_title(line.text)]
    upper = [line for line in words if line.top < 0.5]
    if not upper:
        return [(line, False) for line in lines]
    tallest = max(upper, key=lambda line: line.height)
    usual = sorted(line.height for line in words)[(len(words) - 1) // 2]
    clear = len(words) == 1 or tallest.height > 1.15 * usual
    return [(line, clear and line is tallest) for line in lines]


def _without_fixtures(found: Sequence[Evidence], shots: Sequence[Shot]) -> list[Evidence]:
    """Demote a heading on most pictures: it names the series or a brand."""
    heads = Counter(item.text for item in found if item.source == HEADING)
    fixed = {text for text, count in heads.items() if len(shots) >= 6 and count > len(shots) // 2}
    return [replace(item, source=ON_SCREEN) if item.text in fixed else item for item in found]

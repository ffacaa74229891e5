"""A transcript as lines for a screen, and as files. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.core.model import Json
from pipeline.core.text import cue, json_text, plain, stamp
from pipeline.ports.sink import OutFile
from pipeline.ports.video_api import Transcription, Utterance

TRANSCRIPT = "_transcript"  #: name of the stored result
_NAME = "transcript"  #: of the files
MOST = 100_000  #: lines or words of one video that are kept, each sort
_LATEST = 1e6  #: seconds; no video is as long
_WIDE = 84  #: characters of a line made of words: two rows of a screen
_LONG = 7.0  #: seconds of it
_PAUSE = 1.5  #: seconds without a word, after which another line begins


class Line(NamedTuple):
    """What is said, from when to when, and by whom if known."""

    start: float
    end: float
    text: str
    speaker: str = ""


def to_lines(heard: Transcription) -> list[Line]:
    """Return what was said, in the order of time.

    Sentences are read best; where there are none, utterances or words make the lines.
    """
    told = heard.sentences or heard.utterances
    lines = list(_cleaned(told)) if told else list(_joined(list(_cleaned(heard.words))))
    voices = sorted(line for line in _cleaned(heard.utterances) if line.speaker)
    starts = [voice.start for voice in voices]
    return sorted(_named(line, voices, starts) for line in lines)[:MOST]


def _cleaned(spoken: Iterable[Utterance]) -> Iterator[Line]:
    """Yield what can be shown: one line of words, on times that make sense."""
    for each in spoken:
        text = plain(each.text)
        if text and 0 <= each.start <= _LATEST:
            yield Line(each.start, min(max(each.end, each.start), _LATEST), text, plain(each.speaker, 80))


def _joined(words: Sequence[Line]) -> Iterator[Line]:
    """Yield lines made of words, as long as a screen takes."""
    line: Line | None = None
    for word in sorted(words):
        if line is not None:
            text = f"{line.text} {word.text}"
            fits = len(text) <= _WIDE and word.end - line.start <= _LONG and word.start - line.end <= _PAUSE
            ended = line.text.endswith((".", "!", "?")) and len(line.text) > _WIDE // 2
            if fits and not ended:
                line = Line(line.start, max(line.end, word.end), text, line.speaker)
                continue
            yield line
        line = word
    if line is not None:
        yield line


def _named(line: Line, voices: Sequence[Line], starts: Sequence[float]) -> Line:
    """Return a line with the speaker of the utterance around its middle."""
    middle = (line.start + line.end) / 2
    number = bisect_right(starts, middle)
    if line.speaker or not number or voices[number - 1].end < middle:
        return line
    return line._replace(speaker=voices[number - 1].speaker)


def to_vtt(lines: Sequence[Line]) -> str:
    """Return WebVTT, with voices where speakers are known."""
    cues = (f"{stamp(each.start)} --> {stamp(each.end)}\n{_voice(each)}{cue(each.text)}\n" for each in lines)
    return "WEBVTT\n\n" + "\n".join(cues)


def _voice(line: Line) -> str:
    return f"<v {cue(line.speaker)}>" if line.speaker else ""


def to_srt(lines: Sequence[Line]) -> str:
    """Return SubRip; without voices, a speaker is named where another begins."""
    blocks, before = [], ""
    for number, each in enumerate(lines, 1):
        name = f"{each.speaker}: " if each.speaker and each.speaker != before else ""
        before = each.speaker
        span = f"{stamp(each.start)} --> {stamp(each.end)}".replace(".", ",")
        blocks.append(f"{number}\n{span}\n{(name + each.text).replace('-->', '→')}\n")
    return "\n".join(blocks)


def to_body(heard: Transcription) -> dict[str, Json] | None:
    """Return what is stored of a transcript; None where nothing is said.

    ``name`` and ``text`` are as those of captions, for the page.
    """
    lines = to_lines(heard)
    if not lines:
        return None
    words = sorted(_cleaned(heard.words))[:MOST]
    return {
        "name": _NAME + ".vtt",
        "text": to_vtt(lines),
        "lines": [list(each) for each in lines],
        "words": [list(each[:3]) for each in words],
    }


def to_files(body: Mapping[str, Json]) -> list[OutFile]:
    """Return a stored transcript's files: WebVTT, SubRip, and JSON for programs."""
    lines = [Line(*each) for each in body["lines"]]
    told = {
        "lines": [
            {
                "start": each.start,
                "end": each.end,
                **({"speaker": each.speaker} if each.speaker else {}),
                "text": each.text,
            }
            for each in lines
        ],
        "words": [{"start": start, "end": end, "text": text} for start, end, text in body["words"]],
    }
    return [
        OutFile(_NAME + ".vtt", body["text"]),
        OutFile(_NAME + ".srt", to_srt(lines)),
        OutFile(_NAME + ".json", json_text(told)),
    ]

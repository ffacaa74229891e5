"""The form of an answer, and what of one is believed. Pure.

A moment counts only where it names a video that was asked about, and lies within it. What does not count is told.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from pipeline.core.model import Json
from pipeline.ports.knowledge_api import CrossReply

#: The form that is asked for. The platform makes every property required.
SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "description": "The answer in plain words."},
        "citations": {
            "type": "array",
            "description": "The moments that the answer rests on.",
            "items": {
                "type": "object",
                "properties": {
                    "video": {"type": "string", "description": "The label of the video, such as v1."},
                    "start": {"type": "number", "description": "Seconds from the beginning of the video."},
                    "end": {"type": "number", "description": "Seconds from the beginning of the video."},
                    "quote": {"type": "string", "description": "What is said or seen there, in a few words."},
                },
            },
        },
    },
}
_INSTRUCTIONS = """\
Answer from these videos alone, and name for each statement the moments that it rests on, in `citations`.
`video` is the label of the video in the list below; `start` and `end` are seconds from the beginning of that video.
If the videos do not tell, say so and name no moment.
"""
_MOST = 200  #: moments that are kept
_READ = 2_000  #: that are looked at
_QUOTED = 300  #: characters before a marker that can be its sentence
#: How models like to wrap JSON.
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n```\s*", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+|\[[0-9]+\]")
_APART = 0.5  #: seconds that two clocks must differ by to be told apart
_ROUNDED = 1.0  #: seconds by which a platform may round beyond the end of a video

_FOREIGN = "name no video that was asked about"
_NO_TIME = "have no times that can be read"
_OUTSIDE = "do not lie within their video"
_TOO_MANY = f"are beyond the first {_MOST}"


@dataclass(frozen=True, slots=True)
class AskedVideo:
    """A video that is asked about, as the platform and we name it."""

    key: str  #: ours
    asset_id: str
    seconds: float | None = None
    item_id: str = ""  #: in the knowledge store
    label: str = ""  #: in this question
    clock_start: float = 0.0  #: where the clock inside the file starts, seconds


@dataclass(frozen=True, slots=True)
class AnswerMoment:
    """A moment that an answer rests on. Seconds, checked."""

    key: str  #: of the video
    start: float
    end: float
    quote: str


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """An answer as far as it could be read."""

    text: str
    checked: bool  #: it came in our form; else nobody has looked at its moments
    moments: Sequence[AnswerMoment] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)  #: why -> moments that do not count


def write_instructions(videos: Sequence[AskedVideo]) -> str:
    """Return what is said beside the question: the form, and each video's label.

    No title is among it: a stranger may have written it.
    """
    lines = [
        f"{video.label} = {video.item_id}" + (f" ({video.seconds:.0f} s)" if video.seconds else "") for video in videos
    ]
    return "\n".join([_INSTRUCTIONS, *lines])


def read_answer(reply: CrossReply, videos: Sequence[AskedVideo]) -> ReadAnswer:
    """Return the answer with the moments that can be believed.

    They stand in our form, or the platform names them beside its text; where it does both, both count.
    """
    text, form = reply.text, _form(reply.text)
    known = {name: video for video in videos for name in (video.label, video.item_id) if name}
    named = chain(_cited_in_form(form, known), _cited_beside(reply, known, quoted=form is None))
    cited = [*islice(named, _READ)]
    shifts = {video.key: _clock_shift(video, cited) for video in videos}
    found, dropped = dict[AnswerMoment, None](), Counter[str]()
    for each in cited:
        moment = _moment(each, shifts)
        if isinstance(moment, str):
            dropped[moment] += 1
        elif len(found) == _MOST and moment not in found:
            dropped[_TOO_MANY] += 1
        else:
            found[moment] = None
    if unread := sum(1 for _ in named):
        dropped[_TOO_MANY] += unread
    told = str(form["answer"]) if form is not None else _begun_answer(text) or text
    return ReadAnswer(told, form is not None or bool(reply.citations), [*found], dropped)


def _form(text: str) -> Mapping[str, Json] | None:
    """Return the object of our form, None where the text is something else."""
    fenced = _FENCE.fullmatch(text)
    try:
        found = json.loads(text if fenced is None else fenced[1], parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    good = isinstance(found, dict) and isinstance(found.get("answer"), str) and found["answer"].strip()
    return found if good else None


def _begun_answer(text: str) -> str:
    """Return the answer of a form that was cut behind it, else empty."""
    head = text.lstrip()
    if not head.startswith("{"):
        return ""
    _, found, rest = head.partition('"answer":')
    try:
        value, _ = json.JSONDecoder().raw_decode(rest.lstrip()) if found else ("", 0)
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class _Cited:
    """A moment as it was named."""

    video: AskedVideo | None
    start: float | None
    end: float | None
    quote: str


def _cited_in_form(form: Mapping[str, Json] | None, known: Mapping[str, AskedVideo]) -> Iterator[_Cited]:
    given = form.get("citations") if form is not None else None
    for cited in given if isinstance(given, list) else ():
        fields = cited if isinstance(cited, dict) else {}
        name, quote = fields.get("video"), fields.get("quote")
        video = known.get(name.strip()) if isinstance(name, str) else None
        start, end = _seconds(fields.get("start")), _seconds(fields.get("end"))
        yield _Cited(video, start, end, quote if isinstance(quote, str) else "")


def _cited_beside(reply: CrossReply, known: Mapping[str, AskedVideo], *, quoted: bool) -> Iterator[_Cited]:
    for cited in reply.citations:
        video = known.get(cited.item_id)
        start, end = cited.start, cited.end
        if start is None and end is None and video is not None:  # the whole of it
            start, end = 0.0, video.seconds
        yield _Cited(video, start, end, _sentence_before(reply.text, cited.at) if quoted else "")


def _clock_shift(video: AskedVideo, cited: Sequence[_Cited]) -> float:
    """Return the seconds that a platform has counted before a player's 0:00.

    It may count by the clock inside the file. One answer counts in one way: the one by which its times lie in the video.
    """
    ends = [each.end for each in cited if each.video is video and each.end is not None]
    starts = [each.start for each in cited if each.video is video and each.start is not None]
    if video.clock_start < _APART or not video.seconds or not starts or not ends:
        return 0.0
    if max(ends) <= video.seconds + _ROUNDED:
        return 0.0
    first, last = min(starts) - video.clock_start, max(ends) - video.clock_start
    return video.clock_start if first >= -_ROUNDED and last <= video.seconds + _ROUNDED else 0.0


def _moment(cited: _Cited, shifts: Mapping[str, float]) -> AnswerMoment | str:
    """Return a moment on the player's clock, or why it does not count."""
    video = cited.video
    if video is None:
        return _FOREIGN
    if cited.start is None or cited.end is None:
        return _NO_TIME
    shift = shifts[video.key]
    start, end = cited.start - shift, cited.end - shift
    if shift:
        start = max(0.0, start)
    if video.seconds:
        if end > video.seconds + _ROUNDED:
            return _OUTSIDE
        end = min(end, video.seconds)
    return AnswerMoment(video.key, start, end, cited.quote) if 0 <= start < end else _OUTSIDE


def _sentence_before(text: str, at: int) -> str:
    """Return the sentence that a marker at this place belongs to."""
    before = text[max(0, at - _QUOTED) : at]
    return _SENTENCE_END.split(before.rstrip(" .!?\n"))[-1].strip()


def _seconds(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) < 1e9 else None  # NaN compares false, too

"""ASS and SSA files, as SubRip. Pure.

The words of the events are kept, without what is drawn, styled or timed by the syllable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.media.captions import MAX_CHARACTERS, MAX_CUES, Cue, strip_overrides

_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_EVENT = re.compile(r"(?im)^[ \t]{0,9}(?:dialogue|comment):[^\n]{0,200}?\d:\d\d:\d\d")
_TIME = re.compile(r"\s{0,9}(\d{1,4}):(\d{1,2}):(\d{1,2})(?:[.,:](\d{1,6}))?\s{0,9}", re.ASCII)
_LOST = "0:?? --> 0:??\n"  # stands for an event whose times cannot be read, so that it is counted with the others
_GAP = 0.15  # seconds between two events of one standing text; a sign is often drawn picture by picture


def is_ass(text: str) -> bool:
    """Return whether a text holds events of ASS or SSA."""
    return _EVENT.search(text[:MAX_CHARACTERS]) is not None


def to_subrip(text: str) -> str:
    """Return what is said, as SubRip text in time order; empty without words.

    >>> print(to_subrip("Dialogue: 0,0:00:01.50,0:00:03.25,Default,,0,0,0,,{\\\\i1}Bees{\\\\i0}, first"))
    1
    00:00:01,500 --> 00:00:03,250
    Bees, first
    <BLANKLINE>
    """
    events = list(_events(text))
    cues = _merged(sorted(filter(None, events), key=lambda cue: cue.start))
    said = [f"{number}\n{_time(c.start)} --> {_time(c.end)}\n{c.text}\n" for number, c in enumerate(cues, start=1)]
    return "\n".join(said + [_LOST] * events.count(None)) if said else ""


def _events(text: str) -> Iterator[Cue | None]:
    """Yield what is said; None where nobody can tell when."""
    fields: Sequence[str] = _FIELDS
    for line in text[:MAX_CHARACTERS].splitlines():
        word, colon, rest = line.lstrip("\ufeff \t").partition(":")
        kind = word.lower()
        if kind == "format" and colon:
            named = [name.strip().lower() for name in rest[:1_000].split(",")]
            fields = named if {"start", "end", "text"} <= set(named) else fields
        if kind in ("dialogue", "comment"):
            values = dict(zip(fields, rest.split(",", len(fields) - 1), strict=False))
            effect = values.get("effect", "").strip().lower()
            start, end = _seconds(values.get("start", "")), _seconds(values.get("end", ""))
            # Karaoke is made of a comment that holds the line; what is made is called "fx", and has a syllable each.
            said = effect == "karaoke" if kind == "comment" else effect != "fx"
            if said and (words := strip_overrides(values.get("text", ""))):
                yield Cue(start, end, words) if start is not None and end is not None else None


def _merged(events: Sequence[Cue]) -> list[Cue]:
    """Make one cue of events that show the same text one after another."""
    cues: list[Cue] = []
    latest: dict[str, int] = {}
    for cue in events:
        place = latest.get(cue.text)
        if place is not None and cue.start <= cues[place].end + _GAP:
            cues[place] = cues[place]._replace(end=max(cues[place].end, cue.end))
        elif len(cues) < MAX_CUES:
            latest[cue.text] = len(cues)
            cues.append(cue)
    return cues


def _seconds(time: str) -> float | None:
    found = _TIME.fullmatch(time)
    if found is None:
        return None
    hours, minutes, seconds, part = found.groups("0")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{part}")


def _time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{rest:03}"

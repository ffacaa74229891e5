"""Reading a model's answer: what can be repaired is, the rest is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.core.model import Json
from pipeline.core.text import block, cut, plain

#: Times may pass the end of the video by this many seconds, and spans may overlap by as much, before they are refused.
SLACK = 1.0
_MOST_NOTES = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check: the cleaned value, or why the answer is refused."""

    value: Mapping[str, Json] | None
    problem: str = ""  #: one sentence, also sent back as a correction line when the part is asked again
    notes: tuple[str, ...] = ()  #: repaired or doubtful points, kept with the result


def seconds(value: object) -> float | None:
    """Read seconds from a number, ``"83.5"`` or ``"00:01:23.5"``; None if it is neither.

    >>> seconds("00:01:23.5")
    83.5
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    parts = value.strip().split(":") if isinstance(value, str) else [value]
    if not 1 <= len(parts) <= 3:
        return None
    total = 0.0
    for part in parts:
        try:
            total = total * 60 + float(part)
        except (ValueError, OverflowError):  # a JSON integer can be larger than any float
            return None
    return total if total == total and abs(total) != float("inf") else None


def span_schema(texts: Sequence[str]) -> dict[str, Json]:
    """Return the schema of one entry that :meth:`AnswerReader.spans` reads."""
    times = {"start_time": {"type": "number"}, "end_time": {"type": "number"}}
    properties = {**times, **{name: {"type": "string"} for name in texts}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def old_spans(answer: Mapping[str, Json], key: str) -> dict[str, Json]:
    """Return the spans of a v1.2 answer with ``start_time`` and ``end_time`` as in v1.3."""
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        return {key: found}
    return {key: [{**entry, "start_time": entry.get("start"), "end_time": entry.get("end")} for entry in found]}


def outside(value: Json, length: float) -> str:
    """Return a problem if a time, at any depth, lies outside the video."""
    return next(_outside(value, length), "")


def _outside(value: Json, length: float) -> Iterator[str]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in pairs:
        at = seconds(entry) if key in ("start_time", "end_time") else None
        if at is not None and (at < 0 or 0 < length < at - SLACK):
            yield f"A `{key}` of {at:g} s lies outside the video, which has {length:g} s."
        yield from _outside(entry, length)


class AnswerReader:
    """Reads a model's answer property by property. The first problem refuses it."""

    def __init__(self, answer: object) -> None:
        self._answer: Mapping[str, Json] = answer if isinstance(answer, Mapping) else {}
        self.problem = "" if isinstance(answer, Mapping) else "The answer is not a JSON object."
        self.notes: list[str] = []

    def verdict(self, value: Mapping[str, Json]) -> Verdict:
        """Return the value, or the first problem."""
        notes = self.notes
        if len(notes) > _MOST_NOTES:
            notes = [*notes[:_MOST_NOTES], f"and {len(notes) - _MOST_NOTES} more points"]
        return Verdict(None if self.problem else value, self.problem, tuple(notes))

    def fault(self, problem: str) -> None:
        """Refuse the answer for this reason, unless there is an earlier one."""
        self.problem = self.problem or problem

    def note(self, text: str) -> None:
        """Keep a point with the result."""
        self.notes.append(text)

    def get(self, key: str) -> Json:
        """Return a property as it came; a missing one is a problem."""
        if key not in self._answer:
            self.fault(f"`{key}` is missing.")
        return self._answer.get(key)

    def text(self, key: str, limit: int, *, lines: bool = False) -> str:
        """Return cleaned text, cut to ``limit`` with a note; one line unless ``lines``."""
        return self._words(self.get(key), f"`{key}`", limit, lines)

    def strings(self, key: str, most: int, limit: int) -> list[str]:
        """Return at most ``most`` distinct lines; empty ones and repeats are dropped."""
        found: dict[str, str] = {}
        for number, entry in enumerate(self._list(key, 4 * most + 100)):
            if isinstance(entry, str) and not plain(entry):
                self.note(f"an empty entry of `{key}` was dropped")
                continue
            word = self._words(entry, f"`{key}[{number}]`", limit, False)
            found.setdefault(word.casefold(), word)
        if not found:
            self.fault(f"`{key}` has no entry with text.")
        return self._most(list(found.values()), key, most)

    def spans(self, key: str, texts: Mapping[str, int], *, most: int, length: float) -> list[dict[str, Json]]:
        """Return time spans in order, without overlap and inside the video.

        ``length`` 0 = unknown.
        Each entry has ``start_time`` and ``end_time`` as numbers and the ``texts`` (name → longest length in characters).
        """
        spans = []
        for number, entry in enumerate(self._most(self._list(key, 10_000), key, most)):
            where = f"`{key}[{number}]`"
            if not isinstance(entry, Mapping):
                self.fault(f"{where} is not an object.")
                return []
            span = self._times(entry, where, length)
            words = {name: self._words(entry.get(name), f"{where} `{name}`", texts[name], False) for name in texts}
            spans.append({**span, **words})
        if self.problem:
            return []
        ordered = sorted(spans, key=lambda span: (span["start_time"], span["end_time"]))
        if ordered != spans:
            self.note(f"`{key}` was put in time order")
        return self._apart(ordered, key)

    def _apart(self, spans: list[dict[str, Json]], key: str) -> list[dict[str, Json]]:
        for before, after in pairwise(spans):
            over = before["end_time"] - after["start_time"]
            if over <= 0:
                continue
            if over > SLACK or before["start_time"] >= after["start_time"]:
                at, until = after["start_time"], before["end_time"]
                self.fault(f"`{key}` overlap: one starts at {at:g} s, before the previous one ends at {until:g} s.")
                return []
            before["end_time"] = after["start_time"]
            self.note(f"`{key}`: an overlap of {over:.3g} s at {after['start_time']:g} s was removed")
        return spans

    def _times(self, entry: Mapping[str, Json], where: str, length: float) -> dict[str, Json]:
        start, end = seconds(entry.get("start_time")), seconds(entry.get("end_time"))
        if start is None or end is None:
            self.fault(f"{where} has no `start_time` and `end_time` in seconds.")
            return {}
        if length > 0 and end > length + SLACK:
            self.fault(f"{where} ends at {end:g} s, but the video ends at {length:g} s.")
        start, end = round(start, 3), round(min(end, length) if length > 0 else end, 3)
        if not 0 <= start < end:
            self.fault(
                f"{where} must start at 0 s or later and before its end inside the video: {start:g} to {end:g} s."
            )
        return {"start_time": start, "end_time": end}

    def _words(self, value: Json, where: str, limit: int, lines: bool) -> str:
        if not isinstance(value, str):
            self.fault(f"{where} is not text.")
            return ""
        # What is cut anyway is not cleaned first: an answer can be megabytes.
        clean = block(value[: 4 * limit]) if lines else plain(value[: 4 * limit])
        if not clean:
            self.fault(f"{where} is empty.")
        if len(clean) > limit or len(value) > 4 * limit:
            self.note(f"{where} was cut to {limit} characters")
        return cut(clean, limit)

    def _list(self, key: str, bound: int) -> list[Json]:
        value = self.get(key)
        if not isinstance(value, list | tuple):
            self.fault(f"`{key}` is not a list.")
            return []
        if len(value) > bound:
            self.fault(f"`{key}` has {len(value)} entries.")
            return []
        return list(value)

    def _most(self, entries: list[Json], key: str, most: int) -> list[Json]:
        if len(entries) > most:
            self.note(f"`{key}` had {len(entries)} entries; the first {most} were kept")
        return entries[:most]

"""What an endpoint group may take, by our windows and the platform's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Literal, TypeAlias

from pipeline.config.settings import BucketSection
from pipeline.core.model import Json
from pipeline.ports.quota import QuotaGauge, QuotaNote
from pipeline.provider.http.walls import Wall
from pipeline.provider.http.windows import KINDS, SPANS, Amounts, Window, is_number

_OLD_SLOTS = 60  #: in the journals of earlier releases
_LEARNED = 7 * 86_400.0  #: seconds for which a limit that an answer has named is believed
_SAME = 2.0  #: seconds by which the end of one period may differ between two answers
_LONGEST = 2 * 86_400.0  #: seconds after which no period ends that is to be believed
_REST = 0.015  #: share of a window for which nothing smaller is looked for
_FULL = 0.9  #: share from which on a window that the platform calls used up is ours to wait for


#: What calls under way need, and what the answer of one said of a limit.
Unsaved: TypeAlias = tuple[Mapping[str, float], str]


class Group:
    """All windows of one endpoint group, and what the platform itself says of them."""

    def __init__(self, bucket: BucketSection, *, counted: bool = False) -> None:
        """``counted``: hours and days are counted where nothing limits them, and walls are learned."""
        self._configured: dict[str, float] = {}
        self.windows: dict[str, tuple[str, Window]] = {}
        self._counted: dict[str, tuple[str, Window]] = {}  #: those without a limit, should one be learned
        self.learned: dict[str, tuple[float, float]] = {}  #: window -> (limit, when an answer last named it)
        self.left: dict[str, list[float]] = {}  #: kind and span -> [units that the platform still grants, until when]
        self.paused_until = 0.0
        self._refusal = ""  #: what the answer of a call said of a limit, until the call is taken back
        self.guessed = 0.0  #: until when it was last paused without the platform having said how long
        for kind in KINDS:
            for span in SPANS:
                name = f"{kind}_per_{span}"
                limit = getattr(bucket, name)
                if limit is not None:
                    self._configured[name] = limit
                    self._set(name, limit)
                elif counted and kind != "tokens" and span != "minute":
                    self._counted[name] = (kind, Window(inf, SPANS[span]))
        long = {**self.windows, **self._counted} if counted else {}
        #: A wall that nobody names, found in the windows of an hour and a day.
        self.wall = Wall({name: each[1] for name, each in long.items() if each[0] != "tokens" and each[1].span > 60})

    @property
    def limited(self) -> bool:
        """True if anything may make a call wait."""
        return bool(self.windows or self.left or self.wall.stands)

    def unsaved(self) -> Unsaved:
        """Return what no journal holds: of calls that are under way here."""
        return self.wall.flying, self._refusal

    def follow(self, before: Unsaved) -> None:
        """Take over what no journal holds."""
        self.wall.flying, self._refusal = before

    # ------------------------------------------------------------------------------------------------- the hot path

    def wait(self, amounts: Amounts, now: float) -> float:
        """Return the seconds until the amounts fit all windows and no pause is on."""
        longest = self.paused_until - now
        if longest > _LEARNED:  # a clock was set back
            longest = self.paused_until = 0.0
        longest = max(longest, self.wall.wait(amounts, now))
        for name, (left, resets) in self.left.items() if self.left else ():
            if resets > now and left < min(1.0, amounts[name.partition("/")[0]]):
                longest = max(longest, resets - now)
        for kind, window in self.windows.values():
            if amounts[kind] > 0:
                longest = max(longest, window.wait(amounts[kind], now))
        return max(0.0, longest)

    def take(self, amounts: Amounts, now: float) -> None:
        """Count in all windows."""
        self.wall.take(amounts, now)
        for name, granted in list(self.left.items()) if self.left else ():
            granted[0] -= amounts[name.partition("/")[0]]
            if granted[1] <= now:
                del self.left[name]
        for kind, window in (*self.windows.values(), *self._counted.values()):
            if amounts[kind] > 0:
                window.take(amounts[kind], now)

    def answered(self, amounts: Amounts, taken: float, now: float, *, accepted: bool | None) -> None:
        """Count at this moment a call that was let in a little earlier.

        What was certainly not accepted uses up nothing of an hour or a day. ``accepted`` is None where nobody knows.
        """
        for kind, window in (*self.windows.values(), *self._counted.values()):
            if amounts[kind] > 0 and (accepted is not False or window.span <= 60):
                window.postpone(amounts[kind], taken, now)
        refusal, self._refusal = self._refusal, ""
        self.wall.answered(amounts)
        if accepted:
            self.wall.accepted(amounts, taken, now)
        if accepted is not False:
            return
        for kind, window in (*self.windows.values(), *self._counted.values()):
            if amounts[kind] > 0 and window.span > 60:
                window.release(amounts[kind], taken)
        if refusal == "unnamed":
            self.pause(now + self.wall.refused(amounts, taken, now))

    # ------------------------------------------------------------------------------------------------- what is told

    def too_large(self, amounts: Amounts, now: float) -> bool:
        """Return True if a smaller call has room where this waits for hours."""
        if self.paused_until > now or not any(amounts[kind] for kind in ("minutes", "tokens")):
            return False
        walled = self.wall.wait(amounts, now) > 0
        if walled and not self.wall.too_large(amounts, now, _REST):
            return False
        full = [
            (kind, window)
            for kind, window in self.windows.values()
            if amounts[kind] > 0 and window.wait(amounts[kind], now) > 0
        ]
        return (walled or bool(full)) and all(
            kind != "requests" and window.span > 60 and amounts[kind] <= window.limit and _room(window, now) > _REST
            for kind, window in full
        )

    def reason(self, amounts: Amounts, now: float) -> str:
        """Return the window for which these amounts wait longest, in words."""
        waits = {
            name: window.wait(amounts[kind], now) for name, (kind, window) in self.windows.items() if amounts[kind]
        }
        name, longest = max(waits, key=lambda each: waits[each], default=""), self.wait(amounts, now)
        if longest > 0 and self.wall.wait(amounts, now) >= longest:
            return self.wall.reason(amounts, now)
        if not name or waits[name] < longest:
            return "as the platform says"
        kind, _, span = name.partition("_per_")
        return f"{self.windows[name][1].limit:g} {kind} per {span}"

    def gauges(self, group: str, now: float) -> Iterable[QuotaGauge]:
        """Yield how full each window is."""
        for name, (_, window) in self.windows.items():
            used = window.used(now)
            wait = max(window.wait(1.0, now), self.paused_until - now)
            at = self.learned.get(name, (0.0, 0.0))[1]
            yield QuotaGauge(group, name, used, window.limit, now + wait if wait > 0 else 0.0, at)
        yield from (each for each in self.wall.gauges(group, now) if each.window not in self.windows)

    # ---------------------------------------------------------------------------------------------------- learning

    def learn(self, note: QuotaNote, now: float, longest: float) -> None:
        """Take the platform's word about one limit, never for more than is configured.

        ``longest``: seconds that its word may make a call wait.
        """
        if note.limit is not None and note.limit >= 1 and note.span:  # less is no limit that lets anything through
            name = f"{note.kind}_per_{note.span}"
            self.learned[name] = (note.limit, now)
            self._apply(name, now)
        if note.left is not None and note.resets is not None and now < note.resets <= now + _LONGEST:
            self._granted(f"{note.kind}/{note.span}", note.left, min(note.resets, now + longest))

    def refused(self, *, named: bool) -> None:
        """Take note that the call which is ``answered`` next was refused by a limit.

        ``named``: the answer says by which, of an hour or a day.
        """
        self._refusal = "named" if named else "unnamed"
        if named:
            self.wall.named()

    def pause(self, until: float) -> None:
        """Let nothing in until then; a shorter word does not shorten a pause."""
        self.paused_until = max(self.paused_until, until)

    def pause_for(self, note: QuotaNote, now: float) -> None:
        """Pause for a spent quota where nobody said until when."""
        if note.span not in ("hour", "day") or self.paused_until > now + SPANS["minute"]:
            return
        known = self.windows.get(f"{note.kind}_per_{note.span}")
        if known is not None and known[1].used(now) >= _FULL * known[1].limit:
            return  # our own counters say when there is room
        self.guessed = guessed_end(note.span, now, self.guessed)
        self.pause(self.guessed)

    def _granted(self, name: str, left: float, resets: float) -> None:
        known = self.left.get(name)
        # Answers overtake each other: within one period the smallest number seen is the newest.
        if known is not None and abs(known[1] - resets) < _SAME:
            left = min(left, known[0])
        self.left[name] = [left, resets]

    def _apply(self, name: str, now: float) -> None:
        """Let a window have the limit that is known of it."""
        configured, (limit, at) = self._configured.get(name), self.learned.get(name, (0.0, 0.0))
        if not 0 <= now - at < _LEARNED:
            self.learned.pop(name, None)
            limit = configured or 0.0
        if limit > 0:
            self._set(name, limit if configured is None else min(limit, configured))
        elif name in self.windows:
            self._counted[name] = self.windows.pop(name)

    def _set(self, name: str, limit: float) -> None:
        kind, _, span = name.partition("_per_")
        there = self.windows.get(name) or self._counted.pop(name, None) or (kind, Window(limit, SPANS[span]))
        there[1].limit = limit
        self.windows[name] = there

    # --------------------------------------------------------------------------------------------------- remembering

    def dump(self) -> dict[str, Json]:
        """Return everything for the journal."""
        return {
            "paused_until": self.paused_until,
            "guessed": self.guessed,
            "granted": {name: list(granted) for name, granted in self.left.items()},
            "learned": {name: list(each) for name, each in self.learned.items()},
            "counted": {name: window.dump() for name, (_, window) in {**self.windows, **self._counted}.items()},
            "wall": self.wall.dump(),
        }

    def load(self, kept: Mapping[str, Any], now: float) -> None:
        """Restore what an earlier run saved, unless a clock went wrong."""
        until = kept.get("paused_until")
        if isinstance(until, int | float) and until <= now + _LEARNED:
            self.pause(float(until))
        guessed = kept.get("guessed")
        self.guessed = float(guessed) if isinstance(guessed, int | float) else 0.0
        for name, (limit, at) in _pairs(kept.get("learned")):
            if name.partition("_per_")[0] in KINDS and name.partition("_per_")[2] in SPANS and limit > 0:
                self.learned.setdefault(name, (limit, at))
                self._apply(name, now)
        for name, (left, resets) in _pairs(kept.get("granted")):
            if name.partition("/")[0] in KINDS and now < resets <= now + _LONGEST:
                self.left.setdefault(name, [left, resets])
        counted, windows = kept.get("counted"), {**self.windows, **self._counted}
        for name, slots in counted.items() if isinstance(counted, dict) else ():
            if name in windows and isinstance(slots, list):
                windows[name][1].load((each[0], each[1]) for each in slots if _is_pair(each))
        self._load_old(kept)
        self.wall.load(kept.get("wall"))

    def _load_old(self, kept: Mapping[str, Any]) -> None:
        """Read the windows of an earlier release: numbers of slots of a sixtieth."""
        windows = kept.get("windows")
        for name, slots in windows.items() if isinstance(windows, dict) else ():
            if name in self.windows and isinstance(slots, dict):
                window = self.windows[name][1]
                width = window.span / _OLD_SLOTS
                moments = ((number, slots[number]) for number in slots if number.isdigit())
                window.load(((int(number) + 1) * width, float(n)) for number, n in moments if is_number(n) and n > 0)


def guessed_end(span: Literal["hour", "day"], now: float, before: float) -> float:
    """Return when a spent quota is tried again where nobody said when, epoch seconds.

    First at the next full hour, or at midnight (UTC). Where that (``before``) has just turned out to be no end, a day's
    quota is tried every hour, an hour's every five minutes.
    """
    step = 3_600.0 if span == "day" else 300.0
    if 0 <= now - before < step / 6:
        return now + step
    return (now // SPANS[span] + 1) * SPANS[span]


def _room(window: Window, now: float) -> float:
    """Return the share of a window that is free."""
    return 1.0 - window.used(now) / window.limit


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value)) and value[1] > 0


def _pairs(kept: object) -> Iterable[tuple[str, tuple[float, float]]]:
    for name, pair in kept.items() if isinstance(kept, dict) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair)):
            yield name, (float(pair[0]), float(pair[1]))

"""The platform's own account of what it has accepted, and the promise that is kept at every entry: nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: What the platform may make of something it has accepted that lets it be asked for once more.
SPOILED = ("failed", "canceled", "length", "garbage", "vanish")


class Broken(BaseException):
    """A promise is broken. A BaseException, so that nothing in the product can catch it."""


@dataclass
class Thing:
    """What the platform has made: an upload, an analysis, an index, a video in one. Times by the platform's clock."""

    id: str
    kind: str
    name: str
    made: float
    listed: float
    ready: float
    fate: str = ""
    until: float = 0.0  #: the end of ``stuck`` and ``strange``
    data: dict[str, Any] = field(default_factory=dict)

    def gone(self, now: float) -> bool:
        """Whether it has vanished."""
        return self.fate == "vanish" and now >= self.until

    def sound(self, now: float) -> bool:
        """Whether there is no reason to have it made again."""
        return self.fate not in SPOILED or now < min(self.ready, self.until or self.ready)

    def word(self, now: float, working: str) -> str:
        """Return its status word."""
        if now < self.ready or (self.fate == "stuck" and now < self.until):
            return working
        if self.fate == "strange" and now < self.until:
            return "reviewing"
        return self.fate if self.fate in ("failed", "canceled") else "ready"


@dataclass(frozen=True)
class Effect:
    """One accepted call that bills something or leaves something behind."""

    kind: str
    key: str  #: our own key, with the generation
    base: str  #: the same for every generation: what must not be had twice
    at: float
    thing: Thing
    marks: frozenset[tuple[str, str]] = frozenset()  #: (video, question) pairs that it answers
    state: int = 0  #: the number of the state folder that made the call
    life: int = 0  #: the number of the process that made it
    sent: float = 0.0  #: when it was sent, by that machine's clock
    posted: float = 0.0  #: the same by the platform's
    wishes: object = None  #: what was wanted then: manifest and prompts
    round: int = 0  #: how often an operator had had this video's questions asked again

    @property
    def looked_for(self) -> tuple[str, str]:
        """What a look for this names: the upload's name, or the asset that it is about."""
        return self.kind, str(self.thing.data.get("asset", self.thing.name))


@dataclass
class Ledger:
    """Accepted effects.

    ``spends`` looks into our own ledger, which the n-th state folder holds: key -> (what, doubtful).
    """

    spends: Callable[[int], Mapping[str, tuple[str, bool]]]
    spent: Callable[[int], float] = lambda _state: float("inf")  #: USD of analyses there
    uploads_billed: bool = False  #: in v1.2 an upload is an entry in the index
    effects: list[Effect] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)  #: videos that an operator has allowed to be paid again
    repeated: int = 0  #: calls that were made twice and are told as doubtful, as the policy allows
    forgotten: int = 0  #: calls that were made again after the state was lost, because the platform could not show them
    wishes: object = None  #: manifest and prompts of the life that goes on
    looks: dict[tuple[str, str], list[float]] = field(default_factory=dict)  #: when each was looked for in a list
    rounds: Counter[str] = field(default_factory=Counter)  #: video -> times that its questions were to be asked again
    began: list[float] = field(default_factory=list)  #: by state folder: when its first life began

    def accept(self, effect: Effect) -> None:
        """Enter an effect.

        Raises:
            Broken: it was there already, or our own ledger has no entry for it.
        """
        alike = [
            old
            for old in self.effects
            if old.kind == effect.kind
            and (old.base == effect.base or (old.marks & effect.marks and old.round == effect.round))
        ]
        self.effects.append(effect)
        self._booked(effect)
        self._covered(effect)
        self._adopted(effect, alike)
        twice = [old for old in alike if old.state == effect.state]
        videos = {effect.base, *(video for video, _ in effect.marks)}
        if videos & self.excused or not any(old.thing.sound(effect.at) for old in twice):
            return
        if effect.kind == "ask" and not twice[-1].thing.sound(effect.at) and effect.key != twice[-1].key:
            return  # the answer that was seen is bad, whatever became of one that was lost: asked anew, and booked anew
        # An answer that was seen to be bad is no reason against the next generation, nor against that one's repeat.
        twice = [old for old in twice if old.key == effect.key or old.thing.sound(effect.at)]
        twice = [
            old for old in twice if not self._told_and_lost(old, effect) and not self._told_and_spoilt(old, effect)
        ]
        same = [old for old in twice if old.key == effect.key]
        before = ", ".join(f"{old.key} ({old.thing.id}, {old.thing.fate or 'good'})" for old in twice)
        if len(same) < len(twice) or len(same) > self._doubted(effect) or (effect.kind == "ask" and len(same) > 1):
            raise Broken(f"{effect.kind} twice: {effect.key} after {before}")
        if any(old.thing.sound(effect.at) and self._was_shown(old, effect.posted) for old in same):
            raise Broken(f"{effect.kind} twice, although a look has shown it: {effect.key} after {before}")
        self.repeated += 1

    def _told_and_lost(self, old: Effect, effect: Effect) -> bool:
        """Return True if a call of another generation is told as possibly paid twice, and its asset is lost.

        It could not be made again under its own name: the platform does not take that asset any more. Of an upload, that
        asset is what the second call has made.
        """
        upload = self._upload_of(old.thing)
        seconds = [each for each in self.effects if (each.kind, each.key) == (old.kind, old.key) and each is not old]
        lost = upload is not None and upload.thing.gone(effect.posted)
        if old.kind == "asset":
            lost = bool(seconds) and not any(each.thing.sound(effect.posted) for each in seconds)
        return old.key != effect.key and lost and self._doubted(old) > 0 and not self._was_shown(old, effect.posted)

    def _told_and_spoilt(self, old: Effect, effect: Effect) -> bool:
        """Return True if a call of another key is told as possibly paid twice, and its repeat was answered badly.

        What was asked twice is asked anew then. So is what is still wanted of a call that nobody would repeat as it was.
        """
        seconds = [each for each in self.effects if (each.kind, each.key) == (old.kind, old.key) and each is not old]
        spoilt = any(not each.thing.sound(effect.at) for each in seconds) or old.marks - effect.marks
        told = old.key != effect.key and self._doubted(old) > 0
        return bool(spoilt) and told and not self._was_shown(old, effect.posted)

    def _was_shown(self, old: Effect, before: float) -> bool:
        """Return True if a look has shown this before then.

        What is looked for by a part of the name is shown all the same.
        """
        kind, name = old.looked_for
        named = (name,) if kind != "asset" else [part for sort, part in self.looks if sort == kind and part in name]
        return any(old.thing.listed <= look <= before for part in named for look in self.looks.get((kind, part), ()))

    def _adopted(self, effect: Effect, alike: Sequence[Effect]) -> None:
        """What a lost state folder has left, and the platform shows, is adopted instead of made again.

        An answer is known by the name of all that was asked together: not where one of those questions is not asked any more.
        """
        left = [
            old
            for old in alike
            if old.state < effect.state
            and old.thing.sound(effect.at)
            and (old.base == effect.base or old.wishes == effect.wishes)
        ]
        videos = {effect.base, *(video for video, _ in effect.marks)}
        if videos & self.excused:
            return
        shown = [old for old in left if self._could_be_shown(old, self.began[effect.state])]
        if shown:
            before = ", ".join(f"{old.key} ({old.thing.id}, {old.thing.fate or 'good'})" for old in shown)
            raise Broken(f"{effect.kind} twice, because the state was lost: {effect.key} after {before}")
        self.forgotten += bool(left)

    def _could_be_shown(self, old: Effect, began: float) -> bool:
        """Return True if a run that began then could find this.

        Not what is accepted or listed later; not what vanishes, nor what was made of it; not what API v1.2 keeps no trace or
        name of: answers, and addresses that it fetches itself; not an upload in parts of which nobody could tell, before
        the platform has looked at it, whether it is whole; and not what is only found by an upload that is hidden itself.
        """
        thing = old.thing
        if old.kind in ("ask", "search") or "url" in thing.data or max(old.at, thing.listed) > began:
            return False
        if thing.fate == "vanish" or (thing.data.get("parts") and thing.word(began, "processing") != "ready"):
            return False
        upload = self._upload_of(thing)
        return upload is None or (upload.state < old.state) or self._could_be_shown(upload, began)

    def _upload_of(self, thing: Thing) -> Effect | None:
        asset = thing.data.get("asset")
        return next((each for each in self.effects if each.kind == "asset" and each.thing.id == asset), None)

    def _doubted(self, effect: Effect) -> int:
        """Return how many calls like this one our own ledger calls possibly paid twice."""
        entries = [key for key, (_, doubtful) in self.spends(effect.state).items() if doubtful]
        if effect.kind == "indexed":  # our key of it names the video, the index and a hash of the asset
            index = effect.base.partition("/")[0]
            return sum(key.startswith("index/") and f"/{index}/" in key for key in entries)
        if "url" in effect.thing.data:  # our key of it is the name that a file would have
            return sum(key.startswith("video-") for key in entries)
        return sum(key.startswith(f"{effect.key}/again") for key in entries)

    def _covered(self, effect: Effect) -> None:
        """Whatever is billed is in our ledger at that moment: so a limit that this keeps, the bill keeps, too."""
        if effect.kind == "analysis":
            made = [old for old in self.effects if (old.kind, old.state) == (effect.kind, effect.state)]
            billed, ours = sum(old.thing.data["usd"] for old in made), self.spent(effect.state)
            if billed > ours + 1e-6:
                raise Broken(f"billed {billed:.4f} USD, which is more than our ledger holds: {ours:.4f}")

    def _booked(self, effect: Effect) -> None:
        """Every billed call stands in our ledger before it is made."""
        ours = self.spends(effect.state)
        if effect.kind in ("analysis", "ask") and effect.key not in ours:
            raise Broken(f"{effect.kind} {effect.key} is not in our ledger")
        billed = {"indexed": "index", "search": "search", **({"asset": "index"} if self.uploads_billed else {})}
        what = billed.get(effect.kind)
        if what is not None:
            accepted = sum((old.kind, old.state) == (effect.kind, effect.state) for old in self.effects)
            added = (key for key, entry in ours.items() if entry[0] == what and not key.endswith("/settled"))
            entered = sum("/moved-" not in key for key in added)
            if accepted > entered:
                raise Broken(f"{accepted} x {effect.kind} accepted, {entered} in our ledger")

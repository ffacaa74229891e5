"""The port of playlists, and the pure rules of wanted entries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from fnmatch import translate
from typing import Protocol

from pipeline.config.youtube import ListsSection
from pipeline.core.errors import ConfigError
from pipeline.core.model import Json, Trouble
from pipeline.ports.source import Item

#: The rules that a manifest line may override for its own list, in metadata of these names.
OVERRIDABLE = ("last", "since", "include", "exclude", "min_seconds", "max_seconds", "max_items")


@dataclass(frozen=True, slots=True)
class PlaylistEntry:
    """One video of a flat list; ``when`` is approximate, never too early."""

    id: str
    key: str  #: canonical
    address: str
    title: str = ""
    seconds: float | None = None
    when: float | None = None
    live: str = ""
    availability: str = ""


@dataclass(frozen=True, slots=True)
class Playlist:
    """A whole list, in its own order."""

    entries: Sequence[PlaylistEntry]
    title: str = ""
    channel: str = ""  #: the id behind a handle or a name, where the site told it
    foreign: int = 0  #: entries that are no videos of the site


class PlaylistLister(Protocol):
    """Lists a playlist, channel or handle at once, without a request per video."""

    async def list(self, item: Item, channel: str, most: int) -> Playlist:
        """Return at most ``most`` entries.

        ``channel`` is the id that an earlier listing told, or empty.

        Raises:
            Throttled: it is not time to ask, or the site refused this machine.
            Permanent: the list cannot be had.
            Transient: try again.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlaylistSelection:
    """A list's wanted entries, and how many each reason left out."""

    entries: Sequence[PlaylistEntry]
    left_out: Mapping[str, int] = field(default_factory=dict)


def merge_rules(rules: ListsSection, metadata: Mapping[str, str]) -> ListsSection:
    """Return the configured rules with what a line overrides.

    Raises:
        ConfigError: a value on the line is wrong; names it.
    """
    own: dict[str, Json] = {}
    for name in OVERRIDABLE:
        if name in metadata:
            text = metadata[name].strip()
            own[name] = tuple(filter(None, map(str.strip, text.split("|")))) if name in ("include", "exclude") else text
    try:
        return ListsSection.model_validate({**rules.model_dump(), **own})
    except ValueError as error:
        said = str(error).splitlines()
        what = f"{said[1]}: {said[2].strip().partition(' [')[0]}" if len(said) > 2 else said[0]
        raise ConfigError(f"metadata.{what}", remedy=f"known for a list: {', '.join(OVERRIDABLE)}") from None


def select_entries(listing: Playlist, rules: ListsSection) -> PlaylistSelection:
    """Return the wanted entries of a list, each video once, without asking about any."""
    kept: list[PlaylistEntry] = []
    out: dict[str, int] = {}
    seen: set[str] = set()
    for entry in listing.entries:
        reason = "twice" if entry.key in seen else _unwanted(entry, rules)
        seen.add(entry.key)
        if reason:
            out[reason] = out.get(reason, 0) + 1
        elif rules.last and len(kept) >= rules.last:
            out["not among the last"] = out.get("not among the last", 0) + 1
        else:
            kept.append(entry)
    return PlaylistSelection(kept, out)


def _unwanted(entry: PlaylistEntry, rules: ListsSection) -> str:
    """Return why an entry is not wanted; what is not said passes."""
    if entry.live in ("is_live", "is_upcoming", "post_live"):
        return "not shown yet"  # the next listing has it, once it can be had
    if entry.availability in ("private", "premium_only", "subscriber_only", "needs_auth"):
        return "not public"
    if rules.since and entry.when is not None and entry.when < _midnight(rules.since):
        return "older"
    if entry.seconds is not None and entry.seconds < rules.min_seconds:
        return "too short"
    if entry.seconds is not None and rules.max_seconds and entry.seconds > rules.max_seconds:
        return "too long"
    if rules.include and not any(_names(pattern, entry.title) for pattern in rules.include):
        return "title"
    return "title" if any(_names(pattern, entry.title) for pattern in rules.exclude) else ""


def _names(pattern: str, title: str) -> bool:
    return re.search(translate(f"*{pattern.lower()}*"), title.lower()) is not None


def _midnight(day: str) -> float:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()


def build_bounds(rules: ListsSection) -> dict[str, Json]:
    """Return the rules that a probe must check again.

    A flat list knows dates roughly, and not every length.
    """
    found = {"since": rules.since, "min_seconds": rules.min_seconds, "max_seconds": rules.max_seconds}
    return {name: value for name, value in found.items() if value}


def explain_exclusion(bounds: Mapping[str, Json], day: str, seconds: float | None) -> Trouble | None:
    """Return why a day (``YYYYMMDD``) and length are unwanted; unknown values pass."""
    since, shortest, longest = (bounds.get(name) for name in ("since", "min_seconds", "max_seconds"))
    known = len(day) == 8 and day.isdigit()
    if since and known and day < str(since).replace("-", ""):
        shown = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        return _out("older", f"It was published on {shown}, before {since}.", "since")
    if shortest and seconds is not None and seconds < shortest:
        return _out("too_short", f"It is {seconds:g} s long; its list takes {shortest:g} s and more.", "min_seconds")
    if longest and seconds is not None and seconds > longest:
        return _out("too_long", f"It is {seconds:g} s long; its list takes {longest:g} s at most.", "max_seconds")
    return None


def _out(code: str, message: str, rule: str) -> Trouble:
    remedy = f"to have it all the same, change {rule} of its list, or name the video itself in the manifest"
    return Trouble(f"skipped_{code}", message, remedy)


def find_removed(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the ids that were removed from a list.

    Old ids fall off the end of a window over a growing list: only one that stood before a remaining one was removed.
    """
    there = set(now)
    last = max((place for place, each in enumerate(before) if each in there), default=-1)
    return [each for each in before[: last + 1] if each not in there]


def build_item(entry: PlaylistEntry, playlist: Item, rules: ListsSection) -> Item:
    """Return an entry's item, with its list's line and unchecked rules."""
    metadata = {name: value for name, value in playlist.line.metadata.items() if name not in OVERRIDABLE}
    line = replace(playlist.line, metadata=metadata)
    return Item(entry.key, "youtube", entry.address, line, build_bounds(rules), named=False)

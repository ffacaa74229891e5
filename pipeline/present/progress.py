"""A run's snapshot as the live picture, and as one line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.core.clock import iso
from pipeline.core.model import Parked
from pipeline.present.formatting import clean, count, minutes, money, short_name, size, span
from pipeline.views import LaneView, Snapshot, WorkView

_BAR_WIDTH: Final = 30
_NAMED: Final = 3  #: videos named for each thing that is done
_ROOM: Final = 54  #: cells for their names, so that the line fits into 80 columns
_WITH_BYTES: Final = ("uploading", "downloading")
#: What each lane's waiting tasks wait for; what waits at the platform is shown as worked on.
_WAITING: Final = {
    "fetch": "to be read", "download": "to be downloaded", "upload": "to be uploaded", "analyze": "to be asked about",
    "write": "to be written",
}  # fmt: skip
#: Who waits where a lane is parked.
_PARKED: Final = {
    "download": "YouTube", "upload": "uploads", "analyze": "analyses", "poll": "the platform", "batch": "batches",
}  # fmt: skip
STOPPING: Final = "stopping… short work is finished, the rest is kept; Ctrl-C again stops now"


def board(snapshot: Snapshot) -> RenderableType:
    """Return the whole picture: progress, who is worked on, what waits, money, pauses, stopping."""
    parts: list[RenderableType] = [Text(head(snapshot), "bold"), _bar(snapshot)]
    if snapshot.working:
        parts.append(_work(snapshot.working))
    waiting = _waiting(snapshot.lanes)
    if waiting:
        parts.append(Text(f"waiting: {waiting}", "dim"))
    parts.append(Text(f"{money(snapshot.spent_usd)} spent · {minutes(snapshot.minutes)} of video finished"))
    parts += [Text(pause(entry), "yellow") for entry in snapshot.parked]
    if snapshot.stopping:
        parts.append(Text(STOPPING, "bold yellow"))
    return Group(*parts)


def line(snapshot: Snapshot) -> str:
    """Return the picture as one line, for those who read or hear lines."""
    busy = [f"{doing} {_names(views)}" for doing, views in _by_doing(snapshot.working).items()]
    times = [f"after {span(snapshot.elapsed)}", *([_left(snapshot.eta)] if snapshot.eta is not None else [])]
    return " · ".join([head(snapshot), *times, *busy, f"{money(snapshot.spent_usd)} spent"])


def head(snapshot: Snapshot) -> str:
    """Return how many items are through."""
    ended = snapshot.items_done + snapshot.items_failed
    text = f"{ended:,} of {count(snapshot.items_total, 'item')}"
    if snapshot.reading:
        text += " so far, still reading the list"
    return text + (f" · {snapshot.items_failed:,} failed" if snapshot.items_failed else "")


def pause(parked: Parked) -> str:
    """Return who waits until when, and why."""
    why, until = clean(parked.trouble.message), iso(parked.until)
    if until in why:  # it says so itself
        return why
    who = _PARKED.get(parked.lane, clean(parked.lane))
    verb = "wait" if who.endswith(("s", "es")) else "waits"
    return f"{who} {verb} until {until}: {why}"


def _bar(snapshot: Snapshot) -> Text:
    share = min(1.0, (snapshot.items_done + snapshot.items_failed) / max(1, snapshot.items_total))
    full = int(share * _BAR_WIDTH)
    text = Text("━" * full, "cyan").append("─" * (_BAR_WIDTH - full), "dim")
    text.append(f"  {span(snapshot.elapsed)}", "default not dim")
    return text.append(f" · {_left(snapshot.eta)}", "default not dim") if snapshot.eta is not None else text


def _left(seconds: float) -> str:
    """Return the time left, no finer than anybody can know it."""
    step = 60 if seconds >= 120 else 10
    return f"about {span(max(step, round(seconds / step) * step))} left"


def _work(working: Sequence[WorkView]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=max(len(view.doing) for view in working))
    table.add_column(no_wrap=True, overflow="ellipsis")
    for doing, views in _by_doing(working).items():
        if doing not in _WITH_BYTES:
            table.add_row(clean(doing), Text(_names(views)))
            continue
        for view in views[:_NAMED]:
            table.add_row(clean(doing), Text(f"{short_name(view.name, 30)}  {_bytes(view)}".rstrip()))
        if len(views) > _NAMED:
            table.add_row("", Text(f"and {len(views) - _NAMED:,} more", "dim"))
    return table


def _by_doing(working: Sequence[WorkView]) -> Mapping[str, Sequence[WorkView]]:
    groups: dict[str, list[WorkView]] = {}
    for view in working:
        groups.setdefault(view.doing, []).append(view)
    return {doing: groups[doing] for doing in sorted(groups, key=lambda doing: doing not in _WITH_BYTES)}


def _names(views: Sequence[WorkView]) -> str:
    names = list(dict.fromkeys(short_name(view.name, 30) for view in views))
    shown = names[:1]
    while len(shown) < min(_NAMED, len(names)) and cell_len(", ".join(names[: len(shown) + 1])) <= _ROOM:
        shown = names[: len(shown) + 1]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _bytes(view: WorkView) -> str:
    """Return how far a file is, and how fast, where anything has moved."""
    if not view.moved:
        return ""
    whole = f" of {size(view.total)}" if view.total else ""
    return f"{size(view.moved)}{whole}" + (f" · {size(int(view.rate))}/s" if view.rate >= 1 else "")


def _waiting(lanes: Sequence[LaneView]) -> str:
    return " · ".join(_waits(lanes))


def _waits(lanes: Sequence[LaneView]) -> Iterator[str]:
    for lane in lanes:
        if lane.waiting and lane.lane in _WAITING:
            yield f"{lane.waiting:,} {_WAITING[lane.lane]}"

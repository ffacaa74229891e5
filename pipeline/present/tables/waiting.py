"""What waits, how full each limit is, and what no list names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from pipeline.ports.quota import QuotaGauge
from pipeline.present.formatting import clean, count, fit, span, when
from pipeline.present.tables.layout import WIDE, name_and_trouble, remedy, section

if TYPE_CHECKING:
    from pipeline.views import StatusView, WaitView

_REASONS = 8  #: that are shown
_SOON = 60.0  #: seconds in which nobody needs to wake anything
_UNLISTED = 5  #: lines of what is of no consequence
_BAR = 20  #: cells
_FULL = 0.995  #: share from which on a limit is shown as used up
_VERBS = {"is": "are", "waits": "wait", "goes": "go"}
_WORDS = (
    (" its analyses ", " their analyses "), (" its analysis ", " their analyses "), (" its results ", " their results "),
    (" its turn", " their turn"), (" the file", " the files"), (" and waits ", " and wait "),
    ("the answer waits", "the answers wait"), ("an interrupted call arrived", "interrupted calls arrived"),
)  # fmt: skip


def waiting_section(value: StatusView, now: float) -> list[RenderableType]:
    """Return what waits besides parked lanes, by reason; empty if nothing."""
    waits = [each for each in value.waits if not each.parked]
    if not waits:
        return []
    lines = [_wait(each, now) for each in waits[:_REASONS]]
    if len(waits) > _REASONS:
        lines.append(Text(f"… and {len(waits) - _REASONS} more reasons", "dim"))
    asleep = not value.running and any((each.until or 0.0) > now + _SOON for each in waits)
    return [*section("waiting", lines), *([remedy("reelmill retry ITEM wakes it at once")] if asleep else [])]


def _wait(wait: WaitView, now: float) -> Text:
    text = Text(count(wait.items, "item"), "bold")
    if wait.items == 1:
        text = Text(fit(wait.example, WIDE), "bold")
    own_words = wait.code in ("stage", "due")  # not a trouble's sentence
    text.append(f"  {fit(_plural(wait.why) if own_words and wait.items != 1 else wait.why, 300)}")
    if wait.due is not None and wait.until is not None:
        several = wait.until - wait.due > 1
        text.append(f"\n  {'the first' if several else 'goes on'} at {when(wait.due, now)}", "dim")
        text.append(f", the last at {when(wait.until, now)}" if several else "", "dim")
    return text


def quota_section(value: StatusView, now: float) -> list[RenderableType]:
    """Return a bar for each window of each limit; empty without any."""
    if not value.quota:
        return []
    names = max(len(_window(each.window)) for each in value.quota)
    learned = any(each.learned_at for each in value.quota)
    advice = (
        [remedy("reelmill retry --parked forgets the limits that the platform has named or shown")] if learned else []
    )
    return [*section("limits", [_gauge(each, names, now) for each in value.quota]), *advice]


def _gauge(gauge: QuotaGauge, width: int, now: float) -> Text:
    share = min(1.0, gauge.used / gauge.limit)
    colour = "red" if share >= _FULL or gauge.room_at else "yellow" if share >= 0.8 else "green"
    filled = min(_BAR, max(round(_BAR * share), 1 if share > 0 else 0))
    text = Text(f"{gauge.group:<8} {_window(gauge.window):<{width}}  ")
    text.append("━" * filled, colour).append("─" * (_BAR - filled), "dim")
    text.append(f"  {_amount(gauge.used)} of {_amount(gauge.limit)}")
    if gauge.learned_at:
        how = "named by the platform" if not gauge.unnamed else "never named; refused from here on"
        text.append(f"\n{'':9}{how} {span(max(0.0, now - gauge.learned_at))} ago", "dim")
    return text.append(f"\n{'':9}room again at {when(gauge.room_at, now)}", "dim") if gauge.room_at else text


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def _window(name: str) -> str:
    """Return a window in words: ``requests_per_day`` as "requests/day"."""
    return clean(name.replace("_per_", "/"))


def _plural(words: str) -> str:
    """Return what is said of one item as it is said of several."""
    verb, _, rest = words.partition(" ")
    several = f"{_VERBS.get(verb, verb)} {rest}"
    for one, more in _WORDS:
        several = several.replace(one, more)
    return several


def unlisted_section(value: StatusView) -> list[RenderableType]:
    """Return what stopped and is in no list any more; empty if nothing."""
    if not value.unlisted_tasks:
        return []
    lines = [name_and_trouble(item, why, state) for state, item, why in value.unlisted[:_UNLISTED]]
    lines = [Text(line.plain, "dim") for line in lines]
    title = f"no longer listed or asked for: {count(value.unlisted_tasks, 'task')}, of no consequence for a run"
    return [*section(title, lines), remedy("reelmill cancel ITEM puts one away; a line in a list brings it back")]

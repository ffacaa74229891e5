"""What waits and until when, and what no list names any more."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from pipeline.present.formatting import count, fit, when
from pipeline.present.tables.layout import WIDE, remedy, section, trouble_line
from pipeline.views import StatusView, WaitView

_REASONS = 8  #: that are shown
_UNLISTED = 5  #: lines of what is of no consequence


def waiting_section(value: StatusView, now: float) -> list[RenderableType]:
    """Return what waits besides parked lanes, by reason; empty if nothing."""
    waits = [each for each in value.waits if not each.parked]
    if not waits:
        return []
    lines = [_wait(each, now) for each in waits[:_REASONS]]
    if len(waits) > _REASONS:
        lines.append(Text(f"… and {len(waits) - _REASONS} more reasons", "dim"))
    asleep = any(each.due is not None for each in waits)
    return [*section("waiting", lines), *([remedy("reelmill retry ITEM wakes it at once")] if asleep else [])]


def _wait(wait: WaitView, now: float) -> Text:
    text = Text(count(wait.items, "item"), "bold")
    if wait.items == 1:
        text = Text(fit(wait.example, WIDE), "bold")
    text.append(f"  {fit(wait.why, 300)}")
    if wait.due is not None and wait.until is not None:
        several = wait.until - wait.due > 1
        text.append(f"\n  {'the first' if several else 'goes on'} at {when(wait.due, now)}", "dim")
        text.append(f", the last at {when(wait.until, now)}" if several else "", "dim")
    return text


def unlisted_section(value: StatusView) -> list[RenderableType]:
    """Return what failed or is held and in no list; empty without."""
    if not value.unlisted_tasks:
        return []
    lines = [trouble_line(item, why, state) for state, item, why in value.unlisted]
    lines = [Text(line.plain.partition("\n")[0], "dim") for line in lines[:_UNLISTED]]
    title = f"no longer listed or asked for: {count(value.unlisted_tasks, 'task')}, of no consequence for a run"
    return [*section(title, lines), remedy("reelmill cancel ITEM puts one away; a line in a list brings it back")]

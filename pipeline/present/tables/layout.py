"""The parts that tables are made of: columns, pairs, sections, troubles and remedies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.core.model import Trouble
from pipeline.present.formatting import clean, count, fit, fit_middle
from pipeline.views import BadLine, LeftOut

#: Cells that a title, source or message may take at most, wherever it is shown.
WIDE: Final = 120
#: Cells that a column which is cut keeps, before others are dropped for it.
_LEAST: Final = 28
_COLOUR: Final = {
    "done": "green", "ok": "green", "nothing": "dim", "failed": "red", "bad": "red", "held": "yellow", "warn": "yellow",
    "unfinished": "cyan", "running": "cyan", "new": "cyan",
}  # fmt: skip


def new_table(columns: Iterable[str], right: Iterable[str] = (), *, fold: Iterable[str] = ()) -> Table:
    """Return a table without lines. Columns in ``fold`` may break, others keep their width."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    to_the_right, folding = frozenset(right), frozenset(fold)
    for name in columns:
        overflow: Literal["fold", "ellipsis"] = "fold" if folding else "ellipsis"
        made.add_column(
            name, justify="right" if name in to_the_right else "left", no_wrap=name not in folding, overflow=overflow
        )
    return made


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table for any width.

    Columns in ``drop`` go in this order until it fits, and ``cut`` is shortened in its middle.
    Cells hold one line each; those of ``cut`` may hold more, which are cut at their ends.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    cut: str
    drop: Sequence[str] = ()
    right: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = list(self.columns)
        widths = [
            max(len(name), *(max(line.cell_len for line in row[at].split(allow_blank=True)) for row in self.rows))
            for at, name in enumerate(self.columns)
        ]
        where = self.columns.index(self.cut)
        least = min(widths[where], _LEAST)
        room = options.max_width

        def taken() -> int:
            return sum(widths[self.columns.index(name)] + 2 for name in shown if name != self.cut)

        for name in self.drop:
            if taken() + least > room:
                shown.remove(name)
        table = new_table(shown, right=self.right)
        for row in self.rows:
            first, *more = row[where].split(allow_blank=True)
            short = Text(fit_middle(first.plain, max(least, room - taken())), first.style)
            kept = {**dict(zip(self.columns, row, strict=True)), self.cut: Text("\n").join([short, *more])}
            table.add_row(*(kept[name] for name in shown))
        yield table


def pair_table(rows: Iterable[tuple[str, Text]]) -> Table:
    """Return names and values, one a line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for name, text in rows:
        table.add_row(name, text)
    return table


def section(title: str, entries: Iterable[RenderableType]) -> list[RenderableType]:
    """Return a titled block of entries."""
    return [Text(""), Text(title, "bold"), *(Padding(entry, (0, 0, 0, 2)) for entry in entries)]


def attention(shown: Sequence[RenderableType], total: int) -> list[RenderableType]:
    """Return what failed or is held, and how many more there are."""
    more = total - len(shown)
    return section("needs attention", [*shown, *([Text(f"… and {more:,} more", "dim")] if more > 0 else [])])


def bad_lines(lines: Sequence[BadLine], total: int) -> list[RenderableType]:
    """Return the lines of manifests that cannot be used."""
    entries: list[RenderableType] = [
        trouble_line(f"{line.place}  {fit(line.source, 60)}", line.trouble) for line in lines
    ]
    if total > len(lines):
        entries.append(Text(f"… and {total - len(lines):,} more", "dim"))
    return section(f"{count(total, 'line')} not usable", entries)


def left_out(found: Sequence[LeftOut]) -> list[RenderableType]:
    """Return what folders and patterns hold besides videos."""
    return section("left out", [trouble_line(fit(each.source, 60), each.trouble) for each in found]) if found else []


def trouble_line(name: str, trouble: Trouble, state: str = "") -> Text:
    """Return one trouble with its remedy; ``state`` in front, in its colour."""
    text = Text()
    if state:
        text.append(f"{state}  ", _COLOUR.get(state, ""))
    text.append(fit(name, WIDE), "bold").append(f"  {fit(trouble.message, 300)}")
    if trouble.remedy:
        text.append(f"\n  → {fit(trouble.remedy, 300)}", "dim")
    return text


def remedy(text: str) -> Text:
    """Return what to do, behind an arrow."""
    return Text(f"  → {clean(text)}")


def doubt(calls: int, earlier: int = 0) -> str:
    """Return how many calls were possibly paid twice, behind a sum.

    Empty for none; ``earlier``: part of them.
    """
    if calls <= 0:
        return ""
    return f" · {count(calls, 'call')} possibly paid twice" + (
        f", of which {earlier:,} in earlier runs" if earlier > 0 else ""
    )


def tally(numbers: Mapping[str, int]) -> Text:
    """Return counts on one line; zeros are left out."""
    shown = [(word, number) for word, number in numbers.items() if number]
    return Text(" · ").join(coloured(word, f"{number:,} ") for word, number in shown) if shown else Text("none")


def items_tally(items: Mapping[str, int]) -> Text:
    """Return a state folder's items; those working may wait for a run."""
    return tally({"unfinished" if word == "working" else word: number for word, number in items.items()})


def coloured(word: str, before: str = "") -> Text:
    """Return a word in the colour of its meaning."""
    return Text(before + clean(word), _COLOUR.get(word, ""))

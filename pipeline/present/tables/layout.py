"""The parts that tables are made of: columns, pairs, sections, troubles and remedies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.core.model import Trouble
from pipeline.present.formatting import clean, count, fit, fit_middle

if TYPE_CHECKING:
    from pipeline.views import BadLine, LeftOut

#: Cells that a title, source or message may take at most, wherever it is shown.
WIDE: Final = 120
#: Cells that a column which is cut keeps, before others are dropped for it.
_LEAST: Final = 28
#: Cells that it keeps when nothing is left to drop.
_NARROWEST: Final = 8
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

    Columns in ``drop`` go in this order until it fits. Those in ``cut`` share what is left: the first is shortened in its
    middle, others at their ends. Cells hold one line each; those of ``cut`` may hold more, which are wrapped.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    cut: tuple[str, ...]
    drop: Sequence[str] = ()
    right: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self._shown(options.max_width)
        share = self._shares(shown, options.max_width)
        table = new_table(shown, right=self.right)
        for row in self.rows:
            cells = dict(zip(self.columns, row, strict=True))
            for name, width in share.items():
                first, *more = cells[name].split(allow_blank=True)
                shorten = fit_middle if name == self.cut[0] else fit
                wrapped = [part for line in more for part in line.wrap(console, width, overflow="fold")]
                cells[name] = Text("\n").join([Text(shorten(first.plain, width), first.style), *wrapped])
            table.add_row(*(cells[name] for name in shown))
        yield table

    def _widths(self) -> dict[str, int]:
        return {
            name: max(len(name), *(max(line.cell_len for line in row[at].split(allow_blank=True)) for row in self.rows))
            for at, name in enumerate(self.columns)
        }

    def _shown(self, room: int) -> list[str]:
        """Return the columns that stay at this width."""
        widths, shown = self._widths(), list(self.columns)
        for name in self.drop:
            if sum((min(widths[each], _LEAST) if each in self.cut else widths[each]) + 2 for each in shown) - 2 > room:
                shown.remove(name)
        return shown

    def _shares(self, shown: Sequence[str], room: int) -> dict[str, int]:
        """Return the cells of each column that is cut.

        What narrow ones leave goes to the others.
        """
        widths = self._widths()
        left = room - sum((0 if name in self.cut else widths[name]) + 2 for name in shown) + 2
        shares: dict[str, int] = {}
        cut = sorted((name for name in self.cut if name in shown), key=widths.__getitem__)
        for at, name in enumerate(cut):
            shares[name] = max(_NARROWEST, min(widths[name], left // (len(cut) - at)))
            left -= shares[name]
        return shares


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
        trouble_line(line.place if line.place == line.source else f"{line.place}  {fit(line.source, 60)}", line.trouble)
        for line in lines
    ]
    if total > len(lines):
        entries.append(Text(f"… and {total - len(lines):,} more", "dim"))
    return section(f"{count(total, 'line')} not usable", entries)


def left_out(found: Sequence[LeftOut]) -> list[RenderableType]:
    """Return what folders and patterns hold besides videos."""
    return section("left out", [trouble_line(fit(each.source, 60), each.trouble) for each in found]) if found else []


def trouble_line(name: str, trouble: Trouble, state: str = "") -> RenderableType:
    """Return one trouble with its remedy; ``state`` in front, in its colour."""
    text = name_and_trouble(name, trouble, state)
    return Group(text, remedy(fit(trouble.remedy, 300), "dim")) if trouble.remedy else text


def name_and_trouble(name: str, trouble: Trouble, state: str = "") -> Text:
    """Return the same without the remedy."""
    text = Text()
    if state:
        text.append(f"{state}  ", _COLOUR.get(state, ""))
    return text.append(fit(name, WIDE), "bold").append(f"  {fit(without_name(trouble.message, name), 300)}")


def without_name(message: str, name: str) -> str:
    """Return a message without the file's name in front, where ``name`` tells it.

    >>> without_name("a.mp4: the file is empty.", "films/a.mp4")
    'The file is empty.'
    """
    said, _, rest = message.partition(": ")
    told = rest and (f" {name}".endswith((f" {said}", f"/{said}")) or said.endswith(f"/{name}"))
    return rest[0].upper() + rest[1:] if told else message


def remedy(text: str, style: str = "", indent: int = 2) -> Table:
    """Return what to do, behind an arrow; further lines are indented."""
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(" " * indent + "→ ", style), Text(clean(text), style))
    return grid


def doubt(calls: int, earlier: int = 0) -> str:
    """Return how many calls were possibly paid twice, to stand behind a sum.

    Empty for none. ``earlier`` of the ``calls`` were made by earlier runs.
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


def items_tally(items: Mapping[str, int], videos: Mapping[str, int]) -> Text:
    """Return a state folder's videos; those working may wait for a run."""
    shown, sources = videos or items, sum(items.values())
    text = tally({"unfinished" if word == "working" else word: number for word, number in shown.items()})
    return text.append(f" · from {sources:,} sources") if sum(shown.values()) < sources else text


def coloured(word: str, before: str = "") -> Text:
    """Return a word in the colour of its meaning."""
    return Text(before + clean(word), _COLOUR.get(word, ""))

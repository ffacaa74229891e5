"""Words and amounts for people. :func:`clean` makes foreign text safe to show."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len, set_cell_size

from pipeline.core.clock import iso
from pipeline.core.model import SpentWindow
from pipeline.core.text import plain

#: Joiners belong to letters and pictures of several scripts; other invisible characters make a line read as what it is not.
_JOINERS: Final = frozenset("\u200c\u200d")
#: Our own typography, one cell for one cell, for streams that are not Unicode.
ASCII: Final = str.maketrans({"→": ">", "·": "-", "…": "~", "─": "-", "━": "=", "╸": "-", "╺": "-", "×": "x", "≈": "~"})


def clean(value: object) -> str:
    """Return ``value`` as one line that a terminal shows and does not obey.

    >>> clean("a\\x1b[31mred\\nline\\u202e")
    'ared line'
    """
    text = plain(str(value))
    if text.isprintable():
        return text
    # Invisible, private and unassigned characters have no width that a table could count on.
    shown = "".join(char for char in text if char in _JOINERS or char.isprintable())
    return " ".join(shown.split())  # what was dropped may have stood between two blanks


def fit(value: object, width: int) -> str:
    """Return the cleaned value in at most ``width`` cells, with an ellipsis if cut.

    >>> fit("日本語", 5)
    '日本…'
    """
    text = clean(value)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…" if width > 0 else ""


def fit_middle(value: object, width: int) -> str:
    """Return the cleaned value in at most ``width`` cells, cut in its middle.

    Of a path, the end says the most.

    >>> fit_middle("/srv/media/archive/films/chaplin.mp4", 24)
    '/srv/m…films/chaplin.mp4'
    """
    text = clean(value)
    if cell_len(text) <= width:
        return text
    head = fit(text, max(1, width // 4 + 1)).removesuffix("…")
    while cell_len(text) > max(0, width - cell_len(head) - 1):
        text = text[1:]
    return f"{head}…{text}" if width > 1 else fit(value, width)


def short_name(source: str, width: int = 40) -> str:
    """Return a source's short name: a file's name, an address's end.

    >>> short_name("/srv/media/films/chaplin.mp4"), short_name("https://www.youtube.com/watch?v=abcdefghijk", 20)
    ('chaplin.mp4', '…watch?v=abcdefghijk')
    """
    text = clean(source)
    if "://" not in text:
        return fit(text.rstrip("/").rpartition("/")[2] or text, width)
    text = text.partition("://")[2].removeprefix("www.")
    while cell_len(text) > width:
        text = "…" + text.removeprefix("…")[1:]
    return text


def money(usd: float) -> str:
    """Return an amount: cents from ten cents up, two significant digits below.

    >>> money(1234.5), money(0.1), money(0.0292), money(0)
    ('$1,234.50', '$0.10', '$0.029', '$0.00')
    """
    small = float(f"{usd:.2g}")
    if small == 0 or abs(small) >= 0.1:
        return f"${usd:,.2f}"
    return f"${small:.{1 - math.floor(math.log10(abs(small)))}f}" if abs(small) >= 0.0001 else "<$0.0001"


def windows_text(windows: Iterable[SpentWindow]) -> str:
    """Return what was spent today and this month, against the limits.

    >>> windows_text([SpentWindow("day", 1.5), SpentWindow("month", 12.0, 500.0)])
    'today $1.50, this month $12.00 of $500.00 (UTC)'
    """
    names = {"day": "today", "month": "this month"}
    said = (
        f"{names[each.name]} {money(each.usd)}" + (f" of {money(each.limit)}" if each.limit is not None else "")
        for each in windows
    )
    return f"{', '.join(said)} (UTC)"


def minutes(value: float) -> str:
    """Return minutes of video.

    >>> minutes(42.06), minutes(1234.5)
    ('42.1 min', '1,234 min')
    """
    return f"{value:.1f} min" if value < 100 else f"{value:,.0f} min"


def span(seconds: float) -> str:
    """Return a duration in its two largest units.

    >>> span(0.4), span(200), span(7320), span(200_000)
    ('0.4 s', '3 min 20 s', '2 h 02 min', '2 d 7 h')
    """
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole // 60 % 60:02} min"
    return f"{whole // 86_400} d {whole // 3600 % 24} h"


def size(count: int) -> str:
    """Return bytes in decimal units.

    >>> size(999), size(1_400_000_000)
    ('999 B', '1.4 GB')
    """
    amount, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.3g} {unit}"


def when(epoch: float, now: float) -> str:
    """Return a time as RFC 3339, with its distance from ``now``.

    >>> when(7200, 0), when(0, 90)
    ('1970-01-01T02:00:00Z (in 2 h 00 min)', '1970-01-01T00:00:00Z (1 min 30 s ago)')
    """
    away = epoch - now
    return f"{iso(epoch)} ({f'in {span(away)}' if away >= 0 else f'{span(-away)} ago'})"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> count(1, "item"), count(1200, "item"), count(2, "analysis", "analyses")
    ('1 item', '1,200 items', '2 analyses')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"

"""CSV records out of lines that may be bad, with their line numbers, bounded. A stray quote costs one record, no more."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.core.model import Trouble
from pipeline.source.manifest.lines import LONGEST, Bad, Text

#: A quoted cell may span lines, but one record may not be longer than a line may be, nor have more lines than this.
_MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One record; ``number`` is the line on which it starts."""

    number: int
    cells: list[str]


class _Overlong(Exception):
    """A record does not end where records end."""


class Feed:
    """Lines one by one, with a way back for those that were read in vain."""

    def __init__(self, entries: Iterable[Text | Bad]) -> None:
        self._entries = iter(entries)
        self._back: deque[Text | Bad] = deque()

    def __iter__(self) -> Iterator[Text | Bad]:
        return self

    def __next__(self) -> Text | Bad:
        return self._back.popleft() if self._back else next(self._entries)

    def put_back(self, entries: Iterable[Text | Bad]) -> None:
        """Give these again, in this order, before anything else."""
        self._back.extendleft(reversed(list(entries)))

    def rows(self) -> Iterator[Row | Bad]:
        """Yield records; the separator (comma, semicolon or tab) is the one that the first line uses most."""
        separator = ""
        for entry in self:
            if isinstance(entry, Bad):
                yield entry
            elif entry.text.strip():
                separator = separator or max(",;\t", key=entry.text.count)
                yield self._record(entry, separator)

    def _record(self, first: Text, separator: str) -> Row | Bad:
        taken = [first]
        try:
            cells = next(csv.reader(self._lines(taken), delimiter=separator, strict=True))
            return Row(first.number, cells)
        except (csv.Error, _Overlong):
            # Only the record's first line is at fault for certain; the others get a chance of their own.
            self.put_back(taken[1:])
            remedy = 'close the quote, and write a quote inside a cell as ""'
            return Bad(
                first.number, Trouble("manifest_csv", "The quotes of this row do not match.", remedy), first.text
            )

    def _lines(self, taken: list[Text]) -> Iterator[str]:
        """Yield the record's lines as the parser asks for more; what is handed out is kept in ``taken``."""
        yield taken[0].text + "\n"
        size = len(taken[0].text)
        for entry in self:
            if isinstance(entry, Bad):
                self.put_back([entry])
                return
            taken.append(entry)
            size += len(entry.text)
            if size > LONGEST or len(taken) > _MOST_LINES:
                raise _Overlong
            yield entry.text + "\n"

"""CSV records with their line numbers; a stray quote costs one record."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.core.model import Trouble
from pipeline.source.manifest.lines import MAX_LINE_BYTES, TextLine, UnreadableLine

#: A quoted cell may span lines, but one record may not be longer than a line may be, nor have more lines than this.
_MOST_LINES = 1000
#: How a spreadsheet declares its separator, before the header.
SEPARATOR_LINE = re.compile(r'\s*"?sep=([,;\t|])"?[\s,;]*', re.IGNORECASE)

_BLANKS = " \t\r\f\v\xa0"


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """One record; ``number`` is the line on which it starts."""

    number: int
    cells: list[str]
    separator: str = ","


class _RecordTooLong(Exception):
    """A record does not end where records end."""


class PushbackLines:
    """Iterates over lines and takes back those that were read too far."""

    def __init__(self, entries: Iterable[TextLine | UnreadableLine]) -> None:
        self._entries = iter(entries)
        self._back: deque[TextLine | UnreadableLine] = deque()

    def __iter__(self) -> Iterator[TextLine | UnreadableLine]:
        return self

    def __next__(self) -> TextLine | UnreadableLine:
        return self._back.popleft() if self._back else next(self._entries)

    def put_back(self, entries: Iterable[TextLine | UnreadableLine]) -> None:
        """Yield these again, in this order, before anything else."""
        self._back.extendleft(reversed(list(entries)))

    def rows(self) -> Iterator[CsvRecord | UnreadableLine]:
        """Yield records that hold anything; the first line decides on the separator."""
        separator = ""
        for entry in self:
            if isinstance(entry, UnreadableLine):
                yield entry
            elif not separator and (declared := SEPARATOR_LINE.fullmatch(entry.text)):
                separator = declared[1]
            elif entry.text.strip(_BLANKS + separator):
                separator = separator or max(",;\t|", key=entry.text.count)
                yield self._record(entry, separator)

    def _record(self, first: TextLine, separator: str) -> CsvRecord | UnreadableLine:
        taken = [first]
        try:
            cells = next(csv.reader(self._lines(taken), delimiter=separator, strict=True))
            return CsvRecord(first.number, cells, separator)
        except (csv.Error, _RecordTooLong):
            # Only the record's first line is at fault for certain; the others get a chance of their own.
            self.put_back(taken[1:])
            remedy = 'close the quote, and write a quote inside a cell as ""'
            return UnreadableLine(
                first.number, Trouble("manifest_csv", "The quotes of this row do not match.", remedy), first.text
            )

    def _lines(self, taken: list[TextLine]) -> Iterator[str]:
        """Yield a record's lines, and note them in ``taken``."""
        yield taken[0].text + "\n"
        size = len(taken[0].text)
        for entry in self:
            if isinstance(entry, UnreadableLine):
                self.put_back([entry])
                return
            taken.append(entry)
            size += len(entry.text)
            if size > MAX_LINE_BYTES or len(taken) > _MOST_LINES:
                raise _RecordTooLong
            yield entry.text + "\n"

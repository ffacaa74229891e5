"""One value is read while the last is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from pipeline.gallery.read_ahead import read_ahead


class Source:
    """Counts to ``end`` and says how far it was read."""

    def __init__(self, end: int, *, fails: bool = False) -> None:
        self.end, self.fails, self.read, self.closed = end, fails, 0, False

    async def values(self) -> AsyncGenerator[int, None]:
        """Yield the numbers."""
        try:
            for number in range(self.end):
                await anyio.lowlevel.checkpoint()
                self.read = number + 1
                yield number
            if self.fails:
                raise OSError("no more")
        finally:
            self.closed = True


def test_one_value_is_read_ahead() -> None:
    """All come in order, and never more than one before its turn."""
    source, seen = Source(5), []

    async def use() -> None:
        async with read_ahead(source.values()) as values:
            async for value in values:
                await anyio.sleep(0.01)
                assert source.read == min(value + 2, 5)
                seen.append(value)

    anyio.run(use)
    assert (seen, source.closed) == ([0, 1, 2, 3, 4], True)


def test_the_source_fails_as_it_is() -> None:
    """What it raises comes out alone, after all values that came before."""
    seen = []

    async def use() -> None:
        async with read_ahead(Source(2, fails=True).values()) as values:
            async for value in values:
                assert value == len(seen)
                seen.append(value)

    with pytest.raises(OSError, match="no more"):
        anyio.run(use)
    assert seen == [0, 1]


def test_who_stops_closes_the_source() -> None:
    """An error of the user comes out as it is, and the source is closed."""
    source = Source(100)

    async def use() -> None:
        async with read_ahead(source.values()) as values:
            async for value in values:
                if value == 3:
                    raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        anyio.run(use)
    assert source.closed
    assert source.read <= 5


def test_who_leaves_early_hears_of_nothing() -> None:
    """A user that breaks off, or is cancelled, gets no error, and the source is closed."""

    async def use(source: Source, *, until: float) -> None:
        with anyio.move_on_after(until):
            async with read_ahead(source.values()) as values:
                async for value in values:
                    await anyio.sleep(0.01)
                    if value == 3:
                        break

    for until in (60.0, 0.025):
        source = Source(100)
        anyio.run(partial(use, source, until=until))
        assert source.closed
        assert source.read <= 5

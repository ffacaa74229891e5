"""A site on loopback, and a source that fetches from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.site import MediaServer
from tests.support.youtube_runs import Fetching, build


@pytest.fixture
def site() -> Iterator[MediaServer]:
    """A site on loopback."""
    with MediaServer() as server:
        yield server


@pytest_asyncio.fixture
async def fetching(site: MediaServer, tmp_path: Path) -> AsyncIterator[Fetching]:
    """A source with default rules."""
    made = build(site, tmp_path)
    yield made
    await made.workers.aclose()

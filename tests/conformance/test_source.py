"""What every ``ports.Source`` promises, for each implementation."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.core.clock import SystemClock
from pipeline.core.errors import InputError
from pipeline.ports.source import Item, ManifestLine, Source
from pipeline.source.files import FileSource
from tests.support.media import film


@pytest.fixture(params=["file"])
def source(request: pytest.FixtureRequest) -> Source:
    """Each implementation in turn."""
    return {"file": FileSource(SystemClock())}[request.param]


def make(source: Source, folder: Path, name: str = "a.mp4") -> Item:
    """Return an item that this source can fetch."""
    path = film(folder / name, 1)
    return Item(f"{source.kind}:{path}", "file", str(path), ManifestLine(source=str(path)))


@pytest.mark.asyncio
async def test_facts_stand_for_a_file_that_is_there(source: Source, tmp_path: Path) -> None:
    """The path can be read, and size and hash are those of its whole content."""
    found = await source.fetch(make(source, tmp_path), tmp_path)
    content = found.path.read_bytes()
    assert found.size == len(content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.seconds > 0
    assert min(found.width, found.height) > 0
    assert found.mime.startswith("video/")


@pytest.mark.asyncio
async def test_fetching_twice_is_fetching_once(source: Source, tmp_path: Path) -> None:
    """The same item gives the same facts, so a resumed run goes on where it was."""
    wanted = make(source, tmp_path)
    assert await source.fetch(wanted, tmp_path) == await source.fetch(wanted, tmp_path)


@pytest.mark.asyncio
async def test_the_same_content_under_two_names_has_one_hash(source: Source, tmp_path: Path) -> None:
    """The hash is of the content alone."""
    one = await source.fetch(make(source, tmp_path, "a.mp4"), tmp_path)
    two = await source.fetch(make(source, tmp_path, "b.mp4"), tmp_path)
    assert one.path != two.path
    assert one.sha256 == two.sha256


@pytest.mark.asyncio
async def test_what_is_gone_is_an_input_error_with_a_remedy(source: Source, tmp_path: Path) -> None:
    """A source blames the item, in our words, and leaves nothing behind."""
    wanted = make(source, tmp_path)
    os.unlink(wanted.locator)
    before = os.listdir(tmp_path)
    with pytest.raises(InputError) as caught:
        await source.fetch(wanted, tmp_path)
    assert caught.value.trouble.remedy
    assert os.listdir(tmp_path) == before

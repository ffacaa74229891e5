"""What every ``ports.Sink`` promises, for each implementation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import anyio
import pytest

from pipeline.core.errors import Permanent
from pipeline.ports.sink import MARK, OutFile, Sink
from pipeline.sink.disk import DiskSink


@pytest.fixture(params=["disk"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    """Each implementation in turn; the folder is made by it when needed."""
    return {"disk": DiskSink(tmp_path / "deep" / "out")}[request.param]


@pytest.mark.asyncio
async def test_folders_are_told_apart_by_the_video(sink: Sink) -> None:
    """Same title, two videos: two folders. Same video: always the same name."""
    assert await sink.folder("file:/a", ["Title"]) != await sink.folder("file:/b", ["Title"])
    assert await sink.folder("file:/a", ["Title"]) == await sink.folder("file:/a", ["Another"])


@pytest.mark.asyncio
async def test_what_was_written_is_there(sink: Sink) -> None:
    """Sizes are those of the bytes; exactly these files are not missing."""
    folder = await sink.folder("k", ["T"])
    assert await sink.missing({folder: {"a.md": 1}})
    sizes = await sink.write(
        folder, [OutFile("a.md", "é"), OutFile("b.bin", b"\x00\xff\x00"), OutFile("raw/c.json", "{}")]
    )
    assert sizes == {"a.md": 2, "b.bin": 3, "raw/c.json": 2}
    assert not await sink.missing({folder: sizes})
    assert await sink.missing({folder: {"a.md": 3}})
    assert await sink.missing({folder: {**sizes, "d.md": 1}})


@pytest.mark.asyncio
async def test_writing_twice_is_writing_once(sink: Sink) -> None:
    """A repeated write after a crash changes nothing and fails nothing."""
    files = [OutFile("a.md", "x"), OutFile("video.json", json.dumps({"files": ["a.md"]}))]
    assert await sink.write("t--aaaaaaaa", files) == await sink.write("t--aaaaaaaa", files)


@pytest.mark.asyncio
async def test_what_is_no_longer_wanted_goes(sink: Sink) -> None:
    """A result that the record lists and the new files lack is removed."""
    await sink.write("t--aaaaaaaa", [OutFile("a.md", "x"), OutFile("video.json", json.dumps({"files": {"a.md": 1}}))])
    await sink.write("t--aaaaaaaa", [OutFile("b.md", "x"), OutFile("video.json", json.dumps({"files": {"b.md": 1}}))])
    assert await sink.missing({"t--aaaaaaaa": {"a.md": 1}})
    assert not await sink.missing({"t--aaaaaaaa": {"b.md": 1}})


@pytest.mark.asyncio
async def test_many_videos_at_once(sink: Sink) -> None:
    """Writers of different videos do not disturb each other."""
    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(sink.write, f"t{number}--aaaaaaaa", [OutFile("a.md", str(number) * 100)])
    for number in range(30):
        assert not await sink.missing({f"t{number}--aaaaaaaa": {"a.md": len(str(number)) * 100}})


@pytest.mark.asyncio
async def test_the_index_takes_any_number_of_lines(sink: Sink) -> None:
    """None, some, many: the index is written from a stream."""

    async def lines(count: int) -> AsyncIterator[str]:
        for number in range(count):
            yield json.dumps({"number": number})

    assert not await sink.has_index()
    for count in (0, 3, 50_000):
        await sink.write_index(lines(count))
        assert await sink.has_index()


@pytest.mark.asyncio
async def test_the_index_keeps_lines_that_it_is_told_to(sink: Sink) -> None:
    """Lines of others stay behind ours while their folder is there; the rest of the old index goes."""

    async def lines(*given: str) -> AsyncIterator[str]:
        for line in given:
            yield line

    await sink.write("their--aaaaaaaa", [OutFile("a.md", "x")])
    await sink.write_index(lines("their--aaaaaaaa", "gone--bbbbbbbb", "ours"))
    told: list[bytes] = []

    def keep(line: bytes) -> str:
        told.append(line.strip())
        return "" if line.startswith(b"ours") else line.decode().strip()

    await sink.write_index(lines("ours"), keep)
    assert told == [b"their--aaaaaaaa", b"gone--bbbbbbbb", b"ours"]
    told.clear()
    await sink.write_index(lines("new"), keep)
    assert told == [b"ours", b"their--aaaaaaaa"]


@pytest.mark.asyncio
async def test_the_index_is_amended_where_it_is_the_one_that_was_written(sink: Sink) -> None:
    """A line gives way to another in its place, goes, or comes behind; what was kept stays last, while its folder is there.
    Of another file than that of the stamp nothing is known, and it stays.
    """

    async def lines(*given: str) -> AsyncIterator[str]:
        for line in given:
            yield line

    async def find(beginnings: Sequence[bytes]) -> Mapping[bytes, str]:
        return {begins: begins.decode() + "new" for begins in beginnings if begins not in (b"ab:", b"x:")}

    told: list[bytes] = []

    def keep(line: bytes) -> str:
        told.append(line.strip())
        return "" if line.startswith(b"ours") else line.decode().strip()

    await sink.write("their--aaaaaaaa", [OutFile("a.md", "x")])
    await sink.write_index(lines("their--aaaaaaaa"))
    first = await sink.write_index(lines("a:1", "ab:1", "abc:1", "d:1"), keep)
    assert first.kept > 0
    assert await sink.amend_index(first, [], find, keep) == first
    second = await sink.amend_index(first, [b"ab:", b"x:", b"d:", b"new:", b"a:"], find, keep)
    assert second is not None
    assert await sink.amend_index(first, [b"d:"], find, keep) is None
    assert await sink.amend_index(first, [], find, keep) is None
    told.clear()
    third = await sink.amend_index(second, [b"abc:", b"n"], find, keep)
    assert third is not None
    assert third.kept == first.kept
    assert told == [b"their--aaaaaaaa"]
    told.clear()
    await sink.write_index(lines(), keep)
    assert told == [b"a:new", b"abc:new", b"d:new", b"nnew", b"their--aaaaaaaa"]
    assert await sink.amend_index(third, [b"d:"], find, keep) is None


@pytest.mark.asyncio
async def test_a_line_that_is_there_twice_is_amended_to_one(sink: Sink) -> None:
    """A video that was forgotten and came again while all lines were written has two: the next change leaves one."""
    asked: list[bytes] = []

    async def lines(*given: str) -> AsyncIterator[str]:
        for line in given:
            yield line

    async def find(beginnings: Sequence[bytes]) -> Mapping[bytes, str]:
        asked.extend(beginnings)
        return {begins: begins.decode() + "new" for begins in beginnings}

    told: list[bytes] = []

    def keep(line: bytes) -> str:
        told.append(line.strip())
        return ""

    stamp = await sink.write_index(lines("a:1", *(f"{number}:" for number in range(200)), "a:2", "b:"))
    assert await sink.amend_index(stamp, [b"a:", *(f"{number}:".encode() for number in range(200))], find)
    await sink.write_index(lines(), keep)
    assert told == [b"a:new", *(f"{number}:new".encode() for number in range(200)), b"b:"]
    assert len(asked) == 201


@pytest.mark.asyncio
async def test_a_shared_folder_keeps_what_others_wrote(sink: Sink) -> None:
    """Adding replaces files of the same name and removes none, whatever a record in the folder says."""
    await sink.add("searches", [OutFile("a.json", "1"), OutFile("a.md", "1")])
    await sink.add("searches", [OutFile("video.json", json.dumps({"files": ["a.json"]}))])
    await sink.add("searches", [OutFile("b.json", "22"), OutFile("a.md", "333")])
    assert not await sink.missing({"searches": {"a.json": 1, "a.md": 3, "b.json": 2}})


@pytest.mark.asyncio
async def test_the_output_folder_itself_takes_plain_files(sink: Sink) -> None:
    """An empty name means the output folder: files of ours are replaced, what lies beside them stays, no name leads on."""
    await sink.write("t--aaaaaaaa", [OutFile("a.md", "x")])
    await sink.add("", [OutFile("index.txt", f"{MARK} 1"), OutFile("index.html", f"<{MARK}>")])
    await sink.add("", [OutFile("index.txt", f"{MARK} 22")])
    assert not await sink.missing({"t--aaaaaaaa": {"a.md": 1}})
    assert sink.edited == []
    with pytest.raises(Permanent):
        await sink.add("", [OutFile("t--aaaaaaaa/a.md", "y")])


@pytest.mark.asyncio
async def test_a_file_is_known_by_its_size_or_its_checksum(sink: Sink) -> None:
    """The same size with other content is missing where a checksum is given."""
    await sink.add("shared", [OutFile("a.js", "one"), OutFile("data/b.js", "two")])
    assert not await sink.missing({"shared": {"a.js": OutFile("a.js", "one").sha256, "data/b.js": 3}})
    assert await sink.missing({"shared": {"a.js": OutFile("a.js", "two").sha256}})

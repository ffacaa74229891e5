"""Names on disk, atomic writes, and what happens when the disk does not want."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Permanent, Transient
from pipeline.ports.sink import FolderTaken, OutFile
from pipeline.sink import atomic, layout
from pipeline.sink.disk import DiskSink, _trouble
from tests.support.clock import run_virtual

TITLES = [
    "../../etc/passwd",
    "a\nb\r\nc",
    "🎬🎬",
    "x" * 10_000,
    "",
    "   ",
    "-rf *",
    ".hidden",
    "CON",
    "日本語",
    "\x00\x1b[31m",
    "\ud800",
    "Ärger: 50 % / Ü",
]


#: Titles as people give them, and the names that a person can read and type.
SCRIPTS = {
    "A Year in the Beehive": "a-year-in-the-beehive",
    "Ärger: 50 % / Ü": "ärger-50-ü",
    "Łódź, Straße, Ærø": "łódź-straße-ærø",
    "Don’t stop": "dont-stop",
    "日本語のタイトル": "日本語のタイトル",
    "ＡＢＣ　ｶﾞｲﾄﾞ": "abc-ガイド",
    "Пчёлы и мёд: год в улье": "пчёлы-и-мёд-год-в-улье",
    "Η ζωή των ΜΕΛΙΣΣΏΝ": "η-ζωή-των-μελισσών",
    "حياة النحل — الجزء ١": "حياة-النحل-الجزء-١",
    "חיי הדבורים": "חיי-הדבורים",
    "मधुमक्खियाँ: एक परिचय": "मधुमक्खियाँ-एक-परिचय",
    "ผึ้งและน้ำหวาน": "ผึ้งและน้ำหวาน",
    "꿀벌의 한 해": "꿀벌의-한-해",
    "𝗛𝗼𝗻𝗲𝘆 𝗕𝗲𝗲𝘀 ①": "honey-bees-1",
    "🐝 Bees 🔥🔥": "bees",
    "🐝👍🏽❤️!": "🐝👍🏽❤",
    "1️⃣ Intro": "1-intro",
    "...": "video",
}


def is_safe(name: str) -> bool:
    """True for a name that every file system and shell takes as it is."""
    hidden = {each for each in name if unicodedata.category(each)[0] in "CZ" or unicodedata.category(each) == "Me"}
    ascii_part = "".join(filter(str.isascii, name))
    plain = re.fullmatch(r"[a-z0-9-]*", ascii_part) is not None
    no_mark = unicodedata.category(name[0])[0] != "M" and name[0] != "-"
    return plain and no_mark and not hidden and len(name.encode()) <= 120 and unicodedata.is_normalized("NFC", name)


@pytest.mark.parametrize("title", TITLES)
def test_nothing_of_a_title_but_letters_reaches_the_disk(title: str) -> None:
    """Whatever a title holds, the folder's name is safe everywhere and is short."""
    name = layout.folder("file:/a.mp4", [title])
    assert is_safe(name)
    assert layout.is_video_folder(name)


@pytest.mark.parametrize(("title", "name"), SCRIPTS.items())
def test_a_folder_is_named_in_the_letters_of_its_title(title: str, name: str) -> None:
    """Every script is read as it is; forms that only look different become plain letters."""
    assert layout.slug(title) == name
    assert layout.folder("k", [title]) == f"{name}--{layout.key8('k')}"
    assert layout.slug(unicodedata.normalize("NFD", title)) == name


@given(st.text() | st.text(st.characters(categories=["L", "M", "N", "Cf", "So", "Sk"])))
def test_a_slug_is_never_empty_and_never_strange(title: str) -> None:
    """Property: a safe name, bounded in bytes, that is known again as one of ours."""
    name = layout.folder("k", [title])
    assert is_safe(name)
    assert len(layout.slug(title)) <= 60
    assert layout.is_video_folder(name)
    assert layout.is_file(f"posters/{name}.webp")
    assert layout.is_video_folder(layout.folder("k", [title], apart=True))


@given(st.text(st.sampled_from("कि्षa\u0301\u0e19\u0e49\u0e33👍🏽🇩🇪日 "), min_size=40))
def test_a_long_title_is_not_cut_inside_a_character(title: str) -> None:
    """Property: marks, skin tones and halves of flags stay with what they belong to."""
    whole, cut = "-".join(layout._words(title)), layout.slug(title)
    assert whole.startswith(cut) or cut == "video"
    rest = list(layout._clusters(whole[len(cut) :]))
    assert [*layout._clusters(cut), *rest] == list(layout._clusters(whole)) or cut == "video"


def test_a_long_title_ends_with_a_word() -> None:
    """Unless that would leave less than half of it."""
    assert layout.slug("honey " * 40) == "-".join(["honey"] * 10)
    assert layout.slug("a " + "b" * 100) == "a-" + "b" * 58
    assert layout.slug("映" * 100) == "映" * 36


def test_a_folder_is_named_by_the_first_title_that_has_letters() -> None:
    """A title of signs alone gives way to the file's name, whatever its script."""
    assert layout.folder("k", ["★ !", "film-07"]).startswith("★--")
    assert layout.folder("k", ["!?", "映画"]).startswith("映画--")
    assert layout.folder("k", ["!?", "…"]).startswith("video--")


@pytest.mark.asyncio
async def test_a_folder_keeps_its_name_when_the_title_changes(tmp_path: Path) -> None:
    """Known folders stay; one of another video, or a strange one, is not taken over."""
    sink, tail = DiskSink(tmp_path), layout.key8("k")
    for strange in (f"--{tail}", f"Old title--{tail}", f"old-title--{layout.key8('k2')}", f"old-title--{tail}b"):
        (tmp_path / strange).mkdir()
    first = await sink.folder("k", ["New title"])
    assert first == f"new-title--{tail}"
    assert await sink.folder("k", ["Newer title"]) == first


@pytest.mark.asyncio
async def test_a_folder_of_another_video_is_not_written(tmp_path: Path) -> None:
    """Its record names the video, also one that was not shown when its writer died; an odd one names none."""
    sink, home = DiskSink(tmp_path), tmp_path / "a--bbbbbbbb"
    ours, theirs = (OutFile("video.json", json.dumps({"key": key})) for key in ("ours", "theirs"))
    await sink.write(home.name, [OutFile("a.md", "theirs"), theirs])
    for name in ("video.json", f".video.json.{os.getpid()}-0123456789abcdef.tmp"):
        (home / "video.json").rename(home / name)
        before = {path.name: path.read_bytes() for path in home.iterdir()}
        with pytest.raises(FolderTaken) as caught:
            await sink.write(home.name, [OutFile("a.md", "ours"), OutFile("b.md", ""), ours])
        assert str(home) in str(caught.value)
        assert {path.name: path.read_bytes() for path in home.iterdir()} == before
    await sink.write(home.name, [OutFile("a.md", "theirs"), theirs])
    for odd in ('{"key": 7}', "[]", "{"):
        (home / "video.json").write_text(odd, encoding="utf-8")
        await sink.write(home.name, [OutFile("a.md", "ours"), ours])
    assert await sink.folder("k", [""], apart=True) == f"video--{layout.key16('k')}"
    assert await sink.folder("k", ["T"]) == f"video--{layout.key16('k')}"


@pytest.mark.asyncio
async def test_a_name_that_was_given_stays_whatever_is_found_later(tmp_path: Path) -> None:
    """One that is not written yet, one that was there, one that has come since: each keeps its own."""
    there = f"there--{layout.key8('old')}"
    (tmp_path / there).mkdir()
    sink = DiskSink(tmp_path)
    new = await sink.folder("new", ["A title"])
    (tmp_path / f"later--{layout.key8('late')}").mkdir()
    assert await sink.folder("old", ["x"]) == there
    assert await sink.folder("new", ["Another title"]) == new == f"a-title--{layout.key8('new')}"
    long = await sink.folder("new", ["Another title"], apart=True)
    assert await sink.folder("new", ["A third"]) == long == f"another-title--{layout.key16('new')}"
    assert await sink.folder("old", ["x"]) == there


@pytest.mark.asyncio
async def test_of_two_hosts_that_write_one_folder_one_is_refused(tmp_path: Path) -> None:
    """At the same time, each with a video of its own: one has all of the folder, the other has nothing in it."""
    refused: list[str] = []

    async def host(key: str) -> None:
        files = [OutFile(f"raw/{number}.json", key) for number in range(20)]
        try:
            await DiskSink(tmp_path).write("a--bbbbbbbb", [*files, OutFile("video.json", json.dumps({"key": key}))])
        except FolderTaken:
            refused.append(key)

    for _ in range(2):
        async with anyio.create_task_group() as hosts:
            hosts.start_soon(host, "one")
            hosts.start_soon(host, "two")
        (loser,) = refused
        there = {path.read_text() for path in tmp_path.rglob("*.json")}  # noqa: ASYNC240 - a few bytes
        assert not any(loser in text for text in there)
        refused.clear()
        shutil.rmtree(tmp_path / "a--bbbbbbbb")


@pytest.mark.asyncio
async def test_a_folder_of_another_video_is_not_removed(tmp_path: Path) -> None:
    """Its record names the video, also one that was not shown when its writer died."""
    sink, home = DiskSink(tmp_path), tmp_path / "a--bbbbbbbb"
    text = OutFile("a.md", "theirs")
    card = json.dumps({"key": "theirs", "files": ["a.md"], "sha256": {"a.md": text.sha256}})
    await sink.write(home.name, [text, OutFile("video.json", card)])
    for name in ("video.json", f".video.json.{os.getpid()}-0123456789abcdef.tmp"):
        (home / "video.json").rename(home / name)
        for look in (True, False):
            with pytest.raises(FolderTaken):
                await sink.remove(home.name, "ours", look=look)
        assert {path.name for path in home.iterdir()} == {"a.md", name}
    (home / name).rename(home / "video.json")
    assert (await sink.remove(home.name, "theirs")).files == ["a.md", "video.json"]
    assert not home.exists()


@pytest.mark.asyncio
async def test_a_folder_that_is_there_is_not_renamed(tmp_path: Path) -> None:
    """An earlier release called it ``video``: it is found by the key, also without a database."""
    there = f"video--{layout.key8('k')}"
    (tmp_path / there).mkdir()
    assert await DiskSink(tmp_path).folder("k", ["日本語"]) == there
    assert await DiskSink(tmp_path).folder("another", ["日本語"]) == f"日本語--{layout.key8('another')}"


@pytest.mark.parametrize(
    "name", ["video--aaaaaaaa", "united-nations-2--bbbbbbbb", "a--cccccccc", "a--aaaaaaaabbbbbbbb"]
)
def test_folders_of_earlier_releases_are_known(name: str) -> None:
    """What they called a video stays its folder: a library is not renamed."""
    assert layout.is_video_folder(name)


@pytest.mark.parametrize(
    "name",
    [
        "-a", "a\u0308", "\u0308a", "A", "a b", "a\u202eb", "日.本", "日_本", "日\u3164本", "日" * 40, "", "日\n", "\ud800",
    ],
)  # fmt: skip
def test_no_other_folder_is_taken_for_one_of_ours(name: str) -> None:
    """Signs, hidden characters, capitals, other forms of the same letters, longer names."""
    assert not layout.is_video_folder(f"{name}--aaaaaaaa")
    assert not layout.is_video_folder(f"{name}--aaaaaaaabbbbbbbb")
    assert not layout.is_video_folder("日本")
    assert not layout.is_file(f"posters/{name}--aaaaaaaa.webp") or name.isascii()


@pytest.mark.parametrize(
    "name", ["", ".x", "..", "a/../b", "/a", "a//b", "raw/a/b", "a\nb", "-a", "a b", "a\u0308", "a.", "x" * 200]
)
@pytest.mark.asyncio
async def test_names_that_could_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written, not even the good file beside it."""
    with pytest.raises(Permanent) as caught:
        await DiskSink(tmp_path / "out").write("a--bbbbbbbb", [OutFile("ok.json", ""), OutFile(name, "x")])
    assert caught.value.trouble.code == "output_name"
    with pytest.raises(Permanent):
        await DiskSink(tmp_path / "out").write(name, [])
    assert not (tmp_path / "out").exists()


def record(*names: str) -> OutFile:
    """Return a video.json that claims these files."""
    return OutFile("video.json", json.dumps({"files": dict.fromkeys(names, 1)}))


@pytest.mark.asyncio
async def test_only_what_is_ours_and_no_longer_wanted_is_removed(tmp_path: Path) -> None:
    """The user's own files, links and folders in a result folder stay; so does what an odd record claims."""
    sink, home = DiskSink(tmp_path), tmp_path / "a--bbbbbbbb"
    await sink.write(
        home.name,
        [OutFile("old.md", "x"), OutFile("raw/1.json", "x"), record("old.md", "raw/1.json", "linked.md", "../no")],
    )
    (home / "mine.txt").write_text("notes")
    (tmp_path / "no").write_text("outside")
    (home / "linked.md").symlink_to(tmp_path / "no")
    await sink.write(home.name, [OutFile("new.md", "y"), record("new.md")])
    assert sorted(path.name for path in home.iterdir()) == ["linked.md", "mine.txt", "new.md", "raw", "video.json"]
    assert list((home / "raw").iterdir()) == []
    assert (tmp_path / "no").read_text() == "outside"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"files": 5}', '{"files": ["../x", 5, null, "ok.md"]}', "[" * 9999, "\x00"]
)
async def test_an_odd_record_claims_nothing(tmp_path: Path, content: str) -> None:
    """A damaged video.json neither stops a write nor removes a stranger's file."""
    home = tmp_path / "a--bbbbbbbb"
    home.mkdir()
    (home / "video.json").write_text(content)
    (tmp_path / "x").touch()
    await DiskSink(tmp_path).write(home.name, [OutFile("a.md", "x"), record("a.md")])
    assert (tmp_path / "x").exists()


@pytest.mark.asyncio
async def test_what_somebody_has_changed_is_set_aside(tmp_path: Path) -> None:
    """Changed and replaced, or no longer wanted: kept beside. What we wrote ourselves, or what a record without
    checksums lists, is replaced; what was changed into the very words that we write is left.
    """
    sink, home = DiskSink(tmp_path), tmp_path / "t--aaaaaaaa"
    names = ("a.md", "raw/b.json", "gone.md", "c.md", "same.md", "old.md")
    files = [OutFile(name, "first") for name in names]
    sums = {file.name: file.sha256 for file in files if file.name != "old.md"}
    await sink.write(home.name, [*files, OutFile("video.json", json.dumps({"files": names, "sha256": sums}))])
    for name in ("a.md", "raw/b.json", "gone.md", "old.md"):
        (home / name).write_text(f"edited {name}")
    (home / "same.md").write_text("second")
    await sink.write(home.name, [OutFile(name, "second") for name in names if name != "gone.md"])
    assert sorted(sink.edited) == [
        f"{home.name}/{name}" for name in ("a.edited.md", "gone.edited.md", "raw/b.edited.json")
    ]
    assert (home / "raw/b.edited.json").read_text() == "edited raw/b.json"
    assert (home / "gone.edited.md").read_text() == "edited gone.md"
    assert not (home / "gone.md").exists()
    assert {(home / name).read_text() for name in names if name != "gone.md"} == {"second"}


def listed(*files: OutFile) -> list[OutFile]:
    """Return files with a video.json that lists them and their checksums."""
    sums = {file.name: file.sha256 for file in files}
    return [*files, OutFile("video.json", json.dumps({"files": list(sums), "sha256": sums}))]


@pytest.mark.asyncio
async def test_a_file_of_somebody_else_under_a_name_of_ours_is_set_aside(tmp_path: Path) -> None:
    """A name that a result takes for the first time may be that of a person's own notes."""
    sink, home = DiskSink(tmp_path), tmp_path / "t--aaaaaaaa"
    await sink.write(home.name, listed(OutFile("a.md", "ours")))
    (home / "notes.md").write_text("theirs")
    await sink.write(home.name, listed(OutFile("a.md", "ours"), OutFile("notes.md", "ours")))
    assert sink.edited == [f"{home.name}/notes.edited.md"]
    assert (home / "notes.edited.md").read_text() == "theirs"
    assert (home / "notes.md").read_text() == "ours"


@pytest.mark.asyncio
async def test_an_edited_file_stays_in_its_place_while_nothing_replaces_it(tmp_path: Path) -> None:
    """It is a result of another state folder, or there is no space for ours: it keeps its name."""
    sink, home = DiskSink(tmp_path), tmp_path / "t--aaaaaaaa"
    theirs, ours = OutFile("gist.md", "first"), OutFile("summary.md", "first")
    old = json.loads(listed(theirs, ours)[-1].content)
    old["results"] = {"gist": {"files": ["gist.md"]}, "summary": {"files": ["summary.md"]}}
    await sink.write(home.name, [theirs, ours, OutFile("video.json", json.dumps(old))])
    for name in ("gist.md", "summary.md"):
        (home / name).write_text("edited")
    new = {"files": ["summary.md"], "results": {"summary": {}}, "asked": ["summary"]}
    files = [OutFile("summary.md", "x" * 5000), OutFile("video.json", json.dumps(new))]
    with no_space(1000), pytest.raises(Transient):
        await sink.write(home.name, files)
    assert sorted(os.listdir(home)) == ["gist.md", "summary.md", "video.json"]
    await sink.write(home.name, files)
    assert sink.edited == [f"{home.name}/summary.edited.md"]
    assert (home / "gist.md").read_text() == (home / "summary.edited.md").read_text() == "edited"
    assert "gist.md" in json.loads((home / "video.json").read_text())["files"]


def test_runs_that_write_the_same_video_take_turns(tmp_path: Path) -> None:
    """One waits while another writes the folder: each reads the record that the other has left."""

    async def writes_while_locked() -> None:
        sink, home = DiskSink(tmp_path), tmp_path / "t--aaaaaaaa"
        await sink.write(home.name, listed(OutFile("a.md", "old")))
        async with anyio.create_task_group() as group:
            with atomic.opened(str(home)) as other:
                assert atomic.try_lock(other)
                group.start_soon(sink.write, home.name, listed(OutFile("a.md", "new")))
                await anyio.sleep(5)
                assert (home / "a.md").read_text() == "old"
        assert (home / "a.md").read_text() == "new"

    run_virtual(writes_while_locked())


@pytest.mark.asyncio
async def test_files_that_are_the_same_are_left_alone(tmp_path: Path) -> None:
    """Writing the same again changes no time stamp, so nothing downstream wakes up."""
    sink, path = DiskSink(tmp_path), tmp_path / "a--bbbbbbbb" / "a.md"
    await sink.write(path.parent.name, [OutFile("a.md", "same")])
    os.utime(path, (1, 1))
    await sink.write(path.parent.name, [OutFile("a.md", "same")])
    assert path.stat().st_mtime == 1
    await sink.write(path.parent.name, [OutFile("a.md", "Same")])
    assert path.stat().st_mtime != 1


@pytest.mark.asyncio
async def test_no_link_leads_out_of_the_output_folder(tmp_path: Path) -> None:
    """A folder that is a link is refused; a file that is a link is replaced, and what it led to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("theirs")
    root = tmp_path / "out"
    root.mkdir()
    (root / "linked--bbbbbbbb").symlink_to(outside)
    with pytest.raises(Permanent) as caught:
        await DiskSink(root).write("linked--bbbbbbbb", [OutFile("a.md", "x")])
    assert caught.value.trouble.code == "output_blocked"
    (root / "own--bbbbbbbb").mkdir()
    (root / "own--bbbbbbbb" / "a.md").symlink_to(outside / "a.md")
    (root / "own--bbbbbbbb" / "raw").symlink_to(outside)
    assert await DiskSink(root).missing({"own--bbbbbbbb": {"a.md": 6}})
    await DiskSink(root).write("own--bbbbbbbb", [OutFile("a.md", "ours")])
    assert (root / "own--bbbbbbbb" / "a.md").read_text() == "ours"
    with pytest.raises(Permanent):
        await DiskSink(root).write("own--bbbbbbbb", [OutFile("raw/a.md", "x")])
    assert (outside / "a.md").read_text() == "theirs"
    assert list(outside.iterdir()) == [outside / "a.md"]


@pytest.mark.asyncio
async def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    """A file where the output folder belongs, and a folder where a file belongs: one clear message each."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "out" / "a--bbbbbbbb" / "a.md").mkdir(parents=True)
    for root in (tmp_path / "file", tmp_path / "out"):
        with pytest.raises(Permanent) as caught:
            await DiskSink(root).write("a--bbbbbbbb", [OutFile("a.md", "x")])
        assert caught.value.trouble.code == "output_blocked"
        assert str(root) in str(caught.value)
    assert os.listdir(tmp_path / "out" / "a--bbbbbbbb") == ["a.md"]


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (errno.ENOSPC, "disk_full", Transient),
        (errno.EDQUOT, "disk_full", Transient),
        (errno.EROFS, "output_not_writable", Transient),
        (errno.EACCES, "output_not_writable", Transient),
        (errno.EIO, "output_trouble", Transient),
        (errno.ENOTDIR, "output_blocked", Permanent),
    ],
)
def test_each_refusal_of_the_disk_has_a_code_and_a_remedy(number: int, code: str, kind: type[Exception]) -> None:
    """The message names the place; what a person can mend by the next night is tried again."""
    found = _trouble(OSError(number, os.strerror(number)), Path("/out/a"))
    assert isinstance(found, kind)
    assert found.trouble.code == code
    assert "/out/a" in found.trouble.message
    assert found.trouble.remedy


@contextmanager
def no_space(most: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.asyncio
async def test_a_disk_that_takes_no_more_leaves_the_old_files(tmp_path: Path) -> None:
    """The write fails in the middle of the second file: both old ones stand, and no half of a new one."""
    sink, home = DiskSink(tmp_path), tmp_path / "a--bbbbbbbb"
    await sink.write(home.name, [OutFile("a.md", "old"), OutFile("b.md", "old")])
    with no_space(1000), pytest.raises(Transient):
        await sink.write(home.name, [OutFile("a.md", "new"), OutFile("b.md", "x" * 5000)])
    assert {path.name: path.read_text() for path in home.iterdir()} == {"a.md": "old", "b.md": "old"}


async def lines(*given: str) -> AsyncIterator[str]:
    """Return lines as a stream."""
    for line in given:
        yield line


@pytest.mark.asyncio
async def test_a_stream_that_fails_leaves_the_old_index(tmp_path: Path) -> None:
    """The index is whole or it is the one before."""

    async def failing() -> AsyncIterator[str]:
        yield "x" * 2_000_000
        raise RuntimeError("the store is gone")

    sink = DiskSink(tmp_path)
    await sink.write_index(lines('{"a": 1}\n', '{"b": "é"}'))
    with pytest.raises(RuntimeError):
        await sink.write_index(failing())
    assert (tmp_path / "results.jsonl").read_text() == '{"a": 1}\n{"b": "é"}\n'
    assert os.listdir(tmp_path) == ["results.jsonl"]


def finished() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        return child.pid


@pytest.mark.asyncio
async def test_leftovers_of_the_dead_are_swept_and_of_the_living_kept(tmp_path: Path) -> None:
    """A temporary file goes when its writer is dead, or is us; another living writer's only after an hour."""
    dead = finished()
    home = tmp_path / "a--bbbbbbbb"
    home.mkdir()
    living = f".a.md.{os.getppid()}-{'0' * 16}.tmp"
    for pid in (dead, os.getpid(), 2**70):
        (home / f".a.md.{pid}-{'0' * 16}.tmp").touch()
    (home / living).touch()
    (home / ".a.md.tmp").touch()
    await DiskSink(tmp_path).write(home.name, [OutFile("a.md", "x")])
    assert sorted(os.listdir(home)) == sorted([".a.md.tmp", living, "a.md"])
    os.utime(home / living, (1, 1))
    await DiskSink(tmp_path).write(home.name, [OutFile("a.md", "x")])
    assert sorted(os.listdir(home)) == [".a.md.tmp", "a.md"]


@pytest.mark.asyncio
async def test_what_another_machine_is_writing_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts share a results folder: a process that nobody knows here may be at work there. An hour later it is not."""
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((here[0], "another", *here[2:])))
    theirs = atomic.temp_name("results.jsonl").replace(f"-{os.getpid()}-", f"-{finished()}-")
    monkeypatch.undo()
    ours = atomic.temp_name("results.jsonl").replace(f"-{os.getpid()}-", f"-{finished()}-")
    for name in (theirs, ours):
        (tmp_path / name).touch()
    with atomic.opened(str(tmp_path)) as root:
        atomic.sweep(root)
        assert os.listdir(tmp_path) == [theirs]
        os.utime(tmp_path / theirs, (1, 1))
        atomic.sweep(root)
    assert os.listdir(tmp_path) == []


WRITER = """
import anyio, json, sys
from pathlib import Path
from pipeline.ports.sink import OutFile
from pipeline.sink.disk import DiskSink

async def main() -> None:
    sink, number = DiskSink(Path(sys.argv[1])), 0
    while True:
        number += 1
        body = json.dumps([number] * 20_000)
        names = ["a.json", "b.json", f"only{number % 2}.json"]
        record = OutFile("video.json", json.dumps({"number": number, "files": names}))
        await sink.write("film--aaaaaaaa", [OutFile(name, body) for name in names] + [record])
        if number == 1:
            print("ready", flush=True)

anyio.run(main)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_files_only(tmp_path: Path) -> None:
    """SIGKILL at any moment: every visible file is whole, what video.json lists is there, and the next write sweeps."""
    home = tmp_path / "film--aaaaaaaa"
    for turn in range(6):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        seen = {path.name for path in home.iterdir()}
        while turn and {path.name for path in home.iterdir()} == seen:
            pass  # kill at the moment a file appears or goes
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        for path in home.glob("*.json"):
            body = json.loads(path.read_text())
            assert path.name == "video.json" or (len(body) == 20_000 and len(set(body)) == 1)
        assert {"a.json", "b.json"} <= set(json.loads((home / "video.json").read_text())["files"])
        assert (home / "a.json").exists()
    with atomic.opened(str(home)) as fd:
        atomic.sweep(fd)
    assert not list(home.glob(".*"))

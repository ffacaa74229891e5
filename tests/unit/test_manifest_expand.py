"""From lines to items: folders, globs, addresses, and every reason why a line names no video."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.settings import SourceSection
from pipeline.ports.source import Item, ManifestLine
from pipeline.source.manifest.expand import expand
from pipeline.views import BadLine, LeftOut


def tree(root: Path, *names: str) -> None:
    """Make empty files; nobody looks inside them here."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(root: Path, source: str, ours: tuple[Path, ...] = ()) -> list[str]:
    """Return the paths of the items of a source below ``root``, relative to it, in order; bad lines by their code."""
    found = expand(ManifestLine(source=str(root / source), place="list.txt:3"), ours=ours)
    return [Path(e.locator).relative_to(root).as_posix() if isinstance(e, Item) else e.trouble.code for e in found]


def code(line: ManifestLine, sources: SourceSection | None = None) -> str:
    """Return the code of the only entry, a bad line in its place with a remedy."""
    found = list(expand(line, sources))
    assert len(found) == 1
    assert isinstance(found[0], BadLine)
    assert found[0].place == line.place
    assert found[0].trouble.remedy
    return found[0].trouble.code


def test_a_folder_is_walked_to_its_ends_in_order(tmp_path: Path) -> None:
    """Only videos, by any case of their ending; sorted; hidden files and folders and our own output left out."""
    tree(
        tmp_path,
        "b.mp4",
        "a.MKV",
        "notes.txt",
        ".hidden.mp4",
        ".trash/x.mp4",
        "sub/deep/c.webm",
        "out/film/raw.mp4",
        "b.mp4.part",
    )
    assert names(tmp_path, "", (tmp_path / "out",)) == ["a.MKV", "b.mp4", "sub/deep/c.webm", "left_out"]
    assert names(tmp_path, "sub") == ["sub/deep/c.webm"]


@pytest.mark.parametrize("path", ["C:\\Users\\me\\clip.mp4", "d:/clips/clip.mp4"])
def test_a_path_of_windows_is_told_as_one_wherever_its_list_is(tmp_path: Path, path: str) -> None:
    """The folder of the list stands before it by then; the remedy is to write it as this machine has it."""
    for source in (path, str(tmp_path / "lists" / path)):
        (bad,) = expand(ManifestLine(source=source, place="list.txt:3"))
        assert isinstance(bad, BadLine)
        assert "a path of Windows" in bad.trouble.remedy


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """A folder that contains a link to itself, and two that name each other, are each read once more at most."""
    tree(tmp_path, "a/x.mp4", "b/y.mp4")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = names(tmp_path, "a")
    assert found == ["a/x.mp4", "a/other/y.mp4"]
    assert set(names(tmp_path, "")) >= {"a/x.mp4", "b/y.mp4"}


def test_many_links_to_one_folder_do_not_multiply(tmp_path: Path) -> None:
    """A ladder of double links would be 2^20 paths; each folder is entered through a link once."""
    for number in range(20):
        tree(tmp_path, f"{number}/f.mp4")
    for number in range(19):
        for link in ("l", "r"):
            (tmp_path / str(number) / link).symlink_to(tmp_path / str(number + 1))
    assert len(names(tmp_path, "0")) == 20


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.mp4", ["a.mp4", "b [x].mp4"]),
        ("*", ["a.mp4", "b [x].mp4", "sub/c.mp4", "sub/deep/d.mkv"]),
        ("sub/**", ["sub/c.mp4", "sub/deep/d.mkv"]),
        ("**/*.mkv", ["sub/deep/d.mkv"]),
        ("**/deep/*", ["sub/deep/d.mkv"]),
        ("s?b/[abc].mp4", ["sub/c.mp4"]),
        ("*.dat", ["e.dat"]),
        ("b [x].mp4", ["b [x].mp4"]),
        ("*.none", ["glob_empty"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    """A pattern takes videos; other endings only where it names them; a file with brackets in its name is itself."""
    tree(tmp_path, "a.mp4", "b [x].mp4", "e.dat", "readme.md", "sub/c.mp4", "sub/deep/d.mkv", ".h/x.mp4")
    assert names(tmp_path, pattern) == expected


def test_a_recursive_glob_does_not_follow_links(tmp_path: Path) -> None:
    """A circle of links ends a ``**`` too."""
    tree(tmp_path, "a/x.mp4")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert names(tmp_path, "**/*.mp4") == ["a/x.mp4"]


def test_a_file_keeps_the_wishes_of_its_line(tmp_path: Path) -> None:
    """The item carries the line's jobs and title, the absolute path and the key made of it."""
    tree(tmp_path, "odd.name")
    line = ManifestLine(source=f"{tmp_path}/x/../odd.name", title="T", jobs=("gist",))
    (tmp_path / "x").mkdir()
    item = next(iter(expand(line)))
    assert item == Item(
        f"file:{tmp_path}/odd.name", "file", f"{tmp_path}/odd.name", replace(line, source=f"{tmp_path}/odd.name")
    )


def test_every_kind_of_useless_line_has_its_own_code(tmp_path: Path) -> None:
    """Missing, empty folder, manifest in a manifest, YouTube, private and unsupported addresses: named, with a remedy."""
    (tmp_path / "empty").mkdir()
    tree(tmp_path, "list.csv", "films/a.mp4")
    cases = {
        "no/such.mp4": "file_missing", "empty": "folder_empty", "list.csv": "nested_manifest", "a\0b": "bad_path",
        "x" * 300: "path_unreadable", "films/a.mp4/b.mp4": "file_missing",
    }  # fmt: skip
    for source, expected in cases.items():
        assert code(ManifestLine(source=str(tmp_path / source), place="p:1")) == expected
    for source, expected in {
        "https://youtu.be/short": "youtube_bad_id",
        "https://www.youtube.com/results?search_query=x": "youtube_page",
        "http://10.0.0.1/a.mp4": "private_url",
        "rtsp://example.com/live": "unsupported_url",
    }.items():
        assert code(ManifestLine(source=source, place="p:1")) == expected


def test_one_title_for_a_whole_folder_is_refused(tmp_path: Path) -> None:
    """An id or a title for many videos at once would name none of them."""
    tree(tmp_path, "films/a.mp4", "films/b.mp4")
    assert code(ManifestLine(source=str(tmp_path / "films"), id="7", place="p:1")) == "one_name_many_videos"
    assert code(ManifestLine(source=str(tmp_path / "films/*"), title="T", place="p:1")) == "one_name_many_videos"


def test_a_direct_link_is_an_item(tmp_path: Path) -> None:
    """The locator is what is fetched; the key has no signature in it."""
    line = ManifestLine(source="HTTPS://Example.com/a.mp4?Signature=s&Expires=1#x")
    item = next(iter(expand(line)))
    assert isinstance(item, Item)
    assert (item.key, item.kind, item.locator) == (
        "url:https://example.com/a.mp4", "url", "https://example.com/a.mp4?Signature=s&Expires=1"
    )  # fmt: skip
    allowed = next(
        iter(expand(ManifestLine(source="http://127.0.0.1:1/a.mp4"), SourceSection(allow_private_urls=True)))
    )
    assert isinstance(allowed, Item)


def test_a_name_that_is_not_utf8_is_bad_and_the_rest_is_read(tmp_path: Path) -> None:
    """Such a name could not be stored; its neighbours are not harmed."""
    tree(tmp_path, "a.mp4")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.mp4")).touch()
    assert names(tmp_path, "") == ["a.mp4", "name_not_utf8"]


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_bad_and_the_rest_is_read(tmp_path: Path) -> None:
    """One locked folder costs itself only."""
    tree(tmp_path, "a.mp4", "locked/b.mp4")
    (tmp_path / "locked").chmod(0)
    try:
        assert names(tmp_path, "") == ["a.mp4", "permission_denied"]
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_videos_and_lists_of_youtube_are_items_of_their_own(tmp_path: Path) -> None:
    """An address, a bare id, a playlist: each gives one item under its canonical key; a list takes no title."""
    video = "dQw4w9WgXcQ"
    for source in (f"https://youtu.be/{video}?t=3", video):
        (found,) = expand(ManifestLine(source, "here"))
        assert isinstance(found, Item)
        assert (found.kind, found.key) == ("youtube", f"youtube:video:{video}")
        assert found.locator == f"https://www.youtube.com/watch?v={video}"
    (listed,) = expand(ManifestLine("https://www.youtube.com/@Name", "here"))
    assert isinstance(listed, Item)
    assert (listed.kind, listed.key) == ("youtube_list", "youtube:handle:@name")
    (bad,) = expand(ManifestLine("https://www.youtube.com/@Name", "here", title="All of it"))
    assert isinstance(bad, BadLine)
    assert bad.trouble.code == "one_name_many_videos"


def test_a_folder_with_brackets_in_its_name_is_itself(tmp_path: Path) -> None:
    """What is there under the very name is meant, also in front of a pattern; else brackets are a pattern as ever."""
    tree(tmp_path, "films [2024]/a.mp4", "films [2024]/Season [1]/b.mp4", "films 2/c.mp4")
    assert names(tmp_path, "films [2024]/*.mp4") == ["films [2024]/a.mp4"]
    assert names(tmp_path, "films [2024]/**/b*") == ["films [2024]/Season [1]/b.mp4"]
    assert names(tmp_path, "*/Season [1]/*.mp4") == ["films [2024]/Season [1]/b.mp4"]
    assert names(tmp_path, "films [2]/*.mp4") == ["films 2/c.mp4"]


def test_results_beside_the_videos_hide_none(tmp_path: Path) -> None:
    """A folder that is named is looked into though it is ours; one that is met on the way is not."""
    tree(tmp_path, "films/a.mp4", "films/inner/b.mp4", "other/c.mp4")
    ours = (tmp_path / "films", tmp_path / "films" / "inner")
    for source in ("films", "films/*.mp4", "films/**", "films/**/*.mp4", "films/*"):
        assert names(tmp_path, source, ours) == ["films/a.mp4"], source
    for source in ("", "*", "**", "*/*.mp4"):
        assert names(tmp_path, source, ours) == ["other/c.mp4"], source


def test_a_bare_handle_is_told_how_channels_are_named(tmp_path: Path) -> None:
    """It could as well be a file, so it is not guessed at."""
    (found,) = expand(ManifestLine(source=str(tmp_path / "@nasa"), place="argument 1"))
    assert isinstance(found, BadLine)
    assert found.trouble.code == "file_missing"
    assert found.trouble.remedy.endswith("; a channel is named youtube.com/@nasa")


# ------------------------------------------------------------------------------------------------------- left out

WORKING = {
    "film.temp.mp4": "unfinished", "film.tmp.mkv": "unfinished", "film.mp4.part": "unfinished", "film.part": "unfinished",
    "film.mp4.part-Frag12.part": "unfinished", "film.mp4.ytdl": "unfinished", "film.mkv.crdownload": "unfinished",
    "film.f137.mp4": "stream", "film.f616-1.mp4": "stream", "film.f251-drc.webm": "stream", "film.fhls-1080p.mp4": "stream",
}  # fmt: skip


def left_out(root: Path, source: str) -> tuple[list[str], dict[str, int]]:
    """Return the videos of a source, and what was left out of it."""
    found = list(expand(ManifestLine(source=str(root / source), place="list.txt:3")))
    told = [entry for entry in found if isinstance(entry, LeftOut)]
    counts = dict(told[0].counts) if told else {}
    return [Path(e.locator).relative_to(root).as_posix() for e in found if isinstance(e, Item)], counts


@pytest.mark.parametrize("name", WORKING)
@pytest.mark.parametrize("source", ["", "*", "**", "**/film*"])
def test_working_files_of_downloaders_are_left_out_of_folders_and_patterns(
    tmp_path: Path, name: str, source: str
) -> None:
    """However they are found, how many they are is said with the reason; the finished film beside them is taken."""
    tree(tmp_path, name, "film.mp4")
    assert left_out(tmp_path, source) == (["film.mp4"], {WORKING[name]: 1})


@pytest.mark.parametrize(
    "name", ["film.final.mp4", "lockheed.f35.mp4", "film.part1.mp4", "temp.mp4", "film.template.mp4", "f137.mp4"]
)
def test_names_that_only_resemble_working_files_are_taken(tmp_path: Path, name: str) -> None:
    """A film in parts, a plane, a final cut."""
    tree(tmp_path, name)
    assert left_out(tmp_path, "") == ([name], {})


def test_what_is_named_itself_is_taken(tmp_path: Path) -> None:
    """A file by its path, and by a pattern that spells the working name out."""
    tree(tmp_path, "film.temp.mp4", "film.f137.mp4")
    assert left_out(tmp_path, "film.temp.mp4") == (["film.temp.mp4"], {})
    assert left_out(tmp_path, "*.f137.mp4") == (["film.f137.mp4"], {})


def test_typescript_is_no_transport_stream(tmp_path: Path) -> None:
    """``.ts`` and ``.mts`` are looked into: text, in any encoding, is left out; packets and what cannot be told are taken."""
    (tmp_path / "app.ts").write_text("export const answer = 42;\n" * 20, encoding="utf-8")
    (tmp_path / "mod.mts").write_text("GLOBAL = 1\n", encoding="utf-16")
    (tmp_path / "tv.ts").write_bytes((b"G" + b"a" * 187) * 4)
    (tmp_path / "cam.mts").write_bytes((b"\0\0\0\0G" + b"\xff" * 187) * 4)
    (tmp_path / "empty.ts").touch()
    for source in ("", "*", "*.*ts"):
        assert left_out(tmp_path, source) == (["cam.mts", "empty.ts", "tv.ts"], {"text": 2})


@pytest.mark.parametrize("folder", ["@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "node_modules", "__MACOSX"])
def test_folders_of_systems_are_left_out_unless_they_are_named(tmp_path: Path, folder: str) -> None:
    """Below a folder and under each pattern; counted once."""
    tree(tmp_path, f"sub/{folder}/film.mp4/preview.mp4", f"sub/{folder}/x.mp4", "sub/film.mp4")
    for source in ("", "*", "**", "sub/*", "**/*.mp4"):
        assert left_out(tmp_path, source) == (["sub/film.mp4"], {"system": 1})
    assert left_out(tmp_path, f"sub/{folder}")[0] == [f"sub/{folder}/x.mp4", f"sub/{folder}/film.mp4/preview.mp4"]

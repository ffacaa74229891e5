"""Lists from spreadsheets and chats: every case here is a public report, made small."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pipeline.ports.source import ManifestLine
from pipeline.source.manifest.pasted import clean_source
from pipeline.source.manifest.reader import read_lines
from pipeline.views import BadLine

VIDEO = "https://youtu.be/dQw4w9WgXcQ"


def read(folder: Path, name: str, content: bytes) -> list[str]:
    """Return the sources of a manifest relative to its folder; a bad line by its code."""
    (folder / name).write_bytes(content)
    found: list[ManifestLine | BadLine] = list(
        read_lines([name], stdin=io.BytesIO(), cwd=folder, known_job=lambda _: True)
    )
    return [
        entry.trouble.code if isinstance(entry, BadLine) else entry.source.removeprefix(f"{folder}/") for entry in found
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\r\nsource;title\r\na.mp4;A\r\nb.mp4;B\r\n", b"source,title,\r\na.mp4,A,\r\nb.mp4,B,\r\n",
        b"source,title\r\na.mp4,A\r\nb.mp4,B\r\n,\r\n,\r\n",
        b'\xef\xbb\xbf"sep=,"\r\n"source","title"\r\n"a.mp4","A"\r\n"b.mp4","B"',
        b"\xef\xbb\xbfsource;title;;\r\na.mp4;A;;\r\n;;;\r\nb.mp4;B;;\r\n", b"source,title\ra.mp4,A\rb.mp4,B\r",
        b"SEP=\t\nsource\ttitle\na.mp4\tA\n\t\nb.mp4\tB\n", b"title,,source\nA,,a.mp4\nB,x,b.mp4\n",
        "source\u200b,title\na.mp4\u200b,A\n\u00a0b.mp4\u00a0,B\n".encode(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["list.csv", "list"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, name: str, content: bytes) -> None:
    """A sep= line, columns without a name, rows of separators, old line ends, marks and unseen characters."""
    assert read(tmp_path, name, content) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    "line",
    [
        f"\u200b{VIDEO}", f"{VIDEO}\u200b", f"{VIDEO} # a note", f"{VIDEO},", f"{VIDEO}.", f"<{VIDEO}>",
        f"<{VIDEO}>,", f"({VIDEO})",
        f"- {VIDEO}", f"* {VIDEO}", f"3. {VIDEO}", f"[a talk]({VIDEO})", f'"{VIDEO}"',
        f"\u201c{VIDEO}\u201d", f"{VIDEO} watch this",
        f"{VIDEO}\u00a0\u2013 a note", "https://youtu\u2060.be/dQw4w9WgXcQ", f"{VIDEO};",
        f"\ufeff{VIDEO}\u200e", f"{VIDEO}\t(12 min)",
        "youtu.be/dQw4w9WgXcQ, please",
    ],
)  # fmt: skip
def test_an_address_is_read_however_it_was_pasted(tmp_path: Path, line: str) -> None:
    """Unseen characters, brackets, bullets, marks of the sentence and notes behind an address are no part of it."""
    (found,) = read(tmp_path, "list.txt", f"{line}\n".encode())
    assert found in (VIDEO, VIDEO.removeprefix("https://"))


def test_comments_and_several_addresses_on_a_line(tmp_path: Path) -> None:
    """Lists of downloaders comment with ; as well, and chats put several addresses on a line."""
    text = f"; a comment\n# another\n{VIDEO} {VIDEO}\n{VIDEO}, {VIDEO},\na, b; c.mp4\n"
    assert read(tmp_path, "list.txt", text.encode()) == [VIDEO] * 4 + ["a, b; c.mp4"]


def test_a_path_keeps_what_belongs_to_it(tmp_path: Path) -> None:
    """Names of files hold brackets, marks and numbers; only where no such file is, a comma behind it is dropped."""
    for name in ("a, b.mp4", "- c.mp4", "(d).mp4", "e.mp4", "f,"):
        (tmp_path / name).touch()
    text = "a, b.mp4\n- c.mp4\n(d).mp4\ne.mp4,\nf,\n"
    assert read(tmp_path, "list.txt", text.encode()) == ["a, b.mp4", "- c.mp4", "(d).mp4", "e.mp4", "f,"]


@pytest.mark.parametrize(
    "address", ["https://x.test/a_(b).mp4", "https://x.test/a.mp4?x=1#t", "https://x.test/a,b.mp4"]
)
def test_an_address_keeps_what_belongs_to_it(address: str) -> None:
    """Brackets that it opens, commas and fragments inside it are its own."""
    assert clean_source(address) == clean_source(f"<{address}>,") == address
    assert (
        clean_source(f"{address} b.mp4") == f"{address} b.mp4"
    )  # a blank inside, or a note: not certain, so it is told


@pytest.mark.parametrize(
    "content",
    [
        '["a.mp4", "b.mp4"]', '[\n  {"source": "a.mp4"},\n  {"url": "b.mp4", "title": "B"}\n]\n',
        '[{"source": "a.mp4"}, "b.mp4"]',
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["list.json", "list.jsonl", "list"])
def test_a_json_array_is_a_list(tmp_path: Path, name: str, content: str) -> None:
    """What other programs export as one array is read entry by entry."""
    assert read(tmp_path, name, content.encode()) == ["a.mp4", "b.mp4"]


def test_what_cannot_be_understood_in_an_array_is_told_by_its_place(tmp_path: Path) -> None:
    """One wrong entry costs itself only; half an array is one bad line."""
    assert read(tmp_path, "a.json", b'["a.mp4", 5, {"source": "b.mp4"}]') == ["a.mp4", "manifest_type", "b.mp4"]
    assert read(tmp_path, "b.json", b'["a.mp4", ') == ["manifest_json"]


def lines(folder: Path, name: str, content: bytes) -> list[ManifestLine | BadLine]:
    """Return all that a manifest says."""
    (folder / name).write_bytes(content)
    return list(read_lines([name], stdin=io.BytesIO(), cwd=folder, known_job=lambda _: True))


def test_columns_of_the_users_own_are_metadata(tmp_path: Path) -> None:
    """A list is not refused for a column that we do not know: what stands in it is kept, also under a name that comes twice."""
    (line,) = lines(tmp_path, "list.csv", b"source,Note,Speaker,note,Note\na.mp4,x,Ann,y,z\n")
    assert isinstance(line, ManifestLine)
    assert line.metadata == {"Note": "x", "Speaker": "Ann", "note": "y", "Note 2": "z"}
    (line,) = lines(
        tmp_path, "list.jsonl", b'{"url": "a.mp4", "views": 7, "formats": [{"id": 1}], "Date": "2026-01-01"}'
    )
    assert isinstance(line, ManifestLine)
    assert line.metadata == {"views": "7", "Date": "2026-01-01"}


@pytest.mark.parametrize("wrong", ["titel", "promt", "tag", "metdata"])
def test_a_field_that_is_written_wrongly_is_asked_about(tmp_path: Path, wrong: str) -> None:
    """It would be kept and do nothing, and prompts and jobs decide what is paid. Beside the right one it is the user's own."""
    assert read(tmp_path, "list.csv", f"{wrong},source\na,b.mp4\n".encode()) == ["manifest_unknown_key"]
    assert read(tmp_path, "list.csv", f"{wrong},source,title,prompt,tags,metadata\na,b.mp4\n".encode()) == ["b.mp4"]


@pytest.mark.parametrize(
    "header",
    [
        "Link",
        "VIDEO",
        "File",
        "filename",
        "File Name",
        "file_path",
        "Video URL",
        "video-link",
        "Address",
        "uri",
        "YouTube URL",
    ],
)
def test_the_column_of_the_source_is_found_by_what_people_call_it(tmp_path: Path, header: str) -> None:
    """Where no column is named source, url or path."""
    (line,) = lines(tmp_path, "list.csv", f"title,{header}\nA,a.mp4\n".encode())
    assert isinstance(line, ManifestLine)
    assert (Path(line.source).name, line.title, line.metadata) == ("a.mp4", "A", {})
    (line,) = lines(tmp_path, "list.csv", f"{header},url\nmine,a.mp4\n".encode())
    assert isinstance(line, ManifestLine)
    assert (Path(line.source).name, line.metadata) == ("a.mp4", {header: "mine"})


@pytest.mark.parametrize("content", [b"a.mp4\nb.mp4\n", b"1,a.mp4\n2,b.mp4\n", b"a.mp4;A talk\nb.mp4;\n"])
def test_a_list_without_a_header_is_read_by_its_first_row(tmp_path: Path, content: bytes) -> None:
    """The column with a video in it is the source; the others are kept."""
    assert read(tmp_path, "list.csv", content) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_text_of_spreadsheets_is_read(tmp_path: Path, encoding: str) -> None:
    """UTF-16 with its mark, in both byte orders, with tabs; of any length, over the borders of blocks."""
    rows = "".join(f"film{number}.mp4\tKäse {number}\r\n" for number in range(3000))
    mark = "" if encoding == "utf-16" else "\ufeff"
    found = lines(tmp_path, "list.csv", f"{mark}source\ttitle\r\n{rows}".encode(encoding))
    assert [line.title for line in found if isinstance(line, ManifestLine)] == [
        f"Käse {number}" for number in range(3000)
    ]


def test_pipes_separate_where_nothing_else_does(tmp_path: Path) -> None:
    """As databases write their tables."""
    (line,) = lines(tmp_path, "list.csv", b"source|title\na.mp4|A, B; C\n")
    assert isinstance(line, ManifestLine)
    assert line.title == "A, B; C"


def test_notes_and_bullets_around_a_path_are_no_part_of_it(tmp_path: Path) -> None:
    """Only where no such file is: a name may hold anything."""
    for name in ("a.mp4", "b.mp4", "c # d.mp4"):
        (tmp_path / name).touch()
    text = "a.mp4  # my note\n- b.mp4\n1. b.mp4 // twice,\nc # d.mp4\n"
    assert read(tmp_path, "list.txt", text.encode()) == ["a.mp4", "b.mp4", "b.mp4", "c # d.mp4"]


@pytest.mark.parametrize("line", [f"Watch this: {VIDEO}", f"12:30 Ann: {VIDEO} :-)", f"1 | A talk | {VIDEO} |"])
def test_an_address_is_found_in_what_is_said_around_it(tmp_path: Path, line: str) -> None:
    """One address in a sentence of a chat is what the line means."""
    assert read(tmp_path, "list.txt", f"{line}\n".encode()) == [VIDEO]


def test_a_sentences_marks_behind_a_path_are_none_of_its(tmp_path: Path) -> None:
    """Unless there is such a file."""
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4."):
        (tmp_path / name).touch()
    assert read(tmp_path, "list.txt", b"a.mp4,\nb.mp4.\nc.mp4;\nd.mp4.\n") == ["a.mp4", "b.mp4", "c.mp4", "d.mp4."]

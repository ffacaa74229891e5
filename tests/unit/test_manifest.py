"""Manifests and arguments: every form, every bad line with its place, in constant memory."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ports.source import ManifestLine
from pipeline.source.manifest.fields import FIELDS, RowError, parse_row
from pipeline.source.manifest.lines import MAX_LINE_BYTES
from pipeline.source.manifest.reader import read_lines
from pipeline.views import BadLine
from tests.support.media import film

JOBS = {"gist", "chapters"}


def read(*sources: str, cwd: Path, stdin: bytes = b"") -> list[ManifestLine | BadLine]:
    """Read everything, with the two jobs that these tests know."""
    return list(read_lines(sources, stdin=io.BytesIO(stdin), cwd=cwd, known_job=JOBS.__contains__))


def codes(found: list[ManifestLine | BadLine]) -> list[str]:
    """Return the trouble codes of the bad lines."""
    return [entry.trouble.code for entry in found if isinstance(entry, BadLine)]


def sources(found: list[ManifestLine | BadLine]) -> list[str]:
    """Return the sources of the good lines."""
    return [entry.source for entry in found if isinstance(entry, ManifestLine)]


def one(found: list[ManifestLine | BadLine]) -> Any:
    """Return the only entry."""
    assert len(found) == 1
    return found[0]


def test_text_is_one_source_per_line(tmp_path: Path) -> None:
    """Comments, blank lines, CRLF, a byte order mark, blanks in paths and quotes around them are all understood."""
    (tmp_path / "list.txt").write_bytes(
        b'\xef\xbb\xbf# films\r\n\r\nfilm one.mp4\r\n  sub/two.mp4  \n"quoted film.mp4"\n/abs/three.mp4\nhttps://example.com/a#b\n'
    )
    found = read("list.txt", cwd=tmp_path)
    assert sources(found) == [
        f"{tmp_path}/film one.mp4", f"{tmp_path}/sub/two.mp4", f"{tmp_path}/quoted film.mp4", "/abs/three.mp4",
        "https://example.com/a#b",
    ]  # fmt: skip
    assert found[0].place == "list.txt:3"


def test_paths_in_a_manifest_count_from_its_folder(tmp_path: Path) -> None:
    """A manifest can be moved together with its films."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.list").write_text("films/a.mp4\n../b.mp4\n")
    found = sources(read("lists/a.list", cwd=tmp_path))
    assert found == [f"{tmp_path}/lists/films/a.mp4", f"{tmp_path}/lists/../b.mp4"]


def test_csv_columns_become_fields(tmp_path: Path) -> None:
    """All documented columns, an alias, quoted cells over two lines, and metadata in both forms."""
    (tmp_path / "list.csv").write_text(
        "Path,ID,title,tags,jobs,prompt,metadata,metadata.season\n"
        'a.mp4,7,"A, ""the"" film",x|y;z,gist chapters,"Who?\nWhy?","{""lang"": ""en"", ""n"": 2}",3\n'
        "b.mp4\n"
    )
    first, second = read("list.csv", cwd=tmp_path)
    assert isinstance(first, ManifestLine)
    assert (first.id, first.title, first.tags, first.jobs) == (
        "7",
        'A, "the" film',
        ("x", "y", "z"),
        ("gist", "chapters"),
    )
    assert first.prompt == "Who?\nWhy?"
    assert first.metadata == {"lang": "en", "n": "2", "season": "3"}
    assert isinstance(second, ManifestLine)
    assert (second.place, second.source) == ("list.csv:4", f"{tmp_path}/b.mp4")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_separator_is_found_in_the_header(tmp_path: Path, separator: str) -> None:
    """Spreadsheets of all countries are read."""
    (tmp_path / "list.csv").write_text(f"source{separator}title\na.mp4{separator}T\n")
    assert one(read("list.csv", cwd=tmp_path)).title == "T"


def test_jsonl_has_the_same_keys(tmp_path: Path) -> None:
    """Lists may be lists, an id may be a number, metadata values are kept as text."""
    row = {
        "url": "https://example.com/a.mp4",
        "id": 7,
        "tags": ["x", "y"],
        "jobs": ["gist"],
        "metadata": {"ok": True, "n": 1.5},
    }
    (tmp_path / "list.jsonl").write_text(json.dumps(row) + "\n\n")
    line = one(read("list.jsonl", cwd=tmp_path))
    assert (line.id, line.tags, line.jobs, line.metadata) == ("7", ("x", "y"), ("gist",), {"ok": "true", "n": "1.5"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mp4\n", "a.mp4"),
        ("title;source\nT;a.mp4\n", "a.mp4"),
        ("url\na.mp4\n", "a.mp4"),
        ('\n{"source": "a.mp4"}\n', "a.mp4"),
    ],
)
def test_the_form_of_stdin_is_seen_by_its_first_line(tmp_path: Path, text: str, expected: str) -> None:
    """The same content works through a pipe, where no ending tells its form."""
    assert sources(read("-", cwd=tmp_path, stdin=text.encode())) == [str(tmp_path / expected)]


def test_each_argument_is_taken_for_what_it_is(tmp_path: Path) -> None:
    """Videos by ending or content, folders, globs, addresses, ids, manifests by content, missing paths: told apart."""
    film(tmp_path / "clip.mp4", 1)
    (tmp_path / "noending").write_bytes((tmp_path / "clip.mp4").read_bytes())
    (tmp_path / "wishes").write_text("one.mp4\n")
    (tmp_path / "fake.mp4").write_text("one.mp4\n")
    (tmp_path / "empty.mp4").touch()
    given_ = [
        "clip.mp4",
        "noending",
        "wishes",
        "fake.mp4",
        "empty.mp4",
        ".",
        "*.mp4",
        "youtu.be/dQw4w9WgXcQ",
        "dQw4w9WgXcQ",
        "no/such",
    ]
    expected = ["clip.mp4", "noending", "one.mp4", "fake.mp4", "empty.mp4", ".", "*.mp4"]
    found = read(*given_, cwd=tmp_path)
    paths = [str(tmp_path) if name == "." else f"{tmp_path}/{name}" for name in expected]
    assert sources(found) == [*paths, "youtu.be/dQw4w9WgXcQ", "dQw4w9WgXcQ", f"{tmp_path}/no/such"]
    assert found[0].place == "argument 1"


@pytest.mark.parametrize(
    ("row", "code", "hint"),
    [
        ("{not json", "manifest_json", "one object per line"),
        ("[1]", "manifest_type", "source"),
        ('{"title": "x"}', "manifest_no_source", "source"),
        ('{"source": ""}', "source_empty", "path"),
        ('{"source": 5}', "manifest_type", "source"),
        ('{"source": "a", "titel": "x"}', "manifest_unknown_key", "did you mean 'title'?"),
        ('{"source": "a", "url": "b"}', "manifest_key_twice", "keep one"),
        ('{"source": "a", "tags": [1]}', "manifest_type", "|"),
        ('{"source": "a", "jobs": "gits"}', "unknown_job", "config check"),
        ('{"source": "a", "metadata": [1]}', "manifest_type", "metadata"),
        ('{"source": "a", "metadata": {"x": {}}}', "manifest_type", "flatten"),
        ('{"source": "a\\ud800"}', "manifest_type", "UTF-8"),
        ('{"source": "a\\u0000"}', "manifest_type", "UTF-8"),
        ("[" * 60_000, "manifest_json", "one object per line"),
        ("{" + "x" * 3 * MAX_LINE_BYTES, "line_too_long", "line ends"),
    ],
)
def test_a_bad_line_names_its_place_and_stops_nothing(tmp_path: Path, row: str, code: str, hint: str) -> None:
    """Each mistake is one BadLine with file, line, code and remedy; the lines around it are read."""
    (tmp_path / "list.jsonl").write_text('{"source": "a.mp4"}\n' + row + '\n{"source": "b.mp4"}\n')
    found = read("list.jsonl", cwd=tmp_path)
    bad = found[1]
    assert isinstance(bad, BadLine)
    assert (bad.place, bad.trouble.code) == ("list.jsonl:2", code)
    assert hint in bad.trouble.remedy
    assert len(bad.source) <= 200
    assert [entry.place for entry in found] == ["list.jsonl:1", "list.jsonl:2", "list.jsonl:3"]
    assert len(sources(found)) == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.fixed_dictionaries({"source": VALUES}, optional=dict.fromkeys((*FIELDS[1:], "metadata.x"), VALUES)))
@settings(deadline=None)
def test_a_row_of_any_values_is_a_line_or_is_told_in_our_words(row: dict[str, Any]) -> None:
    """Every refused value names its column and a remedy; the words of the library that validates are never shown."""
    try:
        line = parse_row(row, "list.jsonl:1", JOBS.__contains__)
    except RowError as refused:
        trouble = refused.trouble
        assert trouble.code in ("manifest_type", "source_empty", "unknown_job")
        assert trouble.code == "unknown_job" or any(name in trouble.message for name in FIELDS)
        assert trouble.remedy
        assert not any(word in trouble.message for word in ("Input", "validation", "pydantic", "should be"))
    else:
        assert line.source == line.source.strip() != ""
        assert set(line.jobs) <= JOBS
        assert all(isinstance(value, str) for value in (line.id, line.title, *line.tags, *line.metadata.values()))


def test_a_line_that_is_not_utf8_is_bad_alone(tmp_path: Path) -> None:
    """Latin-1 in one line does not cost the others."""
    (tmp_path / "list.txt").write_bytes(b"a.mp4\nb\xe4r.mp4\nc.mp4\n")
    found = read("list.txt", cwd=tmp_path)
    assert codes(found) == ["line_not_utf8"]
    assert len(sources(found)) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00" * 100, "manifest_binary"),
        (b"\x01\x02\x03\x04" * 100, "manifest_binary"),
        (b"\n" * 5 + b"\x00\n" + b"a.mp4\n" * 50, "manifest_binary"),
    ],
)
@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.jsonl"])
def test_a_manifest_that_is_not_text_is_one_bad_line(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    """A binary file is named once, not once per line."""
    (tmp_path / name).write_bytes(content)
    assert codes(read(name, cwd=tmp_path)) == [code]


@pytest.mark.parametrize(
    ("header", "code"),
    [("source,titel", "manifest_unknown_key"), ("title,id", "manifest_no_source"), ("url,path", "manifest_key_twice")],
)
def test_a_bad_csv_header_is_one_bad_line(tmp_path: Path, header: str, code: str) -> None:
    """Without a header that can be used no row can be, and that is said once."""
    (tmp_path / "list.csv").write_text(header + "\n" + "a,b\n" * 10)
    assert codes(read("list.csv", cwd=tmp_path)) == [code]


def test_a_list_that_nul_separates_is_read(tmp_path: Path) -> None:
    """``find -print0 | reelmill run -`` works as with line ends; what is binary, or UTF-16 without a mark, stays refused."""

    def piped(content: bytes) -> list[ManifestLine | BadLine]:
        stdin = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
        return list(read_lines(["-"], stdin=stdin, cwd=tmp_path, known_job=JOBS.__contains__))

    many = [f"./films/ä {number}.mp4" for number in range(2000)]
    assert sources(piped("".join(f"{name}\0" for name in many).encode())) == [
        str(tmp_path / name.removeprefix("./")) for name in many
    ]
    assert sources(piped(b"./a.mp4\0./b.mp4")) == [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    for content in (b"a.mp4\n\0b.mp4\n", "film.mp4".encode("utf-16-le"), b"\0\0\0\1abc\0", b"film\0\0\0film"):
        assert codes(piped(content)) == ["manifest_binary"]


@pytest.mark.parametrize(("mark", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "|")])
def test_too_many_cells_are_told_with_the_separator_of_the_file(tmp_path: Path, mark: str, name: str) -> None:
    """The hint names what separates cells in this very file."""
    (tmp_path / "list.csv").write_text(f"source{mark}title\na.mp4{mark}x{mark}y\n")
    (bad,) = read("list.csv", cwd=tmp_path)
    assert isinstance(bad, BadLine)
    assert f"hold a {name} into double quotes" in bad.trouble.remedy


def test_a_stray_quote_costs_one_row(tmp_path: Path) -> None:
    """A quote that never closes does not swallow the rows after it."""
    rows = "".join(f"film{number}.mp4,t\n" for number in range(2000))
    (tmp_path / "list.csv").write_text(
        'source,title\nok.mp4,t\nbad.mp4,"open\n' + rows + 'inch.mp4,5" screen\nx.mp4,a,b\n'
    )
    found = read("list.csv", cwd=tmp_path)
    assert codes(found) == ["manifest_csv", "manifest_cells"]
    bad = [entry.place for entry in found if isinstance(entry, BadLine)]
    assert bad == ["list.csv:3", "list.csv:2005"]
    assert len(sources(found)) == 2002


def test_an_unreadable_manifest_is_one_bad_line(tmp_path: Path) -> None:
    """A stream that breaks off leaves what was read before, and says so."""

    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                raise OSError(5, "Input/output error")
            return super().readline(size)

    found = list(read_lines(["-"], stdin=Broken(b"a.mp4\nb.mp4\n"), cwd=tmp_path, known_job=JOBS.__contains__))
    assert codes(found) == ["manifest_unreadable"]
    assert sources(found) == [str(tmp_path / "a.mp4")]


def test_empty_arguments_are_bad(tmp_path: Path) -> None:
    """Neither nothing nor NUL names a source."""
    assert codes(read("", "a\0b", cwd=tmp_path)) == ["source_empty", "source_empty"]


@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl"])
def test_a_large_manifest_needs_no_more_memory_than_a_small_one(tmp_path: Path, ending: str) -> None:
    """30,000 lines pass through memory for a few hundred: what is read is not kept."""
    row = {"txt": "film{}.mp4\n", "csv": "film{}.mp4,t\n", "jsonl": '{{"source": "film{}.mp4"}}\n'}[ending]
    path = tmp_path / f"list.{ending}"
    with path.open("w") as out:
        out.write("source,title\n" if ending == "csv" else "")
        out.writelines(row.format(number) for number in range(30_000))
    lines = read_lines([str(path)], stdin=io.BytesIO(), cwd=tmp_path, known_job=JOBS.__contains__)
    next(lines)
    tracemalloc.start()
    try:
        count = sum(isinstance(line, ManifestLine) for line in lines)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 29_999
    assert peak < 300_000


@pytest.mark.parametrize("name", ["-", "list.txt", "list.csv", "list.jsonl"])
@given(
    content=st.one_of(
        st.binary(max_size=2000), st.text(alphabet='source,"{}\n\r;\t#\\|a1', max_size=500).map(str.encode)
    )
)
def test_any_bytes_are_read_without_raising(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    """Whatever a manifest holds, every entry is a line with a source or a bad line with a place and a remedy."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "list.txt").write_bytes(content)
    for ending in ("csv", "jsonl"):
        (folder / f"list.{ending}").write_bytes(content)
    for entry in read(name, cwd=folder, stdin=content):
        assert entry.place
        assert entry.source if isinstance(entry, ManifestLine) else entry.trouble.remedy

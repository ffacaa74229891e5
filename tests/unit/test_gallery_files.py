"""The gallery's data files: scripts that hold JSON in a string, cut so that none is large."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.gallery.data_files import LARGEST, SHARD, captions_file, encode, index_file, rows_file, shard_files
from pipeline.gallery.values import Captions, CardRow, CueLine, GalleryIndex, PageResult, VideoEntry
from pipeline.kit.page import Moment, Moments, Prose

HOSTILE = '</script><script>alert(1)</script>"\\\u2028\u2029\n<!--'


def read(content: str | bytes) -> tuple[str, str, Any]:
    """Read a data file as a JavaScript engine does: three strings, the last of them JSON."""
    assert isinstance(content, str)
    called = re.fullmatch(r"reelmill\((.*)\);\n", content)
    assert called is not None
    kind, name, text = json.loads(f"[{called[1]}]")
    return kind, name, json.loads(text)


def row(number: int, **more: Any) -> CardRow:
    """Return a card."""
    return CardRow(number, f"film--{number:08}", "A film", 12.0, "done", 1.0e9, 0.0, "file", **more)


def test_no_text_can_end_the_script_it_stands_in() -> None:
    """Tags, quotes, line separators of a foreign title arrive as they are, and never as markup or code."""
    entry = VideoEntry(0, "film--aaaaaaaa", [PageResult("gist", "gist", [Prose(HOSTILE)], notes=[HOSTILE])])
    ((_, shard),) = shard_files(0, [entry])
    cues = captions_file(Captions("film--aaaaaaaa", [CueLine(0, 1, HOSTILE)]))
    for file in (shard, cues, rows_file(0, [encode(row(0, line=HOSTILE))])):
        assert isinstance(file.content, str)
        assert "<" not in file.content
        assert not {"\u2028", "\u2029"} & set(file.content)
        assert HOSTILE in _texts(file.content)


def _texts(content: str) -> list[str]:
    def walk(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [text for part in parts for text in walk(part)]

    return walk(read(content)[2])


def test_a_block_is_cut_where_a_file_grows_too_large() -> None:
    """No file is over the limit; each entry is in exactly one, in order; an entry too large for any is left out."""
    many = [Moment(i, i + 1, '"quoted" title', "x" * 400) for i in range(60)]
    entries = [
        VideoEntry(i, f"film--{i:08}", [PageResult("chapters", "chapters", [Moments(many)])]) for i in range(SHARD)
    ]
    entries[7] = VideoEntry(7, "film--00000007", [PageResult("ask", "ask", [Prose("y" * 500_000)])])
    files = list(shard_files(3, entries))
    assert len(files) > 1
    assert all(len(file.data) <= LARGEST * 1.05 for _, file in files)
    numbers = [entry["number"] for _, file in files for entry in read(file.content)[2]]
    assert numbers == list(range(SHARD))
    assert files[0][0].first == 0
    (large,) = [entry for _, file in files for entry in read(file.content)[2] if entry["number"] == 7]
    assert large["cut"] is True
    assert "results" not in large


def test_zero_is_kept_and_what_is_empty_is_left_out() -> None:
    """The page can tell a moment at second 0 from none; an empty field costs no byte."""
    _, _, found = read(index_file(GalleryIndex(1.0, "1", 1, (), (), [row(0)])).content)
    assert found["rows"][0]["number"] == 0
    assert found["rows"][0]["usd"] == 0.0
    assert "why" not in found["rows"][0]
    ((_, shard),) = shard_files(
        0, [VideoEntry(0, "f--aaaaaaaa", [PageResult("c", "c", [Moments([Moment(0, 1, "a")])])])]
    )
    assert read(shard.content)[2][0]["results"][0]["blocks"][0]["items"][0] == {"start": 0, "end": 1, "title": "a"}

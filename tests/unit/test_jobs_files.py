"""Files that jobs write: whatever stands in a title or an answer, every format stays what it is."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core import text as rendering
from pipeline.kit.job import Video
from tests.unit.test_jobs import VIDEO, check, files, span

NASTY = [
    "--> 00:00",
    "a\nb",
    "[CHAPTER]",
    "x=y;z#w\\",
    "<v Bob>hi</v>&amp;",
    "\x1b[2Jgone\x07",
    "=cmd|' /C calc'!A0",
    "🎬\u202eabc",
    "\ud800x",
]


def chapters(titles: list[str], video: Video = VIDEO) -> dict[str, str]:
    """Render chapters of ten seconds with these titles, after the check that all answers pass."""
    verdict = check(
        "chapters", {"chapters": [span(10 * n, 10 * n + 10, title) for n, title in enumerate(titles)]}, video
    )
    assert verdict.value is not None
    return files("chapters", verdict.value, video)


def test_webvtt_has_one_cue_per_chapter() -> None:
    """No title can end a cue, open a tag or fake a time line."""
    text = chapters(NASTY)["chapters.vtt"]
    assert text.startswith("WEBVTT\n\n")
    cues = text.removeprefix("WEBVTT\n\n").split("\n\n")
    assert len(cues) == len(NASTY)
    for cue in cues:
        times, words = cue.strip("\n").split("\n")
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", times)
        assert "-->" not in words
        assert "<" not in words


@given(st.lists(st.text(alphabet=st.characters(), max_size=30).filter(rendering.plain), min_size=1, max_size=10))
@example(NASTY)
def test_ffmpeg_reads_the_chapters_back(titles: list[str]) -> None:
    """FFmpeg's own parser finds every chapter with its times and its title, whatever it holds."""
    import av

    text = chapters(titles)["chapters.ffmeta"]
    with av.open(io.BytesIO(text.encode()), format="ffmetadata") as container:
        found = container.chapters()
        title = container.metadata["title"]
    assert [(c["start"], c["end"]) for c in found] == [(10_000 * n, 10_000 * n + 10_000) for n in range(len(titles))]
    assert [c["metadata"]["title"].rstrip(" ") for c in found] == [rendering.plain(title) for title in titles]
    assert title == "A # <b>title</b> =1+1"


def test_the_list_for_youtube_is_one_that_it_accepts() -> None:
    """The first line is 0:00 even if the first chapter is not; what is shorter than ten seconds joins the one before."""
    verdict = check("chapters", {"chapters": [span(3, 10), span(10, 10.5), span(10.5, 50), span(50, 100)]})
    assert verdict.value is not None
    assert files("chapters", verdict.value)["chapters.txt"] == "0:00 T\n0:10 T\n0:50 T\n"
    long = Video("k", 8000.0)
    assert chapters(["a"] * 3, long)["chapters.txt"] == "0:00 a\n0:10 a\n0:20 a\n"
    late = check("chapters", {"chapters": [span(0, 40), span(40, 60), span(60, 92), span(92, 100)]})
    assert late.value is not None
    assert files("chapters", late.value)["chapters.txt"] == "0:00 T\n0:40 T\n1:00 T\n"
    assert any("joins 1 chapter to" in note for note in late.notes)
    assert rendering.stamp(7325, form="clock") == "2:02:05"


def test_no_list_for_youtube_is_written_where_it_would_accept_none() -> None:
    """Fewer than three chapters of ten seconds: YouTube would show none, so there is no file, and the notes say why."""
    for spans in ([span(0, 50), span(50, 100)], [span(n, n + 4) for n in range(0, 24, 4)]):
        verdict = check("chapters", {"chapters": spans}, Video("k", spans[-1]["end_time"]))
        assert verdict.value is not None
        assert "chapters.txt" not in files("chapters", verdict.value, Video("k", spans[-1]["end_time"]))
        assert any("no chapters.txt" in note for note in verdict.notes)


def test_a_spreadsheet_sees_no_formula() -> None:
    """Cells that begin like one are quoted; numbers stay numbers; rows stay rows."""
    entries = [
        {"start_time": n, "end_time": n + 1, "highlight": text, "highlight_summary": "\t @SUM(A1)"}
        for n, text in enumerate(NASTY)
    ]
    verdict = check("highlights", {"highlights": entries}, max=50)
    assert verdict.value is not None
    rows = list(csv.reader(io.StringIO(files("highlights", verdict.value)["highlights.csv"], newline="")))
    assert rows[0] == ["start_time", "end_time", "start", "highlight", "highlight_summary"]
    assert len(rows) == len(NASTY) + 1
    assert [float(row[0]) for row in rows[1:]] == list(range(len(NASTY)))
    for row in rows[1:]:
        assert not row[3].startswith(("=", "+", "-", "@"))
        assert row[4].startswith("'@")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# head", "\\# head"),
        ("1. one\n2) two", "1\\. one\n2\\) two"),
        ("- a\n+ b\n* c", "\\- a\n\\+ b\n\\* c"),
        ("===", "\\==="),
        ("<script>x</script>", "\\<script\\>x\\</script\\>"),
        ("[a](javascript:x)", "\\[a\\](javascript:x)"),
        ("`x` _y_ ~z~ a|b", "\\`x\\` \\_y\\_ \\~z\\~ a\\|b"),
        ("    code", "code"),
        ("&amp;", "\\&amp;"),
        ("12 monkeys", "12 monkeys"),
    ],
)
def test_plain_words_stay_plain_words_in_markdown(text: str, expected: str) -> None:
    """Nothing that a title or summary holds becomes markup."""
    assert rendering.markdown(text) == expected


def test_an_answer_keeps_its_lists_but_not_its_html() -> None:
    """Free answers may be Markdown; they load nothing and run nothing. The question stands above, quoted."""
    text = files(
        "ask", {"answer": "- **a**\n<img src=x onerror=y>\n![p](http://t/x.png)\n1 < 2"}, prompt="Who?\n# why"
    )["ask.md"]
    assert text == (
        "# A \\# \\<b\\>title\\</b\\> =1+1\n\n> Who?\n> \\# why\n\n"
        "- **a**\n&lt;img src=x onerror=y>\n!\\[p](http://t/x.png)\n1 < 2\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x9b2Jx", "x"),
        ("a\r\nb\tc", "a b c"),
        ("x\u202ey\u2066z", "xyz"),
        ("\x1bcx", "x"),
        ("\x00\x07", ""),
        ("\ud800", ""),
        ("\u2028a\u2029", "a"),
    ],
)
def test_a_terminal_is_not_steered(text: str, expected: str) -> None:
    """Colours, titles, links, clears and direction overrides are taken out whole."""
    assert rendering.plain(text) == expected


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(1, 50))
def test_plain_text_is_one_printable_line(text: str, limit: int) -> None:
    """Property: no control character is left, the limit holds, and cleaning twice is cleaning once."""
    found = rendering.plain(text, limit)
    assert len(found) <= limit
    assert not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e]", found)
    assert rendering.plain(found) == found
    assert rendering.block(rendering.block(text)) == rendering.block(text)
    found.encode()


@given(st.lists(st.text(max_size=50).filter(lambda text: rendering.plain(text) != ""), min_size=1, max_size=10))
def test_every_format_keeps_its_shape_for_any_titles(titles: list[str]) -> None:
    """Property: JSON parses, VTT has one cue and YouTube's form one line per chapter, FFMETADATA one section."""
    found = chapters(titles)
    assert len(json.loads(found["chapters.json"])["chapters"]) == len(titles)
    assert found["chapters.vtt"].count("-->") == len(titles)
    assert len(found.get("chapters.txt", "").splitlines()) == (len(titles) if len(titles) >= 3 else 0)
    assert found["chapters.ffmeta"].split("\n").count("[CHAPTER]") == len(titles)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_NAMES = st.text() | st.integers() | st.booleans() | st.none()


@given(st.recursive(_LEAVES, lambda deeper: st.lists(deeper) | st.dictionaries(_NAMES, deeper), max_leaves=30))
def test_json_text_is_what_the_standard_library_writes(value: object) -> None:
    """Byte for byte, empty lists, numbers as names and all; only faster."""
    plain = json.dumps(value, ensure_ascii=False, indent=2)
    assert rendering.json_text(value) == plain.encode("utf-8", "backslashreplace").decode() + "\n"


def test_json_text_is_for_people_and_never_invalid() -> None:
    """Letters are written as letters; half surrogates are escaped; NaN is refused."""
    assert rendering.json_text({"b": "é", "a": 1}) == '{\n  "b": "é",\n  "a": 1\n}\n'
    assert json.loads(rendering.json_text("\ud800")) == "\ud800"
    rendering.json_text("\ud800").encode()
    with pytest.raises(ValueError, match="JSON"):
        rendering.json_text(float("nan"))

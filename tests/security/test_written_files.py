"""Spreadsheets, Markdown, captions: whatever a title or an answer holds, a file is read as what it says, and nothing runs."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jobs.ask import AskFreely
from pipeline.app.runs.query_files import query_files
from pipeline.core.text import csv_text, disarmed, markdown, plain
from pipeline.ports.index_api import SearchHit
from pipeline.views import Asked, SearchView, VideoRef
from tests.security.hostile_text import FORMULAS, MARKUP, TEXTS, obeyed
from tests.unit.test_jobs import VIDEO, check, files, span

#: What spreadsheets take for the beginning of a formula, full-width forms included.
STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class Seen(HTMLParser):
    """The tags and addresses of a page, and the words that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "formaction")]
        self.tags |= {f"@{name}" for name, _ in attrs if name.startswith("on")}

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.add("<!--")

    def unknown_decl(self, data: str) -> None:
        self.tags.add("<![")

    def handle_pi(self, data: str) -> None:
        self.tags.add("<?")


def rendered(text: str) -> Seen:
    """Render Markdown as the most trusting reader does: raw HTML passes, tables are on, links are not checked."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    reader.validateLink = lambda url: True  # type: ignore[method-assign]
    seen = Seen()
    seen.feed(reader.render(text))
    seen.close()
    return seen


def letters(text: str) -> str:
    """Return what two texts have in common whatever became of blanks."""
    return "".join(text.split())


# ------------------------------------------------------------------------------------------------------- spreadsheets


@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=4))
@example([[text, text, text] for text in FORMULAS])
def test_no_cell_is_a_formula(rows: list[list[str]]) -> None:
    """Read back as spreadsheets read it: the same cells, none beginning like a formula, none breaking out of its row."""
    text = csv_text(["a", "b", "c"], rows)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert len(read) == len(rows) + 1
    for row in read[1:]:
        assert len(row) == 3
        for cell in row:
            assert not cell.lstrip().startswith(STARTS), cell
            assert obeyed(cell) == []


def test_highlights_csv_is_one_row_per_highlight() -> None:
    """The file that people open with a double click."""
    spans = [
        {"start_time": 10.0 * n, "end_time": 10.0 * n + 5, "highlight": f"{text}.", "highlight_summary": f"{text}!"}
        for n, text in enumerate(FORMULAS[:8])
    ]
    verdict = check("highlights", {"highlights": spans})
    assert verdict.value is not None
    read = list(csv.reader(io.StringIO(files("highlights", verdict.value)["highlights.csv"], newline="")))
    assert len(read) == len(spans) + 1
    assert not [cell for row in read[1:] for cell in row if cell.lstrip().startswith(STARTS)]


# ------------------------------------------------------------------------------------------------------- Markdown


@given(TEXTS)
@example("\n".join(MARKUP))
def test_quoted_markdown_shows_what_was_written(text: str) -> None:
    """No tag, link, picture, heading or list comes of a title: the reader sees its words."""
    seen = rendered(markdown(text))
    assert seen.tags <= {"p", "br"}, seen.tags
    assert letters("".join(seen.words)) == letters(plain(text))


@given(TEXTS)
@example("\n\n".join(MARKUP))
def test_markdown_of_an_answer_brings_no_html_and_leads_only_to_the_web(text: str) -> None:
    """Lists and emphasis stay; no tag of its own, no picture, no script behind a link."""
    seen = rendered(disarmed(text))
    assert seen.tags <= {
        "p", "br", "em", "strong", "ul", "ol", "li", "blockquote", "code", "pre", "a", "hr", "s", "table", "thead", "tbody",
        "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6",
    }, seen.tags  # fmt: skip
    assert [address for address in seen.addresses if not re.match(r"(?i)https?://|mailto:", address)] == []


@pytest.mark.parametrize("nasty", MARKUP)
def test_summaries_and_answers_are_pages_of_words(nasty: str) -> None:
    """summary.md and a question's file, with a nasty title, text and prompt."""
    video = replace(VIDEO, title=f"A {nasty}")
    summary = check("summary", {"summary": f"First {nasty} last."})
    assert summary.value is not None
    page = rendered(files("summary", summary.value, video)["summary.md"])
    assert page.tags <= {"h1", "p", "br"}
    job = AskFreely()
    params = job.params({"name": "mine", "prompt": f"What {nasty}"})
    (file,) = job.render({"answer": f"It is {nasty}"}, video, params)
    page = rendered(str(file.content))
    assert not page.tags & {"script", "img", "iframe", "b", "div", "details", "<!--", "<![", "<?"}
    assert not [address for address in page.addresses if not address.lower().startswith(("http://", "https://"))]


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS)
def test_standing_queries_write_pages_of_words(title: str, words: str, source: str) -> None:
    """searches/<name>.md: titles, words, sources and confidences that the platform names, and the query itself."""
    asked = Asked("local/v1.3", "b" * 24, title, {"text": words}, 0.0, 0.0)
    video = VideoRef("v1", title, "k1", source, link=Path("/out/x--abcdefgh"))
    hit = SearchHit("v1", 1.0, 2.0, text=words, sources=(source,), confidence=words)
    found = SearchView(asked, (hit,), {"v1": video}, 1, 1, 60.0)
    written = {file.name: str(file.content) for file in query_files("q", "run", found, Path("/out"))}
    page = rendered(written["q.md"])
    assert page.tags <= {"h1", "p", "ol", "li", "blockquote", "a", "br"}, page.tags
    assert set(page.addresses) <= {"../x--abcdefgh"}
    json.loads(written["q.json"])


# ------------------------------------------------------------------------------------------------------- the rest


@settings(max_examples=40)
@given(st.lists(TEXTS.filter(lambda text: bool(plain(text))), min_size=1, max_size=6))
def test_chapters_stay_lines(titles: list[str]) -> None:
    """As many lines as chapters, no control character in any file, JSON that reads back."""
    spans: list[Any] = [span(10 * n, 10 * n + 10, title) for n, title in enumerate(titles)]
    verdict = check("chapters", {"chapters": spans})
    if verdict.value is None:
        return
    made = files("chapters", verdict.value)
    assert len(made.get("chapters.txt", "").splitlines()) == (len(titles) if len(titles) >= 3 else 0)
    assert made["chapters.vtt"].count("-->") == len(titles)
    assert made["chapters.ffmeta"].count("\n[CHAPTER]\n") == len(titles)
    for name in {"chapters.txt", "chapters.vtt", "chapters.ffmeta"} & made.keys():
        assert obeyed(made[name]) == [], name
    json.loads(made["chapters.json"])

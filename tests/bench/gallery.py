"""Measure the gallery's page: ``python -m tests.bench gallery [--videos 5000 20000] [--browsers chromium firefox]``.

A library is made, its page written and opened from disk in real browsers. Each figure stands beside its limit, and beside
what the same machine needs at least, measured in the same run: an empty page, the same data only loaded and parsed, the
same text only scanned, the same bytes only written.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from pipeline.app.gallery.write import GalleryWriter
from pipeline.core.clock import SystemClock
from pipeline.sink.disk import DiskSink
from pipeline.store.sqlite.database import open_database
from tests.support.browser import BROWSERS, Browser, BrowserName, Tab, missing, started
from tests.support.gallery_library import Library, write_page

MB = 1e6
#: Milliseconds, megabytes or a number of files, by the videos of the library.
LIMITS: Mapping[int, Mapping[str, float]] = {
    5_000: {"cards": 300, "searchable": 1500, "query": 50, "heap": 120, "written": 3000},
    20_000: {"cards": 500, "query": 100},
}
LARGEST, CODE, REWRITTEN = 1000, 60, 3  #: kilobytes, kilobytes, files
LOADS, ROUNDS = 7, 5
QUERIES = (
    "e", "th", "bees", "water temperature", "cafe", "\"the river\"", "qqqq", "wind sea north", "a b c d", "volcan",
)  # fmt: skip

#: Notes when the first cards have been painted; runs before the page's own scripts.
_WATCH = """() => {
  const watch = new MutationObserver(() => {
    if (!document.querySelector(".card")) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.__cards = performance.now(); }));
  });
  watch.observe(document, { childList: true, subtree: true });
}"""
_EMPTY = (
    """<!doctype html><html lang="en"><title>Empty</title><body><ul class="card"><li>One card</li></ul></body></html>"""
)
_BARE = """<!doctype html><html lang="en"><title>Bare</title><body><script src="bare.js"></script>{}"""
_BARE_JS = (
    "var parts = []; var reelmill = (kind, name, text) => { if (kind !== 'captions') parts.push(JSON.parse(text)); };"
)
_ASK = """
  const box = document.querySelector("[type=search]");
  const entries = () => performance.getEntriesByName("reelmill-query");
  const took = [];
  for (let round = 0; round < args[1]; round += 1) for (const words of ["zzzz", args[0]]) {
    const before = entries().length;
    const began = performance.now();
    box.value = words;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    while (entries().length === before) await new Promise((go) => setTimeout(go, 1));
    const last = entries().at(-1);
    if (words === args[0]) took.push(last.startTime + last.duration - began);
    await new Promise((go) => requestAnimationFrame(() => setTimeout(go, 5)));
  }
  return took;
"""
_SCAN = """
  const texts = items.map((item) => item.record?.folded ?? "");
  const began = performance.now();
  let found = 0;
  for (const text of texts) if (text.indexOf(args[0]) >= 0) found += 1;
  return performance.now() - began;
"""


@dataclass
class Table:
    """Figures, each with its limit and the least that is possible here."""

    over: list[str] = field(default_factory=list)

    def row(self, name: str, value: float, unit: str, limit: float | None, beside: str = "") -> None:
        """Print a figure."""
        is_over = limit is not None and value > limit
        told = "" if limit is None else f"limit {limit:,g}{' OVER' if is_over else ''}"
        self.over += [name] if is_over else []
        print(f"  {name:<30} {value:10,.1f} {unit:<6} {told:<16} {beside}", flush=True)


def measure_page(table: Table, browser: Browser, index: Path, limits: Mapping[str, float]) -> None:
    """Measure one library's page in one browser."""
    empty, bare = _baselines(index)
    with browser.tab() as tab:
        browser.bidi("script.addPreloadScript", functionDeclaration=_WATCH, contexts=[tab.context])
        least = [_cards(tab, empty) for _ in range(LOADS)]
        empty_heap = tab.heap()
        parsed = [_until(tab, bare, "document.readyState === 'complete' && performance.now()") for _ in range(3)]
        cards = [_cards(tab, index) for _ in range(LOADS)]
        table.row(
            "first cards, median", statistics.median(cards), "ms", limits.get("cards"),
            f"best {min(cards):.0f}; an empty page: {statistics.median(least):.0f}",
        )  # fmt: skip
        table.row("first cards, worst", max(cards), "ms", None, f"an empty page: {max(least):.0f}")
        ready = "performance.getEntriesByName('reelmill-searchable')[0]?.startTime"
        whole = [_until(tab, index, ready) for _ in range(3)]
        table.row(
            "everything searchable, median", statistics.median(whole), "ms", limits.get("searchable"),
            f"best {min(whole):.0f}; the same bytes loaded and parsed: {statistics.median(parsed):.0f}",
        )  # fmt: skip
        _measure_queries(table, tab, limits)
        heap = tab.heap() / MB
        table.row("heap after the queries", heap, "MB", limits.get("heap"), f"an empty page: {empty_heap / MB:.1f}")
        if problems := tab.errors():
            print("  console:", *problems[:5], sep="\n    ")
            table.over.append("console")


def _measure_queries(table: Table, tab: Tab, limits: Mapping[str, float]) -> None:
    took = {words: tab.run(_ASK, words, ROUNDS) for words in QUERIES}
    all_of = [each for times in took.values() for each in times]
    scan = statistics.median(float(tab.run(_SCAN, "qqqq")) for _ in range(5))
    table.row(
        f"a query, median of {len(all_of)}", statistics.median(all_of), "ms", limits.get("query"),
        f"best {min(all_of):.1f}; indexOf over the same text: {scan:.1f}",
    )  # fmt: skip
    worst = max(took, key=lambda words: statistics.median(took[words]))
    table.row(
        "the slowest query",
        statistics.median(took[worst]),
        "ms",
        limits.get("query"),
        f"{worst!r}, median of {ROUNDS}; longest of all: {max(all_of):.0f}",
    )


def _cards(tab: Tab, page: Path) -> float:
    tab.open("about:blank")
    tab.open(page)
    return float(tab.wait("window.__cards", seconds=60))


def _until(tab: Tab, page: Path, expression: str) -> float:
    tab.open("about:blank")
    tab.open(page)
    return float(tab.wait(expression, seconds=120))


def _baselines(index: Path) -> tuple[Path, Path]:
    """Write an empty page, and one that only loads and parses the same data, beside the page."""
    empty, bare = index.with_name("empty.html"), index.with_name("bare.html")
    empty.write_text(_EMPTY, encoding="utf-8")
    index.with_name("bare.js").write_text(_BARE_JS, encoding="utf-8")
    data = sorted(path for path in (index.parent / "gallery" / "data").glob("*.js") if not path.name.startswith("c-"))
    scripts = "\n".join(f'<script src="gallery/data/{path.name}"></script>' for path in data)
    bare.write_text(_BARE.format(scripts), encoding="utf-8")
    return empty, bare


def measure_files(table: Table, index: Path) -> None:
    """Measure what lies on the disk."""
    files = [path for path in (index.parent / "gallery").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    code = [index, *(path for path in files if path.parent.name == "gallery")]
    table.row("largest file", largest.stat().st_size / 1000, "kB", LARGEST, largest.name)
    table.row("shell and code", sum(path.stat().st_size for path in code) / 1000, "kB", CODE, f"{len(code)} files")
    total = sum(path.stat().st_size for path in files)
    table.row("all of it", total / MB, "MB", None, f"{len(files):,} files")


def timed(call: Callable[[], object]) -> float:
    """Return the milliseconds of a call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _cpu(times: os.times_result) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the processor's seconds of this process, and of those it has ended."""
    return (times.user, times.system), (times.children_user, times.children_system)


def written_bare(folder: Path) -> float:
    """Return the milliseconds to write the bytes of a folder's files as safely: beside, synced, renamed."""
    contents = [(path.relative_to(folder), path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:

        def write() -> None:
            for name, content in contents:
                path = Path(beside) / name
                path.parent.mkdir(exist_ok=True, parents=True)
                with path.with_suffix(".tmp").open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                path.with_suffix(".tmp").rename(path)

        return timed(write)


def measure(table: Table, folder: Path, videos: int, browsers: Sequence[BrowserName]) -> None:
    """Make a library, write its page and open it."""
    limits = LIMITS.get(videos, {})
    library = Library(folder, videos)
    made = timed(lambda: anyio.run(library.make))
    print(f"{videos:,} videos (the library's database took {made / 1000:.1f} s)")
    gc.set_threshold(20_000, 20, 20)  # as the program sets it
    before = os.times()
    written = timed(lambda: anyio.run(write_page, library))
    here, elsewhere = (1000 * (sum(after) - sum(at)) for at, after in zip(_cpu(before), _cpu(os.times()), strict=True))
    index, files = library.output / "index.html", library.output / "gallery"
    bare = f"the same bytes written by a bare loop: {written_bare(files):.0f}"
    beside = f"CPU {here:.0f}, and {elsewhere:.0f} in a second process; {bare}"
    table.row("written whole", written, "ms", limits.get("written"), beside)
    _measure_one_more(table, library)
    measure_files(table, index)
    for name in browsers:
        if lack := missing(name):
            print(f"  not measured: {lack}")
            continue
        with started(name) as browser:
            print(f" {name} {browser.version}")
            measure_page(table, browser, index, limits)


def _measure_one_more(table: Table, library: Library) -> None:
    """Add one video to the database and write what has changed, as a run does at its end."""
    before = _stamps(library.output)
    took = timed(lambda: anyio.run(_add_and_write, library))
    after = _stamps(library.output)
    rewritten = [name for name in before if after.get(name) != before[name]]
    added = len(set(after) - set(before))
    table.row("files rewritten for one more", len(rewritten), "", REWRITTEN, f"{', '.join(rewritten)}; {added} new")
    table.row("one more, written", took, "ms", None)


async def _add_and_write(library: Library) -> None:
    database = await open_database(library.state / "reelmill.db")
    try:
        await library.add(database, [library.videos])
        writer = GalleryWriter(database, DiskSink(library.output), library.settings(), SystemClock())
        await writer.write(whole=False, remember=True)
    finally:
        await database.aclose()


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (stat.st_mtime_ns, stat.st_ino) for path, stat in found}


def main() -> None:
    """Read the arguments, make the libraries and measure; end with 1 if something is over its limit."""
    parser = argparse.ArgumentParser(description="Measure the gallery's page.")
    parser.add_argument("--videos", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--browsers", nargs="+", choices=BROWSERS, default=list(BROWSERS))
    given = parser.parse_args()
    table = Table()
    for videos in given.videos:
        with tempfile.TemporaryDirectory() as folder:
            measure(table, Path(folder), videos, given.browsers)
    if table.over:
        print("OVER:", ", ".join(dict.fromkeys(table.over)))
        raise SystemExit(1)

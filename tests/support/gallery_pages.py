"""Small galleries made of values, written as the page reads them, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.gallery.data_files import (
    FOLDER,
    ROWS,
    SHARD,
    captions_file,
    captions_name,
    encode,
    index_file,
    rows_file,
    shard_files,
)
from pipeline.gallery.page_files import part_files, shell_file
from pipeline.gallery.plain_index import index_line, plain_index
from pipeline.gallery.values import (
    Captions,
    CaptionsRef,
    CardRow,
    CauseRow,
    CueLine,
    DayRow,
    GalleryIndex,
    LimitRow,
    OpenItem,
    PageResult,
    PageSource,
    RowsFile,
    RunRow,
    RunsReport,
    ShardFile,
    TimeSlice,
    VideoEntry,
    WhyOpen,
)
from pipeline.kit.page import Moment, Moments, PageBlock, Prose, Tags, Value
from pipeline.ports.sink import OutFile

NOW = 1_764_300_000.0
DAY = 86_400.0


@dataclass(frozen=True)
class ShownFilm:
    """One video of a gallery, all that the page knows of it."""

    row: CardRow
    entry: VideoEntry
    captions: Captions | None = None


@dataclass(frozen=True)
class SmallGallery:
    """What the page shows."""

    films: Sequence[ShownFilm] = ()
    open: Sequence[OpenItem] = ()
    report: RunsReport = field(default_factory=RunsReport)
    open_count: int | None = None


def film(
    number: int,
    title: str,
    *blocks: PageBlock,
    summary: str = "",
    chapters: Sequence[tuple[float, float, str]] = (),
    cues: Sequence[tuple[float, float, str]] = (),
    **row: object,
) -> ShownFilm:
    """Return a video; ``row`` changes its card."""
    folder = f"film-{number}--{number:08d}"
    results = []
    if summary:
        results.append(_result("summary", Prose(summary)))
    if chapters:
        results.append(_result("chapters", Moments([Moment(*each) for each in chapters], chapters=True)))
    if blocks:
        results.append(_result("notes", *blocks, job="ask", prompt="What is there to see?"))
    card = CardRow(
        number, folder, title, 60.0 + number, "done", NOW - number * DAY, 0.01 * number, "file", line=summary[:80]
    )
    entry = VideoEntry(
        number,
        folder,
        results,
        sources=[PageSource(f"film-{number}.mp4")],
        captions=CaptionsRef(captions_name(folder), "captions.vtt") if cues else None,
        calls=1,
        minutes=1.5,
        commands=[f"reelmill run films/film-{number}.mp4", f"reelmill show {folder}"],
    )
    captions = Captions(folder, [CueLine(*cue) for cue in cues]) if cues else None
    return ShownFilm(replace(card, **row), entry, captions)  # type: ignore[arg-type]


def _result(name: str, *blocks: PageBlock, job: str = "", prompt: str = "") -> PageResult:
    return PageResult(
        name, job or name, list(blocks), prompt, "reelmill", "local/v1.3", NOW, NOW + 60, [f"{name}.json"], ["A note."]
    )


def changed(shown: ShownFilm, **entry: object) -> ShownFilm:
    """Return a video whose view is another."""
    return replace(shown, entry=replace(shown.entry, **entry))  # type: ignore[arg-type]


def write_gallery(out: Path, gallery: SmallGallery) -> Path:
    """Write the page and its data below ``out``; return ``index.html``."""
    _put(out, [shell_file()])
    _put(out / FOLDER, part_files())
    films = sorted(gallery.films, key=lambda each: each.row.number)
    last = films[-1].row.number // ROWS if films else 0
    rows_files, shards = list[RowsFile](), list[ShardFile]()
    for first in sorted({film.row.number // ROWS * ROWS for film in films if film.row.number // ROWS < last}):
        rows = [film.row for film in films if film.row.number // ROWS * ROWS == first]
        file = rows_file(first, map(encode, rows))
        rows_files.append(RowsFile(Path(file.name).name))
        _put(out / FOLDER, [file])
    for block in sorted({film.row.number // SHARD for film in films}):
        entries = [film.entry for film in films if film.row.number // SHARD == block]
        for shard, file in shard_files(block, entries):
            shards.append(shard)
            _put(out / FOLDER, [file])
    _put(out / FOLDER, [captions_file(film.captions) for film in films if film.captions])
    counted = len(gallery.open) if gallery.open_count is None else gallery.open_count
    newest = [film.row for film in films if film.row.number // ROWS == last]
    index = GalleryIndex(NOW, "0.1.0", len(films), rows_files, shards, newest, gallery.open, counted, gallery.report)
    _put(out / FOLDER, [index_file(index)])
    lines = [index_line(film.row.title, film.row.seconds, film.row.folder) for film in films]
    _put(out, [plain_index(lines, count=len(films))])
    return out / "index.html"


def _put(folder: Path, files: Sequence[OutFile]) -> None:
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)


# ----------------------------------------------------------------------------------------------- one with everything


def everything() -> SmallGallery:
    """Return a gallery with each kind of video, answer, failure and figure: six videos and two items without results."""
    bees = film(
        1,
        "A Year in the Beehive",
        Tags(["lecture"], facet="kind"),
        Value({"speakers": ["Ann", "Bob"], "rating": 4, "table": [{"word": "bee", "times": 12}]}),
        summary="Honey bees through the seasons.\nThe waggle dance tells where the flowers are.",
        chapters=[(0, 18, "Opening"), (18, 40, "Waggle dance"), (40, 61, "Winter cluster")],
        cues=[
            (0.5, 3, "Welcome to the apiary."),
            (20, 24, "She dances the quokka figure."),
            (45, 50, "They keep warm."),
        ],
        tags=["bees", "#nature"],
        facets={"kind": ["lecture"]},
    )
    summary, facets = "Où l'on boit du café.", {"kind": ["film"]}
    cafe = film(2, "Café Zoë in Łódź", summary=summary, tags=["travel"], facets=facets, source="youtube")
    youtube = PageSource("youtu.be/abcdefghijk", "https://www.youtube.com/watch?v=abcdefghijk")
    fold = Moments([Moment(5, 9, "Best fold", "The dough is folded.")])
    bread = film(3, "Sourdough for Beginners", fold, summary="Bread.", tags=["bread"])
    refused = WhyOpen("rejected", "One question was refused.", "Change the prompt.", "reelmill retry film-4")
    chapters = [(0.0, 30.0, "Ebb"), (30.0, 90.0, "Flood")]
    films = [
        bees,
        changed(cafe, sources=[youtube]),
        bread,
        film(4, "Empty answers", state="partial", why=refused),
        film(2001, "Tides of the North Sea", summary="Ebb and flood.", chapters=chapters, tags=["sea"], source="url"),
        film(2002, "Glaciers, slowly", summary="Ice moves.", tags=["ice", "#nature"]),
    ]
    waiting = WhyOpen("quota", "The minutes of the day are used up.", until_at=NOW + DAY)
    failed = WhyOpen("unreadable", "The file cannot be read.", "Mend the file.", "reelmill retry --class unreadable")
    stopped = [
        OpenItem("broken.mp4", "failed", "file", NOW, why=failed),
        OpenItem("later.mp4", "waiting", "file", NOW, why=waiting),
    ]
    return SmallGallery(films, stopped, report())


def report(runs: int = 5) -> RunsReport:
    """Return the report of some runs."""
    return RunsReport(
        "4 new · $2.00 for 40.0 min. All done.",
        [_run(number, NOW - (runs - number) * DAY) for number in range(runs)],
        [DayRow(f"2025-11-{20 + number:02}", 0.5 * number, 10.0 * number) for number in range(min(runs, 9))],
        usd_per_day=5.0,
        minutes_per_day=60.0,
        limits=[LimitRow("Analyze: 60 minutes per day", 99.5, 59.7, NOW + DAY, NOW - DAY)],
        needs=[
            CauseRow(
                "unreadable",
                "The file cannot be read.",
                3,
                "Mend the file.",
                "reelmill retry --class unreadable",
                ["broken.mp4"],
            )
        ],
        waits=[CauseRow("quota", "The minutes of the day are used up.", 7, until_at=NOW + DAY)],
        timeline=[TimeSlice(NOW - 3600 + i * 60, i % 5, i % 3, int(i % 7 == 0)) for i in range(60)],
        slice_seconds=60.0,
    )


def _run(number: int, at: float) -> RunRow:
    return RunRow(at, at + 3600, "all done", number, number % 2, 1, 2, 0.5 * number, 10.0 * number)

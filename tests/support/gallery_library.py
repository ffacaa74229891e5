"""A library of finished videos in a real state database, for the gallery's tests, its benchmark, and looking at it.

``python -m tests.support.gallery_library N FOLDER`` writes ``FOLDER/.reelmill`` and ``FOLDER/out`` with the page. The same
seed makes the same library. Rows are written through the store's own queries, many at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import anyio

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock, iso
from pipeline.core.lifecycle import Transition
from pipeline.core.model import (
    Json,
    Lane,
    NewTask,
    Parked,
    Placed,
    Result,
    RunNote,
    Spend,
    State,
    Task,
    Trouble,
    fingerprint,
)
from pipeline.core.text import stamp
from pipeline.ports.store import Applied, ApplyAnswer, Database
from pipeline.sink import layout
from pipeline.store.sqlite.database import open_database

NOW = 1_795_000_000.0  #: 2026-11-18, a Wednesday morning
DAYS = 60
_DAY = 86_400.0
_BATCH = 250

_SUBJECTS = (
    "honey bees", "sourdough bread", "tidal power", "medieval maps", "glass blowing", "urban foxes", "volcanic soil",
    "harbour cranes", "stage lighting", "night trains", "salt marshes", "watch repair", "mountain rescue", "orchard pruning",
    "tram depots", "choir rehearsals", "bridge bearings", "paper restoration", "coral nurseries", "wind tunnels",
    "lichen surveys", "canal locks", "cheese cellars", "weather balloons", "pipe organs", "desert irrigation",
    "café culture", "Zürich’s lake steamers", "la cuisine basque", "Ærø ferries", "naïve painting", "straßenbahn depots",
)  # fmt: skip
_FORMS = (
    "{s}: a short introduction", "How {s} changed a town", "A day with {s}", "The hidden life of {s}", "{s}, explained",
    "Lecture {n}: {s}", "Working with {s} in winter", "Ten questions about {s}", "{s} – field notes {n}", "Why {s} matter",
    "Interview: thirty years of {s}", "{s} in practice",
)  # fmt: skip
_SENTENCES = (
    "The film follows {s} from the first light of the day to the last visitor.",
    "Two people who have worked with {s} for decades explain what most of us never notice.",
    "It shows the tools, the places and the mistakes that belong to {s}.",
    "A map drawn on the table makes clear how {s} depend on weather and patience.",
    "In the second half an experiment with {s} goes wrong, and is repeated with care.",
    "Numbers on screen compare {s} of 1960 with those of today.",
    "The closing minutes ask what {s} will look like in thirty years.",
    "Nobody speaks while the camera stays close to the hands at work.",
)  # fmt: skip
_CHAPTERS = (
    "Arrival", "Before sunrise", "What the tools are for", "A short history", "The first attempt", "Where the money goes",
    "Talking to the neighbours", "Repairing what broke", "In the workshop", "Figures and maps", "The second attempt",
    "What the children ask", "Winter", "Looking back", "Credits",
)  # fmt: skip
_SPOKEN = (
    "so the first thing you learn about {s} is to wait", "look at the edge here, that is where it begins",
    "my grandfather would have done it by hand", "we measure it twice and write it down", "and then the wind turned",
    "nobody told us that in school", "you can hear when it is right", "this part is older than the house",
    "we do not sell that, we keep it", "try it again, a little slower",
)  # fmt: skip
_CLASSES = ("Lecture", "Nature", "Craft", "Talk", "Travel")
_TAGS = ("archive", "2026", "to-publish", "rights-cleared", "interview", "raw", "festival")
_TROUBLES = (
    Trouble("video_too_short", "The video is 1.2 seconds long; the platform takes 4 seconds or more.", "use a longer one"),
    Trouble("unreadable_video", "The file cannot be read as a video.", "check it in a player, or copy it again"),
    Trouble("answer_cut_off", "The answer did not fit into 98,304 tokens.", "Ask for less, or set fuse = false."),
    Trouble("file_missing", "The file is not there any more.", "bring it back, or take it out of the list"),
)  # fmt: skip
_BOT = Trouble("bot_check", "YouTube wants to know that nobody automatic asks.", "wait, or set [youtube] cookies")
_DOUBT = Trouble("in_doubt", "Nobody can tell whether the platform accepted this upload.", "look into the account")


@dataclass(slots=True)
class Library:
    """What is made: how many, and what is wrong with some of them."""

    folder: Path
    videos: int
    seed: int = 1
    captions: float = 0.2  #: share of the videos that have some
    chapters: int = 8  #: of a video, about
    troubled: int = 12  #: items without results: failed, held, waiting, cancelled in turn
    rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / ".reelmill"

    @property
    def output(self) -> Path:
        """The output folder."""
        return self.folder / "out"

    def settings(self, **sections: dict[str, Any]) -> Settings:
        """Return settings that fit it."""
        raw: dict[str, Any] = {
            "run": {"state": self.state, "output": self.output},
            "provider": {"kind": "local"},
            "budget": {"max_usd_per_day": 12.0},
            "limits": {"analyze": {"minutes_per_day": 600.0}},
            **sections,
        }
        return Settings.model_validate(raw)

    async def make(self) -> None:
        """Write the database."""
        self.state.mkdir(parents=True, exist_ok=True)
        database = await open_database(self.state / "reelmill.db")
        try:
            await self.fill(database)
        finally:
            await database.aclose()

    async def fill(self, database: Database) -> None:
        """Put everything into an open database."""
        for start in range(0, self.videos, _BATCH):
            await self.add(database, range(start, min(self.videos, start + _BATCH)))
        await self._open_items(database)
        await self._runs(database)

    async def add(self, database: Database, numbers: Sequence[int], at: float | None = None) -> None:
        """Put these videos into the database, finished at this time."""
        made = [_Video(self, number, at) for number in numbers]
        tasks = [task for video in made for task in video.tasks()]
        await put_finished(database, tasks)

    # ---------------------------------------------------------------------------------------------- the rest

    async def _open_items(self, database: Database) -> None:
        tasks: list[Finished] = []
        for number in range(self.troubled):
            name = f"films/unfinished {number:03}.mp4"
            path = f"{self.folder}/{name}"
            at = NOW - 3600.0 * (number + 1)
            data = _item(path, "file", f"Unfinished no. {number}" if number % 3 else "", [])
            key = f"file:{path}"
            state, why, wake = State.FAILED, _TROUBLES[number % len(_TROUBLES)], None
            if number % 6 == 3:
                state, why = State.HELD, _DOUBT
            elif number % 6 == 4:
                state, why, wake = State.PENDING, _BOT, NOW + 7200.0
            elif number % 6 == 5:
                state, why = State.CANCELLED, _TROUBLES[0]
            tasks.append(Finished("item", key, "resolve", data, "", at, state=state, trouble=why, wake_at=wake))
        await put_finished(database, tasks)
        if self.troubled:
            await database.park(Parked("download", NOW + 7200.0, _BOT), NOW)

    async def _runs(self, database: Database) -> None:
        """Write a run a day; the last one has failures."""
        per_day = max(1, self.videos // DAYS)
        for day in range(DAYS):
            started = NOW - (DAYS - day) * _DAY + 3 * 3600.0
            new = per_day if day < DAYS - 1 else max(1, self.videos - per_day * (DAYS - 1))
            failed = self.rng.choice((0, 0, 0, 1, 2))
            code = 5 if day % 17 == 9 else 6 if day % 23 == 11 else 3 if failed else 0
            note = {5: "The budget of $12.00 a day is reached.", 6: "YouTube refuses this machine; 4 items wait."}
            summary: dict[str, Json] = {
                "this_run": {
                    name: number
                    for name, number in (
                        ("new", new), ("asked_again", self.rng.randrange(0, 3)), ("unchanged", day * per_day),
                        ("failed", failed), ("waiting", 4 if code == 6 else 0),
                    )
                    if number
                },
                "usd": round(new * 0.11, 4),
                "minutes": round(new * 3.7, 2),
                "doubtful": int(day % 19 == 7),
                "note": note.get(code, ""),
            }  # fmt: skip
            ended = started + 30.0 + new * 4.0
            run_id = f"{iso(started).translate(str.maketrans('', '', '-:'))}-{1000 + day}"
            await database.note_run(RunNote(run_id, started, ended, code, summary))


@dataclass(frozen=True, slots=True)
class Finished:
    """A task as it ended, with what it left."""

    kind: str
    key: str
    stage: str
    data: dict[str, Json]
    subject: str
    at: float
    results: Sequence[Result] = ()
    spends: Sequence[Spend] = ()
    state: State = State.DONE
    trouble: Trouble | None = None
    wake_at: float | None = None


class _Video:
    """One finished video."""

    def __init__(self, library: Library, number: int, at: float | None) -> None:
        self.rng = Random(f"{library.seed}/{number}")
        self.library, self.number = library, number
        self.subject = self.rng.choice(_SUBJECTS)
        title = self.rng.choice(_FORMS).format(s=self.subject, n=self.rng.randrange(1, 40))
        self.title = title[0].upper() + title[1:]
        self.key = f"sha256:{sha256(f'{library.seed}/{number}'.encode()).hexdigest()}"
        self.seconds = round(self.rng.choice((45, 240, 600, 1500, 3600)) * self.rng.uniform(0.6, 1.5), 2)
        self.kind = "youtube" if number % 5 == 4 else "file"
        share = number / max(1, library.videos)
        usual = NOW - (1 - share) * DAYS * _DAY + self.rng.uniform(0, 3600)
        self.at = usual if at is None else at
        self.folder = layout.folder(self.key, [self.title])

    @property
    def locator(self) -> str:
        """Where it came from."""
        if self.kind == "youtube":
            return f"https://www.youtube.com/watch?v=v{self.number:010}"
        return f"{self.library.folder}/films/{self.number // 100:03}/{layout.slug(self.title)} {self.number:05}.mp4"

    def tasks(self) -> Iterator[Finished]:
        """Yield its tasks, as a run leaves them."""
        tags = self.rng.sample(_TAGS, self.rng.randrange(0, 3))
        item = _item(self.locator, self.kind, self.title, tags, seconds=self.seconds)
        key = f"file:{self.locator}" if self.kind == "file" else f"youtube:video:v{self.number:010}"
        captions = [self._captions()] if self.rng.random() < self.library.captions else []
        yield Finished("item", key, "resolve", item, self.key, self.at, captions)
        video = {
            "path": self.locator, "size": 4_000_000, "seconds": self.seconds, "sha256": self.key[7:], "width": 1280,
            "height": 720, "provider": "local/v1.3", "media_id": f"{self.number:024x}", "settled": True,
        }  # fmt: skip
        yield Finished("video", self.key, "fan_out", video, self.key, self.at + 20)
        results = self._results()
        requests = [
            {"name": result.job, "job": result.meta["job"], "params": PARAMS[result.job], "print": result.fingerprint}
            for result in results
        ]
        usage = self.rng.uniform(0.7, 1.3)
        minutes = round(self.seconds / 60, 3)
        paid = Spend(
            f"{self.key}/ask", "analyze", round(minutes * 0.0292 * usage, 6), minutes, self.key, at=self.at + 30
        )
        analysis = {"wishes": requests, "media_id": video["media_id"], "seconds": self.seconds, "temperature": 0.2,
                    "model": "pegasus1.5", "since": self.at + 30, "answer": f"{self.number:016x}"}  # fmt: skip
        yield Finished("analysis", f"{self.key}/all", "split", analysis, self.key, self.at + 60, results, [paid])
        files = {"gist": ["gist.json"], "summary": ["summary.md"], "chapters": ["chapters.json", "chapters.vtt"],
                 "highlights": ["highlights.json", "highlights.csv"], "genre": ["genre.json"],
                 "sponsors": ["sponsors.md"]}  # fmt: skip
        present = {result.job: result.fingerprint for result in results}
        named = [name for job in present for name in files[job]] + ["video.json"] + ["captions.vtt"] * bool(captions)
        publish: dict[str, Json] = {
            "folder": self.folder, "sizes": dict.fromkeys(named, 1000), "title": self.title, "present": present,
            "sources": [{"source": self.locator, "locator": self.locator, "tags": tags}], "seconds": self.seconds,
            "files": {job: files[job] for job in present},
        }  # fmt: skip
        yield Finished("publish", self.key, "write", publish, self.key, self.at + 62)

    def _result(self, name: str, job: str, body: dict[str, Json]) -> Result:
        meta: dict[str, Json] = {
            "provider": "local/v1.3", "model": "pegasus1.5", "usage": {"output_tokens": 900}, "task_id": f"t{self.number}",
            "media_id": f"{self.number:024x}", "asked": self.at + 31, "answer": f"{self.number:016x}", "notes": [],
            "job": job, "version": 1,
        }  # fmt: skip
        return Result(self.key, name, fingerprint(name, PARAMS[name]), body, meta, self.at + 60)

    def _results(self) -> list[Result]:
        rng, subject = self.rng, self.subject
        words = [word for word in subject.replace("’", " ").split() if len(word) > 2]
        gist = {
            "title": self.title,
            "topics": [subject, *rng.sample(("craft", "weather", "history", "work by hand", "trade"), 2)],
            "hashtags": [f"#{word}" for word in (*words, rng.choice(("slow", "field", "craft")))],
        }
        summary = " ".join(each.format(s=subject) for each in rng.sample(_SENTENCES, rng.randrange(3, 7)))
        found = [
            self._result("gist", "gist", gist),
            self._result("summary", "summary", {"summary": summary}),
            self._result("chapters", "chapters", {"chapters": self._spans("chapter", self.library.chapters)}),
            self._result("highlights", "highlights", {"highlights": self._spans("highlight", 4, gaps=True)}),
        ]
        if self.number % 3 == 0:
            label = {"label": rng.choice(_CLASSES), "confidence": round(rng.uniform(0.5, 1), 2)}
            found.append(self._result("genre", "classify", label))
        if self.number % 7 == 0:
            answer = (
                f"No company is named. At {stamp(self.seconds / 3, form='clock')} a label of {subject} can be read."
            )
            found.append(self._result("sponsors", "ask", {"answer": answer}))
        return found

    def _spans(self, name: str, about: int, *, gaps: bool = False) -> list[dict[str, Json]]:
        titles = {"chapter": ("chapter_title", "chapter_summary"), "highlight": ("highlight", "highlight_summary")}[
            name
        ]
        count = max(1, min(about + self.rng.randrange(-2, 3), int(self.seconds // 10)))
        cuts = sorted(self.rng.uniform(0, self.seconds) for _ in range(count - 1))
        edges = [0.0, *(round(each, 2) for each in cuts), self.seconds]
        spans = []
        for place in range(count):
            start, end = edges[place], edges[place + 1]
            if gaps:
                end = start + (end - start) * 0.6
            words = self.rng.choice(_CHAPTERS), self.rng.choice(_SENTENCES).format(s=self.subject)
            spans.append({"start_time": start, "end_time": round(end, 2), **dict(zip(titles, words, strict=True))})
        return spans

    def _captions(self) -> Result:
        lines = ["WEBVTT", ""]
        at = 0.5
        while at < min(self.seconds, 900.0):
            end = at + self.rng.uniform(2, 5)
            lines += [f"{stamp(at)} --> {stamp(end)}", self.rng.choice(_SPOKEN).format(s=self.subject), ""]
            at = end + self.rng.uniform(0, 3)
        return Result(
            self.key, "_captions", self.key[7:23], {"name": "captions.vtt", "text": "\n".join(lines)}, {}, self.at
        )


PARAMS: dict[str, dict[str, Json]] = {
    "gist": {"types": ["title", "topic", "hashtag"], "topics": 5, "hashtags": 15},
    "summary": {"sentences": 6, "prompt": ""},
    "chapters": {"max": 20, "prompt": ""},
    "highlights": {"max": 8, "prompt": ""},
    "genre": {"name": "genre", "classes": dict.fromkeys(_CLASSES, ""), "multiple": False, "prompt": "", "otherwise": "unclear"},
    "sponsors": {"name": "sponsors", "prompt": "Which companies or products are named, and at what time?", "schema": None},
}  # fmt: skip


def _item(locator: str, kind: str, title: str, tags: Sequence[str], **more: Json) -> dict[str, Json]:
    line = {"id": "", "title": title, "tags": list(tags), "jobs": [], "prompt": "", "metadata": {}}
    return {"source": locator, "place": "list.csv:1", "type": kind, "locator": locator, "line": line, **more}


async def put_finished(database: Database, tasks: Sequence[Finished]) -> None:
    """Put tasks and end each as it says, by the port's own calls."""
    placed = [Placed(NewTask(each.kind, each.key, each.stage, {}, each.subject), Lane.FETCH, 0) for each in tasks]
    await database.submit(placed, min((each.at for each in tasks), default=NOW))
    claimed = await database.claim({Lane.FETCH: len(tasks)}, "library", NOW, NOW + 60)
    ours = {(task.kind, task.key): task for task in claimed}
    async with anyio.create_task_group() as group:
        for each in tasks:
            group.start_soon(_end, database, ours[each.kind, each.key], each)


async def _end(database: Database, task: Task, each: Finished) -> None:
    move = Transition(
        each.state, each.stage, 0, 1, each.wake_at, each.at, data=each.data, subject=each.subject, trouble=each.trouble,
        results=each.results, spawn=(), spend=each.spends, word="",
    )  # fmt: skip
    assert await database.apply(Applied(task, move, Lane.WRITE, 0), each.at) is ApplyAnswer.WRITTEN


async def write_page(library: Library) -> None:
    """Write the gallery of a library into its output folder."""
    from pipeline.app.gallery.write import GalleryWriter
    from pipeline.sink.disk import DiskSink

    database = await open_database(library.state / "reelmill.db")
    try:
        writer = GalleryWriter(database, DiskSink(library.output), library.settings(), SystemClock())
        await writer.write(whole=True, remember=True)
    finally:
        await database.aclose()


def main(number: str, folder: str) -> None:
    """Make a library of so many videos, and its page."""
    library = Library(Path(folder).absolute(), int(number))
    anyio.run(library.make)
    anyio.run(write_page, library)
    print((library.output / "index.html").as_uri())


if __name__ == "__main__":
    main(*sys.argv[1:])

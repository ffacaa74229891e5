"""The scenes of the enumeration, each small, each with something of its own that can go wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline.app.items.ask_again import AskAgain
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.core.model import Selection
from pipeline.ports.source import Item, ManifestLine
from pipeline.ports.video_api import Ceilings
from pipeline.views import RunReport
from tests.faults.crash_trial import Mishaps, Scene, Trial
from tests.faults.crash_worlds import Make, Night, World, captioned_adapters, run_now, traces
from tests.faults.youtube_worlds import Fetching, fetching_adapters, fetching_world
from tests.support.clock import EPOCH, run_virtual
from tests.support.fakes import clips, items
from tests.support.run_harness import settings_for
from tests.support.vendor import ClientV12

_START = {"prompt": "How does it begin?", "window": "0:00-0:20"}
#: Effects of which there must be one per key, whatever dies. An opened session whose answer was lost expires unused.
CREATES = ("asset", "analysis", "index", "indexed")


def same(world: World, report: RunReport, trial: Trial) -> None:
    """Rows, answers, files and bill are those of a run without a death."""
    assert report.exit_code == 0, report
    found = traces(world)
    for name in ("rows", "answers", "files", "paid"):
        assert getattr(found, name) == getattr(trial.plain, name), (
            name,
            getattr(found, name),
            getattr(trial.plain, name),
        )


def repacked(world: World, report: RunReport, trial: Trial) -> None:
    """Answers and files are the same; which questions the expired batch has answered is chance, and each is paid once."""
    assert report.exit_code == 0, report
    found = traces(world)
    assert (found.answers, found.files) == (trial.plain.answers, trial.plain.files)
    assert set(found.paid.values()) == {1}, found.paid
    assert {row[3] for row in found.rows} == {"done"}, found.rows


def in_parts(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`same`; three calls about parts, whose answers about the whole make one, on the clock of the whole."""
    same(world, report, trial)
    assert _counts(traces(world).paid)["analysis"] == 3
    chapters = next(
        json.loads(content) for name, content in world.disk.files().items() if name.endswith("chapters.json")
    )
    spans = [(each["start_time"], each["end_time"]) for each in chapters["chapters"]]
    assert (spans[0][0], spans[4], spans[-1][1]) == (0.0, (30.0, 37.5), 60.0), spans


def same_but_sessions(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`same`, but an upload session whose opening was never heard of may lie there unused."""
    assert report.exit_code == 0, report
    found = traces(world)
    for name in ("rows", "answers", "files"):
        assert getattr(found, name) == getattr(trial.plain, name), name
    assert [effect for effect, _ in found.paid].count("asset") == 1, found.paid
    assert all(times == 1 for (effect, _), times in found.paid.items() if effect != "session"), found.paid


def asked_twice_at_most(world: World, report: RunReport, trial: Trial) -> None:
    """What leaves something behind is done once; what only asks is repeated at most once, and counted.

    A second death at the same question leaves nothing but a person to decide: then it is held, and says so.
    """
    found = traces(world)
    if trial.twice and report.items["held"]:
        assert report.exit_code == 3, report
    else:
        assert report.exit_code == 0, report
        for name in ("rows", "answers", "files"):
            assert getattr(found, name) == getattr(trial.plain, name), name
    assert all(times == 1 for (effect, _), times in found.paid.items() if effect in CREATES), found.paid
    asks = {key: times for (effect, key), times in found.paid.items() if effect == "ask"}
    _, _, doubtful = run_now(world.database.spent())
    repeated = sum(times - 1 for times in asks.values())
    assert max(asks.values()) <= 2, asks
    assert repeated <= doubtful, (asks, doubtful)
    trial.count.repeated += repeated


def held_not_repeated(world: World, report: RunReport, trial: Trial) -> None:
    """Nothing at all is sent twice: the item is done, or it is held and says so."""
    assert report.exit_code in (0, 3), report
    found = traces(world)
    assert set(found.paid.values()) <= {1}, found.paid
    assert report.items["done"] + report.items["held"] == len(trial.scene.crashed.entries), report.items
    if not report.items["held"]:
        assert (found.rows, found.answers, found.files) == (trial.plain.rows, trial.plain.answers, trial.plain.files)
    for task in run_now(world.database.tasks(Selection(kinds=("video",)))):
        if "external" in task.data and "media_id" in task.data:
            assert world.platform.uploads[task.data["media_id"]] == task.data["external"]


def queries_counted(world: World, report: RunReport, trial: Trial) -> None:
    """Each run asks its standing queries; every question that the platform accepted stands in our ledger."""
    assert report.exit_code == 0, report
    found = traces(world)
    for name in ("rows", "answers", "files"):
        assert getattr(found, name) == getattr(trial.plain, name), (
            name,
            getattr(found, name),
            getattr(trial.plain, name),
        )
    assert all(times == 1 for (effect, _), times in found.paid.items() if effect in CREATES), found.paid
    asked = sum(times for (effect, _), times in found.paid.items() if effect == "search")
    entered = sum(row[1] == "search" for row in world.database._spends.values())
    assert 1 <= asked <= entered, (asked, entered)


def youtube(number: int) -> Item:
    """Return a YouTube video as a manifest names it."""
    address = f"https://www.youtube.com/watch?v=video{number:06}"
    return Item(
        f"youtube:video:video{number:06}", "youtube", address, ManifestLine(address, "test", title=f"film {number}")
    )


def fetched_once(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`same`, captions aside where their worker died; and no copy of a video is left lying about."""
    assert isinstance(world, Fetching)
    if world.ordered:
        assert _uncaptioned(traces(world).files) == _uncaptioned(trial.plain.files)
        assert report.exit_code == 0, report
        assert set(world.platform.effects().values()) == {1}
    else:
        same(world, report, trial)
    assert world.downloads.files() == {}, list(world.downloads.files())


def _uncaptioned(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return {name: content for name, content in files.items() if not name.endswith("captions.vtt")}


def _order(world: World, number: int) -> None:
    assert isinstance(world, Fetching)
    world.appointment, world.ordered = [number], number > 0


def _messages(world: World) -> int:
    assert isinstance(world, Fetching)
    return -world.appointment[0]


def _topic(prompt: str) -> dict[str, Any]:
    return {"enabled": ["gist", "topic"], "settings": {"topic": {"job": "ask", "prompt": prompt}}}


def wanted_is_there(world: World, report: RunReport, trial: Trial) -> None:
    """What the last line wants is there, and nothing was paid twice; what the dead one wanted may have been asked or not."""
    assert report.exit_code == 0, report
    found = traces(world)
    assert found.files == trial.plain.files, found.files.keys() ^ trial.plain.files.keys()
    assert set(found.paid.values()) == {1}, found.paid
    assert _counts(found.paid)["asset"] == _counts(trial.plain.paid)["asset"]
    assert _counts(found.paid)["analysis"] <= _counts(trial.plain.paid)["analysis"], found.paid


def nothing_goes_on(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`wanted_is_there`; what was replaced and not answered yet was cancelled at the platform."""
    wanted_is_there(world, report, trial)
    asked = [thing for thing in world.platform.things.values() if thing.kind == "analysis"]
    late = EPOCH + world.clock.skew + 1e6
    old = [thing for thing in asked if thing.made < max(each.made for each in asked) - 1]
    replaced = [thing for thing in asked if thing.word(late, "") == "canceled"]
    assert all(thing.data["code"] == "user_canceled" for thing in replaced), replaced
    assert len(asked) - len(replaced) <= 2 + len([thing for thing in old if thing not in replaced]), asked
    ours = ledger_of(world)
    for thing in asked:
        charged, booked = round(thing.data["usd"] * 1e6), ours[thing.name]
        assert booked >= charged, (thing.name, booked, charged)
        assert booked == charged or thing in replaced, (thing.name, booked, charged)


def ledger_of(world: World) -> Counter[str]:
    """Return what our ledger counts for each call, in millionths of a dollar, without what is told as possibly paid twice."""
    ours: Counter[str] = Counter()
    videos = [task.key for task in run_now(world.database.tasks(Selection(kinds=("video",))))]
    for spend in run_now(world.database.spends(videos)):
        ours[spend.key.partition("/")[0]] += 0 if spend.doubtful else round(spend.usd * 1e6)
    return ours


def counted_once(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`same`; and what was reserved by whoever died is freed or counted, never both: our entries about each call add
    up to what the platform has charged for it, beside what is told as possibly paid twice.
    """
    same(world, report, trial)
    ours = ledger_of(world)
    theirs = [thing for thing in world.platform.things.values() if thing.kind == "analysis"]
    assert +ours == {thing.name: round(thing.data["usd"] * 1e6) for thing in theirs}


def apart(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`same`, whoever of the videos whose names end alike came first; each has one folder of its own."""
    assert report.exit_code == 0, report
    found = traces(world)
    for name in ("rows", "answers", "paid"):
        assert getattr(found, name) == getattr(trial.plain, name), name
    published = run_now(world.database.tasks(Selection(kinds=("publish",))))
    files = world.disk.files()
    owners = {name: json.loads(files[name])["key"] for name in files if name.endswith("/video.json")}
    assert owners == {f"{task.data['folder']}/video.json": task.key for task in published}, owners
    assert sorted(len(name.rpartition("--")[2]) - len("/video.json") for name in owners) == [8, 16], owners
    lines = [json.loads(line) for line in files["results.jsonl"].splitlines()]
    assert {f"{line['folder']}/video.json": line["key"] for line in lines} == owners, lines


def asked_once_more(world: World, report: RunReport, trial: Trial) -> None:
    """As :func:`same`; of two videos one is asked twice, under two keys."""
    same(world, report, trial)
    found = traces(world)
    assert _counts(found.paid)["analysis"] == 3, found.paid


async def _ask_again(world: World, night: Night) -> None:
    """Type ``retry --again`` twice."""
    for jobs in (4, 0):
        asker = AskAgain(make_run_plan(night.settings), world.database, world.clock)
        assert (await asker.look([night.entries[0].key], [])).jobs == jobs
        await asker.set()


def _paying(night: Night) -> Night:
    """Return a night on a platform that costs money."""
    sections = night.settings.model_dump()
    sections["provider"]["kind"] = "twelvelabs"
    paying = night.settings.model_validate(sections)
    return replace(night, settings=paying.model_copy(update={"api_key": SecretStr("a key for no platform")}))


def _counts(paid: Mapping[tuple[str, str], int]) -> Counter[str]:
    return Counter(effect for effect, _ in paid)


class Studio:
    """Makes the scenes over a folder of clips."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.films = items(clips(folder, 3), title="film")

    def night(self, films: int = 1, meddle: Callable[[World], None] | None = None, **sections: Any) -> Night:
        """Return a run over some of the clips."""
        return Night(settings_for(self.folder, **sections), self.films[:films], meddle)

    def scenes(self) -> Mapping[str, Callable[[], Scene]]:
        """Return name → maker."""
        return {
            "fused, three videos": self.fused,
            "unfused, two videos": self.unfused,
            "in two windows": self.windows,
            "in a batch": self.batched,
            "in batches that expire": self.expiring,
            "multipart": self.multipart,
            "indexing": self.indexing,
            "standing queries": self.queries,
            "v1.2 files": self.old,
            "v1.2 files, hold": self.old_hold,
            "v1.2 external": self.external,
            "limits of run and day": self.limits,
            "a changed prompt": self.changed_prompt,
            "corrected captions": self.corrected_captions,
            "a deleted result": self.deleted_result,
            "asked again": self.asked_again,
            "finished by another line": self.other_line,
            "a question taken back": self.taken_back,
            "names that end alike": self.alike,
            "fetched from YouTube": self.fetched,
        }

    def _scene(self, name: str, crashed: Night, judge: Any = same, make: Make | None = None, **more: Any) -> Scene:
        return Scene(name, make or Make(), crashed, judge, new=self._new, **more)

    def _new(self) -> World:
        return World.new(self.folder / "out")

    def fused(self) -> Scene:
        """Return three videos, one request each."""
        return self._scene("fused, three videos", self.night(3))

    def unfused(self) -> Scene:
        """Return two videos, four requests each."""
        return self._scene("unfused, two videos", self.night(2, jobs={"fuse": False}))

    def windows(self) -> Scene:
        """Return a video that is too long for one call, and a question of it about a part."""
        jobs = {"enabled": ["gist", "chapters", "start"], "settings": {"start": {"job": "ask", **_START}}}
        return self._scene(
            "in two windows", self.night(jobs=jobs), in_parts, Make(ceilings=Ceilings(window_seconds=40))
        )

    def batched(self) -> Scene:
        """Return two videos that are asked by one batch."""
        return self._scene("in a batch", self.night(2, batches={"mode": "always"}))

    def expiring(self) -> Scene:
        """Return a video whose first batch expires before it is answered."""

        def new() -> World:
            world = self._new()
            world.platform.fates["batch"] = ["expire"]
            vendor: Any = world.platform._vendors["v1.3"]
            vendor.batch_life = 30.0
            return world

        night = self.night(batches={"mode": "always"})
        return Scene("in batches that expire", Make(), night, repacked, new=new)

    def multipart(self) -> Scene:
        """Return a video that goes in parts."""
        make = Make(ceilings=Ceilings(direct_bytes=10))
        return self._scene("multipart", self.night(), same_but_sessions, make)

    def indexing(self) -> Scene:
        """Return a video that is also put into an index."""
        return self._scene("indexing", self.night(2, index={"name": "films"}))

    def queries(self) -> Scene:
        """Return an index that is asked at the end."""
        night = self.night(index={"name": "films"})
        asking = night.settings.model_validate(
            {**night.settings.model_dump(), "queries": [{"name": "bees", "text": "bees"}]}
        )
        return self._scene("standing queries", Night(asking, night.entries), queries_counted)

    def old(self) -> Scene:
        """Return v1.2, where answers cannot be asked for."""
        night = self.night(2, provider={"api": "v1.2"})
        return self._scene("v1.2 files", night, asked_twice_at_most, Make(ClientV12))

    def old_hold(self) -> Scene:
        """Return v1.2 with the careful policy."""
        night = self.night(2, provider={"api": "v1.2"}, policy={"on_ambiguous_ask": "hold"})
        return self._scene("v1.2 files, hold", night, held_not_repeated, Make(ClientV12))

    def external(self) -> Scene:
        """Return v1.2 and two addresses that the platform fetches itself."""
        settings = settings_for(self.folder, provider={"api": "v1.2"}, policy={"on_ambiguous_ask": "hold"})
        night = Night(settings, [youtube(1), youtube(2)])
        return self._scene("v1.2 external", night, held_not_repeated, Make(ClientV12))

    def limits(self) -> Scene:
        """Return two videos with spending limits; the run that finishes counts what it sends as its own."""
        budget = {"max_usd_per_run": 1.0, "max_usd_per_day": 1.0}
        return self._scene("limits of run and day", _paying(self.night(2, budget=budget)), counted_once)

    def changed_prompt(self) -> Scene:
        """Return a second night in which one prompt is another, and what was heard is wanted, too."""
        first = self.night(2, jobs=_topic("What is it?"))
        second = self.night(2, jobs={**_topic("Who is it?"), "transcripts": True})
        return self._scene("a changed prompt", second, before=[first])

    def deleted_result(self) -> Scene:
        """Return a second night that finds one folder gone."""

        def delete(world: World) -> None:
            world.disk.remove(min(name for name in world.disk.root.names if name != "results.jsonl"))

        return self._scene("a deleted result", self.night(2, delete), before=[self.night(2)])

    def corrected_captions(self) -> Scene:
        """Return a second night that finds other captions beside one of two videos."""

        def lay(words: str) -> Callable[[World], None]:
            def meddle(world: World) -> None:
                (self.folder / "clip-0.srt").write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n")

            return meddle

        first, second = (
            self.night(2, lay(words), index={"name": "films"}) for words in ("Bees fly.", "Beekeepers do not.")
        )
        return self._scene("corrected captions", second, make=Make(adapters=captioned_adapters), before=[first])

    def asked_again(self) -> Scene:
        """Return a second night in which an operator has the questions of one video asked again."""
        second = self.night(2, lambda world: run_virtual(_ask_again(world, second)))
        return self._scene("asked again", second, asked_once_more, before=[self.night(2)])

    def other_line(self) -> Scene:
        """Return a night that died and is never repeated: the next one has a changed prompt and one video more."""
        first = self.night(2, jobs=_topic("What is it?"))
        second = self.night(3, jobs=_topic("Who is it?"))
        return self._scene("finished by another line", first, wanted_is_there, finish=second)

    def taken_back(self) -> Scene:
        """Return a night that died and is never repeated: the next one asks all of it in other words."""

        def asking(prompt: str) -> dict[str, Any]:
            return {"enabled": ["topic"], "settings": {"topic": {"job": "ask", "prompt": prompt}}}

        first, second = (_paying(self.night(2, jobs=asking(prompt))) for prompt in ("What is it?", "Who is it?"))
        return self._scene("a question taken back", first, nothing_goes_on, finish=second, again=2)

    def alike(self) -> Scene:
        """Return two videos whose folders would have one name: the first 40 bits of their keys' hashes are the same."""
        paths = [self.folder / "one.mp4", self.folder / "other.mp4"]
        for path, number in zip(paths, (730677, 1142512), strict=True):
            path.write_bytes(b"film %d" % number)
        return self._scene("names that end alike", replace(self.night(), entries=items(paths, title="film")), apart)

    def fetched(self) -> Scene:
        """Return a video that is fetched first; workers die, too."""
        work = self.folder / "state" / "work"
        youtube_rules = {"min_gap": 0, "max_gap": 0, "pace_folder": work / "pace", "thumbnail": False}
        settings = settings_for(self.folder, youtube=youtube_rules, jobs={"enabled": ["gist"]})
        return Scene(
            "fetched from YouTube", Make(adapters=fetching_adapters), Night(settings, [youtube(1)]), fetched_once,
            mishaps=Mishaps(_messages, _order), new=lambda: fetching_world(self.folder / "out", work),
        )  # fmt: skip

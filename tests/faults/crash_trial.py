"""One scene: a run, every world that a death in it can leave behind, and how each must end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from random import Random
from time import process_time

from pipeline.views import RunReport
from tests.faults.crash_worlds import (
    Album,
    Make,
    Night,
    Picture,
    Reservoir,
    Traces,
    Witness,
    World,
    process,
    published_is_there,
    record,
    traces,
)
from tests.support.clock import run_virtual
from tests.support.disk import silent
from tests.support.fakes import Wreck
from tests.support.index_lines import stale_lines

#: Hold the end of a scenario (world, report of the last run) against the undisturbed end.
Judge = Callable[[World, RunReport, "Trial"], None]


@dataclass
class Count:
    """What a scene came to."""

    scene: str
    instants: int = 0  #: moments before, in and after everything done to the outside
    points: int = 0  #: different worlds among them, power failures included
    lost: int = 0  #: answers and workers lost on the way while the process lives on
    again: int = 0  #: second deaths, in the run that finishes
    held: int = 0  #: items that a person must decide about
    repeated: int = 0  #: questions that were asked twice
    seconds: float = 0.0  #: CPU

    @property
    def scenarios(self) -> int:
        """All runs to the end that were judged."""
        return self.points + self.lost + self.again


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong around a process that lives on: how many there can be in a run like that one, and how to order one."""

    number: Callable[[World], int]
    order: Callable[[World, int], None]


@dataclass(frozen=True)
class Scene:
    """Nights that are lived through before, the one in which everything dies, and the one that finishes."""

    name: str
    make: Make
    crashed: Night
    judge: Judge
    before: Sequence[Night] = ()
    finish: Night | None = None  #: another line than the one that died; None: the same again
    again: int = 4  #: in each nth world, the finishing run dies, too
    mishaps: Mishaps | None = None
    new: Callable[[], World] = field(default=lambda: World.new(None))  # type: ignore[arg-type]


class Trial:
    """Runs a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.count = Count(scene.name)
        self.twice = False  #: whether the world that is judged has seen two deaths
        self.album = Album(promise=published_is_there)
        self._last = scene.finish or scene.crashed
        started = process_time()
        world = self._morning()
        self.calls = record(world, scene.make, scene.crashed, self.album)
        self.mishaps = scene.mishaps.number(world) if scene.mishaps is not None else 0
        if scene.finish is not None:
            self._live(world, scene.finish)
        self.plain: Traces = traces(world)
        self.world = world
        self.count.instants = self.album.instants
        self.count.seconds += process_time() - started

    def run(self, every: int = 1) -> Count:
        """Go through everything, or through ``every`` second, third … world and lost answer."""
        started = process_time()
        rng = Random(self.scene.name)
        for number, (picture, what) in enumerate(self.album.pictures.items()):
            if number % every:
                continue
            self.count.points += 1
            second = self._finish(picture, what, rng if number % self.scene.again == 0 else None)
            if second is not None and second.kept is not None:
                self.count.again += 1
                self.twice = True
                self._finish(second.kept, f"{what}; again at {second.what}", None)
                self.twice = False
        for number, name in enumerate(self.calls, 1):
            if name.startswith("api.") and number % every == 0:
                self.count.lost += 1
                self._survive(f"answer to {name} lost", Wreck((number, "lost")), 0)
        for number in range(1, 1 + self.mishaps):
            self.count.lost += 1
            self._survive(f"mishap {number}", None, number)
        self.count.seconds += process_time() - started
        return self.count

    def _morning(self) -> World:
        world = self.scene.new()
        for night in self.scene.before:
            self._live(world, night)
        if self.scene.crashed.meddle is not None:
            self.scene.crashed.meddle(world)
        return world

    def _live(self, world: World, night: Night) -> None:
        if night is not self.scene.crashed and night.meddle is not None:
            night.meddle(world)
        report = run_virtual(process(world, self.scene.make, night, seed=2))
        assert report.exit_code == 0, report
        world.clock.skew += 86_400.0

    def _finish(self, picture: Picture, what: str, rng: Random | None) -> Reservoir | None:
        world = picture.world()
        reservoir = Reservoir(world, rng) if rng is not None else None
        if reservoir is None:
            report = run_virtual(process(world, self.scene.make, self._last, seed=2))
        else:
            world.listen(reservoir.tell)
            report = run_virtual(process(world, self.scene.make, self._last, Witness(reservoir.tell), seed=2))
            world.listen(silent)
        self._judge(world, report, what)
        return reservoir

    def _survive(self, what: str, wreck: Wreck | None, mishap: int) -> None:
        """Something goes wrong and the process lives on; a run after it must find nothing to mend."""
        world = self._morning()
        if self.scene.mishaps is not None:
            self.scene.mishaps.order(world, mishap)
        run_virtual(process(world, self.scene.make, self.scene.crashed, wreck))
        world.clock.skew += 86_400.0
        report = run_virtual(process(world, self.scene.make, self._last, seed=2))
        self._judge(world, report, what)

    def _judge(self, world: World, report: RunReport, what: str) -> None:
        self.count.held += report.items["held"]
        try:
            self.scene.judge(world, report, self)
            stale = run_virtual(stale_lines(world.disk.files()["results.jsonl"], world.database))
            assert not stale, f"results.jsonl is not true of {stale}"
        except AssertionError as error:
            raise AssertionError(f"{self.scene.name}: {what}: {error}") from error


def table(counts: Sequence[Count]) -> Iterator[str]:
    """Yield the lines of a table: what was enumerated, and at what price."""
    heads = ("instants", 8), ("worlds", 7), ("lost", 5), ("twice", 6), ("scenarios", 9), ("held", 5), ("asked 2x", 8)
    yield " ".join([f"{'scene':34}", *(f"{head:>{width}}" for head, width in heads), f"{'CPU s':>6}"])
    columns = [field.name for field in fields(Count) if field.name != "scene"]
    whole = Count("all", **{name: sum(getattr(each, name) for each in counts) for name in columns})
    for each in [*counts, whole]:
        yield (
            f"{each.scene:34} {each.instants:8} {each.points:7} {each.lost:5} {each.again:6} {each.scenarios:9} "
            f"{each.held:5} {each.repeated:8} {each.seconds:6.1f}"
        )

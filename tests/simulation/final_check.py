"""The end of a seed: nothing is lost, everything undone is explained, and the operator can mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.model import Selection, State
from pipeline.ports.source import Item
from pipeline.views import RunReport
from tests.simulation.ledger import Broken
from tests.support.index_lines import stale_lines

if TYPE_CHECKING:
    from tests.simulation.world import World

#: trouble code -> accidents that explain it, by site or by what happened. Whatever is not here needs no excuse to be a bug.
_ANY_CALL = ("pay", "read", "chunk", "account", "turn", "disk", "store", "clock", "between", "hosts")

EXPLAINED: dict[str, tuple[str, ...]] = {
    "asset_failed": ("failed",),
    "analysis_failed": ("failed",),
    "analysis_canceled": ("canceled", "cancel"),
    "analysis_gone": ("vanish",),
    "bad_answer": ("garbage",),
    "answer_cut_off": ("length",),
    "deadline": ("stuck", "strange", "jump", "freeze", "steal", *_ANY_CALL),
    "resource_not_exist": ("vanish",),
    "refused": (
        "cut",
        "torn",
        "html",
        "list",
        "blank",
        "alien",
        "odd ids",
        "451 after",
    ),  # its words were spoilt, or it is no true one
    "conflict": ("409 after",),
    "gave_up": ("vanish", *_ANY_CALL),
    "ambiguous": _ANY_CALL,
    "provider_down": ("pay", "read", "chunk"),
    "no_answer": ("pay", "read", "chunk"),
    "unreachable": ("pay", "read", "chunk"),
    "unreadable": ("pay", "read", "chunk"),
    "provider_gave_up": ("pay", "read", "chunk"),
    "too_early": ("pay", "read", "chunk"),
    "not_the_api": ("pay", "read", "chunk"),
    "chunk_refused": ("chunk",),
    "no_etag": ("chunk",),
    "rate_limited": ("pay", "read", "chunk"),
    "index_not_listed": ("pay", "read"),
    "database_away": ("hosts",),
    "lost_lease": ("turn", "hosts", "disk", "die before", "die sent", "die answered"),
    "database_locked": ("store",),
    "disk_full": ("disk",),
    "output_trouble": ("disk",),
    "output_not_writable": ("disk",),
}

REPEATS = 8  #: calm runs that do not only wait for a limit


class Reckoning:
    """The last runs of a world."""

    def __init__(self, world: World, night: int) -> None:
        self._world, self._night = world, night

    async def settle(self) -> None:
        """Run until nothing changes, explain what is left, have it retried, and see everything done."""
        await self._quiet()
        await self._explain()
        for _ in range(3):
            if not await self._mend():
                break
            await self._quiet()
        await self._all_done()

    async def _mend(self) -> int:
        world = self._world
        for thing in world.vendor.things.values():  # what was stuck for ever comes loose
            thing.until = min(thing.until, world.vendor.now())
        return await world.operator.retry()

    async def _quiet(self) -> None:
        """Repeat the run until it changes nothing.

        Raises:
            Broken: it goes on changing things, or does not end by itself.
        """
        world = self._world
        repeats = 0
        while repeats < REPEATS:
            before = world.database.rows(), len(world.ledger.effects)
            report = await world.live(self._night, calm=True)
            repeats += 1
            if not isinstance(report, RunReport):
                raise Broken(f"a calm run ended with {report!r}")
            got_on = (world.database.rows(), len(world.ledger.effects)) != before
            # What is on no list any more waits for its limits without a word in the report.
            parked = [each.until for each in await world.database.parked(world.wall())]
            resume = report.resume_at or (min(parked) if parked and report.items["working"] else None)
            if resume is not None:
                repeats -= got_on  # it waits for its limits
                world.loop.jump(min(200_000.0, max(0.0, resume - world.wall())))
            elif report.exit_code not in (0, 3):
                raise Broken(f"a calm run ended with exit code {report.exit_code}: {report.note}")
            elif not got_on:
                return
        changed = [row for number, row in world.database.rows().items() if row != before[0].get(number)]
        raise Broken(f"calm runs go on changing things: {changed}")

    async def _explain(self) -> None:
        """Hold every unfinished task against what has happened."""
        happened = {word for fault in self._world.accidents.fired for word in (fault.site, fault.what)}
        for task in await self._world.database.tasks(Selection()):
            if task.state is State.DONE:
                continue
            if task.state is State.CANCELLED:
                excuse: tuple[str, ...] = ("cancel", "cancel and retry")
            else:
                excuse = EXPLAINED.get(task.trouble.code if task.trouble is not None else "", ())
            if not happened & set(excuse):
                raise Broken(f"unexplained: {task.kind} {task.key} is {task.state} at {task.stage}: {task.trouble}")

    async def _all_done(self) -> None:
        """Check that after the operator's retries every task is done, every wish answered, every file there."""
        world, database = self._world, self._world.database
        undone = [task for task in await database.tasks(Selection()) if task.state is not State.DONE]
        if undone:
            raise Broken(f"never done: {[(t.kind, t.key, t.stage, t.state.value, t.trouble) for t in undone]}")
        planner = world.life.session.components.plan.planner
        files = world.disk.files()
        if stale := await stale_lines(files.get("results.jsonl", b""), database):
            raise Broken(f"results.jsonl is not true of {stale}")
        items = await database.tasks(Selection(kinds=("item",)))
        for video in await database.tasks(Selection(kinds=("video",))):
            thing = world.vendor.things[video.data["media_id"]]
            if thing.data.get("url", thing.name) != (video.data.get("external") or video.data["name"]):
                raise Broken(f"{video.key} was given the upload of another: {thing}")
        keys = {entry.key for entry in world.entries(world.schedule.nights[self._night]) if isinstance(entry, Item)}
        if not keys <= {item.key for item in items}:
            raise Broken(f"lost: {keys - {item.key for item in items}}")
        # What the manifest does not name any more stays as it was left: with old prompts, or as the operator removed it.
        for subject in {item.subject for item in items if item.key in keys}:
            published = await database.tasks(Selection(kinds=("publish",), keys=(subject,)))
            if not subject or not published:
                raise Broken(f"{subject or 'an item'} was never written: {world.database.rows().values()}")
            publish = published[0]
            requests = planner.requests([item for item in items if item.subject == subject])
            wanted = {request.name: request.fingerprint for request in requests}
            earlier = publish.data.get("earlier", ())  # what nobody asks for now stays
            present = {name: each for name, each in publish.data["present"].items() if name not in earlier}
            if present != wanted:
                raise Broken(f"{subject} has {present}, wanted {wanted}")
            sizes = {name: len(files.get(f"{publish.data['folder']}/{name}", b"")) for name in publish.data["sizes"]}
            if sizes != publish.data["sizes"]:
                raise Broken(f"{subject}: files are missing: {sizes} != {publish.data['sizes']}")

"""A database that lets no forbidden step pass, and a disk on which nothing half-written is ever seen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from posixpath import normpath
from typing import Any, Literal, NamedTuple

import anyio
import anyio.lowlevel

from pipeline.core.errors import DatabaseAway, StoreError
from pipeline.core.model import Lane, Placed, Selection, State, Task
from pipeline.ports.sink import OutFile, Sink
from pipeline.ports.store import NO_CAPS, Applied, ApplyAnswer, LaneCaps
from tests.simulation.ledger import Broken
from tests.simulation.wire import LIFE, Accidents, Life
from tests.support.disk import File, Folder, MemoryDisk
from tests.support.memory_database import MemoryDatabase

#: Where a step may lead, by kind and stage; a stage may always be stayed in.
EDGES: Mapping[str, Mapping[str, str]] = {
    "item": {"resolve": "", "download": "", "again": ""},
    "listing": {"expand": ""},
    "video": {
        "place": "open price upload find settle", "price": "upload place", "upload": "find settle place",
        "find": "upload settle place price", "open": "send place",
        "send": "open settle place", "settle": "fan_out place", "fan_out": "place",
    },
    "analysis": {
        "price": "submit find await join", "submit": "find await split price", "find": "await submit price",
        "join": "submit find await split price", "await": "split price duplicate", "duplicate": "await",
        "split": "price finish duplicate",
        "finish": "submit find await price",
    },
    "publish": {"write": ""},
    "batch": {"gather": "", "submit": "look await split", "look": "submit await split", "await": "split", "split": ""},
    "indexing": {"price": "submit find await", "submit": "find await price", "find": "await submit price", "await": ""},
}  # fmt: skip

FIRST_PID = 100_000

_ENDS = (State.PENDING, State.DONE, State.FAILED, State.HELD)


class Row(NamedTuple):
    """What must not change by itself."""

    identity: tuple[str, str]
    state: State
    stage: str
    claims: int
    fence: tuple[str | None, int]
    wake_at: float | None


class Watched(MemoryDatabase):
    """The database of all lives. Every change is held against what its verb may change.

    ``published`` is told of each task of kind ``publish`` that ends as done: by then its files must be safe.
    """

    def __init__(self, published: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._published = published
        self._seen: dict[int, Row] = {}  #: as the last verb left it
        self._written: set[tuple[int, str, int]] = set()  #: the leases under which holders have written

    def _change(self) -> tuple[dict[int, Row], dict[int, Row]]:
        """Return what the last verb left and what is there now."""
        before, self._seen = self._seen, self.rows()
        return before, self._seen

    def rows(self) -> dict[int, Row]:
        """Return every task as it stands."""
        return {
            line.id: Row(
                (line.kind, line.key), line.state, line.stage, line.claims, (line.owner, line.token), line.wake_at
            )
            for line in self._lines.values()
        }

    def spends_by_key(self) -> dict[str, tuple[str, bool]]:
        """Return key -> (what, doubtful) of our own ledger."""
        return {str(row[0]): (str(row[1]), bool(row[5])) for row in self._spends.values()}

    def spent_usd(self) -> float:
        """Return what our own ledger says that analyses cost, settled or at most."""
        return sum((float(row[2]) for row in self._spends.values() if row[1] == "analyze"), 0.0)

    def spent_in(self, run: str) -> float:
        """Return what our own ledger says that a run cost."""
        return sum((float(row[2]) for row in self._spends.values() if row[9] == run), 0.0)

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        changed = await super().submit(tasks, now)
        before, after = self._change()
        placed = {(each.new.kind, each.new.key): each for each in tasks}
        for number, row in after.items():
            _submitted(before.get(number), row, placed)
        return changed

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        tasks = await super().claim(free_slots, owner, now, until, caps)
        if not tasks:
            return tasks
        taken = {task.id for task in tasks}
        before, after = self._change()
        for number, row in after.items():
            old = before[number]
            if number not in taken:
                _same(old, row, "claim")
            elif old.state is not State.PENDING or old.wake_at is None or old.wake_at > now:
                raise Broken(f"claimed what was not due: {old}")
            elif (row.claims, row.fence, row.stage) != (old.claims + 1, (owner, old.fence[1] + 1), old.stage):
                raise Broken(f"claimed wrongly: {old} -> {row}")
        return tasks

    async def renew(self, tasks: Sequence[Task], until: float) -> frozenset[int]:
        ours = await super().renew(tasks, until)
        before, after = self._change()
        leases = {task.id: (task.lease.owner, task.lease.token) for task in tasks if task.lease is not None}
        for number, row in after.items():
            old = before[number]
            if number not in ours:
                _same(old, row, "renew")
            elif old.state is not State.RUNNING or old.fence != leases[number]:
                raise Broken(f"renewed under a lost lease: {old} -> {row}")
            elif row != old._replace(wake_at=until):
                raise Broken(f"renewed wrongly: {old} -> {row}")
        return ours

    async def bring_forward(self, now: float) -> int:
        changed = await super().bring_forward(now)
        before, after = self._change()
        for number, row in after.items():
            old = before[number]
            if old != row and (
                old.state is not State.PENDING
                or old._replace(wake_at=row.wake_at) != row
                or not now <= (row.wake_at or 0.0) <= (old.wake_at or 0.0)
            ):
                raise Broken(f"brought forward wrongly: {old} -> {row}")
        return changed

    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        results, spends, task = dict(self._results), dict(self._spends), applied.task
        answer = await super().apply(applied, now)
        before, after = self._change()
        old, row, lease = before[task.id], after[task.id], task.lease
        ours = old.state is State.RUNNING and lease is not None and old.fence == (lease.owner, lease.token)
        fence = (task.id, *((lease.owner, lease.token) if lease is not None else ("", 0)))
        if answer is ApplyAnswer.WRITTEN and not ours and not (applied.by_holder and fence in self._written):
            raise Broken(f"applied under a lost lease: {old} -> {row}")
        if answer is ApplyAnswer.OVER and not any(spend.calls == 1 and spend.usd > 0 for spend in applied.move.spend):
            raise Broken(f"a limit has forbidden what is no new call: {applied.move.spend}")
        if answer is ApplyAnswer.WRITTEN and not applied.by_holder:
            _gone(old, LIFE.get(), now)
        ours = ours and answer is not ApplyAnswer.OVER
        if not ours and (after != before or results != self._results or spends != self._spends):
            raise Broken(f"changed by a refused outcome: {old} -> {row}")
        if ours:
            self._written |= {fence} if applied.by_holder else set()
            self._moved(old, row, applied)
            spawned = {(placed.new.kind, placed.new.key): placed for placed in applied.spawn}
            for number, each in after.items():
                if number != task.id:
                    _submitted(before.get(number), each, spawned)
        if any(self._results.get(key) != value for key, value in results.items()):
            raise Broken("a result was changed or lost")
        if any(self._spends.get(key) != value for key, value in spends.items()):
            raise Broken("an entry of the ledger was changed or lost")
        return answer

    def _moved(self, old: Row, row: Row, applied: Applied) -> None:
        kind, trouble = old.identity[0], applied.move.trouble
        if trouble is not None and trouble.code == "unexpected":
            raise Broken(f"a step crashed: {old}: {trouble}")
        wished = row.state is State.PENDING and applied.move.state is State.DONE
        for_money = applied.move.word == "parked" and trouble is not None and trouble.code == "budget"
        if for_money and self._lines[applied.task.id].lane != Lane.ANALYZE.value:
            raise Broken(f"waits for money in a lane that a spent budget does not close: {old}")
        allowed = EDGES[kind][old.stage].split()
        if row.state not in _ENDS or (row.stage != old.stage and row.stage not in allowed and not wished):
            raise Broken(f"not along an edge: {old} -> {row}")
        if kind == "publish" and row.state is State.DONE:
            self._published(json.loads(self._lines[applied.task.id].data))

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        changed = await super().command(verb, which, now)
        before, after = self._change()
        edges = {
            "cancel": ({State.PENDING, State.RUNNING, State.HELD}, State.CANCELLED),
            "retry": ({State.FAILED, State.HELD, State.CANCELLED}, State.PENDING),
        }
        sources, target = edges[verb]
        for number, row in after.items():
            old = before[number]
            if old.state is row.state:
                _same(old, row, verb)
            elif old.state not in sources or row.state is not target:
                raise Broken(f"{verb}: {old} -> {row}")
        return changed


def _gone(old: Row, taker: Life | None, now: float) -> None:
    """Check that whoever takes a lease away may do so: it has ended, or was an earlier process's of the same host."""
    host = taker.machine.name if taker is not None else ""
    if host and not (old.fence[0] or "").startswith(f"{host}:") and (old.wake_at or 0.0) > now:
        raise Broken(f"{host} has taken over what another holds: {old}")


def _same(old: Row, row: Row, verb: str) -> None:
    if old != row:
        raise Broken(f"changed by a {verb} of others: {old} -> {row}")


def _submitted(old: Row | None, row: Row, placed: Mapping[tuple[str, str], Placed]) -> None:
    """Check what putting tasks into the queue has done to one row."""
    if old == row:
        return
    mine = placed.get(row.identity)
    if mine is None:
        raise Broken(f"nobody asked for it: {old} -> {row}")
    if old is None:
        if (row.state, row.claims, row.stage) != (State.PENDING, 0, mine.new.stage):
            raise Broken(f"put wrongly: {row}")
        return
    again = old.state is State.DONE or (old.state is State.FAILED and mine.new.restart_failed)
    if not again or (row.state, row.claims, row.stage) != (State.PENDING, 0, mine.new.restart_at):
        raise Broken(f"restarted wrongly: {old} -> {row}")


class Reach:
    """One process's way to the database: gives way to others as a real one does, and is cut off by death."""

    def __init__(self, database: Watched, life: Life, accidents: Accidents) -> None:
        self._database, self._life, self._accidents = database, life, accidents
        self._busy = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._database, name)

        async def reached(*args: Any, **kwargs: Any) -> Any:
            self._life.check()
            await anyio.lowlevel.checkpoint()
            self._life.check()
            self._trouble()
            result = await found(*args, **kwargs)
            await anyio.lowlevel.cancel_shielded_checkpoint()  # a commit is shielded, too
            self._life.check()
            self._answered(name)
            return result

        return reached

    async def aclose(self) -> None:
        """Leave the database to the next life."""

    async def news(self) -> None:
        """Hear of nobody: each life is alone."""
        await anyio.sleep_forever()

    def _answered(self, name: str) -> None:
        """Hand the answer on."""

    def _trouble(self) -> None:
        fault = self._accidents.next("store")
        if fault is not None and fault.what == "broken":
            raise StoreError("The disk failed.", code="database_io")
        if fault is not None:
            self._busy = int(fault.size)
        if self._busy > 0 and not self._accidents.calm:
            self._busy -= 1
            raise DatabaseAway("locked by another process", code="database_locked")


class SinkReach:
    """One process's way to the results: what is asked to be written is the only thing that may ever be seen."""

    def __init__(self, sink: Sink, disk: WatchedDisk, life: Life) -> None:
        self._sink, self._disk, self._life = sink, disk, life
        self.folder, self.write_index, self.amend_index = sink.folder, sink.write_index, sink.amend_index
        self.missing, self.has_index = sink.missing, sink.has_index
        self.edited = sink.edited

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        """Write a video's folder."""
        self._life.check()
        self._disk.allow(folder, files)
        return await self._sink.write(folder, files)

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        """Write into a shared folder."""
        self._life.check()
        self._disk.allow(folder, files)
        await self._sink.add(folder, files)


class WatchedDisk(MemoryDisk):
    """A disk on which every visible file is whole, and safe before it is visible."""

    def __init__(self, mount: str) -> None:
        super().__init__(mount)
        self._allowed: dict[str, set[bytes]] = {}

    def uname(self) -> Any:
        """Return the machine whose process asks."""
        life, real = LIFE.get(), os.uname()
        name = life.machine.name if life is not None else ""
        return os.uname_result((real[0], name or real[1], *real[2:]))

    def getpid(self) -> int:
        """Return a number for each process, where there are several at a time."""
        life = LIFE.get()
        return FIRST_PID + life.number if life is not None and life.machine.name else os.getpid()

    def kill(self, pid: int, number: int) -> None:
        """Know the process that asks, and no other of its machine: it was there before."""
        if pid != self.getpid():
            raise ProcessLookupError

    def allow(self, folder: str, files: Sequence[OutFile]) -> None:
        """Note what may be seen from now on."""
        for file in files:
            content = (
                file.content if isinstance(file.content, bytes) else file.content.encode("utf-8", "backslashreplace")
            )
            self._allowed.setdefault(normpath(f"{folder or '.'}/{file.name}"), set()).add(content)

    def shown(self, where: Folder, name: str) -> None:
        file = where.names[name]
        if isinstance(file, File) and file.kept != file.content:
            raise Broken(f"{name} was shown before it was safe on the disk")
        self.check()

    def check(self) -> None:
        """Hold every visible file against what was asked to be written.

        Raises:
            Broken: a file is not whole.
        """
        for path, content in self.files().items():
            if path.endswith(".tmp"):
                continue
            if path == "results.jsonl":
                _lines(content)
            elif content not in self._allowed.get(path, ()) and not self._carried(path, content):
                raise Broken(f"{path} is not whole: {content[:80]!r} ({len(content)} bytes)")

    def _carried(self, path: str, content: bytes) -> bool:
        """True for a record that also lists answers which the database has given up, each of them there."""
        folder, _, name = path.rpartition("/")
        if name != "video.json":
            return False
        found = json.loads(content)
        for allowed in map(json.loads, self._allowed.get(path, ())):
            more = {*found["files"]} - {*allowed["files"]}
            same = {**found, "files": allowed["files"], "sha256": allowed["sha256"]} == allowed
            if same and all(each.startswith("raw/") and f"{folder}/{each}" in self.files() for each in more):
                return True
        return False

    def published(self, data: Mapping[str, Any]) -> None:
        """Check that a folder whose task is done would survive a power failure."""
        safe = self.safe()
        for name, size in data["sizes"].items():
            content = safe.get(f"{data['folder']}/{name}")
            if content is None or len(content) != size:
                raise Broken(f"{data['folder']}/{name} is done but not safe on the disk")


def _lines(content: bytes) -> None:
    try:
        entries = [json.loads(line) for line in content.splitlines()]
    except ValueError as error:
        raise Broken(f"results.jsonl is not whole: {error}") from None
    if (not content.endswith(b"\n") and content) or not all("key" in entry for entry in entries):
        raise Broken("results.jsonl is not whole")

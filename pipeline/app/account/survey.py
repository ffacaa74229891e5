"""Compares the database with the account, page by page of both.

It keeps only what a plan is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pipeline.app.account.disposition import Disposition, LocalRecord, classify
from pipeline.app.account.repairs import find_repair
from pipeline.app.operator.display_names import display_source
from pipeline.core.clock import Clock
from pipeline.core.model import Selection, State, Task
from pipeline.ingest.payloads import IndexingData, ItemData, VideoData
from pipeline.ingest.remote_names import analysis_digest, parse_custom_id, parse_upload_name, upload_digest
from pipeline.ports.inventory import Inventory, ObjectType, OpenSession, RemoteObject
from pipeline.ports.store import Records, read_pages
from pipeline.store.sqlite.scratch_index import ScratchIndex
from pipeline.views import Expiring, Leftover, OpenUpload, Reconciliation, Vanished

T = TypeVar("T")
_PAGE = 1000  #: tasks read at once
_FEW = 50  #: videos asked for at once
#: Only for batches is it said how long answers are kept, days; for single tasks the vendor names no time, so this is the
#: longest that may be counted on.
_KEPT_DAYS = 30
_DAY = 86_400.0
_SOON = 7 * _DAY


@dataclass(frozen=True, slots=True)
class Classified:
    """An object in the account, its disposition, and the task that decided."""

    remote: RemoteObject
    disposition: Disposition
    task: Task | None = None

    @property
    def subject(self) -> str:
        """The video's key, where the database knows it."""
        return self.task.subject or self.task.key if self.task is not None else ""


@dataclass(slots=True)
class _Findings:
    """What a plan is about, at most ``limit`` of each; everything is counted."""

    limit: int
    only: frozenset[str]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    orphans: list[Classified] = field(default_factory=list)
    strays: list[Classified] = field(default_factory=list)
    vanished: list[Task] = field(default_factory=list)
    expiring: list[tuple[Classified, float]] = field(default_factory=list)
    sessions: list[tuple[OpenSession, Task | None]] = field(default_factory=list)
    left_out: int = 0
    met: set[str] = field(default_factory=set)  #: of ``only``

    def count(self, classified: Classified) -> None:
        of_sort = self.counts.setdefault(classified.remote.sort, {})
        of_sort[classified.disposition.value] = of_sort.get(classified.disposition.value, 0) + 1

    def keep(self, classified: Classified) -> None:
        if classified.disposition.orphan:
            self._keep(self.orphans, classified, classified.remote.id)
        elif classified.disposition is Disposition.STRAY:
            self._keep(self.strays, classified, classified.remote.id)

    def miss(self, video: Task, media_id: str) -> None:
        self._keep(self.vanished, video, media_id)

    def _keep(self, those: list[T], one: T, name: str) -> None:
        if self.only and name not in self.only:
            return
        self.met.add(name)
        if len(those) < self.limit:
            those.append(one)
        else:
            self.left_out += 1


class Survey:
    """One comparison; ``places`` names further indexes to look into."""

    def __init__(
        self,
        records: Records,
        inventory: Inventory,
        scratch_index: ScratchIndex,
        clock: Clock,
        *,
        places: Iterable[str] = (),
        price: Callable[[float], float] = lambda _seconds: 0.0,
    ) -> None:
        self._records = records
        self._inventory = inventory
        self._scratch = scratch_index
        self._clock = clock
        self._places = set(places)
        self._price = price

    async def load_local(self) -> None:
        """Fill the scratch index with the words by which the platform knows our tasks."""
        for kind, words in (("video", self._of_video), ("analysis", _of_analysis), ("indexing", self._of_indexing)):
            async with aclosing(read_pages(self._records, Selection(kinds=(kind,), limit=_PAGE))) as pages:
                async for page in pages:
                    await self._scratch.add(entry for task in page for entry in words(task))

    async def compare(self, limit: int, only: Sequence[str] = ()) -> Reconciliation:
        """Read the whole account; plan at most ``limit`` things of each kind."""
        found = _Findings(limit, frozenset(only))
        now = self._clock.now()
        for sort in self._inventory.object_types:
            for place in sorted(self._places) if sort in self._inventory.per_index else [""]:
                async with aclosing(self._inventory.objects(sort, place)) as pages:
                    async for page in pages:
                        await self._scan_page(found, page, now)
        await self._sessions(found)
        await self._vanished(found)
        return await self._plan(found, now)

    async def classify(self, remotes: Sequence[RemoteObject]) -> list[Classified]:
        """Classify objects of one type, by what the database says at this moment."""
        words = {remote: _words(remote) for remote in remotes}
        known = await self._scratch.find([word for each in words.values() for word in each])
        keys = {remote: next((known[word] for word in each if word in known), "") for remote, each in words.items()}
        wanted = tuple({key for key in keys.values() if key})
        asked = await self._tasks("analysis", wanted) if remotes and remotes[0].sort == "analysis" else {}
        records = await self._load_records(wanted) if not asked else {}
        return [self._classify(remote, records.get(key), asked.get(key)) for remote, key in keys.items()]

    def _classify(self, remote: RemoteObject, record: LocalRecord | None, analysis: Task | None) -> Classified:
        disposition = classify(remote, record, self._inventory.identity, analysis)
        return Classified(remote, disposition, analysis or (record.video if record is not None else None))

    # ------------------------------------------------------------------------------------------------- the account

    async def _scan_page(self, found: _Findings, page: Sequence[RemoteObject], now: float) -> None:
        if page[0].sort == self._inventory.upload_type:
            await self._scratch.mark_seen([f"m:{remote.id}" for remote in page])
        for classified in await self.classify(page):
            if (
                classified.remote.owner is None
                and classified.remote.sort == "indexed"
                and classified.disposition.removable
            ):
                classified = await self._looked_at(classified)
            found.count(classified)
            found.keep(classified)
            end = _end_of_answer(classified)
            if end is not None and end < now + _SOON and len(found.expiring) < found.limit:
                found.expiring.append((classified, end))

    async def _looked_at(self, classified: Classified) -> Classified:
        """Classify again after a single look: lists leave out the metadata."""
        fresh = await self._inventory.get(classified.remote)
        return (
            (await self.classify([fresh]))[0]
            if fresh is not None
            else Classified(classified.remote, Disposition.FOREIGN)
        )

    async def _sessions(self, found: _Findings) -> None:
        async with aclosing(self._inventory.sessions()) as sessions:
            async for session in sessions:
                keys = (await self._scratch.find([f"s:{session.id}"])).values()
                video = next(iter((await self._tasks("video", tuple(keys))).values()), None)
                if len(found.sessions) < found.limit:
                    found.sessions.append((session, video))

    async def _vanished(self, found: _Findings) -> None:
        """Ask once more for unlisted uploads: lists shift while they are read."""
        after = ""
        while missed := await self._scratch.unseen(after, _FEW):
            after = missed[-1][0]
            for video in await self.missing(tuple(dict.fromkeys(key for _, key in missed))):
                found.miss(video, self.needed(video))

    async def missing(self, keys: Sequence[str]) -> list[Task]:
        """Return those finished videos whose upload is not there now.

        What an operator has stopped is not missed: its upload may well have gone as a leftover.
        """
        wanted = [each.video for each in (await self._load_records(keys)).values() if not each.stopped]
        done = [video for video in wanted if video.state is State.DONE and self.needed(video)]
        by_place: dict[str, list[Task]] = {}
        for video in done:
            place = VideoData.of(video).index_id if self._inventory.upload_type in self._inventory.per_index else ""
            by_place.setdefault(place, []).append(video)
        lost: list[Task] = []
        for place, those in by_place.items():
            there = await self._inventory.existing(
                self._inventory.upload_type, [self.needed(each) for each in those], place
            )
            lost += [each for each in those if self.needed(each) not in there]
        return lost

    def needed(self, video: Task) -> str:
        """Return the id that the next analysis would name, or empty.

        It is empty if the video was uploaded elsewhere.
        """
        data = VideoData.of(video)
        if data.provider != self._inventory.identity:
            return ""
        return data.media_id if self._inventory.upload_type == "asset" else data.answer_id

    # ------------------------------------------------------------------------------------------------ the database

    def _of_video(self, video: Task) -> Iterator[tuple[str, str, bool]]:
        data = VideoData.of(video)
        yield f"u:{upload_digest(video.key)}", video.key, False
        if data.provider != self._inventory.identity:
            return
        for media_id in LocalRecord(video).media:
            yield f"m:{media_id}", video.key, video.state is State.DONE and media_id == self.needed(video)
        if data.session is not None:
            yield f"s:{data.session.upload_id}", video.key, False
        if self._inventory.upload_type in self._inventory.per_index and data.index_id:
            self._places.add(data.index_id)

    def _of_indexing(self, task: Task) -> Iterator[tuple[str, str, bool]]:
        data = IndexingData.of(task)
        self._places.add(data.index_id)
        if data.video_id:
            yield f"i:{data.video_id}", task.subject, False

    async def _load_records(self, keys: Sequence[str]) -> dict[str, LocalRecord]:
        if not keys:
            return {}
        tasks = await self._records.tasks(Selection(kinds=("video", "analysis", "indexing"), subjects=tuple(keys)))
        by_subject: dict[str, dict[str, list[Task]]] = {key: {} for key in keys}
        for task in tasks:
            by_subject[task.subject].setdefault(task.kind, []).append(task)
        return {
            key: LocalRecord(kinds["video"][0], kinds.get("analysis", ()), kinds.get("indexing", ()))
            for key, kinds in by_subject.items()
            if "video" in kinds
        }

    async def _tasks(self, kind: str, keys: tuple[str, ...]) -> dict[str, Task]:
        if not keys:
            return {}
        return {task.key: task for task in await self._records.tasks(Selection(kinds=(kind,), keys=keys))}

    async def _items(self, subjects: Iterable[str]) -> dict[str, list[Task]]:
        found: dict[str, list[Task]] = {}
        keys = sorted({subject for subject in subjects if subject})
        for start in range(0, len(keys), _PAGE):
            which = Selection(kinds=("item",), subjects=tuple(keys[start : start + _PAGE]))
            for item in await self._records.tasks(which):
                found.setdefault(item.subject, []).append(item)
        return found

    # ---------------------------------------------------------------------------------------------------- the plan

    async def _plan(self, found: _Findings, now: float) -> Reconciliation:
        classified = [*found.orphans, *found.strays, *(each for each, _ in found.expiring)]
        open_for = [video.key for _, video in found.sessions if video is not None]
        items = await self._items([*(e.subject for e in classified), *(v.key for v in found.vanished), *open_for])
        names = {subject: display_source(ItemData.of(those[0]).source) for subject, those in items.items()}
        return Reconciliation(
            account=self._inventory.identity,
            at=now,
            counts=found.counts,
            orphans=[_leftover(each, names) for each in found.orphans],
            strays=[_leftover(each, names) for each in found.strays],
            vanished=[await self._lost(video, items.get(video.key, []), names) for video in found.vanished],
            expiring=[
                Expiring("answer", each.remote.id, names.get(each.subject, ""), end) for each, end in found.expiring
            ],
            sessions=[_open_upload(session, video, names) for session, video in found.sessions],
            left_out=found.left_out,
            not_found=sorted(found.only - found.met),
        )

    async def _lost(self, video: Task, items: Sequence[Task], names: Mapping[str, str]) -> Vanished:
        data = VideoData.of(video)
        repair = await find_repair(video, items)
        usd = 0.0 if repair == "none" else self._price(data.length)
        name = names.get(video.key, video.key)
        return Vanished(video.key, self.needed(video), name, repair, data.size, data.length, usd)


def _words(remote: RemoteObject) -> list[str]:
    """Return a thing's words in the scratch index, its own id first."""
    if remote.sort == "analysis":
        parsed = parse_custom_id(remote.name)
        return [f"q:{parsed.digest}"] if parsed is not None else []
    parsed = parse_upload_name(remote.name)
    own: Mapping[ObjectType, str] = {"indexed": "i:"}
    return [f"{own.get(remote.sort, 'm:')}{remote.id}", *([f"u:{parsed.digest}"] if parsed is not None else [])]


def _of_analysis(task: Task) -> Iterator[tuple[str, str, bool]]:
    yield f"q:{analysis_digest(task.key)}", task.key, False


def _end_of_answer(classified: Classified) -> float | None:
    """Return until when an unfetched answer surely lasts, epoch seconds, or None."""
    remote, task = classified.remote, classified.task
    if remote.sort != "analysis" or task is None or remote.status != "ready" or remote.created is None:
        return None
    waited_for = classified.disposition in (Disposition.KEPT, Disposition.AWAITED) and task.state is not State.DONE
    return remote.created + _KEPT_DAYS * _DAY if waited_for else None


def _leftover(classified: Classified, names: Mapping[str, str]) -> Leftover:
    key = classified.task.key if classified.task is not None else ""
    return Leftover(classified.disposition.value, classified.remote, key, names.get(classified.subject, ""))


def _open_upload(session: OpenSession, video: Task | None, names: Mapping[str, str]) -> OpenUpload:
    until = session.expires or 0.0
    if video is None:
        return OpenUpload(session.id, "foreign", "", session.size, until)
    over = video.state in (State.DONE, State.CANCELLED)
    state: Literal["in use", "left behind"] = "left behind" if over else "in use"
    return OpenUpload(session.id, state, names.get(video.key, video.key), session.size, until)

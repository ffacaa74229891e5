"""Adopts what carries our names in the account but is not in the database.

So it is not paid for again. It was made from another state folder, or from one that was lost. Each lookup reads one more
page of the account's list; until that is read to its end, the platform is also asked for the one name. So a lookup costs two
requests at most, and all of them hardly more than the cheaper of two ways: one request for each, or the whole list.

Runs that upload the same video at the same time agree on one of the uploads. What they ask of it is the same then, and
carries the same key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TypeVar

import anyio

from pipeline.core.errors import Transient
from pipeline.core.log import get
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.remote_names import (
    RemoteName,
    analysis_digest,
    matches_owner,
    parse_custom_id,
    parse_upload_name,
    upload_digest,
)
from pipeline.ingest.request_builder import analysis_key, group_requests
from pipeline.ports.inventory import Inventory, ObjectType, RemoteObject

T = TypeVar("T")
_log = get("adoption")
_PAGES = 400  #: of a list that are read and kept in memory: 20,000 objects; beyond that each name is asked for
_REFRESHED = 40  #: pages at the top of a list that are read again at most
_REMEMBERED = 4_000  #: ids at the top of a list, by which the end of what is newer is known

_TOGETHER = 8  #: requests of which every group is looked for; of more, only all together and each alone


@dataclass(frozen=True, slots=True)
class Trace:
    """One upload or analysis in the account that carries a name of ours."""

    id: str
    name: str
    generation: int
    ready: bool
    failed: bool
    created: float | None  #: epoch seconds by the platform's clock
    place: str
    media: str
    heard: str | None = None  #: fingerprint of the captions that it carries; None: nobody can tell


class Adoption:
    """What one account holds under our names, as seen in this run.

    Of what others make meanwhile, only uploads of the same videos are seen, and what was made of those.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._upload_type: ObjectType = "asset" if "asset" in inventory.object_types else "task"
        self._uploads = _Listing(partial(inventory.objects, self._upload_type), _parse_upload)
        self._analyses = _Listing(partial(inventory.objects, "analysis"), _parse_analysis)
        self._shared: set[str] = set()  #: uploads that another run works with at this time

    async def upload(self, key: str, name: str, place: str, *, complete: bool, late: bool = False) -> Trace | None:
        """Return the latest usable upload of a video; None: there is none.

        ``name`` is what ours would be called. ``place`` is the index it must be in (v1.2). ``complete``: only one that
        is ready will do, because another one may be waiting for parts that nobody sends any more. ``late``: also one that
        was not there when the list was read.
        """
        digest = upload_digest(key)
        part = digest if self._upload_type == "asset" else name
        narrowed = partial(self._inventory.objects, self._upload_type, name=part)
        look = self._uploads.look if late else self._uploads.find
        usable = [
            trace
            for trace in (await look([digest], narrowed)).get(digest, [])
            if trace.place == place and not trace.failed and (trace.ready or not complete)
        ]
        found = max(usable, key=lambda trace: (trace.ready, trace.generation), default=None)
        if found is not None and found.id in self._uploads.later:
            self._shared.add(found.id)
        if found is not None and found.media and not await self._inventory.existing("video", [found.media], place):
            return None  # of v1.2: its task is left, its video is deleted
        return found

    async def elect(self, key: str, media_id: str, generation: int, *, complete: bool) -> Trace | None:
        """Return the upload of a video that runs at work share, or None.

        None: no other run has uploaded it. Else it is the oldest of this generation that did not fail; of those with equal
        times, the one with the smaller id. ``media_id`` is ours; ``complete`` as for :meth:`upload`. All videos of a run
        share one look at the newest uploads.
        """
        digest = upload_digest(key)
        if self._upload_type != "asset" or not await self._uploads.others(digest, media_id):
            return None
        usable = []
        async with aclosing(self._inventory.objects("asset", name=digest)) as pages:
            async for page in pages:
                usable += [
                    trace
                    for found, trace in self._uploads.ours(page)
                    if found == digest and trace.generation == generation
                    if not trace.failed and (trace.ready or not complete)
                ]
        if all(trace.id == media_id for trace in usable):
            return None
        chosen = min(usable, key=lambda trace: (trace.created or 0.0, trace.id))
        self._shared.add(chosen.id)
        return chosen

    async def analysis(self, key: str, media_id: str, generation: int) -> tuple[Trace | None, int]:
        """Return the latest analysis that did not fail, and the first unused generation.

        Only those from ``generation`` on count; ``media_id`` is the asset that it was asked of.
        """
        if "analysis" not in self._inventory.object_types:
            return None, generation
        narrowed = partial(self._inventory.objects, "analysis", media=media_id)
        digest = analysis_digest(key)
        listed = await self._analyses.find([digest], narrowed, newest=True)
        found = [trace for trace in listed.get(digest, []) if trace.generation >= generation]
        alive = [trace for trace in found if not trace.failed]
        unused = max((trace.generation + 1 for trace in found), default=generation)
        return max(alive, key=lambda trace: (trace.generation, trace.ready), default=None), unused

    async def group(
        self, subject: str, requests: Sequence[JobRequest], media_id: str, *, fuse: bool
    ) -> list[list[JobRequest]]:
        """Return the requests that share a call, those answered already first.

        Another state folder may have asked for other jobs, in other groups than we would form now.
        """
        chosen: list[list[JobRequest]] = []
        left: list[JobRequest] = []
        for window in dict.fromkeys(request.window for request in requests):
            near = [request for request in requests if request.window == window]
            answered = await self._answered(subject, near, media_id)
            taken = {request.identity for group in answered for request in group}
            chosen += answered
            left += [request for request in near if request.identity not in taken]
        return chosen + group_requests(left, fuse=fuse)

    async def _answered(self, subject: str, requests: Sequence[JobRequest], media_id: str) -> list[list[JobRequest]]:
        """Return the groups that were asked before, all about one part."""
        sizes = range(len(requests), 0, -1) if len(requests) <= _TOGETHER else (len(requests), 1)
        groups = {
            analysis_digest(analysis_key(subject, group)): group
            for size in sizes
            for group in combinations(requests, size)
        }
        found: Mapping[str, list[Trace]] = {}
        if groups and "analysis" in self._inventory.object_types:
            narrowed = partial(self._inventory.objects, "analysis", media=media_id)
            found = await self._analyses.find(groups, narrowed, newest=media_id in self._shared)
        chosen: list[list[JobRequest]] = []
        left = {request.identity: request for request in requests}
        for digest, group in groups.items():
            answered = any(not trace.failed for trace in found.get(digest, ()))
            if answered and all(request.identity in left for request in group):
                chosen.append([left.pop(request.identity) for request in group])
        return chosen


class _Listing:
    """One list of the account, read on and kept as lookups need it."""

    def __init__(
        self,
        pages: Callable[[], AsyncGenerator[Sequence[RemoteObject], None]],
        parse: Callable[[RemoteObject], RemoteName | None],
    ) -> None:
        self._open = pages
        self._pages = pages()
        self._parse = parse
        self._left = _PAGES
        self._begun = self._whole = False
        self._known: dict[str, list[Trace]] = {}
        self._seen: dict[str, None] = {}  #: ids at the top of the list
        self.later: set[str] = set()  #: ids of ours that were made after the list was first read
        self._looks = self._answered = 0  # looks at what is new: how many were begun, which one was the last to succeed
        self._turn = anyio.Lock()

    async def find(
        self,
        digests: Collection[str],
        narrowed: Callable[[], AsyncGenerator[Sequence[RemoteObject], None]],
        *,
        newest: bool = False,
    ) -> Mapping[str, list[Trace]]:
        """Return what carries one of these digests, by digest.

        ``narrowed`` lists that, and little else. ``newest``: not only what was there when the list was read.
        """
        async with self._turn:
            if not self._whole and self._left and not self._known.keys() >= set(digests):
                await self._read_on()
            if self._whole and newest and not self._known.keys() >= set(digests):
                await self._refresh()
            known = {digest: self._known[digest] for digest in digests if digest in self._known}
            if self._whole or len(known) == len(digests):
                return known
        return await self.look(digests, narrowed)

    async def look(
        self, digests: Collection[str], narrowed: Callable[[], AsyncGenerator[Sequence[RemoteObject], None]]
    ) -> Mapping[str, list[Trace]]:
        """Return what carries one of these digests now, by digest."""
        found: dict[str, list[Trace]] = {}
        async with aclosing(narrowed()) as pages:
            async for page in pages:
                for digest, trace in self.ours(page):
                    if digest in digests:
                        found.setdefault(digest, []).append(trace)
        return found

    async def others(self, digest: str, own: str) -> bool:
        """Return True if something else than ``own`` carries this digest by now.

        One look serves all who waited for it; a list that shows what was made only later is not asked for each of them.
        """
        asked_at = self._looks
        async with self._turn:
            if own not in self._seen and self._answered <= asked_at:
                await self._refresh()
            others = [trace for trace in self._known.get(digest, ()) if trace.id != own]
            if not others:
                self._known.pop(digest, None)
            self.later.discard(own)
            return bool(others)

    async def _refresh(self) -> None:
        """Read what is newer than all that was read."""
        self._looks += 1
        if not self._begun:
            await self._read_on()
        try:
            async with aclosing(self._open()) as pages:
                async for page in _first(pages, _REFRESHED):
                    new = [remote for remote in page if remote.id not in self._seen]
                    self._seen |= dict.fromkeys(remote.id for remote in new)
                    for digest, trace in self.ours(new):
                        self._known.setdefault(digest, []).append(trace)
                        self.later.add(trace.id)
                    if len(new) < len(page):
                        break
        except Transient as error:
            if not _is_unreadable(error):
                raise
        self._answered = self._looks
        for old in list(self._seen)[:-_REMEMBERED]:
            del self._seen[old]

    async def _read_on(self) -> None:
        self._left -= 1
        try:
            page = await anext(self._pages, None)
        except BaseException as error:  # the generator has ended by it: a cancelled look begins again
            self._pages, self._left = self._open(), _PAGES
            self._known.clear()
            if not _is_unreadable(error):
                raise
            self._left = 0
            return
        if page is None:
            self._whole = self._begun = True
            return
        if not self._begun:
            self._begun, self._seen = True, dict.fromkeys(remote.id for remote in page)
        for digest, trace in self.ours(page):
            self._known.setdefault(digest, []).append(trace)

    def ours(self, page: Sequence[RemoteObject]) -> list[tuple[str, Trace]]:
        """Return what carries a name of ours, by its digest."""
        found = []
        for remote in page:
            name = self._parse(remote)
            if name is not None:
                trace = Trace(
                    remote.id, remote.name, name.generation, remote.ready, remote.failed,
                    remote.created, remote.place, remote.media, remote.captions,
                )  # fmt: skip
                found.append((name.digest, trace))
        return found


def _is_unreadable(error: BaseException) -> bool:
    """Return True for a list that makes no sense: it is done without."""
    unreadable = isinstance(error, Transient) and error.trouble.code == "unreadable"
    if isinstance(error, Transient) and unreadable:
        _log.warning("account.list_unreadable", detail=error.trouble.detail)
    return unreadable


async def _first(pages: AsyncGenerator[T, None], most: int) -> AsyncGenerator[T, None]:
    """Yield so many at most."""
    async for page in pages:
        yield page
        most -= 1
        if not most:
            return


def _parse_upload(remote: RemoteObject) -> RemoteName | None:
    """Return what our name says, unless the metadata names another video."""
    name = parse_upload_name(remote.name)
    return name if name is not None and (not remote.owner or matches_owner(name, remote.owner)) else None


def _parse_analysis(remote: RemoteObject) -> RemoteName | None:
    return parse_custom_id(remote.name)

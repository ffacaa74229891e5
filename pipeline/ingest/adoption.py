"""Adopts what carries our names in the account but is not in the database.

So it is not paid for again. It was made from another state folder, or from one that was lost. Each lookup reads one more
page of the account's list; until that is read to its end, the platform is also asked for the one name. So a lookup costs two
requests at most, and all of them hardly more than the cheaper of two ways: one request for each, or the whole list.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import combinations

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

_log = get("adoption")
_PAGES = 400  #: of a list that are read and kept in memory: 20,000 objects; beyond that each name is asked for

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


class Adoption:
    """What one account holds under our names, as seen in this run.

    What is made meanwhile need not be seen.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._upload_type: ObjectType = "asset" if "asset" in inventory.object_types else "task"
        self._uploads = _Listing(partial(inventory.objects, self._upload_type), _parse_upload)
        self._analyses = _Listing(partial(inventory.objects, "analysis"), _parse_analysis)

    async def upload(self, key: str, name: str, place: str, *, complete: bool) -> Trace | None:
        """Return the latest usable upload of a video; None: there is none.

        ``name`` is what ours would be called. ``place`` is the index it must be in (v1.2). ``complete``: only one that
        is ready will do, because another one may be waiting for parts that nobody sends any more.
        """
        digest = upload_digest(key)
        part = digest if self._upload_type == "asset" else name
        narrowed = partial(self._inventory.objects, self._upload_type, name=part)
        usable = [
            trace
            for trace in (await self._uploads.find([digest], narrowed)).get(digest, [])
            if trace.place == place and not trace.failed and (trace.ready or not complete)
        ]
        found = max(usable, key=lambda trace: (trace.ready, trace.generation), default=None)
        if found is not None and found.media and not await self._inventory.existing("video", [found.media], place):
            return None  # of v1.2: its task is left, its video is deleted
        return found

    async def analysis(self, key: str, media_id: str, generation: int) -> tuple[Trace | None, int]:
        """Return the latest analysis that did not fail, and the first unused generation.

        Only those from ``generation`` on count; ``media_id`` is the asset that it was asked of.
        """
        if "analysis" not in self._inventory.object_types:
            return None, generation
        narrowed = partial(self._inventory.objects, "analysis", media=media_id)
        digest = analysis_digest(key)
        listed = await self._analyses.find([digest], narrowed)
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
        sizes = range(len(requests), 0, -1) if len(requests) <= _TOGETHER else (len(requests), 1)
        groups = {
            analysis_digest(analysis_key(subject, group)): group
            for size in sizes
            for group in combinations(requests, size)
        }
        found: Mapping[str, list[Trace]] = {}
        if groups and "analysis" in self._inventory.object_types:
            found = await self._analyses.find(groups, partial(self._inventory.objects, "analysis", media=media_id))
        chosen: list[list[JobRequest]] = []
        left = {request.identity: request for request in requests}
        for digest, group in groups.items():
            answered = any(not trace.failed for trace in found.get(digest, ()))
            if answered and all(request.identity in left for request in group):
                chosen.append([left.pop(request.identity) for request in group])
        return chosen + group_requests(list(left.values()), fuse=fuse)


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
        self._whole = False
        self._known: dict[str, list[Trace]] = {}
        self._turn = anyio.Lock()

    async def find(
        self, digests: Collection[str], narrowed: Callable[[], AsyncGenerator[Sequence[RemoteObject], None]]
    ) -> Mapping[str, list[Trace]]:
        """Return what carries one of these digests, by digest.

        ``narrowed`` lists that, and little else.
        """
        async with self._turn:
            if not self._whole and self._left and not self._known.keys() >= set(digests):
                await self._read_on()
            known = {digest: self._known[digest] for digest in digests if digest in self._known}
            if self._whole or len(known) == len(digests):
                return known
        found: dict[str, list[Trace]] = {}
        async with aclosing(narrowed()) as pages:
            async for page in pages:
                for digest, trace in self._ours(page):
                    if digest in digests:
                        found.setdefault(digest, []).append(trace)
        return found

    async def _read_on(self) -> None:
        self._left -= 1
        try:
            page = await anext(self._pages, None)
        except BaseException as error:  # the generator has ended by it: a cancelled look begins again
            self._pages, self._left = self._open(), _PAGES
            self._known.clear()
            if not isinstance(error, Transient) or error.trouble.code != "unreadable":
                raise
            _log.warning("account.list_unreadable", detail=error.trouble.detail)
            self._left = 0
            return
        if page is None:
            self._whole = True
            return
        for digest, trace in self._ours(page):
            self._known.setdefault(digest, []).append(trace)

    def _ours(self, page: Sequence[RemoteObject]) -> list[tuple[str, Trace]]:
        found = []
        for remote in page:
            name = self._parse(remote)
            if name is not None:
                trace = Trace(
                    remote.id, remote.name, name.generation, remote.ready, remote.failed,
                    remote.created, remote.place, remote.media,
                )  # fmt: skip
                found.append((name.digest, trace))
        return found


def _parse_upload(remote: RemoteObject) -> RemoteName | None:
    """Return what our name says, unless the metadata names another video."""
    name = parse_upload_name(remote.name)
    return name if name is not None and (not remote.owner or matches_owner(name, remote.owner)) else None


def _parse_analysis(remote: RemoteObject) -> RemoteName | None:
    return parse_custom_id(remote.name)

"""``pipeline.ports.index_api.IndexApi`` over a dialect and the HTTP border: the same calls, limits and errors as the client."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.model import Json
from pipeline.ports.index_api import (
    ClassifiedVideo,
    ClassifyQuery,
    IndexedVideo,
    IndexInfo,
    IndexSpec,
    ListFilter,
    SearchQuery,
    SearchResults,
)
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.index_protocol import IndexDialect, TokenPage
from pipeline.provider.dialects.protocol import Page, Request, Response
from pipeline.provider.http.caller import ApiCaller

T = TypeVar("T")

Words = Mapping[str, tuple[str, str]]  #: our code -> plain sentence and remedy, where more is known than the code says

_ID = re.compile(r"[0-9a-f]{24}")

_PAGES = 10_000  #: of one list: a list without an end is not followed for ever

_MOST_PROMPTS = 100

_GONE = "resource_not_exist"

_INDEX: Words = {_GONE: ("the platform has no such index", "`reelmill indexes` lists those of this account")}

_VIDEO: Words = {_GONE: ("the index has no such video", "`reelmill videos` lists those of an index")}

_OPTION = "the detail says why; `reelmill indexes` shows the options of each index, which cannot be changed later"

_SEARCH: Words = {
    **_INDEX,
    "search_option_not_supported": ("the platform cannot search this index by one of these options", _OPTION),
    "index_not_supported_for_search": ("the index was made without a model for search", _OPTION),
    "search_filter_invalid": ("the platform does not understand the filter of the search", "correct the filter"),
    "parameter_invalid": ("the platform refuses a value of the request", "correct it; the detail says which"),
}
#: A token that we were just given can be refused for one reason only, whatever words are used for it.
_EXPIRED: Words = dict.fromkeys(
    ("search_page_token_expired", _GONE, "gone", "refused", "parameter_invalid"),
    ("the next page of results is no longer kept", "ask again, and fetch all pages at once"),
)


class IndexClient:
    """Indexes, the videos in them, search and classification. See ``pipeline.ports.index_api.IndexApi``."""

    def __init__(self, calls: ApiCaller, dialect: IndexDialect, identity: str) -> None:
        self._calls, self._dialect, self._identity = calls, dialect, identity

    @property
    def identity(self) -> str:
        """Name and dialect, as the client's."""
        return self._identity

    # ------------------------------------------------------------------------------------------------------- indexes

    async def indexes(self, which: ListFilter) -> AsyncGenerator[IndexInfo, None]:
        """Yield all indexes that fit, page by page. ``name`` is compared exactly, whatever the platform does."""
        dialect = self._dialect
        async with aclosing(self._pages(lambda page: dialect.many(which, page), dialect.read_indexes, {})) as found:
            async for index in found:
                if not which.name or index.name == which.name:
                    yield index

    async def index(self, id_or_name: str) -> IndexInfo:
        """Return one index.

        Raises:
            Permanent: code ``resource_not_exist``: neither an id nor a name of an index.
        """
        if _ID.fullmatch(id_or_name):
            try:
                return await self._call(self._dialect.one(id_or_name), self._dialect.read_index, _INDEX)
            except Permanent as error:
                if error.trouble.code != _GONE:
                    raise
        found = await self._named(id_or_name)
        if found is None:
            sentence, remedy = _INDEX[_GONE]
            raise Permanent(f"{sentence}: {id_or_name[:100]!r}", code=_GONE, remedy=remedy)
        return found

    async def create_index(self, spec: IndexSpec) -> str:
        """Return the id of the index of that name, making it if absent.

        Raises:
            Transient: it was made, or may have been, but is not listed yet; the name is unique, so simply repeat.
        """
        found = await self._named(spec.name)
        if found is not None:
            return found.id
        lost: Ambiguous | None = None
        try:
            return await self._call(self._dialect.create(spec), _created, {})
        except Ambiguous as error:
            lost = error
            await self._calls.clock.sleep(self._calls.grace)
        except Permanent as error:
            if error.trouble.code != "index_name_already_exists":
                raise
        found = await self._named(spec.name)
        if found is None:
            detail = lost.trouble.detail if lost is not None else ""
            raise Transient(f"the index {spec.name[:100]!r} is not listed yet", code="index_not_listed", detail=detail)
        return found.id

    async def delete_index(self, index_id: str) -> None:
        """Delete an index with the videos in it; absent is done."""
        await self._drop(self._dialect.delete(index_id))

    # -------------------------------------------------------------------------------------------------------- videos

    async def videos(self, index_id: str, which: ListFilter) -> AsyncGenerator[IndexedVideo, None]:
        """Yield the videos of an index that fit."""
        dialect = self._dialect
        pages = self._pages(lambda page: dialect.videos(index_id, which, page), dialect.read_videos, _INDEX)
        async with aclosing(pages) as found:
            async for video in found:
                yield video

    async def delete_video(self, index_id: str, video_id: str) -> None:
        """Delete a video from an index; absent is done."""
        await self._drop(self._dialect.delete_video(index_id, video_id))

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> str:
        """Put an uploaded asset into an index and return the indexed asset's id. Paid: see :meth:`find_indexed`."""
        return await self._call(self._dialect.put(index_id, asset_id, metadata), _created, {})

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        """Return the id of the indexed asset made from this asset in this index, or None."""
        dialect = self._dialect
        pages = self._pages(lambda page: dialect.places(asset_id, page), dialect.read_places, {})
        async with aclosing(pages) as found:
            return next((made for place, made in [pair async for pair in found] if place == index_id), None)

    async def indexed(self, index_id: str, video_id: str) -> IndexedVideo:
        """Return one indexed video with its status.

        Raises:
            Permanent: code ``resource_not_exist`` if there is none.
        """
        return await self._call(self._dialect.video(index_id, video_id), self._dialect.read_video, _VIDEO)

    # ---------------------------------------------------------------------------------------- search, classification

    async def search(self, query: SearchQuery) -> SearchResults:
        """Search; fetches as many pages as ``limit`` needs. Without options, all that the index has are searched.

        Raises:
            Ambiguous: the answer was lost; it only asked, so it may be repeated, and may be billed twice.
            Permanent: e.g. ``search_option_not_supported``, or ``search_page_token_expired`` between two pages.
        """
        dialect = self._dialect
        if not query.options:
            options = dialect.search_options(await self.index(query.index_id))
            if not options:
                sentence, remedy = _SEARCH["index_not_supported_for_search"]
                raise Permanent(sentence, code="index_not_supported_for_search", remedy=remedy)
            query = replace(query, options=options)
        first = await self._call(dialect.search(query), dialect.read_search, _SEARCH)
        hits, raw = await self._rest(first, dialect.search_page, dialect.read_search, query.limit)
        return SearchResults(hits, first.total, *first.pool, raw)

    async def classify(self, sorting: ClassifyQuery) -> Sequence[ClassifiedVideo]:
        """Classify; fetches all pages up to ``limit``.

        Raises:
            Ambiguous: the answer was lost; it only asked.
            Permanent: ``not_in_this_api`` on v1.3; or the platform refuses, e.g. more than 100 prompts.
        """
        dialect, words = self._dialect, dict(_SEARCH)
        prompts = sum(len(spec.prompts) for spec in sorting.classes)
        if prompts > _MOST_PROMPTS:
            too_many = (
                f"a classification takes at most {_MOST_PROMPTS} prompts over all classes, and this has {prompts}"
            )
            words["parameter_invalid"] = (too_many, "ask for fewer classes at once")
        first = await self._call(dialect.classify(sorting), dialect.read_classify, words)
        videos, _ = await self._rest(first, dialect.classify_page, dialect.read_classify, sorting.limit)
        return videos

    # ---------------------------------------------------------------------------------------------------- inner steps

    async def _named(self, name: str) -> IndexInfo | None:
        async with aclosing(self.indexes(ListFilter(name=name))) as found:
            async for index in found:
                return index
        return None

    async def _pages(
        self, ask: Callable[[int], Request], read: Callable[[Response], Page[T]], words: Words
    ) -> AsyncGenerator[T, None]:
        for page in range(1, _PAGES + 1):
            listed = await self._call(ask(page), read, words)
            for entry in listed.entries:
                yield entry
            if listed.last:
                return

    async def _rest(
        self, first: TokenPage[T], ask: Callable[[str], Request], read: Callable[[Response], TokenPage[T]], most: int
    ) -> tuple[list[T], list[Json]]:
        """Return the first page and those after it, until there are enough entries or no more; later pages are free."""
        entries, raw, token, seen = list(first.entries), [first.raw], first.token, {""}
        while token not in seen and len(entries) < most:
            seen.add(token)
            page = await self._call(ask(token), read, _EXPIRED)
            entries += page.entries
            raw.append(page.raw)
            token = page.token
        return entries[:most], raw

    async def _drop(self, request: Request) -> None:
        try:
            await self._calls.call(request, json_reading.nothing)
        except Permanent as error:
            if error.trouble.code != _GONE:
                raise

    async def _call(self, request: Request, read: Callable[[Response], T], words: Words) -> T:
        try:
            return await self._calls.call(request, read)
        except Permanent as error:
            trouble = error.trouble
            if trouble.code not in words:
                raise
            sentence, remedy = words[trouble.code]
            code = "search_page_token_expired" if words is _EXPIRED else trouble.code
            raise Permanent(sentence, code=code, remedy=remedy, detail=trouble.detail) from None


def _created(response: Response) -> str:
    return json_reading.ident(json_reading.parse(response), "_id", "id")

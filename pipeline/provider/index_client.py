"""``pipeline.ports.index_api.IndexApi`` over a dialect and the API caller."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal, TypeVar

from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.model import Json
from pipeline.ports.index_api import (
    ClassifiedVideo,
    ClassifyQuery,
    IndexedVideo,
    IndexInfo,
    IndexingStatus,
    IndexSpec,
    ListFilter,
    SearchQuery,
    SearchResults,
)
from pipeline.provider.dialects.calls import PAGE, path_segment
from pipeline.provider.dialects.error_codes import GONE
from pipeline.provider.dialects.index_protocol import IndexDialect, TokenPage
from pipeline.provider.dialects.protocol import Call, Page
from pipeline.provider.http.caller import ApiCaller, is_gone
from pipeline.provider.status_board import NewestFirst, Polling, StatusBoard

T = TypeVar("T")
Wording = Mapping[
    str, tuple[str, str]
]  #: our code -> plain sentence and remedy, where more is known than the code says
_ID = re.compile(r"[0-9a-f]{24}")
_PAGES = 10_000  #: of one list: a list without an end is not followed for ever
_MOST_PROMPTS = 100
#: Seconds between the looks for an index that was just made: lists have been seen minutes behind.
_LISTED_LATE = (5.0, 15.0, 45.0, 120.0, 300.0)
_GONE = GONE.code
_INDEX: Wording = {_GONE: ("the platform has no such index", "`reelmill indexes` lists those of this account")}
_VIDEO: Wording = {_GONE: ("the index has no such video", "`reelmill videos` lists those of an index")}
_OPTION = "the detail says why; `reelmill indexes` shows the options of each index, which cannot be changed later"
_SEARCH: Wording = {
    **_INDEX,
    "search_option_not_supported": ("the platform cannot search this index by one of these options", _OPTION),
    "index_not_supported_for_search": ("the index was made without a model for search", _OPTION),
    "search_filter_invalid": ("the platform does not understand the filter of the search", "correct the filter"),
    "parameter_invalid": ("the platform refuses a value of the request", "correct it; the detail says which"),
}
#: A token that we were just given can be refused for one reason only, whatever words are used for it.
_EXPIRED: Wording = dict.fromkeys(
    ("search_page_token_expired", _GONE, "gone", "refused", "parameter_invalid"),
    ("the next page of results is no longer kept", "ask again, and fetch all pages at once"),
)
_STATES: Mapping[str, Literal["ready", "failed"]] = {"ready": "ready", "failed": "failed"}  #: others are working


class IndexClient:
    """Indexes, the videos in them, search and classification."""

    def __init__(self, caller: ApiCaller, dialect: IndexDialect, polling: Polling, identity: str) -> None:
        self._caller, self._dialect, self._polling, self._identity = caller, dialect, polling, identity
        self._boards: dict[str, StatusBoard[IndexingStatus]] = {}  #: by index

    @property
    def identity(self) -> str:
        return self._identity

    # ------------------------------------------------------------------------------------------------------- indexes

    async def indexes(self, which: ListFilter) -> AsyncGenerator[IndexInfo, None]:
        dialect = self._dialect
        async with aclosing(self._pages(lambda page: dialect.indexes(which, page), {})) as found:
            async for index in found:
                if not which.name or index.name == which.name:  # exactly, whatever the platform does
                    yield index

    async def index(self, id_or_name: str) -> IndexInfo:
        if _ID.fullmatch(id_or_name):
            found = await self._caller.find(self._dialect.index(id_or_name))
            if found is not None:
                return found
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
        detail = ""  # of the error, not the error: kept in its own frame, it would keep all frames
        try:
            return await self._caller.call(self._dialect.create_index(spec))
        except Ambiguous as error:
            detail = error.trouble.detail
            await self._caller.clock.sleep(self._caller.grace)
        except Permanent as error:
            if error.trouble.code != "index_name_already_exists":
                raise
        found = await self._named(spec.name)
        if found is None:
            message = f"the index {spec.name[:100]!r} is not listed yet"
            raise Transient(message, code="index_not_listed", detail=detail, waits=_LISTED_LATE)
        return found.id

    async def delete_index(self, index_id: str) -> None:
        await self._caller.find(self._dialect.delete_index(index_id))

    # -------------------------------------------------------------------------------------------------------- videos

    async def videos(self, index_id: str, which: ListFilter) -> AsyncGenerator[IndexedVideo, None]:
        dialect = self._dialect
        async with aclosing(self._pages(lambda page: dialect.videos(index_id, which, page), _INDEX)) as found:
            async for video in found:
                yield video

    async def delete_video(self, index_id: str, video_id: str) -> None:
        await self._caller.find(self._dialect.delete_video(index_id, video_id))

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> str:
        return await self._caller.call(self._dialect.index_asset(index_id, asset_id, metadata))

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        dialect = self._dialect
        async with aclosing(self._pages(lambda page: dialect.placements(asset_id, page), {})) as found:
            return next((made for place, made in [pair async for pair in found] if place == index_id), None)

    async def indexed(self, index_id: str, video_id: str) -> IndexedVideo:
        return await self._call(self._dialect.video(index_id, video_id), _VIDEO)

    async def indexing(self, index_id: str, video_id: str) -> IndexingStatus:
        if index_id not in self._boards:
            self._boards[index_id] = self._board(index_id)
        status = await self._boards[index_id].look(path_segment(video_id))
        if status.state == "gone":
            sentence, remedy = _VIDEO[_GONE]
            raise Permanent(sentence, code=_GONE, remedy=remedy, detail=status.message)
        return status

    # ---------------------------------------------------------------------------------------- search, classification

    async def search(self, query: SearchQuery) -> SearchResults:
        """Search; fetches as many pages as ``limit`` needs.

        Without options, all that the index has are searched.

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
        first = await self._call(dialect.search(query), _SEARCH)
        hits, raw = await self._rest(first, dialect.search_page, query.limit)
        return SearchResults(hits, first.total, *first.pool, raw)

    async def classify(self, query: ClassifyQuery) -> Sequence[ClassifiedVideo]:
        """Classify; fetches all pages up to ``limit``.

        Raises:
            Ambiguous: the answer was lost; it only asked.
            Permanent: ``not_in_this_api`` on v1.3; or the platform refuses, e.g. more than 100 prompts.
        """
        dialect, wording = self._dialect, dict(_SEARCH)
        prompts = sum(len(spec.prompts) for spec in query.classes)
        if prompts > _MOST_PROMPTS:
            too_many = (
                f"a classification takes at most {_MOST_PROMPTS} prompts over all classes, and this has {prompts}"
            )
            wording["parameter_invalid"] = (too_many, "ask for fewer classes at once")
        first = await self._call(dialect.classify(query), wording)
        videos, _ = await self._rest(first, dialect.classify_page, query.limit)
        return videos

    # ---------------------------------------------------------------------------------------------------- inner steps

    def _board(self, index_id: str) -> StatusBoard[IndexingStatus]:
        dialect, newest_first = self._dialect, ListFilter()

        async def page(number: int) -> Page[tuple[str, IndexingStatus]]:
            listed = await self._call(dialect.videos(index_id, newest_first, number), _INDEX)
            return Page([(video.id, _status(video)) for video in listed.entries], listed.last)

        async def alone(video_id: str) -> IndexingStatus:
            try:
                return _status(await self._caller.call(dialect.video(index_id, video_id)))
            except Permanent as error:
                if not is_gone(error):
                    raise
                return IndexingStatus("gone", message=error.trouble.detail)

        return StatusBoard(NewestFirst(IndexingStatus("working"), page, alone, _is_complete, PAGE), self._polling)

    async def _named(self, name: str) -> IndexInfo | None:
        async with aclosing(self.indexes(ListFilter(name=name))) as found:
            async for index in found:
                return index
        return None

    async def _pages(self, call: Callable[[int], Call[Page[T]]], wording: Wording) -> AsyncGenerator[T, None]:
        for page in range(1, _PAGES + 1):
            listed = await self._call(call(page), wording)
            for entry in listed.entries:
                yield entry
            if listed.last:
                return

    async def _rest(
        self, first: TokenPage[T], following: Callable[[str], Call[TokenPage[T]]], most: int
    ) -> tuple[list[T], list[Json]]:
        """Return enough pages from the first on; later ones are free."""
        entries, raw, token, seen = list(first.entries), [first.raw], first.token, {""}
        while token not in seen and len(entries) < most:
            seen.add(token)
            page = await self._call(following(token), _EXPIRED)
            entries += page.entries
            raw.append(page.raw)
            token = page.token
        return entries[:most], raw

    async def _call(self, call: Call[T], wording: Wording) -> T:
        try:
            return await self._caller.call(call)
        except Permanent as error:
            trouble = error.trouble
            if trouble.code not in wording:
                raise
            sentence, remedy = wording[trouble.code]
            code = "search_page_token_expired" if wording is _EXPIRED else trouble.code
            reworded = Permanent(sentence, code=code, remedy=remedy, detail=trouble.detail)
            reworded.in_doubt = error.in_doubt
            raise reworded from None


def _status(video: IndexedVideo) -> IndexingStatus:
    return IndexingStatus(_STATES.get(video.status, "working"), video.status, video=video)


def _is_complete(_status: IndexingStatus) -> bool:
    """A list says all that is needed."""
    return True

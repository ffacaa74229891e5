"""``indexes`` and ``videos``: what there is to ask."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.app.index.questions import open_index_access
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError
from pipeline.ports.index_api import IndexedVideo, IndexInfo, IndexSpec, ListFilter
from pipeline.views import IndexedView, IndexView


async def indexes(settings: Settings, which: ListFilter) -> list[IndexInfo]:
    """Return the account's indexes."""
    async with open_index_access(settings) as access:
        return [index async for index in access.index_api.indexes(which)]


async def create_index(settings: Settings, spec: IndexSpec) -> IndexInfo:
    """Make an index, or find the one of that name."""
    async with open_index_access(settings) as access:
        return await access.index_api.index(await access.index_api.create_index(spec))


async def delete_index(settings: Settings, name: str, agreed: Callable[[IndexInfo], bool]) -> IndexInfo | None:
    """Delete an index with its videos if ``agreed`` says so; return it, else None."""
    async with open_index_access(settings) as access:
        index = await access.questions.index(name)
        if not agreed(index):
            return None
        await access.index_api.delete_index(index.id)
        return index


async def videos(settings: Settings, name: str, which: ListFilter, *, limit: int) -> IndexView:
    """Return the first matching videos of an index, with what we know of each.

    Raises:
        ConfigError: no index is named.
    """
    if not (name or settings.index_name):
        raise ConfigError(
            "videos: no index is named", remedy="set [index] name, or name one with --index; see `reelmill indexes`"
        )
    async with open_index_access(settings) as access:
        index = await access.questions.index(name)
        found: list[IndexedVideo] = []
        async for video in access.index_api.videos(index.id, which):
            if len(found) == limit:
                break
            found.append(video)
        refs = await access.resolver.resolve((video.id for video in found), None)
        return IndexView(index, [IndexedView(video, refs[video.id]) for video in found])

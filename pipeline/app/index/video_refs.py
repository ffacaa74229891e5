"""From the platform's video ids to our items, results and folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.app.operator.display_names import display_source
from pipeline.core.errors import Permanent, Transient
from pipeline.core.model import Selection, State, Task
from pipeline.core.youtube_address import file_name
from pipeline.ingest.payloads import IndexingData, ItemData, PublishData, VideoData, remote_ids
from pipeline.ports.index_api import IndexApi, IndexInfo, ListFilter
from pipeline.ports.store import Records, read_pages
from pipeline.views import VideoRef

_PAGE = 1000
_LISTED = 50  #: videos on a page of an index
#: What to look into first, of what there is.
_FIRST = ("chapters.txt", "summary.md", "gist.json", "video.json")


class VideoResolver:
    """Resolves the platform's ids: from records, else by asking it, if it may."""

    def __init__(self, records: Records | None, index_api: IndexApi | None, output: Path) -> None:
        self._records = records
        self._index_api = index_api
        self._output = output

    async def resolve(self, ids: Iterable[str], index: IndexInfo | None) -> dict[str, VideoRef]:
        """Return what is known of each id; an unknown one is its own title."""
        wanted = set(ids)
        found = await self.local(wanted)
        unknown = wanted - set(found)
        if unknown and index is not None and self._index_api is not None:
            found |= await self._remote(self._index_api, unknown, index)
        return {video_id: found.get(video_id) or VideoRef(video_id, video_id) for video_id in wanted}

    async def replaced(self, ids: Iterable[str]) -> set[str]:
        """Return the entries of an index that a later upload's entry has replaced.

        They stay until `reelmill reconcile` takes them away; what they say is not true any more.
        """
        wanted = set(ids)
        if self._records is None or not wanted:
            return set()
        keys = tuple(set((await self._subjects(self._records, wanted)).values()))
        tasks = await self._records.tasks(Selection(kinds=("video", "indexing"), subjects=keys)) if keys else []
        present = {task.key: VideoData.of(task).media_id for task in tasks if task.kind == "video"}
        entries = [(task, IndexingData.of(task)) for task in tasks if task.kind == "indexing"]
        current = {
            (task.subject, data.index_id)
            for task, data in entries
            if task.state is State.DONE and data.asset_id == present.get(task.subject)
        }
        return {
            data.video_id
            for task, data in entries
            if (task.subject, data.index_id) in current and data.asset_id != present[task.subject]
        }

    async def local(self, wanted: set[str]) -> dict[str, VideoRef]:
        """Return the ids that are videos of this state folder."""
        if self._records is None or not wanted:
            return {}
        subjects = await self._subjects(self._records, wanted)
        keys = tuple(set(subjects.values()))
        refs = await self.by_keys(keys)
        return {video_id: _renamed(refs[key], video_id) for video_id, key in subjects.items()}

    async def by_keys(self, keys: Collection[str]) -> dict[str, VideoRef]:
        """Return our videos by their keys, without an id of the platform."""
        if self._records is None or not keys:
            return {}
        tasks = await self._records.tasks(Selection(kinds=("item", "publish"), subjects=tuple(keys)))
        return {key: self._ref(key, [task for task in tasks if task.subject == key]) for key in keys}

    async def _subjects(self, records: Records, wanted: set[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for kind in ("indexing", "video"):
            async for page in read_pages(records, Selection(kinds=(kind,), limit=_PAGE)):
                for task in page:
                    for remote_id in remote_ids(task):
                        if remote_id in wanted:
                            found.setdefault(remote_id, task.subject or task.key)
                if set(found) == wanted:
                    return found
        return found

    def _ref(self, key: str, tasks: Sequence[Task]) -> VideoRef:
        items = [ItemData.of(task) for task in tasks if task.kind == "item"]
        published = [PublishData.of(task) for task in tasks if task.kind == "publish"]
        written = next((each for each in published if each.folder), None)
        source = display_source(items[0].source) if items else ""
        title = next((item.line.title for item in items if item.line.title), "")
        if written is None:
            return VideoRef("", title or (file_name(items[0].locator) if items else key), key, source)
        folder = self._output / written.folder
        link = next((folder / name for name in _FIRST if name in written.sizes), None)
        return VideoRef("", written.title or title or key, key, source, folder, link)

    async def _remote(self, index_api: IndexApi, unknown: set[str], index: IndexInfo) -> dict[str, VideoRef]:
        """Ask by list or one by one, whichever takes fewer requests; failures are ignored."""
        found: dict[str, VideoRef] = {}
        with suppress(Permanent, Transient):
            if index.videos <= _LISTED * len(unknown):
                async for video in index_api.videos(index.id, ListFilter()):
                    if video.id in unknown:
                        found[video.id] = VideoRef(video.id, video.filename or video.id)
            else:
                for video_id in sorted(unknown):
                    video = await index_api.indexed(index.id, video_id)
                    found[video_id] = VideoRef(video_id, video.filename or video_id)
        return found


def _renamed(ref: VideoRef, video_id: str) -> VideoRef:
    return VideoRef(video_id, ref.title, ref.key, ref.source, ref.folder, ref.link)

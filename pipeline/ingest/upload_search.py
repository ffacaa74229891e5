"""An upload as it is sent, and what finds it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from pipeline.core.errors import Ambiguous
from pipeline.core.model import Selection, State, Task
from pipeline.ingest.file_identity import is_here
from pipeline.ingest.payloads import ItemData, VideoData, chosen_captions
from pipeline.ingest.remote_names import OWNER_LENGTH, parse_upload_name
from pipeline.ports.store import Records
from pipeline.ports.video_api import NewUpload

Method = Literal["direct", "multipart", "url", "external"]
#: What the platform fetches itself for an index of v1.2: it carries no name of ours.
NAMELESS = ("external", "url")
_OPEN = (State.PENDING, State.RUNNING, State.FAILED)
_AT_ONCE = 50  #: ids of one query


def build_upload(task: Task, data: VideoData) -> NewUpload:
    """Return the upload that the payload describes, without its file."""
    return NewUpload(
        name=data.name,
        method=cast(Method, data.method),
        mime=data.mime,
        size=data.size,
        url=data.external or data.url,
        index_id=data.index_id,
        title=data.title,
        metadata={"reelmill_key": task.key[:OWNER_LENGTH]},
        since=data.since,
    )


def file_paths(items: Sequence[Task], host: str = "") -> list[str]:
    """Return the paths under which a video's content was found on this host's disk."""
    return [data.locator for data in map(ItemData.of, items) if data.type == "file" and is_here(data, host)]


def with_file(
    upload: NewUpload,
    path: Path,
    data: VideoData,
    items: Sequence[Task],
    read_captions: Callable[[Sequence[Path]], str] | None,
) -> NewUpload:
    """Return the upload with its file and its user metadata.

    ``read_captions``: only where the platform takes them.
    """
    metadata = dict(upload.metadata)
    if read_captions is not None:
        chosen = chosen_captions(items)
        text = read_captions([Path(name) for name in (data.captions if chosen is None else chosen.files)])
        if text:
            metadata["captions"] = text
    titles = [title for item in items if (title := ItemData.of(item).line.title)]
    title = next(iter(titles), "") or str(data.about.get("title", ""))
    metadata["source_name"] = path.name[:200]
    if title:
        metadata["title"] = title[:200]
    return replace(upload, path=path, metadata=metadata)


async def nameless_upload(task: Task, data: VideoData, records: Records, now: float) -> NewUpload:
    """Return what to look for where only time tells uploads apart.

    It must be the only one in doubt.

    Raises:
        Ambiguous: another video of ours is in doubt as well, and either could have left what would be found; or our
            clock was put back, so that time tells nothing.
    """
    if now < data.since:
        raise Ambiguous(
            "This machine's clock was put back while the address was on its way; time cannot tell its task from others.",
            code="ambiguous",
            remedy="look into the platform's list of tasks, then `reelmill retry` if it is not there",
        )
    if any(other.id != task.id for other in await _in_doubt(records)):
        raise Ambiguous(
            "Several addresses were on their way when the run was cut off; the platform does not say which arrived.",
            code="ambiguous",
            remedy="look into the platform's list of tasks, then `reelmill retry` what is not there",
        )

    async def belonging(found: Mapping[str, str]) -> frozenset[str]:
        """Return those of other videos of ours: by a file's name, or by id."""
        taken = {media_id for media_id, name in found.items() if parse_upload_name(name) is not None}
        ids = sorted(found.keys() - taken)
        for start in range(0, len(ids), _AT_ONCE):
            some = tuple(ids[start : start + _AT_ONCE])
            videos = await records.tasks(Selection(kinds=("video",), mentions=some))
            taken |= {VideoData.of(video).media_id for video in videos if video.id != task.id}.intersection(some)
        return frozenset(taken)

    return replace(build_upload(task, data), belonging=belonging)


async def _in_doubt(records: Records) -> list[Task]:
    """Return the addresses that may have been accepted unknown.

    What an earlier one left, if it was lost and is uploaded again, clears nobody.
    """
    held = await records.tasks(Selection(kinds=("video",), states=(State.HELD,)))
    sent = await records.tasks(Selection(kinds=("video",), states=_OPEN, stages=("find", "upload")))
    doubtful = [*held, *(video for video in sent if video.stage == "find" or video.claims > 0)]
    return [video for video in doubtful if VideoData.of(video).method in NAMELESS]

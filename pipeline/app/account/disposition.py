"""Classifies the account's objects by what the database knows. Pure.

Everything that could still be needed is kept: what a task of ours names by its id, and what may be the trace of a call
whose answer was lost (it carries the name that the next run will ask for). Only what cannot be needed any more is an
orphan, and only what this database can have made: another state folder that ingests the same video gives the same names.
What is older than our own task, of a generation we never reached, or asked of an upload we never had is a stray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.core.model import State, Task
from pipeline.ingest.payloads import AnalysisData, IndexingData, VideoData
from pipeline.ingest.remote_names import RemoteName, matches_owner, parse_custom_id, parse_upload_name
from pipeline.ports.inventory import RemoteObject

_MARGIN = 600.0  #: our clock against the platform's, seconds; what is wrongly taken to be older is left alone
_UNFINISHED = (State.PENDING, State.RUNNING, State.HELD)


class Disposition(StrEnum):
    """What an object in the account is to us."""

    KEPT = "kept"  #: a task of ours names it
    AWAITED = "awaited"  #: it carries the name that a live or failed task asks for next
    FOREIGN = "foreign"  #: it does not carry a name of ours
    STRAY = "stray"  #: it carries a name of ours, and this database has not made it, or not for this platform
    SUPERSEDED = "superseded"  #: ours, and replaced: an earlier generation, or the second of two that are alike
    CANCELLED = "cancelled"  #: ours, of an item that an operator has stopped

    @property
    def orphan(self) -> bool:
        """Return True where this database knows it and needs it no more."""
        return self in (Disposition.SUPERSEDED, Disposition.CANCELLED)

    @property
    def removable(self) -> bool:
        """Return True where it can be deleted, at least if somebody asks for that."""
        return self.orphan or self is Disposition.STRAY


@dataclass(frozen=True, slots=True)
class LocalRecord:
    """What the database holds about one video, its analyses and index entries."""

    video: Task
    analyses: Sequence[Task] = ()
    indexings: Sequence[Task] = ()

    def lives_on(self, identity: str) -> bool:
        """Return True if the video was uploaded to this very platform and dialect."""
        return VideoData.of(self.video).provider == identity

    @property
    def media(self) -> frozenset[str]:
        """Ids under which the platform knows the present upload."""
        data = VideoData.of(self.video)
        named = (data.media_id, data.answer_id, data.session.asset_id if data.session is not None else "")
        return frozenset(each for each in named if each)

    @property
    def asked_of(self) -> frozenset[str]:
        """Uploads that an unfinished analysis or index entry works with."""
        asked = {AnalysisData.of(task).media_id for task in self.analyses if task.state in _UNFINISHED}
        asked |= {IndexingData.of(task).asset_id for task in self.indexings if task.state in _UNFINISHED}
        return frozenset(each for each in asked if each)

    @property
    def stopped(self) -> bool:
        """True if an operator has stopped all of the video's work."""
        after = [task.state for task in (*self.analyses, *self.indexings)]
        if self.video.state is State.CANCELLED:
            return True
        return self.video.state is State.DONE and bool(after) and set(after) == {State.CANCELLED}


def classify_upload(remote: RemoteObject, record: LocalRecord | None, identity: str) -> Disposition:
    """Classify an asset, or a v1.2 task or video.

    An asset must carry our key in its metadata, too, and name and key must agree; v1.2 has only the name.
    """
    parsed = parse_upload_name(remote.name)
    known = record is not None and record.lives_on(identity) and remote.id in record.media
    if not known and (parsed is None or (remote.sort == "asset" and not matches_owner(parsed, remote.owner))):
        return Disposition.FOREIGN
    if record is None or not record.lives_on(identity):
        return Disposition.STRAY
    if record.asked_of & {remote.id, remote.media}:
        return Disposition.KEPT
    if not known and _made_elsewhere(remote, record.video, parsed):
        return Disposition.STRAY
    if record.stopped:
        return Disposition.CANCELLED
    if known:
        return Disposition.KEPT
    assert parsed is not None
    return Disposition.AWAITED if _next_in(record.video, parsed) else Disposition.SUPERSEDED


def _next_in(video: Task, parsed: RemoteName) -> bool:
    """True if the unfinished video asks for this generation when it goes on."""
    return video.state is not State.DONE and parsed.generation >= VideoData.of(video).generation


def _older(remote: RemoteObject, task: Task) -> bool:
    """True if it was there before the task that would have made it."""
    return remote.created is not None and remote.created < task.created - _MARGIN


def _made_elsewhere(remote: RemoteObject, video: Task, parsed: RemoteName | None) -> bool:
    """True if this database cannot have made an upload although it knows the video."""
    beyond = parsed is not None and parsed.generation > VideoData.of(video).generation
    return _older(remote, video) or (beyond and video.state in (State.DONE, State.CANCELLED))


def classify_analysis(remote: RemoteObject, analysis: Task | None) -> Disposition:
    """Classify an analysis task by the analysis of ours that its ``custom_id`` stands for."""
    parsed = parse_custom_id(remote.name)
    if parsed is None:
        return Disposition.FOREIGN
    if analysis is None:
        return Disposition.STRAY
    data = AnalysisData.of(analysis)
    present, by_id = data.generation, data.task_id == remote.id
    another = parsed.generation == present and remote.media not in ("", data.media_id)
    if not by_id and (another or parsed.generation > present or _older(remote, analysis)):
        return Disposition.STRAY
    if parsed.generation < present:
        return Disposition.SUPERSEDED
    if analysis.state is State.CANCELLED:
        return Disposition.CANCELLED
    if by_id:
        return Disposition.KEPT
    return Disposition.SUPERSEDED if analysis.state is State.DONE else Disposition.AWAITED


def classify_indexed(remote: RemoteObject, record: LocalRecord | None, identity: str) -> Disposition:
    """Classify an entry of an index.

    An old one stays until the new upload's entry is there: search goes on working.
    Where a list does not tell whose it is, the result is only worth another look.
    """
    entries = [] if record is None else [(task, IndexingData.of(task)) for task in record.indexings]
    here = [(task, data) for task, data in entries if data.index_id == remote.place]
    by_id = [(task, data) for task, data in here if data.video_id == remote.id]
    parsed = parse_upload_name(remote.name)
    if not by_id and (parsed is None or (remote.owner is not None and not matches_owner(parsed, remote.owner))):
        return Disposition.FOREIGN
    if record is None or not record.lives_on(identity):
        return Disposition.STRAY
    if any(task.state in _UNFINISHED for task, _ in by_id):
        return Disposition.KEPT
    if not by_id and _older(remote, record.video):
        return Disposition.STRAY
    if record.stopped:
        return Disposition.CANCELLED
    present = VideoData.of(record.video).media_id
    replaced = [
        task
        for task, data in here
        if task.state is State.DONE and data.asset_id == present and data.video_id != remote.id
    ]
    current = any(data.asset_id == present for _, data in by_id)
    return Disposition.SUPERSEDED if replaced and not current else Disposition.KEPT


def classify(
    remote: RemoteObject, record: LocalRecord | None, identity: str, analysis: Task | None = None
) -> Disposition:
    """Classify any object by its video's ``record`` and ``analysis`` task."""
    if remote.sort == "analysis":
        return classify_analysis(remote, analysis)
    if remote.sort == "indexed":
        return classify_indexed(remote, record, identity)
    return classify_upload(remote, record, identity)

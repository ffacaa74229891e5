"""What becomes of a video whose upload the platform could not read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from pipeline.core.errors import Permanent
from pipeline.core.model import Task, Trouble
from pipeline.core.outcome import Advance, Fail, Outcome, Retry
from pipeline.core.task_types import LeaseCheck
from pipeline.ingest.payloads import VideoData, WaitingData
from pipeline.ingest.stored_json import changed
from pipeline.ports.video_api import MediaStatus

S = TypeVar("S")
_PREMIERE_SECONDS = 14 * 86_400.0  #: seconds for which a premiere is waited for in all


def gave_up(stage: str) -> Trouble:
    """Return why a stage was given up."""
    return Trouble(
        "gave_up", f"Stage '{stage}' was tried again and again without success.", "See the log, then `reelmill retry`."
    )


def failed_upload(data: VideoData, status: MediaStatus, next_upload: VideoData, now: float) -> Outcome:
    """Fail the video, or hand it over again when the platform says.

    ``next_upload``: the payload with which it is handed over again, by an operator's retry or by ourselves.
    """
    trouble = status.trouble or Trouble(
        "asset_failed",
        "The platform could not read the uploaded file.",
        "Check that the file plays; transcode it to H.264/AAC in MP4, and run again.",
        status.message,
    )
    waiting = data.waiting or WaitingData(since=now)
    if waiting.media_id == data.media_id:  # its time has come
        return Advance("place", changed(next_upload, waiting=WaitingData(since=waiting.since)).to_json())
    if status.later is None or now - waiting.since >= _PREMIERE_SECONDS:
        return Fail(trouble, stage="place", data=changed(next_upload, waiting=None).to_json())
    data = changed(data, waiting=WaitingData(since=waiting.since, media_id=data.media_id))
    return Retry(trouble, after=status.later, counted=False, data=data.to_json())


def restart_if_index_gone(
    step: Callable[[S, Task, LeaseCheck], Awaitable[Outcome]],
) -> Callable[[S, Task, LeaseCheck], Awaitable[Outcome]]:
    """Return the step, failing where its index is gone: a retry intends anew."""

    @wraps(step)
    async def whole(owner: S, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        try:
            return await step(owner, task, ensure_fresh)
        except Permanent as error:
            if error.trouble.code != "resource_not_exist":
                raise
            return Fail(error.trouble, stage="place")

    return whole

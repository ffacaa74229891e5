"""What becomes of a video whose upload the platform could not read."""

from __future__ import annotations

from pipeline.core.model import Trouble
from pipeline.core.outcome import Advance, Fail, Outcome, Retry
from pipeline.ingest.payloads import VideoData, WaitingData
from pipeline.ingest.stored_json import changed
from pipeline.ports.video_api import MediaStatus

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

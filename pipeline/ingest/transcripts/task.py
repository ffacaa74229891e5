"""Task type ``transcript``: what the platform heard in a video, where it has it.

::

    fetch ──▶ done
      └─▶ not ready: look again, some minutes long

It is free, and a gift: nothing waits for it, and it never fails. Whatever restarts the video's fan-out asks once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.core.errors import NOT_FOR_US, NeedsOperator, Permanent, Throttled, Transient
from pipeline.core.lifecycle import Policy
from pipeline.core.log import get
from pipeline.core.model import Lane, NewTask, Result, Task, fingerprint
from pipeline.core.outcome import Advance, Done, Outcome
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.payloads import TaskData, VideoData
from pipeline.ingest.services import Services
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.publish import publish_task
from pipeline.ingest.transcripts.lines import TRANSCRIPT, to_body
from pipeline.ports.video_api import Transcription

_log = get("transcript")
#: Graces between the looks at one that is not ready, and after an answer that was lost; then it is left.
_LOOKS = (2, 6, 18, 54, 108)


@dataclass(frozen=True, kw_only=True)
class TranscriptData(TaskData):
    """One video's transcript, on its way."""

    media_id: str = ""
    looks: int = 0
    #: Why there is none: the platform made none, could not, may not tell us, or was not ready in time.
    lacks: Literal["", "none", "failed", "refused", "late"] = ""


def transcript_task(subject: str, video: VideoData) -> NewTask:
    """Return the task that fetches a video's transcript; a new upload has its own."""
    data = TranscriptData(media_id=video.media_id)
    key = f"{subject}/{fingerprint(video.media_id)[:8]}"
    return NewTask("transcript", key, "fetch", data.to_json(), subject=subject, restart_at="fetch")


class TranscriptTaskType:
    """The one step, repeated while the platform is at work."""

    def __init__(self, services: Services) -> None:
        self._api = services.api
        self._clock = services.clock
        self._grace = services.api.grace

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine, ranked below every other."""
        return TaskType.of("transcript", self, self.STAGES, policy)

    async def fetch(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask for the transcript; keep what can be read of it."""
        data = TranscriptData.of(task)
        try:
            heard = await self._api.transcription(data.media_id)
        except Throttled:
            raise
        except Transient as error:
            return self._later(task, data, error.trouble.message)
        except Permanent as error:
            return self._without(task, data, "refused", error.trouble.message)
        except NeedsOperator as error:
            if error.trouble.code not in NOT_FOR_US:
                raise
            return self._without(task, data, "refused", error.trouble.message)
        if heard.state == "working":
            return self._later(task, data, "it is not ready")
        if heard.state != "ready":
            return self._without(task, data, heard.state, heard.message)
        return self._heard(task, data, heard)

    def _heard(self, task: Task, data: TranscriptData, heard: Transcription) -> Outcome:
        body = to_body(heard)
        if body is None:
            return self._without(task, data, "none", "nothing is said in it")
        meta = {"provider": self._api.identity, "media_id": data.media_id}
        print_ = fingerprint(body["lines"], data.media_id)
        result = Result(task.subject, TRANSCRIPT, print_, body, meta, self._clock.now())
        return Done(results=[result], spawn=[publish_task(task.subject)], data=changed(data, lacks="").to_json())

    def _later(self, task: Task, data: TranscriptData, why: str) -> Outcome:
        if data.looks >= len(_LOOKS):
            return self._without(task, data, "late", why)
        after = _LOOKS[data.looks] * self._grace
        return Advance("fetch", changed(data, looks=data.looks + 1).to_json(), after=after)

    def _without(
        self, task: Task, data: TranscriptData, lacks: Literal["none", "failed", "refused", "late"], why: str
    ) -> Done:
        _log.info("transcript.none", key=task.subject, lacks=lacks, why=why)
        return Done(data=changed(data, lacks=lacks, looks=0).to_json())

    STAGES = (StageSpec("fetch", Lane.POLL, fetch),)


def has_transcript(results: Sequence[Result], media_id: str) -> bool:
    """Return True if the transcript of this upload is there."""
    return any(result.job == TRANSCRIPT and result.meta.get("media_id") == media_id for result in results)

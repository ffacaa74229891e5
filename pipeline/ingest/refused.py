"""What becomes of a video that the platform could not take: a reason of the platform's own, and when to hand it over again."""

from __future__ import annotations

from pipeline.kit import Advance, Fail, Json, Outcome, Permanent, Retry, Step, Still, Task, Trouble
from pipeline.ports import MediaStatus

_PATIENCE = 14 * 86_400.0  #: seconds for which a premiere is waited for in all


def settled_as_failed(task: Task, status: MediaStatus, afresh: dict[str, Json], now: float) -> Outcome:
    """Fail the video, unless the platform says that it can be had later: then it is handed over once more at that time.

    ``afresh``: the task's data with which it is handed over anew, by an operator's retry or by ourselves.
    """
    trouble = status.trouble or Trouble(
        "asset_failed",
        "The platform could not read the uploaded file.",
        "Check that the file plays; transcode it to H.264/AAC in MP4; then `reelmill retry`.",
        status.message,
    )
    media_id = task.data["media_id"]
    waiting = task.data.get("waiting", {})
    if waiting.get("for") == media_id:  # its time has come
        return Advance("place", {**afresh, "waiting": {"since": waiting["since"]}})
    since = float(waiting.get("since", now))
    if status.later is None or now - since >= _PATIENCE:
        return Fail(trouble, stage="place", data={**afresh, "waiting": {}})
    data = {**task.data, "waiting": {"since": since, "for": media_id}}
    return Retry(trouble, after=status.later, counted=False, data=data)


def placed_anew(step: Step) -> Step:
    """Return the step, with one more end: what its intent names (an index) is gone, and a retry begins with another intent."""

    async def whole(task: Task, still: Still) -> Outcome:
        try:
            return await step(task, still)
        except Permanent as error:
            if error.trouble.code != "resource_not_exist":
                raise
            return Fail(error.trouble, stage="place")

    return whole

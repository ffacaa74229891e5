"""What a job shows on the page; whatever a job does, something is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pipeline.core.model import Json
from pipeline.kit.job import Job, PagedJob, Video
from pipeline.kit.page import Moments, PageBlock, Prose, Tags, Value

_NUMBER = (float, int)


@dataclass(frozen=True, slots=True)
class PageFault:
    """A job's own page failed."""

    job: str
    video: str  #: key of the first one that it failed for
    why: str


class JobBlocks:
    """Asks the jobs for their blocks."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._paged = {name: job for name, job in jobs.items() if isinstance(job, PagedJob)}
        self.faults: dict[str, PageFault] = {}  #: by job

    def blocks(self, job: str, value: Json, video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        """Return a result's blocks: the job's own, or a readable table of the value."""
        known = self._paged.get(job)
        fallback = [Value(value)]
        if known is None:
            return fallback
        try:
            found = list(known.page(value, video, params))
            if problem := next(filter(None, map(_problem, found)), ""):
                raise ValueError(problem)
        except Exception as error:
            self.faults.setdefault(job, PageFault(job, video.key, repr(error)[:300]))
            return fallback
        return found


def _problem(block: Any) -> str:
    """Return why a block cannot be shown; empty if it can."""
    match block:
        case Prose(text=text):
            sound = isinstance(text, str)
        case Tags(words=words, facet=facet):
            sound = all(isinstance(word, str) for word in (*words, facet))
        case Moments(items=items):
            sound = _are_moments(items)
        case Value(value=value):
            json.dumps(value, allow_nan=False, default=str)
            sound = True
        case _:
            sound = False
    return "" if sound else f"{type(block).__name__} cannot be shown"


def _are_moments(items: Sequence[Any]) -> bool:
    return all(
        isinstance(each.title, str) and isinstance(each.text, str) and _are_times(each.start, each.end)
        for each in items
    )


def _are_times(start: Any, end: Any) -> bool:
    return isinstance(start, _NUMBER) and isinstance(end, _NUMBER) and isfinite(start) and isfinite(end)

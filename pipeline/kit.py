"""The one import a job author needs, and what the engine's kinds are made of.

A **job** is what a user asks of a video (gist, summary, chapters…): a schema fragment, prompt lines, a check and a
renderer. See ``jobs/gist.py`` for one in full. A **kind** is what the engine runs: stages, each one step. Jobs are many
and small; there are four kinds, all in ``pipeline.ingest``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from json import JSONEncoder
from types import MappingProxyType
from typing import Protocol

from pipeline.answers import Parameters, Reading, Verdict, old_spans, outside, seconds, span_schema
from pipeline.errors import ConfigError, InputError, LostLease, Permanent, Transient
from pipeline.lifecycle import Policy
from pipeline.model import Json, Lane, NewTask, Placed, Result, Spend, Task, Trouble
from pipeline.outcome import Advance, Done, Fail, Hold, Outcome, Park, Retry, Snooze
from pipeline.ports import OutFile
from pipeline.render import block, csv_text, cue, disarmed, ffmeta, json_text, markdown, plain, stamp
from pipeline.subset import mismatch, schema_problem

__all__ = [
    "Advance", "Ask", "ConfigError", "Done", "Fail", "Hold", "InputError", "Job", "Json", "Kind", "Kinds", "Lane",
    "Legacy", "LostLease", "Mark", "NewTask", "OutFile", "Outcome", "Parameters", "Park", "Permanent", "Policy",
    "Reading", "Result", "Retry", "Snooze", "Spend", "Stage", "Step", "Task", "Transient", "Trouble", "Verdict",
    "Video", "block", "csv_text", "cue", "disarmed", "ffmeta", "fingerprint", "json_text", "markdown", "mismatch",
    "old_spans", "outside", "plain", "schema_problem", "seconds", "span_schema", "stamp",
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- jobs


@dataclass(frozen=True, slots=True)
class Video:
    """What a job may know about the video it looked at."""

    key: str
    seconds: float
    title: str = ""  #: the user's or the source's title; may hold anything


@dataclass(frozen=True, slots=True)
class Legacy:
    """How API v1.2 is asked for this job: the endpoint and the body without ``video_id``.

    ``read`` turns that endpoint's answer into the shape that the job's schema describes.
    """

    path: str  #: ``/gist``, ``/summarize``, ``/generate``
    body: Mapping[str, Json]
    read: Callable[[Mapping[str, Json]], Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a job puts into the one request that is sent for all jobs of a video.

    ``schema`` maps property names to JSON-schema fragments of the platform's subset (no ``maxItems``, ``maxLength``,
    ``additionalProperties``; times are ``number`` under ``start_time``/``end_time``). Guidance belongs into ``lines``:
    the platform ignores schema descriptions.
    """

    schema: Mapping[str, Json]
    lines: tuple[str, ...]
    tokens: int = 1024  #: how many output tokens to expect at most, for ``max_tokens`` and the price
    legacy: tuple[Legacy, ...] = ()


class Job(Protocol):
    """What a user asks of a video. Stateless; one module each in ``jobs/``."""

    name: str
    version: int  #: grows when schema, prompt or check change what a result means

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the checked parameters with defaults filled in.

        Raises:
            ConfigError: a key is unknown or a value is wrong; the message names the key.
        """
        ...

    def ask(self, params: Mapping[str, Json]) -> Ask:
        """Return this job's share of the request."""
        ...

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        """Hold the answer (only this job's properties) against the video."""
        ...

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        """Return the files of this result. Pure; names are fixed by the job, never taken from an answer or a title."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of the video, seconds."""

    start: float
    end: float


def fingerprint(*parts: Json) -> str:
    """Return 16 hex characters that stand for these values: equal values, equal print; order of keys does not count."""
    # Half a surrogate pair, of a file name that is not UTF-8, counts like any other character.
    return sha256(_canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


_canonical = JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=list).encode


# --------------------------------------------------------------------------------------------------------------- kinds


class Still(Protocol):
    """What the engine tells a step about its own lease."""

    def __call__(self) -> None:
        """Raise LostLease unless the lease was confirmed less than half its lifetime ago. Call before paying."""
        ...


#: One step: looks at the task, does one thing, returns a verdict. May raise only what ``pipeline.errors`` names.
Step = Callable[[Task, Still], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a kind: which lane it waits in, what runs, and how patient it is."""

    name: str
    lane: Lane
    step: Step
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task: its stages in order. Later stages are claimed first within a lane."""

    name: str
    stages: Sequence[Stage]
    base: int = 0  #: added to the rank, so that an analysis goes before a new upload

    def stage(self, name: str) -> Stage:
        """Return the stage of that name; KeyError if a newer or older release wrote it."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    def rank(self, name: str) -> int:
        """Return how far along a stage is; later is higher."""
        return self.base + [stage.name for stage in self.stages].index(name)


class Kinds:
    """An explicit list of kinds; importing a module registers nothing."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._by_name = MappingProxyType({kind.name: kind for kind in kinds})

    def __getitem__(self, name: str) -> Kind:
        return self._by_name[name]

    def stage(self, task: Task) -> Stage:
        """Return the stage a task is at."""
        return self._by_name[task.kind].stage(task.stage)

    def spot(self, kind: str, stage: str) -> tuple[Lane, int]:
        """Return lane and rank of a stage."""
        found = self._by_name[kind]
        return found.stage(stage).lane, found.rank(stage)

    def place(self, new: NewTask) -> Placed:
        """Return the new task with lane and rank, for the store."""
        lane, rank = self.spot(new.kind, new.stage)
        if new.rearm is None:
            return Placed(new, lane, rank)
        again_lane, again_rank = self.spot(new.kind, new.rearm)
        return Placed(new, lane, rank, again_lane, again_rank)

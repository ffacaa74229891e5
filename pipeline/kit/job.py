"""The protocol of a job, and the values it works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pipeline.core.model import Json
from pipeline.kit.answers import Verdict
from pipeline.kit.merging import Part
from pipeline.kit.page import PageBlock
from pipeline.ports.sink import OutFile


@dataclass(frozen=True, slots=True)
class Video:
    """What a job may know about the video it looked at."""

    key: str
    seconds: float
    title: str = ""  #: the user's or the source's title; may hold anything
    start: float = 0.0  #: where the part begins that was looked at; times are the whole video's all the same
    end: float = 0.0  #: where it ends; 0: with the video

    @property
    def until(self) -> float:
        """Where what was looked at ends, seconds; 0 where nobody knows."""
        return self.end or self.seconds


@dataclass(frozen=True, slots=True)
class Legacy:
    """How API v1.2 is asked: an endpoint and its body without ``video_id``.

    ``read`` turns that endpoint's answer into the shape that the job's schema describes.
    """

    path: str  #: ``/gist``, ``/summarize``, ``/generate``
    body: Mapping[str, Json]
    read: Callable[[Mapping[str, Json]], Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class Ask:
    """A job's share of the one request that asks all jobs of a video.

    ``schema`` maps property names to JSON-schema fragments of the platform's subset (no ``maxItems``, ``maxLength``,
    ``additionalProperties``; times are ``number`` under ``start_time``/``end_time``). Guidance belongs into ``lines``:
    the platform ignores schema descriptions.
    """

    schema: Mapping[str, Json]
    lines: tuple[str, ...]
    tokens: int = 1024  #: how many output tokens to expect at most, for ``max_tokens`` and the price
    legacy: tuple[Legacy, ...] = ()


@runtime_checkable
class PagedJob(Protocol):
    """A job that says itself how the gallery's page shows a result; optional."""

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        """Return a result's blocks for the page. Pure."""
        ...


@runtime_checkable
class FiledJob(Protocol):
    """A job that tells its files before there is an answer; optional."""

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        """Return the names of all files that ``render`` may return. Pure."""
        ...


@runtime_checkable
class MergedJob(Protocol):
    """A job that merges its results about parts of a video; optional."""

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the result of the whole, as ``check`` would. Pure."""
        ...


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
        """Compare the answer (only this job's properties) with the video."""
        ...

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        """Return the files of a result. Pure.

        The job fixes their names; they never come from an answer or a title.
        """
        ...

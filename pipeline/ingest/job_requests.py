"""Turns configured jobs and a line's own words into job requests.

An *instance* is a named use of a job: ``[jobs.gist]`` configures the instance ``gist`` of the job ``gist``;
``[jobs.sponsors]`` with ``job = "ask"`` is another instance of ``ask``. Results are kept per instance and fingerprint, so
a changed prompt is a new request and everything else stays.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from pipeline.config.settings import JobsSection
from pipeline.config.time_windows import TimeWindow, parse_window
from pipeline.core import log
from pipeline.core.errors import ConfigError, Permanent, ReelmillError
from pipeline.core.model import Json, Task, fingerprint
from pipeline.ingest.payloads import CaptionsData, ItemData, LineData, RequestData, chosen_captions
from pipeline.kit.job import Ask, Job

#: Jobs of which there may be several instances at once: they are told their names, for the answer's property and file.
_NAMED = ("ask", "classify")
_MOST_WINDOWED = 1000  #: requests about parts that are kept in memory
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,39}$")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One result that is wanted: which instance of which job, with which parameters."""

    name: str
    job: Job
    params: Mapping[str, Json]
    fingerprint: str  #: of everything that decides the answer, the video aside
    ask: Ask = field(compare=False, repr=False)  #: its share of the call
    window: TimeWindow | None = field(default=None, compare=False)  #: the part of the video that counts; None: all
    whole: str = field(default="", compare=False)  #: fingerprint of the question that this is a part of
    #: The fingerprints under which the same was asked before an operator had it asked again, the latest first.
    before: tuple[str, ...] = field(default=(), compare=False)

    @property
    def identity(self) -> tuple[str, str]:
        """What tells one wanted result of a video from another, as ``RequestData.identity``."""
        return self.name, self.fingerprint

    def to_data(self) -> RequestData:
        """Return what a task must remember to ask and check the same later."""
        return RequestData(
            name=self.name, job=self.job.name, params=dict(self.params), fingerprint=self.fingerprint, whole=self.whole
        )

    @contextmanager
    def run_code(self, method: str, video: str) -> Iterator[None]:
        """Run the job's own code, and tell what it raises in one sentence.

        Raises:
            Permanent: it raised something; a corrected job and ``retry`` go on from here, for free.
        """
        try:
            yield
        except ReelmillError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            words = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
            raise Permanent(
                f'`{method}` of the job "{self.name}" failed for {video}: {log.redact(words)[:300]}',
                code="job_failed",
                remedy="correct the job, then `reelmill retry --class job_failed`; the answers are kept, and paid",
                detail=f"{PurePath(place.filename).name}, line {place.lineno}",
            ) from error


class JobPlanner:
    """Turns configuration and manifest lines into job requests.

    Raises:
        ConfigError: a configured instance names no known job, or its parameters are wrong.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        config: JobsSection,
        provider: Sequence[Json],
        index: str = "",
        *,
        captions: bool = False,
        windows: bool = True,
    ) -> None:
        self._captions = captions  # the platform reads those beside a file, so an answer depends on them
        self._windows = windows  # the platform can look at a part of a video
        self._index = index  # that videos are put into as well; empty: none
        self._jobs = {job.name: job for job in jobs}
        self._config = config
        self._provider = list(provider)  # what besides the job decides an answer: identity, model, temperature
        self._windowed: dict[tuple[str, str], JobRequest] = {}
        self._configured = {name: self._configure(name) for name in {*config.settings, *config.enabled}}

    @property
    def fuse(self) -> bool:
        """Return True when the jobs of a video share one request."""
        return self._config.fuse

    @property
    def transcripts(self) -> bool:
        """Return True when what was heard is wanted, too."""
        return self._config.transcripts

    def knows(self, name: str) -> bool:
        """Return True if a manifest line may ask for this name."""
        return name in self._configured or name in self._jobs

    def names(self) -> list[str]:
        """Return every name a manifest line may use."""
        return sorted({*self._configured, *self._jobs})

    def configured(self) -> dict[str, str]:
        """Return what every video gets: name and fingerprint of each."""
        return {name: request.fingerprint for name, request in self._configured.items() if request is not None}

    def restore(self, data: RequestData) -> JobRequest | None:
        """Return the request that :meth:`JobRequest.to_data` stored; None if this release has no such job."""
        job = self._jobs.get(data.job)
        if job is None:
            return None
        known = self._configured.get(data.name)
        if known is not None and (known.job, known.fingerprint, known.params) == (job, data.fingerprint, data.params):
            return known  # its share of the call is worked out already
        return JobRequest(data.name, job, data.params, data.fingerprint, job.ask(data.params), whole=data.whole)

    def requests(self, items: Sequence[Task], *, strict: bool = False) -> list[JobRequest]:
        """Return what these items of one video want together, each once.

        A line of an earlier run may name what is not configured any more: it wants nothing then, and harms no other.

        Raises:
            ConfigError: only with ``strict``: a line's own words cannot be carried out.
        """
        found: dict[str, JobRequest] = {}
        for item in sorted(items, key=lambda item: item.id):
            try:
                requests = list(self._of_line(ItemData.of(item).line))
            except ConfigError:
                if strict:
                    raise
                continue
            for request in requests:
                self._add(found, request)
        requests = list(found.values())
        heard = chosen_captions(items) if self._captions else None
        if heard is not None:
            requests = [_as_heard(each, heard) for each in requests]
        takes = _takes(items)
        return [_as_taken(each, takes.get(each.fingerprint, ())) for each in requests] if takes else requests

    def combined_fingerprint(self, requests: Sequence[JobRequest]) -> str:
        """Return one fingerprint for all requests of a video.

        A run compares it to see whether anything is new.
        """
        wanted = sorted(request.identity for request in requests)
        if self.transcripts:
            return fingerprint(wanted, self._index, "transcripts")
        return fingerprint(wanted, self._index) if self._index else fingerprint(wanted)

    def _of_line(self, line: LineData) -> Iterable[JobRequest]:
        prompt = line.prompt
        names = list(line.jobs or self._config.enabled)
        if prompt and not any(self._job_of(name) == "ask" for name in names):
            names.append("ask")
        for name in names:
            given = dict(self._config.settings.get(name, {}))
            own: dict[str, Json] = {"prompt": prompt} if prompt and self._job_of(name) == "ask" else {}
            own |= {"window": line.window} if line.window else {}
            if own.keys() == {"window"}:
                yield self._in_window(name, line.window, given)
            elif own:
                yield self._make(name, {**given, **own})
            else:
                yield self._configured.get(name) or self._make(name, given)

    def _in_window(self, name: str, window: str, given: dict[str, Json]) -> JobRequest:
        """Return a configured job about a line's part; lists mostly name few."""
        known = self._windowed.get((name, window))
        if known is None:
            if len(self._windowed) >= _MOST_WINDOWED:
                self._windowed.clear()
            known = self._windowed[name, window] = self._make(name, {**given, "window": window})
        return known

    def _add(self, found: dict[str, JobRequest], request: JobRequest) -> None:
        there = found.get(request.name)
        if there is None:
            found[request.name] = request
        elif there.fingerprint != request.fingerprint:
            # Two lines ask differently under one name: both get their answer, under names of their own.
            for length in (6, len(request.fingerprint)):  # a longer one where another question's begins alike
                other = f"{request.name[: 39 - length]}-{request.fingerprint[:length]}"
                made = self._make(other, {**request.params}, request.job, request.window)
                if found.setdefault(other, made) == made:
                    break

    def _job_of(self, name: str) -> str:
        return str(self._config.settings.get(name, {}).get("job", name))

    def _configure(self, name: str) -> JobRequest | None:
        """Check a configured instance; an ``ask`` without a prompt needs the line's."""
        if self._job_of(name) == "ask" and "prompt" not in self._config.settings.get(name, {}):
            if name in self._config.enabled:
                raise ConfigError(
                    f"[jobs.{name}] prompt: missing",
                    remedy="an enabled 'ask' needs a prompt; or name it per manifest line",
                )
            return None
        return self._make(name, dict(self._config.settings.get(name, {})))

    def _make(
        self, name: str, given: dict[str, Json], job: Job | None = None, window: TimeWindow | None = None
    ) -> JobRequest:
        named, window = given.pop("job", name), self._window(name, given.pop("window", None)) or window
        job = job or self._jobs.get(named)
        if job is None:
            raise ConfigError(
                f"[jobs] no job is called '{named}'", remedy=f"known jobs: {', '.join(sorted(self._jobs))}"
            )
        if not _NAME.match(name):
            raise ConfigError(f"[jobs.{name}]: a name is lower-case letters, digits, - and _, at most 40 characters")
        if job.name in _NAMED:
            given["name"] = name
        params = job.params(given)
        ask = job.ask(params)
        decides = fingerprint(self._provider, job.name, job.version, params, ask.schema, list(ask.lines))
        if window is not None:
            decides = fingerprint(decides, "window", window.start, window.end)
        return JobRequest(name, job, params, decides, ask, window)

    def _window(self, name: str, given: Json) -> TimeWindow | None:
        if given is None:
            return None
        try:
            found = parse_window(given)
        except ValueError as error:
            raise ConfigError(f"[jobs.{name}] window: {error}") from None
        if not self._windows:
            raise ConfigError(
                f"[jobs.{name}] window: API v1.2 looks at whole videos only",
                remedy='leave the window out, or set [provider] api = "v1.3"',
            )
        return found


def _takes(items: Sequence[Task]) -> Mapping[str, Sequence[str]]:
    """Return when each question was to be asked again.

    Whichever line has it: there is one video and one answer.
    """
    takes: dict[str, Sequence[str]] = {}
    for item in items:
        for question, times in ItemData.of(item).takes.items():
            takes[question] = max(takes.get(question, ()), times, key=lambda each: (len(each), tuple(each)))
    return takes


def _as_heard(request: JobRequest, captions: CaptionsData) -> JobRequest:
    """Return the request as it is asked with these captions."""
    plain = request.fingerprint  # asked without captions, or before note was taken of them
    digests = (captions.digest, *captions.earlier)
    now, *before = [plain if each in ("", "unknown") else fingerprint(plain, each) for each in digests]
    return replace(request, fingerprint=now, before=tuple(before))


def _as_taken(request: JobRequest, times: Sequence[str]) -> JobRequest:
    """Return the request as it is asked the last of these times.

    By its fingerprint it is another question.
    """
    if not times:
        return request
    *before, last = [request.fingerprint, *(fingerprint(request.fingerprint, time) for time in times)]
    return replace(request, fingerprint=last, before=(*reversed(before), *request.before))

"""The port of the video platform: uploads and analyses, and its rate limits.

Conformance suite of ``VideoApi``: ``tests/conformance/test_video_api.py`` (and ``test_video_api_v1_2.py`` for what only
v1.2 can do). ``Limiter``: ``tests/unit/test_limits.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from pipeline.core.model import Json, Trouble
from pipeline.ports.quota import QuotaNote


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the platform takes, known before a byte moves: bytes, seconds, pixels."""

    direct_bytes: int = 200 * 1000 * 1000
    multipart_bytes: int = 10 * 1000**3
    url_bytes: int = 4 * 1000**3
    min_seconds: float = 1.0
    indexed_min_seconds: float = 4.0  #: a shorter video is analysed, but no index takes it
    window_seconds: float = 7200.0  #: that one analysis looks at
    max_seconds: float = 14_400.0  #: a longer video than one analysis looks at is asked about by windows
    min_side: int = 360
    max_width: int = 5184
    max_height: int = 2160
    max_aspect: float = 2.4
    max_pixels: float = inf  #: of one picture, where more would be a trap for the decoder

    @property
    def assumed_seconds(self) -> float:
        """Seconds that a video of unknown length counts for: the longest that is taken.

        Where any length is taken, it is the longest that the vendor takes.
        """
        return self.max_seconds if isfinite(self.max_seconds) else 14_400.0


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload to make; its unique, deterministic ``name`` finds it again."""

    name: str
    #: external: the platform fetches a YouTube address (v1.2)
    method: Literal["direct", "multipart", "url", "external"]
    mime: str = "video/mp4"
    size: int = 0  #: bytes; 0 for a URL
    path: Path | None = None
    url: str = ""
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    since: float = 0.0  #: epoch seconds at which the intent was stored: nothing older can be ours
    index_id: str = ""  #: where a dialect uploads into an index (v1.2)
    title: str = ""  #: of an external video: only this distinguishes its task from another's
    taken: frozenset[str] = frozenset()  #: media ids that belong to other videos of ours
    #: Returns which of these media ids, each with the name of its upload, do so; None: ``taken`` says it.
    belonging: Callable[[Mapping[str, str]], Awaitable[frozenset[str]]] | None = None


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An open multipart upload: everything needed to go on after a crash."""

    upload_id: str
    asset_id: str
    chunk_size: int
    total_chunks: int
    expires_at: float  #: epoch seconds
    headers: Mapping[str, str] = field(default_factory=dict)

    def fits(self, size: int) -> bool:
        """Return True if these chunks are those of a file of ``size`` bytes."""
        return (self.total_chunks - 1) * self.chunk_size < size <= self.total_chunks * self.chunk_size


@dataclass(frozen=True, slots=True)
class MediaStatus:
    """How far an uploaded video is; unknown provider words are ``working``."""

    state: Literal["working", "ready", "failed", "gone"]
    word: str = ""  #: the provider's own status word; empty before the first answer
    message: str = ""
    look_again: float = 10.0  #: seconds
    trouble: Trouble | None = None  #: why it failed, where the platform gives a reason of ours
    later: float | None = None  #: seconds after which a failed one can be uploaded again; None: never by itself
    #: duration, size, width, height as the provider sees them; ``video_id`` where analysis needs another id than upload
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """One analysis request in neutral terms, for every dialect."""

    key: str  #: ``custom_id``: at most 64 of [A-Za-z0-9_-]
    media_id: str
    prompt: str
    schema: Mapping[str, Json] | None  #: None asks for free text
    max_tokens: int
    temperature: float
    model: str
    legacy: Mapping[str, Json] | None = None  #: ``path`` and ``body`` for a dialect without schemas (v1.2)
    since: float = 0.0  #: epoch seconds at which the intent was stored
    as_of: float | None = None  #: epoch seconds: a look for it at that time, or later, will do; None: only one now
    minutes: float = 0.0  #: of video that it looks at, for the limits that count minutes
    idempotency_key: str = ""  #: of the same characters; the same key is the same request; empty: ``key``
    useless: Sequence[str] = ()  #: ids of this key that a look passes over: what they have answered is of no use
    #: The part of the video that counts, seconds on the clock inside its file; None: from its beginning, to its end.
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished analysis, exactly as received in ``raw``."""

    text: str  #: the answer text; JSON text where a schema was asked for
    finish_reason: str  #: ``stop`` is success; ``length`` is not
    raw: Json
    usage: Mapping[str, Json] = field(default_factory=dict)  #: as the platform says, and not checked
    warning: str = ""
    model: str = ""  #: that wrote it, where the platform names another than was asked


@dataclass(frozen=True, slots=True)
class AnalysisStatus:
    """How far an analysis is; ``answer`` is there once ``state`` is ``ready``."""

    state: Literal["working", "ready", "failed", "canceled", "gone"]
    word: str = ""  #: as above
    message: str = ""
    code: str = ""
    look_again: float = 10.0
    answer: Answer | None = None
    usage: Mapping[str, Json] = field(default_factory=dict)  #: of one that ended without an answer, where it is told


@dataclass(frozen=True, slots=True)
class Cancelling:
    """How an analysis stands after the platform was told to cancel it."""

    status: AnalysisStatus
    refused: Trouble | None = None  #: why it goes on all the same


class Utterance(NamedTuple):
    """Words that were said from one second to another."""

    start: float
    end: float
    text: str
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the platform heard in an upload; unknown words for its state are ``working``."""

    state: Literal["working", "ready", "failed", "none"]
    message: str = ""
    sentences: Sequence[Utterance] = ()
    utterances: Sequence[Utterance] = ()  #: of one speaker each
    words: Sequence[Utterance] = ()


class VideoApi(Protocol):
    """The platform, in our verbs. Raises only errors of ``pipeline.core.errors``.

    Calls that create or bill something come in pairs: ``find_…`` asks for what the paired call may have left behind.
    """

    @property
    def identity(self) -> str:
        """Name and dialect for result fingerprints, e.g. ``twelvelabs/v1.3`` or ``local/v1.3``."""
        ...

    @property
    def features(self) -> frozenset[str]:
        """What the dialect can do, by name.

        ``fuse`` (many jobs in one request), ``multipart``, ``index_first`` (uploads go into an index), ``external``
        (fetches YouTube addresses itself), ``transcripts`` …
        """
        ...

    @property
    def ceilings(self) -> Ceilings:
        """What the platform takes."""
        ...

    @property
    def grace(self) -> float:
        """Seconds to wait after a lost answer before asking for it."""
        ...

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        """Upload directly or by URL and return the asset id. Not repeatable: see :meth:`find_asset`.

        ``still_ours`` is called right before the request is sent and raises LostLease.
        """
        ...

    async def find_asset(self, upload: NewUpload) -> str | None:
        """Return the id of an asset that carries exactly this unique name, or None.

        Raises:
            Ambiguous: the dialect cannot tell: several could be ours, or nothing can be asked.
        """
        ...

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> UploadSession:
        """Open a multipart session. An unused one costs nothing and expires within a day."""
        ...

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        """Send the missing chunks as ranges of the file, in parallel; repeatable.

        Raises:
            Permanent: code ``session_expired`` when the session cannot be used any more, ``bad_session`` when it never
                could (open another one).
            InputError: code ``file_changed`` when the file's size no longer fits the session.
        """
        ...

    async def media(self, media_id: str) -> MediaStatus:
        """Return how far an upload is, from a shared list call."""
        ...

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        """Ask; return the provider's task id, or an immediate answer. Paid."""
        ...

    async def find_analysis(self, question: Question) -> str | None:
        """Return the provider's task id of this very question, or None.

        Raises:
            Ambiguous: where the dialect has no way to ask.
        """
        ...

    async def analysis(self, question: Question, task_id: str) -> AnalysisStatus:
        """Return how far an analysis is; shares list calls like :meth:`media`."""
        ...

    async def cancel_analysis(self, question: Question, task_id: str) -> Cancelling:
        """Cancel an analysis unless it has ended; return how it stands then.

        Repeatable. It goes on where the platform offers no such call, or refuses it.
        """
        ...

    async def transcription(self, media_id: str) -> Transcription:
        """Return what was heard in an upload, where the dialect has ``transcripts``. Free."""
        ...

    async def check(self) -> Mapping[str, Json]:
        """Make one cheap read-only call; return facts for ``doctor``. Raises what is wrong."""
        ...

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        ...


class Limiter(Protocol):
    """The shared rate limiter: requests, minutes and tokens, per endpoint group.

    It has windows of a minute, an hour and a day.
    """

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> float:
        """Take what a call needs from its group's buckets, sleeping a second at most.

        Return when it was counted, for :meth:`answered`.

        Raises:
            Throttled: when the wait would be longer; ``after`` says how long, ``alone`` that a smaller call has room.
        """
        ...

    def answered(
        self, group: str, admitted: float, *, minutes: float = 0.0, tokens: float = 0.0, accepted: bool | None = True
    ) -> None:
        """Take note that a call let in then was answered, or never will be.

        ``accepted``: None where nobody knows; then it counts.
        """
        ...

    def learn(self, group: str, *, wait: float | None = None, notes: Sequence[QuotaNote] = ()) -> None:
        """Learn from an answer: a 429's wait, and what it says of limits."""
        ...

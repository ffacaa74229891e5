"""A dialect: request values out, response values in. No I/O.

A dialect never sends anything. For each verb of the port it returns a :class:`Call`: the :class:`Request` to send and
the reader of the :class:`Response`. Transport, client, uploader and status board know no endpoint, field or status word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json
from pipeline.ports.video_api import (
    AnalysisStatus,
    Answer,
    Ceilings,
    MediaStatus,
    NewUpload,
    Question,
    Transcription,
    UploadSession,
)

T_co = TypeVar("T_co", covariant=True)
#: fuse: many jobs in one request. index_first: uploads go into an index. external: fetches YouTube addresses itself.
Feature = Literal["assets", "multipart", "url", "schema", "fuse", "index_first", "external", "transcripts"]


class UnreadableAnswer(ValueError):
    """An answer with a good status that breaks the API's promise."""


class MalformedId(UnreadableAnswer):
    """An object without an id, or with one that no platform gives."""


class UnusableSession(UnreadableAnswer):
    """A multipart session that this file cannot use; another costs nothing."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file in a form; ``size`` in bytes by the intent, 0 = any."""

    path: Path
    name: str
    mime: str
    size: int = 0
    field: str = "file"


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text as a file of a form."""

    field: str
    name: str
    mime: str
    text: str


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes ``offset`` to ``offset + length`` of a file, as the whole body."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as a value.

    At most one of ``json``, ``form`` (with ``files``) and ``range`` is its body.
    """

    method: str
    path: str  #: below the base address, ids already quoted; empty for a presigned address
    group: str = "read"  #: whose limits it counts against; empty: nobody's
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Json | None = None
    form: Sequence[tuple[str, str]] | None = None
    files: Sequence[FilePart | TextPart] = ()
    range: FileRange | None = None
    safe: bool = False  #: repeating it changes and costs nothing
    url: str = ""  #: a presigned address: gets no key, and its query is a secret
    timeout: float | None = None  #: seconds without a byte in or out; None = as configured
    most: int | None = None  #: bytes of the answer; None = as usual


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response, read completely.

    Header names are lower case; ``at`` is when it came, epoch seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One API call as a value."""

    request: Request
    read: Callable[[Response], T_co]  #: reads a 2xx answer; raises UnreadableAnswer


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """One page of a list."""

    entries: Sequence[T_co]
    last: bool  #: there is no page after this one
    total: int | None = None  #: entries on all pages, where the list says so


@dataclass(frozen=True, slots=True)
class FoundObject:
    """Something that a lost answer may have left behind."""

    id: str  #: empty in a list of all: it has none that is proper
    label: str  #: unique name of an upload, or key of a question
    created: float | None  #: epoch seconds by the platform's clock
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """Where one chunk goes. Good for one upload until ``expires_at``, epoch seconds."""

    index: int  #: from 1
    url: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What the storage said about a chunk that arrived."""

    index: int
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class ChunkState:
    """How far a multipart session is: one page of its chunk list."""

    state: Literal["active", "completed", "dead"]
    word: str
    done: frozenset[int]
    last: bool


class MultipartDialect(Protocol):
    """Multipart uploads, where an API version has them."""

    def open_session(self, upload: NewUpload) -> Call[UploadSession]:
        """Open a multipart upload."""
        ...

    def chunk_state(self, session: UploadSession, page: int) -> Call[ChunkState]:
        """Ask which chunks have arrived."""
        ...

    def addresses(self, session: UploadSession, start: int, count: int) -> Call[Sequence[Address]]:
        """Ask for addresses of ``count`` chunks from ``start`` on, each time new."""
        ...

    def put_chunk(self, session: UploadSession, address: Address, body: FileRange) -> Request:
        """Send one chunk to the storage, which is not the API."""
        ...

    def report_chunks(self, session: UploadSession, proofs: Sequence[Proof]) -> Call[int]:
        """Report which chunks arrived; repeatable. Returns how many the platform counts as arrived."""
        ...


@runtime_checkable
class MediaByIds(Protocol):
    """A list of uploads that can be asked for given ids."""

    def media_by_ids(self, ids: Sequence[str]) -> Call[Mapping[str, MediaStatus]]:
        """Ask about up to a page of uploads at once."""
        ...


@runtime_checkable
class MediaByAge(Protocol):
    """A list of uploads, newest first, that cannot be asked for given ones."""

    def media_page(self, page: int) -> Call[Page[tuple[str, MediaStatus]]]:
        """List (id, status) pairs, newest first."""
        ...


class AnalysisTasks(Protocol):
    """Analyses as tasks to find and watch, where an API has them."""

    unfinished_words: Sequence[str]  #: status words of an analysis that is not finished

    def find_analyses(self, question: Question | None, page: int) -> Call[Page[FoundObject]]:
        """List what may be this question, by key; None: all, newest first."""
        ...

    def unfinished_analyses(self, word: str, page: int) -> Call[Page[tuple[str, AnalysisStatus]]]:
        """List (id, status) pairs of unfinished analyses by one status word."""
        ...

    def analysis(self, task_id: str) -> Call[AnalysisStatus]:
        """Ask about one analysis; with the answer once it is ready."""
        ...

    def cancel_analysis(self, task_id: str) -> Call[None]:
        """Cancel an analysis that has not ended; repeatable."""
        ...

    def transcription(self, media_id: str) -> Call[Transcription]:
        """Ask what was heard in an upload."""
        ...


class Dialect(Protocol):
    """One API version: uploads and analyses."""

    name: str  #: e.g. ``v1.3``
    base: str  #: the vendor's address of this version
    version_path: str  #: appended to a base address that has no path
    features: frozenset[Feature]
    ceilings: Ceilings
    page_size: int
    known_words: frozenset[str]  #: all status words we know; others are treated as working

    @property
    def multipart(self) -> MultipartDialect | None:
        """Multipart uploads."""
        ...

    @property
    def analyses(self) -> AnalysisTasks | None:
        """Analyses as tasks; None: answers come at once."""
        ...

    @property
    def media_list(self) -> MediaByIds | MediaByAge:
        """How many uploads are seen at once."""
        ...

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
        """Return the error for a response that is not 2xx.

        ``wait`` serves where a 429 names no time, seconds.
        """
        ...

    def create_asset(self, upload: NewUpload) -> Call[str]:
        """Upload directly or by address; read its id."""
        ...

    def find_assets(self, upload: NewUpload, page: int) -> Call[Page[FoundObject]]:
        """List what may be this upload, by name."""
        ...

    def pick_asset(self, found: Sequence[FoundObject], upload: NewUpload, since: float) -> str | None:
        """Return the id of the upload among those found, or None.

        ``since`` is the intent's time by their clock.

        Raises:
            Ambiguous: it cannot be told.
            NotYet: it cannot be told yet.
        """
        ...

    def media(self, media_id: str) -> Call[MediaStatus]:
        """Ask about one upload."""
        ...

    def advice(self, status: MediaStatus) -> float:
        """Return the advised wait before the next look, seconds; 0 if none."""
        ...

    def delete_media(self, media_id: str) -> Call[None]:
        """Delete an upload that is final."""
        ...

    def submit_analysis(self, question: Question) -> Call[str | Answer]:
        """Ask a question about an upload; read the task's id, or the answer itself."""
        ...

    def check(self) -> Call[Mapping[str, Json]]:
        """Make the cheapest call that needs the key; read facts for a person."""
        ...

"""Sending a multipart session's missing chunks, straight from the original file.

The server's chunk state is asked first, so that a resumed upload sends nothing twice. Chunks are byte ranges of the file,
streamed in blocks, a few at once; nothing is copied to disk. A worker starts its next chunk only after the platform has
confirmed the last one: a kill at any moment makes us send at most one chunk per worker again. Chunks that arrive while a
report is under way go into the next one together; repeating a report is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, quote

import anyio

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import Permanent, ReelmillError, Transient
from pipeline.core.retry import ThrottlePatience, retry
from pipeline.ports import transfers
from pipeline.ports.video_api import UploadSession
from pipeline.provider.dialects.json_reading import body_text, clip
from pipeline.provider.dialects.protocol import Address, Call, FileRange, MultipartDialect, Proof, Request, Response
from pipeline.provider.dialects.retry_after import requested_wait
from pipeline.provider.dialects.sessions import session_fault
from pipeline.provider.http.body import Stamp, changed

T = TypeVar("T")
_ADDRESSES = 50  #: presigned addresses per request; the platform's maximum
_EARLY = 60.0  #: seconds before its expiry from which an address is no longer used
_TRIES = 5  #: per chunk
_ROUNDS = 3  #: of asking what is missing and sending it
_PATIENCE = 120.0  #: seconds that an upload waits for rate limits, with its slot in hand, until more chunks arrive
_TIMEOUT = 120.0  #: seconds without a byte, per chunk
_BACKOFF = Backoff(first=0.5, most=15.0)
_UNKNOWN = frozenset({"resource_not_exist", "gone"})
_SECRET = 8  #: characters from which a value in an address may be the signature that opens it
_STALE = frozenset({400, 401, 403, 404, 410})  #: how storages refuse an expired signature


class Caller(Protocol):
    """What the sender needs of the API caller."""

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def rng(self) -> Random:
        """Chance, for the spread of waits."""
        ...

    async def call(self, call: Call[T]) -> T:
        """Make one API call with all its rules."""
        ...

    async def send(self, request: Request) -> Response:
        """Send one request to a presigned address."""
        ...


def check_fits(session: UploadSession, path: Path, size: int) -> None:
    """Raise if a file of this size cannot be the session's.

    Raises:
        InputError: code ``file_changed``.
        Permanent: code ``bad_session``: nothing could be sent over this session.
    """
    if fault := session_fault(session):
        raise Permanent(
            "the platform opened an upload that cannot be used", code="bad_session", remedy="a new one is opened",
            detail=f"the platform wants {fault}",
        )  # fmt: skip
    if not session.fits(size):
        raise changed(path)


class ChunkSender:
    """One run over one session."""

    def __init__(
        self, caller: Caller, dialect: MultipartDialect, session: UploadSession, path: Path, progress: Callable[[int], None], *,
        parallel: int,
    ) -> None:  # fmt: skip
        self._caller, self._dialect, self._session, self._path = caller, dialect, session, path
        self._progress, self._parallel = progress, parallel
        self._stamp = Stamp.of(path)
        check_fits(session, path, self._stamp.size)
        self._addresses: dict[int, Address] = {}
        self._address_lock = anyio.Lock()
        self._report_lock = anyio.Lock()
        self._proofs: list[Proof] = []
        self._counted = 0  #: chunks the server says it has
        self._patience = ThrottlePatience(_PATIENCE, unnamed=1.0)
        self._error: ReelmillError | None = None

    async def run(self) -> None:
        """Send what is missing.

        Raises:
            Permanent: code ``session_expired`` or ``bad_session``: open another session; or the storage refuses a chunk.
            InputError: code ``file_changed``.
            Transient: try again; what arrived stays.
        """
        for _ in range(_ROUNDS):
            missing = await self._missing()
            if not missing:
                return
            there = (self._session.total_chunks - len(missing)) * self._session.chunk_size
            transfers.stands_at(min(there, self._stamp.size), self._stamp.size, before=True)
            await self._send(iter(missing), min(self._parallel, len(missing)))
            if self._counted >= self._session.total_chunks:
                return
        raise Transient("the platform still lacks chunks that were reported", code="chunks_missing")

    async def _missing(self) -> list[int]:
        done = set[int]()
        for page in range(1, self._session.total_chunks + 2):
            state = await self._call(self._dialect.chunk_state(self._session, page))
            if state.state == "completed":
                return []
            if state.state == "dead":
                raise _expired(state.word)
            done |= state.done
            if state.last:
                return [index for index in range(1, self._session.total_chunks + 1) if index not in done]
        raise Transient("the platform's list of chunks has no end", code="unreadable")

    async def _send(self, missing: Iterator[int], parallel: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(parallel):
                group.start_soon(self._work, missing)
        try:
            await self._report()  # also after an error, so that what arrived is not sent again
        except ReelmillError as error:
            self._fail(error)
        if self._error is not None:
            raise self._error

    async def _work(self, missing: Iterator[int]) -> None:
        for index in missing:
            if self._error is not None:
                return
            try:
                proof = await self._chunk(index)
                self._proofs.append(proof)  # on its own line: a report may have replaced the list meanwhile
                await self._report()
            except ReelmillError as error:
                self._fail(error)
                return

    def _fail(self, error: ReelmillError) -> None:
        """Keep the first error; the other workers finish their current chunk and stop."""
        self._error = self._error or error

    async def _chunk(self, index: int) -> Proof:
        offset = (index - 1) * self._session.chunk_size
        part = FileRange(self._path, offset, min(self._session.chunk_size, self._stamp.size - offset))
        unsent: Transient | None = None

        async def attempt() -> Response:
            nonlocal unsent
            address = await self._address(index)
            try:
                return await self._put(address, part)
            except Transient as error:
                unsent = error
                raise

        def policy(number: int, error: ReelmillError) -> float | None:
            if error is not unsent or number == _TRIES:  # calls of the API have had their own tries
                return None
            wait = _BACKOFF.delay(number, self._caller.rng)
            if isinstance(error, _Refused):
                wait = 0.0 if error.stale and number == 1 else error.wait or wait
            return min(wait, _BACKOFF.most)

        return self._proof(index, await retry(attempt, policy, self._caller.clock), part.length)

    async def _put(self, address: Address, part: FileRange) -> Response:
        response = await self._caller.send(self._dialect.put_chunk(self._session, address, part))
        if 200 <= response.status < 300:
            return response
        if response.status in _STALE:
            self._addresses.clear()  # they were made together and have expired together
        raise _Refused(response, address.url)

    def _proof(self, index: int, response: Response, length: int) -> Proof:
        etag = response.headers.get("etag", "").strip().removeprefix("W/").strip('"')
        if not etag:
            raise Transient("the storage took a chunk but gave no ETag for it", code="no_etag")
        self._addresses.pop(index, None)
        return Proof(index, etag, length)

    async def _address(self, index: int) -> Address:
        async with self._address_lock:
            known = self._addresses.get(index)
            if known is None or known.expires_at - _EARLY < self._caller.clock.now():
                count = min(_ADDRESSES, self._session.total_chunks - index + 1)
                for address in await self._call(self._dialect.addresses(self._session, index, count)):
                    self._addresses[address.index] = address
                known = self._addresses.get(index)
        if known is None:
            raise Transient("the platform named no address for a chunk", code="no_address")
        return known

    async def _report(self) -> None:
        """Tell the platform what arrived; what cannot be delivered stays."""
        async with self._report_lock:
            if not self._proofs:
                return
            if Stamp.of(self._path) != self._stamp:
                raise changed(self._path)
            proofs, self._proofs = self._proofs, []
            try:
                counted = await self._call(self._dialect.report_chunks(self._session, proofs))
            except BaseException:
                self._proofs = [*proofs, *self._proofs]
                raise
            self._counted = max(self._counted, counted)
            self._patience.reset()
            self._progress(sum(proof.size for proof in proofs))

    async def _call(self, call: Call[T]) -> T:
        """Make a call; wait for rate limits, for giving up means starting over."""
        try:
            return await retry(lambda: self._caller.call(call), self._patience, self._caller.clock)
        except Permanent as error:
            if error.trouble.code in _UNKNOWN:
                raise _expired(error.trouble.detail) from None
            raise


class _Refused(Transient):
    """The storage does not take a chunk.

    ``wait``: seconds that it asked for; ``stale``: its address may have expired.
    """

    def __init__(self, response: Response, url: str) -> None:
        text = body_text(response)
        for _, value in parse_qsl(url.partition("?")[2]):  # some repeat the query word by word, as what was signed
            for secret in (value, quote(value, safe="")):
                text = text.replace(secret, "***") if len(secret) >= _SECRET else text
        detail = clip(f"HTTP {response.status} {text}")
        super().__init__("the storage does not take the chunk", code="chunk_refused", detail=detail)
        self.wait, self.stale = requested_wait(response), response.status in _STALE


def _expired(word: str) -> Permanent:
    return Permanent(
        "the upload session cannot be used any more", code="session_expired", remedy="a new one is opened", detail=word
    )

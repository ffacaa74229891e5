"""Sending chunks against a platform and a storage with behaviour, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pytest

from pipeline.core.errors import InputError, Permanent, ReelmillError, Throttled, Transient
from pipeline.ports.video_api import UploadSession
from pipeline.provider.dialects.protocol import Call, Request, Response
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http.body import Stamp, blocks
from pipeline.provider.upload import ChunkSender
from tests.support.clock import VirtualClock, run_virtual

T = TypeVar("T")

CHUNK = 700_000  #: more than one block
SIZE = 23 * CHUNK + 17


@dataclass
class Cloud:
    """A platform with one session and a storage behind it: keeps the bytes, expires addresses, fails on demand."""

    clock: VirtualClock
    rng: Random = field(default_factory=lambda: Random(2))
    dialect: V13 = field(default_factory=V13)
    stored: dict[int, bytes] = field(default_factory=dict)
    reported: dict[int, str] = field(default_factory=dict)
    put: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    reports: list[int] = field(default_factory=list)
    status: str = "active"
    lifetime: float = 3600.0
    generation: int = 0
    at_once: int = 0
    most_at_once: int = 0
    trouble: Callable[[int], Response | Exception | None] = lambda _: None
    refuse: Callable[[str], Exception | None] = lambda _: None
    addresses: dict[str, tuple[int, float]] = field(default_factory=dict)

    async def call(self, call: Call[T]) -> T:
        request = call.request
        verb = request.path.rsplit("/", 1)[-1] if request.method == "POST" else "state"
        self.asked.append(verb)
        await self.clock.sleep(0.05)
        error = self.refuse(verb)
        if error is not None:
            raise error
        if verb == "presigned-urls":
            body = self._addresses(request.json)
        elif request.method == "POST":
            body = self._report(request.json)
        else:
            body = self._state(dict(request.params))
        return call.read(Response(200, {}, json.dumps(body).encode(), self.clock.now()))

    def _addresses(self, wish: Any) -> Any:
        assert wish["count"] <= 50
        self.generation += 1
        made = []
        for index in range(wish["start"], wish["start"] + wish["count"]):
            url = f"https://storage.invalid/{index}?g={self.generation}"
            self.addresses[url] = (index, self.clock.now() + self.lifetime)
            made.append({"chunk_index": index, "url": url, "expires_at": None})
        return {"upload_urls": made}

    def _report(self, body: Any) -> Any:
        chunks = body["completed_chunks"]
        self.reports.append(len(chunks))
        for chunk in chunks:
            assert len(self.stored[chunk["chunk_index"]]) == chunk["chunk_size"]
            self.reported[chunk["chunk_index"]] = chunk["proof"]
        if len(self.reported) == 24:
            self.status = "completed"
        return {"total_completed": len(self.reported)}

    def _state(self, params: dict[str, str]) -> Any:
        page, limit = int(params["page"]), 10  # the platform may give smaller pages than asked for
        known = [{"index": i, "status": "completed" if i in self.reported else "pending"} for i in range(1, 25)]
        info = {"page": page, "total_page": 3}
        return {"status": self.status, "uploaded_chunks": known[(page - 1) * limit : page * limit], "page_info": info}

    async def send(self, request: Request) -> Response:
        assert request.range is not None
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.clock.sleep(1.0)
            index, expires = self.addresses[request.url]
            content = b"".join([block async for block in blocks(request.range, Stamp.of(request.range.path))])
            trouble = self.trouble(index)
            if isinstance(trouble, Exception):
                raise trouble
            if trouble is not None:
                return trouble
            if self.clock.now() >= expires:
                return Response(
                    403, {}, b"<Error>expired https://storage.invalid/1?sig=secret</Error>", self.clock.now()
                )
            self.put.append(index)
            self.stored[index] = content
            return Response(200, {"etag": f'"etag-{index}"'}, b"", self.clock.now())
        finally:
            self.at_once -= 1


SESSION = UploadSession("u", "a", CHUNK, 24, 0.0)


def film(folder: Path) -> Path:
    """A file of 24 chunks whose bytes tell where they are from."""
    path = folder / "film"
    path.write_bytes(Random(9).randbytes(SIZE))
    return path


def run(cloud: Cloud, path: Path, session: UploadSession = SESSION) -> int:
    """Send; return the bytes confirmed. An error carries them in ``args[1:]``."""
    confirmed: list[int] = []

    async def work() -> int:
        try:
            await ChunkSender(cloud, cloud.dialect, session, path, confirmed.append, parallel=4).run()
        except ReelmillError as error:
            error.args = (*error.args, sum(confirmed))
            raise
        return sum(confirmed)

    return run_virtual(work())


def test_the_file_arrives_in_order_and_in_parallel(tmp_path: Path) -> None:
    """Byte-exact, four at once, one request for addresses, few reports, each byte confirmed once."""
    cloud, path = Cloud(VirtualClock()), film(tmp_path)
    assert run(cloud, path) == SIZE
    assert b"".join(cloud.stored[index] for index in range(1, 25)) == path.read_bytes()
    assert (cloud.most_at_once, sorted(cloud.put)) == (4, list(range(1, 25)))
    assert cloud.asked.count("presigned-urls") == 1
    assert sum(cloud.reports) == 24
    assert len(cloud.reports) <= 12  # those that arrive together are told together
    assert set(cloud.reported.values()) == {f"etag-{index}" for index in range(1, 25)}


def test_a_completed_session_is_only_asked(tmp_path: Path) -> None:
    """Nothing is sent again."""
    cloud, path = Cloud(VirtualClock()), film(tmp_path)
    run(cloud, path)
    assert (run(cloud, path), len(cloud.put)) == (0, 24)


def test_resume_sends_what_the_server_lacks(tmp_path: Path) -> None:
    """Die in the middle: the second run sends the unreported rest; together they confirm each byte once."""
    cloud, path = Cloud(VirtualClock()), film(tmp_path)
    cloud.trouble = lambda index: InputError("the disk is gone") if index == 15 else None
    with pytest.raises(InputError) as caught:
        run(cloud, path)
    first = caught.value.args[-1]
    assert 0 < first < SIZE
    known, sent = set(cloud.reported), len(cloud.put)
    cloud.trouble = lambda _: None
    assert first + run(cloud, path) == SIZE
    assert not known & set(cloud.put[sent:])
    assert b"".join(cloud.stored[index] for index in range(1, 25)) == path.read_bytes()


def test_expired_addresses_are_asked_for_anew(tmp_path: Path) -> None:
    """The storage refuses an address that has run out: new ones are made, and the upload goes on."""
    cloud, path = Cloud(VirtualClock(), lifetime=2.5), film(tmp_path)
    assert run(cloud, path) == SIZE
    assert cloud.asked.count("presigned-urls") > 2


def test_a_storage_that_stumbles_is_tried_again(tmp_path: Path) -> None:
    """A reset, a 500 and a 503 with a wait, for every chunk: each gets there at the fourth try, after pauses."""
    cloud, path = Cloud(VirtualClock()), film(tmp_path)
    ends: dict[int, list[Response | Exception]] = {
        index: [Transient("reset"), Response(500, {}, b""), Response(503, {"retry-after": "3"}, b"")]
        for index in range(25)
    }

    def stumble(index: int) -> Response | Exception | None:
        return ends[index].pop() if ends[index] else None

    cloud.trouble = stumble
    assert run(cloud, path) == SIZE


@pytest.mark.parametrize(
    "end", [Response(500, {}, b""), Response(403, {}, b"<Error>https://s.invalid/1?sig=secret</Error>")]
)
def test_a_storage_that_refuses_ends_as_transient(tmp_path: Path, end: Response) -> None:
    """After five tries the step ends; what arrived is reported; the address is not shown."""
    cloud, path = Cloud(VirtualClock()), film(tmp_path)
    cloud.trouble = lambda index: end if index == 20 else None
    with pytest.raises(Transient) as caught:
        run(cloud, path)
    assert caught.value.trouble.code == "chunk_refused"
    assert "secret" not in repr(caught.value.trouble)
    assert set(cloud.reported) == set(cloud.stored)


class _Signed(Cloud):
    """A cloud whose addresses are signed as storages do it."""

    signature, token = "5f0c9a7be1d24c68", "IQoJb3JpZ2lu/2VjEJ3=="

    def _addresses(self, wish: Any) -> Any:
        made = super()._addresses(wish)
        for entry in made["upload_urls"]:
            known = self.addresses[entry["url"]]
            query = urlencode({"X-Amz-Security-Token": self.token, "X-Amz-Signature": self.signature})
            entry["url"] += f"&{query}"
            self.addresses[entry["url"]] = known
        return made


def test_what_a_storage_repeats_of_a_signature_is_not_shown(tmp_path: Path) -> None:
    """S3 tells what was signed, and the signature it was given: with both, anybody could write to the address."""
    cloud, path = _Signed(VirtualClock()), film(tmp_path)
    told = f"<Code>SignatureDoesNotMatch</Code><SignatureProvided>{cloud.signature}</SignatureProvided>"
    told += (
        f"<CanonicalRequest>PUT /1 X-Amz-Security-Token={quote(cloud.token, safe='')} {cloud.token}</CanonicalRequest>"
    )
    cloud.trouble = lambda _: Response(403, {}, told.encode())
    with pytest.raises(Transient) as caught:
        run(cloud, path)
    shown = repr(caught.value.trouble)
    assert "SignatureDoesNotMatch" in shown
    assert not [secret for secret in (cloud.signature, cloud.token, quote(cloud.token, safe="")) if secret in shown]


def test_a_dead_session_asks_for_another(tmp_path: Path) -> None:
    """Expired, failed and unknown sessions end with the same word, also in the middle of the upload."""
    path = film(tmp_path)
    unknown = Permanent("no such session", code="resource_not_exist")
    for cloud in (
        Cloud(VirtualClock(), status="expired"),
        Cloud(VirtualClock(), status="failed"),
        Cloud(VirtualClock(), refuse=lambda _: unknown),
        Cloud(VirtualClock(), refuse=lambda verb: unknown if verb == "u" else None),
    ):
        with pytest.raises(Permanent) as caught:
            run(cloud, path)
        assert caught.value.trouble.code == "session_expired"


def test_a_short_throttle_is_waited_for_and_a_long_one_is_not(tmp_path: Path) -> None:
    """With chunks under way the sender waits a little; a long wait gives the slot back."""
    path = film(tmp_path)
    waits = [5.0]
    cloud = Cloud(VirtualClock())
    cloud.refuse = lambda _: Throttled("slow", after=waits.pop(), group="assets") if waits else None
    assert run(cloud, path) == SIZE
    cloud = Cloud(VirtualClock(), refuse=lambda _: Throttled("slow", after=600, group="assets"))
    with pytest.raises(Throttled):
        run(cloud, path)
    assert cloud.asked == ["state"]


def test_another_file_is_noticed(tmp_path: Path) -> None:
    """A size that does not fit the session, or a change while sending: nothing more is reported."""
    path = film(tmp_path)
    with pytest.raises(InputError) as caught:
        run(Cloud(VirtualClock()), path, UploadSession("u", "a", CHUNK, 23, 0.0))
    assert caught.value.trouble.code == "file_changed"
    cloud = Cloud(VirtualClock())

    def meddle(index: int) -> None:
        if index == 14:
            path.write_bytes(b"z" * SIZE)

    cloud.trouble = meddle
    with pytest.raises(InputError) as changed:
        run(cloud, path)
    assert changed.value.trouble.code == "file_changed"
    assert 14 not in cloud.reported


def test_a_missing_etag_is_not_made_up(tmp_path: Path) -> None:
    """Without the storage's proof there is nothing to report."""
    cloud, path = Cloud(VirtualClock()), film(tmp_path)
    cloud.trouble = lambda _: Response(200, {}, b"")
    with pytest.raises(Transient) as caught:
        run(cloud, path)
    assert (caught.value.trouble.code, cloud.reported) == ("no_etag", {})

"""The HTTP border against a scripted server on loopback: what is sent where, and what becomes of every kind of end."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import (
    Ambiguous,
    ConfigError,
    InputError,
    NeedsOperator,
    Permanent,
    ReelmillError,
    Throttled,
    Transient,
)
from pipeline.ports.knowledge_api import CrossQuestion
from pipeline.ports.video_api import Answer, NewUpload, Question
from pipeline.provider.client import TwelveLabs, open_api
from pipeline.provider.dialects.protocol import FileRange, Request
from pipeline.provider.http.rate_limits import Unlimited
from pipeline.provider.http.transport import Transport

KEY = "tlk_a-very-secret-key"
WISH = Question("key-1", "a" * 24, "What?", None, 1024, 0.2, "pegasus1.5")


@dataclass
class Heard:
    """One request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """Answers requests in order; the last answer is repeated. ``None`` breaks the connection."""

    answers: Sequence[bytes | None]
    heard: list[Heard] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.heard.append(Heard(head[0], headers, body))
                answer = self.answers[min(len(self.heard), len(self.answers)) - 1]
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(status: int, body: Any = b"", *headers: str) -> bytes:
    """An HTTP answer; a value is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@asynccontextmanager
async def scripted(*answers: bytes | None) -> AsyncIterator[Script]:
    """Serve a script on loopback."""
    script = Script(answers)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        await server.wait_closed()


class Brief(SystemClock):
    """Real time without waiting; remembers what it should have slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def client(port: int, **provider: Any) -> AsyncIterator[TwelveLabs]:
    """Our client of the scripted server."""
    settings = Settings.model_validate({"provider": provider})
    api = open_api(
        settings, base_url=f"http://127.0.0.1:{port}", key=KEY, identity="t/v1.3", limiter=Unlimited(),
        clock=Brief(), rng=Random(3), local=False,
    )  # fmt: skip
    try:
        yield api
    finally:
        await api.aclose()


@asynccontextmanager
async def bare(base_url: str, **options: Any) -> AsyncIterator[Transport]:
    """A transport without a client."""
    options = {"connections": 6, "timeout": 5.0, **options}
    transport = Transport(base_url, KEY, clock=SystemClock(), rng=Random(3), **options)
    try:
        yield transport
    finally:
        await transport.aclose()


def ours() -> None:
    """The lease holds."""


async def refusal(*answers: bytes | None) -> ReelmillError:
    """Return the error of a paid call that meets these answers."""
    async with scripted(*answers) as script, client(script.port) as api:
        with pytest.raises(ReelmillError) as caught:
            await api.submit_analysis(WISH, ours)
        assert len(script.heard) == 1
        assert KEY not in repr(caught.value.trouble)
        return caught.value


@pytest.mark.asyncio
@pytest.mark.parametrize(("answer", "kind", "code"), [
    (None, Ambiguous, "ambiguous"),
    (reply(500), Ambiguous, "ambiguous"),
    (reply(503, b"<html>busy</html>"), Ambiguous, "ambiguous"),
    (reply(202, b'{"task_id": "ab'), Ambiguous, "ambiguous"),
    (reply(202, b"<html>hello</html>"), Ambiguous, "ambiguous"),
    (reply(202, {"status": "queued"}), Ambiguous, "ambiguous"),
    (b"HTTP/1.1 202 X\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{", Ambiguous, "ambiguous"),
    (b"nonsense\r\n\r\n", Ambiguous, "ambiguous"),
    (reply(408), Ambiguous, "ambiguous"),
    (reply(425), Ambiguous, "ambiguous"),
    (reply(400, {"code": "insufficient_funds", "message": "pay"}), NeedsOperator, "no_credit"),
    (reply(400, {"error": {"code": "usage_limit_exceeded", "message": "pay"}}), NeedsOperator, "no_credit"),
    (reply(401, {"code": "api_key_invalid", "message": f"bad key {KEY}"}), NeedsOperator, "key_refused"),
    (reply(401), NeedsOperator, "key_refused"),
    (reply(403, {"code": "api_allowed_for_paid_plan", "message": "x"}), NeedsOperator, "plan_required"),
    (reply(403, b"<html>"), NeedsOperator, "not_allowed"),
    (reply(404, {"error_code": 1234, "message": "x"}), Permanent, "resource_not_exist"),
    (reply(404), Permanent, "resource_not_exist"),
    (reply(404, b"<html>nginx</html>"), Ambiguous, "ambiguous"),
    (reply(404, {"message": "no Route matched with those values"}), Ambiguous, "ambiguous"),
    (reply(400, {"code": "resource_not_exist", "message": "x"}), Permanent, "resource_not_exist"),
    (reply(409, {"code": "strange", "message": "x"}), Permanent, "conflict"),
    (reply(413), Permanent, "too_large"),
    (reply(422, {"error": {"message": "maxItems"}}), Permanent, "unprocessable"),
    (reply(400, {"code": "video_duration_too_long", "message": "x"}), Permanent, "video_duration_too_long"),
    (reply(400, {"code": "something_new", "message": "x"}), Permanent, "refused"),
    (reply(418), Permanent, "refused"),
    (reply(402), NeedsOperator, "no_credit"),
])  # fmt: skip
async def test_every_end_of_a_paid_call_has_one_meaning(answer: bytes | None, kind: type[Exception], code: str) -> None:
    """Sent once, whatever comes back; and the key is in no word of the error, even if the other side echoes it."""
    error = await refusal(answer)
    assert (type(error), error.trouble.code) == (kind, code)


_PROOF = {"code": "something_new", "message": "no"}


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "proofs"), [(_PROOF, {400, 401, 403, 413, 422, 429}), (b"", ()), (b"<html>", ())])
async def test_a_refusal_proves_that_nothing_was_accepted_only_by_its_status_and_a_proper_body(
    body: Any, proofs: Container[int]
) -> None:
    """Everything else may be said by something before the platform, after the call was accepted: it is looked for."""
    for status in (301, 302, 303, 304, 307, 308, *range(400, 430), 431, 451, 499):
        error = await refusal(reply(status, b"" if status == 304 else body))
        proven = not error.in_doubt and not isinstance(error, Ambiguous)
        assert proven == (status in proofs), (status, error.trouble)


@pytest.mark.asyncio
async def test_a_key_that_is_a_word_does_not_make_holes_into_answers() -> None:
    """Who serves a platform for himself may choose "bees" as its key: names stay what they are, or a lost upload would not
    be found again under its name; an error is hidden all the same.
    """
    name = "bees-0123456789abcdef01234567-0.mp4"
    found = {"data": [{"_id": "a", "filename": name, "created_at": "2026-11-22T10:00:00Z"}]}
    async with scripted(reply(200, found), reply(400, {"code": "odd", "message": "bees?"})) as script:
        transport = Transport(
            f"http://127.0.0.1:{script.port}", "bees", connections=1, timeout=5.0, clock=Brief(), rng=Random(1)
        )
        try:
            assert json.loads((await transport.send(Request("GET", "/assets", safe=True))).body) == found
            assert b"bees" not in (await transport.send(Request("GET", "/assets", safe=True))).body
        finally:
            await transport.aclose()


def escaped(text: str, depth: int = 1) -> str:
    """Spell every character of a text as JSON may, in a text inside of a text inside of it."""
    return "".join("\\" * depth + f"u{ord(char):04x}" for char in text)


@pytest.mark.asyncio
@pytest.mark.parametrize("spelled", [
    KEY, escaped(KEY), escaped(KEY, 2), escaped(KEY, 4), KEY[:5] + escaped(KEY[5:9]) + KEY[9:],
    "".join(f"%{ord(char):02x}" for char in KEY), "".join(f"&#{ord(char)};" for char in KEY),
])  # fmt: skip
@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-32"])
async def test_a_key_is_hidden_however_an_answer_spells_it(spelled: str, coding: str) -> None:
    """An answer is kept, becomes files and is read as JSON once more: no reader of it may find the key."""
    body = '{"task_id": "t", "status": "ready", "result": {"data": "a KEY z"}}'.replace("KEY", spelled)
    async with scripted(reply(200, body.encode(coding))) as script, client(script.port) as api:
        status = await api.analysis(WISH, "t")
        assert status.answer is not None
        assert status.answer.text == "a *** z"
        assert status.answer.raw["result"]["data"] == "a *** z"


@pytest.mark.asyncio
async def test_a_key_in_pieces_of_a_stream_is_hidden() -> None:
    """No event of the stream holds the key; what they say together does."""
    pieces = ["a " + KEY[:7], KEY[7:], " z"]
    events = [{"event_type": "text_generation", "text": piece} for piece in pieces] + [{"event_type": "stream_end"}]
    body = b"\n".join(json.dumps(event).encode() for event in events)
    wish = replace(WISH, legacy={"path": "/generate", "body": {"prompt": "x"}})
    async with scripted(reply(200, body)) as script, client(script.port, api="v1.2") as api:
        answer = await api.submit_analysis(wish, ours)
        assert isinstance(answer, Answer)
        assert KEY not in answer.text
        assert answer.raw["data"] == "a *** z"


@pytest.mark.asyncio
@pytest.mark.parametrize("spelled", [KEY, escaped(KEY), escaped(KEY, 2)])
async def test_a_key_in_an_answer_across_videos_is_hidden(spelled: str) -> None:
    """In its text, in the JSON that the text is, and where it pretends to be an item."""
    inner = '{"answer": "a KEY z", "citations": []}'.replace("KEY", spelled)
    cited = {"type": "video_citation", "start_index": 1, "item_id": KEY}
    message = {"type": "message", "content": [{"type": "output_text", "text": inner, "annotations": [cited]}]}
    ended = {"type": "response.completed", "response": {"id": KEY, "status": "completed", "output": [message]}}
    body = f"data: {json.dumps(ended)}\n\ndata: [DONE]\n\n".encode()
    async with scripted(reply(200, body, "Content-Type: text/event-stream")) as script, client(script.port) as api:
        assert api.knowledge is not None
        found = await api.knowledge.ask(CrossQuestion("ks_1", "Why?"))
    assert json.loads(found.text)["answer"] == "a *** z"
    assert (KEY in repr(found), found.citations) == (False, [])


@pytest.mark.asyncio
async def test_nothing_listening_means_untouched() -> None:
    """A refused connection proves that nothing was sent: the next attempt may act without asking."""
    async with scripted(reply(200)) as script:
        pass
    async with client(script.port) as api:
        with pytest.raises(Transient) as caught:
            await api.submit_analysis(WISH, ours)
    assert (caught.value.untouched, caught.value.trouble.code) == (True, "unreachable")


@pytest.mark.asyncio
async def test_no_redirect_gets_the_key() -> None:
    """A redirect is an operator's matter; the place it points to hears nothing."""
    async with scripted(reply(200, {"task_id": "stolen"})) as thief:
        for status in (301, 302, 307, 308):
            error = await refusal(reply(status, b"", f"Location: http://127.0.0.1:{thief.port}/v1.3/analyze/tasks"))
            assert (type(error), error.trouble.code) == (NeedsOperator, "redirected")
        assert thief.heard == []


@pytest.mark.asyncio
async def test_a_silent_server_is_left_in_time() -> None:
    """No byte within the timeout, which connecting has to keep, too: ambiguous for a paid call. Only the server sleeps."""
    async with scripted(b"") as script, client(script.port, timeout=0.5) as api:
        with pytest.raises(Ambiguous):
            await api.submit_analysis(WISH, ours)


@pytest.mark.asyncio
async def test_a_safe_call_is_tried_four_times_with_growing_waits() -> None:
    """Three failures of three kinds, then the answer; the waits grow and none is long."""
    page = {"data": [], "page_info": {"page": 1, "total_page": 1, "total_results": 4}}
    answers = (None, reply(502), reply(200, b"{"), reply(200, page, "X-Api-Version: 1.3"))
    async with scripted(*answers) as script, client(script.port) as api:
        facts = await api.check()
        assert (facts["indexes"], facts["platform_version"], len(script.heard)) == (4, "1.3", 4)
        clock = api.clock
        assert isinstance(clock, Brief)
        assert len(clock.slept) == 3
        assert 0.12 <= clock.slept[0] <= 0.25 < clock.slept[2] <= 1.0


@pytest.mark.asyncio
async def test_a_named_wait_beyond_patience_is_not_slept() -> None:
    """503 with Retry-After an hour on a read: said to the engine at once, which asks again in minutes."""
    async with scripted(reply(503, b"", "Retry-After: 3600")) as script, client(script.port) as api:
        with pytest.raises(Transient) as caught:
            await api.check()
        assert (caught.value.after, len(script.heard)) == (300, 1)


@pytest.mark.asyncio
async def test_an_unnamed_429_waits_longer_each_time() -> None:
    """An empty 429 names no time: ours grows, and starts over after a success."""
    ready = reply(202, {"task_id": "t"})
    async with scripted(reply(429), reply(429), reply(429), ready, reply(429)) as script, client(script.port) as api:
        waits: list[float] = []
        for _ in range(5):
            try:
                await api.submit_analysis(WISH, ours)
            except Throttled as error:
                waits.append(error.after or 0.0)
    assert waits[0] <= 2 < waits[2] <= 8
    assert waits[3] <= 2


@pytest.mark.asyncio
async def test_what_a_paid_request_looks_like() -> None:
    """Key, idempotency key and body as documented; no cookie, no packed answer asked for."""
    async with scripted(reply(202, {"task_id": "t1"}, "Set-Cookie: a=b")) as script, client(script.port) as api:
        for _ in range(2):
            assert await api.submit_analysis(WISH, ours) == "t1"
    heard = script.heard[1]
    assert heard.line == "POST /v1.3/analyze/tasks HTTP/1.1"
    assert (heard.headers["x-api-key"], heard.headers["idempotency-key"]) == (KEY, "key-1")
    assert (heard.headers["host"], heard.headers["accept-encoding"]) == (f"127.0.0.1:{script.port}", "identity")
    assert "cookie" not in heard.headers
    assert json.loads(heard.body)["custom_id"] == "key-1"


@pytest.mark.asyncio
async def test_a_presigned_address_never_sees_the_key(tmp_path: Path) -> None:
    """Not as a header, not even when a header of that name is asked for; and its query is in no error."""
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    async with scripted(reply(200, b"", 'ETag: "e"')) as storage, bare("http://127.0.0.1:9/v1.3") as transport:
        address = f"http://127.0.0.1:{storage.port}/p1?sig=topsecret"
        request = Request(
            "PUT", "", "", headers={"x-api-key": KEY, "x-other": "y"}, range=FileRange(path, 2, 5), url=address
        )
        assert (await transport.send(request)).headers["etag"] == '"e"'
        heard = storage.heard[0]
        assert (heard.body, heard.headers["x-other"], "x-api-key" in heard.headers) == (b"23456", "y", False)
        assert KEY not in str(heard.headers)
        for bad in ("ftp://x/y", "http://example.invalid/p?sig=topsecret", "not an address", "https://"):
            with pytest.raises(Permanent) as caught:
                await transport.send(Request("PUT", "", "", url=bad))
            assert "topsecret" not in repr(caught.value.trouble)


@pytest.mark.asyncio
async def test_a_remote_platform_cannot_send_chunks_in_the_clear() -> None:
    """Plain HTTP to this machine is for a platform on this machine only."""
    async with bare("https://platform.invalid/v1.3") as transport:
        with pytest.raises(Permanent):
            await transport.send(Request("PUT", "", "", url="http://127.0.0.1:1/p"))


@pytest.mark.parametrize("base_url", [
    "http://platform.invalid/v1.3", "http://10.0.0.1", "http://localhost.evil.invalid", "ftp://localhost", "https://",
    "https://user:pass@platform.invalid", "https://platform.invalid/v1.3?key=1", "http://[::2]/",
])  # fmt: skip
def test_the_key_travels_encrypted_or_not_at_all(base_url: str) -> None:
    """Plain HTTP beyond this machine, and addresses with more than host and path, are configuration errors."""
    with pytest.raises(ConfigError):
        Transport(base_url, KEY, connections=1, timeout=1, clock=SystemClock(), rng=Random(1))


@pytest.mark.parametrize("key", ["two\nlines", " space", "nül"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    """A line break in the key would end the header; the message does not show the key."""
    with pytest.raises(ConfigError) as caught:
        Transport("http://[::1]:1", key, connections=1, timeout=1, clock=SystemClock(), rng=Random(1))
    assert key not in str(caught.value)


@pytest.mark.asyncio
async def test_answers_are_bounded_packed_or_not() -> None:
    """Too many bytes, and few bytes that unpack to too many, end as an error; packed ones in bounds are read."""
    bomb = gzip.compress(b"0" * 5_000_000)
    assert len(bomb) < 6_000
    packed = ("Content-Encoding: gzip",)
    good = reply(200, gzip.compress(b'{"a": 1}'), *packed)
    async with (
        scripted(reply(200, b"0" * 20_000), reply(200, bomb, *packed), good) as script,
        bare(f"http://127.0.0.1:{script.port}", most=10_000) as transport,
    ):
        for request, kind in ((Request("GET", "/x", safe=True), Transient), (Request("POST", "/x"), Ambiguous)):
            with pytest.raises(kind):
                await transport.send(request)
        assert (await transport.send(Request("GET", "/x"))).body == b'{"a": 1}'


@pytest.mark.asyncio
async def test_a_form_is_streamed_with_its_length(tmp_path: Path) -> None:
    """The upload has a Content-Length, all fields, the file byte by byte, and a name that cannot break out."""
    content = bytes(range(256)) * 5000
    path = tmp_path / "film"
    path.write_bytes(content)
    upload = NewUpload('a"b\r\nX-Evil: 1.mp4', "direct", size=len(content), path=path, metadata={"n": 1})
    async with scripted(reply(201, {"_id": "asset"})) as script, client(script.port) as api:
        assert await api.create_asset(upload, ours) == "asset"
    heard = script.heard[0]
    boundary = heard.headers["content-type"].split("boundary=")[1].encode()
    parts = heard.body.split(b"--" + boundary)
    assert (len(parts), parts[-1]) == (8, b"--\r\n")
    assert parts[-2].split(b"\r\n\r\n", 1)[1] == content + b"\r\n"
    assert parts[-2].split(b"\r\n\r\n", 1)[0].count(b"\r\n") == 2  # the name made no third header line
    assert b'name="enable_hls"\r\n\r\nfalse' in heard.body
    assert b'{"n": 1}' in heard.body


@pytest.mark.asyncio
async def test_a_file_that_changes_is_never_accepted(tmp_path: Path) -> None:
    """Another size than intended is refused before sending; a change while sending stops before the last byte."""
    path = tmp_path / "film"
    path.write_bytes(b"x" * 3_000_000)
    async with scripted(reply(201, {"_id": "asset"})) as script, client(script.port) as api:
        with pytest.raises(InputError) as caught:
            await api.create_asset(NewUpload("n", "direct", size=2, path=path), ours)
        assert caught.value.trouble.code == "file_changed"
        with pytest.raises(InputError):
            await api.create_asset(NewUpload("n", "direct", path=tmp_path / "absent"), ours)

        started = asyncio.create_task(api.create_asset(NewUpload("n", "direct", size=3_000_000, path=path), ours))
        await asyncio.sleep(0)
        path.write_bytes(b"y" * 3_000_000)
        with pytest.raises(InputError):
            await started
        assert script.heard == []


@pytest.mark.asyncio
async def test_ids_cannot_leave_their_path() -> None:
    """What is no id is nobody's id: no request is made for it, of whatever path."""
    async with scripted(reply(200, {"status": "ready"})) as script, client(script.port) as api:
        for odd in ("../../evil?x=1#y", "..", "x" * 1_000_000, "a\r\nX-Evil: 1", "é"):
            with pytest.raises(Permanent) as caught:
                await api.media(odd)
            assert caught.value.trouble.code == "resource_not_exist"
            with pytest.raises(Permanent):
                await api.delete_media(odd)
        assert script.heard == []


@pytest.mark.asyncio
async def test_an_upload_that_cannot_be_used_is_opened_again_later() -> None:
    """Neither in doubt nor the file's fault: opening costs nothing, so it is tried again, with a code of its own."""
    body = {"upload_id": "u", "asset_id": "a", "chunk_size": 1, "total_chunks": 3}
    async with scripted(reply(201, body)) as script, client(script.port) as api:
        with pytest.raises(Transient) as caught:
            await api.open_session(NewUpload("film.mp4", "multipart", size=20), ours)
        assert (caught.value.trouble.code, caught.value.untouched) == ("bad_session", False)
        assert "retry" in caught.value.trouble.remedy
        assert len(script.heard) == 1


@pytest.mark.asyncio
async def test_more_requests_than_connections_all_arrive() -> None:
    """Sixty requests over six connections: all are answered, none by error, and no seventh connection is made."""
    async with scripted(reply(200, {"a": 1})) as script, bare(f"http://127.0.0.1:{script.port}") as transport:
        answers = await asyncio.gather(*(transport.send(Request("GET", "/x", safe=True)) for _ in range(60)))
        assert {answer.status for answer in answers} == {200}
        assert len(script.heard) == 60

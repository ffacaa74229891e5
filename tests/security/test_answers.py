"""Answers as weapons: bombs, bodies and headers without end, bytes that trickle, certificates of somebody else.

``localhost.pem`` is a certificate for ``localhost`` that signs itself, and its key: it opens nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from pydantic import ValidationError

from pipeline.config.settings import Settings
from pipeline.config.store import StoreSection
from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, ReelmillError, Transient
from pipeline.local.analysis.protocol import AnalysisRefused
from pipeline.local.jobs.url_fetch import UrlPolicy, download
from pipeline.ports.video_api import NewUpload, Question
from pipeline.provider.dialects.protocol import FileRange, Request
from tests.security.measured import MEGABYTE, measured
from tests.unit.test_provider_http import KEY, bare, client, ours, reply, scripted

WISHES = (Request("GET", "/x", safe=True), Request("POST", "/x", json={}))
CERTIFICATE = Path(__file__).with_name("localhost.pem")
Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, *, secure: bool = False) -> AsyncIterator[int]:
    """Serve raw connections on loopback, with the certificate if asked; return the port."""
    tls = None
    if secure:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATE)

    tasks: set[asyncio.Task[None]] = set()

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        tasks.add(me)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            tasks.discard(me)
            writer.transport.abort()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        while tasks:
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        await server.wait_closed()


async def head(reader: asyncio.StreamReader) -> bytes:
    """Read a request's head."""
    return await reader.readuntil(b"\r\n\r\n")


def endless(first: bytes, again: bytes, every: float = 0.0) -> Serve:
    """Say ``first``, then ``again`` for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(first)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(every)

    return serve


# ------------------------------------------------------------------------------------------------------- too much


@pytest.mark.asyncio
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_a_bomb_is_one_class_and_never_unpacked_whole(pack: Callable[[bytes], bytes]) -> None:
    """Fifty megabytes in fifty kilobytes: a read is tried again a few times, much later; what may have acted stays in doubt."""
    name = "gzip" if pack is gzip.compress else "deflate"
    bomb = reply(200, pack(b"0" * 50_000_000), f"Content-Encoding: {name}")
    async with scripted(bomb) as script, bare(f"http://127.0.0.1:{script.port}", most=1_000_000) as transport:
        with pytest.raises(Transient) as caught:
            await transport.send(WISHES[0])
        assert (caught.value.trouble.code, caught.value.waits) == ("answer_too_large", (30.0, 300.0))
        with pytest.raises(Ambiguous):
            await transport.send(WISHES[1])


BEFORE = """
import asyncio, gzip, zlib
from random import Random
from pipeline.core.clock import SystemClock
from pipeline.provider.dialects.protocol import Request
from pipeline.provider.http.transport import Transport
pack = zlib.compressobj(9, zlib.DEFLATED, 31)
bomb = b"".join([pack.compress(bytes(1 << 20)) for _ in range(400)]) + pack.flush()
async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 X\\r\\nContent-Encoding: gzip\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(bomb) + bomb)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = Transport(
        f"http://127.0.0.1:{port}", "k", connections=3, timeout=60.0, clock=SystemClock(), rng=Random(1)
    )
    bombs = [transport.send(Request("GET", "/x", safe=True)) for _ in range(3)]
    raise (await asyncio.gather(*bombs, return_exceptions=True))[0]
"""


def test_the_usual_limit_bounds_memory() -> None:
    """Three answers of 400 MB at once, against the real limit of 4 MB each: refused, and memory stays small."""
    cost = measured(BEFORE, "asyncio.run(main())")
    assert "larger than 4 MB" in cost.found, cost
    assert cost.grown < 60 * MEGABYTE, cost


KEPT = """
async def kept():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = Transport(
        f"http://127.0.0.1:{port}", "k", connections=3, timeout=60.0, clock=SystemClock(), rng=Random(1)
    )
    errors = []
    for _ in range(25):
        errors += await asyncio.gather(transport.send(Request("POST", "/x", json={})), return_exceptions=True)
    return errors[-1]
"""


def test_an_error_does_not_keep_what_was_read() -> None:
    """An error that is kept for a while keeps its frames, and these the four megabytes until which was read."""
    cost = measured(BEFORE + KEPT, "found = asyncio.run(kept())")
    assert "larger than 4 MB" in cost.found, cost
    assert cost.grown < 40 * MEGABYTE, cost


SMALL = {"objects": b",{}", "lists": b",[]", "numbers": b",0.1", "objects in objects": b',{"a":{"b":{}}}'}
READ = """
from pipeline.provider.dialects.json_reading import parse, read_error_body
from pipeline.provider.dialects.protocol import Response
from pipeline.provider.http.transport import MOST
piece = {piece!r}
body = b'{{"data":[0' + piece * (MOST // len(piece)) + b"]}}"
"""


@pytest.mark.parametrize("what", SMALL)
def test_an_answer_of_many_small_values_is_not_read(what: str) -> None:
    """Three bytes of JSON become seventy in memory: such an answer is unreadable, whether a success or an error."""
    cost = measured(READ.format(piece=SMALL[what]), "found = read_error_body(Response(404, {}, body)).foreign")
    assert cost.found == "True", cost
    assert cost.grown < 4 * MEGABYTE, cost
    cost = measured(READ.format(piece=SMALL[what]), "parse(Response(200, {}, body))")
    assert "too many values" in cost.found, cost
    assert cost.grown < 4 * MEGABYTE, cost


@pytest.mark.asyncio
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x-unknown"])
async def test_packing_that_was_not_asked_for_is_unreadable_and_nothing_worse(encoding: str) -> None:
    """What we do not unpack is not taken for an answer: a read is tried again, a paid call stays in doubt."""
    answer = reply(200, gzip.compress(gzip.compress(b'{"_id": "x"}')), f"Content-Encoding: {encoding}")
    async with scripted(answer) as script, client(script.port) as api:
        with pytest.raises(Transient) as caught:
            await api.check()
        assert caught.value.trouble.code == "unreadable"
        with pytest.raises(Ambiguous):
            await api.open_session(NewUpload("film.mp4", "multipart", size=5), ours)


ENDLESS = {
    "body": (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"2000\r\n" + b"x" * 0x2000 + b"\r\n"),
    "body in single bytes": (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500),
    "body without a length": (b"HTTP/1.1 200 X\r\n\r\n", b"x" * 8192),
    "headers": (b"HTTP/1.1 200 X\r\n", b"X-More: " + b"y" * 1000 + b"\r\n"),
    "one header": (b"HTTP/1.1 200 X\r\nX-More: ", b"y" * 8192),
    "status line": (b"HTTP/1.1 200 ", b"y" * 8192),
    "early hints": (b"", b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n"),
    "trailers": (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: " + b"y" * 1000 + b"\r\n"),
    "chunk size": (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 8192),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ENDLESS)
async def test_what_has_no_end_is_ended(what: str) -> None:
    """Bodies, headers, hints: bounded in bytes or in time, and told apart by whether the request may have acted."""
    async with serving(endless(*ENDLESS[what])) as port, bare(
        f"http://127.0.0.1:{port}", most=200_000, timeout=20.0
    ) as transport:  # fmt: skip
        hasty = [
            replace(wish, timeout=0.3) for wish in WISHES
        ]  # of the answer; a busy machine may take its time to connect
        for request, kinds in zip(hasty, ((Transient, Permanent), (Ambiguous,)), strict=True):
            began = time.monotonic()
            with pytest.raises(kinds):
                await transport.send(request)
            assert time.monotonic() - began < 30


# ------------------------------------------------------------------------------------------------------- too slow


SLOW = {
    "head": (b"HTTP/1.1 200 X\r\n", b"X-A: b\r\n"),
    "letters": (b"", b"H"),
    "body": (b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "hints": (b"", b"HTTP/1.1 102 X\r\n\r\n"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", SLOW)
async def test_an_answer_that_trickles_is_left(tmp_path: Path, what: str) -> None:
    """A byte just before every time limit would hold a worker for ever: the answer as a whole has a limit, too."""
    path = tmp_path / "film"
    path.write_bytes(b"x" * 1000)
    first, again = SLOW[what]
    async with serving(endless(first, again, every=0.05)) as port, bare(
        f"http://127.0.0.1:{port}", timeout=20.0
    ) as transport:  # fmt: skip
        chunk = Request("PUT", "", "", range=FileRange(path, 0, 1000), safe=True, url=f"http://127.0.0.1:{port}/put")
        form = Request("POST", "/x", form=[("a", "b")], safe=True)
        for request in (WISHES[0], chunk, form):
            with pytest.raises(Transient) as caught:
                await asyncio.wait_for(transport.send(replace(request, timeout=0.2)), 60)
            assert caught.value.trouble.code == "no_answer"


@pytest.mark.asyncio
@pytest.mark.parametrize("what", SLOW)
async def test_a_download_that_trickles_is_left(tmp_path: Path, what: str) -> None:
    """The local platform's own fetch of an address: headers and body have an end in time."""
    first, again = SLOW[what]
    policy = UrlPolicy("any", timeout=0.5, total=0.5)
    async with serving(endless(first, again, every=0.05)) as port:
        with pytest.raises(AnalysisRefused):
            await asyncio.wait_for(download(f"http://127.0.0.1:{port}/film", tmp_path / "film", policy, 10**6), 60)


# ------------------------------------------------------------------------------------------------ somebody else's name


@pytest.mark.asyncio
@pytest.mark.parametrize("place", ["localhost", "127.0.0.1"])
async def test_a_certificate_that_proves_nothing_stops_the_run(place: str) -> None:
    """Signed by itself: an operator's matter in clear words. The key is never sent, and nothing was accepted."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await head(reader))

    async with serving(serve, secure=True) as port, bare(f"https://{place}:{port}") as transport:
        for request in WISHES:
            with pytest.raises(NeedsOperator) as caught:
                await transport.send(request)
            trouble = caught.value.trouble
            assert (trouble.code, place in trouble.message, "SSL_CERT_FILE" in trouble.remedy) == (
                "certificate",
                True,
                True,
            )
            assert KEY not in repr(trouble)
    assert heard == []


@pytest.mark.asyncio
async def test_an_authority_of_ones_own_is_trusted_for_its_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """``SSL_CERT_FILE`` adds whom to trust; the name in the certificate still has to be the one that was asked for."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(reply(200, {"a": 1}, "Connection: close"))
        await writer.drain()

    async with serving(serve, secure=True) as port:
        async with bare(f"https://localhost:{port}") as transport:
            assert (await transport.send(WISHES[0])).status == 200
        async with bare(f"https://127.0.0.1:{port}") as transport:
            with pytest.raises(NeedsOperator):
                await transport.send(WISHES[0])


@pytest.mark.asyncio
async def test_the_local_platforms_fetch_checks_certificates_too(tmp_path: Path) -> None:
    """Media by address over https from somebody who cannot prove it is refused."""
    async with serving(endless(b"", b""), secure=True) as port:
        with pytest.raises(AnalysisRefused) as caught:
            await download(f"https://localhost:{port}/film", tmp_path / "film", UrlPolicy("any"), 10**6)
    assert "SSL" in caught.value.message


def test_nothing_turns_the_check_off() -> None:
    """No setting, no variable, no line of ours."""
    words = ("verify", "insecure", "tls", "ssl", "certificate", "trust")
    names = [name for section in Settings.model_fields.values() for name in _fields(section.annotation)]
    assert len(names) > 40
    # The one exception concerns a database's server: without it, plain text to another machine is refused.
    assert [name for name in names if any(word in name for word in words)] == ["insecure"]
    assert not StoreSection().insecure
    with pytest.raises(ValidationError):
        Settings.model_validate({"provider": {"verify": False}})
    off = ("verify=False", "CERT_NONE", "check_hostname = False", "_create_unverified_context", "nocheckcertificate")
    for path in sorted(Path(__file__).parents[2].joinpath("pipeline").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        # PostgreSQL's sslmode=require, where an address says so: encrypted, and whoever answers is believed.
        said = {"CERT_NONE"} if path.match("store/postgres/connection.py") else set()
        assert [word for word in off if word in text and word not in said] == [], path


def _fields(section: object) -> list[str]:
    return list(getattr(section, "model_fields", {}))


# ------------------------------------------------------------------------------------------------------- led elsewhere


@pytest.mark.asyncio
@pytest.mark.parametrize("api", ["v1.3", "v1.2"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_call_follows_a_redirect(tmp_path: Path, api: str, status: int) -> None:
    """To another port, another host, another scheme: every call of either dialect ends there, the other place is silent."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"12345")
    upload = NewUpload("film.mp4", "direct", size=5, path=path, index_id="b" * 24)
    question = Question("key-1", "a" * 24, "What?", None, 1024, 0.2, "pegasus1.5", legacy={"path": "/gist", "body": {}})
    async with scripted(reply(200, {"_id": "x"})) as other:
        for target in (
            f"http://127.0.0.1:{other.port}",
            f"http://localhost:{other.port}",
            f"https://127.0.0.1:{other.port}",
        ):
            async with scripted(reply(status, b"", f"Location: {target}/{api}/elsewhere")) as script, client(
                script.port, api=api
            ) as client_of:  # fmt: skip
                calls: list[Callable[[], Awaitable[object]]] = [
                    client_of.check,
                    lambda c=client_of: c.create_asset(upload, ours),  # type: ignore[misc]
                    lambda c=client_of: c.find_asset(upload),  # type: ignore[misc]
                    lambda c=client_of: c.submit_analysis(question, ours),  # type: ignore[misc]
                    lambda c=client_of: c.delete_media("a" * 24),  # type: ignore[misc]
                    lambda c=client_of: c.index_api.delete_index("b" * 24),  # type: ignore[misc]
                ]
                for call in calls:
                    with pytest.raises(ReelmillError) as caught:
                        await call()
                    assert (caught.value.trouble.code, KEY in repr(caught.value.trouble)) == ("redirected", False)
                assert all(heard.headers["x-api-key"] == KEY for heard in script.heard)
        assert other.heard == []


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_storage_that_redirects_gets_no_second_request(tmp_path: Path, status: int) -> None:
    """To the platform itself, where the key would belong: the answer is handed back as it is, and nothing more is sent."""
    path = tmp_path / "film"
    path.write_bytes(b"12345")
    async with scripted(reply(200, {})) as api:
        away = reply(status, b"", f"Location: http://127.0.0.1:{api.port}/v1.3/assets")
        async with scripted(away) as storage, bare(f"http://127.0.0.1:{api.port}") as transport:
            for host in ("127.0.0.1", "localhost"):
                url = f"http://{host}:{storage.port}/put?signature=s"
                answer = await transport.send(
                    Request("PUT", "", "", headers={"X-API-KEY": KEY}, range=FileRange(path, 0, 5), safe=True, url=url)
                )
                assert answer.status == status
            assert [KEY in repr(heard) for heard in storage.heard] == [False, False]
        assert api.heard == []

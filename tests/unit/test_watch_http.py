"""Telling over HTTP, against a real server: bounded in time, no redirect followed, nothing secret in what is said of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from pipeline.core.clock import SystemClock
from pipeline.watch import ping
from pipeline.watch.http import Post, deliver, shown
from tests.support.listener import Listener

RID = UUID("5a3c0b1e-0000-4000-8000-000000000001")
SECRET = "f00dfeed-1234-4000-8000-0123456789ab"


class Impatient(SystemClock):
    """A real clock whose pauses are over at once."""

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody on loopback."""
    with Listener() as server:
        yield server


def told(post: Post, timeout: float = 5.0) -> str:
    """Deliver for real; return why it was not taken."""
    return anyio.run(deliver, post, timeout, Impatient())


def test_what_is_sent_arrives_as_it_is(listener: Listener) -> None:
    """Body, content type and a header of the operator's own."""
    post = Post(f"{listener.address}/hook?a=1", b"{}", "application/json", {"X-Token": SECRET})
    assert told(post) == ""
    (got,) = listener.told
    assert (got.method, got.path, got.body) == ("POST", "/hook?a=1", b"{}")
    assert (got.headers["content-type"], got.headers["x-token"]) == ("application/json", SECRET)


@pytest.mark.parametrize(
    ("answers", "requests", "why"),
    [
        ([500], 2, ""),
        (["close"], 2, ""),
        ([429], 2, ""),
        ([500, 503], 2, "it answered 503"),
        (["close", "close"], 2, "it closed the connection without an answer"),
        ([404], 1, "it answered 404"),
        ([401], 1, "it answered 401"),
        (["https://elsewhere.example.org/x"], 1, "redirect to https://elsewhere.example.org, which is not followed"),
        (["/elsewhere"], 1, "it answered 302, a redirect, which is not followed"),
    ],
)
def test_two_tries_of_what_may_pass(listener: Listener, answers: list[int | str], requests: int, why: str) -> None:
    """A second try helps against a server that stumbles; a refusal and a redirect are final at once."""
    listener.answers += answers
    said = told(Post(f"{listener.address}/{SECRET}"))
    assert len(listener.told) == requests
    assert (said == "") if not why else (why in said)


@pytest.mark.parametrize("answer", ["never", "trickle"])
def test_a_server_that_never_answers_costs_two_time_limits(listener: Listener, answer: str) -> None:
    """Neither silence nor an answer without end holds anybody up."""
    listener.then = answer
    assert told(Post(listener.address), 1.0) == "no answer within 1 s"
    assert len(listener.told) <= 2


def test_a_body_without_end_is_not_read(listener: Listener) -> None:
    """The status counts; what comes behind it stays where it is."""
    listener.then = "flood"
    assert told(Post(listener.address)) == ""


def test_nobody_there() -> None:
    """A closed port and a name that is none are said in a few words."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert told(Post(f"http://127.0.0.1:{port}/{SECRET}")) == "it cannot be reached"
    assert told(Post(f"http://no-such-host.invalid/{SECRET}")) == "its host cannot be found"


def test_a_server_that_speaks_no_tls(listener: Listener) -> None:
    """An encrypted address at a plain server is said as that, without an address."""
    said = told(Post(listener.address.replace("http://", "https://") + f"/{SECRET}"))
    assert said
    assert SECRET not in said


def test_the_pause_between_two_tries_is_short(listener: Listener) -> None:
    """One second: a run waits for nobody longer than its limits say."""
    paused: list[float] = []

    class Noting(SystemClock):
        async def sleep(self, seconds: float) -> None:
            paused.append(seconds)

    listener.answers += [500, 500]
    anyio.run(deliver, Post(listener.address), 5.0, Noting())
    assert paused == [1.0]


def test_only_scheme_and_host_are_shown() -> None:
    """A path, a query or a password may be what opens it."""
    assert shown(f"https://user:{SECRET}@hc.example.org:8443/{SECRET}?k={SECRET}") == "https://hc.example.org:8443"
    assert shown(f"http://[::1]:80/{SECRET}") == "http://[::1]:80"
    assert shown("http://host:99999999/") == ""
    assert shown("/relative") == ""


def test_the_addresses_of_a_ping() -> None:
    """The event goes behind the path, the run's id into the query, and what the operator wrote there stays."""
    address = "https://hc.example.org/key/slug/?create=1"
    for post, last in (
        (ping.start(address, RID), "start"),
        (ping.sign_of_life(address, RID, "x"), "log"),
        (ping.end(address, RID, 0, (0, 3), "x"), "0"),
        (ping.end(address, RID, 3, (0, 3), "x"), "0"),
        (ping.end(address, RID, 3, (0,), "x"), "3"),
        (ping.end(address, RID, 130, (0, 3), "x"), "130"),
    ):
        parts = urlsplit(post.address)
        assert parts.path == f"/key/slug/{last}"
        assert parse_qs(parts.query) == {"create": ["1"], "rid": [str(RID)]}


def test_a_body_is_cut_to_what_is_kept_there() -> None:
    """At most 10 kB, at a whole character; nothing that a terminal obeys."""
    body = ping.end("https://hc.example.org/x", RID, 0, (0,), "ü\x1b[2J" * 9000).body
    assert len(body) <= 10_000
    assert set(body.decode()) == {"ü", "…"}

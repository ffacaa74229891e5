"""Every hostile answer there is, by name: statuses, headers, broken transports, bombs, and honest answers made odd."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from tests.engine.test_hostile_answers import PROOFS, STATUSES
from tests.faults.hostile.front import RESET, Honest, Script, reply
from tests.support.cli import KEY

_ERROR = {"code": "odd", "message": "That is how it is."}
_PAGE = b"<html><body><h1>Something else answers here</h1></body></html>"
_JSON = "Content-Type: application/json"


@dataclass(frozen=True)
class HostileAnswer:
    """What is said, and to how many videos at once."""

    name: str
    make: Callable[[Honest], Script]
    canned: bool = True  #: does not need the honest answer, so it can be given instead of acting, too
    films: int = 1
    lies: bool = False  #: says of a thing that it failed, or is not there: what is paid anew then is no fault
    proof: bool = False  #: says with the proper words that nothing was accepted, so it is never given after acting


def _said(*script: bytes | float | None) -> Callable[[Honest], Script]:
    return lambda honest: script


def _replied(status: int, body: bytes | object = b"", *headers: str) -> Callable[[Honest], Script]:
    return _said(reply(status, body, *headers))


# ------------------------------------------------------------------------------------------------ statuses and headers


def _statuses() -> Iterator[HostileAnswer]:
    bodies: tuple[tuple[str, bytes | object], ...] = (("error", _ERROR), ("page", _PAGE), ("empty", b""))
    for number, status in enumerate((*STATUSES, 0, 199, 299, 600, 999, 1000)):
        word, body = bodies[number % 3]
        lies = (status, word) in ((404, "error"), (410, "error"), (400, "error"))
        yield HostileAnswer(
            f"{status} {word}", _replied(status, body), lies=lies, proof=status in PROOFS and word == "error"
        )
    for status in (201, 202, 203, 204, 205, 206, 207, 226):
        yield HostileAnswer(f"{status} empty", _replied(status))
        yield HostileAnswer(f"{status} honest", lambda honest, s=status: [reply(s, honest.body)], canned=False)


_WAITS = {
    "0": "0", "below 0": "-1", "a second": "1", "an hour": "3600", "a year": "31536000", "for ever": "9" * 30,
    "a word": "soon", "a fraction": "0.5", "no number": "NaN", "infinite": "inf", "1e9": "1e9", "empty": "",
    "long ago": "Wed, 21 Oct 2015 07:28:00 GMT", "far ahead": "Wed, 21 Oct 2215 07:28:00 GMT",
}  # fmt: skip


def _waits() -> Iterator[HostileAnswer]:
    for name, value in _WAITS.items():
        for status in (429, 503):
            yield HostileAnswer(f"{status}, wait {name}", _replied(status, b"", f"Retry-After: {value}"))
    limits = {"reset far": "X-RateLimit-Reset: 99999999999", "ms": "retry-after-ms: 99999999999"}
    for name, header in limits.items():
        yield HostileAnswer(f"429, {name}", _replied(429, b"", header))
    words = {**_ERROR, "code": "too_many_requests", "message": "Try again in 31536000 seconds."}
    yield HostileAnswer("429, a year in words", _replied(429, words), proof=True)
    yield HostileAnswer("429, two waits", _replied(429, b"", "Retry-After: 1", "Retry-After: 3600"))


def _redirects() -> Iterator[HostileAnswer]:
    places = {
        "itself": "", "elsewhere": "http://127.0.0.1:9/", "a file": "file:///etc/passwd", "a script": "javascript:1",
        "up": "../../indexes", "10 kB": "/" + "a" * 10_000, "no address": "http://[::1", "userinfo": "http://a@b:c@d",
    }  # fmt: skip
    for name, place in places.items():
        yield HostileAnswer(f"307 to {name}", _replied(307, b"", f"Location: {place}"))


# ------------------------------------------------------------------------------------------------- broken transports


_TORN: Mapping[str, Script] = {
    "reset": [RESET], "no answer": [], "half a status line": [b"HTTP/1.1 20"], "half a head": [b"HTTP/1.1 200 X\r\nA: b"],
    "a head alone": [b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n"],
    "half a body": [b'HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{"_id": "'],
    "reset in the body": [b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{", RESET],
    "length below 0": [b"HTTP/1.1 200 X\r\nContent-Length: -5\r\n\r\n{}"],
    "two lengths": [b"HTTP/1.1 200 X\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}"],
    "length of 1e18": [b"HTTP/1.1 200 X\r\nContent-Length: 1000000000000000000\r\n\r\n{}"],
    "length is a word": [b"HTTP/1.1 200 X\r\nContent-Length: two\r\n\r\n{}"],
    "more than its length": [b'HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}{"_id": "a"}'],
    "broken chunks": [b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"],
    "chunks without an end": [b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"],
    "chunk below 0": [b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"],
    "huge chunk": [b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"],
    "HTTP/0.9": [b'{"_id": "a"}'], "HTTP/2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], "HTTP/9.9": [b"HTTP/9.9 200 X\r\n\r\n{}"],
    "TLS": [b"\x15\x03\x01\x00\x02\x02\x28"], "noise": [bytes(range(256)) * 40], "blank lines": [b"\r\n" * 1000],
    "no status": [b"HTTP/1.1\r\n\r\n{}"], "a word as status": [b"HTTP/1.1 OK 200\r\n\r\n{}"],
    "hints for ever": [b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" * 2000], "another protocol": [b"HTTP/1.1 101 X\r\n\r\n"],
    "header of 1 MB": [b"HTTP/1.1 200 X\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\n{}"],
    "50,000 headers": [b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 50_000 + b"\r\n{}"],
    "no colon": [b"HTTP/1.1 200 X\r\nhello\r\n\r\n{}"], "NUL in a header": [b"HTTP/1.1 200 X\r\nA: \0\r\n\r\n{}"],
    "folded header": [b"HTTP/1.1 200 X\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\n{}"],
    "Latin-1 header": [b"HTTP/1.1 200 \xe4\r\nA: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}"],
    "silence": [math.inf], "silence in the head": [b"HTTP/1.1 200 X\r\n", math.inf],
    "silence in the body": [b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{", math.inf],
    "a head that drips": [b"HTTP/1.1 200 X\r\n", *([b"A: b\r\n", 0.5] * 100)],
    "a body that drips": [b"HTTP/1.1 200 X\r\nContent-Length: 999\r\n\r\n", *([b" ", 0.5] * 100)],
}  # fmt: skip


def _torn() -> Iterator[HostileAnswer]:
    for name, script in _TORN.items():
        yield HostileAnswer(name, _said(*script))

    def slow(honest: Honest) -> Script:
        whole = reply(honest.status, honest.body, _JSON)
        return [part for at in range(0, len(whole), 200) for part in (whole[at : at + 200], 0.05)]

    yield HostileAnswer("slow, but whole", slow, canned=False)
    yield HostileAnswer("late, but whole", lambda honest: [1.5, reply(honest.status, honest.body)], canned=False)
    yield HostileAnswer("whole, then reset", lambda honest: [reply(honest.status, honest.body), RESET], canned=False)
    yield HostileAnswer(
        "cut", lambda honest: [reply(honest.status, honest.body[: len(honest.body) // 2])], canned=False
    )
    yield HostileAnswer("twice", lambda honest: [reply(honest.status, honest.body * 2)], canned=False)


# -------------------------------------------------------------------------------------------------------------- bombs


@cache
def _bomb(start: bytes, piece: bytes, megabytes: int, end: bytes, bits: int = 31) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, bits)
    block = piece * ((1 << 20) // len(piece))
    parts = [pack.compress(start), *(pack.compress(block) for _ in range(megabytes)), pack.compress(end)]
    return b"".join([*parts, pack.flush()])


_BOMBS: Mapping[str, tuple[bytes, bytes, int, bytes]] = {
    "400 MB of nothing": (b"", b"\0", 400, b""), "400 MB of blanks": (b"{", b" ", 400, b"}"),
    "15 MB of blanks": (b"{", b" ", 15, b"}"), "15 MB of lists": (b"[0", b",[]", 15, b"]"),
    "15 MB of objects": (b"[0", b",{}", 15, b"]"), "15 MB of objects under data": (b'{"data":[0', b",{}", 15, b"]}"),
    "15 MB of numbers": (b"[0", b",0.1", 15, b"]"), "15 MB of texts": (b'["a"', b',"a"', 15, b"]"),
    "15 MB of digits": (b"1", b"1", 15, b""), "15 MB of brackets": (b"", b"[", 15, b""),
    "15 MB in one text": (b'{"_id":"', b"a", 15, b'"}'), "15 MB of escapes": (b'{"message":"', rb"\u0061", 15, b'"}'),
    "15 MB of keys": (b'{"a":0', b',"a":0', 15, b"}"), "15 MB of surrogates": (b'{"code":"', rb"\ud800", 15, b'"}'),
    "15 MB of wide letters": (b'{"code":"\xf0\x9f\x98\x80', b"aaaa", 15, b'"}'),
}  # fmt: skip
#: Videos at once, where memory is at stake.
_MANY = 4


def _bombs() -> Iterator[HostileAnswer]:
    def packed(head: str, status: int, form: str, honest: Honest) -> Script:
        start, piece, size, end = _BOMBS[form]
        bits = 15 if head == "deflate" else 31
        return [reply(status, _bomb(start, piece, size, end, bits), f"Content-Encoding: {head}", _JSON)]

    for form in _BOMBS:
        yield HostileAnswer(f"gzip bomb, {form}", partial(packed, "gzip", 200, form), films=_MANY)
    yield HostileAnswer("deflate bomb", partial(packed, "deflate", 200, "400 MB of blanks"), films=_MANY)
    for status in (400, 404, 429, 500):
        form = "15 MB of objects under data"
        yield HostileAnswer(f"{status}, gzip bomb", partial(packed, "gzip", status, form), films=_MANY)
    yield HostileAnswer("15 MB unpacked", lambda honest: [reply(200, b"[0" + b",{}" * 5_000_000 + b"]")], films=_MANY)
    endless = [b"HTTP/1.1 200 X\r\n\r\n", *[b" " * 100_000] * 1000]
    yield HostileAnswer("100 MB without a length", _said(*endless), films=_MANY)

    def torn(cut: int, encoding: str, honest: Honest) -> Script:
        return [reply(honest.status, gzip.compress(honest.body)[:cut], f"Content-Encoding: {encoding}")]

    yield HostileAnswer("gzip, cut", partial(torn, 30, "gzip"), canned=False)
    yield HostileAnswer("gzip, unasked but whole", partial(torn, 1 << 30, "gzip"), canned=False)
    for encoding in ("br", "zstd", "gzip, gzip", "x-unknown", "identity, gzip", ""):
        yield HostileAnswer(f"packed as '{encoding}'", partial(torn, 1 << 30, encoding), canned=False)
    yield HostileAnswer("gzip, but plain", _replied(200, b'{"a": 1}', "Content-Encoding: gzip"))


# --------------------------------------------------------------------------------------------------- odd contents


_BODIES: Mapping[str, bytes] = {
    "null": b"null", "a number": b"7", "a text": b'"hello"', "a list": b"[]", "lists": b"[[[]]]", "nothing": b"",
    "blanks": b"   ", "an empty object": b"{}", "an alien": b'{"hello": {"world": null}}', "a page": _PAGE,
    "XML": b"<?xml version='1.0'?><_id>a</_id>", "a bracket": b"{", "100,000 brackets": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000, "NaN": b'{"status": NaN}', "Infinity": b'{"data": -Infinity}',
    "5,000 digits": b'{"status": 1' + b"0" * 5000 + b"}", "not UTF-8": b'{"status": "\xff\xfe\x80"}',
    "lone surrogates": rb'{"_id": "\ud800", "status": "\udfff", "task_id": "\ud800"}', "a byte order mark": b"\xef\xbb\xbf{}",
    "NUL": b'{"status": "\0"}', "an error": json.dumps(_ERROR).encode(),
    "the key": json.dumps({"code": KEY, "message": f"no {KEY}", "status": KEY}).encode(),
    "the key escaped": b'{"status": "' + "".join(f"\\u{ord(c):04x}" for c in KEY).encode() + b'"}',
    "comments": b'{"status": "ready" /* yes */}', "JSONP": b'f({"status": "ready"})', "two objects": b"{}\n{}",
    "an event stream": b'data: {"status": "ready"}\n\n',
}  # fmt: skip


def _bodies() -> Iterator[HostileAnswer]:
    for name, body in _BODIES.items():
        yield HostileAnswer(f"200 with {name}", _replied(200, body, _JSON))
    for coding in ("utf-16", "utf-32", "utf-8-sig", "utf-7"):
        yield HostileAnswer(
            f"in {coding}",
            lambda honest, c=coding: [reply(honest.status, honest.body.decode().encode(c))],
            canned=False,
        )
    yield HostileAnswer(
        "500 with the key",
        _replied(500, {"code": "x", "message": f"key {KEY}", "error": {"code": KEY, "message": KEY}}),
    )


_IDS: Mapping[str, object] = {
    "dots": "..", "a path": "../../indexes", "a slash": "a/b", "of 1 MB": "a" * 1_000_000, "a line break": "a\r\nX-Evil: 1",
    "empty": "", "null": None, "a number": 7, "true": True, "a list": ["a"], "an object": {"a": 1}, "129 letters": "a" * 129,
    "umlauts": "ä" * 24, "NUL": "a\0b", "blanks": " " * 24, "escaped": "%2e%2e%2findexes", "a query": "abc?page=2",
    "a fragment": "abc#", "right to left": "\u202eabc", "an address": "http://127.0.0.1:9/", "the key": KEY,
}  # fmt: skip
_WORDS: Mapping[str, object] = {
    "in capitals": "READY", "empty": "", "null": None, "a number": 5, "a list": ["ready"], "unknown": "reviewing",
    "of 1 MB": "r" * 1_000_000, "escape codes": "\x1b[2J\x1b]0;x\x07", "two": "ready failed",
}  # fmt: skip
_NAMES_OF_IDS = ("_id", "id", "task_id", "asset_id", "upload_id", "video_id", "index_id")


def changed(value: Any, change: Callable[[str, Any], Any]) -> Any:
    """Return a JSON value with every field of every object in it changed."""
    if isinstance(value, dict):
        return {name: change(name, changed(inner, change)) for name, inner in value.items()}
    return [changed(inner, change) for inner in value] if isinstance(value, list) else value


def _made(name: str, change: Callable[[str, Any], Any], *, lies: bool = False) -> HostileAnswer:
    def make(honest: Honest) -> Script:
        return [reply(honest.status, changed(honest.data, change), _JSON)]

    return HostileAnswer(name, make, canned=False, lies=lies)


def _odd() -> Iterator[HostileAnswer]:
    for name, value in _IDS.items():
        yield _made(f"id: {name}", lambda field, old, v=value: v if field in _NAMES_OF_IDS else old)
    yield _made("id: a stranger's", lambda field, old: "f" * 24 if field in _NAMES_OF_IDS else old, lies=True)
    for name, value in _WORDS.items():
        yield _made(f"status: {name}", lambda field, old, v=value: v if field == "status" else old)
    for word in ("failed", "error", "canceled", "processing", "ready", "completed"):
        yield _made(f"status: {word}", lambda field, old, w=word: w if field == "status" else old, lies=True)
    kinds: Mapping[str, object] = {
        "null": None,
        "7": 7,
        "text": "x",
        "[]": [],
        "{}": {},
        "true": True,
        "[null]": [None],
    }
    for name, value in kinds.items():
        yield _made(f"every field {name}", lambda field, old, v=value: v)
    for name, value in {"1e400": 10**400, "-1": -1, "1e308": 1e308, "a text": "7", "0": 0}.items():
        yield _made(f"every number {name}", partial(_numbers, value))
    for name, value in {"null": None, "{}": {}, "[null]": [None], "a text": "x", "a number": 3}.items():
        yield _made(f"every list {name}", lambda field, old, v=value: v if isinstance(old, list) else old)
    yield _made("no fields at all", lambda field, old: old if isinstance(old, list | dict) else None)
    yield _made("dates that are none", lambda field, old: "yesterday" if field.endswith("_at") else old)
    yield _made("dates long gone", lambda field, old: "0001-01-01T00:00:00Z" if field.endswith("_at") else old)
    yield _made("dates to come", lambda field, old: "9999-12-31T23:59:59Z" if field.endswith("_at") else old)
    yield _made("a million pages", lambda field, old: 10**6 if field == "total_page" else old)
    yield _made("no page", lambda field, old: 0 if field in ("page", "total_page") else old)
    yield _made("1,000 times the list", lambda field, old: old * 1000 if isinstance(old, list) else old)
    yield _made("an empty list", lambda field, old: [] if isinstance(old, list) else old, lies=True)


def _numbers(value: object, _field: str, old: Any) -> Any:
    return value if isinstance(old, int | float) and not isinstance(old, bool) else old


# --------------------------------------------------------------------------------- what only one call can be told


_TEXTS: Mapping[str, str] = {
    "no JSON": "hello", "empty": "", "null": "null", "a list": "[]", "fenced": '```json\n{"gist": {}}\n```',
    "cut": '{"gist": {"ti',
    "deep": "[" * 100_000, "of 5 MB": "a" * 5_000_000, "script": "<script>alert(1)</script>", "escape codes": "\x1b[2J",
    "NUL": "\0" * 100, "surrogate": "\ud800", "digits": "1" * 10_000, "the key": KEY,
}  # fmt: skip
_PIECES: Mapping[str, object] = {"0": 0, "1": 1, "below 0": -1, "huge": 10**15, "1.5": 1.5, "a text": "8", "null": None}


def special(call: str) -> Iterator[HostileAnswer]:
    """Return what only this call can be told."""
    if call == "analysis read":
        for name, text in _TEXTS.items():
            yield _made(f"text: {name}", lambda field, old, t=text: t if field == "data" and isinstance(old, str) else old,
                        lies=True)  # fmt: skip
        yield _made("cut at its length", lambda field, old: "length" if field == "finish_reason" else old, lies=True)
    if call == "answer":
        yield from _streams()
    if call == "session":
        for field in ("chunk_size", "total_chunks"):
            for name, value in _PIECES.items():
                yield _made(f"{field}: {name}", lambda key, old, f=field, v=value: v if key == f else old)
    if call in ("session", "addresses"):
        places = ("http://example.com/x", "https://127.0.0.1:9/x", "file:///etc/passwd", "", "x", "http://[::1")
        for place in places:
            yield _made(f"url: {place or 'empty'}", lambda key, old, p=place: p if key == "url" else old)
        for name, value in _PIECES.items():
            yield _made(f"chunk_index: {name}", lambda key, old, v=value: v if key == "chunk_index" else old)
        odd: Mapping[str, object] = {
            "host": {"Host": "evil"}, "the key's": {"x-api-key": "a"}, "break": {"A": "b\r\nC: d"}, "list": [1],
            "10,000": {f"h{n}": "x" for n in range(10_000)}, "length": {"Content-Length": "5"},
        }  # fmt: skip
        for name, value in odd.items():
            yield _made(f"upload_headers: {name}", lambda key, old, v=value: v if key == "upload_headers" else old)


def _streams() -> Iterator[HostileAnswer]:
    """Streams of an answer that nobody should send."""

    def end(text: object, **more: object) -> dict[str, object]:
        content = [{"type": "output_text", "text": text}]
        output = [{"type": "message", "content": content}]
        usage = {"input_tokens": 5, "output_tokens": 5}
        return {"response": {"id": "r", "status": "completed", "output": output, "usage": usage, **more}}

    def streamed(*events: object) -> bytes:
        lines = (event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() for event in events)
        return reply(200, b"\n\n".join(lines) + b"\n\n", "Content-Type: text/event-stream")

    form = json.dumps(
        {"answer": "Yes.", "citations": [{"video": "v1", "start": -5, "end": 1e300, "quote": KEY}] * 1000}
    )
    odd: Mapping[str, Sequence[object]] = {
        "no end": [{"type": "response.created"}], "only an end": [b"data: [DONE]"], "an end first": [b"data: [DONE]", end("a")],
        "no events": [b": ping"] * 1000, "broken events": [b"data: {", b"data: 7", b"data: null", b"data: []"],
        "an unknown end": [end("a", status="shrug")], "given up": [end("a", status="failed")],
        "cut at its length": [end("a", status="incomplete")], "no text": [end("")], "a text that is none": [end(7)],
        "two ends": [end("first"), end("second")], "output that is none": [end("a", output={"a": None})],
        "a usage beyond measure": [end("a", usage={"input_tokens": 10**30, "output_tokens": -1})],
        "a usage that is none": [end("a", usage="much")], "citations that cannot be": [end(form)],
        "a long line": [b"data: " + b"x" * 5_000_000], "100,000 events": [b"data: {}"] * 100_000,
    }  # fmt: skip
    for name, events in odd.items():
        yield HostileAnswer(f"stream: {name}", _said(streamed(*events)), lies=name == "given up")
    for name, text in _TEXTS.items():
        yield HostileAnswer(f"stream: text {name}", _said(streamed(end(text))))


@cache
def general() -> tuple[HostileAnswer, ...]:
    """Return what every call can be told."""
    made = (_statuses(), _waits(), _redirects(), _torn(), _bombs(), _bodies(), _odd())
    return tuple(answer for some in made for answer in some)

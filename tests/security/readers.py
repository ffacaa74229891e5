"""Everything that reads foreign bytes, as functions that are silent unless a promise is broken; and what to begin with.

A long soak, coverage-guided where ``pip install atheris`` has a wheel (Linux, Python 3.11 to 3.13)::

    python -m tests.security.readers manifest 3600
"""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.config.settings import Settings, load
from pipeline.core.errors import ConfigError, ReelmillError
from pipeline.core.youtube_address import is_address
from pipeline.kit.answers import AnswerReader
from pipeline.kit.schema_profile import schema_problem
from pipeline.media.captions import MAX_CUES, parse
from pipeline.ports.index_api import IndexSpec, ListFilter, SearchQuery
from pipeline.ports.source import Item, ManifestLine
from pipeline.ports.video_api import NewUpload, Question, UploadSession
from pipeline.provider.dialects.protocol import Call, Request, Response, UnreadableAnswer
from pipeline.provider.dialects.v1_2.indexes import IndexV12
from pipeline.provider.dialects.v1_2.inventory import InventoryV12
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.indexes import IndexV13
from pipeline.provider.dialects.v1_3.inventory import InventoryV13
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.source.captions import read_captions
from pipeline.source.manifest.expand import expand
from pipeline.source.manifest.reader import read_lines
from pipeline.views import BadLine
from tests.security.hostile_text import MARKUP, PATHS, TERMINAL, obeyed

ROOT = Path(__file__).parents[2]
_AT = 1_800_000_000.0


# ------------------------------------------------------------------------------------------------------- the readers


def manifest(data: bytes) -> None:
    """A manifest of any bytes: lines, items and bad lines, each fit to be stored and shown; nothing is raised."""
    with tempfile.TemporaryDirectory() as name:
        folder, stream = Path(name), io.BufferedReader(io.BytesIO(data))
        for line in read_lines(["-"], stdin=stream, cwd=folder, known_job=lambda job: job == "gist"):
            _line(line, folder)
        for ending in (".csv", ".jsonl", ".txt", ""):
            path = folder / f"list{ending}"
            path.write_bytes(data)
            for line in read_lines([str(path)], stdin=stream, cwd=folder, known_job=lambda _: True):
                _line(line, folder)


def _line(line: ManifestLine | BadLine, folder: Path) -> None:
    if isinstance(line, BadLine):
        _bad(line)
        return
    json.dumps([line.source, line.id, line.title, line.tags, line.jobs, line.prompt, dict(line.metadata)]).encode()
    assert line.source
    inside = line.source.startswith(f"{folder}/") and ".." not in line.source
    if not (inside or is_address(line.source)):  # a folder such as / would walk this machine
        return
    for number, found in enumerate(expand(line)):
        if isinstance(found, BadLine):
            _bad(found)
        else:
            assert isinstance(found, Item)
            assert found.key
        if number > 100:
            break


def _bad(line: BadLine) -> None:
    assert line.trouble.code
    assert line.trouble.message
    assert len(line.source) <= 200
    assert obeyed(line.source) == []


def config(data: bytes) -> None:
    """A configuration file of any bytes: settings, or one ConfigError that names what to do."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "reelmill.toml"
        path.write_bytes(data)
        try:
            settings = load(path, env={})
        except ConfigError as error:
            _told(error)
            return
        assert isinstance(settings, Settings)
        settings.model_dump_json()


def _told(error: ReelmillError, code: str = "") -> None:
    assert error.trouble.message
    assert error.trouble.remedy
    assert code in ("", error.trouble.code)


def _readers() -> list[Callable[[Response], Any]]:
    upload, question = (
        NewUpload("n", "url", url="https://x/y", index_id="i"),
        Question("k", "m", "Why?", None, 9, 0.2, "p"),
    )
    wish, spec, which = SearchQuery("i", "x", options=("visual",)), IndexSpec("n"), ListFilter()
    old, new, session = V12(), V13(), UploadSession("u", "a", 1, 1, 0.0)
    calls: list[Call[Any]] = [
        new.open_session(upload), new.chunk_state(session, 1), new.addresses(session, 1, 1), new.report_chunks(session, []),
        new.media_by_ids(["m"]), new.find_analyses(question, 1), new.unfinished_analyses("queued", 1), new.analysis("t"),
        new.submit_analysis(question), old.submit_analysis(replace(question, legacy={"path": "/gist"})), old.media_page(1),
        IndexV13().placements("a", 1), IndexV13().index_asset("i", "a", {}), IndexV12().classify_page("t"),
    ]  # fmt: skip
    for dialect in (old, new):
        calls += [dialect.create_asset(upload), dialect.find_assets(upload, 1), dialect.media("m"), dialect.check()]
    for indexes in (IndexV12(), IndexV13()):
        calls += [
            indexes.create_index(spec), indexes.indexes(which, 1), indexes.index("i"), indexes.videos("i", which, 1),
            indexes.video("i", "v"), indexes.search(wish), indexes.search_page("t"), indexes.delete_index("i"),
        ]  # fmt: skip
    for inventory in (InventoryV12(), InventoryV13()):
        for endpoint in inventory.endpoints.values():
            calls += [endpoint.page("i", 1), endpoint.get("x", "i")]
        sessions = inventory.open_sessions(1)
        calls += [sessions] if sessions is not None else []
    return [call.read for call in calls] + [_error(dialect, safe) for dialect in (old, new) for safe in (True, False)]


def _error(dialect: V12 | V13, safe: bool) -> Callable[[Response], Any]:
    def read(response: Response) -> None:
        error = dialect.read_error(response, Request("POST", "/x", safe=safe), wait=1.0)
        assert isinstance(error, ReelmillError)
        assert len(error.trouble.detail) <= 500
        assert error.trouble.message

    return read


READERS = _readers()


def dialect(data: bytes) -> None:
    """An answer of any bytes to every question of both dialects: a value, or Unreadable; an error of ours for any refusal."""
    head, body = (data[:3] + b"\0\0\0")[:3], data[3:]
    status = (200, 201, 400, 401, 403, 404, 408, 409, 410, 413, 421, 425, 429, 500, 502, 503, 301, 100)[head[1] % 18]
    hint = body[:40].decode("latin-1").replace("\n", " ").replace("\r", " ")
    headers = {"retry-after": hint} if head[2] % 3 == 0 else {"x-ratelimit-reset": hint, "date": hint, "etag": hint}
    response = Response(status, headers, body, _AT)
    for reader in READERS[head[0] % len(READERS) :: 7]:
        try:
            reader(response)
        except UnreadableAnswer:
            continue


def captions(data: bytes) -> None:
    """A caption file of any bytes: cues in order, bounded, with words that are only shown."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "film.srt"
        path.write_bytes(data)
        cues = parse(read_captions([path]))
    assert len(cues) <= MAX_CUES
    for before, cue in pairwise(cues):
        assert before.start <= cue.start
    for cue in cues:
        assert 0 <= cue.start < cue.end < 1e8
        assert 0 < len(cue.text) <= 1000
        assert obeyed(cue.text, also="") == []


def answer(data: bytes) -> None:
    """An answer of a model, of any bytes: values that fit, or one sentence why not."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    for length in (0.0, 60.0):
        reading = AnswerReader(found)
        reading.text("summary", 100)
        reading.strings("topics", 5, 20)
        reading.spans("chapters", {"chapter_title": 20}, most=5, length=length)
        verdict = reading.verdict({})
        assert verdict.value is not None or verdict.problem
    schema_problem(found)


READ: Mapping[str, Callable[[bytes], None]] = {
    "manifest": manifest, "config": config, "dialect": dialect, "captions": captions, "answer": answer,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the beginnings


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_ASSET = {
    "_id": "a" * 24,
    "id": "b" * 24,
    "method": "direct",
    "status": "ready",
    "filename": "x.mp4",
    "created_at": "2026-11-22T10:00:00Z",
    "duration": 5.5,
    "system_metadata": {"duration": 5, "width": 640},
    "hls": {"status": "COMPLETE"},
    "video_id": "c" * 24,
    "index_id": "d" * 24,
    "task_id": "e" * 24,
    "error": {"message": "no", "code": "x"},
    "estimated_time": "2026-11-22T10:00:00Z",
}
_PAGE = {"page": 1, "limit_per_page": 10, "total_page": 2, "total_results": 12, "next_page_token": "t"}
_HIT = {
    "video_id": "v",
    "start": 1.5,
    "end": 2.5,
    "score": 80.1,
    "rank": 1,
    "confidence": "high",
    "thumbnail_url": "https://x/y?z=1",
    "transcription": "words",
    "metadata": [{"type": "conversation", "text": "words"}],
    "modules": [{"type": "visual"}],
    "id": "g",
    "clips": [{"video_id": "v", "start": 1, "end": 2, "score": 3}],
}
BEGINNINGS: Mapping[str, Sequence[bytes]] = {
    "manifest": (
        b"film.mp4\n# comment\nhttps://example.com/a.mp4?sig=x\nhttps://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PL0123456789ABC\n",
        b'source,id,title,tags,metadata.a\nfilm.mp4,1,"A, title",a|b,c\nhttps://youtu.be/dQw4w9WgXcQ,,,,\n',
        b"\xef\xbb\xbfurl;title\r\nx.mp4;y\r\n",
        b'{"source": "x.mp4", "tags": ["a"], "metadata": {"b": 1}, "jobs": "gist"}\n{}\n',
        b"https://www.youtube.com/redirect?q=&#" + b"9" * 5000 + b";\n",
        "@häñdle\nhttps://youtube.com/@x\n".encode(),
        b'"a\nb"\n',
        b"\n".join(text.encode("utf-8", "surrogatepass") for text in (*PATHS, *TERMINAL)),
        b"source\tid\n\x00",
        b"\xff\xfea\0",
    ),
    "config": (
        (ROOT / "config.example.toml").read_bytes(),
        b'[run]\nmanifests = ["a"]\n[provider]\napi = "v1.2"\n',
        b"[jobs.x]\njob = 'ask'\n",
        b'[[queries]]\nname = "a"\ntext = "b"\n',
        b"a = 1\n" * 3,
        b"[" * 300,
        b"x = " + b"[" * 3000,
        b"x=" + b"9" * 5000,
        b"\xff",
        b"[limits.assets]\nrequests_per_minute = 1e400\n[run]\nstop_grace = nan\n",
        b"a." * 2000 + b"b = 1",
        b'[run]\nstate = "\\u0000"\n',
    ),
    "dialect": (
        _json(_ASSET),
        _json({"data": [_ASSET, _HIT], "page_info": _PAGE}),
        _json({**_HIT, "data": [_HIT]}),
        _json({"code": "too_many_requests", "message": "Try again in 5 seconds.", "details": {"retryAfter": "3"}}),
        _json({"error": {"error_code": 1, "message": "no", "details": {"retry_after": 1e308}}}),
        b"<html>no</html>",
        b"",
        b"[" * 100_000,
        _json({"upload_id": "u", "asset_id": "a", "chunk_size": 1, "total_chunks": 2, "upload_headers": {"a": 1}}),
        _json(
            {"upload_urls": [{"chunk_index": 1, "url": "https://x/y", "expires_at": None}], "total_completed": 1e308}
        ),
        _json({"status": "active", "uploaded_chunks": [{"index": 1, "status": "completed"}], "page_info": _PAGE}),
        _json(
            {
                "task_id": "t",
                "status": "ready",
                "result": {"data": "{}", "finish_reason": "stop", "usage": {"output_tokens": 1}},
            }
        ),
        b'{"_id": ' + b"9" * 5000 + b"}",
        b'{"_id": "\\ud800", "data": [1e999, NaN]}',
        b'{"data": {"a": []}, "page_info": []}',
    ),
    "captions": (
        b"1\n00:00:01,000 --> 00:00:02,000\nHello <i>you</i>\n\n2\n00:00:02.5 --> 00:00:01\n{\\an8}again\n",
        b"\xef\xbb\xbfWEBVTT\n\n",
        b"WEBVTT\n\nNOTE x\ny\n\nSTYLE\n::cue{}\n\n00:01.000 --> 00:02.000 align:start\n<c.x>a</c><00:00:01.5>b\n",
        b"\xff\xfea\0",
        "00:00:01 -> 99:59:59\né\n".encode("latin-1"),
        b"00:00:01 --> 00:00:02\n&#" + b"9" * 9000,
        b"0:0 --> 0:0\n\x00\x1b[31m\x9b",
        b"".join(b"00:00:%02d.000 --> 00:00:%02d.900\na\nb%d\n\n" % (n, n, n) for n in range(30)),
    ),
    "answer": (
        _json({"type": "object", "properties": {"a": {"type": "string"}}, "required": [{"b": [9]}]}),
        _json({"type": "string", "pattern": "a{99999999999}"}),
        _json(
            {
                "summary": "x",
                "topics": ["a", 1],
                "chapters": [{"start_time": 0, "end_time": "1:05", "chapter_title": "x"}],
            }
        ),
        _json({"chapters": [{"start_time": -1e308, "end_time": 1e308, "chapter_title": text} for text in MARKUP[:9]]}),
        b"[[[]]]",
        _json(
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}, "required": ["a"]}
        ),
        b'"x"',
        b'{"chapters": [' + b"9" * 4000 + b', NaN, {"start_time": Infinity}]}',
        b"{" * 50,
        b'{"summary": ' + b"[" * 2000 + b"]" * 2000 + b"}",
    ),
}

_BITS = (
    b"\0",
    b"\n",
    b'"',
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x1b[31m",
    b"9" * 400,
    b"-",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"&#",
    b"://",
    b"127.0.0.1",
    b"..",
    b"%00",
    b"\\ud800",
    b"\xe2\x80\xae",
    b"= ",
    b"-->",
    b"<",
    b"0",
    b" " * 50,
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes after one to six small accidents."""
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(data))
        end = min(len(data), at + rng.choice((0, 1, 2, 8, 64, 4096)))
        bit = rng.choice(
            (b"", rng.choice(_BITS), data[at:end] * rng.choice((2, 3, 30)), rng.randbytes(rng.randint(1, 4)))
        )
        data = data[:at] + bit + data[end:]
    return data[: 1 << 20]


def soak(name: str, seconds: float) -> None:
    """Read until the time is over, or for ever with atheris; a broken promise ends it with the input on disk."""
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        rng, until, count = random.Random(), time.monotonic() + seconds, 0
        while time.monotonic() < until:
            data = mutated(rng.choice(BEGINNINGS[name]), rng)
            count += 1
            try:
                READ[name](data)
            except BaseException:
                Path(f"broken-{name}").write_bytes(data)
                raise
        print(f"{count} inputs, nothing broken")
        return
    corpus = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    for number, data in enumerate(BEGINNINGS[name]):
        (corpus / str(number)).write_bytes(data)
    atheris.instrument_all()
    atheris.Setup(
        [sys.argv[0], str(corpus), f"-max_total_time={seconds:.0f}", "-max_len=65536", "-timeout=20"], READ[name]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    soak(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)

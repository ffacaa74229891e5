"""The served page: what it gives to whom, over real HTTP and byte by byte as a client may write it."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest

from pipeline.app.gallery.file_server import HEADERS, FileServer, LinkedFile
from pipeline.local.server import EmbeddedServer

FOLDER = "honey-bees--abcd2345"
FOREIGN = "日本語の映画--abcd2346"
SECRET = b"nobody may read this"
FILM = bytes(range(256)) * 4096  # a megabyte


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Sends what it is told, as it is."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, target: str | bytes, method: str = "GET", **headers: str) -> Answer:
        """Send one request and read the answer to its end."""
        named = {"host": f"127.0.0.1:{self.port}", "connection": "close"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = target.encode("utf-8", "surrogateescape") if isinstance(target, str) else target
        lines = [method.encode() + b" " + raw + b" HTTP/1.1"]
        lines += [f"{name}: {value}".encode() for name, value in named.items() if value]
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            await stream.send(b"\r\n".join(lines) + b"\r\n\r\n")
            data = b"".join([chunk async for chunk in stream])
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        found = dict(line.lower().split(": ", 1) if ": " in line else (line.lower(), "") for line in rest)
        return Answer(int(first.split()[1]), found, body)


def library(root: Path) -> Path:
    """Make an output folder with a page, one video's results, and much beside it that is nobody's business."""
    output = root / "out"
    files = {
        "out/index.html": b"<!doctype html>", "out/index.txt": b"one", "out/results.jsonl": b"{}\n",
        "out/gallery/app.js": b"reelmill()", "out/gallery/app.css": b"a{}", "out/gallery/data/index.js": b"reelmill()",
        f"out/gallery/posters/{FOLDER}.webp": b"RIFF", f"out/{FOLDER}/summary.md": b"# Bees",
        f"out/gallery/posters/{FOREIGN}.webp": b"RIFF", f"out/{FOREIGN}/summary.md": b"# Bees",
        f"out/{FOLDER}/captions.vtt": b"WEBVTT", f"out/{FOLDER}/raw/1234.json": b"{}", f"out/{FOLDER}/own.html": b"<script>",
        f"out/{FOLDER}/own.js": b"alert(1)", f"out/{FOLDER}/own.svg": b"<svg>", "films/a b.mp4": FILM,
        "films/other.mp4": SECRET, "secret.txt": SECRET, "out/secret.txt": SECRET, "out/.env": SECRET,
        "out/.reelmill/reelmill.db": SECRET, "out/state/reelmill.db": SECRET, f"out/{FOLDER}/.hidden": SECRET,
        "out/notes/secret.txt": SECRET, f"out/{FOLDER}/a/b/deep.txt": SECRET, "outside/secret.txt": SECRET,
    }  # fmt: skip
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (output / "index.txt").unlink()
    (output / "index.txt").symlink_to(root / "secret.txt")
    (output / FOLDER / "link.txt").symlink_to(root / "secret.txt")
    (output / "linked--abcd2346").symlink_to(root / "outside")
    (output / "gallery" / "out").symlink_to(root)
    os.mkfifo(output / FOLDER / "pipe.txt")
    return output


@asynccontextmanager
async def served(output: Path) -> AsyncIterator[Client]:
    """Serve a folder; the page links to one film."""
    film = output.parent / "films" / "a b.mp4"
    linked = LinkedFile(str(film), film.stat().st_size, film.stat().st_mtime_ns)

    async def find(place: str) -> LinkedFile | None:
        return linked if place == "films/a b.mp4" else None

    files = FileServer(output, find)
    server = EmbeddedServer(files, "127.0.0.1", 0, headers=HEADERS)
    files.port = int(server.bind().rpartition(":")[2])
    async with anyio.create_task_group() as group:
        await group.start(server.run)
        yield Client(files.port)
        await server.stop()
    server.close()


@pytest.mark.asyncio
async def test_what_the_page_needs_is_served_with_its_type(tmp_path: Path) -> None:
    """The page, its script, data, posters, results and the linked film; only the page's own files can run."""
    types = {
        "index.html": "text/html; charset=utf-8", "results.jsonl": "text/plain; charset=utf-8",
        "gallery/app.js": "text/javascript; charset=utf-8", "gallery/app.css": "text/css; charset=utf-8",
        "gallery/data/index.js": "text/javascript; charset=utf-8", f"gallery/posters/{FOLDER}.webp": "image/webp",
        f"{FOLDER}/summary.md": "text/plain; charset=utf-8", f"{FOLDER}/captions.vtt": "text/vtt; charset=utf-8",
        f"{FOLDER}/raw/1234.json": "application/json", f"{FOLDER}/own.html": "text/plain; charset=utf-8",
        f"{FOLDER}/own.js": "text/plain; charset=utf-8", f"{FOLDER}/own.svg": "text/plain; charset=utf-8",
        "../films/a%20b.mp4": "video/mp4",
    }  # fmt: skip
    output = library(tmp_path)
    async with served(output) as client:
        for name, kind in types.items():
            target = f"/{name.removeprefix('../')}" if name.startswith("../") else f"/out/{name}"
            answer = await client.ask(f"{target}?t=1")
            assert (answer.status, answer.headers["content-type"]) == (200, kind), name
            assert answer.body == (output / name.replace("%20", " ")).read_bytes()
            for header, value in HEADERS:
                assert answer.headers[header.lower()] == value.lower()
            head = await client.ask(target, "HEAD")
            assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))
        for target in ("/", "/out", "/out/"):
            answer = await client.ask(target)
            assert (answer.status, answer.headers.get("location")) == (
                (200, None) if target == "/out/" else (302, "/out/")
            )


TRAVERSALS = [
    "/secret.txt", "/out/secret.txt", "/out/.env", "/out/.reelmill/reelmill.db", "/out/state/reelmill.db",
    f"/out/{FOLDER}/.hidden", "/out/notes/secret.txt", f"/out/{FOLDER}/a/b/deep.txt", "/films/other.mp4", "/films",
    "/films/", "/out/gallery", "/out/gallery/", f"/out/{FOLDER}", f"/out/{FOLDER}/", "/out/index.txt",
    f"/out/{FOLDER}/link.txt", "/out/linked--abcd2346/secret.txt", "/out/gallery/out/secret.txt",
    f"/out/{FOLDER}/pipe.txt", "/out/../secret.txt", "/out/%2e%2e/secret.txt", "/out/..%2fsecret.txt",
    "/out/%2e%2e%2fsecret.txt", "/out/..%5csecret.txt", "/out/..\\secret.txt", "/../secret.txt", "/%2e%2e/secret.txt",
    "//secret.txt", "//etc/passwd", "/etc/passwd", "/out//etc/passwd", "/out/%2fetc%2fpasswd",
    "/out/gallery/../../secret.txt", "/out/gallery/data/../../../secret.txt", "/out/gallery/%2e%2e/%2e%2e/secret.txt",
    "/out/gallery/..%c0%af..%c0%afsecret.txt", "/out/index.html%00.txt", "/out/secret.txt%00", "/out/%00", "/out/%ff",
    "/out/index.html/", "/out/index.html/x", "/out/./.env", "/films/../secret.txt",
    "/films/a%20b.mp4/../../secret.txt", "/films/%2e/a%20b.mp4", "/films//a%20b.mp4", "/FILMS/a%20b.mp4",
    "/out/" + "x" * 5000, "/out/" + "a/" * 500, "/proc/self/environ",
    "/out/gallery/data/.index.js.1-0123456789abcdef.tmp", "/out/~root", "/~root/.ssh/id_rsa", "*", "secret.txt",
    "http://127.0.0.1/secret.txt", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.asyncio
async def test_a_folder_in_another_script_is_served(tmp_path: Path) -> None:
    """Results and poster, under the address that a browser makes of the name."""
    async with served(library(tmp_path)) as client:
        for name in (f"{FOREIGN}/summary.md", f"gallery/posters/{FOREIGN}.webp"):
            assert (await client.ask(f"/out/{quote(name)}")).status == 200


@pytest.mark.asyncio
async def test_nothing_else_is_served(tmp_path: Path) -> None:
    """No way of writing an address leads out of what Reelmill has written and the page links to."""
    async with served(library(tmp_path)) as client:
        for target in TRAVERSALS:
            answer = await client.ask(target)
            assert answer.status in (400, 404), (target, answer)
            assert SECRET not in answer.body
            assert b"root:" not in answer.body


@pytest.mark.asyncio
async def test_a_film_that_was_exchanged_is_not_served(tmp_path: Path) -> None:
    """Another file, or a link, in the place of the one that was ingested is not what the page links to."""
    output = library(tmp_path)
    film = tmp_path / "films" / "a b.mp4"
    async with served(output) as client:
        film.rename(tmp_path / "films" / "kept.mp4")
        for make in (lambda: film.write_bytes(SECRET), lambda: film.symlink_to(tmp_path / "films" / "kept.mp4")):
            make()
            assert (await client.ask("/films/a%20b.mp4")).status == 404
            film.unlink()
        assert (await client.ask("/films/a%20b.mp4")).status == 404
        (tmp_path / "films" / "kept.mp4").rename(film)
        assert (await client.ask("/films/a%20b.mp4")).status == 200


@pytest.mark.asyncio
async def test_only_this_machine_under_its_own_name_is_answered(tmp_path: Path) -> None:
    """A foreign name that leads here (DNS rebinding) is refused, and so is another port's, or no name at all."""
    async with served(library(tmp_path)) as client:
        assert (await client.ask("/out/", host=f"localhost:{client.port}")).status == 200
        names = ("evil.example", "127.0.0.1.evil.example", "[::1]", "user@127.0.0.1", "0.0.0.0", "127.0.0.1.", "")
        for host in ("evil.example", "127.0.0.1", "127.0.0.1:1", *(f"{name}:{client.port}" for name in names)):
            answer = await client.ask("/out/", host=host)
            assert answer.status in (400, 421), host
        assert (await client.ask("/out/", host="")).status in (400, 421)


@pytest.mark.asyncio
async def test_other_sites_get_nothing(tmp_path: Path) -> None:
    """What a foreign page embeds or fetches is refused: a data file is a script, which any site could run. A link works."""
    async with served(library(tmp_path)) as client:
        for site in ("cross-site", "same-site"):
            kind = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"}
            script = await client.ask("/out/gallery/data/index.js", sec_fetch_site=site, **kind)
            assert (script.status, script.headers["cross-origin-resource-policy"]) == (403, "same-origin")
            frame = await client.ask("/out/", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe")
            assert frame.status == 403
            link = await client.ask("/out/", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document")
            assert link.status == 200
        own = await client.ask("/out/gallery/app.js", sec_fetch_site="same-origin", sec_fetch_mode="no-cors")
        assert own.status == 200


@pytest.mark.asyncio
async def test_it_only_reads(tmp_path: Path) -> None:
    """Every other method is refused, and changes nothing."""
    output = library(tmp_path)
    async with served(output) as client:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            answer = await client.ask("/out/index.html", method)
            assert (answer.status, answer.headers["allow"]) == (405, "get, head")
    assert (output / "index.html").read_bytes() == b"<!doctype html>"


@pytest.mark.asyncio
async def test_parts_of_a_film(tmp_path: Path) -> None:
    """One range is answered byte by byte; none, several or nonsense give the whole; one beyond the end is refused."""
    size = len(FILM)
    ranges = {
        "bytes=0-": (0, size), "bytes=0-0": (0, 1), "bytes=500-999": (500, 1000), f"bytes={size - 1}-": (size - 1, size),
        "bytes=-300": (size - 300, size), f"bytes=100-{size * 2}": (100, size), f"bytes=-{size * 9}": (0, size),
    }  # fmt: skip
    async with served(library(tmp_path)) as client:
        for wanted, (start, end) in ranges.items():
            answer = await client.ask("/films/a%20b.mp4", range=wanted)
            assert (answer.status, answer.headers["content-range"]) == (206, f"bytes {start}-{end - 1}/{size}"), wanted
            assert answer.body == FILM[start:end]
        for wanted in ("bytes=1-2,5-6", "bytes=x-y", "bytes=", "bytes=-", "lines=1-2", "bytes=--5", "bytes=1-2-3"):
            answer = await client.ask("/films/a%20b.mp4", range=wanted)
            assert (answer.status, answer.body) == (200, FILM), wanted
        for wanted in (f"bytes={size}-", "bytes=7-3", "bytes=-0"):
            answer = await client.ask("/films/a%20b.mp4", range=wanted)
            assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}"), wanted


@pytest.mark.asyncio
async def test_what_is_known_is_not_sent_again(tmp_path: Path) -> None:
    """With the tag of the last answer, an unchanged file costs no body; a range of a changed one gives the whole."""
    output = library(tmp_path)
    async with served(output) as client:
        tag = (await client.ask("/out/gallery/data/index.js")).headers["etag"]
        same = await client.ask("/out/gallery/data/index.js", if_none_match=tag)
        assert (same.status, same.body) == (304, b"")
        (output / "gallery" / "data" / "index.js").write_bytes(b"reelmill(2)")
        assert (await client.ask("/out/gallery/data/index.js", if_none_match=tag)).body == b"reelmill(2)"
        changed = await client.ask("/out/gallery/data/index.js", if_range=tag, range="bytes=0-1")
        assert (changed.status, changed.body) == (200, b"reelmill(2)")


@pytest.mark.asyncio
async def test_a_client_that_vanishes_costs_nothing(tmp_path: Path) -> None:
    """A hundred players that stop in the middle of a film leave no open file behind, and the next one is served."""
    output = library(tmp_path)
    async with served(output) as client:
        before = open_files()
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", client.port)) as raw:
                raw.sendall(f"GET /films/a%20b.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
        assert (await client.ask("/films/a%20b.mp4")).body == FILM
        with anyio.fail_after(20):
            while open_files() > before:
                await anyio.lowlevel.checkpoint()


def open_files() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.asyncio
async def test_without_a_page_it_says_what_makes_one(tmp_path: Path) -> None:
    """An output folder that holds no page yet is no riddle."""
    output = library(tmp_path)
    (output / "index.html").unlink()
    async with served(output) as client:
        answer = await client.ask("/out/")
        assert answer.status == 404
        assert b"reelmill gallery" in answer.body

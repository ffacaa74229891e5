"""A site on loopback: media with faults, HLS, player responses and lists, for the real yt-dlp in the real worker.

``interpreter`` writes a "Python" that runs the worker with one change: YouTube's player responses, listings and thumbnails
come from here. That takes private parts of yt-dlp; ``moved`` says which of them an installed yt-dlp lacks, and every test
that asks for such a Python is then skipped with that reason.
"""

from __future__ import annotations

import importlib.util
import json
import re
import stat
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.support.media import film_bytes, segments, sound_bytes

_BLOCK = 16 * 1024


@dataclass
class Blob:
    """One file of the site, and how it misbehaves."""

    content: bytes
    mime: str = "video/mp4"
    ranges: bool = True
    length: bool = True  #: say how long it is
    status: int = 200
    drops: int = 0  #: so many answers break off in the middle
    then: int = 0  #: the status of all answers after one that broke off
    stall: bool = False  #: stop in the middle and keep the line open
    rate: float = 0.0  #: bytes per second; 0 = as fast as it goes


@dataclass
class MediaServer:
    """Serves what is put into ``files``, ``players`` and ``lists``; remembers what was asked for."""

    files: dict[str, Blob] = field(default_factory=dict)
    players: dict[str, Any] = field(default_factory=dict)  #: video id -> player response, or a status
    lists: dict[str, Any] = field(default_factory=dict)  #: list id -> playlist result, or a status
    asked: list[str] = field(default_factory=list)
    resumed: int = 0  #: how many answers began in the middle of a file

    def __enter__(self) -> MediaServer:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients are killed on purpose
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, start: str) -> int:
        """Return how many requests went to paths that start so."""
        return sum(path.startswith(start) for path in self.asked)

    # ------------------------------------------------------------------------------------------------- answering

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        kind, _, name = path.lstrip("/").partition("/")
        if kind in ("player", "list"):
            self._json(request, (self.players if kind == "player" else self.lists).get(name, 404))
        elif path in self.files:
            self._blob(request, self.files[path])
        else:
            self._json(request, 404)

    def _json(self, request: BaseHTTPRequestHandler, value: Any) -> None:
        if value == "hang":
            self.closing.wait(60)
            return
        body = b"" if isinstance(value, int) else json.dumps(value).encode()
        request.send_response(value if isinstance(value, int) else 200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _blob(self, request: BaseHTTPRequestHandler, blob: Blob) -> None:
        if blob.status != 200:
            self._json(request, blob.status)
            return
        start, end = 0, len(blob.content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
        if asked and blob.ranges:
            start = int(asked[1])
            end = min(end, int(asked[2]) + 1) if asked[2] else end
            if start >= len(blob.content):
                self._json(request, 416)
                return
            self.resumed += start > 0
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(blob.content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Type", blob.mime)
        if blob.length:
            request.send_header("Content-Length", str(end - start))
        request.send_header("Connection", "close")
        request.end_headers()
        self._send(request, blob, blob.content[start:end])

    def _send(self, request: BaseHTTPRequestHandler, blob: Blob, body: bytes) -> None:
        stop = len(body)
        if (blob.drops > 0 or blob.stall) and len(body) > 1:
            blob.drops -= not blob.stall
            blob.status = blob.then or blob.status
            stop = len(body) // 2
        for at in range(0, stop, _BLOCK):
            request.wfile.write(body[at : min(at + _BLOCK, stop)])
            if blob.rate:
                time.sleep(_BLOCK / blob.rate)  # noqa: TID251 - a slow line takes real time
        request.wfile.flush()
        if blob.stall:
            self.closing.wait(60)
        request.close_connection = True

    # ------------------------------------------------------------------------------------------------ YouTube-like

    def video(self, video: str, *, seconds: float = 5.0, **more: Any) -> bytes:
        """Put a video with one plain format under an id; return its bytes. ``more`` goes into the player response."""
        content = film_bytes(seconds, sound=True)
        self.files[f"/media/{video}.mp4"] = Blob(content)
        self.players[video] = player(video, seconds, [plain(f"{self.base}/media/{video}.mp4", len(content))], **more)
        return content

    def split(self, video: str, *, seconds: float = 5.0) -> bytes:
        """Put a video whose picture and sound are two files under an id; return the bytes of the picture."""
        picture, sound = film_bytes(seconds), sound_bytes(seconds)
        self.files[f"/media/{video}.v.mp4"] = Blob(picture)
        self.files[f"/media/{video}.a.m4a"] = Blob(sound, "audio/mp4")
        formats = [
            {**plain(f"{self.base}/media/{video}.v.mp4", len(picture)), "itag": 136, "qualityLabel": "360p",
             "mimeType": 'video/mp4; codecs="avc1.4d401f"'},
            {"itag": 140, "url": f"{self.base}/media/{video}.a.m4a", "contentLength": str(len(sound)), "bitrate": 128_000,
             "mimeType": 'audio/mp4; codecs="mp4a.40.2"', "audioQuality": "AUDIO_QUALITY_MEDIUM"},
        ]  # fmt: skip
        self.players[video] = player(video, seconds, formats)
        return picture

    def hls(self, video: str, folder: Path, *, seconds: float = 12.0, apart: bool = False, busy: bool = True) -> bytes:
        """Put a video that comes in pieces under an id; return the bytes that its pieces of picture are together.

        ``apart``: its sound comes in pieces of its own. ``busy``: much to send.
        """
        lines = ["#EXTM3U"]
        codecs, sound = "avc1.4d401f,mp4a.40.2", ""
        if apart:
            at = self._pieces(video, 234, segments(folder / "sound", seconds, picture=False))
            lines.append(f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="234",NAME="en",DEFAULT=YES,AUTOSELECT=YES,URI="{at}"')
            sound = ',AUDIO="234"'
        pieces = segments(folder, seconds, sound=not apart, busy=busy)
        at = self._pieces(video, 96, pieces)
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360,CODECS="{codecs}"{sound}', at, ""]
        self.files[f"/hls/{video}/outer.m3u8"] = Blob("\n".join(lines).encode(), "application/vnd.apple.mpegurl")
        made = player(video, seconds, [])
        made["streamingData"]["hlsManifestUrl"] = f"{self.base}/hls/{video}/outer.m3u8"
        self.players[video] = made
        return b"".join(content for _, content in pieces)

    def _pieces(self, video: str, itag: int, pieces: list[tuple[float, bytes]]) -> str:
        """Put one stream's pieces and their playlist there; return the playlist's address."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-PLAYLIST-TYPE:VOD"]
        for number, (length, content) in enumerate(pieces):
            path = f"/hls/{video}/{itag}/{number}.ts"
            self.files[path] = Blob(content, "video/mp2t")
            lines += [f"#EXTINF:{length:.3f},", f"{self.base}{path}"]
        path = f"/hls/{video}/itag/{itag}/inner.m3u8"
        text = "\n".join([*lines, "#EXT-X-ENDLIST", ""])
        self.files[path] = Blob(text.encode(), "application/vnd.apple.mpegurl")
        return self.base + path

    def thumbnail(self, video: str, content: bytes) -> None:
        """Put a picture there that stands for a video which is there already."""
        self.files[f"/picture/{video}"] = Blob(content, "image/jpeg")
        shown = [{"url": f"{self.base}/picture/{video}", "width": 1280, "height": 720}]
        self.players[video]["videoDetails"]["thumbnail"] = {"thumbnails": shown}

    def refuse(self, video: str, status: str, reason: str, **more: Any) -> None:
        """Put a video under an id that cannot be played."""
        self.players[video] = {
            "playabilityStatus": {"status": status, "reason": reason, **more},
            "videoDetails": {"videoId": video, "title": f"Video {video}", "lengthSeconds": "5"},
        }


def player(video: str, seconds: float, formats: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a player response as the site gives it."""
    details = {
        "videoId": video, "title": f"Video {video}", "lengthSeconds": str(round(seconds)), "author": "A channel",
        "channelId": "UCqECaJ8Gagnn7YCbPEzWH6g", "isLiveContent": False, "shortDescription": "About nothing.", "viewCount": "7",
    }  # fmt: skip
    made = {
        "playabilityStatus": {"status": "OK"},
        "videoDetails": {**details, **more.pop("details", {})},
        "microformat": {"playerMicroformatRenderer": {"publishDate": "2026-01-31", "category": "Education"}},
        "streamingData": {"adaptiveFormats": formats},
    }
    return {**made, **more}


def plain(url: str, size: int) -> dict[str, Any]:
    """Return a format that is one file with picture and sound."""
    return {
        "itag": 18, "url": url, "contentLength": str(size), "width": 640, "height": 360, "quality": "medium", "fps": 4,
        "bitrate": 300_000, "mimeType": 'video/mp4; codecs="avc1.42001E, mp4a.40.2"', "qualityLabel": "360p",
    }  # fmt: skip


def captions(url: str, language: str = "en", *, automatic: bool = False) -> dict[str, Any]:
    """Return the part of a player response that offers one caption track."""
    track = {"baseUrl": url, "languageCode": language, "name": {"simpleText": language}, "vssId": f".{language}"}
    if automatic:
        track |= {"kind": "asr", "vssId": f"a.{language}"}
    return {"playerCaptionsTracklistRenderer": {"captionTracks": [track], "translationLanguages": []}}


_INTERPRETER = """#!{python}
import json, runpy, sys

BASE = {base!r}


def stub_player(self, url, smuggled, webpage_url, client, video):
    found = self._download_json(BASE + "/player/" + video, video, note=False)
    data = found.get("streamingData")
    if data is not None:
        data[v.STREAMING_DATA_CLIENT_NAME] = "visionos"
        data[v.STREAMING_DATA_FETCH_GVS_PO_TOKEN] = lambda *a, **k: None
        data[v.STREAMING_DATA_IS_PREMIUM_SUBSCRIBER] = False
        data[v.STREAMING_DATA_PLAYER_TOKEN_PROVIDED] = False
        data[v.STREAMING_DATA_AVAILABLE_AT_TIMESTAMP] = found.get("opens")
        data[v.STREAMING_DATA_FETCH_SUBS_PO_TOKEN] = lambda *a, **k: None
        data[v.STREAMING_DATA_INNERTUBE_CONTEXT] = {{"client": {{"clientName": "WEB", "clientVersion": "1"}}}}
    return "", {{}}, {{}}, False, [found], None


def stub_list(self, url, *_):
    from urllib.parse import parse_qs, urlparse
    parts = urlparse(url)
    name = (parse_qs(parts.query).get("list") or [parts.path.strip("/").replace("/", "_")])[0]
    found = self._download_json(BASE + "/list/" + name, name, note=False)
    return built(self, found, name)


def built(self, found, name):
    entries = [
        built(self, each, name + "/" + str(number)) if "entries" in each else
        {{**self.url_result("https://www.youtube.com/watch?v=" + each["id"], "Youtube", each["id"]), **each}}
        for number, each in enumerate(found["entries"])
    ]
    made = self.playlist_result(entries, name, found.get("title"))
    made |= {{"extractor": "youtube:tab", "extractor_key": "YoutubeTab", "webpage_url": "https://www.youtube.com/" + name}}
    return {{**made, **{{key: value for key, value in found.items() if key != "entries"}}}}


def here(self, url):  # the thumbnails that yt-dlp guesses are ours, too
    found = extract(self, url)
    for each in found.get("thumbnails") or ():
        each["url"] = each["url"].replace("https://i.ytimg.com", BASE + "/guessed")
    return found


import yt_dlp.extractor.youtube._video as v
import yt_dlp.extractor.youtube._tab as t
extract = v.YoutubeIE._real_extract
v.YoutubeIE._real_extract = here
v.YoutubeIE._initial_extract = stub_player
t.YoutubeTabIE._real_extract = stub_list
{more}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


#: What the Python above replaces or needs, by file of yt-dlp.
_PARTS = {
    "_video.py": (
        "def _initial_extract(",
        "def _real_extract(",
        *sorted(set(re.findall(r"v\.(STREAM\w+)", _INTERPRETER))),
    ),
    "_tab.py": ("class YoutubeTabIE(", "def _real_extract("),
}


@cache
def moved() -> str:
    """Return which part of the installed yt-dlp is not where it was, or "" while all are. Reads, does not import."""
    spec = importlib.util.find_spec("yt_dlp")
    (home,) = (spec.submodule_search_locations if spec is not None else None) or ["nowhere"]
    for name, parts in _PARTS.items():
        path = Path(home) / "extractor" / "youtube" / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for part in parts:
            if part not in text:
                return f"{path}: '{part}' is gone"
    return ""


def interpreter(folder: Path, server: MediaServer, more: str = "") -> Path:
    """Write a Python that takes YouTube's answers from the server, and return its path; skips the test where it cannot."""
    if moved():
        pytest.skip(f"yt-dlp has changed inside, so nothing of YouTube is tested: {moved()}")
    path = folder / "python-with-a-site"
    path.write_text(_INTERPRETER.format(python=sys.executable, base=server.base, more=more), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def scripted(folder: Path, body: str) -> Path:
    """Write a "Python" that plays a worker's part by a script of ours, and return its path."""
    path = folder / "python-that-plays"
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def entry(video: str, **words: Any) -> Mapping[str, Any]:
    """Return an entry of a flat list."""
    return {"id": video, "title": f"Video {video}", "duration": 5, **words}

"""The worker process in which yt-dlp runs, under any Python.

It is started by file path; that Python must have yt-dlp.
It imports the standard library and yt_dlp only. It reads one JSON request per line from stdin and writes one JSON event
per line to stdout; what libraries print goes to stderr. When stdin ends, the parent is gone, and the whole process group
ends with it, so that no ffmpeg outlives a killed run.

Requests: ``probe``, ``list``, ``tools``, and of what was probed, without a second extraction: ``download``,
``captions``, ``picture``. Events: ``hello``, ``beat``, ``progress``, ``stage``, ``entries``, and one that ends the
request: ``probed``, ``listed``, ``tools``, ``downloaded``, ``captioned``, ``pictured``, or ``failed`` with the whole
chain of exceptions.
"""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import io
import itertools
import json
import os
import queue
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

PROTOCOL = 1
_BEAT = 1.0  #: seconds between two heartbeats while a request is worked on
_PROGRESS = 0.25  #: seconds between two progress events
_PAGE = 200  #: list entries per event
#: What the parent may know of a video, of a format, of a list's entry.
_VIDEO = (
    "id", "title", "duration", "live_status", "availability", "release_timestamp", "timestamp", "upload_date", "channel",
    "channel_id", "uploader", "uploader_id", "webpage_url", "age_limit", "language", "categories", "extractor",
)  # fmt: skip

_FORMAT = (
    "format_id", "protocol", "ext", "filesize", "filesize_approx", "vcodec", "acodec", "width", "height", "available_at",
)  # fmt: skip

_ENTRY = (
    "id", "url", "title", "duration", "channel", "channel_id", "live_status", "availability", "timestamp",
    "release_timestamp", "view_count",
)  # fmt: skip
_LIST = ("id", "title", "channel", "channel_id", "uploader_id", "playlist_count")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_WAITS = {"http": 30, "fragment": 30, "extractor": 30, "file_access": 5}  #: longest wait between inner retries, seconds


class EventWriter:
    """Writes events to the parent, from the request and from the heartbeat."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._moved = time.monotonic()
        self.busy: int | None = None  #: number of the request that is worked on

    def send(self, event: str, **fields: Any) -> None:
        """Write one event; end the process if the parent is gone."""
        text = json.dumps({"event": event, **fields}, ensure_ascii=True, default=str)
        with self._lock:
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except OSError:
                end_group()

    def moved(self) -> None:
        """Note that yt-dlp made progress."""
        self._moved = time.monotonic()

    def beat(self) -> None:
        """Send a heartbeat every second, with how long yt-dlp was quiet."""
        while True:
            time.sleep(_BEAT)  # noqa: TID251 - this process has no injected clock
            busy = self.busy
            if busy is not None:
                self.send("beat", id=busy, quiet=round(time.monotonic() - self._moved, 1))


class YtDlpLogger:
    """Takes yt-dlp's messages as signs of life; keeps warnings for the failure report."""

    def __init__(self, events: EventWriter) -> None:
        self._events = events
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Note a sign of life."""
        self._events.moved()

    info = debug

    def warning(self, message: str) -> None:
        """Keep the last few."""
        self._events.moved()
        self.warnings = [*self.warnings[-9:], clean(message)]

    error = warning


class RequestHandler:
    """Handles one request at a time; remembers what was probed last."""

    def __init__(self, events: EventWriter, yt_dlp: Any) -> None:
        self._events = events
        self._yt = yt_dlp
        self._info: dict[str, Any] | None = None
        self._too_large = type("TooLarge", (yt_dlp.utils.DownloadCancelled,), {})

    def handle(self, request: Mapping[str, Any]) -> None:
        """Carry out one request; an event ends it in any case."""
        logger = YtDlpLogger(self._events)
        steps: dict[str, Callable[[Mapping[str, Any], YtDlpLogger], None]] = {
            "probe": self._probe, "download": self._download, "captions": self._captions, "picture": self._picture,
            "list": self._list, "tools": self._tools,
        }  # fmt: skip
        self._events.moved()
        self._events.busy = request["id"]
        try:
            steps[request["do"]](request, logger)
        except Exception as error:  # noqa: BLE001 - yt-dlp raises anything; the parent sorts it
            self._over("failed", request, logger, chain=chain(error))

    def _over(self, event: str, request: Mapping[str, Any], logger: YtDlpLogger, **fields: Any) -> None:
        """Send the event that ends a request, after its last beat."""
        self._events.busy = None
        self._events.send(event, id=request["id"], **fields, warnings=logger.warnings, rss=rss())

    def _probe(self, request: Mapping[str, Any], logger: YtDlpLogger) -> None:
        """Extract once; choose formats by the first plan that fits.

        Only ffmpeg carries out ``merge``.
        """
        self._info = None
        with self._ydl(request, logger) as ydl:
            found = ydl.extract_info(request["url"], download=False, process=False)
            plans = [plan for plan in request["plans"] if plan[0] != "merge" or ffmpeg(ydl)]
            chosen, plan, formats = self._choose(ydl, found, plans)
        self._info = chosen
        self._over("probed", request, logger, plan=plan, info=described(chosen, formats))

    def _choose(self, ydl: Any, found: Any, plans: list[list[str]]) -> tuple[dict[str, Any], str, list[Any]]:
        """Return the video, the first plan that fits, and the formats it takes."""
        errors = self._yt.utils.ExtractorError, self._yt.utils.DownloadError
        for place, (name, wanted) in enumerate(plans, 1):
            ydl.params["format"] = wanted
            taken: list[Any] = []
            ydl.format_selector = noted(ydl.build_format_selector(wanted), taken)
            try:
                info = ydl.process_ie_result(copy.deepcopy(found), download=False)
            except errors as error:
                if place == len(plans) or "requested format is not available" not in str(error).lower():
                    raise
                continue
            if place == len(plans) or not lacking(taken, info.get("formats") or ()):
                return info, name, taken
        raise RuntimeError("no plan was given")

    def _download(self, request: Mapping[str, Any], logger: YtDlpLogger) -> None:
        """Download what was probed into the folder that the parameters name."""
        params = {"progress_hooks": [self._progress(request)], "postprocessor_hooks": [self._stage(request["id"])]}
        with self._ydl(request, logger, **params) as ydl:
            info = ydl.process_ie_result(self._probed(), download=True)
        files = [fetched["filepath"] for fetched in info.get("requested_downloads") or () if fetched.get("filepath")]
        self._over("downloaded", request, logger, files=files)

    def _progress(self, request: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], None]:
        cap, sums, last = request.get("cap") or 0, dict[str, int](), 0.0

        def hook(state: Mapping[str, Any]) -> None:
            nonlocal last
            self._events.moved()
            sums[str(state.get("filename"))] = int(state.get("downloaded_bytes") or 0)
            done = sum(sums.values())
            if cap and done > cap:
                raise self._too_large(f"more than {cap} bytes")
            now = time.monotonic()
            if now - last >= _PROGRESS:
                last = now
                total = state.get("total_bytes") or state.get("total_bytes_estimate")
                self._events.send("progress", id=request["id"], bytes=done, total=total)

        return hook

    def _stage(self, number: int) -> Callable[[Mapping[str, Any]], None]:
        def hook(state: Mapping[str, Any]) -> None:
            self._events.moved()
            over = state.get("status") == "finished"
            self._events.send("stage", id=number, name=str(state.get("postprocessor")), over=over)

        return hook

    def _captions(self, request: Mapping[str, Any], logger: YtDlpLogger) -> None:
        """Download one caption track of what was probed, in its own call."""
        info = self._probed()
        for name in ("requested_subtitles", "requested_formats", "requested_downloads"):
            info.pop(name, None)
        with self._ydl(request, logger) as ydl:
            done = ydl.process_ie_result(info, download=True)
        tracks = (done or {}).get("requested_subtitles") or {}
        files = [track["filepath"] for track in tracks.values() if track.get("filepath")]
        self._over("captioned", request, logger, files=files)

    def _picture(self, request: Mapping[str, Any], logger: YtDlpLogger) -> None:
        """Download a probed thumbnail to ``path``, ``cap`` bytes at most; None is no failure."""
        address, size = self._probed().get("thumbnail"), 0
        if address:
            with self._ydl(request, logger) as ydl, ydl.urlopen(address) as answer:
                body = answer.read(request["cap"])
            with open(request["path"], "wb") as target:
                size = target.write(body)
        self._over("pictured", request, logger, size=size)

    def _probed(self) -> dict[str, Any]:
        """Return a copy of what was probed: yt-dlp writes into what it is given."""
        if self._info is None:
            raise RuntimeError("nothing was probed")
        return copy.deepcopy(self._info)

    def _list(self, request: Mapping[str, Any], logger: YtDlpLogger) -> None:
        """List without a request per video; a channel's tabs are opened."""
        with self._ydl(request, logger) as ydl:
            top = ydl.extract_info(request["url"], download=False) or {}
            entries, count = flattened(ydl, top, request["most"]), 0
            while page := list(itertools.islice(entries, _PAGE)):
                self._events.send("entries", id=request["id"], entries=page)
                count += len(page)
        self._over("listed", request, logger, about={name: top.get(name) for name in _LIST}, count=count)

    def _tools(self, request: Mapping[str, Any], logger: YtDlpLogger) -> None:
        """Report yt-dlp's JavaScript runtimes and ffmpeg; nothing depends on it."""
        found: dict[str, Any] = {"runtimes": None, "ffmpeg": None}
        with self._ydl(request, logger) as ydl:
            try:
                known = [(name, runtime.info if runtime else None) for name, runtime in ydl._js_runtimes.items()]
                found["runtimes"] = [[name, info.version, info.supported] for name, info in known if info is not None]
                found["ffmpeg"] = ffmpeg(ydl)
            except AttributeError:
                logger.warning("this yt-dlp does not say what it would use")
        self._over("tools", request, logger, **found)

    def _ydl(self, request: Mapping[str, Any], logger: YtDlpLogger, **more: Any) -> Any:
        """Return a new YoutubeDL: it writes into its parameters, so none is shared."""
        params = {**request["params"], **more, "logger": logger}
        text = request.get("cookies")
        if text is not None:
            params["cookiefile"] = io.StringIO(text)  # a path would be rewritten
        params["retry_sleep_functions"] = {
            name: lambda n=0, most=most, **_: min(most, 2.0 ** min(int(n), 10)) for name, most in _WAITS.items()
        }
        return self._yt.YoutubeDL(params)


def ffmpeg(ydl: Any) -> str:
    """Return the version of the ffmpeg that yt-dlp would use, or ""."""
    found = importlib.import_module("yt_dlp.postprocessor.ffmpeg").FFmpegPostProcessor(ydl)
    return str(found._version or "") if found.available else ""


def noted(selector: Callable[[Any], Any], taken: list[Any]) -> Callable[[Any], Any]:
    """Return a format selector that records what it selects."""

    def select(context: Any) -> list[Any]:
        taken[:] = selector(context)
        return list(taken)

    return select


def lacking(taken: list[Any], offered: Any) -> bool:
    """True if sound or picture is offered but not taken."""
    return any(
        all(each.get(codec) in (None, "none") for each in taken)
        and any(each.get(codec) not in (None, "none") for each in offered)
        for codec in ("acodec", "vcodec")
    )


def described(info: Mapping[str, Any], formats: list[Any]) -> dict[str, Any]:
    """Return a video for the parent, without addresses of media.

    They expire and are bound to this machine.
    """
    kept = {name: info.get(name) for name in _VIDEO}
    kept["description"] = (info.get("description") or "")[:5000]
    parts = [part for each in formats or [info] for part in (each.get("requested_formats") or [each])]
    kept["formats"] = [{name: part.get(name) for name in _FORMAT} for part in parts]
    kept["subtitles"] = sorted(info.get("subtitles") or {})
    kept["automatic"] = sorted(info.get("automatic_captions") or {})
    return kept


def flattened(ydl: Any, result: Mapping[str, Any], most: int, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield at most ``most`` entries of a list, nested lists included."""
    left = most
    for entry in result.get("entries") or ():
        if left <= 0:
            return
        if not entry:
            continue
        inner = entry
        if entry.get("entries") is None and entry.get("ie_key") in ("YoutubeTab", "YoutubePlaylist") and depth < 2:
            inner = ydl.extract_info(entry["url"], download=False) or {}
        if inner.get("entries") is not None:
            for below in flattened(ydl, inner, left, depth + 1):
                left -= 1
                yield below
        elif inner is entry:
            left -= 1
            yield {name: entry.get(name) for name in _ENTRY}


def chain(error: BaseException) -> list[dict[str, Any]]:
    """Return an exception and all its causes, outermost first."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(found) < 12:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        found.append(cause(each))
        info = getattr(each, "exc_info", None)
        waiting += [each.__cause__ or each.__context__, getattr(each, "cause", None), info[1] if info else None]
    return found


def cause(error: BaseException) -> dict[str, Any]:
    """Return one exception as data."""
    text = getattr(error, "orig_msg", None) or getattr(error, "msg", None) or str(error)
    return {
        "type": type(error).__name__,
        "kinds": [base.__name__ for base in type(error).__mro__[:-2]],
        "message": clean(str(text)),
        **{name: getattr(error, name, None) for name in ("expected", "status", "errno")},
        "countries": list(getattr(error, "countries", None) or ()),
    }


def clean(text: str) -> str:
    """Sanitize a message: no colours, no line ends, a readable length."""
    return " ".join(_ANSI.sub("", text).split()).removeprefix("ERROR: ")[:1500]


def rss() -> int:
    """Return this process's memory in bytes; ``ru_maxrss`` is a last resort.

    It includes the parent's.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def end_group() -> None:
    """Kill this process and the group that it leads."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def listen(requests: queue.Queue[str]) -> None:
    """Queue the parent's requests; end with the parent."""
    for text in sys.stdin:
        requests.put(text)
    end_group()


def hello(yt_dlp: Any) -> dict[str, Any]:
    """Return the versions that decide whether this works."""
    try:
        ejs = importlib.metadata.version("yt-dlp-ejs")
    except importlib.metadata.PackageNotFoundError:
        ejs = ""
    versions = {"yt_dlp": yt_dlp.version.__version__, "ejs": ejs, "python": sys.version.split()[0]}
    return {"protocol": PROTOCOL, "pid": os.getpid(), **versions}


def main() -> None:
    """Serve until stdin ends."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]  # neighbours are no modules
    stream = open(os.dup(1), "w", encoding="ascii", buffering=1)  # noqa: SIM115 - lives as long as the process
    os.dup2(2, 1)
    events = EventWriter(stream)
    try:
        yt_dlp = importlib.import_module("yt_dlp")
    except ImportError as error:
        events.send(
            "hello", protocol=PROTOCOL, pid=os.getpid(), yt_dlp="", problem=clean(str(error)), python=sys.version
        )
        return
    events.send("hello", **hello(yt_dlp))
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=listen, args=(requests,), daemon=True).start()
    threading.Thread(target=events.beat, daemon=True).start()
    handler = RequestHandler(events, yt_dlp)
    while True:
        handler.handle(json.loads(requests.get()))


if __name__ == "__main__":
    main()

"""YouTube as a source: look, fetch, check, and one plain reason when it does not work.

::

    room on disk ──▶ pace ──▶ probe ──▶ gate ──▶ download ──▶ mux ──▶ check ──▶ captions, picture
                                (one extraction)     ▲                  │
                                                     └── emptied, once ─┘

Nothing here believes "no exception": what arrived is opened, measured and hashed before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio import from_thread, to_thread

from pipeline.config.youtube import YouTubeSection
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import InputError, NotYet, Permanent, ReelmillError, Transient
from pipeline.core.model import Json, Trouble
from pipeline.core.youtube_address import VIDEO_PREFIX
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.files import FileSource
from pipeline.source.thumbnails import LARGEST, find_thumbnail, store_beside
from pipeline.source.youtube import options
from pipeline.source.youtube.cookies import Cookies, read_cookies
from pipeline.source.youtube.failures import (
    STALLED,
    Action,
    DownloadFailure,
    FailureVerdict,
    build_trouble,
    classify,
    find_rule,
    parse_failure,
)
from pipeline.source.youtube.formats import PLANS, StreamFormat, sort_order
from pipeline.source.youtube.muxing import is_transport_stream, mux
from pipeline.source.youtube.probe import LATER, Probe, caption_track, length_problem, parse_probe, require_fetchable
from pipeline.source.youtube.storage.folder import CAPTIONS, DownloadFolder, FinishedDownload
from pipeline.source.youtube.storage.quota import DiskQuota
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.worker.pool import WorkerGone, WorkerPool, WorkerProcess

_log = log.get("youtube")

_IN_A_ROW = 3  #: failures that blame the machine, before the source is paused

_DAMAGED = (60.0, 600.0)  #: seconds before a video that came damaged twice is fetched again

_SLACK = 100  #: bytes by which a size may differ from what was announced


class RequestFailed(Exception):
    """The worker ended a request with ``failed``. Travels inside this package only."""

    def __init__(self, failure: DownloadFailure) -> None:
        super().__init__(failure.raw)
        self.failure = failure


class DamagedDownload(Exception):
    """What arrived is not what was promised."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class YouTubeClient:
    """Asks the site through a worker, politely, and turns every failure into one of our errors."""

    def __init__(self, rules: YouTubeSection, workers: WorkerPool, throttle: SiteThrottle) -> None:
        self.rules = rules
        self.workers = workers
        self.throttle = throttle
        self.options = options.checked(rules.options)
        self._streak = 0  # of failures in a row that blame this machine

    async def ask(
        self, worker: WorkerProcess, do: str, fields: Mapping[str, Json], *, wait: float = 0.0, seen: Any = None
    ) -> dict[str, Any]:
        """Send one request; return its last event. Raises Failed or WorkerGone."""
        event = await worker.ask(do, fields, quiet=options.quiet_limit(self.options, wait), seen=seen)
        if event["event"] == "failed":
            raise RequestFailed(parse_failure(event, download=do == "download"))
        return event

    async def cookies(self) -> str | None:
        """Return the cookies' text, read anew for every job.

        Raises:
            Throttled: the file cannot be used; the source is paused.
        """
        if self.rules.cookies is None:
            return None
        found: Cookies | Trouble = await to_thread.run_sync(read_cookies, self.rules.cookies)
        if isinstance(found, Trouble):
            raise await self.throttle.record_refusal(found, find_rule("cookies_bad").pause, address=False)
        return found.text

    async def record_success(self) -> None:
        """Note that a whole request went well: this machine and the site get on."""
        self._streak = 0
        await self.throttle.record_success()

    async def handle_failure(self, failure: DownloadFailure) -> ReelmillError:
        """Return what to raise for a failure, after the pace has learned from it."""
        verdict = classify(replace(failure, causes=tuple(self._scrubbed(failure))))
        rule = verdict.rule
        _log.warning("youtube.failed", code=rule.code, raw=verdict.trouble.detail)
        if rule.action is Action.PAUSE:
            return await self.throttle.record_refusal(
                verdict.trouble, rule.pause, slower=rule.slower, address=rule.address
            )
        self._streak = self._streak + 1 if rule.environment else 0
        if self._streak > _IN_A_ROW:
            message = f"{self._streak} videos in a row: {rule.message[0].lower()}{rule.message[1:]}"
            trouble = Trouble(f"youtube_{rule.code}", message, verdict.trouble.remedy, verdict.trouble.detail)
            return await self.throttle.record_refusal(trouble, rule.pause, address=False)
        if rule.action is Action.FAIL and not rule.environment:
            await self.throttle.record_success()  # a real answer about this video: the way is free
        return to_error(verdict)

    async def handle_lost_worker(self, gone: WorkerGone) -> ReelmillError:
        """Return what to raise when the worker died: this Python lacks yt-dlp, or the connection stood still."""
        if gone.missing:
            trouble = Trouble(
                "ytdlp_missing",
                "yt-dlp cannot be run.",
                "install reelmill again, or point [youtube] python at a Python that has yt-dlp",
                self.scrub(str(gone)),
            )
            return await self.throttle.record_refusal(trouble, 600.0, address=False)
        return to_error(FailureVerdict(STALLED, build_trouble(STALLED, self.scrub(str(gone)))))

    def scrub(self, text: str) -> str:
        """Return foreign words without the proxy, which may hold a password."""
        proxy = self.rules.proxy.get_secret_value() if self.rules.proxy is not None else ""
        user = urlsplit(proxy).netloc.rpartition("@")[0]  # yt-dlp says it with a scheme of its own
        for secret in (proxy, user, user.partition(":")[2]):
            text = text.replace(secret, "***") if len(secret) >= 4 else text
        return text

    def _scrubbed(self, failure: DownloadFailure) -> list[Any]:
        return [replace(cause, message=self.scrub(cause.message)) for cause in failure.causes]


def to_error(verdict: FailureVerdict) -> ReelmillError:
    """Return the error that carries out a verdict about one video."""
    trouble, rule = verdict.trouble, verdict.rule
    code, remedy, detail = trouble.code, trouble.remedy, trouble.detail
    if rule.action is Action.LATER:
        first, *then = LATER[rule.code]
        return NotYet(trouble.message, after=first, then=tuple(then), code=code, remedy=remedy, detail=detail)
    if rule.action is Action.FAIL:
        return Permanent(trouble.message, code=code, remedy=remedy, detail=detail)
    waits = rule.waits or None
    return Transient(trouble.message, untouched=True, waits=waits, code=code, remedy=remedy, detail=detail)


@dataclass(frozen=True, slots=True)
class _Job:
    """One fetch: what is asked, where it goes, how."""

    video: str
    worker: WorkerProcess
    folder: DownloadFolder
    cookies: str | None
    sort: list[str]
    bounds: Mapping[str, Json]


class YouTubeSource:
    """``ports.Source`` for items of kind ``youtube``. One instance serves all tasks of a run."""

    kind = "youtube"

    def __init__(self, client: YouTubeClient, room: DiskQuota, ceilings: Ceilings, clock: Clock) -> None:
        self._client = client
        self._room = room
        self._ceilings = ceilings
        self._clock = clock
        self._files = FileSource(clock)
        self._rules = client.rules

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        """Return the facts of a checked media file below ``workdir``, captions beside it.

        Raises:
            Throttled: it is not time to ask, the site refused this machine, or the disk is taken.
            NotYet: a premiere, a running stream.
            Unwanted: the look has shown that it is outside of the item's bounds.
            Permanent, InputError: this video cannot be had.
            Transient: try again.
        """
        video = item.key.removeprefix(VIDEO_PREFIX)
        with DownloadFolder(workdir / "youtube", video) as folder:
            done = await to_thread.run_sync(folder.finished)
            if done is None:
                try:
                    done = await self._guarded(item, video, folder)
                finally:
                    self._room.free(folder.path.name)
            return await self._facts(done, folder)

    async def _guarded(self, item: Item, video: str, folder: DownloadFolder) -> FinishedDownload:
        await self._room.look(folder.path.name)
        cookies = await self._client.cookies()
        turn = await self._client.throttle.acquire()
        try:
            async with self._client.workers.worker() as worker:
                sort = sort_order(self._rules.lines)
                return await self._fetch(_Job(video, worker, folder, cookies, sort, item.bounds))
        except RequestFailed as failed:
            raise await self._client.handle_failure(failed.failure) from None
        except WorkerGone as gone:
            raise await self._client.handle_lost_worker(gone) from None
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.throttle.release(turn)

    # ------------------------------------------------------------------------------------------------------- steps

    async def _fetch(self, job: _Job) -> FinishedDownload:
        probe = await self._probe(job)
        require_fetchable(probe, job.video, self._ceilings, self._clock.now(), job.bounds)
        cap = await self._cap(job, probe)
        await to_thread.run_sync(job.folder.prepare, probe.formats)
        try:
            done = await self._once(job, probe, cap)
        except DamagedDownload as damaged:
            _log.warning("youtube.damaged", video=job.video, why=damaged.trouble.message)
            done = await self._anew(job, probe, cap)
        except RequestFailed as failed:
            if classify(failed.failure).rule.action is not Action.RESTART:
                raise
            done = await self._anew(job, probe, cap)
        await self._client.record_success()
        await to_thread.run_sync(job.folder.tidy, done.path)
        await self._captions(job, probe, done.path)
        await self._picture(job, done.path)
        await to_thread.run_sync(job.folder.finish, done)  # last: what is recorded is not looked for again
        return done

    async def _probe(self, job: _Job) -> Probe:
        request = {
            "url": f"https://www.youtube.com/watch?v={job.video}",
            "plans": [list(plan) for plan in PLANS],
            "params": options.probing(self._rules, job.sort),
            "cookies": job.cookies,
        }
        probe = parse_probe(await self._client.ask(job.worker, "probe", request))
        await self._client.throttle.record_success()
        if probe.plan == "single":
            _log.warning("youtube.single_file", video=job.video, why="no ffmpeg, and no separate streams were offered")
        return probe

    async def _cap(self, job: _Job, probe: Probe) -> int:
        """Return how many bytes the download may have: the platform's limit, or what the disk has left."""
        platform = max(self._ceilings.direct_bytes, self._ceilings.multipart_bytes)
        # While streams are put together, or pieces made into an MP4, they and the result are there.
        parts = 1 if len(probe.formats) == 1 and probe.formats[0].whole else 2
        left = await self._room.take(job.folder.path.name, probe.bytes * parts)
        return min(platform, left // parts) if left else platform

    async def _anew(self, job: _Job, probe: Probe, cap: int) -> FinishedDownload:
        """Throw away what is there and fetch once more, from the same extraction."""
        await to_thread.run_sync(job.folder.empty)
        await to_thread.run_sync(job.folder.prepare, probe.formats)
        try:
            return await self._once(job, probe, cap)
        except DamagedDownload as damaged:
            await to_thread.run_sync(job.folder.empty)
            trouble = damaged.trouble
            raise Transient(trouble.message, waits=_DAMAGED, code=trouble.code, remedy=trouble.remedy) from None

    async def _once(self, job: _Job, probe: Probe, cap: int) -> FinishedDownload:
        expressions: Mapping[str, str] = dict(PLANS)
        params = options.downloading(self._rules, job.sort, job.folder.path, expressions[probe.plan], cap)
        request = {"params": params, "cookies": job.cookies, "cap": cap}
        wait = max(0.0, probe.opens - self._clock.now())
        event = await self._client.ask(job.worker, "download", request, wait=wait)
        paths = [Path(name) for name in event.get("files") or ()]
        await to_thread.run_sync(_there, paths, probe.formats, job.folder.path)
        finished = len(paths) == 1 and not await to_thread.run_sync(is_transport_stream, paths[0])
        return await self._checked(job, probe, paths[0] if finished else await self._muxed(job, paths))

    async def _muxed(self, job: _Job, paths: Sequence[Path]) -> Path:
        target = job.folder.path / f"{job.video}.merged.mp4"
        await to_thread.run_sync(partial(mux, paths, target, from_thread.check_cancelled))
        return target

    async def _checked(self, job: _Job, probe: Probe, path: Path) -> FinishedDownload:
        """Open, measure and hash it; only then does it count."""
        try:
            facts = await self._files.fetch(_file(path), path.parent)
        except InputError as error:
            message = "What arrived is no video that can be read."
            detail = error.trouble.detail or error.trouble.message
            raise DamagedDownload(
                Trouble("damaged_download", message, "it is fetched anew by itself", detail)
            ) from None
        trouble = length_problem(probe, facts)
        if trouble is not None:
            raise DamagedDownload(trouble)
        about = {**probe.about, "plan": probe.plan, "formats": [each.id for each in probe.formats]}
        about["yt_dlp"] = job.worker.hello.yt_dlp
        return FinishedDownload(path, facts.size, facts.sha256, about)

    async def _captions(self, job: _Job, probe: Probe, media: Path) -> None:
        """Fetch one caption track beside the video; whatever goes wrong is a note, never a reason to fail."""
        track = caption_track(probe, self._rules.caption_languages) if self._rules.captions else None
        if track is None:
            return
        language, automatic = track
        params = options.captioning(self._rules, job.folder.path, language, automatic=automatic)
        try:
            event = await self._client.ask(job.worker, "captions", {"params": params, "cookies": job.cookies})
            for name in event.get("files") or ():
                await to_thread.run_sync(_beside, Path(name), media, language)
        except (RequestFailed, WorkerGone, OSError) as error:
            why = self._client.scrub(str(error))[:300]
            _log.warning("youtube.no_captions", video=job.video, language=language, why=why)

    async def _picture(self, job: _Job, media: Path) -> None:
        """Fetch the picture that stands for the video beside it; whatever goes wrong is a note, too."""
        if not self._rules.thumbnail:
            return
        raw = job.folder.path / "picture"
        request = {"params": options.base(self._rules), "cookies": job.cookies, "path": str(raw), "cap": LARGEST + 1}
        try:
            await self._client.ask(job.worker, "picture", request)
            await to_thread.run_sync(store_beside, raw, media)
        except (RequestFailed, WorkerGone, OSError, ValueError) as error:
            await to_thread.run_sync(partial(raw.unlink, missing_ok=True))
            _log.warning("youtube.no_thumbnail", video=job.video, why=self._client.scrub(str(error))[:300])

    async def _facts(self, done: FinishedDownload, folder: DownloadFolder) -> MediaFacts:
        facts = await self._files.fetch(_file(done.path), done.path.parent)
        if facts.sha256 != done.sha256:
            await to_thread.run_sync(folder.empty)  # the next attempt fetches it anew
            raise Transient("The fetched file has changed on disk.", code="damaged_download", after=1.0)
        thumbnail = await to_thread.run_sync(find_thumbnail, done.path)
        return replace(facts, about=done.about, fetched=True, thumbnail=thumbnail)


def _file(path: Path) -> Item:
    return Item(f"file:{path}", "file", str(path), ManifestLine(str(path)))


def _there(paths: Sequence[Path], formats: Sequence[StreamFormat], folder: Path) -> None:
    """Raise Damaged unless every file is where it was said to be, not empty, and as large as was announced."""
    if not paths:
        raise DamagedDownload(
            Trouble("damaged_download", "The download ended without a file.", "it is fetched anew by itself")
        )
    for path in paths:
        size = path.stat().st_size if path.is_file() and path.parent == folder else 0
        announced = _announced(path, paths, formats)
        if not size or (announced is not None and abs(size - announced) > _SLACK):
            message = f"A file of {size:,} bytes arrived, {announced or 'some'} were announced."
            raise DamagedDownload(Trouble("damaged_download", message, "it is fetched anew by itself"))


def _announced(path: Path, paths: Sequence[Path], formats: Sequence[StreamFormat]) -> int | None:
    """Return the exact size that a file must have, where one file is one format over plain http(s)."""
    if len(paths) != len(formats):
        return None  # merged: no longer the size of either
    mine = [each for each in formats if path.name.endswith(f".{each.id}.{each.ext}")]
    return mine[0].size if len(mine) == 1 and mine[0].whole else None


def _beside(track: Path, media: Path, language: str) -> None:
    """Give a caption file the name under which captions are found beside a video."""
    if track.name.startswith(CAPTIONS) and track.is_file() and track.stat().st_size:
        track.replace(media.with_name(f"{media.stem}.{language}{track.suffix}"))

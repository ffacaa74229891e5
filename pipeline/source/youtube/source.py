"""YouTube as a source: probe, download, verify.

::

    disk quota ──▶ throttle ──▶ probe ──▶ fetchable? ──▶ download ──▶ mux ──▶ verify ──▶ captions, thumbnail
                                  (one extraction)           ▲                   │
                                                             └── emptied, once ──┘

The absence of an exception proves nothing: what arrived is opened, measured and hashed before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from anyio import from_thread, to_thread

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import InputError, Transient
from pipeline.core.model import Json, Trouble
from pipeline.core.youtube_address import VIDEO_PREFIX
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.files import FileSource
from pipeline.source.thumbnails import LARGEST, find_thumbnail, store_beside
from pipeline.source.youtube import options
from pipeline.source.youtube.client import RequestFailed, YouTubeClient
from pipeline.source.youtube.failures import Action, classify
from pipeline.source.youtube.formats import PLANS, StreamFormat, sort_order
from pipeline.source.youtube.muxing import is_transport_stream, mux
from pipeline.source.youtube.probe import Probe, caption_track, length_problem, parse_probe, require_fetchable
from pipeline.source.youtube.storage.folder import CAPTIONS, DownloadFolder, FinishedDownload
from pipeline.source.youtube.storage.quota import DiskQuota
from pipeline.source.youtube.worker.pool import WorkerGone, WorkerProcess

_log = log.get("youtube")
_DAMAGED = (60.0, 600.0)  #: seconds before a video that came damaged twice is fetched again
_SLACK = 100  #: bytes by which a size may differ from what was announced


class DamagedDownload(Exception):
    """What arrived is not what was promised."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


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

    def __init__(self, client: YouTubeClient, quota: DiskQuota, ceilings: Ceilings, clock: Clock) -> None:
        self._client = client
        self._quota = quota
        self._ceilings = ceilings
        self._clock = clock
        self._files = FileSource(clock, complete=True)
        self._rules = client.rules

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        """Download the video unless it is there, with captions beside it; return its facts.

        Raises:
            Throttled: it is not time to ask, the site refused this machine, or the disk quota is used up.
            NotYet: a premiere, a running stream.
            Unwanted: it is outside of the item's bounds.
            Permanent, InputError: this video cannot be had.
            Transient: try again.
        """
        video = item.key.removeprefix(VIDEO_PREFIX)
        with DownloadFolder(workdir / "youtube", video) as folder:
            done = await to_thread.run_sync(folder.finished)
            if done is None:
                try:
                    done = await self._fetch_new(item, video, folder)
                finally:
                    self._quota.release(folder.path.name)
            return await self._facts(done, folder)

    async def _fetch_new(self, item: Item, video: str, folder: DownloadFolder) -> FinishedDownload:
        await self._quota.require_space(folder.path.name)
        cookies = await self._client.cookies()
        async with self._client.worker() as worker:
            sort = sort_order(self._rules.lines)
            return await self._fetch(_Job(video, worker, folder, cookies, sort, item.bounds))

    # ------------------------------------------------------------------------------------------------------- steps

    async def _fetch(self, job: _Job) -> FinishedDownload:
        probe = await self._probe(job)
        require_fetchable(probe, job.video, self._ceilings, self._clock.now(), job.bounds)
        cap = await self._byte_limit(job, probe)
        await to_thread.run_sync(job.folder.prepare, probe.formats)
        try:
            done = await self._download(job, probe, cap)
        except DamagedDownload as damaged:
            _log.warning("youtube.damaged", video=job.video, why=damaged.trouble.message)
            done = await self._refetch(job, probe, cap)
        except RequestFailed as failed:
            if classify(failed.failure).rule.action is not Action.RESTART:
                raise
            done = await self._refetch(job, probe, cap)
        await self._client.record_success()
        await to_thread.run_sync(job.folder.tidy, done.path)
        await self._captions(job, probe, done.path)
        await self._thumbnail(job, done.path)
        await to_thread.run_sync(job.folder.finish, done)  # last: a recorded download is not fetched again
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

    async def _byte_limit(self, job: _Job, probe: Probe) -> int:
        """Return the download's most bytes, by platform limit and disk quota."""
        platform = max(self._ceilings.direct_bytes, self._ceilings.multipart_bytes)
        # Streams that are muxed, or pieces that become an MP4, exist twice for a while.
        parts = 1 if len(probe.formats) == 1 and probe.formats[0].whole else 2
        left = await self._quota.reserve(job.folder.path.name, probe.bytes * parts)
        return min(platform, left // parts) if left else platform

    async def _refetch(self, job: _Job, probe: Probe, cap: int) -> FinishedDownload:
        """Empty the folder and download once more, from the same extraction."""
        await to_thread.run_sync(job.folder.empty)
        await to_thread.run_sync(job.folder.prepare, probe.formats)
        try:
            return await self._download(job, probe, cap)
        except DamagedDownload as damaged:
            await to_thread.run_sync(job.folder.empty)
            trouble = damaged.trouble
            raise Transient(trouble.message, waits=_DAMAGED, code=trouble.code, remedy=trouble.remedy) from None

    async def _download(self, job: _Job, probe: Probe, cap: int) -> FinishedDownload:
        expressions: Mapping[str, str] = dict(PLANS)
        params = options.downloading(self._rules, job.sort, job.folder.path, expressions[probe.plan], cap)
        request = {"params": params, "cookies": job.cookies, "cap": cap}
        wait = max(0.0, probe.opens - self._clock.now())
        event = await self._client.ask(job.worker, "download", request, wait=wait)
        paths = [Path(name) for name in event.get("files") or ()]
        await to_thread.run_sync(_require_complete, paths, probe.formats, job.folder.path)
        finished = len(paths) == 1 and not await to_thread.run_sync(is_transport_stream, paths[0])
        return await self._verify(job, probe, paths[0] if finished else await self._mux(job, paths))

    async def _mux(self, job: _Job, paths: Sequence[Path]) -> Path:
        target = job.folder.path / f"{job.video}.merged.mp4"
        await to_thread.run_sync(partial(mux, paths, target, from_thread.check_cancelled))
        return target

    async def _verify(self, job: _Job, probe: Probe, path: Path) -> FinishedDownload:
        """Open, measure and hash what arrived; only then does it count."""
        try:
            facts = await self._files.fetch(_file_item(path), path.parent)
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
        """Fetch one caption track; a failure is only logged."""
        track = caption_track(probe, self._rules.caption_languages) if self._rules.captions else None
        if track is None:
            return
        language, automatic = track
        params = options.captioning(self._rules, job.folder.path, language, automatic=automatic)
        try:
            event = await self._client.ask(job.worker, "captions", {"params": params, "cookies": job.cookies})
            for name in event.get("files") or ():
                await to_thread.run_sync(_store_captions, Path(name), media, language)
        except (RequestFailed, WorkerGone, OSError) as error:
            why = self._client.sanitize(str(error))[:300]
            _log.warning("youtube.no_captions", video=job.video, language=language, why=why)

    async def _thumbnail(self, job: _Job, media: Path) -> None:
        """Fetch the thumbnail; a failure is only logged."""
        if not self._rules.thumbnail:
            return
        raw = job.folder.path / "picture"
        request = {"params": options.base(self._rules), "cookies": job.cookies, "path": str(raw), "cap": LARGEST + 1}
        try:
            await self._client.ask(job.worker, "picture", request)
            await to_thread.run_sync(store_beside, raw, media)
        except (RequestFailed, WorkerGone, OSError, ValueError) as error:
            await to_thread.run_sync(partial(raw.unlink, missing_ok=True))
            _log.warning("youtube.no_thumbnail", video=job.video, why=self._client.sanitize(str(error))[:300])

    async def _facts(self, done: FinishedDownload, folder: DownloadFolder) -> MediaFacts:
        facts = await self._files.fetch(_file_item(done.path), done.path.parent)
        if facts.sha256 != done.sha256:
            await to_thread.run_sync(folder.empty)  # the next attempt downloads it again
            raise Transient("The fetched file has changed on disk.", code="damaged_download", after=1.0)
        thumbnail = await to_thread.run_sync(find_thumbnail, done.path)
        return replace(facts, about=done.about, fetched=True, thumbnail=thumbnail)


def _file_item(path: Path) -> Item:
    return Item(f"file:{path}", "file", str(path), ManifestLine(str(path)))


def _require_complete(paths: Sequence[Path], formats: Sequence[StreamFormat], folder: Path) -> None:
    """Raise DamagedDownload unless every file is there, as large as announced."""
    if not paths:
        raise DamagedDownload(
            Trouble("damaged_download", "The download ended without a file.", "it is fetched anew by itself")
        )
    for path in paths:
        size = path.stat().st_size if path.is_file() and path.parent == folder else 0
        announced = _announced_size(path, paths, formats)
        if not size or (announced is not None and abs(size - announced) > _SLACK):
            message = f"A file of {size:,} bytes arrived, {announced or 'some'} were announced."
            raise DamagedDownload(Trouble("damaged_download", message, "it is fetched anew by itself"))


def _announced_size(path: Path, paths: Sequence[Path], formats: Sequence[StreamFormat]) -> int | None:
    """Return the exact size of a plain file in one format, or None."""
    if len(paths) != len(formats):
        return None  # merged: no longer the size of either
    mine = [each for each in formats if path.name.endswith(f".{each.id}.{each.ext}")]
    return mine[0].size if len(mine) == 1 and mine[0].whole else None


def _store_captions(track: Path, media: Path, language: str) -> None:
    """Name a caption file so that it is found beside its video."""
    if track.name.startswith(CAPTIONS) and track.is_file() and track.stat().st_size:
        track.replace(media.with_name(f"{media.stem}.{language}{track.suffix}"))

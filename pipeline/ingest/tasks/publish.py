"""Task type ``publish``: writes one video's results to its folder, for free.

Whatever changes a video's results restarts this task, and a run restarts it for folders that lost a file: deleted
results come back without a paid call.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import PurePosixPath
from urllib.parse import unquote

from pipeline.core.clock import iso
from pipeline.core.errors import Permanent, Transient
from pipeline.core.lifecycle import Policy
from pipeline.core.model import About, Json, Lane, NewTask, Result, Spend, Task, Trouble
from pipeline.core.outcome import Done, Fail, Outcome, Park
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.core.text import json_text
from pipeline.core.youtube_address import file_name, without_query
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.payloads import AnalysisData, ItemData, PublishData, VideoData
from pipeline.ingest.services import Services
from pipeline.ingest.stored_json import changed
from pipeline.ingest.transcripts.lines import TRANSCRIPT, to_files
from pipeline.ingest.windows.merge import answers_of, merged_results, rendered
from pipeline.kit.job import Video
from pipeline.ports.sink import FolderTaken, OutFile, Sink

_FORMAT = 1  #: of video.json


def publish_task(subject: str) -> NewTask:
    """Return the task that writes a video's results, once more if it ended."""
    return NewTask("publish", subject, "write", {}, subject=subject, restart_at="write", restart_failed=True)


class PublishTaskType:
    """The one step that writes."""

    def __init__(self, services: Services, planner: JobPlanner, sink: Sink) -> None:
        self._records = services.records
        self._provider = services.api.identity
        self._longest = services.api.ceilings.window_seconds
        self._planner = planner
        self._sink = sink
        self._clock = services.clock

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        return TaskType.of("publish", self, self.STAGES, policy, base=30)

    async def write(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Render the present results and write the folder, or close the output."""
        data = PublishData.of(task)
        known = await self._records.about(task.key)
        items = [entry for entry in known.tasks if entry.kind == "item"]
        lines = {item.key: ItemData.of(item) for item in items}
        video = VideoData.of(next(entry for entry in known.tasks if entry.kind == "video"))
        requests = self._planner.requests(items)
        name = choose_title(list(lines.values()), ())
        made, faults = merged_results(requests, known.results, Video(task.key, video.length, name), self._longest)
        results = [*known.results, *made]
        current = current_results(requests, results)
        kept = results_before(requests, results)
        written = [*current, *kept, *earlier_results(self._planner, known, requests)]
        answers = {answer for _, result in written for answer in answers_of(result)}
        raw = [result for result in results if result.job == "_answer" and result.fingerprint in answers]
        title = choose_title(list(lines.values()), written)
        files, by_request, unrendered = _rendered(Video(task.key, video.length, title), name, written)
        files += [OutFile(f"raw/{answer.fingerprint}.json", _compact(answer.body) + "\n") for answer in raw]
        files += _beside(results, {file.name for file in files})
        card = self._card(task.key, video, lines, title, written, files)
        for name, entry in card["results"].items():
            entry["files"] = [*by_request[name], *entry.get("answers", [entry["answer"]])]
        card["asked"] = sorted(request.name for request in requests)
        card["cost"] = spend_card(known.spends)
        files.append(OutFile("video.json", json_text(card)))
        try:
            folder, sizes = await self._put(task.key, data.folder, folder_titles(list(lines.values())), files)
        except Transient as error:  # the disk's trouble, not this video's
            return Park("output", 0.0, error.trouble)
        now, new = self._clock.now(), [result for request, result in written if _is_new(request, result, data)]
        data = changed(
            data,
            first=data.first if data.present else now,
            answered=now if new else data.answered,
            at=now,
            folder=folder,
            sizes=dict(sizes),
            title=title,
            present={request.name: result.fingerprint for request, result in written},
            sources=card["sources"],
            seconds=video.seconds,
            files=by_request,
            earlier=[request.name for request, _ in written[len(current) + len(kept) :]],
            missing=sorted({request.name for request in requests} - {request.name for request, _ in current}),
        )
        if faults := [*faults, *unrendered]:  # the other jobs' files are there
            return Fail(faults[0], stage=task.stage, data=data.to_json())
        return Done(data=data.to_json(), results=made)

    async def _put(
        self, subject: str, known: str, titles: Sequence[str], files: Sequence[OutFile]
    ) -> tuple[str, Mapping[str, int]]:
        """Write a video's folder; return its name, and name → bytes.

        One of its own where another video has it.
        """
        folder = known or await self._sink.folder(subject, titles)
        try:
            return folder, await self._sink.write(folder, files)
        except FolderTaken:
            folder = await self._sink.folder(subject, titles, apart=True)
            return folder, await self._sink.write(folder, files)

    def _card(
        self,
        key: str,
        video: VideoData,
        lines: Mapping[str, ItemData],
        title: str,
        written: Sequence[tuple[JobRequest, Result]],
        files: Sequence[OutFile],
    ) -> dict[str, Json]:
        """Return ``video.json``: where everything came from and what it is."""
        media = video.media()
        return {
            "format": _FORMAT,
            "key": key,
            "title": title,
            "sources": [_source(line) for _, line in sorted(lines.items())],
            "media": {**media, "url": without_query(media["url"])} if "url" in media else media,
            "provider": {
                "name": video.provider or self._provider,
                "asset_id": video.media_id,
                "upload_name": video.name,
            },
            "results": {request.name: _provenance(request, result) for request, result in written},
            "files": sorted({*(file.name for file in files), "video.json"}),
            "sha256": {file.name: file.sha256 for file in files},
        }

    STAGES = (StageSpec("write", Lane.WRITE, write),)


def _is_new(request: JobRequest, result: Result, before: PublishData) -> bool:
    """Return True for an answer that came since a video's results were last written."""
    return before.present.get(request.name) != result.fingerprint and result.created >= before.at


def earlier_results(
    planner: JobPlanner, known: About, requests: Sequence[JobRequest]
) -> list[tuple[JobRequest, Result]]:
    """Return the latest paid answer of each request that nobody asks for now."""
    asked, results = (
        {request.name for request in requests},
        {(each.job, each.fingerprint): each for each in known.results},
    )
    latest: dict[str, tuple[JobRequest, Result]] = {}
    for task in known.tasks:
        for data in AnalysisData.of(task).requests if task.kind == "analysis" else ():
            result, request = results.get(data.question), planner.restore(data)
            if data.name in asked or result is None or request is None:
                continue
            if data.name not in latest or latest[data.name][1].created < result.created:
                latest[data.name] = request, result
    return list(latest.values())


def current_results(requests: Sequence[JobRequest], results: Sequence[Result]) -> list[tuple[JobRequest, Result]]:
    """Return the requests whose answer fits their present fingerprint, with it."""
    by_fingerprint = {(result.job, result.fingerprint): result for result in results}
    found = [(request, by_fingerprint.get(request.identity)) for request in requests]
    return [(request, result) for request, result in found if result is not None]


def results_before(requests: Sequence[JobRequest], results: Sequence[Result]) -> list[tuple[JobRequest, Result]]:
    """Return the latest answers to what is asked again, until new ones are there."""
    there = {(result.job, result.fingerprint): result for result in results}
    found = []
    for request in requests:
        if request.identity not in there:
            before = next((there[request.name, each] for each in request.before if (request.name, each) in there), None)
            found += [(request, before)] if before is not None else []
    return found


def choose_title(items: Sequence[ItemData], current: Sequence[tuple[JobRequest, Result]]) -> str:
    """Return a video's title: the user's, else file's or site's, answer's, source's."""
    given = _given_titles(items)
    if given:
        return given[0]
    for _, result in current:
        title = result.body.get("title") if isinstance(result.body, dict) else None
        if isinstance(title, str) and title.strip():
            return title.strip()
    return file_name(items[0].locator) if items else "video"


def folder_titles(items: Sequence[ItemData]) -> list[str]:
    """Return what a folder may be named after, best first; no answer."""
    return [*_given_titles(items), *(unquote(PurePosixPath(file_name(item.locator)).stem) for item in items)]


def _given_titles(items: Sequence[ItemData]) -> list[str]:
    """Return the titles that people gave: the manifest's, then file's and site's."""
    return [title for title in (*(item.line.title for item in items), *(item.title for item in items)) if title]


def spend_card(spends: Sequence[Spend]) -> dict[str, Json]:
    """Return a video's ledger entries as sums."""
    return {
        "usd": round(sum(spend.usd for spend in spends), 6),
        "estimate_usd": round(sum(spend.estimate for spend in spends), 6),
        "minutes": round(sum(spend.minutes for spend in spends), 3),
        "calls": sum(spend.calls for spend in spends),
        "possibly_paid_twice": sum(spend.doubtful for spend in spends),
    }


def _rendered(
    video: Video, name: str, written: Sequence[tuple[JobRequest, Result]]
) -> tuple[list[OutFile], Mapping[str, Sequence[str]], list[Trouble]]:
    """Return all files, the names of each request's, and the jobs' own faults."""
    files: dict[str, OutFile] = {}
    faults: list[Trouble] = []
    by_request: dict[str, list[str]] = {request.name: [] for request, _ in written}
    for request, result in written:
        try:
            with request.run_code("render", name):
                made = list(rendered(request, result, video))
        except Permanent as error:
            faults.append(error.trouble)
            continue
        for file in made:
            path = file.name if file.name not in files else f"{request.name}-{file.name}"
            files[path] = OutFile(path, file.content)
            by_request[request.name].append(path)
    return list(files.values()), by_request, faults


def _beside(results: Sequence[Result], taken: Set[str]) -> list[OutFile]:
    """Return the newest captions and thumbnail that came with the video, and its transcript."""
    bodies = {result.job: result.body for result in results}
    captions, picture = bodies.get("_captions"), bodies.get("_thumbnail")
    files = [OutFile(captions["name"], captions["text"])] if captions else []
    if heard := bodies.get(TRANSCRIPT):
        files += [
            each if each.name not in taken else OutFile(f"heard-{each.name}", each.content) for each in to_files(heard)
        ]
    return [*files, OutFile(picture["name"], base64.b64decode(picture["base64"]))] if picture else files


def _source(item: ItemData) -> dict[str, Json]:
    line = item.line
    words = {"id": line.id, "title": line.title, "tags": list(line.tags), "metadata": dict(line.metadata)}
    kept = {name: value for name, value in words.items() if value}
    if item.type == "youtube":  # the query of its address is the video's own name, no secret
        about = {"about": item.about} if item.about else {}
        return {"source": item.locator, "locator": item.locator, **kept, **about}
    captions = (item.about or {}).get("captions")  # with the encoding, and whether it was guessed
    used = {"captions": captions} if captions else {}
    return {"source": without_query(item.source), "locator": without_query(item.locator), **kept, **used}


def _provenance(request: JobRequest, result: Result) -> dict[str, Json]:
    meta = result.meta
    return {
        "job": request.job.name,
        "version": meta.get("version"),
        "fingerprint": result.fingerprint,
        "provider": meta.get("provider"),
        "model": meta.get("model"),
        "task_id": meta.get("task_id"),
        "answer": f"raw/{meta.get('answer')}.json",
        **({"answers": [f"raw/{each}.json" for each in meta["answers"]]} if "answers" in meta else {}),
        "usage": meta.get("usage"),
        **{name: meta[name] for name in ("window", "parts") if meta.get(name)},
        "asked": iso(meta.get("asked") or 0.0),
        "answered": iso(result.created),
        "notes": meta.get("notes") or [],
    }


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

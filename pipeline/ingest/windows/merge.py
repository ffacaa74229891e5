"""One result of several parts of a long video. Pure, and free.

How they go together is the job's to say. Of a job that does not, each part's answer stays by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.config.time_windows import TimeWindow
from pipeline.core.errors import Permanent
from pipeline.core.model import Json, Result, Trouble
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.windows.parts import question_parts
from pipeline.kit.job import MergedJob, Video
from pipeline.kit.merging import Part
from pipeline.ports.sink import OutFile


def merged_results(
    requests: Sequence[JobRequest], results: Sequence[Result], video: Video, longest: float
) -> tuple[list[Result], list[Trouble]]:
    """Return the new results of questions whose parts are all there, and jobs' faults."""
    there = {(result.job, result.fingerprint): result for result in results}
    made, faults = [], []
    for request in requests:
        parts = list(question_parts(request, video.seconds, longest)) if request.identity not in there else []
        found = [there[part.identity] for part in parts if part.whole and part.identity in there]
        if found and len(found) == len(parts):
            try:
                made.append(_merged(request, found, video))
            except Permanent as error:
                faults.append(error.trouble)
    return made, faults


def _merged(request: JobRequest, results: Sequence[Result], video: Video) -> Result:
    parts = [Part(result.meta["window"][0], result.meta["window"][1], result.body) for result in results]
    merges = isinstance(request.job, MergedJob)
    if isinstance(request.job, MergedJob):
        with request.run_code("merge", video.title):
            body = request.job.merge(parts, video, request.params)
    else:
        body = {"parts": [{"start_time": each.start, "end_time": each.end, "value": each.value} for each in parts]}
    first, notes = results[0].meta, [(part.name, note) for part, result in zip(parts, results, strict=True)
                                     for note in result.meta.get("notes") or ()]  # fmt: skip
    meta: dict[str, Json] = {
        **{name: first.get(name) for name in ("provider", "model", "media_id", "job", "version", "answer")},
        "answers": list(dict.fromkeys(result.meta["answer"] for result in results)),
        "task_ids": [result.meta.get("task_id") for result in results],
        "usage": _summed([result.meta.get("usage") for result in results]),
        "asked": min(result.meta.get("asked") or 0.0 for result in results),
        "notes": [f"{name}: {note}" for name, note in notes],
        "parts": [[part.start, part.end] for part in parts],
        **({} if merges else {"apart": True}),
        **({"window": [parts[0].start, parts[-1].end]} if request.window is not None else {}),
    }
    created = max(result.created for result in results)
    return Result(results[0].subject, request.name, request.fingerprint, body, meta, created)


def _summed(usages: Sequence[Json]) -> dict[str, Json]:
    """Return the numbers of several answers' usage, added up."""
    found: dict[str, Json] = {}
    for usage in usages:
        for name, value in usage.items() if isinstance(usage, Mapping) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = found.get(name, 0) + value
    return found


def answers_of(result: Result) -> Sequence[str]:
    """Return the fingerprints of the answers that a result was read from."""
    return result.meta.get("answers") or [result.meta["answer"]]


def window_of(result: Result) -> TimeWindow | None:
    """Return the part that a result is about; None: all of the video."""
    window = result.meta.get("window")
    return TimeWindow(float(window[0]), float(window[1])) if isinstance(window, list | tuple) else None


def rendered(request: JobRequest, result: Result, video: Video) -> Iterator[OutFile]:
    """Yield a result's files: of a job that cannot merge, those of each part."""
    if not result.meta.get("apart"):
        window = window_of(result) or TimeWindow(0.0, 0.0)
        about = replace(video, start=window.start, end=window.end or 0.0)
        yield from request.job.render(result.body, about, request.params)
        return
    parts = result.body["parts"]
    for number, part in enumerate(parts, 1):
        about = replace(video, start=part["start_time"], end=part["end_time"])
        for file in request.job.render(part["value"], about, request.params):
            yield OutFile(f"part-{number}-of-{len(parts)}-{file.name}", file.content)

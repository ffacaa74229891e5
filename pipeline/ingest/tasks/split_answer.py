"""What an analysis makes of its answer: each job's share, checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.core.model import NewTask, Result
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.request_builder import analysis_key, parse_answer, read_legacy_answer
from pipeline.ingest.windows.clock import on_player_clock, outside_window, time_names
from pipeline.kit.answers import Verdict
from pipeline.kit.job import Video

_KEPT = ("provider", "model", "usage", "task_id", "media_id", "asked")


def check_answer(
    subject: str, data: AnalysisData, requests: Sequence[JobRequest], text: str
) -> list[tuple[JobRequest, Verdict]]:
    """Return each request with what its job says of its share."""
    answer, note = parse_answer(text), ""
    if not isinstance(answer, str) and data.legacy:
        answer = read_legacy_answer(requests, answer)
    other = data.windowed or data.clock_start  # than what a platform counts by in any case
    names = time_names([dict(request.ask.schema) for request in requests]) if other else frozenset[str]()
    if other and not isinstance(answer, str):
        answer, note = on_player_clock(answer, data, names)
    video = Video(subject, data.seconds, start=data.start, end=data.end)
    verdicts = []
    for request in requests:
        part = (
            {name: answer[name] for name in request.ask.schema if name in answer} if isinstance(answer, Mapping) else {}
        )
        problem = answer if isinstance(answer, str) else outside_window(part, data, names)
        with request.run_code("check", "this video"):
            verdict = Verdict(None, problem) if problem else request.job.check(part, video, request.params)
        verdicts.append((request, replace(verdict, notes=(note, *verdict.notes)) if note else verdict))
    return verdicts


def build_result(
    subject: str, data: AnalysisData, request: JobRequest, verdict: Verdict, raw: Result, now: float
) -> Result:
    """Return an accepted share as it is stored."""
    meta = {name: raw.meta[name] for name in _KEPT} | {
        "answer": raw.fingerprint,
        "notes": [*filter(None, [raw.meta.get("warning")]), *verdict.notes],
        "job": request.job.name,
        "version": request.job.version,
        **({"window": [data.start, data.end or data.seconds]} if data.windowed else {}),
        **({"whole": request.whole} if request.whole else {}),
    }
    return Result(subject, request.name, request.fingerprint, verdict.value, meta, now)


def ask_alone(
    subject: str, data: AnalysisData, requests: Sequence[JobRequest], salt: str, correction: str = ""
) -> NewTask:
    """Return an analysis for some of the requests, stricter with a correction."""
    analysis = AnalysisData(
        requests=[request.to_data() for request in requests],
        media_id=data.media_id,
        seconds=data.seconds,
        temperature=min(data.temperature, 0.1) if correction else data.temperature,
        model=data.model,
        correction=correction[:300],
        adopted=data.adopted,
        yields=data.yields,
        start=data.start,
        end=data.end,
        clock_start=data.clock_start,
    )
    key = analysis_key(subject, requests, salt)
    # One that ended without an answer (its asset was lost, or nobody wanted it for a while) is to be asked now.
    return NewTask("analysis", key, "finish", analysis.to_json(), subject=subject, restart_at="finish")

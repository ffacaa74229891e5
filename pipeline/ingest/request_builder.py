"""Builds the platform's requests from job requests. Pure.

The platform bills input minutes per call, so the jobs of one video share one request, whose answer is split after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.config.time_windows import TimeWindow
from pipeline.core.errors import Permanent
from pipeline.core.model import About, Json, State, fingerprint
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.remote_names import build_custom_id
from pipeline.ingest.stored_json import changed
from pipeline.ingest.windows.parts import split_questions
from pipeline.ports.video_api import Question

_HEAD = "Use pictures, speech, sounds and on-screen text. State only what is seen or heard; invent nothing."
_PART = "Only the part {window} of the video counts; times still count from the beginning of the whole video."
_LEAST, _MOST = 2048, 98_304  #: output tokens that the platform takes; we start no lower than is sensible

#: A block of Markdown around the answer, with or without words before and after it.
_FENCED = re.compile(r"[^`]*```[A-Za-z]*\s*(\{.*\})\s*```[^`]*", re.DOTALL)
_ABSURD = 1_000_000  #: output tokens beyond which a platform's count is taken for a slip


def group_requests(requests: Sequence[JobRequest], *, fuse: bool) -> list[list[JobRequest]]:
    """Return the requests that share a call: all of them, where that works.

    Not where two use one property name or look at different parts of the video, or fusing is off.
    """
    groups: list[list[JobRequest]] = []
    for request in requests:
        names = set(request.ask.schema)
        near = [group for group in groups if fuse and group[0].window == request.window]
        fitting = next((g for g in near if not names & {n for other in g for n in other.ask.schema}), None)
        if fitting is None:
            groups.append([request])
        else:
            fitting.append(request)
    return groups


def expected_tokens(requests: Sequence[JobRequest]) -> int:
    """Return how many output tokens these requests are expected to need at most."""
    return sum(request.ask.tokens for request in requests)


def max_tokens(requests: Sequence[JobRequest], doublings: int) -> int:
    """Return ``max_tokens``: twice what is expected, doubled per cut answer."""
    return min(_MOST, max(_LEAST, 2 * expected_tokens(requests)) << min(doublings, 10))


def billed_tokens(usage: Mapping[str, Json]) -> int | None:
    """Return how many output tokens an answer says it had; None: nothing usable."""
    tokens = usage.get("output_tokens")
    usable = isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens <= _ABSURD
    return tokens if usable else None


def at_max_tokens(requests: Sequence[JobRequest], doublings: int) -> bool:
    """Return True when ``max_tokens`` cannot be raised any more."""
    return max_tokens(requests, doublings) >= _MOST


def build_prompt(requests: Sequence[JobRequest], correction: str = "", window: TimeWindow | None = None) -> str:
    """Return the call's words; the platform ignores descriptions in a schema."""
    lines = [_HEAD, *([_PART.format(window=window)] if window is not None else []), "Return:"]
    lines += [f"- {line}" for request in requests for line in request.ask.lines]
    if correction:
        lines.append(f"An earlier answer was refused for this reason: {correction} Avoid it.")
    return "\n".join(lines)


def build_schema(requests: Sequence[JobRequest]) -> dict[str, Json]:
    """Return the shared answer's JSON schema, every property required, in order."""
    properties = {name: form for request in requests for name, form in request.ask.schema.items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def analysis_key(subject: str, requests: Sequence[JobRequest], salt: str = "") -> str:
    """Return the identity of one call for one video by its requests."""
    return f"{subject}/{fingerprint(sorted(request.identity for request in requests), salt)}"


def build_question(key: str, data: AnalysisData, requests: Sequence[JobRequest]) -> Question:
    """Return the call that the analysis task of this key and payload stands for.

    Raises:
        Permanent: code ``not_in_this_api``, see :func:`build_legacy_call`.
    """
    window = TimeWindow(data.start, data.end or None) if data.windowed else None
    question = Question(
        key=build_custom_id(key, data.generation),
        media_id=data.media_id,
        prompt=build_prompt(requests, data.correction, window),
        schema=build_schema(requests),
        max_tokens=max_tokens(requests, data.doublings),
        temperature=data.temperature,
        model=data.model,
        since=data.since,
        useless=data.useless,
        minutes=data.looks_at / 60,
        legacy=build_legacy_call(requests) if data.legacy else None,
        start=None if window is None else max(0.0, window.start + data.clock_start),  # sound may begin before 0
        end=None if window is None or window.end is None else window.end + data.clock_start,
    )
    if not data.keyed_by_body:
        return question
    asked = [
        question.media_id,
        question.prompt,
        question.schema,
        question.max_tokens,
        question.temperature,
        question.model,
        *([question.start, question.end] if window is not None else []),
    ]
    return replace(question, idempotency_key=f"{question.key}-{fingerprint(*asked)}")


def build_legacy_call(requests: Sequence[JobRequest]) -> dict[str, Json]:
    """Return how a dialect without schemas is asked for one request.

    Raises:
        Permanent: code ``not_in_this_api``: the job has no such form, e.g. because its prompt is too long for it.
    """
    forms = requests[0].ask.legacy if len(requests) == 1 else ()
    if not forms:
        names = ", ".join(request.name for request in requests)
        raise Permanent(
            f"API v1.2 has no call for '{names}'.",
            code="not_in_this_api",
            remedy='shorten its prompt to 1,500 characters, or set [provider] api = "v1.3"',
        )
    return {"path": forms[0].path, "body": dict(forms[0].body)}


def read_legacy_answer(requests: Sequence[JobRequest], answer: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a v1.2 answer in the shape of the job's schema."""
    return requests[0].ask.legacy[0].read(answer)


def parse_answer(text: str) -> Mapping[str, Json] | str:
    """Return the answer's object, or one sentence why there is none."""
    fenced = _FENCED.fullmatch(text)
    try:
        answer = json.loads(text if fenced is None else fenced.group(1))
    except ValueError as error:
        return f"the answer is not valid JSON ({error})"[:200]
    except RecursionError:
        return "the answer is nested too deeply"
    return answer if isinstance(answer, dict) else "the answer is not a JSON object"


def renewed(data: AnalysisData) -> AnalysisData:
    """Return the payload of a new question; its key is not the old one's."""
    return changed(data, generation=data.generation + 1, doubtful=0, useless=(), sought=False)


def missing_requests(known: About, requests: Sequence[JobRequest], seconds: float, longest: float) -> list[JobRequest]:
    """Return what is wanted and neither there nor on its way.

    Of a long video, these are parts.
    """
    have = {(result.job, result.fingerprint) for result in known.results}
    # What was asked for and did not come is the operator's to retry.
    under_way = {
        request.identity
        for analysis in known.tasks
        if analysis.kind == "analysis" and analysis.state is not State.DONE
        for request in AnalysisData.of(analysis).requests
    }
    there = have | under_way
    wanted = split_questions([each for each in requests if each.identity not in there], seconds, longest)
    return [request for request in wanted if request.identity not in there]

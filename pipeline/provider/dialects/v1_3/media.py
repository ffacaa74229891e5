"""API v1.3 as of November 2026: assets, multipart sessions and analysis tasks. No I/O.

Analysis reads an asset directly; no index is involved. List filters and what they can and cannot say:
``GET /assets`` finds by name fragment and by ids, ``GET /analyze/tasks`` by asset and by one status word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json import dumps
from typing import Literal

from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json
from pipeline.ports.video_api import (
    AnalysisStatus,
    Answer,
    Ceilings,
    MediaStatus,
    NewUpload,
    Question,
    Transcription,
    UploadSession,
    Utterance,
)
from pipeline.provider.dialects import calls, errors
from pipeline.provider.dialects.calls import list_request, path_segment, user_metadata
from pipeline.provider.dialects.error_codes import MEANINGS
from pipeline.provider.dialects.json_reading import (
    JsonObject,
    build_page,
    clip,
    ignore_body,
    parse,
    read_id,
    read_object,
    read_page,
    read_usage,
)
from pipeline.provider.dialects.protocol import (
    Address,
    Call,
    ChunkState,
    Feature,
    FilePart,
    FileRange,
    FoundObject,
    Page,
    Proof,
    Request,
    Response,
    UnreadableAnswer,
    UnusableSession,
)
from pipeline.provider.dialects.recovery import pick_by_label, read_found
from pipeline.provider.dialects.sessions import session_fault

_TOKENS = (512, 98_304)  #: range of ``max_tokens`` for general analysis
_TASK_ID = ("task_id", "_id", "id")  #: where an analysis names its id
_DAY = 86_400.0
_HOUR = 3_600.0
_MEDIA: Mapping[str, Literal["working", "ready", "failed"]] = {
    "processing": "working",
    "ready": "ready",
    "failed": "failed",
}

_TASK: Mapping[str, Literal["working", "ready", "failed", "canceled"]] = {
    "queued": "working", "pending": "working", "processing": "working",
    "ready": "ready", "failed": "failed", "canceled": "canceled",
}  # fmt: skip


#: How far a transcription is.
_HEARD: Mapping[str, Literal["working", "ready", "failed"]] = {
    "pending": "working",
    "processing": "working",
    "ready": "ready",
    "failed": "failed",
}
_MOST_HEARD = 64 * 1024 * 1024  #: bytes of a transcription


class V13:
    """Uploads and analyses of v1.3, the current version. Stateless."""

    name = "v1.3"
    base = "https://api.twelvelabs.io/v1.3"
    version_path = "/v1.3"
    features: frozenset[Feature] = frozenset({"assets", "multipart", "url", "schema", "fuse", "transcripts"})
    ceilings = Ceilings()
    page_size = calls.PAGE
    unfinished_words: Sequence[str] = ("queued", "pending", "processing")
    known_words = frozenset({*_MEDIA, *_TASK})

    @property
    def multipart(self) -> V13:
        return self

    @property
    def analyses(self) -> V13:
        return self

    @property
    def media_list(self) -> V13:
        return self

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
        return errors.classify(response, request, MEANINGS, wait=wait)

    # ------------------------------------------------------------------------------------------------------- uploads

    def create_asset(self, upload: NewUpload) -> Call[str]:
        form = [
            ("method", "url" if upload.method == "url" else "direct"),
            ("filename", upload.name),
            ("enable_hls", "false"),  # both default to true since autumn 2026, and cost processing time
            ("enable_thumbnail", "false"),
            ("user_metadata", dumps(user_metadata(upload.metadata), ensure_ascii=False)),
        ]
        files: Sequence[FilePart] = ()
        if upload.method == "url":
            form.append(("url", upload.url))
        elif upload.path is None:
            raise ValueError("a direct upload needs a path")
        else:
            files = [FilePart(upload.path, upload.name, upload.mime, upload.size)]
        request = Request("POST", "/assets", "assets", form=form, files=files)
        return Call(request, read_id("_id", "id", "asset_id"))

    def find_assets(self, upload: NewUpload, page: int) -> Call[Page[FoundObject]]:
        return Call(list_request("/assets", page, ("filename", upload.name)), _found_assets(upload.name))

    def pick_asset(self, found: Sequence[FoundObject], upload: NewUpload, since: float) -> str | None:
        return pick_by_label(found, upload.name, since)

    def open_session(self, upload: NewUpload) -> Call[UploadSession]:
        body = {
            "filename": upload.name,
            "type": "audio" if upload.mime.startswith("audio/") else "video",
            "total_size": upload.size,
            "enable_hls": False,
            "enable_thumbnail": False,
            "user_metadata": user_metadata(upload.metadata),
        }
        return Call(Request("POST", "/assets/multipart-uploads", "assets", json=body), _session_reader(upload.size))

    def chunk_state(self, session: UploadSession, page: int) -> Call[ChunkState]:
        return Call(list_request(_session_path(session), page), read_object(_chunk_state))

    def addresses(self, session: UploadSession, start: int, count: int) -> Call[Sequence[Address]]:
        path, body = f"{_session_path(session)}/presigned-urls", {"start": start, "count": count}
        return Call(Request("POST", path, "assets", json=body, safe=True), _read_addresses)

    def put_chunk(self, session: UploadSession, address: Address, body: FileRange) -> Request:
        headers = {"content-type": "application/octet-stream", **{k.lower(): v for k, v in session.headers.items()}}
        return Request("PUT", "", "", headers=headers, range=body, safe=True, url=address.url)

    def report_chunks(self, session: UploadSession, proofs: Sequence[Proof]) -> Call[int]:
        chunks = [
            {"chunk_index": proof.index, "proof": proof.etag, "proof_type": "etag", "chunk_size": proof.size}
            for proof in proofs
        ]
        # The platform counts repeats and ignores them.
        request = Request("POST", _session_path(session), "assets", json={"completed_chunks": chunks}, safe=True)
        return Call(request, read_object(lambda body: body.integer("total_completed")))

    def media_by_ids(self, ids: Sequence[str]) -> Call[Mapping[str, MediaStatus]]:
        request = list_request("/assets", 1, *(("asset_ids", each) for each in ids))
        read = read_page(lambda body: (body.id("_id", "id"), _media(body)))
        return Call(request, lambda response: dict(read(response).entries))

    def media(self, media_id: str) -> Call[MediaStatus]:
        return calls.get(_asset_path(media_id), _media)

    def advice(self, status: MediaStatus) -> float:
        return 0.0  # assets name no time

    def delete_media(self, media_id: str) -> Call[None]:
        return calls.delete(_asset_path(media_id))

    # ------------------------------------------------------------------------------------------------------ analyses

    def submit_analysis(self, question: Question) -> Call[str | Answer]:
        body: dict[str, Json] = {
            "model_name": question.model,
            "video": {"type": "asset_id", "asset_id": question.media_id},
            "prompt": question.prompt,
            "temperature": question.temperature,
            "max_tokens": output_tokens(question),
            "custom_id": question.key,
        }
        body |= window_of(question)
        if question.schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": dict(question.schema)}
        # It helps where the platform honours it; nothing relies on it.
        headers = {"idempotency-key": question.idempotency_key or question.key}
        return Call(Request("POST", "/analyze/tasks", "analyze", headers=headers, json=body), read_id(*_TASK_ID))

    def find_analyses(self, question: Question | None, page: int) -> Call[Page[FoundObject]]:
        if question is None:
            return Call(list_request("/analyze/tasks", page), _found_tasks(None))
        # The platform cannot filter by custom_id.
        return Call(list_request("/analyze/tasks", page, ("asset_id", question.media_id)), _found_tasks(question.key))

    def unfinished_analyses(self, word: str, page: int) -> Call[Page[tuple[str, AnalysisStatus]]]:
        # Lists cut long texts, so a finished one must still be fetched by itself.
        read = read_page(lambda body: (body.id(*_TASK_ID), read_task(body, listed=True)))
        return Call(list_request("/analyze/tasks", page, ("status", word)), read)

    def analysis(self, task_id: str) -> Call[AnalysisStatus]:
        return calls.get(f"/analyze/tasks/{path_segment(task_id)}", read_task)

    def cancel_analysis(self, task_id: str) -> Call[None]:
        return Call(Request("POST", f"/analyze/tasks/{path_segment(task_id)}/cancel", safe=True), ignore_body)

    def transcription(self, media_id: str) -> Call[Transcription]:
        wanted = [("include", name) for name in ("sentences", "utterances", "words")]
        request = Request("GET", f"{_asset_path(media_id)}/transcription", params=wanted, safe=True, most=_MOST_HEARD)
        return Call(request, read_object(_transcription))

    # --------------------------------------------------------------------------------------------------------- check

    def check(self) -> Call[Mapping[str, Json]]:
        def read(response: Response) -> Mapping[str, Json]:
            facts: dict[str, Json] = {"api": self.name, "indexes": build_page(parse(response), lambda body: body).total}
            if "x-api-version" in response.headers:
                facts["platform_version"] = clip(response.headers["x-api-version"], 40)
            return facts

        return Call(list_request("/indexes", 1, limit=1), read)


def _transcription(body: JsonObject) -> Transcription:
    word = body.word("status")
    state = _HEARD.get(word, "working")
    message = clip(body.child("error").text("message"))
    if state != "ready":
        return Transcription(state, message)
    return Transcription(state, message, *(_spoken(body, name) for name in ("sentences", "utterances", "words")))


def _spoken(body: JsonObject, name: str) -> list[Utterance]:
    """Read what was said; an entry without words or time is left out."""
    listed = body.raw.get(name)
    entries = [JsonObject(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [
        Utterance(each.number("start"), each.number("end"), each.text("value"), _speaker(each))
        for each in entries
        if each.text("value") and "start" in each
    ]


def _speaker(entry: JsonObject) -> str:
    """Return a speaker's name, or number as text."""
    told = entry.raw.get("speaker")
    return str(told) if isinstance(told, int) and not isinstance(told, bool) else entry.text("speaker")


def _asset_path(asset_id: str) -> str:
    return f"/assets/{path_segment(asset_id)}"


def _session_path(session: UploadSession) -> str:
    return f"/assets/multipart-uploads/{path_segment(session.upload_id)}"


def _found_assets(name: str) -> Callable[[Response], Page[FoundObject]]:
    return read_found(("_id", "id"), lambda body: body.text("filename"), frozenset({"failed"}), name)


def _found_tasks(key: str | None) -> Callable[[Response], Page[FoundObject]]:
    return read_found(_TASK_ID, lambda body: body.text("custom_id"), frozenset({"failed", "canceled"}), key)


def _session_reader(size: int) -> Callable[[Response], UploadSession]:
    """Return a reader of a session fit for ``size`` bytes."""

    def read(response: Response) -> UploadSession:
        body = parse(response)
        try:
            session = _build_session(body, response)
        except UnreadableAnswer as error:
            raise UnusableSession(str(error)) from None
        if fault := session_fault(session, size):
            raise UnusableSession(f"the platform wants {fault}")
        return session

    return read


def _build_session(body: JsonObject, response: Response) -> UploadSession:
    """Build a session without its first addresses, which expire soon."""
    headers = body.child("upload_headers").raw
    if not all(isinstance(value, str) for value in headers.values()):
        raise UnreadableAnswer("upload_headers that are no texts")
    return UploadSession(
        upload_id=body.id("upload_id"),
        asset_id=body.id("asset_id"),
        chunk_size=body.integer("chunk_size", least=1),
        total_chunks=body.integer("total_chunks", least=1),
        expires_at=body.timestamp("expires_at") or response.at + _DAY,
        headers=dict(headers),
    )


def _chunk_state(body: JsonObject) -> ChunkState:
    word = body.text("status")[:64]
    listed = build_page(JsonObject({**body.raw, "data": body.raw.get("uploaded_chunks") or []}), _completed_chunk)
    done = frozenset(index for index in listed.entries if index is not None)
    if word == "completed":
        return ChunkState("completed", word, done, listed.last)
    return ChunkState("dead" if word in ("failed", "expired") else "active", word, done, listed.last)


def _completed_chunk(body: JsonObject) -> int | None:
    return body.integer("index", least=1) if body.text("status") == "completed" else None


def _read_addresses(response: Response) -> Sequence[Address]:
    """Read presigned addresses; one that names no expiry is good for the documented hour."""
    body = parse(response)
    listed = body.raw.get("upload_urls")
    if not isinstance(listed, list):
        raise UnreadableAnswer("no upload_urls in the answer")
    default = body.timestamp("expires_at") or response.at + _HOUR
    return [
        Address(each.integer("chunk_index", least=1), each.required("url"), each.timestamp("expires_at") or default)
        for each in (JsonObject(entry) for entry in listed if isinstance(entry, dict))
    ]


def _media(body: JsonObject) -> MediaStatus:
    word = body.word("status")
    technical = body.child("technical_metadata")
    values = {
        "duration": body.positive("duration") or technical.positive("video_duration_seconds"),
        "size": body.positive("size") or technical.positive("file_size_bytes"),
        "width": technical.positive("video_width"),
        "height": technical.positive("video_height"),
    }
    return MediaStatus(
        state=_MEDIA.get(word, "working"),
        word=word,
        message=clip(body.child("error").text("message")),
        facts={name: value for name, value in values.items() if value is not None},
    )


def output_tokens(question: Question) -> int:
    """Return the ``max_tokens`` of a question as the platform takes it."""
    return min(max(question.max_tokens, _TOKENS[0]), _TOKENS[1])


def window_of(question: Question) -> dict[str, Json]:
    """Return the fields that narrow a question to a part of its video."""
    sides = {"start_time": question.start, "end_time": question.end}
    return {name: round(side, 3) for name, side in sides.items() if side is not None}


def read_task(body: JsonObject, *, listed: bool = False, result: str = "result") -> AnalysisStatus:
    """Read how far an analysis is; ``result`` names the field with its answer."""
    word, error = body.word("status"), body.child("error")
    state, message = _TASK.get(word, "working"), clip(error.text("message"))
    answer = _answer(body, message, result) if state == "ready" and not listed else None
    usage = read_usage(body.child(result).raw.get("usage")) if state in ("failed", "canceled") else {}
    return AnalysisStatus(state, word, message, clip(error.text("code"), 64), answer=answer, usage=usage)


def _answer(body: JsonObject, warning: str, name: str) -> Answer:
    result = body.child(name)
    data = result.raw.get("data")
    if not isinstance(data, str):
        raise UnreadableAnswer("a finished analysis without a result")
    usage = read_usage(result.raw.get("usage"))
    # A missing reason with a warning beside it is the sign of a cut answer; without one it is a plain end.
    reason = result.text("finish_reason") or ("length" if warning else "stop")
    return Answer(data, reason, body.raw, usage, warning, clip(result.text("written_by"), 100))

"""API v1.3 as of November 2026: assets, multipart sessions and analysis tasks. No I/O.

Analysis reads an asset directly; no index is involved. List filters and what they can and cannot say:
``GET /assets`` finds by name fragment and by ids, ``GET /analyze/tasks`` by asset and by one status word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from typing import Any, Literal

from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json
from pipeline.ports.video_api import AnalysisStatus, Answer, Ceilings, MediaStatus, NewUpload, Question, UploadSession
from pipeline.provider.dialects import errors, json_reading
from pipeline.provider.dialects.error_codes import MEANINGS
from pipeline.provider.dialects.protocol import (
    Address,
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
)  # fmt: skip

_TOKENS = (512, 98_304)  #: range of ``max_tokens`` for general analysis

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


class V13:
    """The living dialect. Stateless."""

    name = "v1.3"
    base = "https://api.twelvelabs.io/v1.3"
    version_path = "/v1.3"
    features: frozenset[Feature] = frozenset({"assets", "multipart", "url", "schema", "fuse"})
    ceilings = Ceilings()
    page_size = 50
    waiting_words: Sequence[str] = ("queued", "pending", "processing")
    known_words = frozenset({*_MEDIA, *_TASK})

    @property
    def sessions(self) -> V13:
        """Multipart uploads."""
        return self

    @property
    def analyses(self) -> V13:
        """Analyses as tasks."""
        return self

    @property
    def media_list(self) -> V13:
        """Assets can be listed by their ids."""
        return self

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
        """Return the error for a response that is not 2xx."""
        return errors.classify(response, request, MEANINGS, wait=wait)

    # ------------------------------------------------------------------------------------------------------- uploads

    def create_asset(self, upload: NewUpload) -> Request:
        """Upload a file of at most 200 MB, or name an address of at most 4 GB."""
        form = [
            ("method", "url" if upload.method == "url" else "direct"),
            ("filename", upload.name),
            ("enable_hls", "false"),  # both default to true since autumn 2026, and cost processing time
            ("enable_thumbnail", "false"),
            ("user_metadata", dumps(json_reading.metadata(upload.metadata), ensure_ascii=False)),
        ]
        if upload.method == "url":
            return Request("POST", "/assets", "assets", form=[*form, ("url", upload.url)])
        if upload.path is None:
            raise ValueError("a direct upload needs a path")
        part = FilePart(upload.path, upload.name, upload.mime, upload.size)
        return Request("POST", "/assets", "assets", form=form, files=[part])

    def read_created(self, response: Response) -> str:
        """Return the asset id."""
        return json_reading.ident(json_reading.parse(response), "_id", "id", "asset_id")

    def find_assets(self, upload: NewUpload, page: int) -> Request:
        """List assets whose name contains ours."""
        params = [("filename", upload.name), *json_reading.paging(page, self.page_size)]
        return Request("GET", "/assets", params=params, safe=True)

    def read_assets(self, response: Response) -> Page[FoundObject]:
        """Return assets by name."""
        return json_reading.page_of(json_reading.parse(response), _found_asset)

    def pick_asset(self, found: Sequence[FoundObject], upload: NewUpload, since: float) -> str | None:
        """Return the asset that carries exactly our unique name and is not older than the intent."""
        return json_reading.choose(found, upload.name, since)

    def open_session(self, upload: NewUpload) -> Request:
        """Open a multipart upload of at most 10 GB; it lives a day."""
        body = {
            "filename": upload.name,
            "type": "audio" if upload.mime.startswith("audio/") else "video",
            "total_size": upload.size,
            "enable_hls": False,
            "enable_thumbnail": False,
            "user_metadata": json_reading.metadata(upload.metadata),
        }
        return Request("POST", "/assets/multipart-uploads", "assets", json=body)

    def read_session(self, response: Response) -> UploadSession:
        """Return the open session. Its first addresses are left: they expire within the hour, a crash may take longer."""
        body = json_reading.parse(response)
        headers = {str(name): str(value) for name, value in json_reading.sub(body, "upload_headers").items()}
        return UploadSession(
            upload_id=json_reading.ident(body, "upload_id"),
            asset_id=json_reading.ident(body, "asset_id"),
            chunk_size=json_reading.whole(body, "chunk_size", least=1),
            total_chunks=json_reading.whole(body, "total_chunks", least=1),
            expires_at=json_reading.epoch(body.get("expires_at")) or response.at + _DAY,
            headers=headers,
        )

    def chunk_state(self, session: UploadSession, page: int) -> Request:
        """Ask which chunks have arrived."""
        return Request("GET", _session(session), params=json_reading.paging(page, self.page_size), safe=True)

    def read_chunk_state(self, response: Response) -> ChunkState:
        """Return one page of the chunk list."""
        body = json_reading.parse(response)
        word = json_reading.said(body, "status")
        listed = json_reading.page_of({**body, "data": body.get("uploaded_chunks") or []}, _done_chunk)
        done = frozenset(index for index in listed.entries if index is not None)
        if word == "completed":
            return ChunkState("completed", word, done, listed.last)
        return ChunkState("dead" if word in ("failed", "expired") else "active", word, done, listed.last)

    def more_addresses(self, session: UploadSession, start: int, count: int) -> Request:
        """Ask for at most 50 presigned addresses; asking again gives new ones."""
        body = {"start": start, "count": count}
        return Request("POST", f"{_session(session)}/presigned-urls", "assets", json=body, safe=True)

    def read_addresses(self, response: Response) -> Sequence[Address]:
        """Return presigned addresses; one that names no expiry is good for the documented hour."""
        body = json_reading.parse(response)
        listed = body.get("upload_urls")
        if not isinstance(listed, list):
            raise UnreadableAnswer("no upload_urls in the answer")
        default = json_reading.epoch(body.get("expires_at")) or response.at + _HOUR
        return [
            Address(
                json_reading.whole(entry, "chunk_index", least=1),
                json_reading.ident(entry, "url"),
                json_reading.epoch(entry.get("expires_at")) or default,
            )
            for entry in listed
            if isinstance(entry, dict)
        ]

    def put_chunk(self, session: UploadSession, address: Address, body: FileRange) -> Request:
        """Send one chunk to the storage."""
        headers = {"content-type": "application/octet-stream", **{k.lower(): v for k, v in session.headers.items()}}
        return Request("PUT", "", "", headers=headers, range=body, safe=True, url=address.url)

    def report_chunks(self, session: UploadSession, proofs: Sequence[Proof]) -> Request:
        """Tell which chunks arrived. The platform counts repeats and ignores them."""
        chunks = [
            {"chunk_index": proof.index, "proof": proof.etag, "proof_type": "etag", "chunk_size": proof.size}
            for proof in proofs
        ]
        return Request("POST", _session(session), "assets", json={"completed_chunks": chunks}, safe=True)

    def read_report(self, response: Response) -> int:
        """Return how many chunks the platform counts as arrived."""
        return json_reading.whole(json_reading.parse(response), "total_completed")

    def media_many(self, ids: Sequence[str]) -> Request:
        """Ask about up to 50 assets at once."""
        params = [*(("asset_ids", each) for each in ids), *json_reading.paging(1, self.page_size)]
        return Request("GET", "/assets", params=params, safe=True)

    def read_media_many(self, response: Response) -> Mapping[str, MediaStatus]:
        """Return what the page says, by id."""
        return dict(
            json_reading.page_of(
                json_reading.parse(response), lambda b: (json_reading.ident(b, "_id", "id"), _media(b))
            ).entries
        )

    def media_one(self, media_id: str) -> Request:
        """Ask about one asset."""
        return Request("GET", f"/assets/{json_reading.segment(media_id)}", safe=True)

    def read_media_one(self, response: Response) -> MediaStatus:
        """Return how far it is."""
        return _media(json_reading.parse(response))

    def advice(self, status: MediaStatus) -> float:
        """Return 0: assets name no time."""
        return 0.0

    def delete_media(self, media_id: str) -> Request:
        """Delete an asset; refused as long as an index holds it."""
        return Request("DELETE", f"/assets/{json_reading.segment(media_id)}", safe=True)

    # ------------------------------------------------------------------------------------------------------ analyses

    def submit_analysis(self, question: Question) -> Request:
        """Create an analysis task. The idempotency key helps where the platform honours it; nothing relies on it."""
        body: dict[str, Json] = {
            "model_name": question.model,
            "video": {"type": "asset_id", "asset_id": question.media_id},
            "prompt": question.prompt,
            "temperature": question.temperature,
            "max_tokens": min(max(question.max_tokens, _TOKENS[0]), _TOKENS[1]),
            "custom_id": question.key,
        }
        if question.schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": dict(question.schema)}
        return Request("POST", "/analyze/tasks", "analyze", headers={"idempotency-key": question.key}, json=body)

    def read_submitted(self, response: Response) -> str | Answer:
        """Return the task's id."""
        return json_reading.ident(json_reading.parse(response), "task_id", "_id", "id")

    def find_analyses(self, question: Question, page: int) -> Request:
        """List the analyses of this asset: the platform cannot filter by custom_id."""
        params = [("asset_id", question.media_id), *json_reading.paging(page, self.page_size)]
        return Request("GET", "/analyze/tasks", params=params, safe=True)

    def read_analyses(self, response: Response) -> Page[FoundObject]:
        """Return analyses by custom_id."""
        return json_reading.page_of(json_reading.parse(response), _found_task)

    def analyses_waiting(self, word: str, page: int) -> Request:
        """List analyses by one status word."""
        return Request(
            "GET", "/analyze/tasks", params=[("status", word), *json_reading.paging(page, self.page_size)], safe=True
        )

    def read_analyses_waiting(self, response: Response) -> Page[tuple[str, AnalysisStatus]]:
        """Return (id, status) pairs. Lists cut long texts, so a finished one must still be fetched by itself."""
        return json_reading.page_of(
            json_reading.parse(response),
            lambda b: (json_reading.ident(b, "task_id", "_id", "id"), _task(b, listed=True)),
        )

    def analysis_one(self, task_id: str) -> Request:
        """Ask about one analysis task."""
        return Request("GET", f"/analyze/tasks/{json_reading.segment(task_id)}", safe=True)

    def read_analysis_one(self, response: Response) -> AnalysisStatus:
        """Return how far it is, with the answer once it is ready."""
        return _task(json_reading.parse(response))

    # --------------------------------------------------------------------------------------------------------- check

    def check(self) -> Request:
        """List one index: the cheapest call that needs the key."""
        return Request("GET", "/indexes", params=json_reading.paging(1, 1), safe=True)

    def read_check(self, response: Response) -> Mapping[str, Json]:
        """Return how many indexes there are, and the version the platform says it speaks."""
        listed = json_reading.page_of(json_reading.parse(response), lambda body: body)
        facts: dict[str, Json] = {"api": self.name, "indexes": listed.total}
        if "x-api-version" in response.headers:
            facts["platform_version"] = json_reading.clip(response.headers["x-api-version"], 40)
        return facts


def _session(session: UploadSession) -> str:
    return f"/assets/multipart-uploads/{json_reading.segment(session.upload_id)}"


def _found_asset(body: Mapping[str, Any]) -> FoundObject:
    failed = body.get("status") == "failed"
    return FoundObject(
        json_reading.ident(body, "_id", "id"),
        json_reading.said(body, "filename"),
        json_reading.epoch(body.get("created_at")),
        failed,
    )


def _found_task(body: Mapping[str, Any]) -> FoundObject:
    failed = body.get("status") in ("failed", "canceled")
    key = json_reading.ident(body, "task_id", "_id", "id")
    return FoundObject(key, json_reading.said(body, "custom_id"), json_reading.epoch(body.get("created_at")), failed)


def _done_chunk(body: Mapping[str, Any]) -> int | None:
    return json_reading.whole(body, "index", least=1) if body.get("status") == "completed" else None


def _media(body: Mapping[str, Any]) -> MediaStatus:
    word = json_reading.ident(body, "status")
    technical = json_reading.sub(body, "technical_metadata")
    values = {
        "duration": json_reading.measure(body, "duration") or json_reading.measure(technical, "video_duration_seconds"),
        "size": json_reading.measure(body, "size") or json_reading.measure(technical, "file_size_bytes"),
        "width": json_reading.measure(technical, "video_width"),
        "height": json_reading.measure(technical, "video_height"),
    }
    return MediaStatus(
        state=_MEDIA.get(word, "working"),
        word=word,
        message=json_reading.clip(json_reading.said(json_reading.sub(body, "error"), "message")),
        facts={name: value for name, value in values.items() if value is not None},
    )


def _task(body: Mapping[str, Any], *, listed: bool = False) -> AnalysisStatus:
    word = json_reading.ident(body, "status")
    state = _TASK.get(word, "working")
    error = json_reading.sub(body, "error")
    message = json_reading.clip(json_reading.said(error, "message"))
    answer = _answer(body, message) if state == "ready" and not listed else None
    code = json_reading.clip(json_reading.said(error, "code"), 64)
    return AnalysisStatus(state, word, message, code, answer=answer)


def _answer(body: Mapping[str, Any], warning: str) -> Answer:
    result = json_reading.sub(body, "result")
    if not isinstance(result.get("data"), str):
        raise UnreadableAnswer("a finished analysis without a result")
    usage = {name: value for name, value in json_reading.sub(result, "usage").items() if isinstance(value, int)}
    # A missing reason with a warning beside it is the sign of a cut answer; without one it is a plain end.
    reason = json_reading.said(result, "finish_reason") or ("length" if warning else "stop")
    return Answer(result["data"], reason, dict(body), usage, warning)

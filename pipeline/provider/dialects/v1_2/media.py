"""API v1.2 as it was until 2024: indexing tasks, and answers that come at once. No I/O. The vendor has ended it.

Upload and indexing are one step: ``POST /tasks`` for files and direct addresses, ``POST /tasks/external-provider`` for
YouTube. The upload's id is the task's; analysis wants the ``video_id`` that the task names once it is ready. What was
asked leaves nothing behind that could be asked for; an upload does: its task, by file name, or by time and title.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pipeline.core.errors import Ambiguous, NeedsOperator, NotYet, Permanent, ReelmillError
from pipeline.core.model import Json, Trouble
from pipeline.core.youtube_address import find_video_id
from pipeline.ports.video_api import Answer, Ceilings, MediaStatus, NewUpload, Question
from pipeline.provider.dialects import errors, json_reading
from pipeline.provider.dialects.error_codes import MEANINGS
from pipeline.provider.dialects.protocol import (
    Feature,
    FilePart,
    FoundObject,
    Page,
    Request,
    Response,
    TextPart,
    UnreadableAnswer,
)

_EXTERNAL = "/tasks/external-provider"

_ASKS = ("/gist", "/summarize", "/generate")

_WARM = ("/summarize", "/generate")  #: those that take a temperature

_TIMEOUT = 300.0  #: seconds: a generation is silent until it is finished

_LATEST = 120.0  #: seconds between two looks at most, however long the platform says it will take

_PART = 4.0  #: of what remains, a quarter is waited: an estimate that was too long costs no more than that

_EXACT = 5.0  #: seconds that a task without a title may be older than its intent: the clocks' own coarseness

_UNNAMED = 30.0  #: seconds until a task that has no title yet is looked at again

_GB2 = 2 * 1000**3

_TASK: Mapping[str, Literal["working", "ready", "failed"]] = {
    "validating": "working", "pending": "working", "queued": "working", "indexing": "working",
    "ready": "ready", "failed": "failed",
}  # fmt: skip

_ENDING = re.compile(r"\.(mp4|m4v|mov|mkv|webm|avi|flv|ts|3gp)$", re.I)

_PAGES = ("/search/", "/classify/")


class V12:
    """The notebook's dialect. Stateless."""

    name = "v1.2"
    base = "https://api.twelvelabs.io/v1.2"
    version_path = "/v1.2"
    features: frozenset[Feature] = frozenset({"url", "index_first", "external"})
    #: One request carries a whole file. 360p to 4K.
    ceilings = Ceilings(
        direct_bytes=_GB2, multipart_bytes=_GB2, url_bytes=_GB2, min_side=360, max_width=4096, max_height=2160
    )
    page_size = 50
    known_words = frozenset(_TASK)
    sessions = None
    analyses = None

    @property
    def media_list(self) -> V12:
        """Tasks can only be listed by age: there is no filter for ids or status."""
        return self

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
        """Return the error for a response that is not 2xx. An API that is gone is the operator's matter."""
        error = errors.classify(response, request, MEANINGS, wait=wait)
        if _retired(response, request):
            return NeedsOperator(
                "this API version is retired",
                code="api_retired",
                remedy='set provider.api = "v1.3" (if this platform still speaks v1.2, check [provider] base_url)',
                detail=error.trouble.detail,
            )
        if request.path == _EXTERNAL and isinstance(error, Permanent) and _about_address(error):
            return Permanent(
                "the platform refuses this YouTube address",
                code="external_refused",
                remedy="only public videos that may be embedded and are not locked to a region can be fetched",
                detail=error.trouble.detail,
            )
        return error

    # ------------------------------------------------------------------------------------------------------- uploads

    def create_asset(self, upload: NewUpload) -> Request:
        """Create an indexing task: from a file of at most 2 GB, a direct address, or a YouTube address."""
        if not upload.index_id:
            raise ValueError("an upload of v1.2 needs an index")
        if upload.method == "external":
            return Request("POST", _EXTERNAL, "index", json={"index_id": upload.index_id, "url": upload.url})
        form = [("index_id", upload.index_id), ("language", "en")]
        if upload.method == "url":
            return Request("POST", "/tasks", "index", form=[*form, ("video_url", upload.url)])
        if upload.path is None:
            raise ValueError("a direct upload needs a path")
        part = FilePart(upload.path, upload.name, upload.mime, upload.size, "video_file")
        captions = upload.metadata.get("captions")
        if not isinstance(captions, str):
            return Request("POST", "/tasks", "index", form=form, files=[part])
        text = TextPart("transcription_file", "captions.vtt", "text/vtt", captions)
        return Request("POST", "/tasks", "index", form=[*form, ("provide_transcription", "true")], files=[text, part])

    def read_created(self, response: Response) -> str:
        """Return the task's id."""
        return json_reading.ident(json_reading.parse(response), "_id", "id")

    def find_assets(self, upload: NewUpload, page: int) -> Request:
        """List the tasks that carry our name; or, where the platform names them, all of the index, newest first."""
        named = [("filename", upload.name)] if upload.method == "direct" else []
        return _tasks([("index_id", upload.index_id), *named], page, self.page_size)

    def read_assets(self, response: Response) -> Page[FoundObject]:
        """Return tasks by their file name."""
        return json_reading.page_of(json_reading.parse(response), _found)

    def pick_asset(self, found: Sequence[FoundObject], upload: NewUpload, since: float) -> str | None:
        """Return the task that this intent has left behind, or None.

        A file is known by its unique name. Anything else is known by index, time and title (a direct address: its last
        part); without a title, only one task may be left that is not another video's. Nothing was left behind only if
        no task is left that could be it.

        Raises:
            Ambiguous: several could be it.
            NotYet: one could be it that has no name yet.
        """
        if upload.method == "direct":
            return json_reading.choose(found, upload.name, since)
        titles = _titles(upload)
        floor = since - (json_reading.SKEW if titles else _EXACT)
        near = [
            task
            for task in found
            if not {task.id, task.label} & upload.taken
            and task.created is not None
            and task.created >= since - json_reading.SKEW
        ]
        free = [task for task in near if task.created is not None and task.created >= floor]
        if upload.method == "external" and not titles:
            alive = [task for task in free if not task.failed]
            early = [task for task in near if not task.failed]
            if early and not alive:  # somebody else's, or ours and our clock was corrected since
                raise _several(early)
            return _only(alive)
        fitting = [task for task in free if _plain(task.label) & titles]
        alive = [task for task in fitting if not task.failed]
        if fitting:
            return _only(alive or fitting[:1])
        if any(not task.label and not task.failed for task in free):
            raise NotYet("a task that could be this video has no title yet", after=_UNNAMED, code="not_named_yet")
        # The title may be the manifest's own, and who named a direct address is not known: another name proves nothing.
        unexplained = [task for task in free if not task.failed]
        if unexplained:
            raise _several(unexplained)
        return None

    def media_page(self, page: int) -> Request:
        """List tasks, newest first."""
        return _tasks([], page, self.page_size)

    def read_media_page(self, response: Response) -> Page[tuple[str, MediaStatus]]:
        """Return (id, status) pairs."""
        return json_reading.page_of(
            json_reading.parse(response), lambda body: (json_reading.ident(body, "_id", "id"), _media(body, response))
        )

    def media_one(self, media_id: str) -> Request:
        """Ask about one task."""
        return Request("GET", f"/tasks/{json_reading.segment(media_id)}", safe=True)

    def read_media_one(self, response: Response) -> MediaStatus:
        """Return how far it is; one that is ready names its video."""
        status = _media(json_reading.parse(response), response)
        if status.state == "ready" and "video_id" not in status.facts:
            raise UnreadableAnswer("a ready task without a video_id")
        return status

    def advice(self, status: MediaStatus) -> float:
        """Return a part of the time that the platform thinks it needs, seconds."""
        return status.look_again

    def delete_media(self, media_id: str) -> Request:
        """Delete a task that is ready or failed; the video of a ready one must be deleted first."""
        return Request("DELETE", f"/tasks/{json_reading.segment(media_id)}", safe=True)

    # ------------------------------------------------------------------------------------------------------ analyses

    def submit_analysis(self, question: Question) -> Request:
        """Ask as the job says. The answer comes at once, and a repeat is billed again."""
        legacy = question.legacy or {}
        path = legacy.get("path")
        if path not in _ASKS:
            raise errors.not_in_this_api("this question", self.name, 'set [provider] api = "v1.3"')
        body: dict[str, Json] = {"video_id": question.media_id, **(legacy.get("body") or {})}
        if path in _WARM:
            body.setdefault("temperature", question.temperature)
        if path == "/generate":
            body["stream"] = False
        return Request("POST", path, "analyze", json=body, timeout=_TIMEOUT)

    def read_submitted(self, response: Response) -> str | Answer:
        """Return the answer, as one JSON object, whether it came whole or as a stream of events."""
        body = _events(response)
        ended = json_reading.said(body, "finish_reason") or "stop"
        usage = {name: value for name, value in json_reading.sub(body, "usage").items() if isinstance(value, int)}
        return Answer(json.dumps(body, ensure_ascii=False), ended, body, usage)

    # --------------------------------------------------------------------------------------------------------- check

    def check(self) -> Request:
        """List one index: the cheapest call that needs the key."""
        return Request("GET", "/indexes", params=json_reading.paging(1, 1), safe=True)

    def read_check(self, response: Response) -> Mapping[str, Json]:
        """Return how many indexes there are."""
        return {
            "api": self.name,
            "indexes": json_reading.page_of(json_reading.parse(response), lambda body: body).total,
        }


def _events(response: Response) -> dict[str, Any]:
    """Return an answer that came as one JSON object or as a stream of events, one per line, in the form of the former.

    Raises:
        Unreadable: neither, or a stream that broke off or tells of an error.
    """
    lines = [line for line in response.body.splitlines() if line.strip()]
    if len(lines) != 1 or b'"event_type"' not in lines[0]:
        try:
            return json_reading.parse(response)
        except UnreadableAnswer:
            if len(lines) < 2:
                raise
    parts: list[str] = []
    for line in lines:
        event = json_reading.parse(Response(response.status, {}, line))
        kind = json_reading.said(event, "event_type")
        if kind == "text_generation":
            parts.append(json_reading.said(event, "text"))
        elif kind == "stream_end":
            ended = {"finish_reason": json_reading.said(event, "finish_reason"), **json_reading.sub(event, "metadata")}
            kept = {name: ended[name] for name in ("finish_reason", "usage") if ended.get(name)}
            return {"id": json_reading.said(ended, "generation_id"), "data": "".join(parts), **kept}
        elif kind != "stream_start":
            raise UnreadableAnswer(f"a stream with {json_reading.clip(line.decode('utf-8', 'replace'), 120)}")
    raise UnreadableAnswer("a stream of events that broke off")


def _tasks(filters: Sequence[tuple[str, str]], page: int, size: int) -> Request:
    params = [*filters, ("sort_by", "created_at"), ("sort_option", "desc"), *json_reading.paging(page, size)]
    return Request("GET", "/tasks", params=params, safe=True)


def _found(body: Mapping[str, Any]) -> FoundObject:
    name = json_reading.said(json_reading.sub(body, "metadata"), "filename")
    return FoundObject(
        json_reading.ident(body, "_id", "id"),
        name,
        json_reading.epoch(body.get("created_at")),
        body.get("status") == "failed",
    )


def _media(body: Mapping[str, Any], response: Response) -> MediaStatus:
    word = json_reading.ident(body, "status")
    state = _TASK.get(word, "working")
    metadata = json_reading.sub(body, "metadata")
    remains = _remains(body, response) if state == "working" else 0.0
    facts: dict[str, Json] = {name: json_reading.measure(metadata, name) for name in ("duration", "width", "height")}
    facts |= {
        "filename": json_reading.said(metadata, "filename") or None,
        "video_id": json_reading.said(body, "video_id") or None,
    }
    facts["remain_seconds"] = round(remains, 1) or None
    trouble, later = _refusal(json_reading.sub(body, "error"), response) if state == "failed" else (None, None)
    return MediaStatus(
        trouble=trouble,
        later=later,
        state=state,
        word=word,
        message=json_reading.clip(
            json_reading.said(json_reading.sub(body, "error"), "message") or json_reading.said(body, "message")
        ),
        look_again=min(remains / _PART, _LATEST),
        facts={name: value for name, value in facts.items() if value is not None},
    )


def _refusal(error: Mapping[str, Any], response: Response) -> tuple[Trouble | None, float | None]:
    """Return why a task failed, and the seconds until it can be made again; the vendor says neither, our platform does."""
    code, message = json_reading.said(error, "code"), json_reading.clip(json_reading.said(error, "message"))
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", code) or not message:
        return None, None
    trouble = Trouble(
        code,
        message,
        json_reading.clip(json_reading.said(error, "remedy")),
        json_reading.clip(json_reading.said(error, "detail")),
    )
    again = json_reading.epoch(error.get("again_at"))
    if again is None:
        return trouble, None
    return trouble, max(0.0, again - (json_reading.http_date(response.headers.get("date", "")) or response.at))


def _remains(body: Mapping[str, Any], response: Response) -> float:
    """Return the seconds that the platform thinks it still needs, by its own clock; 0 if it does not say."""
    left = json_reading.number(json_reading.sub(body, "process"), "remain_seconds")
    if left > 0:
        return left
    done = json_reading.epoch(body.get("estimated_time"))
    now = json_reading.http_date(response.headers.get("date", "")) or response.at
    return max(0.0, done - now) if done is not None else 0.0


# ---------------------------------------------------------------------------------------------------- whose task it is
def _titles(upload: NewUpload) -> frozenset[str]:
    """Return all that the platform may have called this upload, in plain form."""
    if upload.method == "url":
        return _plain(upload.title) | _plain(unquote(urlsplit(upload.url).path.rsplit("/", 1)[-1]))
    return (_plain(upload.title) | _plain(find_video_id(upload.url) or "")) if upload.title else frozenset()


def _plain(name: str) -> frozenset[str]:
    """Return a name with and without its ending, reduced to letters and digits: platforms change the rest."""
    forms = (unicodedata.normalize("NFKC", form).casefold() for form in (name, _ENDING.sub("", name)))
    return frozenset(filter(None, ("".join(char for char in form if char.isalnum()) or form.strip() for form in forms)))


def _only(tasks: Sequence[FoundObject]) -> str | None:
    if len(tasks) > 1:
        raise _several(tasks)
    return tasks[0].id if tasks else None


def _several(tasks: Sequence[FoundObject]) -> Ambiguous:
    return Ambiguous(
        "the index has tasks that could be this video, and API v1.2 cannot tell which",
        remedy="compare the index with `reelmill videos`; `reelmill retry` submits the video again and may pay twice",
        detail=json_reading.clip(", ".join(f"{task.id} {task.label!r}" for task in tasks[:5])),
    )


# ------------------------------------------------------------------------------------------------------------ refusals
def _retired(response: Response, request: Request) -> bool:
    """Whether it is the API itself that is gone. Nobody knows what the vendor answers now: any 410, and any 404 that does
    not speak of an id. An unknown id was a bad parameter (400) there.
    """
    said = json_reading.error_body(response).code
    if said == "api_upgrade_required":
        return 400 <= response.status < 500
    if request.method == "GET" and request.path.startswith(_PAGES):  # a page of results that is no longer kept
        return False
    return response.status == 410 or (response.status == 404 and said != "resource_not_exist")


def _about_address(error: Permanent) -> bool:
    return error.trouble.code in ("parameter_invalid", "refused")

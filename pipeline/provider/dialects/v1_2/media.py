"""API v1.2, ended by the vendor: indexing tasks, immediate answers. No I/O.

Upload and indexing are one step: ``POST /tasks`` for files and direct addresses, ``POST /tasks/external-provider`` for
YouTube. The upload's id is the task's; analysis needs the ``video_id`` that the task names once it is ready. An analysis
leaves nothing behind that a list could show; an upload leaves its task, found by file name, or by time and title.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

from pipeline.core.errors import Ambiguous, NeedsOperator, NotYet, Permanent, ReelmillError
from pipeline.core.model import Json, Trouble
from pipeline.core.youtube_address import find_video_id
from pipeline.ports.video_api import Answer, Ceilings, MediaStatus, NewUpload, Question
from pipeline.provider.dialects import calls, errors
from pipeline.provider.dialects.calls import list_request, path_segment
from pipeline.provider.dialects.error_codes import MEANINGS
from pipeline.provider.dialects.json_reading import (
    JsonObject,
    build_page,
    clip,
    parse,
    read_error_body,
    read_id,
    read_usage,
    server_time,
)
from pipeline.provider.dialects.protocol import (
    Call,
    Feature,
    FilePart,
    FoundObject,
    Page,
    Request,
    Response,
    TextPart,
    UnreadableAnswer,
)
from pipeline.provider.dialects.recovery import CLOCK_SKEW, pick_by_label, read_found

_EXTERNAL = "/tasks/external-provider"
_ASKS = ("/gist", "/summarize", "/generate")
_WITH_TEMPERATURE = ("/summarize", "/generate")
_TIMEOUT = 300.0  #: seconds: a generation is silent until it is finished
_LATEST = 120.0  #: seconds between two looks at most, however long the platform says it will take
_PART = 4.0  #: we wait a quarter of what remains: too long an estimate costs no more than that
_EXACT = 5.0  #: seconds that a task without a title may be older than its intent: clocks are coarse
_UNNAMED = 30.0  #: seconds until a task that has no title yet is looked at again
_GB2 = 2 * 1000**3
_TASK: Mapping[str, Literal["working", "ready", "failed"]] = {
    "validating": "working", "pending": "working", "queued": "working", "indexing": "working",
    "ready": "ready", "failed": "failed",
}  # fmt: skip
_ENDING = re.compile(r"\.(mp4|m4v|mov|mkv|webm|avi|flv|ts|3gp)$", re.I)
_PAGES = ("/search/", "/classify/")


class V12:
    """Uploads and analyses of v1.2. Stateless."""

    name = "v1.2"
    base = "https://api.twelvelabs.io/v1.2"
    version_path = "/v1.2"
    features: frozenset[Feature] = frozenset({"url", "index_first", "external"})
    #: One request carries a whole file. 360p to 4K.
    ceilings = Ceilings(
        direct_bytes=_GB2,
        multipart_bytes=_GB2,
        url_bytes=_GB2,
        min_seconds=4.0,
        max_seconds=7200.0,  # it has no windows
        min_side=360,
        max_width=4096,
        max_height=2160,
    )
    page_size = calls.PAGE
    known_words = frozenset(_TASK)
    multipart = None
    analyses = None

    @property
    def media_list(self) -> V12:
        return self  # tasks can only be listed by age: there is no filter for ids or status

    def read_error(self, response: Response, request: Request, *, wait: float) -> ReelmillError:
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

    def create_asset(self, upload: NewUpload) -> Call[str]:
        """Create an indexing task, from a file (up to 2 GB) or an address."""
        return Call(_new_task(upload), read_id("_id", "id"))

    def find_assets(self, upload: NewUpload, page: int) -> Call[Page[FoundObject]]:
        """List the tasks that carry our name, or the whole index's."""
        named = [("filename", upload.name)] if upload.method == "direct" else []
        return Call(_tasks(page, ("index_id", upload.index_id), *named), _found(upload.name))

    def pick_asset(self, found: Sequence[FoundObject], upload: NewUpload, since: float) -> str | None:
        """Return the task that this intent has left behind, or None.

        A file is recognized by its unique name. Anything else is recognized by index, time and title (a direct address:
        its last part); without a title, only one task may remain that is not another video's. Nothing was left behind
        only if no remaining task could be it.

        Raises:
            Ambiguous: several could be it.
            NotYet: one could be it that has no name yet.
        """
        if upload.method == "direct":
            return pick_by_label(found, upload.name, since)
        titles = _titles(upload)
        floor = since - (CLOCK_SKEW if titles else _EXACT)
        near = [
            task
            for task in found
            if task.id not in upload.taken and task.created is not None and task.created >= since - CLOCK_SKEW
        ]
        free = [task for task in near if task.created is not None and task.created >= floor]
        if upload.method == "external" and not titles:
            alive = [task for task in free if not task.failed]
            early = [task for task in near if not task.failed]
            if early and not alive:  # another's, or ours and our clock was corrected since
                raise _several(early)
            return _only(alive)
        fitting = [task for task in free if _plain(task.label) & titles]
        alive = [task for task in fitting if not task.failed]
        if fitting:
            return _only(alive or fitting[:1])
        if any(not task.label and not task.failed for task in free):
            raise NotYet("a task that could be this video has no title yet", after=_UNNAMED, code="not_named_yet")
        # The title may come from the manifest, and a direct address may have any name: another name proves nothing.
        unexplained = [task for task in free if not task.failed]
        if unexplained:
            raise _several(unexplained)
        return None

    def media_page(self, page: int) -> Call[Page[tuple[str, MediaStatus]]]:
        return Call(_tasks(page), _read_media_page)

    def media(self, media_id: str) -> Call[MediaStatus]:
        return Call(Request("GET", f"/tasks/{path_segment(media_id)}", safe=True), _read_media)

    def advice(self, status: MediaStatus) -> float:
        return status.look_again

    def delete_media(self, media_id: str) -> Call[None]:
        """Delete a task that is ready or failed, after its video."""
        return calls.delete(f"/tasks/{path_segment(media_id)}")

    # ------------------------------------------------------------------------------------------------------ analyses

    def submit_analysis(self, question: Question) -> Call[str | Answer]:
        """Ask as the job says, at once; a repeat is billed again."""
        legacy = question.legacy or {}
        path = legacy.get("path")
        if path not in _ASKS:
            raise errors.not_in_this_api("this question", self.name, 'set [provider] api = "v1.3"')
        body: dict[str, Json] = {"video_id": question.media_id, **(legacy.get("body") or {})}
        if path in _WITH_TEMPERATURE:
            body.setdefault("temperature", question.temperature)
        if path == "/generate":
            body["stream"] = False
        return Call(Request("POST", path, "analyze", json=body, timeout=_TIMEOUT), _read_answer)

    # --------------------------------------------------------------------------------------------------------- check

    def check(self) -> Call[Mapping[str, Json]]:
        def read(response: Response) -> Mapping[str, Json]:
            return {"api": self.name, "indexes": build_page(parse(response), lambda body: body).total}

        return Call(list_request("/indexes", 1, limit=1), read)


def _new_task(upload: NewUpload) -> Request:
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


def _tasks(page: int, *filters: tuple[str, str]) -> Request:
    return list_request("/tasks", page, *filters, ("sort_by", "created_at"), ("sort_option", "desc"))


def _read_answer(response: Response) -> Answer:
    """Read an answer as one JSON object, whole or a stream."""
    body = _events(response)
    usage = read_usage(body.raw.get("usage"))
    text = json.dumps(body.raw, ensure_ascii=False)
    return Answer(text, body.text("finish_reason") or "stop", body.raw, usage)


def _events(response: Response) -> JsonObject:
    """Return an answer as one JSON object, whole or a stream of events.

    Raises:
        UnreadableAnswer: neither, or a stream that broke off or reports an error.
    """
    lines = [line for line in response.body.splitlines() if line.strip()]
    if len(lines) != 1 or b'"event_type"' not in lines[0]:
        try:
            return parse(response)
        except UnreadableAnswer:
            if len(lines) < 2:
                raise
    parts: list[str] = []
    for line in lines:
        event = parse(Response(response.status, {}, line))
        kind = event.text("event_type")
        if kind == "text_generation":
            parts.append(event.text("text"))
        elif kind == "stream_end":
            ended = {"finish_reason": event.text("finish_reason"), **event.child("metadata").raw}
            kept = {name: ended[name] for name in ("finish_reason", "usage") if ended.get(name)}
            return JsonObject({"id": JsonObject(ended).text("generation_id"), "data": "".join(parts), **kept})
        elif kind != "stream_start":
            raise UnreadableAnswer(f"a stream with {clip(line.decode('utf-8', 'replace'), 120)}")
    raise UnreadableAnswer("a stream of events that broke off")


def _found(name: str) -> Callable[[Response], Page[FoundObject]]:
    return read_found(("_id", "id"), lambda body: body.child("metadata").text("filename"), frozenset({"failed"}), name)


def _read_media_page(response: Response) -> Page[tuple[str, MediaStatus]]:
    now = server_time(response)
    return build_page(parse(response), lambda body: (body.id("_id", "id"), _media(body, now)))


def _read_media(response: Response) -> MediaStatus:
    """Read how far a task is; one that is ready names its video."""
    status = _media(parse(response), server_time(response))
    if status.state == "ready" and "video_id" not in status.facts:
        raise UnreadableAnswer("a ready task without a video_id")
    return status


def _media(body: JsonObject, now: float) -> MediaStatus:
    word, error, metadata = body.word("status"), body.child("error"), body.child("metadata")
    state = _TASK.get(word, "working")
    remains = _remains(body, now) if state == "working" else 0.0
    facts: dict[str, Json] = {name: metadata.positive(name) for name in ("duration", "width", "height")}
    facts |= {"filename": metadata.text("filename") or None, "video_id": body.optional_id("video_id") or None}
    facts["remain_seconds"] = round(remains, 1) or None
    trouble, later = _refusal(error, now) if state == "failed" else (None, None)
    return MediaStatus(
        trouble=trouble,
        later=later,
        state=state,
        word=word,
        message=clip(error.text("message") or body.text("message")),
        look_again=min(remains / _PART, _LATEST),
        facts={name: value for name, value in facts.items() if value is not None},
    )


def _refusal(error: JsonObject, now: float) -> tuple[Trouble | None, float | None]:
    """Return why a task failed, and the seconds until it can be repeated."""
    code, message = error.text("code"), clip(error.text("message"))
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", code) or not message:
        return None, None
    trouble = Trouble(code, message, clip(error.text("remedy")), clip(error.text("detail")))
    again = error.timestamp("again_at")
    return trouble, None if again is None else max(0.0, again - now)


def _remains(body: JsonObject, now: float) -> float:
    """Return the seconds that the platform still needs, by its own clock.

    0 if it does not say.
    """
    left = body.child("process").number("remain_seconds")
    if left > 0:
        return left
    done = body.timestamp("estimated_time")
    return max(0.0, done - now) if done is not None else 0.0


# ------------------------------------------------------------------------------------- which task a lost upload left


def _titles(upload: NewUpload) -> frozenset[str]:
    """Return all that the platform may have called this upload, in plain form."""
    if upload.method == "url":
        return _plain(upload.title) | _plain(unquote(urlsplit(upload.url).path.rsplit("/", 1)[-1]))
    return (_plain(upload.title) | _plain(find_video_id(upload.url) or "")) if upload.title else frozenset()


def _plain(name: str) -> frozenset[str]:
    """Return a name with and without its ending, as letters and digits."""
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
        detail=clip(", ".join(f"{task.id} {task.label!r}" for task in tasks[:5])),
    )


# ------------------------------------------------------------------------------------------------------------ refusals
def _retired(response: Response, request: Request) -> bool:
    """Whether the API itself is gone.

    We cannot know how the vendor says so: any 410, and any 404 not about an id.
    An unknown id was a bad parameter (400) there.
    """
    code = read_error_body(response).code
    if code == "api_upgrade_required":
        return 400 <= response.status < 500
    if request.method == "GET" and request.path.startswith(_PAGES):  # a page of results that is no longer kept
        return False
    return response.status == 410 or (response.status == 404 and code != "resource_not_exist")


def _about_address(error: Permanent) -> bool:
    return error.trouble.code in ("parameter_invalid", "refused")

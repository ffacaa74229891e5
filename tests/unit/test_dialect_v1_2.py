"""API v1.2 on JSON: requests as documented, answers and errors of every form, and whose task it is. No I/O."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Ambiguous, NeedsOperator, NotYet, Permanent, ReelmillError
from pipeline.ports.video_api import Answer, NewUpload, Question
from pipeline.provider.client import is_complete
from pipeline.provider.dialects.protocol import (
    Call,
    FilePart,
    FoundObject,
    MediaByIds,
    Request,
    Response,
    TextPart,
    UnreadableAnswer,
)
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http import body as bodies
from pipeline.store.encoding import to_json

API = V12()
AT = 1_697_045_288.0  # 2023-10-11T17:28:08Z
INDEX = "6526d94f23c1347ffbe3a1fa"
WATCH = "https://www.youtube.com/watch?v=DXB4MApF4Lo"


def answer(body: Any = b"", status: int = 200, **headers: str) -> Response:
    """A response; header names are written with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content, AT)


def task(word: str = "indexing", **more: Any) -> dict[str, Any]:
    """An indexing task as v1.2 shows it."""
    metadata = {"duration": 74, "filename": "clip", "height": 720, "width": 1280}
    times = {"created_at": "2023-10-11T17:28:08.887Z", "updated_at": "2023-10-11T17:40:00Z"}
    return {"_id": "6526db2823c1347ffbe3a1fc", "index_id": INDEX, "status": word, "metadata": metadata, **times, **more}


def external(title: str = "", taken: tuple[str, ...] = ()) -> NewUpload:
    """A YouTube video that was to be fetched by the platform."""
    return NewUpload("reelmill-1", "external", url=WATCH, since=AT, index_id=INDEX, title=title, taken=frozenset(taken))


def ask(path: str, body: dict[str, Any] | None = None) -> Question:
    """A question as a job puts it to v1.2."""
    return Question("k", "video-1", "unused", None, 2048, 0.2, "pegasus1", legacy={"path": path, "body": body or {}})


GIST = API.submit_analysis(ask("/gist"))


# ------------------------------------------------------------------------------------------------------------ requests


def test_the_two_dialects_are_strangers() -> None:
    """Neither inherits from the other; what v1.2 lacks, it says by having no such part."""
    assert not issubclass(V12, V13)
    assert not issubclass(V13, V12)
    assert (API.multipart, API.analyses, isinstance(API.media_list, MediaByIds)) == (None, None, False)
    assert isinstance(V13().media_list, MediaByIds)
    assert {"index_first", "external", "url"} == API.features


def test_a_file_becomes_a_task_with_our_name() -> None:
    """The whole file goes as ``video_file`` under the unique name; captions go beside it where there are any."""
    upload = NewUpload("unique.mp4", "direct", size=5, path=Path("f.mp4"), index_id=INDEX)
    request = API.create_asset(upload).request
    assert (request.method, request.path, request.group, request.safe) == ("POST", "/tasks", "index", False)
    assert request.form == [("index_id", INDEX), ("language", "en")]
    assert request.files == [FilePart(Path("f.mp4"), "unique.mp4", "video/mp4", 5, "video_file")]
    spoken = NewUpload("u.mp4", "direct", path=Path("f"), index_id=INDEX, metadata={"captions": "WEBVTT\n\nhello"})
    request = API.create_asset(spoken).request
    assert ("provide_transcription", "true") in (request.form or ())
    assert request.files[0] == TextPart("transcription_file", "captions.vtt", "text/vtt", "WEBVTT\n\nhello")


def test_addresses_become_tasks() -> None:
    """A direct address is a field of the form; a YouTube address goes to the external provider as JSON."""
    by_url = API.create_asset(NewUpload("n", "url", url="https://x/y.mp4", index_id=INDEX)).request
    assert (by_url.path, by_url.files, dict(by_url.form or ())["video_url"]) == ("/tasks", (), "https://x/y.mp4")
    outside = API.create_asset(external()).request
    assert (outside.method, outside.path, outside.group) == ("POST", "/tasks/external-provider", "index")
    assert outside.json == {"index_id": INDEX, "url": WATCH}
    assert [by_url.safe, outside.safe] == [False, False]
    with pytest.raises(ValueError, match="needs an index"):
        API.create_asset(NewUpload("n", "url", url="https://x/y.mp4"))


@pytest.mark.parametrize(("method", "filters"), [
    ("direct", {"index_id": INDEX, "filename": "unique"}),
    ("url", {"index_id": INDEX}),
    ("external", {"index_id": INDEX}),
])  # fmt: skip
def test_tasks_are_looked_for_by_what_is_ours(method: Any, filters: dict[str, str]) -> None:
    """By our file name where we gave one, else all of the index; always newest first, in words."""
    request = API.find_assets(NewUpload("unique", method, url=WATCH, index_id=INDEX), 3).request
    order = {"sort_by": "created_at", "sort_option": "desc", "page": "3", "page_limit": "50"}
    assert (request.method, request.path, request.safe) == ("GET", "/tasks", True)
    assert dict(request.params) == filters | order


@pytest.mark.parametrize(("path", "body", "sent"), [
    ("/gist", {"types": ["title", "hashtag"]}, {"types": ["title", "hashtag"]}),
    ("/summarize", {"type": "chapter"}, {"type": "chapter", "temperature": 0.2}),
    ("/summarize", {"type": "summary", "prompt": "p"}, {"type": "summary", "prompt": "p", "temperature": 0.2}),
    ("/generate", {"prompt": "p"}, {"prompt": "p", "temperature": 0.2, "stream": False}),
    ("/generate", {"prompt": "p", "temperature": 0.9}, {"prompt": "p", "temperature": 0.9, "stream": False}),
])  # fmt: skip
def test_a_question_is_sent_as_the_job_says(path: str, body: dict[str, Any], sent: dict[str, Any]) -> None:
    """The video's id and, where the call takes one, the temperature are all that is added; a repeat would be billed."""
    request = API.submit_analysis(ask(path, body)).request
    assert (request.method, request.path, request.group, request.safe) == ("POST", path, "analyze", False)
    assert request.json == {"video_id": "video-1", **sent}
    assert request.timeout is not None
    assert request.timeout > 60


@pytest.mark.parametrize("legacy", [None, {}, {"path": "/analyze"}, {"path": "/indexes", "body": {}}])
def test_a_question_without_a_form_for_v1_2_is_refused(legacy: Any) -> None:
    """Nothing but the three calls for answers can be reached by a question."""
    with pytest.raises(Permanent) as caught:
        API.submit_analysis(Question("k", "v", "p", None, 1, 0.2, "m", legacy=legacy))
    assert caught.value.trouble.code == "not_in_this_api"


def test_a_form_with_text_and_file_has_its_length_before_it_is_sent(tmp_path: Path) -> None:
    """Both parts carry a file name; the length is exact."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\x00film")
    upload = NewUpload("u.mp4", "direct", size=5, path=path, index_id=INDEX, metadata={"captions": "WEBVTT"})
    request = API.create_asset(upload).request
    form = bodies.form(request.form or (), request.files, "b")
    shown = b"".join(part if isinstance(part, bytes) else b"<file>" for part in form.parts)
    assert b'name="transcription_file"; filename="captions.vtt"\r\nContent-Type: text/vtt\r\n\r\nWEBVTT\r\n' in shown
    assert b'name="video_file"; filename="u.mp4"\r\nContent-Type: video/mp4\r\n\r\n<file>\r\n--b--\r\n' in shown
    assert form.length == len(shown.replace(b"<file>", b"\x00film"))


# ------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(("word", "state"), [
    ("validating", "working"), ("pending", "working"), ("queued", "working"), ("indexing", "working"),
    ("ready", "ready"), ("failed", "failed"), ("uploading", "working"), ("brand_new", "working"),
])  # fmt: skip
def test_a_task_is_read(word: str, state: str) -> None:
    """Every documented word has its meaning; failed is final, an unknown one is working."""
    status = API.media("m").read(answer(task(word, video_id="6526db3043e8c47e4eb47c94")))
    assert (status.state, status.word) == (state, word)
    assert (status.facts["duration"], status.facts["width"], status.facts["height"]) == (74, 1280, 720)
    assert status.facts["video_id"] == "6526db3043e8c47e4eb47c94"


def test_a_ready_task_must_name_its_video() -> None:
    """By itself it must, or nothing could be asked about it; in a list it need not, and is then asked for alone."""
    with pytest.raises(UnreadableAnswer):
        API.media("m").read(answer(task("ready")))
    listed = API.media_page(1).read(answer({"data": [task("ready"), task("failed"), task("queued")]}))
    assert [is_complete(status) for _, status in listed.entries] == [False, True, True]
    assert listed.last


@pytest.mark.parametrize(("more", "remains"), [
    ({}, 0),
    ({"estimated_time": "2023-10-11T17:30:08Z"}, 120),
    ({"estimated_time": "2023-10-11T17:20:00Z"}, 0),
    ({"estimated_time": "soon"}, 0),
    ({"estimated_time": "2023-10-11T20:50:40.144Z", "process": {"percentage": 40.0, "remain_seconds": 40}}, 40),
    ({"process": {"remain_seconds": 54_000}}, 54_000),
    ({"process": {"remain_seconds": "much"}}, 0),
])  # fmt: skip
def test_the_platform_says_how_long_it_will_take(more: dict[str, Any], remains: float) -> None:
    """From ``process`` or ``estimated_time``; a quarter of it is waited, and never more than two minutes."""
    status = API.media("m").read(answer(task(**more)))
    assert status.facts.get("remain_seconds", 0) == remains
    assert API.advice(status) == min(remains / 4, 120)


@pytest.mark.parametrize(
    "error", [None, {"message": "no"}, {"code": "BAD CODE", "message": "x"}, {"code": "private"}, 7]
)
def test_a_failed_task_without_a_reason_of_ours_has_none(error: Any) -> None:
    """The vendor's platform has no field for it; what stands there by chance is no class of trouble."""
    status = API.media("m").read(answer(task("failed", error=error)))
    assert (status.state, status.trouble, status.later) == ("failed", None, None)


def test_the_platform_s_own_clock_counts() -> None:
    """An estimate is compared with the Date of the answer, not with our clock."""
    ahead = answer(task(estimated_time="2023-10-11T18:30:08Z"), date="Wed, 11 Oct 2023 18:28:08 GMT")
    assert API.media("m").read(ahead).facts["remain_seconds"] == 120


def test_answers_come_at_once() -> None:
    """The text is the whole object as JSON, so that nothing of it is lost."""
    gist = {"id": "bc21", "title": "T", "topics": ["a"], "hashtags": ["b", "b"]}
    read = GIST.read(answer(gist))
    assert isinstance(read, Answer)
    assert (json.loads(read.text), read.finish_reason, read.raw) == (gist, "stop", gist)


STREAM: list[dict[str, Any]] = [
    {"event_type": "stream_start", "metadata": {"generation_id": "g-1"}},
    {"event_type": "text_generation", "text": "Sor"},
    {"event_type": "text_generation", "text": 'ting\n"networks"'},
    {"event_type": "stream_end", "metadata": {"generation_id": "g-1"}},
]


def test_an_answer_with_numbers_that_are_none_can_be_kept() -> None:
    """It is paid for, and the database takes JSON only: what JSON has no form for is nothing."""
    found = GIST.read(answer(b'{"data": "x", "score": NaN, "at": [1e999, -Infinity, 2.5]}'))
    assert isinstance(found, Answer)
    assert json.loads(to_json(found.raw)) == {"data": "x", "score": None, "at": [None, None, 2.5]}
    assert json.loads(found.text) == found.raw


def test_what_a_task_says_of_its_video_is_held_against_its_form() -> None:
    """An id is text and a length is a number."""
    odd = {"duration": "74", "filename": "clip", "height": [720], "width": -1}
    assert API.media("m").read(answer(task("indexing", metadata=odd, video_id=5))).facts == {"filename": "clip"}


def lines(events: list[Any]) -> bytes:
    """Events as the platform streams them, with the blank lines it may send."""
    return b"\n\n".join(json.dumps(event).encode() for event in events) + b"\n"


def test_a_stream_reads_like_a_whole_answer() -> None:
    """We ask for none; one who streams all the same is understood, and jobs see the one form."""
    read = GIST.read(answer(lines(STREAM)))
    assert isinstance(read, Answer)
    assert json.loads(read.text) == {"id": "g-1", "data": 'Sorting\n"networks"'}
    cut = [*STREAM[:3], {**STREAM[3], "finish_reason": "length"}]
    read = GIST.read(answer(lines(cut)))
    assert isinstance(read, Answer)
    assert read.finish_reason == "length"


@pytest.mark.parametrize("body", [
    lines(STREAM[:3]), lines(STREAM[:1]), lines([*STREAM[:2], {"event_type": "stream_error", "error": {"message": "x"}}]),
    lines([*STREAM[:2], {"code": "token_limit_exceeded"}]), lines(STREAM)[:-20], b"", b"[]", b"hello", b"a\nb",
])  # fmt: skip
def test_a_broken_answer_is_none(body: bytes) -> None:
    """Cut off, with an error inside, or nothing of ours: it may have been billed, and it is not an answer."""
    with pytest.raises(UnreadableAnswer):
        GIST.read(answer(body))


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail_otherwise(body: bytes) -> None:
    """Whatever comes back, a reader returns or says that it cannot read it."""
    calls: list[Call[Any]] = [
        GIST, API.media("m"), API.media_page(1), API.find_assets(external(), 1), API.create_asset(external()),
    ]  # fmt: skip
    for call in calls:
        try:
            assert call.read(answer(body)) is not None
        except UnreadableAnswer:
            continue


# -------------------------------------------------------------------------------------------------------- whose task


def made(name: str, at: float = 1.0, key: str = "", *, failed: bool = False) -> FoundObject:
    """A task of the index, made ``at`` seconds after the intent."""
    return FoundObject(key or f"id-{name}", name, AT + at, failed)


def test_a_file_is_found_by_its_name_alone() -> None:
    """Other names are not ours; of several of ours the one that is younger than the intent is meant."""
    upload = NewUpload("unique.mp4", "direct", index_id=INDEX, since=AT)
    found = [made("unique.mp4.bak"), made("unique.mp4", -900, "old"), made("unique.mp4", 2, "ours")]
    assert API.pick_asset(found, upload, AT) == "ours"
    assert API.pick_asset(found[:2], upload, AT) == "old"  # a clock that was put back makes ours look older
    assert API.pick_asset(found[:1], upload, AT) is None


TITLE = "US Open 2009: Roger Federer's Incredible Between the Legs Shot"


@pytest.mark.parametrize("name", [
    TITLE, f"{TITLE}.mp4", TITLE.upper(), TITLE.replace(":", "").replace("'", "\u2019"), f"  {TITLE} ", "DXB4MApF4Lo.mp4",
])  # fmt: skip
def test_an_external_video_is_found_by_its_title(name: str) -> None:
    """Letters and digits count; or the platform has named it by its id."""
    others = [made("Another film", 2), made("US Open 2009", 3)]
    assert API.pick_asset([*others, made(name, 1, "ours")], external(TITLE), AT) == "ours"


@pytest.mark.parametrize(("found", "taken"), [
    ([], ()),
    ([made(TITLE, -3600)], ()),
    ([made(TITLE, 2, "theirs")], ("theirs",)),
    ([made("Another film", 2, failed=True)], ()),
    ([FoundObject("undated", TITLE, None)], ()),
])  # fmt: skip
def test_what_is_older_taken_or_has_failed_under_another_name_is_not_ours(
    found: list[FoundObject], taken: tuple[str, ...]
) -> None:
    """Then nothing was left behind, and it may be submitted again."""
    assert API.pick_asset(found, external(TITLE, taken), AT) is None


def test_numbers_in_titles_tell_episodes_apart() -> None:
    """Only the endings of video files are cut off. And another name is no proof: the title may be the manifest's own."""
    with pytest.raises(Ambiguous) as caught:
        API.pick_asset([made("Part 1.20", 1, "x")], external("Part 1.10"), AT)
    assert "x 'Part 1.20'" in caught.value.trouble.detail
    assert API.pick_asset([made("Part 1.20", 1, "x")], external("Part 1.10", ("x",)), AT) is None


def test_two_tasks_of_one_title_are_nobody_s() -> None:
    """The operator must look: either could be another's."""
    with pytest.raises(Ambiguous) as caught:
        API.pick_asset([made(TITLE, 1, "a"), made(TITLE, 2, "b")], external(TITLE), AT)
    assert caught.value.trouble.detail.startswith(f"a {TITLE!r}, b ")
    assert API.pick_asset([made(TITLE, 1, "a"), made(TITLE, 2, "b")], external(TITLE, ("b",)), AT) == "a"


def test_a_task_without_a_title_may_still_get_ours() -> None:
    """Asked again later, never submitted meanwhile; one that has failed will get none."""
    with pytest.raises(NotYet) as caught:
        API.pick_asset([made("", 1)], external(TITLE), AT)
    assert caught.value.after > 0
    assert API.pick_asset([made("", 1, failed=True)], external(TITLE), AT) is None
    assert API.pick_asset([made("", 1), made(TITLE, 2, "ours")], external(TITLE), AT) == "ours"


def test_a_failed_task_is_ours_if_nothing_better_is() -> None:
    """So that the item ends with the platform's failure instead of being submitted for ever."""
    assert API.pick_asset([made(TITLE, 1, "x", failed=True)], external(TITLE), AT) == "x"
    assert API.pick_asset([made(TITLE, 2, "x", failed=True), made(TITLE, 1, "y")], external(TITLE), AT) == "y"


def test_without_a_title_only_a_single_task_can_be_ours() -> None:
    """None: nothing was left behind. One: it is ours. More: nobody can tell; nor where the only one is a little older,
    because our clock may have been corrected in between.
    """
    assert API.pick_asset([made("x", -600), made("y", 1, failed=True)], external(), AT) is None
    with pytest.raises(Ambiguous):
        API.pick_asset([made("x", -60)], external(), AT)
    assert API.pick_asset([made("x", -60), made("y", 1, "ours")], external(), AT) == "ours"
    assert API.pick_asset([made("x", 2, "other"), made("y", 1, "ours")], external(taken=("other",)), AT) == "ours"
    with pytest.raises(Ambiguous):
        API.pick_asset([made("x", 2), made("y", 1)], external(), AT)


def test_a_direct_address_is_known_by_its_last_part() -> None:
    """Whether the platform names it so is not certain: an unexplained task of the time is not passed over."""
    upload = NewUpload("n", "url", url="https://x.example/films/My%20film.mp4?sig=1", index_id=INDEX, since=AT)
    assert API.pick_asset([made("my film.mp4", 1, "ours"), made("other", 2)], upload, AT) == "ours"
    assert API.pick_asset([], upload, AT) is None
    with pytest.raises(Ambiguous):
        API.pick_asset([made("download", 1)], upload, AT)


def test_found_tasks_carry_name_time_and_fate() -> None:
    """As the list shows them."""
    page = API.find_assets(external(), 1).read(
        answer({"data": [task("failed")], "page_info": {"page": 1, "total_page": 2}})
    )
    assert page.entries == [FoundObject("6526db2823c1347ffbe3a1fc", "clip", AT + 0.887, True)]
    assert not page.last


# -------------------------------------------------------------------------------------------------------------- errors

GET = Request("GET", "/tasks/x", safe=True)
POST = Request("POST", "/tasks", "index")
EXTERNAL = Request("POST", "/tasks/external-provider", "index")
PAGE = Request("GET", "/search/token", safe=True)


@pytest.mark.parametrize(("status", "body", "request_", "kind", "code"), [
    (404, b"", POST, NeedsOperator, "api_retired"),
    (404, b"<html>not found</html>", GET, NeedsOperator, "api_retired"),
    (404, {"code": "not_found", "message": "no route"}, GET, NeedsOperator, "api_retired"),
    (404, {"code": "endpoint_not_exist", "message": "no"}, POST, NeedsOperator, "api_retired"),
    (410, {"code": "gone", "message": "v1.2 has ended"}, POST, NeedsOperator, "api_retired"),
    (410, b"", GET, NeedsOperator, "api_retired"),
    (400, {"code": "api_upgrade_required", "message": "use v1.3"}, POST, NeedsOperator, "api_retired"),
    (404, {"code": "resource_not_exist", "message": "no"}, GET, Permanent, "resource_not_exist"),
    (400, {"code": "resource_not_exist", "message": "no"}, GET, Permanent, "resource_not_exist"),
    (404, {"code": "resource_not_exist", "message": "no"}, PAGE, Permanent, "resource_not_exist"),
    (410, {"code": "gone", "message": "no"}, PAGE, Permanent, "gone"),
    (400, {"error_code": 104, "message": "no"}, PAGE, Permanent, "refused"),
    (401, {"code": "api_key_invalid", "message": "no"}, POST, NeedsOperator, "key_refused"),
    (400, {"code": "insufficient_funds", "message": "pay"}, POST, NeedsOperator, "no_credit"),
    (400, {"code": "video_duration_too_long", "message": "x"}, POST, Permanent, "video_duration_too_long"),
    (400, {"code": "parameter_invalid", "message": "x"}, POST, Permanent, "parameter_invalid"),
    (400, {"code": "parameter_invalid", "message": "not embeddable"}, EXTERNAL, Permanent, "external_refused"),
    (400, {"code": "brand_new", "message": "region"}, EXTERNAL, Permanent, "external_refused"),
    (400, {"code": "resource_not_exist", "message": "index"}, EXTERNAL, Permanent, "resource_not_exist"),
    (400, {"code": "not_supported_by_local_platform", "message": "m"}, EXTERNAL, Permanent,
     "not_supported_by_local_platform"),
    (400, {"code": "insufficient_funds", "message": "pay"}, EXTERNAL, NeedsOperator, "no_credit"),
    (500, b"", EXTERNAL, Ambiguous, "ambiguous"),
])  # fmt: skip
def test_every_refusal_has_one_meaning(
    status: int, body: Any, request_: Request, kind: type[ReelmillError], code: str
) -> None:
    """Ours in the code and the sentence, theirs in the detail; a retired API says what to set."""
    error = API.read_error(answer(body, status), request_, wait=7.0)
    assert (type(error), error.trouble.code) == (kind, code)
    if isinstance(body, dict):
        assert body["message"] in error.trouble.detail
    if code == "api_retired":
        assert 'provider.api = "v1.3"' in error.trouble.remedy
        assert "retired" in error.trouble.message


def test_a_key_of_v1_2_on_v1_3_is_a_refused_key() -> None:
    """The operator's matter, with the platform's own code and words."""
    error = V13().read_error(
        answer({"code": "api_key_invalid", "message": "key of another version"}, 401), POST, wait=1
    )
    assert isinstance(error, NeedsOperator)
    assert error.trouble.code == "key_refused"
    assert "api_key_invalid key of another version" in error.trouble.detail


def test_check_counts_indexes() -> None:
    """One cheap call that needs the key."""
    assert (API.check().request.path, API.check().request.safe) == ("/indexes", True)
    assert API.check().read(answer({"data": [], "page_info": {"total_results": 3}})) == {"api": "v1.2", "indexes": 3}


def test_a_task_can_be_deleted_again_and_again() -> None:
    """A repeat changes nothing."""
    deletion = API.delete_media("a-b").request
    assert (deletion.method, deletion.path, deletion.safe) == (
        "DELETE", "/tasks/a-b", True,
    )  # fmt: skip

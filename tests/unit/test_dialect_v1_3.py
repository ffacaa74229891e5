"""API v1.3 on JSON: requests as documented, answers and errors of every form. No I/O."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, ReelmillError, Throttled, Transient
from pipeline.ports.video_api import NewUpload, Question, UploadSession
from pipeline.provider.dialects.error_codes import MEANINGS
from pipeline.provider.dialects.protocol import (
    Call,
    FoundObject,
    Proof,
    Request,
    Response,
    UnreadableAnswer,
    UnusableSession,
)
from pipeline.provider.dialects.recovery import pick_by_label
from pipeline.provider.dialects.v1_3.media import V13

API = V13()
AT = 1_795_341_600.0  # 2026-11-22T10:00:00Z
SESSION = UploadSession("u", "a", 8, 2, AT)
OPENED = API.open_session(NewUpload("n", "multipart"))
GET = Request("GET", "/x", "read", safe=True)
POST = Request("POST", "/x", "analyze")


def answer(body: Any = b"", status: int = 200, **headers: str) -> Response:
    """A response; header names are written with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content, AT)


def error(response: Response, request: Request = POST) -> ReelmillError:
    """What the dialect makes of it; 7 seconds where no time is named."""
    return API.read_error(response, request, wait=7.0)


def test_a_model_that_the_platform_refuses_is_told_as_the_setting_that_it_is() -> None:
    """The model and its key are named, not a bug of ours; another refused field still asks for a report."""
    request = API.submit_analysis(Question("k-1", "asset", "Why?", None, 100, 0.3, "pegasus9")).request

    def told(message: str) -> ReelmillError:
        return error(answer({"code": "parameter_invalid", "message": message}, 400), request)

    refused = told("The model_name parameter must be 'pegasus1.5'.")
    assert isinstance(refused, Permanent)
    assert "does not know the model 'pegasus9'" in refused.trouble.message
    assert "[provider] model" in refused.trouble.remedy
    assert (refused.trouble.code, "pegasus1.5" in refused.trouble.detail) == ("parameter_invalid", True)
    assert "please report" in told("The temperature parameter must be a number.").trouble.remedy


# ------------------------------------------------------------------------------------------------------------ requests


def test_a_question_becomes_an_analysis_task() -> None:
    """All fields as documented; ``max_tokens`` is kept inside the range that the platform takes."""
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    wish = Question("k-1", "asset", "Why?", schema, 100, 0.3, "pegasus1.6")
    request = API.submit_analysis(wish).request
    assert (request.method, request.path, request.group, request.safe) == ("POST", "/analyze/tasks", "analyze", False)
    assert request.headers == {"idempotency-key": "k-1"}
    assert request.json == {
        "model_name": "pegasus1.6", "video": {"type": "asset_id", "asset_id": "asset"}, "prompt": "Why?", "temperature": 0.3,
        "max_tokens": 512, "custom_id": "k-1", "response_format": {"type": "json_schema", "json_schema": schema},
    }  # fmt: skip


def test_uploads_say_all_that_has_a_moving_default() -> None:
    """HLS and thumbnails are switched off in words; metadata is JSON text in a form and an object in a session."""
    upload = NewUpload("n.mp4", "direct", size=5, path=Path("f"), metadata={"a": 1, "big": 2**60})
    direct = API.create_asset(upload).request
    assert dict(direct.form or ()) == {
        "method": "direct", "filename": "n.mp4", "enable_hls": "false", "enable_thumbnail": "false",
        "user_metadata": json.dumps({"a": 1, "big": str(2**60)}),
    }  # fmt: skip
    by_url = API.create_asset(NewUpload("n", "url", url="https://x/y.mp4")).request
    assert (by_url.files, dict(by_url.form or ())["url"]) == ((), "https://x/y.mp4")
    session = API.open_session(upload).request
    assert session.json is not None
    assert session.json["user_metadata"] == {"a": 1, "big": str(2**60)}
    assert (session.json["enable_hls"], session.json["total_size"], session.json["type"]) == (False, 5, "video")
    assert [request.safe for request in (direct, by_url, session)] == [False] * 3


def test_only_what_may_be_repeated_is_safe() -> None:
    """Reads, reports and requests for addresses are; whatever creates or bills is not."""
    session = UploadSession("u-1", "a", 8, 2, AT)
    calls: list[Call[Any]] = [
        API.chunk_state(session, 1), API.addresses(session, 1, 2), API.report_chunks(session, [Proof(1, "e", 8)]),
        API.media("x"), API.media_by_ids(["x"]), API.check(),
    ]  # fmt: skip
    safe = [call.request for call in calls]
    assert all(request.safe for request in safe)
    assert safe[0].path == "/assets/multipart-uploads/u-1"
    assert safe[2].json == {
        "completed_chunks": [{"chunk_index": 1, "proof": "e", "proof_type": "etag", "chunk_size": 8}]
    }


# ------------------------------------------------------------------------------------------------------------- answers


def test_a_session_is_read_with_its_headers_and_expiry() -> None:
    """Times with and without fractions are read; a missing expiry is the documented day."""
    body = {"upload_id": "u", "asset_id": "a", "chunk_size": 8, "total_chunks": 3, "upload_headers": {"X-A": "1"}}
    session = OPENED.read(answer({**body, "expires_at": "2026-11-23T10:00:00.500Z"}))
    assert (session.expires_at, session.headers) == (AT + 86_400.5, {"X-A": "1"})
    assert OPENED.read(answer(body)).expires_at == AT + 86_400
    for name in ("upload_id", "chunk_size"):
        with pytest.raises(UnreadableAnswer):
            OPENED.read(answer({key: value for key, value in body.items() if key != name}))


FIT = {"upload_id": "u", "asset_id": "a", "chunk_size": 8, "total_chunks": 3}
NAMES = st.sampled_from(
    ["Host", "x-api-key", "AUTHORIZATION", "Cookie", "Content-Length", "Transfer-Encoding", "Expect", "Proxy-Authorization",
     "a b", "a:b", "a\nb", "é", "", "x" * 129]
)  # fmt: skip
VALUES = st.sampled_from(["a\r\nX-Evil: 1", "a\0", "é", "x" * 5000]) | st.none() | st.integers() | st.lists(st.text())
UNUSABLE = st.one_of(
    st.integers(max_value=0).map(lambda chunk: {"chunk_size": chunk}),
    st.integers(1, 6).map(lambda chunk: {"chunk_size": chunk}),
    st.integers(min_value=12).map(lambda chunk: {"chunk_size": chunk}),
    st.integers().filter(lambda total: total != 3).map(lambda total: {"total_chunks": total}),
    st.just({"chunk_size": 1, "total_chunks": 10**9}),
    st.sampled_from([None, "8", True, 8.5, [], {}]).map(lambda odd: {"chunk_size": odd}),
    NAMES.map(lambda name: {"upload_headers": {name: "1"}}),
    VALUES.map(lambda value: {"upload_headers": {"X-A": value}}),
    st.just({"upload_headers": {f"X-{number}": "1" for number in range(33)}}),
    st.sampled_from(["", "..", "a/b", None, 7]).map(lambda odd: {"upload_id": odd}),
)


@given(UNUSABLE)
def test_a_session_over_which_the_file_cannot_go_is_named_so(odd: dict[str, Any]) -> None:
    """Sizes, counts and headers are checked where they are read: before a byte is sent, and the file is not blamed."""
    call = API.open_session(NewUpload("n", "multipart", size=20))
    assert call.read(answer(FIT)).total_chunks == 3
    with pytest.raises(UnusableSession):
        call.read(answer({**FIT, **odd}))


@given(st.integers(1, 10**10), st.integers(1, 2**31))
def test_every_cut_of_a_file_that_adds_up_is_taken(size: int, chunk: int) -> None:
    """A platform may choose its chunks, as long as there are not more than any storage takes."""
    total = -(-size // chunk)
    call = API.open_session(NewUpload("n", "multipart", size=size))
    headers = {"Content-Type": "video/mp4", "x-amz-server-side-encryption": "AES256", "x-ms-blob-type": "BlockBlob"}
    body = answer({**FIT, "chunk_size": chunk, "total_chunks": total, "upload_headers": headers})
    if total > 100_000:
        with pytest.raises(UnusableSession):
            call.read(body)
    else:
        assert call.read(body).headers == headers


def test_a_chunk_list_is_read_page_by_page() -> None:
    """The list counts by ``index``; only completed chunks count; failed and expired sessions are dead."""
    chunks = [{"index": 1, "status": "completed"}, {"index": 2, "status": "pending"}, {"index": 3, "status": "failed"}]
    body = {"status": "active", "uploaded_chunks": chunks, "page_info": {"page": 1, "total_page": 2}}
    state = API.chunk_state(SESSION, 1).read(answer(body))
    assert (state.state, state.done, state.last) == ("active", frozenset({1}), False)
    words = {"completed": "completed", "failed": "dead", "expired": "dead", "brand_new": "active"}
    for word, meaning in words.items():
        assert API.chunk_state(SESSION, 1).read(answer({"status": word, "uploaded_chunks": None})).state == meaning


@pytest.mark.parametrize(
    ("word", "state"), [("processing", "working"), ("ready", "ready"), ("failed", "failed"), ("x", "working")]
)
def test_an_asset_is_read(word: str, state: str) -> None:
    """An unknown word is working; facts come from where the platform puts them."""
    body = {
        "_id": "a",
        "status": word,
        "duration": 3.5,
        "technical_metadata": {"video_width": 64, "file_size_bytes": 9},
    }
    status = API.media("a").read(answer(body))
    assert (status.state, status.word, status.facts) == (state, word, {"duration": 3.5, "size": 9, "width": 64})
    listed = API.media_by_ids(["a"]).read(answer({"data": [body], "page_info": {"page": 1, "total_page": 1}}))
    assert listed["a"] == status


def test_a_finished_analysis_is_kept_as_received() -> None:
    """The raw body is the whole task; a warning beside a result is kept; without a result it is unreadable."""
    result = {"generation_id": "g", "data": "{}", "finish_reason": "length", "usage": {"output_tokens": 5}}
    body = {"task_id": "t", "status": "ready", "result": result, "error": {"message": "cut"}, "new_field": [1]}
    status = API.analysis("t").read(answer(body))
    assert status.answer is not None
    assert (status.answer.raw, status.answer.finish_reason, status.answer.warning) == (body, "length", "cut")
    with pytest.raises(UnreadableAnswer):
        API.analysis("t").read(answer({"task_id": "t", "status": "ready"}))
    listed = API.unfinished_analyses("ready", 1).read(answer({"data": [{"task_id": "t", "status": "ready"}]}))
    assert listed.entries[0][1].answer is None


@pytest.mark.parametrize(("word", "state"), [("failed", "failed"), ("canceled", "canceled"), ("reviewing", "working")])
def test_an_unfinished_or_failed_analysis_has_no_answer(word: str, state: str) -> None:
    """Code and message are handed on; an unknown word is working."""
    status = API.analysis("t").read(answer({"status": word, "error": {"code": "user_canceled", "message": "m"}}))
    assert (status.state, status.code, status.message, status.answer) == (state, "user_canceled", "m", None)


@pytest.mark.parametrize("odd", ["..", "../../indexes", "a\nb", "x" * 129, "", None, 7])
def test_one_malformed_id_hides_nothing_else_of_a_list(odd: Any) -> None:
    """Somebody else's strange object would make every list of the account unreadable for ever: it is passed over. What
    bears our own label is there, even if its id is useless: that answer is unreadable, and is asked for again.
    """
    wish = Question("k", "a", "Why?", None, 600, 0.3, "m")
    strange, ours = {"task_id": odd, "custom_id": "other", "status": "ready"}, {"task_id": "t1", "custom_id": "k"}
    find, sweep = API.find_analyses(wish, 1), API.unfinished_analyses("queued", 1)
    assert [entry.id for entry in find.read(answer({"data": [strange, ours]})).entries] == ["t1"]
    assert [entry.id for entry in find.read(answer({"data": [ours, strange]})).entries] == ["t1"]
    seen = sweep.read(answer({"data": [strange, {**ours, "status": "queued"}]}))
    assert [key for key, _ in seen.entries] == ["t1"]
    for bodies in ([strange], [strange, strange], [{**strange, "custom_id": "k"}, ours]):
        with pytest.raises(UnreadableAnswer):
            find.read(answer({"data": bodies}))


@given(st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["data", "_id", "task_id", "status", "result", "error", "page_info", "uploaded_chunks", "upload_urls"]),
        inner, max_size=4),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_answer_breaks_a_reader(body: bytes) -> None:
    """Whatever comes back, a reader returns a value or raises Unreadable; an error reader returns one of our errors."""
    upload, wish = NewUpload("n", "url", url="https://x/y.mp4"), Question("k", "a", "Why?", None, 600, 0.3, "m")
    calls: list[Call[Any]] = [
        API.create_asset(upload), API.find_assets(upload, 1), OPENED, API.chunk_state(SESSION, 1),
        API.addresses(SESSION, 1, 1), API.report_chunks(SESSION, []), API.media("a"), API.media_by_ids(["a"]),
        API.submit_analysis(wish), API.find_analyses(wish, 1), API.analysis("t"),
        API.unfinished_analyses("queued", 1), API.check(),
    ]  # fmt: skip
    for call in calls:
        try:
            assert call.read(answer(body)) is not None
        except UnreadableAnswer:
            continue
    for status in (302, 400, 401, 404, 429, 500):
        assert isinstance(error(answer(body, status)), ReelmillError)


def test_what_was_lost_is_chosen_by_label_and_age() -> None:
    """The exact label, best not made before the intent; a failed one only if it is certainly younger."""

    def found(key: str, age: float | None, *, failed: bool = False, label: str = "n") -> FoundObject:
        return FoundObject(key, label, None if age is None else AT + age, failed)

    assert pick_by_label([found("old", -500), found("other", 5, label="N"), found("mine", 5)], "n", AT) == "mine"
    assert pick_by_label([found("skewed", -60)], "n", AT) == "skewed"
    # Our clock may have been put back after the intent was stored: nothing else carries our label.
    assert pick_by_label([found("old", -90_000), found("failure", 5, failed=True)], "n", AT) == "old"
    assert pick_by_label([found("old failure", -60, failed=True)], "n", AT) is None
    assert pick_by_label([found("failure", 5, failed=True), found("undated", None)], "n", AT) == "undated"
    assert pick_by_label([found("failure", 5, failed=True)], "n", AT) == "failure"


# -------------------------------------------------------------------------------------------------------------- errors

_KINDS = {"operator": NeedsOperator, "throttle": Throttled, "permanent": Permanent}


@pytest.mark.parametrize("code", sorted(MEANINGS))
@pytest.mark.parametrize("nested", [False, True])
def test_every_documented_code_has_its_class(code: str, nested: bool) -> None:
    """Flat or nested, a code on a 400 means what the table says, with words and detail."""
    flat = {"code": code, "message": "their words", "docs_url": "https://x"}
    found = error(answer({"error": flat} if nested else flat, 400))
    meaning = MEANINGS[code]
    assert type(found) is _KINDS.get(meaning.kind, Ambiguous)
    assert "their words" in found.trouble.detail
    assert "their words" not in found.trouble.message
    if meaning.kind in ("operator", "permanent"):
        assert (found.trouble.code, found.trouble.message) == (meaning.code, meaning.message)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"code": "par', b"[1]", b'{"error_code": 7, "message": "m"}', b'{"error": "m"}']
)
@pytest.mark.parametrize(("status", "safe", "unsafe"), [
    (400, Permanent, Permanent), (401, NeedsOperator, NeedsOperator), (403, NeedsOperator, NeedsOperator),
    (408, Transient, Ambiguous), (402, NeedsOperator, NeedsOperator), (409, Transient, Permanent), (421, Transient, Permanent),
    (423, Transient, Permanent), (451, Transient, Permanent), (413, Permanent, Permanent), (422, Permanent, Permanent),
    (429, Throttled, Throttled), (500, Transient, Ambiguous), (503, Transient, Ambiguous), (504, Transient, Ambiguous),
    (307, NeedsOperator, NeedsOperator), (600, Transient, Ambiguous),
])  # fmt: skip
def test_the_status_decides_whatever_the_body(
    body: bytes, status: int, safe: type[Exception], unsafe: type[Exception]
) -> None:
    """Flat, nested, integer, empty, HTML and cut bodies: the class comes from the status."""
    assert type(error(answer(body, status), GET)) is safe
    assert type(error(answer(body, status), POST)) is unsafe


@pytest.mark.parametrize("status", sorted({*range(400, 500)} - {400, 404, 405, 410, 413, 415, 422}))
def test_no_odd_answer_to_a_read_is_final(status: int) -> None:
    """What says nothing about the thing that was asked about is asked again, or is the operator's; deleting is no read."""
    for body in (b"", b"<html>", {"code": "conflict", "message": "m"}, {"code": "resource_not_exist", "message": "m"}):
        assert isinstance(error(answer(body, status), GET), Transient | NeedsOperator)
    deletion = Request("DELETE", "/x", safe=True)
    assert status != 409 or isinstance(error(answer(b"", status), deletion), Permanent)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_waits_for_minutes_at_most(status: int) -> None:
    """An hour, a week: a platform that is asked for a status may not put a video to sleep; what is paid for waits."""
    for wait in ("3600", "604800"):
        read, paid = (error(answer(b"", status, retry_after=wait), request) for request in (GET, POST))
        assert isinstance(read, Transient)
        assert read.after is not None
        assert 60 <= read.after <= 900
        assert not isinstance(paid, Throttled) or paid.after == float(wait)
    short = error(answer(b"", status, retry_after="17"), GET)
    assert isinstance(short, Transient)
    assert short.after == 17


def test_a_5xx_is_never_blamed_on_a_code() -> None:
    """A gateway's 502 that quotes a code is still a gateway's 502."""
    assert type(error(answer({"code": "insufficient_funds"}, 502))) is Ambiguous


def test_foreign_words_are_cut_and_clean() -> None:
    """At most 500 characters, on one line, without the query of an address."""
    text = "see https://s.invalid/p?sig=topsecret\n" + "x" * 9000
    found = error(answer({"code": "refused", "message": text}, 400))
    assert len(found.trouble.detail) <= 500
    assert "topsecret" not in found.trouble.detail
    assert "\n" not in found.trouble.detail


@pytest.mark.parametrize(("response", "wait"), [
    (answer({}, 429, retry_after_ms="1500", retry_after="9"), 1.5),
    (answer({}, 429, retry_after="9", x_ratelimit_reset=str(AT + 99)), 9),
    (answer({}, 429, retry_after="Sun, 22 Nov 2026 10:01:40 GMT"), 100),
    (answer({}, 429, retry_after="Sun, 22 Nov 2026 10:01:40 GMT", date="Sun, 22 Nov 2026 10:01:30 GMT"), 10),
    (answer({}, 429, retry_after="soon"), 7),
    (answer({"error": {"code": "RATE_LIMIT_EXCEEDED", "details": {"retryAfter": "60"}}}, 429), 60),
    (answer({"details": {"retry_after": 61}, "message": "wait 5 seconds"}, 429), 61),
    (answer({"code": "too_many_requests", "message": "100 requests per 60 seconds. Try again in 30 seconds."}, 429), 30),
    (answer({"message": "Please retry after 2 minutes"}, 429), 120),
    (answer({"message": "limit resets in about 1.5 hours"}, 429), 5400),
    (answer({"message": "wait 250ms"}, 429), 0.25),
    (answer({"message": "try again at 2026-11-22T10:00:45Z"}, 429), 45),
    (answer({"message": "you may do 8 requests per minute"}, 429), 7),
    (answer({"message": "You have exceeded the rate limit (3000req/1day)."}, 429), 7),
    (answer({"message": "Limit (8req/1min) exceeded. Please try again later after 2026-11-22T12:00:00Z."}, 429), 7200),
    (answer({"message": "300 minutes are used up. Please try again after 2026-11-22T10:00:45Z"}, 429), 45),
    (answer({"message": "retry"}, 429, x_ratelimit_reset=str(AT + 99)), 99),
    (answer({}, 429, x_ratelimit_reset=str(AT - 99)), 7),
    (answer(b"", 429), 7),
    (answer(b"<html>", 429, retry_after="-5"), 7),
    (answer({}, 429, retry_after="1e999"), 7),
    (answer({}, 429, retry_after="0"), 0.05),
    (answer({}, 429, retry_after="604800"), 7 * 86_400),
    (answer({}, 429, retry_after="99999999999"), 7),
    (answer({}, 429, retry_after="Tue, 22 Nov 2044 10:01:40 GMT"), 7),
    (answer({"details": {"retryAfter": 60}}, 429, retry_after="31536000"), 60),
])  # fmt: skip
def test_the_wait_of_a_429_is_found(response: Response, wait: float) -> None:
    """Milliseconds, seconds, date, details, words, reset, in this order; nonsense and years are passed over."""
    found = error(response)
    assert isinstance(found, Throttled)
    assert found.after == pytest.approx(wait)
    assert found.group == "analyze"


_ENDLESS = "1" + "0" * 400  #: digits that JSON may have and no float can hold


@pytest.mark.parametrize(
    "response",
    [
        answer(f'{{"code": "too_many_requests", "details": {{"retryAfter": {_ENDLESS}}}}}'.encode(), 429),
        answer(b"", 429, retry_after="Mon, 01 Jan 99999999999999999999 00:00:00 GMT"),
        answer(b"", 429, retry_after="Mon, 01 Jan 2024 00:00:00 +99999999999999999999"),
    ],
)
def test_a_wait_beyond_all_measure_is_none_named(response: Response) -> None:
    """No number and no date is so large that the reader fails over it."""
    found = error(response)
    assert isinstance(found, Throttled)
    assert found.after == 7.0


@pytest.mark.parametrize("length", ['"12.5"', "NaN", "{}", "[1]", "-5", "true", "1e999", _ENDLESS])
def test_a_length_that_is_none_is_not_taken_for_one(length: str) -> None:
    """Prices are reckoned with it and the database keeps it: what is no number of seconds is left out."""
    body = f'{{"_id": "a", "status": "ready", "duration": {length}, "size": {length}}}'
    assert API.media("a").read(answer(body.encode())).facts == {}

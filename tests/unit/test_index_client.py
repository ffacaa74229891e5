"""Indexes, search and classification in both dialects against a scripted server: pages, tokens, and every kind of end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import Ambiguous, ConfigError, InputError, NeedsOperator, Permanent, ReelmillError, Transient
from pipeline.ports.index_api import ClassifyQuery, ClassSpec, IndexApi, IndexSpec, ListFilter, SearchQuery
from pipeline.ports.video_api import NewUpload, Question
from pipeline.provider.client import TwelveLabs, open_api
from pipeline.provider.http.rate_limits import Unlimited
from tests.unit.test_index_dialects import INDEX, VIDEO, index
from tests.unit.test_provider_http import Script, client, ours, reply, scripted

APIS = pytest.mark.parametrize("api", ["v1.2", "v1.3"])


@asynccontextmanager
async def spoken(api: str, *answers: bytes | None) -> AsyncIterator[tuple[IndexApi, Script]]:
    """An index API of this dialect and a server that answers so."""
    async with scripted(*answers) as script, client(script.port, api=api) as provider:
        yield provider.index_api, script


def asked(script: Script, number: int = -1) -> tuple[str, str, dict[str, str]]:
    """Method, path and query of a request that was heard."""
    method, target, _ = script.heard[number].line.split(" ")
    parts = urlsplit(target)
    return method, parts.path, dict(parse_qsl(parts.query))


def page(data: list[Any], number: int = 1, pages: int = 1) -> bytes:
    """A page of a list."""
    return reply(200, {"data": data, "page_info": {"page": number, "total_page": pages, "total_results": len(data)}})


# -------------------------------------------------------------------------------------------------------- over HTTP


@APIS
@pytest.mark.asyncio
async def test_lists_are_read_to_their_end(api: str) -> None:
    """Page after page, and no page more; the name is compared exactly, whatever the platform does."""
    pages = [
        page([index(api, "1" * 24), index(api, "2" * 24, "films 2")], 1, 3),
        page([index(api, "3" * 24)], 2, 3),
        page([], 3, 3),
    ]
    async with spoken(api, *pages) as (index_api, script):
        assert [each.id[0] async for each in index_api.indexes(ListFilter(name="films"))] == ["1", "3"]
        assert [asked(script, number)[2]["page"] for number in range(len(script.heard))] == ["1", "2", "3"]
        assert asked(script)[:2] == ("GET", f"/{api}/indexes")


@APIS
@pytest.mark.asyncio
async def test_an_index_is_found_by_id_or_by_name(api: str) -> None:
    """What looks like an id is asked for first; what is neither is named in the error, with what to do."""
    async with spoken(api, reply(200, index(api))) as (index_api, script):
        assert (await index_api.index(INDEX)).name == "films"
        assert asked(script)[1] == f"/{api}/indexes/{INDEX}"
    async with spoken(api, page([index(api)])) as (index_api, script):
        assert (await index_api.index("films")).id == INDEX
        assert len(script.heard) == 1
    unknown = reply(400, {"code": "resource_not_exist", "message": "nope"})
    async with spoken(api, unknown, page([])) as (index_api, script):
        with pytest.raises(Permanent) as caught:
            await index_api.index("f" * 24)
        assert caught.value.trouble.code == "resource_not_exist"
        assert "f" * 24 in caught.value.trouble.message
        assert "reelmill indexes" in caught.value.trouble.remedy


@APIS
@pytest.mark.asyncio
async def test_an_index_that_is_there_is_not_made_again(api: str) -> None:
    """One list request, and nothing else is sent."""
    async with spoken(api, page([index(api)])) as (index_api, script):
        assert await index_api.create_index(IndexSpec("films")) == INDEX
        assert [heard.line.split(" ")[0] for heard in script.heard] == ["GET"]


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("end", [
    reply(201, {"_id": INDEX}),
    reply(400, {"code": "index_name_already_exists", "message": "taken"}),
    None,
    reply(503),
    reply(201, b"{"),
])  # fmt: skip
async def test_an_index_is_made_once_whatever_becomes_of_the_answer(api: str, end: bytes | None) -> None:
    """Made, made by another meanwhile, or made with the answer lost: asked by its name, and never posted twice."""
    async with spoken(api, page([]), end, page([index(api)])) as (index_api, script):
        assert await index_api.create_index(IndexSpec("films")) == INDEX
        assert sum(heard.line.startswith("POST") for heard in script.heard) == 1


@APIS
@pytest.mark.asyncio
async def test_an_index_that_is_not_listed_yet_is_tried_again_later(api: str) -> None:
    """The name is unique, so repeating is safe: transient, not ambiguous."""
    async with spoken(api, page([]), None, page([])) as (index_api, _):
        with pytest.raises(Transient) as caught:
            await index_api.create_index(IndexSpec("films"))
        assert caught.value.trouble.code == "index_not_listed"


@APIS
@pytest.mark.asyncio
async def test_deleting_what_is_absent_is_done(api: str) -> None:
    """204 and "unknown" are one; a lost answer is asked again; any other refusal is an error."""
    kind = "videos" if api == "v1.2" else "indexed-assets"
    unknown = reply(400, {"code": "resource_not_exist", "message": "no"})
    async with spoken(api, reply(204), None, unknown, reply(400, {"code": "strange"})) as (index_api, script):
        await index_api.delete_video(INDEX, VIDEO)
        assert asked(script)[:2] == ("DELETE", f"/{api}/indexes/{INDEX}/{kind}/{VIDEO}")
        await index_api.delete_index(INDEX)
        assert asked(script)[:2] == ("DELETE", f"/{api}/indexes/{INDEX}")
        with pytest.raises(Permanent):
            await index_api.delete_index(INDEX)
        assert len(script.heard) == 4


def hits(api: str, count: int, token: str = "", first: int = 0) -> bytes:
    """A page of hits."""
    score = {"score": 84.0, "confidence": "high", "metadata": []} if api == "v1.2" else {"rank": 1}
    data = [{"video_id": VIDEO, "start": at, "end": at + 1, **score} for at in range(first, first + count)]
    info = {"total_results": 73, "next_page_token": token}
    return reply(200, {"data": data, "page_info": info, "search_pool": {"total_count": 9, "total_duration": 60.5}})


@APIS
@pytest.mark.asyncio
async def test_a_search_follows_tokens_as_far_as_it_needs(api: str) -> None:
    """As many pages as the limit takes, each once; the pages as received are kept; the count is the provider's."""
    async with spoken(api, hits(api, 50, "t/2"), hits(api, 50, "t3", 50), hits(api, 50, "t4", 100)) as (
        index_api,
        script,
    ):
        found = await index_api.search(SearchQuery(INDEX, "x", options=("visual",), limit=120))
        assert [hit.start for hit in found.hits] == [float(at) for at in range(120)]
        assert (found.total, found.pool_videos, found.pool_seconds, len(found.raw)) == (73, 9, 60.5, 3)
        paths = [asked(script, number)[:2] for number in range(3)]
        assert paths == [("POST", f"/{api}/search"), ("GET", f"/{api}/search/t%2F2"), ("GET", f"/{api}/search/t3")]
        assert len(script.heard) == 3
    async with spoken(api, hits(api, 10, "same"), hits(api, 10, "same", 10)) as (index_api, script):
        assert len((await index_api.search(SearchQuery(INDEX, "x", options=("visual",), limit=500))).hits) == 20
        assert len(script.heard) == 2


@APIS
@pytest.mark.asyncio
async def test_a_search_without_options_uses_all_that_the_index_has(api: str) -> None:
    """The index is asked what it was made with; one that cannot be searched is refused before anything is paid."""
    async with spoken(api, reply(200, index(api)), hits(api, 1)) as (index_api, script):
        await index_api.search(SearchQuery(INDEX, "x"))
        sent = script.heard[-1].body
        wanted = (b'"search_options":["visual","conversation"]',) if api == "v1.2" else (b"audio", b"transcription")
        assert all(each in sent for each in wanted)
    bare = {**index(api), "engines": [], "models": [{"model_name": "pegasus1.2", "model_options": ["visual"]}]}
    async with spoken(api, reply(200, bare)) as (index_api, script):
        with pytest.raises(Permanent) as caught:
            await index_api.search(SearchQuery(INDEX, "x"))
        assert caught.value.trouble.code == "index_not_supported_for_search"
        assert len(script.heard) == 1


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("end", [None, reply(500), reply(200, b"<html>"), reply(200, {"data": None})])
async def test_a_lost_answer_of_a_search_is_not_asked_for_again_by_itself(api: str, end: bytes | None) -> None:
    """It may have been billed: one request, and the caller decides."""
    async with spoken(api, end) as (index_api, script):
        with pytest.raises(Ambiguous):
            await index_api.search(SearchQuery(INDEX, "x", options=("visual",)))
        assert len(script.heard) == 1


@APIS
@pytest.mark.asyncio
async def test_a_later_page_is_free_and_simply_asked_for_again(api: str) -> None:
    """A broken connection between two pages costs nothing."""
    async with spoken(api, hits(api, 1, "t2"), None, reply(502), hits(api, 1, "", 1)) as (index_api, script):
        found = await index_api.search(SearchQuery(INDEX, "x", options=("visual",)))
        assert ([hit.start for hit in found.hits], len(script.heard)) == ([0.0, 1.0], 4)


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("end", [
    reply(400, {"code": "search_page_token_expired", "message": "too late"}),
    reply(400, {"error_code": 1234, "message": "too late"}),
    reply(404, {"code": "resource_not_exist", "message": "too late"}),
    reply(410, {"code": "gone", "message": "too late"}),
    reply(400, {"code": "parameter_invalid", "message": "too late"}),
])  # fmt: skip
async def test_an_expired_page_says_so(api: str, end: bytes) -> None:
    """In whatever words the platform puts it: one code, its own words in the detail, and what to do."""
    async with spoken(api, hits(api, 1, "t2"), end) as (index_api, _):
        with pytest.raises(Permanent) as caught:
            await index_api.search(SearchQuery(INDEX, "x", options=("visual",)))
        trouble = caught.value.trouble
        assert trouble.code == "search_page_token_expired"
        assert "too late" in trouble.detail
        assert trouble.remedy


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize(("end", "kind", "code", "words"), [
    (reply(400, {"code": "search_option_not_supported", "message": "logo"}), Permanent, "search_option_not_supported",
     "by one of these options"),
    (reply(400, {"code": "index_not_supported_for_search", "message": "logo"}), Permanent,
     "index_not_supported_for_search", "without a model for search"),
    (reply(400, {"code": "resource_not_exist", "message": "logo"}), Permanent, "resource_not_exist", "no such index"),
    (reply(400, {"code": "search_filter_invalid", "message": "logo"}), Permanent, "search_filter_invalid", "filter"),
    (reply(400, {"code": "not_supported_by_local_platform", "message": "logo"}), Permanent,
     "not_supported_by_local_platform", "cannot do this"),
    (reply(400, {"code": "usage_limit_exceeded", "message": "logo"}), NeedsOperator, "no_credit", "credit"),
    (reply(401, {"code": "api_key_invalid", "message": "logo"}), NeedsOperator, "key_refused", "API key"),
    (reply(429, b"", "Retry-After: 60"), Transient, "rate_limited", "rate limit"),
])  # fmt: skip
async def test_every_refusal_of_a_search_has_its_class(
    api: str, end: bytes, kind: type[ReelmillError], code: str, words: str
) -> None:
    """A plain sentence of ours, the platform's own code and words in the detail."""
    async with spoken(api, end) as (index_api, _):
        with pytest.raises(kind) as caught:
            await index_api.search(SearchQuery(INDEX, "x", options=("visual",)))
        trouble = caught.value.trouble
        assert trouble.code == code
        assert words in trouble.message
        assert "logo" in trouble.detail or kind is Transient


def classified(count: int, token: str = "") -> bytes:
    """A page of classified videos."""
    one = [{"name": "Ball", "score": 90.0, "duration_ratio": 0.5}]
    return reply(200, {
        "data": [{"video_id": f"{number:024}", "classes": one} for number in range(count)],
        "page_info": {"next_page_token": token, "total_results": count},
    })  # fmt: skip


@pytest.mark.asyncio
async def test_images_are_streamed_from_disk(tmp_path: Path) -> None:
    """Several files in one form, byte for byte, each under its name; one that is missing is noticed before paying."""
    pictures = {"a.png": bytes(range(256)) * 5000, "b.jpg": b"--reelmill\r\n"}
    for name, content in pictures.items():
        (tmp_path / name).write_bytes(content)
    query = SearchQuery(INDEX, images=[tmp_path / name for name in pictures], options=("visual",))
    async with spoken("v1.3", hits("v1.3", 1)) as (index_api, script):
        await index_api.search(query)
        body = script.heard[0].body
        assert script.heard[0].headers["content-type"].startswith("multipart/form-data; boundary=")
        for name, content in pictures.items():
            head = f'name="query_media_file"; filename="{name}"\r\n'.encode()
            assert body.count(head) == 1
            assert body.split(head)[1].split(b"\r\n\r\n", 1)[1].startswith(content + b"\r\n--")
        assert b'name="query_text"' not in body
    async with spoken("v1.3", hits("v1.3", 1)) as (index_api, script):
        with pytest.raises(InputError):
            await index_api.search(replace(query, images=[tmp_path / "missing.png"]))
        assert script.heard == []


@pytest.mark.asyncio
async def test_a_classification_follows_its_pages() -> None:
    """``GET /classify/{token}`` until the limit; a lost first answer is the caller's to decide."""
    wish = ClassifyQuery([ClassSpec("Ball", ["a"])], INDEX, limit=5)
    async with spoken("v1.2", classified(3, "n2"), classified(3)) as (index_api, script):
        assert len(await index_api.classify(wish)) == 5
        assert asked(script)[:2] == ("GET", "/v1.2/classify/n2")
    async with spoken("v1.2", None) as (index_api, script):
        with pytest.raises(Ambiguous):
            await index_api.classify(wish)
        assert len(script.heard) == 1


@pytest.mark.asyncio
async def test_more_than_a_hundred_prompts_are_refused_by_the_platform_and_explained_by_us() -> None:
    """The platform decides; the sentence says how many there are and how many may be."""
    wish = ClassifyQuery([ClassSpec("A", ["p"] * 60), ClassSpec("B", ["p"] * 41)], INDEX)
    refused = reply(400, {"code": "parameter_invalid", "message": "The classes parameter is invalid."})
    async with spoken("v1.2", refused) as (index_api, script):
        with pytest.raises(Permanent) as caught:
            await index_api.classify(wish)
        trouble = caught.value.trouble
        assert (trouble.code, len(script.heard)) == ("parameter_invalid", 1)
        assert "100 prompts" in trouble.message
        assert "101" in trouble.message
        assert "parameter_invalid The classes parameter is invalid." in trouble.detail


@pytest.mark.asyncio
async def test_what_an_api_has_no_call_for_is_said_without_a_request() -> None:
    """v1.3 classifies by a job; v1.2 puts no upload into an index, because it made it there."""
    async with spoken("v1.3", reply(500)) as (new, script):
        with pytest.raises(Permanent) as caught:
            await new.classify(ClassifyQuery([ClassSpec("A", ["p"])], INDEX))
        assert caught.value.trouble.code == "not_in_this_api"
        assert "`classify` job" in caught.value.trouble.remedy
        assert script.heard == []
    async with spoken("v1.2", reply(500)) as (old, script):
        for call in (old.index_asset(INDEX, "a", {}), old.find_indexed(INDEX, "a")):
            with pytest.raises(Permanent) as caught:
                await call
            assert caught.value.trouble.code == "not_in_this_api"
        assert script.heard == []


@pytest.mark.asyncio
async def test_an_asset_goes_into_an_index_and_is_found_there() -> None:
    """One request, not repeated; found by the asset, and only in this very index."""
    async with spoken("v1.3", reply(202, {"_id": VIDEO, "asset_id": "a1"})) as (index_api, script):
        assert await index_api.index_asset(INDEX, "a1", {"reelmill_key": "k", "big": 2**60}) == VIDEO
        assert asked(script)[:2] == ("POST", f"/v1.3/indexes/{INDEX}/indexed-assets")
        sent = json.loads(script.heard[0].body)
        assert sent["user_metadata"] == {"reelmill_key": "k", "big": str(2**60)}
        assert (sent["asset_id"], sent["enable_video_stream"]) == ("a1", False)
    async with spoken("v1.3", None) as (index_api, script):
        with pytest.raises(Ambiguous):
            await index_api.index_asset(INDEX, "a1", {})
        assert len(script.heard) == 1
    places = [{"_id": "other", "index": {"_id": "9" * 24}}, {"_id": VIDEO, "index": {"_id": INDEX, "index_name": "f"}}]
    async with spoken("v1.3", page(places[:1], 1, 2), page(places[1:], 2, 2)) as (index_api, script):
        assert await index_api.find_indexed(INDEX, "a1") == VIDEO
        assert asked(script)[:2] == ("GET", "/v1.3/assets/a1/indexed-assets")
    async with spoken("v1.3", page(places[:1])) as (index_api, _):
        assert await index_api.find_indexed(INDEX, "a1") is None


@APIS
@pytest.mark.asyncio
async def test_one_video_of_an_index_can_be_asked_about(api: str) -> None:
    """With its status; an unknown one is a permanent trouble that says how to look."""
    system = {"filename": "f.mp4", "duration": 1.0}
    shown = {"_id": VIDEO, "status": "pending", "metadata": system, "system_metadata": system}
    async with spoken(api, reply(200, shown), reply(404, {"code": "resource_not_exist"})) as (index_api, _):
        video = await index_api.indexed(INDEX, VIDEO)
        assert (video.id, video.filename) == (VIDEO, "f.mp4")
        with pytest.raises(Permanent) as caught:
            await index_api.indexed(INDEX, VIDEO)
        assert caught.value.trouble.code == "resource_not_exist"
        assert "no such video" in caught.value.trouble.message


# ------------------------------------------------------------------------------------------- the client speaking v1.2

UPLOAD = NewUpload(
    "u.mp4", "external", url="https://youtu.be/DXB4MApF4Lo", index_id=INDEX, since=1_697_045_288.0, title="T"
)
WISH = Question("k", VIDEO, "p", None, 1, 0.2, "m", legacy={"path": "/gist", "body": {"types": ["title"]}})


@asynccontextmanager
async def old(*answers: bytes | None) -> AsyncIterator[tuple[TwelveLabs, Script]]:
    """Our client speaking v1.2 to a scripted server."""
    async with scripted(*answers) as script, client(script.port, api="v1.2") as api:
        yield api, script


def task(key: str, word: str, at: str = "2023-10-11T17:28:09Z", name: str = "T") -> dict[str, Any]:
    """An indexing task in a list."""
    return {"_id": key, "status": word, "created_at": at, "metadata": {"filename": name, "duration": 9}}


@pytest.mark.asyncio
@pytest.mark.parametrize("gone", [
    reply(404), reply(410), reply(404, b"<html>"), reply(404, {"code": "not_found", "message": "no route"}),
    reply(400, {"code": "api_upgrade_required", "message": "upgrade"}),
])  # fmt: skip
async def test_a_retired_api_is_the_operator_s_matter_in_every_call(gone: bytes) -> None:
    """Uploads, questions, searches and lists: no video is blamed, and the remedy names the setting."""
    async with old(gone) as (api, _):
        index_api = api.index_api
        search, wish = SearchQuery(INDEX, "x", options=("visual",)), ClassifyQuery([ClassSpec("A", ["p"])], INDEX)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: api.create_asset(UPLOAD, ours), lambda: api.find_asset(UPLOAD), lambda: api.media("x"),
            lambda: api.submit_analysis(WISH, ours), api.check, lambda: index_api.create_index(IndexSpec("n")),
            lambda: index_api.search(search), lambda: index_api.classify(wish), lambda: index_api.delete_index(INDEX),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(NeedsOperator) as caught:
                await call()
            assert caught.value.trouble.code == "api_retired"
            assert 'provider.api = "v1.3"' in caught.value.trouble.remedy


@pytest.mark.asyncio
async def test_v1_2_keeps_nothing_that_could_be_asked_for() -> None:
    """Answers come at once; whether one was given cannot be asked, and no request is made for it."""
    async with old(reply(200, {"id": "1", "title": "T"})) as (api, script):
        answered = await api.submit_analysis(WISH, ours)
        assert not isinstance(answered, str)
        assert json.loads(answered.text) == {"id": "1", "title": "T"}
        with pytest.raises(Ambiguous, match=r"v1\.2 cannot be asked"):
            await api.find_analysis(WISH)
        with pytest.raises(Permanent):
            await api.open_session(UPLOAD, ours)
        assert len(script.heard) == 1


@pytest.mark.asyncio
async def test_a_lost_external_video_is_found_newest_first() -> None:
    """The list is read until it comes to what is older than the intent, and not to its end."""
    date = "Date: Wed, 11 Oct 2023 17:30:00 GMT"
    newer = page([task("other", "ready", name="Another"), task("ours", "queued")], 1, 900)
    older = page([task("old", "ready", "2023-10-10T00:00:00Z")], 2, 900)
    stamped = [
        answer.replace(b"\r\nContent-Length", f"\r\n{date}\r\nContent-Length".encode()) for answer in (newer, older)
    ]
    async with old(*stamped) as (api, script):
        # The platform's clock is three years behind ours: ages are compared by its own.
        late = replace(UPLOAD, since=api.clock.now() - 60)
        assert await api.find_asset(late) == "ours"
        assert len(script.heard) == 2


@asynccontextmanager
async def client_at(base_url: str, api: str) -> AsyncIterator[TwelveLabs]:
    """A client of this address."""
    settings = Settings.model_validate({"provider": {"api": api}})
    provider = open_api(
        settings, base_url=base_url, key="k", identity="t", limiter=Unlimited(), clock=SystemClock(), rng=Random(1),
        local=False,
    )  # fmt: skip
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.mark.asyncio
async def test_a_base_address_of_another_version_is_a_wrong_configuration() -> None:
    """Or every call would be taken for a retired API."""
    for api, path in (("v1.2", "v1.3"), ("v1.3", "v1.2")):
        with pytest.raises(ConfigError, match="base_url"):
            async with client_at(f"http://127.0.0.1:1/{path}", api):
                pass

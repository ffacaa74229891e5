"""Our client against the embedded platform, over real HTTP: what ``ports.VideoApi`` promises, with and without faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import (
    Ambiguous,
    InputError,
    LostLease,
    NeedsOperator,
    Permanent,
    ReelmillError,
    Throttled,
    Transient,
)
from pipeline.local.platform import LocalPlatform
from pipeline.ports.video_api import AnalysisStatus, MediaStatus, NewUpload, Question
from pipeline.provider.client import TwelveLabs, open_api
from pipeline.provider.http.rate_limits import Unlimited
from tests.contract.platform_double import SMALL, TOKEN, VIDEO, Canned, platform

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


class Hurried(SystemClock):
    """Real time, but whoever sleeps is woken early: what is waited for are facts."""

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / 100)


def requests(served: LocalPlatform) -> int:
    """How many requests the platform has seen."""
    return sum(served.counters.routes.values())


def accepted(served: LocalPlatform, effect: str) -> int:
    """How many calls of this effect the platform carried out."""
    return len(served.ledger.entries(effect))


def ours() -> None:
    """The lease holds."""


@asynccontextmanager
async def pair(
    folder: Path, key: str = TOKEN, speaks: str = "v1.3", **options: Any
) -> AsyncIterator[tuple[TwelveLabs, LocalPlatform]]:
    """A platform and our client of it, in one of the dialects."""
    settings = Settings.model_validate({"provider": {"api": speaks}})
    async with platform(folder / "platform", **options) as (served, _):
        api = open_api(
            settings, base_url=served.base_url, key=key, identity=f"local/{speaks}", limiter=Unlimited(),
            clock=Hurried(), rng=Random(7), local=True,
        )  # fmt: skip
        try:
            yield api, served
        finally:
            await api.aclose()


def film(folder: Path, content: bytes = VIDEO, name: str = "film.mp4", **more: Any) -> NewUpload:
    """A file, and the wish to upload it directly."""
    path = folder / name
    path.write_bytes(content)
    return NewUpload(name=f"unique-{name}", method="direct", size=len(content), path=path, **more)


def question(media_id: str, key: str = "video-1_gist", **more: Any) -> Question:
    """A question with a schema."""
    wish = Question(key, media_id, "Give it a title.", SCHEMA, 2048, 0.2, "pegasus1.5")
    return replace(wish, **more)


async def settled(api: TwelveLabs, media_id: str) -> MediaStatus:
    """Look until the upload is final."""
    with anyio.fail_after(10):
        while True:
            status = await api.media(media_id)
            if status.state != "working":
                return status
            await Hurried().sleep(status.look_again)


async def answered(api: TwelveLabs, wish: Question, task_id: str) -> AnalysisStatus:
    """Look until the analysis is final."""
    with anyio.fail_after(10):
        while True:
            status = await api.analysis(wish, task_id)
            if status.state != "working":
                return status
            await Hurried().sleep(status.look_again)


async def uploaded(api: TwelveLabs, folder: Path) -> str:
    """Upload a film and wait until it is ready."""
    media_id = await api.create_asset(film(folder), ours)
    assert (await settled(api, media_id)).state == "ready"
    return media_id


@pytest.mark.asyncio
async def test_a_video_goes_from_file_to_answer(tmp_path: Path) -> None:
    """Upload, settle, ask, answer: the answer is exactly what the platform sent, and can be found again by its key."""
    async with pair(tmp_path) as (api, _):
        upload = film(tmp_path, metadata={"sha256": "ab", "minutes": 1.5, "big": 2**60})
        media_id = await api.create_asset(upload, ours)
        status = await settled(api, media_id)
        assert (status.state, status.facts["duration"], status.facts["width"]) == ("ready", 60.0, 1280)
        wish = question(media_id)
        task_id = await api.submit_analysis(wish, ours)
        assert isinstance(task_id, str)
        found = (await answered(api, wish, task_id)).answer
        assert found is not None
        assert json.loads(found.text) == {"title": "text"}
        assert (found.finish_reason, found.raw["custom_id"]) == ("stop", wish.key)
        assert found.usage["output_tokens"] > 0
        assert await api.find_analysis(wish) == task_id
        assert await api.find_analysis(question(media_id, key="another")) is None


@pytest.mark.asyncio
async def test_only_the_exact_name_is_ours(tmp_path: Path) -> None:
    """The platform finds by fragment and ignores case; we take the one name that is ours, on whatever page it is."""
    async with pair(tmp_path) as (api, _):
        mine = film(tmp_path, name="a.mp4")
        assert await api.find_asset(mine) is None
        media_id = await api.create_asset(mine, ours)
        for number in range(52):
            await api.create_asset(replace(mine, name=f"{mine.name}-{number}"), ours)
        await api.create_asset(replace(mine, name=mine.name.upper()), ours)
        assert await api.find_asset(mine) == media_id


@pytest.mark.asyncio
async def test_an_answer_lost_after_the_upload_is_ambiguous_and_can_be_found(tmp_path: Path) -> None:
    """The connection breaks after the platform accepted: we say that we do not know, and asking brings the id."""
    rules = [{"match": "POST /v1.3/assets$", "do": "reset_after", "nth": 1}]
    async with pair(tmp_path, rules=rules) as (api, served):
        upload = film(tmp_path)
        with pytest.raises(Ambiguous):
            await api.create_asset(upload, ours)
        found = await api.find_asset(upload)
        assert found is not None
        assert (await settled(api, found)).state == "ready"
        assert accepted(served, "asset_created") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("do", ["reset_after", "reset_before", "truncate", "malformed"])
async def test_a_paid_call_is_never_repeated_by_itself(tmp_path: Path, do: str) -> None:
    """However the answer of a paid call is lost, it is sent once, reported as ambiguous, and found if it was accepted."""
    rules = [{"match": "POST /v1.3/analyze/tasks$", "do": do, "nth": 1}]
    async with pair(tmp_path, rules=rules) as (api, served):
        wish = question(await uploaded(api, tmp_path))
        with pytest.raises(Ambiguous):
            await api.submit_analysis(wish, ours)
        paid = accepted(served, "analyze_task_created")
        assert paid == (0 if do == "reset_before" else 1)
        assert (await api.find_analysis(wish) is not None) == bool(paid)


@pytest.mark.asyncio
@pytest.mark.parametrize("rule", [
    {"do": "status", "status": 503, "body": "empty"},
    {"do": "status", "status": 500, "body": "html"},
    {"do": "reset_before"},
    {"do": "truncate"},
    {"do": "malformed"},
])  # fmt: skip
async def test_reading_is_repeated_until_it_works(tmp_path: Path, rule: dict[str, Any]) -> None:
    """A safe call rides over two failures of any kind within one step."""
    rules = [{"match": "GET /v1.3/assets", "times": 2, **rule}]
    async with pair(tmp_path) as (api, _):
        await uploaded(api, tmp_path)
    async with pair(tmp_path, rules=rules) as (api, _):
        assert await api.find_asset(film(tmp_path)) is not None


@pytest.mark.asyncio
async def test_an_outage_ends_as_transient(tmp_path: Path) -> None:
    """When the short retries are used up, a safe call says: later."""
    rules = [{"match": "GET /v1.3/indexes", "do": "status", "status": 503}]
    async with pair(tmp_path, rules=rules) as (api, served):
        with pytest.raises(Transient, match="503") as caught:
            await api.check()
        assert not caught.value.untouched
        assert requests(served) >= 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "hint", ["retry-after", "retry-after-date", "retry-after-ms", "ratelimit", "details", "message"]
)
async def test_a_429_names_its_wait_in_every_way(tmp_path: Path, hint: str) -> None:
    """Wherever the platform puts the time, the error carries it; and nothing was accepted."""
    body = "nested" if hint == "details" else "flat"
    rule = {"match": "POST /v1.3/assets$", "do": "status", "status": 429, "seconds": 90, "hint": hint, "body": body}
    async with pair(tmp_path, rules=[rule], clock=SystemClock()) as (api, _):
        with pytest.raises(Throttled) as caught:
            await api.create_asset(film(tmp_path), ours)
        assert caught.value.after == pytest.approx(90, abs=3)
        assert (caught.value.group, caught.value.untouched) == ("assets", True)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["flat", "nested", "integer", "empty", "html"])
async def test_errors_are_read_in_every_shape(tmp_path: Path, body: str) -> None:
    """The status decides, whatever the body looks like."""
    rule = {"match": "POST /v1.3/analyze/tasks$", "do": "status", "status": 422, "body": body}
    async with pair(tmp_path, rules=[rule]) as (api, _):
        with pytest.raises(Permanent):
            await api.submit_analysis(question(await uploaded(api, tmp_path)), ours)


@pytest.mark.asyncio
@pytest.mark.parametrize(("do", "code"), [("credit", "no_credit"), ("key", "key_refused")])
async def test_the_account_is_blamed_not_the_video(tmp_path: Path, do: str, code: str) -> None:
    """Lack of credit is a 400 and a bad key a 401; both need the operator."""
    async with pair(tmp_path, rules=[{"match": "POST /v1.3/analyze/tasks$", "do": do}]) as (api, _):
        with pytest.raises(NeedsOperator) as caught:
            await api.submit_analysis(question(await uploaded(api, tmp_path)), ours)
        assert caught.value.trouble.code == code


@pytest.mark.asyncio
async def test_a_wrong_key_is_said_by_the_check_and_never_shown(tmp_path: Path) -> None:
    """``check`` fails with what is wrong; the key is in none of the words."""
    async with pair(tmp_path, key="a-key-that-is-wrong") as (api, _):
        with pytest.raises(NeedsOperator) as caught:
            await api.check()
        assert "a-key-that-is-wrong" not in str(caught.value.trouble)
    async with pair(tmp_path) as (api, _):
        assert (await api.check())["api"] == "v1.3"


@pytest.mark.asyncio
async def test_a_lost_lease_sends_nothing(tmp_path: Path) -> None:
    """The lease is checked right before the bytes: if it is gone, the platform hears nothing."""

    def gone() -> None:
        raise LostLease("another worker has it")

    async with pair(tmp_path) as (api, served):
        media_id = await uploaded(api, tmp_path)
        before = requests(served)
        upload = film(tmp_path, name="b.mp4")
        calls = [
            api.create_asset(upload, gone),
            api.open_session(upload, gone),
            api.submit_analysis(question(media_id), gone),
        ]
        for call in calls:
            with pytest.raises(LostLease):
                await call
        assert requests(served) == before


@pytest.mark.asyncio
async def test_broken_files_and_unknown_ids_end(tmp_path: Path) -> None:
    """A file that the platform cannot read is failed; an id it does not know is gone."""
    async with pair(tmp_path) as (api, _):
        media_id = await api.create_asset(film(tmp_path, b"broken bytes"), ours)
        status = await settled(api, media_id)
        assert (status.state, bool(status.message)) == ("failed", True)
        assert (await api.media("0" * 24)).state == "gone"
        assert (await api.analysis(question(media_id), "1" * 24)).state == "gone"


@pytest.mark.asyncio
async def test_a_cut_answer_is_handed_over_as_cut(tmp_path: Path) -> None:
    """``finish_reason=length`` is no error here: who asked decides what to do with half an answer."""
    async with pair(tmp_path, analyzer=Canned("word " * 5000)) as (api, _):
        wish = question(await uploaded(api, tmp_path), schema=None, max_tokens=512)
        task_id = await api.submit_analysis(wish, ours)
        assert isinstance(task_id, str)
        answer = (await answered(api, wish, task_id)).answer
        assert answer is not None
        assert (answer.finish_reason, bool(answer.warning)) == ("length", True)


@pytest.mark.asyncio
async def test_an_unknown_status_is_working(tmp_path: Path) -> None:
    """A word that nobody told us about is neither success nor failure."""
    rules = [
        {"match": "GET /v1.3/assets", "do": "unknown_status", "times": 1},
        {"match": "POST /v1.3/assets$", "do": "stuck"},
    ]
    async with pair(tmp_path, rules=rules) as (api, _):
        status = await api.media(await api.create_asset(film(tmp_path), ours))
        assert (status.state, status.word) == ("working", "reviewing")


@pytest.mark.asyncio
async def test_many_askers_share_list_requests(tmp_path: Path) -> None:
    """Sixty stuck uploads looked at together cost two list requests, not sixty."""
    async with pair(tmp_path, rules=[{"match": "POST /v1.3/assets$", "do": "stuck"}]) as (api, served):
        upload = film(tmp_path)
        ids = [await api.create_asset(replace(upload, name=f"n{number}"), ours) for number in range(60)]
        before = requests(served)
        async with anyio.create_task_group() as group:
            for media_id in ids:
                group.start_soon(api.media, media_id)
        assert requests(served) - before == 2


# ------------------------------------------------------------------------------------------------- multipart sessions

BIG = bytes(range(256)) * 40 + b"the end"  # 10,247 bytes: eleven chunks of 1,000


@pytest.mark.asyncio
async def test_a_session_puts_the_file_together_byte_by_byte(tmp_path: Path) -> None:
    """All chunks arrive, each byte counted once, and the platform sees the very file."""
    async with pair(tmp_path, limits=SMALL) as (api, served):
        upload = replace(film(tmp_path, BIG), method="multipart")
        session = await api.open_session(upload, ours)
        assert session.total_chunks == 11
        confirmed: list[int] = []
        assert upload.path is not None
        await api.send_chunks(session, upload.path, confirmed.append)
        assert sum(confirmed) == len(BIG)
        assert (await settled(api, session.asset_id)).state == "ready"
        stored = [path for path in (tmp_path / "platform").rglob("*") if path.is_file()]
        assert sha256(BIG).digest() in {sha256(path.read_bytes()).digest() for path in stored}
        before = requests(served)
        await api.send_chunks(session, upload.path, confirmed.append)
        assert (sum(confirmed), requests(served) - before) == (len(BIG), 1)


@pytest.mark.asyncio
async def test_a_resumed_session_sends_only_what_is_missing(tmp_path: Path) -> None:
    """The storage fails for good after some chunks; the next run sends the rest and no confirmed byte again."""
    rules = [{"match": "PUT /_storage.*(5|6)(\\?|$)", "do": "status", "status": 403, "times": 10}]
    async with pair(tmp_path, limits=SMALL, rules=rules) as (api, _):
        upload = replace(film(tmp_path, BIG), method="multipart")
        assert upload.path is not None
        session = await api.open_session(upload, ours)
        first: list[int] = []
        with pytest.raises(ReelmillError):
            await api.send_chunks(session, upload.path, first.append)
        assert 0 < sum(first) < len(BIG)
        second: list[int] = []
        await api.send_chunks(session, upload.path, second.append)
        assert sum(first) + sum(second) == len(BIG)
        assert (await settled(api, session.asset_id)).state == "ready"


@pytest.mark.asyncio
async def test_a_dead_session_and_a_changed_file_are_told_apart(tmp_path: Path) -> None:
    """An unknown session asks for a new one; another file size blames the file."""
    async with pair(tmp_path, limits=SMALL) as (api, _):
        upload = replace(film(tmp_path, BIG), method="multipart")
        assert upload.path is not None
        session = await api.open_session(upload, ours)
        with pytest.raises(Permanent) as expired:
            await api.send_chunks(replace(session, upload_id="unknown"), upload.path, lambda _: None)
        assert expired.value.trouble.code == "session_expired"
        upload.path.write_bytes(BIG * 2)
        with pytest.raises(InputError) as changed:
            await api.send_chunks(session, upload.path, lambda _: None)
        assert changed.value.trouble.code == "file_changed"


@pytest.mark.asyncio
async def test_an_analysis_is_cancelled_unless_it_has_ended(tmp_path: Path) -> None:
    """Once and twice; what is answered keeps its answer, and what is unknown is gone."""
    rules = [{"match": "POST /v1.3/analyze/tasks$", "do": "stuck", "nth": 1}]
    async with pair(tmp_path, rules=rules) as (api, _):
        media = await uploaded(api, tmp_path)
        stuck, done = question(media, key="rm-1"), question(media, key="rm-2")
        first = await api.submit_analysis(stuck, ours)
        second = await api.submit_analysis(done, ours)
        assert isinstance(first, str)
        assert isinstance(second, str)
        assert (await answered(api, done, second)).state == "ready"
        for _ in range(2):
            ended = await api.cancel_analysis(stuck, first)
            assert (ended.status.state, ended.status.code, ended.refused) == ("canceled", "user_canceled", None)
        kept = (await api.cancel_analysis(done, second)).status
        assert kept.answer is not None
        assert (kept.state, json.loads(kept.answer.text)) == ("ready", {"title": "text"})
        assert (await api.cancel_analysis(done, "0" * 24)).status.state == "gone"


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (405, ""), (403, "api_not_allowed")])
async def test_where_nothing_can_be_cancelled_it_goes_on(tmp_path: Path, status: int, code: str) -> None:
    """An older platform, or a plan without it: it says so once, and is not asked again."""
    cancel = {"match": "POST /v1.3/analyze/tasks/.*/cancel$", "do": "status", "status": status, "code": code}
    async with pair(tmp_path, rules=[{"match": "POST /v1.3/analyze/tasks$", "do": "stuck"}, cancel]) as (api, served):
        media = await uploaded(api, tmp_path)
        asked = question(media)
        task_id = await api.submit_analysis(asked, ours)
        assert isinstance(task_id, str)
        before = requests(served)
        for _ in range(3):
            found = await api.cancel_analysis(asked, task_id)
            assert found.status.state == "working"
            assert found.refused is not None
        assert requests(served) - before == 4


@pytest.mark.asyncio
async def test_what_was_heard_is_read_where_there_is_something(tmp_path: Path) -> None:
    """Lines with their times, once the upload is ready; without captions the local platform has none."""
    async with pair(tmp_path) as (api, _):
        captions = "Bees fly.\nThey work."
        spoken = await api.create_asset(film(tmp_path, metadata={"captions": captions}), ours)
        silent = await api.create_asset(film(tmp_path, b"another" * 9, "silent.mp4"), ours)
        for media in (spoken, silent):
            await settled(api, media)
        heard = await api.transcription(spoken)
        assert heard.state == "ready"
        assert [(each.start, each.end, each.text) for each in heard.sentences] == [
            (0.0, 2.0, "Bees fly."),
            (2.0, 4.0, "They work."),
        ]
        assert [each.text for each in heard.words] == ["Bees", "fly.", "They", "work."]
        assert (await api.transcription(silent)).state == "none"
        assert (await api.transcription("0" * 24)).state == "none"

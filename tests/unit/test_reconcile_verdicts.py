"""What becomes of a thing in the account: the whole rule as tables, and what must hold for any of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.app.account.disposition import Disposition, LocalRecord, classify
from pipeline.core.model import Lane, State, Task
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.remote_names import (
    analysis_digest,
    build_upload_name,
    matches_owner,
    parse_custom_id,
    parse_upload_name,
    upload_digest,
)
from pipeline.ingest.request_builder import build_question
from pipeline.ports.inventory import RemoteObject

HERE, ELSEWHERE = "twelvelabs/v1.3", "local/v1.3"
KEY = "sha256:" + "a" * 64
MADE, DAY = 1_800_000_000.0, 86_400.0  #: when the database first heard of the video
UNFINISHED = (State.PENDING, State.RUNNING, State.HELD)


def named(generation: int = 0, key: str = KEY) -> str:
    """Return what our upload is called."""
    return f"a-film-{upload_digest(key)}-{generation}.mp4"


def asked(generation: int = 0, key: str = f"{KEY}/q") -> str:
    """Return the ``custom_id`` of our question."""
    return f"rm-{analysis_digest(key)}-{generation}"


def asset(id_: str = "old", generation: int = 0, **more: Any) -> RemoteObject:
    """Return an asset that carries a name of ours."""
    return replace(RemoteObject("asset", id_, named(generation), KEY), **more)


def video(state: State = State.DONE, **data: Any) -> Task:
    """Return our video, uploaded as ``present`` in the second generation."""
    known = {"provider": HERE, "media_id": "present", "generation": 1, "name": named(1), **data}
    return Task(1, "video", KEY, "fan_out", known, state, Lane.POLL, 0, KEY, created=MADE)


def analysis(state: State = State.DONE, **data: Any) -> Task:
    """Return our question, accepted as ``task``."""
    known = {"media_id": "present", "task_id": "task", "gen": 1, **data}
    return Task(2, "analysis", f"{KEY}/q", "await", known, state, Lane.POLL, 0, KEY, created=MADE)


def indexing(state: State = State.DONE, **data: Any) -> Task:
    """Return our entry in the index ``films``."""
    known = {"index_id": "films", "asset_id": "present", "video_id": "entry", **data}
    return Task(3, "indexing", f"{KEY}/films", "await", known, state, Lane.POLL, 0, KEY)


def test_names_are_read_as_they_are_written() -> None:
    """The names that uploads and questions really get are parsed again, whatever the file is called."""
    for path in ("/films/Bees & Queens.MP4", "video", "/x/ü.webm", "/x/no-ending.toolong", "/x/" + "n" * 90 + ".mkv"):
        name = parse_upload_name(build_upload_name(KEY, 3, path))
        assert name is not None, path
        assert (name.digest, name.generation, matches_owner(name, KEY)) == (upload_digest(KEY), 3, True)
    data = AnalysisData(generation=2, media_id="m", temperature=0.2, model="p", seconds=1.0)
    found = parse_custom_id(build_question("some/key", data, []).key)
    assert found is not None
    assert (found.digest, found.generation) == (analysis_digest("some/key"), 2)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_other_name_is_taken_for_ours(text: str) -> None:
    """A name of somebody else's is none of ours; one that looks like ours does not agree with another key."""
    name = parse_upload_name(text)
    assert name is None or not matches_owner(name, KEY)
    assert parse_custom_id(text) is None
    for near in (named()[:-4], named() + "/x", asked() + "-1", "x" + asked(), named().replace("-0.mp4", "-x.mp4")):
        assert parse_upload_name(near) is None
        assert parse_custom_id(near) is None


UPLOADS = [
    (asset("x", name="film.mp4"), video(), Disposition.FOREIGN),
    (asset("x", owner=""), video(), Disposition.FOREIGN),
    (asset("x", owner="sha256:other"), video(), Disposition.FOREIGN),
    (asset(), None, Disposition.STRAY),
    (asset(), video(provider=ELSEWHERE), Disposition.STRAY),
    (asset("present"), video(provider=ELSEWHERE), Disposition.STRAY),
    (asset("present", 1), video(), Disposition.KEPT),
    (asset("present", 1), video(State.FAILED), Disposition.KEPT),
    (asset("present", 1, name="renamed by hand"), video(), Disposition.KEPT),
    (asset("present", 1), video(State.CANCELLED), Disposition.CANCELLED),
    (asset("reserved", 1), video(State.PENDING, media_id="", session={"asset_id": "reserved"}), Disposition.KEPT),
    (asset("reserved", 1), video(State.CANCELLED, media_id="", session={"asset_id": "reserved"}), Disposition.CANCELLED),
    (asset("old", 0), video(), Disposition.SUPERSEDED),
    (asset("twin", 1), video(), Disposition.SUPERSEDED),
    (asset("old", 0), video(State.PENDING), Disposition.SUPERSEDED),
    (asset("lost answer", 1), video(State.PENDING), Disposition.AWAITED),
    (asset("lost answer", 1), video(State.RUNNING), Disposition.AWAITED),
    (asset("lost answer", 1), video(State.HELD), Disposition.AWAITED),
    (asset("lost answer", 1), video(State.FAILED), Disposition.AWAITED),
    (asset("lost answer", 1), video(State.CANCELLED), Disposition.CANCELLED),
    (asset("theirs", 2), video(), Disposition.STRAY),
    (asset("theirs", 2), video(State.CANCELLED), Disposition.STRAY),
    (asset("theirs", 1, created=MADE - DAY), video(), Disposition.STRAY),
    (asset("theirs", 1, created=MADE - DAY), video(State.PENDING), Disposition.STRAY),
    (asset("present", 1, created=MADE - DAY), video(), Disposition.KEPT),
    (asset("old", 0, created=MADE - 60), video(), Disposition.SUPERSEDED),
    (RemoteObject("task", "t", named(0)), video(), Disposition.SUPERSEDED),
    (RemoteObject("task", "t", "A title of YouTube's"), video(), Disposition.FOREIGN),
    (RemoteObject("task", "present", "A title of YouTube's"), video(), Disposition.KEPT),
    (RemoteObject("video", "answering", "A title"), video(answer_id="answering"), Disposition.KEPT),
    (RemoteObject("video", "answering", "A title"), video(State.CANCELLED, answer_id="answering"), Disposition.CANCELLED),
]  # fmt: skip


@pytest.mark.parametrize(("remote", "known", "verdict"), UPLOADS)
def test_uploads(remote: RemoteObject, known: Task | None, verdict: Disposition) -> None:
    """Foreign, stray, kept, awaited, superseded or cancelled: each for its own reason."""
    record = LocalRecord(known) if known is not None else None
    assert classify(remote, record, HERE) is verdict


def test_an_upload_that_an_unfinished_analysis_works_with_stays() -> None:
    """Even if the video has another upload by now, or was cancelled; once the analysis is over it may go."""
    for state in State:
        for known in (video(), video(State.CANCELLED)):
            record = LocalRecord(known, [analysis(state, media_id="old")])
            assert (classify(asset("old"), record, HERE) is Disposition.KEPT) == (state in UNFINISHED), state


def test_an_item_is_cancelled_when_nothing_of_it_goes_on() -> None:
    """A done upload all of whose analyses were cancelled belongs to a cancelled item; one with a result does not."""
    stopped = [analysis(State.CANCELLED), analysis(State.CANCELLED)]
    assert classify(asset("present", 1), LocalRecord(video(), stopped), HERE) is Disposition.CANCELLED
    assert classify(asset("present", 1), LocalRecord(video(), [*stopped, analysis()]), HERE) is Disposition.KEPT
    assert classify(asset("present", 1), LocalRecord(video(), stopped, [indexing()]), HERE) is Disposition.KEPT
    assert classify(asset("present", 1), LocalRecord(video()), HERE) is Disposition.KEPT


ANALYSES = [
    ("task", "their own", analysis(), Disposition.FOREIGN),
    ("task", "", analysis(), Disposition.FOREIGN),
    ("task", asked(1), None, Disposition.STRAY),
    ("task", asked(1), analysis(), Disposition.KEPT),
    ("task", asked(1), analysis(State.PENDING), Disposition.KEPT),
    ("task", asked(1), analysis(State.CANCELLED), Disposition.CANCELLED),
    ("task", asked(0), analysis(), Disposition.SUPERSEDED),
    ("first", asked(0), analysis(State.PENDING, task_id="first"), Disposition.SUPERSEDED),
    ("twin", asked(1), analysis(), Disposition.SUPERSEDED),
    ("twin", asked(1), analysis(State.PENDING), Disposition.AWAITED),
    ("twin", asked(1), analysis(State.HELD), Disposition.AWAITED),
    ("twin", asked(1), analysis(State.FAILED), Disposition.AWAITED),
    ("theirs", asked(2), analysis(), Disposition.STRAY),
    ("theirs", asked(2), analysis(State.CANCELLED), Disposition.STRAY),
]


def test_an_analysis_that_another_state_folder_asked_for_is_a_stray() -> None:
    """The same question about the same video, but of another upload, or before ours was wanted: not ours to delete."""
    known = analysis()
    for remote, verdict in (
        (RemoteObject("analysis", "x", asked(1), media="theirs"), Disposition.STRAY),
        (RemoteObject("analysis", "x", asked(1), media="present", created=MADE - DAY), Disposition.STRAY),
        (RemoteObject("analysis", "x", asked(0), media="old", created=MADE - DAY), Disposition.STRAY),
        (RemoteObject("analysis", "x", asked(0), media="old", created=MADE + 1), Disposition.SUPERSEDED),
        (RemoteObject("analysis", "x", asked(1), media="present", created=MADE + 1), Disposition.SUPERSEDED),
        (RemoteObject("analysis", "task", asked(1), media="theirs", created=MADE - DAY), Disposition.KEPT),
    ):
        assert classify(remote, None, HERE, known) is verdict, remote


@pytest.mark.parametrize(("id_", "custom_id", "known", "verdict"), ANALYSES)
def test_analyses(id_: str, custom_id: str, known: Task | None, verdict: Disposition) -> None:
    """By generation, by the id that was stored, and by what the question is waiting for."""
    assert classify(RemoteObject("analysis", id_, custom_id), None, HERE, known) is verdict


ENTRIES = [
    ("entry", "present", [indexing()], Disposition.KEPT),
    ("other", "present", [indexing()], Disposition.SUPERSEDED),
    ("other", "present", [indexing(State.PENDING, video_id=None)], Disposition.KEPT),
    ("entry", "old", [indexing(asset_id="old")], Disposition.KEPT),
    ("entry", "old", [indexing(asset_id="old"), indexing(State.PENDING, video_id="new")], Disposition.KEPT),
    ("entry", "old", [indexing(asset_id="old"), indexing(video_id="new")], Disposition.SUPERSEDED),
    ("entry", "old", [indexing(asset_id="old"), indexing(index_id="another", video_id="new")], Disposition.KEPT),
]


@pytest.mark.parametrize(("id_", "media", "known", "verdict"), ENTRIES)
def test_index_entries(id_: str, media: str, known: list[Task], verdict: Disposition) -> None:
    """An old entry goes only when the new upload's entry in the same index is there, so that search never loses a video."""
    remote = RemoteObject("indexed", id_, named(1), KEY, place="films", media=media)
    assert classify(remote, LocalRecord(video(), (), known), HERE) is verdict


def test_index_entries_of_others() -> None:
    """Without a name of ours it is foreign, with one and unknown a stray, with a cancelled video cancelled."""
    remote = RemoteObject("indexed", "entry", named(1), place="films", media="present")
    assert classify(replace(remote, name="film.mp4"), None, HERE) is Disposition.FOREIGN
    assert classify(replace(remote, owner="somebody"), None, HERE) is Disposition.FOREIGN
    assert classify(replace(remote, owner=""), None, HERE) is Disposition.FOREIGN
    assert classify(remote, None, HERE) is Disposition.STRAY
    assert classify(remote, LocalRecord(video(provider=ELSEWHERE)), HERE) is Disposition.STRAY
    assert classify(replace(remote, created=MADE - DAY), LocalRecord(video()), HERE) is Disposition.STRAY
    for state in State:
        record = LocalRecord(video(State.CANCELLED), (), [indexing(state)])
        assert classify(remote, record, HERE) is (Disposition.KEPT if state in UNFINISHED else Disposition.CANCELLED)


IDS = st.sampled_from(["present", "old", "reserved", "entry", "task", "elsewhere"])
STATES = st.sampled_from(list(State))
HOLDINGS = st.builds(
    RemoteObject, st.sampled_from(["asset", "task", "video", "indexed"]), IDS,
    st.sampled_from([named(0), named(1), named(2), "film.mp4", named(0, "sha256:b")]),
    st.sampled_from([KEY, None, "", "sha256:b"]), place=st.sampled_from(["films", ""]), media=IDS,
)  # fmt: skip
BELIEFS = st.builds(
    LocalRecord,
    st.builds(video, STATES, provider=st.sampled_from([HERE, ELSEWHERE]), media_id=IDS, generation=st.integers(0, 2)),
    st.lists(st.builds(analysis, STATES, media_id=IDS), max_size=2),
    st.lists(st.builds(indexing, STATES, asset_id=IDS, video_id=IDS), max_size=2),
)


@settings(deadline=None)
@given(HOLDINGS, BELIEFS)
def test_nothing_that_is_needed_is_an_orphan(remote: RemoteObject, record: LocalRecord) -> None:
    """Whatever the database says: what the present upload or an unfinished task names stays, unless it was cancelled."""
    verdict = classify(remote, record, HERE)
    if verdict is Disposition.SUPERSEDED and remote.sort != "indexed":
        assert remote.id not in record.media | record.asked_of
    if verdict is Disposition.CANCELLED:
        assert record.stopped
        assert remote.sort == "indexed" or remote.id not in record.asked_of
    if not record.lives_on(HERE):
        assert not verdict.orphan


@settings(deadline=None)
@given(HOLDINGS)
def test_what_the_database_has_never_heard_of_is_no_orphan(remote: RemoteObject) -> None:
    """Without a row there is no evidence that this state folder made it: foreign or stray, never deleted by itself."""
    verdict = classify(remote, None, HERE)
    assert verdict in (Disposition.FOREIGN, Disposition.STRAY)
    assert verdict is Disposition.FOREIGN or parse_upload_name(remote.name) is not None

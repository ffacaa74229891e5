"""What tasks store: read leniently, written sparingly, as the previous version wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import StoreError
from pipeline.core.model import Json, Lane, State, Task
from pipeline.ingest.payloads import (
    AnalysisData,
    IndexingData,
    ItemData,
    PlaylistData,
    PublishData,
    TaskData,
    VideoData,
    WaitingData,
    remote_ids,
)
from pipeline.ingest.stored_json import StoredJson
from pipeline.ingest.tasks.restart_data import fetch_again, file_facts, upload_anew
from pipeline.ports.source import Item, ManifestLine, MediaFacts

TYPES = (ItemData, PlaylistData, VideoData, AnalysisData, IndexingData, PublishData)

LINE = {"id": "7", "title": "T", "tags": ["x"], "jobs": [], "prompt": "", "metadata": {"k": "v"}}
SESSION = {"upload_id": "u", "asset_id": "a", "chunk_size": 5, "total_chunks": 2, "expires_at": 9.0, "headers": {}}
REQUEST = {"name": "gist", "job": "gist", "params": {"topics": 5}, "print": "0123456789abcdef"}

#: What the version before wrote, one task of each type that shows every key.
STORED: Mapping[type[TaskData], dict[str, Json]] = {
    ItemData: {
        "source": "a.mp4", "place": "list:3", "type": "youtube", "locator": "https://y/a", "line": LINE,
        "bounds": {"since": "2026-01-31"}, "size": 3, "mtime_ns": 5, "seconds": 60.0, "about": {"title": "S"},
        "refetch": False,
        "skipped": {"code": "c", "message": "m", "remedy": "r", "detail": "", "day": "20260101", "seconds": None},
    },
    PlaylistData: {
        "source": "@c", "place": "list:4", "type": "youtube_list", "locator": "https://y/@c", "line": LINE,
        "title": "List", "channel": "UC1", "wanted": 2, "left_out": {"older": 1}, "seen": ["a", "b"], "gone": ["z"],
    },
    VideoData: {
        "path": "/a.mp4", "size": 3, "seconds": 60.0, "width": 640, "height": 360, "container": "mp4",
        "video_codec": "h264", "audio_codec": "", "mime": "video/mp4", "sha256": "ab", "mtime_ns": 5,
        "captions": ["/a.srt"], "fetched": True, "about": {"title": "S"}, "url": "https://h/a?s=1",
        "external": "https://y/a", "title": "T", "road": "multipart", "generation": 2, "provider": "twelvelabs/v1.3",
        "index_id": "i", "name": "a-0-2.mp4", "since": 7.5, "media_id": "m", "answer_id": "v", "again": 1,
        "settled": True, "waiting": {"since": 6.0, "for": "m"}, "session": SESSION, "mark": [3, 5, 9, 9],
        "wanted": "f", "indexing_lost": 1,
    },
    AnalysisData: {
        "wishes": [REQUEST], "media_id": "m", "seconds": 60.0, "temperature": 0.2, "model": "pegasus",
        "correction": "no title", "since": 7.5, "legacy": True, "gen": 3, "doublings": 1, "task_id": "t", "again": 1,
        "lost": 1, "given_up": "rm-1-3", "superseded": True, "answer": "rm-1-2",
    },
    IndexingData: {
        "asset_id": "a", "index_id": "i", "seconds": 60.0, "lost": 1, "since": 7.5, "video_id": "v", "again": 1,
        "given_up": True, "index_gone": True, "indexed": "2026-11-01", "superseded": True,
    },
    PublishData: {
        "folder": "a--0", "sizes": {"gist.json": 9}, "title": "T", "present": {"gist": "0123"},
        "sources": [{"source": "a.mp4"}], "seconds": 60.0,
    },
}  # fmt: skip


def task(data: Mapping[str, Json], kind: str = "video") -> Task:
    """Return a task that stores this."""
    return Task(1, kind, "k", "s", data, State.DONE, Lane.POLL, 0)


@pytest.mark.parametrize("cls", TYPES)
def test_what_the_version_before_wrote_is_read_and_written_the_same(cls: type[TaskData]) -> None:
    """Every key it had has a field, and no value changes on its way through one."""
    old = STORED[cls]
    assert cls.from_json(old).to_json() == old
    known = {each.metadata.get("key") or each.name for each in fields(cls)}
    assert set(old) - known <= {
        "width",
        "height",
        "container",
        "video_codec",
        "audio_codec",
    }  # of media(), shown as read


@pytest.mark.parametrize("cls", TYPES)
def test_the_fields_of_a_stored_task_differ_from_their_defaults(cls: type[TaskData]) -> None:
    """The example above is no empty one: each field is really read from its key."""
    read, blank = cls.from_json(STORED[cls]), cls()
    same = [
        each.name for each in fields(cls)
        if each.name != "raw" and getattr(read, each.name) == getattr(blank, each.name)
    ]  # fmt: skip
    others = {"bounds", "size", "mtime_ns", "seconds", "about", "skipped"} if cls is PlaylistData else set()
    new = {
        "adopted",
        "alone",
        "unfinished",
        "cancelled",
        "replaced",
        "keyed_by_body",
        "doubt",
        "doubted",
        "refusal",
        "agreed",
        "index_name",
        "yields",
        "yielded",
        "files",
        "earlier",
        "missing",
        "captions",
        "heard",
        "takes",
        "run",
        "booked",
        "start",
        "end",
        "clock_start",
        "first",
        "answered",
        "at",
        "host",
        "host_gone",
        "useless",
        "sought",
        "indexing_denied",
    }  # the version before knew none
    assert set(same) <= {"version", "looks", "doubtful", "refetch", "mime"} | new | others


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("cls", TYPES)
@given(extra=st.dictionaries(st.text(min_size=1, max_size=8).map("new_".__add__), JSON, max_size=4), data=st.data())
def test_any_part_of_a_task_is_enough_and_what_is_not_known_is_kept(
    cls: type[TaskData], extra: dict[str, Json], data: st.DataObject
) -> None:
    """Keys may be missing, another release may have added some: nothing fails, nothing is lost, nothing grows."""
    keys = data.draw(st.sets(st.sampled_from(sorted(STORED[cls]))))
    stored = {**{key: STORED[cls][key] for key in keys}, **extra}
    written = cls.from_json(stored).to_json()
    assert {key: value for key, value in written.items() if key in stored} == stored
    assert set(written) - set(stored) <= set(cls().to_json())
    assert cls.from_json(written).to_json() == written


@pytest.mark.parametrize("cls", TYPES)
def test_what_a_task_stores_survives_the_database(cls: type[TaskData]) -> None:
    """Data is JSON through and through: tuples and values of ours do not reach the encoder's fallback."""
    written = cls.from_json(STORED[cls]).to_json()
    assert json.loads(json.dumps(written)) == written
    assert cls.from_json(json.loads(json.dumps(written))) == cls.from_json(STORED[cls])


def test_a_default_is_written_only_over_what_is_stored() -> None:
    """A hundred thousand rows stay small; a counter that goes back to nought does so in the database, too."""
    assert VideoData().to_json() == {}
    assert VideoData(again=0, settled=False, media_id="m").to_json() == {"media_id": "m"}
    counted = VideoData.from_json({"again": 3, "settled": True})
    assert replace(counted, again=0, settled=False).to_json() == {"again": 0, "settled": False}


def test_none_takes_a_key_away() -> None:
    """A session that is over, a skip that does not hold any more: gone from the row, not stored as null."""
    video = VideoData.from_json(STORED[VideoData])
    written = replace(video, session=None, stamp=None, waiting=None).to_json()
    assert not {"session", "mark", "waiting"} & set(written)
    assert VideoData.from_json({"waiting": {}}).waiting is None  # as it was written by the version before
    assert replace(video, waiting=WaitingData(since=6.0)).to_json()["waiting"] == {"since": 6.0}


@pytest.mark.parametrize(
    ("cls", "own", "other"), [(VideoData, "generation", "gen"), (AnalysisData, "gen", "generation")]
)
def test_a_generation_is_read_under_both_its_names_and_written_under_its_own(
    cls: type[VideoData] | type[AnalysisData], own: str, other: str
) -> None:
    """One attribute for one idea; each type keeps the key that its rows have had."""
    assert cls.from_json({own: 4}).generation == cls.from_json({other: 4}).generation == 4
    assert cls.from_json({own: 4, other: 9}).generation == 4
    assert cls(generation=4).to_json()[own] == 4
    assert other not in cls(generation=4).to_json()


def test_data_of_a_later_form_is_refused() -> None:
    """Rows without a version are of this one; a later one is not guessed at."""
    assert VideoData.of(task({})).version == 1
    assert "version" not in VideoData().to_json()
    with pytest.raises(StoreError) as caught:
        VideoData.of(task({"version": 2}))
    assert caught.value.trouble.remedy


def test_a_line_is_the_same_line_however_it_was_read() -> None:
    """A run compares the line it reads with the stored one: lists of JSON are the tuples of a manifest."""
    line = ManifestLine("a.mp4", "list:3", "7", "T", ("x",), ("gist",), "Who?", {"k": "v"})
    item = Item("file:/a.mp4", "file", "/a.mp4", line)
    made = ItemData.from_item(item)
    read = ItemData.from_json(json.loads(json.dumps(made.to_json())))
    assert (read, read.line, read.to_item(item.key)) == (made, made.line, item)
    assert ItemData.from_item(replace(item, line=replace(line, tags=("y",)))).line != made.line


def test_the_data_of_a_restart_names_what_it_resets() -> None:
    """It is merged over what is stored: a default that is left out would leave the old value standing."""
    video = VideoData.from_json(STORED[VideoData])
    merged = VideoData.from_json({**STORED[VideoData], **upload_anew(video)})
    assert (merged.generation, merged.settled, merged.again) == (3, False, 0)
    facts = MediaFacts(Path("/b.mp4"), 4, 9.0, 1, 1, "c", "v", "", "video/x")
    merged = VideoData.from_json({**STORED[VideoData], **file_facts(facts)})
    assert (merged.path, merged.size, merged.sha256, merged.mtime_ns, list(merged.captions)) == ("/b.mp4", 4, "", 0, [])
    assert ItemData.from_json({**STORED[ItemData], **fetch_again()}).refetch


def test_the_data_of_a_new_analysis_names_what_decides_its_answer() -> None:
    """An analysis that restarts takes the new upload and the present options, even where these are nought."""
    fresh = AnalysisData(media_id="n").to_json()
    assert set(fresh) == {"wishes", "media_id", "seconds", "temperature", "model"}
    merged = AnalysisData.from_json({**STORED[AnalysisData], **fresh})
    assert (merged.media_id, merged.seconds, merged.temperature, merged.generation) == ("n", 0.0, 0.0, 3)


def test_every_id_of_a_video_is_found() -> None:
    """Whatever the platform calls a video by, of its upload, its analysis or its place in an index."""
    assert set(remote_ids(task(STORED[VideoData]))) == {"m", "v"}
    assert set(remote_ids(task(STORED[IndexingData], "indexing"))) == {"v", "a"}


def test_media_is_shown_as_it_was_found() -> None:
    """``video.json`` has what is known: a silent video's empty codec, and no key for what nobody has looked at."""
    assert VideoData.from_json(STORED[VideoData]).media()["audio_codec"] == ""
    assert VideoData.from_json({"url": "https://h/a"}).media() == {"url": "https://h/a"}


def test_nested_objects_keep_what_they_do_not_know() -> None:
    """A line, a request or a session of another release loses nothing either."""
    stored: dict[str, Any] = {**STORED[AnalysisData], "wishes": [{**REQUEST, "later": 1}]}
    assert AnalysisData.from_json(stored).to_json() == stored
    assert isinstance(AnalysisData.from_json(stored).requests[0], StoredJson)

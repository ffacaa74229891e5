"""A session with the vendor's last v1.2 SDK. Run as a program of its own: that SDK and today's have the same name.

Arguments: a video file, a caption file, a YouTube address. Environment: TWELVELABS_BASE_URL, API_KEY. Prints what it saw.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

sdk: Any = import_module("twelvelabs")  # not today's, whose types are the ones that are known here

ENGINES = [
    {"name": "marengo2.6", "options": ["visual", "conversation", "text_in_video", "logo"]},
    {"name": "pegasus1.1", "options": ["visual", "conversation"]},
]


def refused(call: Any, *args: Any, **more: Any) -> str:
    """Make a call that must be refused with a 400, and return the error's code."""
    try:
        call(*args, **more)
    except sdk.BadRequestError as error:
        return str(error.body["code"])
    raise AssertionError(f"{call} was not refused")


def uploads(client: Any, index: Any, film: str, captions: str, url: str) -> tuple[Any, Any]:
    """Upload a file and a YouTube address, follow both to the end, and count them."""
    seen: list[str] = []
    task = client.task.create(index.id, file=film, transcription_file=captions, language="en")
    task.wait_for_done(sleep_interval=0.05, callback=lambda now: seen.append(now.status))
    assert task.status == "ready", seen
    outside = client.task.external_provider(index.id, url)
    outside.wait_for_done(sleep_interval=0.05)
    done, other = task.retrieve(), outside.retrieve()
    assert all((done.video_id, other.video_id)), (done, other)
    assert (done.process, done.metadata["width"]) == (None, 640)
    counted = client.task.status(index.id)
    assert (counted.ready, counted.failed, counted.total_result) == (2, 0, 2)
    (found,) = client.task.list(index_id=index.id, filename=os.path.basename(film), created_at={"gte": done.created_at})
    assert found.id == task.id
    pages = client.task.list_pagination(index_id=index.id, page_limit=1, sort_option="asc")
    assert [entry.id for entry in pages.data] + [entry.id for page in pages for entry in page] == [task.id, outside.id]
    assert refused(client.task.delete, task.id) == "task_cannot_be_deleted"
    return done, other


def videos(client: Any, index: Any, key: str) -> dict[str, Any]:
    """List by every filter, change, and read what is said and shown."""
    about = client.index.video
    assert len(about.list(index.id)) == 2
    about.update(index.id, key, title="On bees", metadata={"series": "nature", "part": 3, "good": True})
    video = about.retrieve(index.id, key)
    assert (video.metadata.filename, video.metadata.series, video.metadata.part) == ("On bees", "nature", 3)
    narrowed: list[dict[str, Any]] = [
        {"id": key},
        {"filename": "On bees"},
        {"duration": {"gte": 9.0, "lte": 11.0}, "width": 640, "height": {"gte": 360}, "size": {"gte": 1}, "fps": 5},
        {"created_at": {"gte": video.created_at}, "indexed_at": {"lte": video.indexed_at}, "filename": "On bees"},
    ]
    for wanted in narrowed:
        assert key in [entry.id for entry in about.list(index.id, **wanted)], wanted
    assert len(about.list(index.id, duration={"gte": 3600})) == 0
    said = [value.value for value in about.transcription(index.id, key)]
    part = [value.value for value in about.transcription(index.id, key, start=3, end=5)]
    shown = [value.value for value in about.text_in_video(index.id, key)]
    assert about.thumbnail(index.id, key, time=1).startswith("http://127.0.0.1")
    assert refused(about.logo, index.id, key) == "not_supported_by_local_platform"
    assert refused(about.retrieve, index.id, "0" * 24) == "resource_not_exist"
    return {"said": said, "part": part, "shown": shown}


def searches(client: Any, index: Any) -> dict[str, Any]:
    """Search by both kinds of words, in pages and in groups; classify."""
    ask = client.search.query
    first = ask(index.id, ["conversation", "text_in_video"], query="queen lays eggs", page_limit=1, threshold="none")
    hits = list(first.data) + [hit for page in first for hit in page]
    grouped = ask(index.id, ["conversation"], query="queen", group_by="video", sort_option="clip_count", operator="or")
    formed = ask(
        index.id, ["conversation"], query_text="queen", filter={"filename": "On bees"}, adjust_confidence_level=0.4
    )
    assert [hit.video_id for hit in formed.data] == [hits[0].video_id]
    exact = ask(index.id, ["conversation"], query="the queen lays", conversation_option="exact_match")
    none = ask(index.id, ["conversation"], query="queen the lays", conversation_option="exact_match")
    assert refused(ask, index.id, ["visual", "conversation"], query="queen") == "search_option_not_supported"
    classes = [
        sdk.models.ClassifyClassParams("Bees", ["queen lays eggs"]),
        sdk.models.ClassifyClassParams("Cars", ["fast cars"]),
    ]
    plain = [vars(each) for each in classes]  # the SDK's own object does not become JSON
    result = client.classify.index(index.id, ["conversation"], plain, include_clips=True, show_detailed_score=True, threshold={
        "min_video_score": 50, "min_clip_score": 30, "min_duration_ratio": 0.05,
    })  # fmt: skip
    return {
        "hits": [(hit.metadata[0]["type"], hit.score, hit.confidence) for hit in hits],
        "pool": (first.pool.total_count, first.page_info.total_results),
        "groups": [len(group.clips) for group in grouped.data],
        "exact": [len(exact.data), len(none.data)],
        "classes": [[each.name for each in entry.classes] for entry in result.data],
        "clips": [len(each.clips) for entry in result.data for each in entry.classes],
    }


def texts(client: Any, key: str) -> dict[str, Any]:
    """Ask for every text there is, whole and streamed."""
    gist = client.generate.gist(key, ["title", "topic", "hashtag"])
    part = client.generate.gist(key, ["topic"])
    chapters = client.generate.summarize(key, "chapter", temperature=0.2).chapters
    highlights = client.generate.summarize(key, "highlight").highlights
    summary = client.generate.summarize(key, "summary", prompt="In one sentence.").summary
    whole = client.generate.text(key, "What does the queen do?").data
    stream = client.generate.text_stream(key, "What does the queen do?")
    pieces = list(stream)
    assert "".join(pieces) == stream.aggregated_text == whole
    assert refused(client.generate.text, key, "x" * 1501) == "parameter_invalid"
    return {
        "title": gist.title,
        "only": [part.title, part.hashtags, bool(part.topics)],
        "chapters": [(each.chapter_number, each.start, each.end) for each in chapters],
        "highlights": len(highlights),
        "summary": summary,
        "answer": whole,
        "pieces": len(pieces) > 1,
    }


def main(film: str, captions: str, url: str) -> None:
    """Go through a whole life, from index to deletion."""
    client = sdk.TwelveLabs(api_key=os.environ["API_KEY"])
    index = client.index.create("bees", ENGINES, addons=["thumbnail"])
    assert [engine.name for engine in index.engines] == ["marengo2.6", "pegasus1.1"]
    assert refused(client.index.create, "bees", ENGINES) == "index_name_already_exists"
    client.index.update(index.id, "honey bees")
    assert [each.name for each in client.index.list(name="honey bees", engine_family="pegasus")] == ["honey bees"]
    assert len(client.index.list(engine_options=["visual", "logo"])) == 1
    done, other = uploads(client, index, film, captions, url)
    seen = {"titles": [done.metadata["filename"], other.metadata["filename"]]}
    seen |= videos(client, index, done.video_id) | searches(client, index) | texts(client, done.video_id)
    client.index.video.delete(index.id, done.video_id)
    client.task.delete(done.id)
    assert [task.id for task in client.task.list()] == [other.id]
    index.delete()
    assert len(client.index.list()) == 0
    try:
        sdk.TwelveLabs(api_key="wrong").index.list()
    except sdk.APIStatusError as error:
        seen["wrong_key"] = error.status_code
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])

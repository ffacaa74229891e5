"""Data of restarts: each names every key that it means to change. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.model import Json
from pipeline.ingest.payloads import VideoData
from pipeline.ports.source import MediaFacts


def file_facts(facts: MediaFacts) -> dict[str, Json]:
    """Return the data of a video whose file is here."""
    return {
        "path": str(facts.path),
        "size": facts.size,
        "seconds": facts.seconds,
        "width": facts.width,
        "height": facts.height,
        "container": facts.container,
        "video_codec": facts.video_codec,
        "audio_codec": facts.audio_codec,
        "mime": facts.mime,
        "sha256": facts.sha256,
        "mtime_ns": facts.mtime_ns,
        "captions": [str(path) for path in facts.captions],
        **({"clock_start": facts.clock_start} if facts.clock_start or facts.fetched else {}),
        **({"fetched": True, "about": dict(facts.about)} if facts.fetched else {}),
    }


def on_disk_of(host: str) -> dict[str, Json]:
    """Return the data of a task whose file is on that host's disk."""
    return {"host": host, "host_gone": False}


def without_host() -> dict[str, Json]:
    """Return the data of a task whose host does not come back."""
    return {"host_gone": True}


def address_facts(url: str) -> dict[str, Json]:
    """Return the data of a video that the platform takes from an address."""
    return {"url": url}


def external_facts(address: str, title: str) -> dict[str, Json]:
    """Return the data of a video that the platform fetches itself."""
    return {"external": address, "title": title}


def fetch_again() -> dict[str, Json]:
    """Return the data of an item to fetch although it is uploaded."""
    return {"refetch": True}


def asked_again(takes: Mapping[str, Sequence[str]]) -> dict[str, Json]:
    """Return the data of an item whose questions are to be asked again."""
    return {"takes": {question: list(times) for question, times in takes.items()}}


def upload_anew(video: VideoData) -> dict[str, Json]:
    """Return the data of a video that is uploaded once more.

    It goes under the name of the next generation.
    """
    return {"generation": video.generation + 1, "settled": False, "again": 0}


def denied_to_indexing(times: int, place: str) -> dict[str, Json]:
    """Return the data of a video denied to indexing ``times`` times.

    The platform has denied its asset, or the index; the last time at this place.
    """
    return {"indexing_lost": times, "indexing_denied": place}

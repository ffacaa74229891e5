"""Thumbnails of fetched videos: checked, stored beside the video, read. Blocks.

They come from a site, so nothing is believed: the bytes are counted, opened as one of three formats and decoded whole.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.media.pictures import open_picture

#: A picture of 1280x720 has 30 to 200 kB. What is kept lies in the database with the results, for every video. Bytes.
LARGEST = 400_000
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_NAME = "thumbnail"


def detect_suffix(data: bytes) -> str | None:
    """Return a whole, usable picture's suffix by its content, or None."""
    picture = open_picture(data) if 0 < len(data) <= LARGEST else None
    return _SUFFIXES[picture.format or ""] if picture is not None else None


def store_beside(raw: Path, media: Path) -> Path:
    """Rename a fetched thumbnail so that it is found beside its video.

    Raises:
        ValueError: it is no picture, or larger than ``LARGEST``.
        OSError: the disk does not take it, or nothing was fetched.
    """
    with raw.open("rb") as stream:
        suffix = detect_suffix(stream.read(LARGEST + 1))
    if suffix is None:
        raise ValueError("what came is no picture of a usable size")
    return raw.replace(media.with_name(f"{media.stem}.{_NAME}{suffix}"))


def find_thumbnail(media: Path) -> Path | None:
    """Return the thumbnail beside a fetched video, or None."""
    paths = (media.with_name(f"{media.stem}.{_NAME}{suffix}") for suffix in _SUFFIXES.values())
    return next((path for path in paths if path.is_file()), None)


def read_thumbnail(path: Path | None) -> tuple[str, bytes] | None:
    """Return a thumbnail as (name, content), or None if it is unusable."""
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError:
        return None
    suffix = detect_suffix(data)
    return (f"{_NAME}{suffix}", data) if suffix is not None else None

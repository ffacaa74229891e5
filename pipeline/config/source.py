"""``[source]``: what counts as a video, what may be fetched, which folders hosts share."""

from __future__ import annotations

import os

from pydantic import field_validator

from pipeline.config.youtube import Section


class SourceSection(Section):
    """What counts as a video in a folder, and what may be fetched."""

    extensions: tuple[str, ...] = (
        "mp4", "mov", "m4v", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "mts", "m2ts", "wmv", "flv", "3gp", "ogv",
    )  # fmt: skip
    allow_private_urls: bool = False
    hash_cache: bool = True
    #: Folders that every host has under the same path.
    shared: tuple[str, ...] = ()

    @field_validator("extensions")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(ending.lower().removeprefix(".") for ending in value)  # however it is written, it is meant

    @field_validator("shared")
    @classmethod
    def _whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for folder in value:
            if not os.path.isabs(folder):
                raise ValueError(f"{folder!r} is no whole path: every host must mean the same folder by it")
        return tuple(os.path.normpath(folder) for folder in value)

"""The settings of downloads: YouTube's pace, its playlists, the space on disk."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from pipeline.config.durations import Seconds

#: (section, key) of the lists here, which the environment gives separated by commas.
LISTS = frozenset({("youtube", "caption_languages"), ("youtube", "include"), ("youtube", "exclude")})
#: What may stand in front of a proxy's address.
_PROXIES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


class Section(BaseModel):
    """A table of the configuration: no unknown keys, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, defer_build=True)


class FetchSection(Section):
    """How much disk downloads may take, and whether they stay."""

    max_bytes: int = Field(default=20_000_000_000, ge=0)
    keep: bool = False


class ListsSection(Section):
    """What to take of a playlist or channel, unless its manifest line says otherwise."""

    max_items: int = Field(default=2000, ge=1, le=20_000)
    last: int = Field(default=0, ge=0, le=20_000)
    since: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_seconds: Seconds = Field(default=0.0, ge=0)
    max_seconds: Seconds = Field(default=0.0, ge=0)

    @field_validator("since")
    @classmethod
    def _day(cls, value: str) -> str:
        return date.fromisoformat(value).isoformat() if value else value  # its words name what is wrong


class YouTubeSection(Section):
    """How YouTube is asked. yt-dlp runs in a process of its own."""

    python: Path | None = None
    ffmpeg: Path | None = None
    cookies: Path | None = None
    proxy: SecretStr | None = None
    pot_provider: str = ""
    plugins: bool = False
    lines: int = Field(default=1080, ge=144, le=4320)
    captions: bool = True
    thumbnail: bool = True
    caption_languages: tuple[str, ...] = ()
    min_gap: Seconds = Field(default=12.0, ge=0, le=3600)
    max_gap: Seconds = Field(default=20.0, ge=0, le=3600)
    per_hour: int = Field(default=300, ge=1, le=2000)
    patience: Seconds = Field(default=300.0, ge=0, le=86_400)
    pace_folder: Path | None = None
    lists: ListsSection = ListsSection()
    options: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("pot_provider")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not _is_address(value, ("http", "https")):
            raise ValueError("should be the address of a provider, e.g. http://127.0.0.1:4416")
        return value.rstrip("/")

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_address(value.get_secret_value(), _PROXIES):
            raise ValueError(f"should be the address of a proxy, with {', '.join(_PROXIES)} in front of ://")
        return value

    @model_validator(mode="after")
    def _together(self) -> YouTubeSection:
        # One alone may cross the other's default: a longer min_gap then decides alone.
        if {"min_gap", "max_gap"} <= self.model_fields_set and self.min_gap > self.max_gap:
            raise ValueError(f"min_gap ({self.min_gap:g}) should be at most max_gap ({self.max_gap:g})")
        if self.pot_provider and not self.plugins:
            raise ValueError("pot_provider needs plugins = true: yt-dlp asks a provider through its plugin only")
        return self


def _is_address(address: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port; its words would quote from the password where that holds a slash
        return False

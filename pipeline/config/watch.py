"""``[watch]``: who is told how a run went."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from pipeline.config.durations import Seconds
from pipeline.config.youtube import Section

_NOTIFY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


class WatchSection(Section):
    """Ping, webhook, command, textfile and digest.

    Addresses are secrets: who knows one can use it.
    """

    ping: SecretStr | None = None
    ping_ok: tuple[int, ...] = (0, 3)
    post_json: SecretStr | None = None
    post_header_file: Path | None = None
    on_end: tuple[str, ...] = ()
    textfile: Path | None = None
    notify: tuple[SecretStr, ...] = ()
    digest: Literal["daily", "run", "never"] = "daily"
    timeout: Seconds = Field(default=5.0, gt=0, le=60)
    on_end_timeout: Seconds = Field(default=60.0, gt=0, le=3600)
    notify_timeout: Seconds = Field(default=30.0, gt=0, le=300)

    @field_validator("ping", "post_json")
    @classmethod
    def _web(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not _is_web(value.get_secret_value()):
            raise ValueError("should be an address that begins with https:// or http://, without spaces and #")
        return value

    @field_validator("ping_ok")
    @classmethod
    def _codes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(0 <= code <= 255 for code in value):
            raise ValueError("should hold exit codes, 0 to 255")
        return value

    @field_validator("on_end")
    @classmethod
    def _command(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and not value[0]:
            raise ValueError("should begin with the name of a program")
        if any("\0" in word for word in value):
            raise ValueError("holds a character that no command line has")
        return value

    @field_validator("textfile")
    @classmethod
    def _prom(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".prom":
            raise ValueError("should end in .prom: a textfile collector reads no other files")
        return value

    @field_validator("notify")
    @classmethod
    def _addresses(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, each in enumerate(value, 1):
            if not _NOTIFY.fullmatch(each.get_secret_value()):
                raise ValueError(f"should hold addresses of apprise, such as ntfy://…; entry {number} is none")
        return value

    @property
    def secrets(self) -> list[str]:
        """What of the addresses must never be shown."""
        web = [each.get_secret_value() for each in (self.ping, self.post_json) if each is not None]
        return [
            *(part for address in web for part in _parts(address, host=False)),
            *(part for each in self.notify for part in _parts(each.get_secret_value(), host=True)),
        ]


def _parts(address: str, *, host: bool) -> list[str]:
    """Return what of an address opens it, itself included.

    That is its user's words, and what cannot be guessed. ``host``: the place of a host
    may hold a token, as it does in addresses of apprise.
    """
    userinfo, _, rest = address.partition("://")[2].rpartition("@")
    if not host:
        rest = rest.partition("/")[2]
    long = (part for part in re.split(r"[/?&=#:]", rest) if len(part) >= 16)
    return [address, *(part for part in (*userinfo.split(":"), *long) if len(part) >= 4)]


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port; its words would quote from a password
        return False
    return usable and not parts.fragment and address.isascii() and address.isprintable() and " " not in address

"""The address of a PostgreSQL database; a password never is part of it.

It is written as ``postgresql://role@host:port/name?sslmode=…``.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

#: How a connection is protected, in libpq's words. What tries without TLS where TLS fails is not among them.
TlsMode: TypeAlias = Literal["disable", "require", "verify-ca", "verify-full"]
_UNPROVEN = ("disable", "require")  #: what leaves open who answers
_FILES = ("sslrootcert", "sslcert", "sslkey")
_PARAMETERS = ("host", "port", "sslmode", *_FILES)
DEFAULT_PORT = 5432


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where a database is, and as whom it is used."""

    hosts: tuple[
        tuple[str, int], ...
    ]  #: (name, port), the first that answers; a name with a slash is a socket's folder
    name: str
    role: str
    tls: TlsMode
    root_certificate: Path | None = None  #: None: those of the system
    certificate: Path | None = None  #: our own, and its key
    key: Path | None = None
    password: SecretStr | None = field(default=None, repr=False)

    @property
    def insecure(self) -> bool:
        """Whether another machine is spoken to without a proof of who answers."""
        return self.tls in _UNPROVEN and not all(_is_near(name) for name, _ in self.hosts)

    def __str__(self) -> str:
        """Return it in words, for people."""
        places = ", ".join(name if name.startswith("/") else f"{name}:{port}" for name, port in self.hosts)
        return f"database {self.name!r} at {places} (role {self.role!r})"


def parse_address(url: str) -> DatabaseAddress:
    """Read an address.

    Raises:
        ValueError: it is none, holds a password, or says something that is not understood; in words, without the password.
    """
    try:
        parts = urlsplit(url.strip())
        given = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("is no address: write postgresql://role@host:5432/database") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("is no address of PostgreSQL: write postgresql://role@host:5432/database")
    who, _, where = parts.netloc.rpartition("@")
    if ":" in who or "password" in given:
        raise ValueError(
            "holds a password: put that into REELMILL_STORE_PASSWORD, or into the file of [store] password_file"
        )
    if unknown := sorted(set(given) - set(_PARAMETERS)):
        raise ValueError(f"says {unknown[0]!r}, which is not understood; known are {', '.join(_PARAMETERS)}")
    options = {name: values[-1] for name, values in given.items()}
    name = unquote(parts.path.removeprefix("/"))
    if not who or not name or "/" in name:
        raise ValueError("names no role or no database: write postgresql://role@host:5432/database")
    hosts = _hosts(where or options.get("host", ""), options.get("port", ""))
    root, own, key = (Path(options[each]).expanduser() if options.get(each) else None for each in _FILES)
    return DatabaseAddress(hosts, name, unquote(who), _tls(options.get("sslmode", ""), hosts), root, own, key)


def _hosts(where: str, port: str) -> tuple[tuple[str, int], ...]:
    if not where:
        raise ValueError("names no host: write postgresql://role@host:5432/database")
    return tuple(_host(unquote(each), port) for each in where.split(","))


def _host(where: str, port: str) -> tuple[str, int]:
    if where.startswith("/"):
        return where, _port(port)
    name, colon, own = where.rpartition(":")
    if not colon or where.endswith("]"):  # an IPv6 address in brackets
        name, own = where, ""
    name = name.strip("[]")
    if not name:
        raise ValueError("names no host: write postgresql://role@host:5432/database")
    return name, _port(own or port)


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65_536:
        raise ValueError("names no port: write a number from 1 to 65535 behind the host")
    return int(text)


def _tls(said: str, hosts: tuple[tuple[str, int], ...]) -> TlsMode:
    modes: tuple[TlsMode, ...] = get_args(TlsMode)
    for mode in modes:
        if mode == said:
            return mode
    if said:
        raise ValueError(f"says sslmode={said[:20]}; known are {', '.join(modes)}")
    return "disable" if all(_is_near(name) for name, _ in hosts) else "verify-full"


def _is_near(name: str) -> bool:
    """Tell whether a host is this machine, so that nobody can listen."""
    if name.startswith("/") or name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

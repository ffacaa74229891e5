"""Secrets that no configuration holds: from the environment or a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pipeline.config.watch import WatchSection
from pipeline.core.errors import ConfigError

POST_HEADER = "REELMILL_POST_HEADER"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[ -~]*[!-~]")


def read_key(env: Mapping[str, str], file: Path | None) -> SecretStr | None:
    """Return the API key, if there is one.

    Raises:
        ConfigError: the file that should hold it cannot be read, or holds something else.
    """
    return _read(env, "TWELVELABS_API_KEY", file, "[provider] key_file", "key")


def read_store_password(env: Mapping[str, str], file: Path | None) -> SecretStr | None:
    """Return the password of the database that hosts share, if there is one.

    Raises:
        ConfigError: the file that should hold it cannot be read, or holds something else.
    """
    return _read(env, "REELMILL_STORE_PASSWORD", file, "[store] password_file", "password")


def read_post_header(env: Mapping[str, str], watch: WatchSection) -> SecretStr | None:
    """Return the header of the webhook, ``Name: value``, if there is one.

    Raises:
        ConfigError: it is no header, or the file that should hold it cannot be read.
    """
    if watch.post_json is None:
        return None
    header = _read(env, POST_HEADER, watch.post_header_file, "[watch] post_header_file", "header")
    if header is not None and not _HEADER.fullmatch(header.get_secret_value()):
        raise ConfigError(
            "[watch] post_json: the header of the webhook is none",
            remedy=f'write it as "Name: value", in ASCII, into {POST_HEADER} or the file of [watch] post_header_file',
        )
    return header


def _read(env: Mapping[str, str], variable: str, file: Path | None, key: str, what: str) -> SecretStr | None:
    """Return what ``variable`` holds, else the file of ``variable``_FILE or ``key``."""
    direct = env.get(variable, "").strip()
    if direct:
        return SecretStr(direct)
    named = env.get(f"{variable}_FILE", "").strip()
    path = Path(os.path.expanduser(named)) if named else file
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name, or what is in it, is not text"
        whence = f"{variable}_FILE" if named else key
        raise ConfigError(
            f"{path}: the {what} file cannot be read: {reason}",
            remedy=f"{whence} names it: correct that, or write the {what} into it, on one line, readable by you alone",
        ) from None
    if not text or "\n" in text:
        raise ConfigError(
            f"{path}: the {what} file must hold the {what} on one line and nothing else",
            remedy=f"write the {what} into it again, without a comment before it",
        )
    return SecretStr(text)

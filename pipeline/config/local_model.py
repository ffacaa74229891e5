"""``[platform.model]``: a model of the user's own, at any OpenAI-compatible endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.config.durations import Seconds
from pipeline.config.youtube import Section
from pipeline.core.errors import ConfigError
from pipeline.core.net import is_private

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ModelSection(Section):
    """Which model writes for the local platform; none by default."""

    base_url: str = ""
    name: str = ""
    key_env: str = ""
    images: bool = True
    timeout: Seconds = Field(default=600.0, gt=0, le=7200)
    context_tokens: int = Field(default=16_000, ge=2_000, le=100_000)
    #: USD; None: nobody has set a price.
    input_million_tokens: float | None = Field(default=None, ge=0)
    output_million_tokens: float | None = Field(default=None, ge=0)

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("must be an address like http://127.0.0.1:11434/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must be https://host/v1 and nothing more; the key belongs into a variable, see key_env")
        return value.rstrip("/")

    @field_validator("key_env")
    @classmethod
    def _variable(cls, value: str) -> str:
        if value and not _VARIABLE.fullmatch(value):
            raise ValueError("must be the name of an environment variable; the key itself does not belong here")
        return value

    @model_validator(mode="after")
    def _whole(self) -> ModelSection:
        if bool(self.base_url) != bool(self.name):
            raise ValueError("base_url and name go together: set both, or neither")
        if (self.input_million_tokens is None) != (self.output_million_tokens is None):
            raise ValueError("input_million_tokens and output_million_tokens go together: set both")
        parts = urlsplit(self.base_url)
        if self.key_env and parts.scheme == "http" and not is_private(parts.hostname or ""):
            raise ValueError(f"{parts.hostname} would get the key over plain HTTP: use https://")
        return self

    @property
    def priced(self) -> bool:
        """True where its tokens have a price above nothing."""
        return bool(self.input_million_tokens or self.output_million_tokens)


def read_model_key(env: Mapping[str, str], section: ModelSection) -> SecretStr | None:
    """Return the key of the model's endpoint, if one is named.

    Raises:
        ConfigError: the variable is not set, or holds what no key is.
    """
    if not section.base_url or not section.key_env:
        return None
    key = env.get(section.key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        what = "holds characters that no key has" if key else "is not set"
        raise ConfigError(
            f"[platform.model] key_env: the variable {section.key_env} {what}",
            remedy=f"export {section.key_env}, or take key_env away if the endpoint needs no key",
        )
    return SecretStr(key)

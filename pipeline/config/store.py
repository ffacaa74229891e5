"""``[store]`` and ``[cluster]``: where the database is, and how hosts share it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.database_address import parse_address
from pipeline.config.durations import Seconds
from pipeline.config.youtube import Section

#: Who hands out due tasks of a database that hosts share: the table of tasks alone, or PgQueuer beside it.
Engine: TypeAlias = Literal["none", "pgqueuer"]
SERVER_PATIENCE = 600.0  #: seconds; a failover takes minutes


class StoreSection(Section):
    """The database: a file of the state folder, or one that several processes share."""

    #: Another machine may be spoken to without a proof of who answers. Before ``url``, whose check looks at it.
    insecure: bool = False
    url: str = ""
    engine: Engine = "none"
    password_file: Path | None = None
    #: How long one that does not answer is waited for, before a run ends.
    patience: Seconds = Field(default=30.0, ge=0, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _failover(cls, said: object) -> object:
        """Wait longer for a server, which may be restarting, than for a file."""
        return {"patience": SERVER_PATIENCE, **said} if isinstance(said, dict) and said.get("url") else said

    @field_validator("url")
    @classmethod
    def _understood(cls, value: str, info: ValidationInfo) -> str:
        before = info.data
        if value and (address := parse_address(value)).insecure and not before.get("insecure"):
            raise ValueError(
                f"says sslmode={address.tls}, so that anybody on the way could answer for the database: name its authority"
                " with sslrootcert=…, or set [store] insecure = true"
            )
        return value.strip()


class ClusterSection(Section):
    """This host among those that share the database."""

    host: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$")
    #: How long a host gives no sign before its downloads are made again elsewhere.
    gone_after: Seconds = Field(default=900.0, ge=60, le=86_400)

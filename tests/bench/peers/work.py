"""The work that every peer does, and how it is told of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.child import WIDE

__all__ = ["WIDE", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """Videos to upload and ask about."""

    url: str  #: of the platform, without a version
    items: int
    films: str  #: folder of the video files
    folder: str  #: to work in; empty at the start
    question: Mapping[str, Any]  #: body of an analysis request, without its video
    poll_every: float  #: seconds between two looks at one video
    postgres: str = ""  #: address of an empty database

    @classmethod
    def from_text(cls, text: str) -> Work:
        """Read what :meth:`to_text` wrote."""
        return cls(**json.loads(text))

    def to_text(self) -> str:
        """Return it as JSON for another process."""
        return json.dumps(asdict(self))

    @property
    def base(self) -> str:
        """The address of the API."""
        return f"{self.url}/v1.3"

    def name(self, number: int) -> str:
        """Return a video's file name, by which the platform tells videos apart."""
        return f"{number:07}.mp4"

    def content(self, number: int) -> bytes:
        """Read a video."""
        return (Path(self.films) / self.name(number)).read_bytes()

    def request(self, number: int, asset: str) -> dict[str, Any]:
        """Return the body of an analysis request."""
        return {**self.question, "video": {"type": "asset_id", "asset_id": asset}, "custom_id": self.name(number)}

    def keep(self, number: int, answer: str) -> None:
        """Write an answer: whole or not there, and on the disk."""
        path = Path(self.folder) / f"{number:07}.json"
        partial = path.with_suffix(".tmp")
        with partial.open("w", encoding="utf-8") as file:
            file.write(answer)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def kept(self) -> int:
        """Return how many answers there are."""
        return sum(1 for _ in Path(self.folder).glob("*.json"))

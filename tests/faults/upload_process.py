"""One process that sends one file in parts: killed, measured or stopped by the tests that start it.

``python -m tests.faults.upload_process BASE FILE SESSION``

SESSION is a JSON file: the first process writes it, the next reads it.
At the end it prints its peak of memory in bytes and its processor time in seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

import anyio

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.ports.video_api import NewUpload, UploadSession
from pipeline.provider.client import open_api
from pipeline.provider.http.rate_limits import Unlimited
from tests.security.measured import peak


def known(kept: Path) -> UploadSession | None:
    """Return the session that an earlier process opened."""
    return UploadSession(**json.loads(kept.read_text(encoding="utf-8"))) if kept.exists() else None


async def send(base: str, path: Path, size: int, kept: Path) -> None:
    """Open a session or go on with the one that is kept, and send what is missing."""
    api = open_api(
        Settings(), base_url=base, key=os.environ["TWELVELABS_API_KEY"], identity="t/v1.3", limiter=Unlimited(),
        clock=SystemClock(), rng=Random(1), local=True,
    )  # fmt: skip
    try:
        session = known(kept)
        if session is None:
            upload = NewUpload(path.name, "multipart", "video/mp4", size, path)
            session = await api.open_session(upload, lambda: None)
            await anyio.Path(kept).write_text(json.dumps(asdict(session)), encoding="utf-8")
        await api.send_chunks(session, path, lambda _: None)
    finally:
        await api.aclose()


if __name__ == "__main__":
    file = Path(sys.argv[2])
    asyncio.run(send(sys.argv[1], file, file.stat().st_size, Path(sys.argv[3])))
    print(json.dumps({"peak": peak(), "cpu": time.process_time()}))

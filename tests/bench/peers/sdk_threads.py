"""The vendor's own SDK in a pool of threads. Killed, it begins from the start and pays again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twelvelabs import TwelveLabs
from twelvelabs.types import AsyncResponseFormat, VideoContext_AssetId

from tests.bench.child import Meter
from tests.bench.peers.work import WIDE, Work

__all__ = ["run"]


async def run(work: Work) -> dict[str, Any]:
    """Do the work with one thread a connection."""
    meter = Meter.start()
    client = TwelveLabs(api_key="k", base_url=work.base)
    with ThreadPoolExecutor(WIDE) as pool:
        for done in pool.map(lambda number: _one(work, client, number), range(work.items)):
            assert done
    return dict(meter.read(work.items))


def _one(work: Work, client: TwelveLabs, number: int) -> bool:
    name = work.name(number)
    made = client.assets.create(method="direct", file=(name, work.content(number), "video/mp4"), filename=name)
    asset = str(made.id)
    while client.assets.retrieve(asset).status != "ready":
        time.sleep(work.poll_every)  # noqa: TID251 - what a script does
    told = client.analyze_async.tasks.create(
        model_name=work.question.get("model_name"), custom_id=name, video=VideoContext_AssetId(asset_id=asset),
        prompt=work.question.get("prompt"), max_tokens=work.question.get("max_tokens"),
        temperature=work.question.get("temperature"),
        response_format=AsyncResponseFormat.model_validate(work.question["response_format"]),
    )  # fmt: skip
    task = str(told.task_id)
    while (seen := client.analyze_async.tasks.retrieve(task)).status != "ready":
        time.sleep(work.poll_every)  # noqa: TID251
    assert seen.result is not None
    work.keep(number, str(seen.result.data))
    return True

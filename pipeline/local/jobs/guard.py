"""What the work behind the answers survives: a disk that does not take it, and a mistake of ours over one thing."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pipeline.core import log
from pipeline.core.errors import StoreError
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.tables import ASSETS, JOBS, VIDEOS

_log = log.get("platform")

AGAIN = 5.0  #: seconds until what was not done is tried again

_DOOM = "fail:internal_error:The platform made a mistake over this; its log says which."


async def attempted(state: PlatformDatabase, key: str, work: Callable[[str], Awaitable[None]]) -> bool:
    """Do the work on an asset, an analysis or a video; return False where it is to be tried again after :data:`AGAIN`.

    What nobody foresaw is logged and decides the fate of this one thing, as which the next try ends it: were it let
    through, it would end the work on all others, and a run would wait for answers until its stages' hours are over.
    """
    try:
        await work(key)
    except (StoreError, OSError) as error:  # a full disk, for one: it may have room again
        _log.error("platform.disk", why=str(error), again_in=AGAIN)
    except Exception as error:
        _log.error("platform.crashed", key=key, again_in=AGAIN, exc_info=error)
        with suppress(StoreError, OSError):
            await state.write(lambda db: _doom(db, key))
    else:
        return True
    return False


def _doom(db: sqlite3.Connection, key: str) -> None:
    if (asset := ASSETS.get(db, key)) is not None:
        ASSETS.put(db, dataclasses.replace(asset, forced_outcome=_DOOM))
    if (job := JOBS.get(db, key)) is not None:
        JOBS.put(db, dataclasses.replace(job, forced_outcome=_DOOM))
    if (video := VIDEOS.get(db, key)) is not None:
        VIDEOS.put(db, dataclasses.replace(video, forced_outcome=_DOOM))

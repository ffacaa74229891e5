"""The process that makes posters; run as ``python -m``.

It takes ``{"path", "at", "seconds"}`` or ``{"picture"}`` (base64), and answers ``{"poster"}`` (base64) or ``{"refused"}``.
An empty request proves that it works.
FFmpeg and Pillow read foreign bytes here, so it runs at the lowest priority and within limits: past them it dies.
"""

from __future__ import annotations

import base64
import gc
import math
import os
import resource
from pathlib import Path

from pipeline.core.model import Json
from pipeline.media.container import UnreadableMedia
from pipeline.media.poster import film_poster, picture_poster
from pipeline.media.process_lines import serve_lines

CPU = 20.0  #: seconds of processor time for one poster
MEMORY = 2 * 1024**3  #: bytes of address space


def answer(request: Json) -> Json:
    """Return what one request gets."""
    _limit(resource.RLIMIT_CPU, math.ceil(sum(os.times()[:2]) + CPU))
    try:
        if "picture" in request:
            made = picture_poster(base64.b64decode(request["picture"]))
        elif not request:
            made = b""
        else:
            made = film_poster(Path(request["path"]), request["at"], request["seconds"])
    except UnreadableMedia as error:
        return {"refused": error.message}
    except MemoryError:
        return {"refused": "it needs too much memory"}
    finally:
        gc.collect()  # PyAV's objects hold each other, with megabytes of pictures
    return {"poster": base64.b64encode(made).decode()}


def _limit(what: int, value: int) -> None:
    """Lower a limit of this process; what is lower already stays."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    """Serve over stdin and stdout."""
    os.nice(19)
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_FSIZE, 0)  # it has nothing to write
    _limit(resource.RLIMIT_CORE, 0)
    serve_lines(answer)


if __name__ == "__main__":
    main()

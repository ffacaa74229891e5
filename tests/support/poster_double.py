"""The process that makes posters, with films that do what their first word says: crash it, spin, eat memory, write."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pipeline.media import poster_main
from pipeline.media.container import UnreadableMedia
from pipeline.media.poster import film_poster


def play(path: Path, at: float | None, seconds: float) -> bytes:
    """Do as the film says, or make its poster."""
    word, _, rest = path.read_bytes()[:200].partition(b" ")
    match word:
        case b"crash":
            os.abort()
        case b"killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"spin":
            while True:
                pass
        case b"eat":
            return bytes(4 * poster_main.MEMORY)
        case b"write":
            try:
                Path(rest.decode()).write_bytes(b"x")
            except OSError as error:
                raise UnreadableMedia(str(error.errno)) from None
        case b"print":
            print("something a library says")
            raise UnreadableMedia("said")
        case b"echo":
            return f"{at} {seconds}".encode()
    return film_poster(path, at, seconds)


if __name__ == "__main__":
    poster_main.CPU = 1.0
    poster_main.film_poster = play
    poster_main.main()

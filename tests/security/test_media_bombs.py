"""Video files that lie: pictures of a hundred million pixels, thousands of streams, playlists that name other files."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.local.analysis.extract import media
from pipeline.media import container
from pipeline.media.container import UnreadableMedia
from pipeline.source.media_probe import probe_media
from pipeline.source.thumbnails import LARGEST, detect_suffix, store_beside
from tests.security.bombs import many_tracks, png_film, png_picture
from tests.security.measured import MEGABYTE, measured
from tests.support.media import film, film_bytes

BEFORE = (
    "from pathlib import Path\nfrom pipeline.source.media_probe import probe_media\n"
    "from pipeline.local.analysis.extract import media as local\n"
)
LOOKS = {
    "preflight": "found = probe_media(Path(sys.argv[1]), lambda: None)",
    "platform": "found = local.read_header(Path(sys.argv[1]))",
    "analysis": "found = len(list(local.stream_through(Path(sys.argv[1]))))",
}


@pytest.mark.parametrize("look", ["preflight", "platform"])
def test_a_picture_of_a_hundred_million_pixels_is_not_decoded(tmp_path: Path, look: str) -> None:
    """The header says 64 by 48, the pictures in it have 144 million pixels in 600 kB: refused, in a few megabytes."""
    path = tmp_path / "bomb.avi"
    path.write_bytes(png_film(12_000, 12_000, frames=1))
    assert path.stat().st_size < MEGABYTE
    cost = measured(BEFORE, LOOKS[look], path)
    assert cost.found.startswith(("InputError", "Unreadable")), cost
    assert cost.grown < 48 * MEGABYTE, cost


def test_pictures_of_a_common_size_are_decoded_all_the_same(tmp_path: Path) -> None:
    """The limit is far above what any platform takes."""
    path = tmp_path / "large.avi"
    path.write_bytes(png_film(5184, 2160, frames=2))
    assert probe_media(path, lambda: None).width == 5184
    assert media.read_header(path).facts.height == 2160


@pytest.mark.parametrize("tracks", [400, 3000])
def test_thousands_of_streams_cost_little(tmp_path: Path, tracks: int) -> None:
    """An MP4 with its track written down again and again: looked at or refused, with bounded memory and time."""
    path = tmp_path / "many.mp4"
    path.write_bytes(many_tracks(film_bytes(1.0), tracks))
    for look in ("preflight", "analysis"):
        cost = measured(BEFORE, LOOKS[look], path)
        assert cost.grown < 250 * MEGABYTE, (look, cost)
        assert cost.cpu < 10, (look, cost)


@pytest.mark.parametrize("name", ["film.mp4", "film.m3u8", "film.ffconcat", "film.mpd"])
def test_a_playlist_cannot_name_other_files(tmp_path: Path, name: str) -> None:
    """HLS, DASH and concat lists, under any name: neither the run nor the platform opens what they point to."""
    other = film(tmp_path / "other.ts", 5.0, codec="mpeg2video")
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:{other}\n#EXT-X-ENDLIST\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other.name}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{other.name}'\n",
        f"ffconcat version 1.0\nfile 'file:{other}'\n",
        f"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><BaseURL>{other}</BaseURL></MPD>",
    )
    path = tmp_path / name
    for text in texts:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            probe_media(path, lambda: None)
        assert caught.value.trouble.code == "unreadable_video"
        with pytest.raises(UnreadableMedia):
            media.read_header(path)


def test_one_place_opens_foreign_media() -> None:
    """Whatever reads a media file goes through the opener with the whitelist; elsewhere PyAV only writes."""
    for path in sorted(Path(container.__file__).parents[1].rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        opened = [call for call in re.findall(r"\bav\.open\(([^\n]*)", text) if '"w"' not in call]
        assert (opened != []) == (path == Path(container.__file__)), (path, opened)


def test_nothing_of_ours_opens_archives() -> None:
    """No module reads zip, tar, gzip, bz2, xz or pickle: there is no archive that could be a bomb here."""
    readers = ("zipfile", "tarfile", "gzip", "bz2", "lzma", "shutil.unpack_archive", "pickle", "marshal", "shelve")
    for path in sorted(Path(container.__file__).parents[1].rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found = [name for name in readers if f"import {name}" in text or f"from {name}" in text or f"{name}(" in text]
        assert found == [], path


def test_a_thumbnail_is_a_small_picture_or_nothing(tmp_path: Path) -> None:
    """From a site, so nothing is believed: giants, pages, scripts in pictures and halves are no thumbnails; names are ours."""
    good = io.BytesIO()
    Image.new("RGB", (1280, 720), "red").save(good, "JPEG")
    whole = good.getvalue()
    drawing = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    giants = [png_picture(6000, 6000), png_picture(5000, 10), whole + bytes(LARGEST)]
    others = [b"", b"<html>", drawing, whole[: len(whole) // 2], b"GIF89a" + bytes(99), b"\x00" * 1000, b"%PDF-1.7"]
    assert detect_suffix(whole) == ".jpg"
    assert [data[:8] for data in [*giants, *others] if detect_suffix(data) is not None] == []
    raw, media = tmp_path / "raw", tmp_path / "film.mp4"
    raw.write_bytes(whole)
    assert store_beside(raw, media) == tmp_path / "film.thumbnail.jpg"

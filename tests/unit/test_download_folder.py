"""What of a half-fetched video may be kept, the options that go over the pipe, and what a look decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.youtube import YouTubeSection
from pipeline.core.errors import ConfigError, InputError, NotYet, Permanent, Throttled, Transient
from pipeline.ports.video_api import Ceilings
from pipeline.source.youtube import options
from pipeline.source.youtube.cookies import Cookies, read_cookies
from pipeline.source.youtube.formats import PLANS, StreamFormat, parse_format, sort_order
from pipeline.source.youtube.probe import Probe, caption_track, parse_probe, require_fetchable
from pipeline.source.youtube.storage.folder import (
    DownloadFolder,
    FinishedDownload,
    discard_download,
    measure_usage,
    release_download,
)
from pipeline.source.youtube.storage.quota import DiskQuota
from tests.support.clock import VirtualClock, run_virtual

V = "dQw4w9WgXcQ"


def form(name: str = "18", protocol: str = "https", size: int | None = 100, ext: str = "mp4") -> StreamFormat:
    """Return a format."""
    return parse_format({
        "format_id": name, "protocol": protocol, "ext": ext, "filesize": size, "vcodec": "avc1", "acodec": "mp4a",
    })  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DownloadFolder]:
    """The folder of one video, held."""
    with DownloadFolder(tmp_path, V) as held:
        yield held


def lay(folder: DownloadFolder, **files: int) -> None:
    """Put files of these sizes there; the names are completed."""
    for name, size in files.items():
        (folder.path / f"{V}.{name.removeprefix('f').replace('_', '.')}").write_bytes(b"x" * size)


def there(folder: DownloadFolder) -> set[str]:
    """Return what is there, without the record."""
    return {entry.name.removeprefix(f"{V}.") for entry in folder.path.iterdir()} - {"attempt.json"}


def test_the_part_of_a_single_file_is_kept(folder: DownloadFolder) -> None:
    """Same format, same size, plain https: the next attempt goes on at the byte."""
    folder.prepare([form()])
    lay(folder, f18_mp4_part=60)
    assert folder.prepare([form()]) == 60
    assert there(folder) == {"18.mp4.part"}


@pytest.mark.parametrize(
    "formats",
    [
        [form("22")],
        [form(size=101)],
        [form(protocol="m3u8_native")],
        [form(size=None)],
        [form(), form("140", ext="m4a")],
    ],
)
def test_anything_else_is_thrown_away(folder: DownloadFolder, formats: list[StreamFormat]) -> None:
    """Another format, another size, fragments, an unknown size: start from nothing."""
    folder.prepare([form()])
    lay(folder, f18_mp4_part=60)
    assert folder.prepare(formats) == 0
    assert there(folder) == set()


def test_without_a_record_nothing_is_kept(folder: DownloadFolder) -> None:
    """Files that nobody vouches for may be anybody's; a torn record vouches for nothing."""
    lay(folder, f18_mp4_part=60)
    assert folder.prepare([form()]) == 0
    lay(folder, f18_mp4_part=60)
    (folder.path / "attempt.json").write_text('{"video": "dQw4')
    assert folder.prepare([form()]) == 0
    assert there(folder) == set()


def test_fragments_are_never_resumed(folder: DownloadFolder) -> None:
    """Even the same formats: what an interrupted HLS download left can be wrong without a word."""
    hls = [form("96", "m3u8_native")]
    folder.prepare(hls)
    lay(folder, f96_mp4_part=60, f96_mp4_ytdl=9)
    assert folder.prepare(hls) == 0
    assert there(folder) == set()


def test_complete_parts_and_half_merges_go_whole_streams_stay(folder: DownloadFolder) -> None:
    """A complete .part would be refused for ever; a whole stream counts by its exact size; merges are made anew."""
    two = [form("137"), form("140", ext="m4a", size=40)]
    folder.prepare(two)
    lay(folder, f137_mp4=100, f140_m4a_part=40, merged_mp4=70, **{"f137+140_temp_mp4": 50})
    (folder.path / "captions.en.vtt").write_text("x")
    assert folder.prepare(two) == 100
    assert there(folder) == {"137.mp4"}
    lay(folder, f137_mp4=99)
    assert folder.prepare(two) == 0


def test_a_finished_file_is_found_again_until_it_changes(folder: DownloadFolder) -> None:
    """The record of a whole file holds as long as its size does."""
    lay(folder, f18_mp4=100, f18_mp4_part=3)
    done = FinishedDownload(folder.path / f"{V}.18.mp4", 100, "ab", {"title": "T"})
    folder.tidy(done.path)
    folder.finish(done)
    assert folder.finished() == done
    assert there(folder) == {"18.mp4", "done.json"}
    lay(folder, f18_mp4=99)
    assert folder.finished() is None


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """A second one is told to come back, and may once the first has left."""
    with DownloadFolder(tmp_path, V):
        with pytest.raises(Transient), DownloadFolder(tmp_path, V):
            pass
        with DownloadFolder(tmp_path, V.lower()):
            pass
    with DownloadFolder(tmp_path, V) as again:
        assert again.path.is_dir()


def test_only_a_fetched_file_is_ever_discarded(tmp_path: Path) -> None:
    """A user's own file beside nothing of ours is left alone; a kept one no longer counts against the disk."""
    own = tmp_path / "films" / "a.mp4"
    own.parent.mkdir()
    own.write_bytes(b"x")
    discard_download(own)
    assert own.exists()
    for keep in (True, False):
        with DownloadFolder(tmp_path, V) as folder:
            lay(folder, f18_mp4=100)
            path = folder.path / f"{V}.18.mp4"
            folder.tidy(path)
            folder.finish(FinishedDownload(path, 100, "ab", {}))
        assert sum(measure_usage(tmp_path).values()) > 100
        release_download(path, keep=keep)
        assert path.exists() is keep
        assert sum(measure_usage(tmp_path).values()) <= 1


def test_room_is_given_and_taken(tmp_path: Path) -> None:
    """What is under way counts by what it will be; what never fits says so; hopeless waits are long ones."""

    async def work() -> None:
        clock = VirtualClock()
        quota = DiskQuota(tmp_path, 1000, clock, 600.0)
        await quota.require_space("next")
        assert await quota.reserve("one", 600) == 1000
        assert await quota.reserve("two", 400) == 400
        with pytest.raises(Throttled) as full:
            await quota.reserve("three", 1)
        assert full.value.after == 5.0
        quota.release("two")
        assert await quota.reserve("three", 400) == 400
        with pytest.raises(Permanent):
            await quota.reserve("four", 1001)
        quota.release("one")
        quota.release("three")
        (tmp_path / "yt_stuck").mkdir()
        (tmp_path / "yt_stuck" / "a").write_bytes(b"x" * 1000)
        for seconds, after in ((0, 5.0), (200, 5.0), (200, 660.0)):
            await clock.sleep(seconds)
            with pytest.raises(Throttled) as full:
                await quota.require_space("next")
            assert full.value.after == after
        assert "status" in full.value.trouble.remedy

    run_virtual(work())


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "wrong",
    [{"exec": "rm"}, {"netrc_cmd": "x"}, {"impersonate": ""}, {"default_search": "ytsearch"}, {"throttledratelimit": 1},
     {"ratelimit": "fast"}, {"retries": True}, {"extractor_args": {"generic": {"impersonate": [""]}}}],
)  # fmt: skip
def test_options_that_run_commands_or_loop_are_refused(wrong: dict[str, Any]) -> None:
    """Only a short list of yt-dlp's own options goes through, and of the right type."""
    with pytest.raises(ConfigError) as caught:
        options.checked(wrong)
    assert next(iter(wrong)) in caught.value.trouble.message


def test_what_is_sent_is_json_and_never_opens_the_generic_door() -> None:
    """Every set goes over a pipe; only YouTube's extractors may run; retries are said, because the defaults have none."""
    rules = YouTubeSection(
        options={"ratelimit": 5, "extractor_args": {"youtube": {"lang": ["en"]}}},
        pot_provider="http://127.0.0.1:1",
        plugins=True,
    )
    made = [
        options.probing(rules, sort_order(1080)),
        options.downloading(rules, sort_order(1080), Path("/x"), PLANS[0][1], 9),
        options.captioning(rules, Path("/x"), "en", automatic=False),
        options.listing(rules, 20),
    ]
    for params in made:
        assert json.loads(json.dumps(params)) == params
        assert params["allowed_extractors"] == ["youtube.*"]
        assert params["retries"] >= 5
        assert params["cachedir"] is False
        assert not {"throttledratelimit", "wait_for_video", "default_search", "cookiefile", "download_archive"} & set(
            params
        )
        assert params["extractor_args"]["youtube"] == {"lang": ["en"]}
    assert made[1]["skip_unavailable_fragments"] is False
    assert made[3]["playlist_items"] == "1:20"


def test_the_watchdog_waits_longer_than_yt_dlp_does() -> None:
    """Every retry may time out, and a wait that the site demands comes on top."""
    assert options.quiet_limit({}) >= 20 * 6
    assert options.quiet_limit({"socket_timeout": 100}) > options.quiet_limit({}) + 300
    assert options.quiet_limit({}, 60) == options.quiet_limit({}) + 60


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "a b c", ".example.com\tTRUE\t/\tTRUE\t0\ta\tb\n", ""])
def test_what_is_no_cookie_file_is_told_before_it_is_used(tmp_path: Path, text: str) -> None:
    """JSON, other separators, other sites' cookies, nothing: all are useless, and yt-dlp would not say so."""
    path = tmp_path / "c.txt"
    path.write_text(text)
    assert not isinstance(read_cookies(path), Cookies)
    assert not isinstance(read_cookies(tmp_path / "none.txt"), Cookies)


# ----------------------------------------------------------------------------------------------------------------- probe


def probe(**info: Any) -> Probe:
    """Return what a look found."""
    made = {"id": V, "title": "T", "duration": 60, "formats": [{"width": 640, "height": 360, "filesize": 9}], **info}
    return parse_probe({"info": made, "plan": "merge"})


@pytest.mark.parametrize(
    ("info", "kind", "code"),
    [
        ({"id": "second00001"}, Permanent, "other_video"),
        ({"live_status": "is_live"}, NotYet, "live"),
        ({"live_status": "is_upcoming", "release_timestamp": 1000}, NotYet, "upcoming"),
        ({"live_status": "post_live"}, NotYet, "processing"),
        ({"duration": 0.5}, Permanent, "video_too_short"),
        ({"duration": 99_999}, Permanent, "video_too_long"),
        ({"formats": [{"width": 256, "height": 144}]}, Permanent, "resolution_too_low"),
        ({"formats": [{"width": 640, "height": 360, "filesize": 10**11}]}, Permanent, "file_too_large"),
    ],
)
def test_what_cannot_be_used_is_known_before_a_byte(info: dict[str, Any], kind: type[Exception], code: str) -> None:
    """Another video, not yet there, or beyond what the platform takes."""
    with pytest.raises(kind) as caught:
        require_fetchable(probe(**info), V, Ceilings(), 100.0)
    assert caught.value.trouble.code == code  # type: ignore[attr-defined]
    if code == "upcoming":
        assert caught.value.after == 1000 - 100 + 1800  # type: ignore[attr-defined]


def test_what_is_not_known_passes() -> None:
    """A video that does not tell its length, size or picture is looked at when it is there; an ended stream is a video."""
    unknown = probe(duration=None, formats=[], live_status="was_live")
    require_fetchable(unknown, V, Ceilings(), 100.0)
    assert (unknown.bytes, unknown.opens) == (0, 0.0)


@pytest.mark.parametrize(
    ("info", "wanted", "track"),
    [
        ({"subtitles": ["de", "en"], "language": "en"}, (), ("en", False)),
        ({"subtitles": ["de", "en-GB"], "language": "fr"}, ("en",), ("en-GB", False)),
        ({"subtitles": ["de"], "language": "fr"}, (), ("de", False)),
        ({"subtitles": ["live_chat"], "automatic": ["en-orig", "en", "de"]}, (), ("en-orig", True)),
        ({"automatic": ["de", "en"], "language": "en"}, (), ("en", True)),
        ({"automatic": ["de", "en"]}, (), None),
        ({"automatic": ["en-orig", "de"]}, ("de",), None),
        ({}, (), None),
    ],
)
def test_one_caption_track_is_chosen_and_never_a_translation(
    info: dict[str, Any], wanted: tuple[str, ...], track: tuple[str, bool] | None
) -> None:
    """Human before automatic, the spoken language before others, and no machine's translation of a machine's hearing."""
    assert caption_track(probe(**info), wanted) == track


def test_half_a_character_in_a_title_costs_no_video(tmp_path: Path) -> None:
    """The record of the file is written and read again, and the title can be sent."""
    found = probe(title="cut \ud83d", description="\ud83d\ude00", categories=["\udc00"])
    assert found.title == found.about["title"] == "cut \ufffd"
    assert (found.about["description"], found.about["categories"]) == ("\U0001f600", ["\ufffd"])
    with DownloadFolder(tmp_path, V) as folder:
        media = folder.path / "v.mp4"
        media.write_bytes(b"x")
        folder.finish(FinishedDownload(media, 1, "s", found.about))
        done = folder.finished()
        assert done is not None
        assert done.about["title"] == "cut \ufffd"


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers() | st.text(max_size=5) | st.booleans()))
def test_odd_answers_of_a_worker_do_not_crash_the_reader(info: dict[str, Any]) -> None:
    """Whatever stands in the fields, a look is read or refused."""
    event = {"info": {"id": "x", **info, "formats": [info]}}
    if info.get("id", "x"):
        assert parse_probe(event).id
    else:
        with pytest.raises(InputError):
            parse_probe(event)

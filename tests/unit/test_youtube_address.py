"""YouTube addresses: tables of every form, what is refused, and yt-dlp's own test addresses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.model import Trouble
from pipeline.core.youtube_address import (
    YouTubeAddress,
    file_name,
    find_video_id,
    parse_youtube_address,
    without_query,
)

V = "dQw4w9WgXcQ"
L = "PLBB231211A4F62143"
C = "UCqECaJ8Gagnn7YCbPEzWH6g"

HOSTS = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "WWW.YouTube.com")
VIDEOS = [
    V,
    f"https://www.youtube.com/watch?v={V}",
    f"http://youtube.com/watch?v={V}",
    f"youtube.com/watch?v={V}",
    f"//www.youtube.com/watch?v={V}",
    f"HTTPS://WWW.YOUTUBE.COM/watch?v={V}",
    f"https://m.youtube.com/watch?v={V}&feature=share",
    f"https://music.youtube.com/watch?v={V}&list=RDAMVM{V}",
    f"https://www.youtube.com/watch?app=desktop&v={V}&t=42s",
    f"https://www.youtube.com/watch?v={V}#t=30",
    f"https://www.youtube.com/watch?feature=youtu.be&amp;v={V}",
    f"https://www.youtube.com/watch?v={V}&list={L}&index=3",
    f"https://www.youtube.com/watch?v={V}&list=",
    f"https://youtu.be/{V}",
    f"https://youtu.be/{V}?si=AbC_123-x&t=10",
    f"HTTPS://YOUTU.BE/{V}",
    f"https://youtu.be/{V}?list={L}",
    f"https://www.youtube.com/shorts/{V}?feature=share",
    f"https://www.youtube.com/live/{V}?si=x",
    f"https://www.youtube.com/embed/{V}?start=3",
    f"https://www.youtube-nocookie.com/embed/{V}",
    f"https://www.youtube.com/v/{V}?version=3",
    f"https://www.youtube.com/watch/{V}",
    f"https://www.youtube.com/attribution_link?a=x&u=%2Fwatch%3Fv%3D{V}",
    f"https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3D{V}",
    f"https://studio.youtube.com/video/{V}/edit",
    f"https://youtu.be/{V}&t=10s",
    f"https://www.youtube.com/v/{V}&hl=en_US&fs=1",
    f"https://www.youtube.com/watch?v={V}?t=10",
]

LISTS = {
    f"https://www.youtube.com/playlist?list={L}": f"youtube:playlist:{L}",
    f"https://www.youtube.com/watch?list={L}": f"youtube:playlist:{L}",
    f"https://www.youtube.com/embed/videoseries?list={L}": f"youtube:playlist:{L}",
    f"https://www.youtube.com/channel/{C}/videos": f"youtube:channel:{C}",
    "https://www.youtube.com/@YouTube/shorts": "youtube:handle:@youtube",
    "https://www.youtube.com/user/Some": "youtube:user:some",
    "https://www.youtube.com/c/live": "youtube:custom:live",
    "https://www.youtube.com/c/Some": "youtube:custom:some",
    f"https://www.youtube.com/feeds/videos.xml?channel_id={C}": f"youtube:channel:{C}",
}

REFUSED = [
    f"https://www.youtube.com/watch?v={V}abc",
    f"https://youtu.be/{V}x",
    f"https://www.youtube.com/watch?v={V[:-1]}",
    "https://www.youtube.com/watch?v=",
    "https://www.youtube.com/playlist?list=WL",
    "https://www.youtube.com/playlist?list=RDxxxxxxxxxxxxx",
    "https://www.youtube.com/results?search_query=x",
    "https://www.youtube.com/clip/Ugkx",
    "https://www.youtube.com/@YouTube/live",
    "https://www.youtube.com/@%1b%5b31mred",
    "https://www.youtube.com/c/nul%00",
    f"https://www.youtube.com/channel/{C}/live",
    "https://www.youtube.com/@YouTube/search?query=tides",
    "https://www.youtube.com/",
    f"https://user:hunter2@youtu.be/{V}",
]


@pytest.mark.parametrize("text", VIDEOS)
def test_every_form_of_a_video_address_is_the_same_video(text: str) -> None:
    """However a video's address is written, its key is the same."""
    found = parse_youtube_address(text)
    assert isinstance(found, YouTubeAddress)
    assert (found.kind, found.key) == ("youtube", f"youtube:video:{V}")
    assert found.address == f"https://www.youtube.com/watch?v={V}"


def test_a_video_in_a_playlist_keeps_the_list_as_context_only() -> None:
    """The list is remembered beside the identity, and mixes are not."""
    listed, mixed = parse_youtube_address(f"https://youtu.be/{V}?list={L}"), parse_youtube_address(VIDEOS[7])
    assert isinstance(listed, YouTubeAddress)
    assert isinstance(mixed, YouTubeAddress)
    assert (listed.within, mixed.within) == (L, "")


@pytest.mark.parametrize(("text", "key"), LISTS.items())
def test_lists_and_channels_are_told_from_videos(text: str, key: str) -> None:
    """Playlists, channels, handles and names have keys of their own."""
    found = parse_youtube_address(text)
    assert isinstance(found, YouTubeAddress)
    assert (found.kind, found.key) == ("youtube_list", key)


@pytest.mark.parametrize("text", REFUSED)
def test_a_doubtful_youtube_address_is_refused_with_a_remedy(text: str) -> None:
    """No id is guessed out of trailing junk; each refusal says what to do."""
    found = parse_youtube_address(text)
    assert isinstance(found, Trouble)
    assert found.remedy
    assert "hunter2" not in found.message


@pytest.mark.parametrize(
    "text",
    [
        f"https://youtube.com.evil.example/watch?v={V}",
        f"https://evil.example/?u=https://youtu.be/{V}",
        "file:///films/a.mp4",
        "just some words",
        "/films/youtube.com/watch",
    ],
)
def test_other_hosts_are_not_youtube(text: str) -> None:
    """Only YouTube's own hosts count, whatever else an address mentions."""
    assert parse_youtube_address(text) is None


@pytest.mark.parametrize("text", VIDEOS)
def test_only_a_web_address_names_a_video_to_a_platform(text: str) -> None:
    """Bare ids and hosts count on the command line only: what a platform is sent must be written with a scheme."""
    assert find_video_id(text) == (V if text.strip().lower().startswith("http") else None)
    assert find_video_id(f"ftp://youtu.be/{V}") is None
    assert find_video_id(f"https://youtube.com/playlist?list={L}") is None


def upstream(name: str) -> list[dict[str, Any]]:
    """Return the test cases that an extractor of yt-dlp brings along."""
    import yt_dlp.extractor.youtube as extractors

    return list(getattr(extractors, name).get_testcases(include_onlymatching=True))


def test_every_video_address_of_upstream_means_upstreams_video() -> None:
    """yt-dlp's id, or a refusal for the mirrors of others; and most of them are understood."""
    from yt_dlp.extractor.youtube import YoutubeIE

    known, refused, wrong = 0, [], []
    for case in upstream("YoutubeIE"):
        found = parse_youtube_address(case["url"])
        expected = YoutubeIE.get_temp_id(case["url"])
        if isinstance(found, YouTubeAddress) and found.kind == "youtube":
            known += 1
            if found.key != f"youtube:video:{expected}":
                wrong.append(case["url"])
        else:
            refused.append(case["url"])
    assert wrong == []
    assert known >= 50
    assert all("youtube.com" not in url.partition("?")[0] and "youtu.be" not in url for url in refused), refused


def test_no_list_address_of_upstream_is_taken_for_another_list() -> None:
    """Playlists and channels keep the id that stands in their address; what is not certain is refused with a hint."""
    for case in [*upstream("YoutubeTabIE"), *upstream("YoutubePlaylistIE")]:
        found = parse_youtube_address(case["url"])
        if isinstance(found, YouTubeAddress):
            named = found.key.rpartition(":")[2]
            assert named.lower().lstrip("@") in case["url"].lower() or "%" in case["url"], case["url"]
        elif isinstance(found, Trouble):
            assert found.remedy, case["url"]


@pytest.mark.parametrize("listed", ["WL", "LL", "LM", "HL"])
def test_personal_lists_are_refused(listed: str) -> None:
    """They show something else to everybody who asks."""
    found = parse_youtube_address(f"https://www.youtube.com/playlist?list={listed}")
    assert isinstance(found, Trouble)
    assert found.code == "youtube_list"


@given(
    st.sampled_from(HOSTS),
    st.from_regex(r"[0-9A-Za-z_-]{11}", fullmatch=True),
    st.lists(
        st.sampled_from(["t=1", "si=x_-9", "feature=share", "pp=abc", "index=3", "app=desktop", "list="]), unique=True
    ),
    st.sampled_from(["watch?v={}", "shorts/{}?", "live/{}?", "embed/{}?", "v/{}?", "watch/{}?"]),
)
def test_decoration_never_changes_the_video(host: str, video: str, words: list[str], form: str) -> None:
    """Times, sharing marks and hosts are no part of an identity; letters' case of the id is."""
    found = parse_youtube_address(f"https://{host}/{form.format(video)}&{'&'.join(words)}")
    assert isinstance(found, YouTubeAddress)
    assert found.key == f"youtube:video:{video}"


@given(st.from_regex(r"[0-9A-Za-z_-]{0,30}", fullmatch=True).filter(lambda text: len(text) != 11))
def test_an_id_of_another_length_is_never_cut_to_fit(video: str) -> None:
    """Trailing junk would make a different, valid id of it."""
    for form in ("https://www.youtube.com/watch?v={}", "https://www.youtube.com/shorts/{}", "https://youtu.be/{}"):
        found = parse_youtube_address(form.format(video))
        assert not isinstance(found, YouTubeAddress) or found.kind != "youtube"


@pytest.mark.parametrize(
    ("locator", "shown", "name"),
    [
        ("/films/why?.mp4", "/films/why?.mp4", "why?.mp4"),
        ("/films/a://b?c.mp4", "/films/a://b?c.mp4", "b?c.mp4"),
        ("https://example.org/films/a.mp4?sig=secret", "https://example.org/films/a.mp4", "a.mp4"),
        ("https://example.org/films/?sig=secret", "https://example.org/films/", "films"),
        (f"https://www.youtube.com/watch?v={V}", f"https://www.youtube.com/watch?v={V}", V),
        (f"youtu.be/{V}?si=x", f"youtu.be/{V}?si=x", V),
        (f"https://www.youtube.com/playlist?list={L}", f"https://www.youtube.com/playlist?list={L}", L),
    ],
)
def test_a_query_is_left_out_unless_it_names_the_video(locator: str, shown: str, name: str) -> None:
    """A query may be a secret; a path has none, and on YouTube it is the very name of the video."""
    assert (without_query(locator), file_name(locator)) == (shown, name)

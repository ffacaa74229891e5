"""Our names against yt-dlp's own test addresses: the same id or a refusal, never another id."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.source.identity import Refusal, SourceIdentity, youtube

V = "dQw4w9WgXcQ"
HOSTS = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "WWW.YouTube.com")


def upstream(name: str) -> list[dict[str, Any]]:
    """Return the test cases that an extractor of yt-dlp brings along."""
    import yt_dlp.extractor.youtube as extractors

    return list(getattr(extractors, name).get_testcases(include_onlymatching=True))


def test_every_video_address_of_upstream_means_upstreams_video() -> None:
    """yt-dlp's id, or a refusal for the mirrors of others; and most of them are understood."""
    from yt_dlp.extractor.youtube import YoutubeIE

    known, refused, wrong = 0, [], []
    for case in upstream("YoutubeIE"):
        found = youtube(case["url"])
        expected = YoutubeIE.get_temp_id(case["url"])
        if isinstance(found, SourceIdentity) and found.kind == "youtube":
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
        found = youtube(case["url"])
        if isinstance(found, SourceIdentity):
            named = found.key.rpartition(":")[2]
            assert named.lower().lstrip("@") in case["url"].lower() or "%" in case["url"], case["url"]
        elif isinstance(found, Refusal):
            assert found.trouble.remedy, case["url"]


@pytest.mark.parametrize("listed", ["WL", "LL", "LM", "HL"])
def test_personal_lists_are_refused(listed: str) -> None:
    """They show something else to everybody who asks."""
    found = youtube(f"https://www.youtube.com/playlist?list={listed}")
    assert isinstance(found, Refusal)
    assert found.trouble.code == "youtube_list"


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
    found = youtube(f"https://{host}/{form.format(video)}&{'&'.join(words)}")
    assert isinstance(found, SourceIdentity)
    assert found.key == f"youtube:video:{video}"


@given(st.from_regex(r"[0-9A-Za-z_-]{0,30}", fullmatch=True).filter(lambda text: len(text) != 11))
def test_an_id_of_another_length_is_never_cut_to_fit(video: str) -> None:
    """Trailing junk would make a different, valid id of it."""
    for form in ("https://www.youtube.com/watch?v={}", "https://www.youtube.com/shorts/{}", "https://youtu.be/{}"):
        found = youtube(form.format(video))
        assert not isinstance(found, SourceIdentity) or found.kind != "youtube"

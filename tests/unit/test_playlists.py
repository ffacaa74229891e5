"""What is taken of a list, what has gone from it, and what a line may say for itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.youtube import ListsSection
from pipeline.core.errors import ConfigError
from pipeline.ports.playlists import (
    Playlist,
    PlaylistEntry,
    build_bounds,
    build_item,
    explain_exclusion,
    find_removed,
    merge_rules,
    select_entries,
)
from pipeline.ports.source import Item, ManifestLine
from pipeline.source.youtube.playlists import choose_list_address, parse_playlist

DAY = datetime(2026, 1, 31, tzinfo=UTC).timestamp()


def entry(number: int, **words: Any) -> PlaylistEntry:
    """Return an entry of a list."""
    video = f"video{number:06}"
    return PlaylistEntry(video, f"youtube:video:{video}", f"https://www.youtube.com/watch?v={video}", **words)


def taken(entries: list[PlaylistEntry], **rules: Any) -> list[str]:
    """Return the ids that are chosen."""
    return [each.id[-1] for each in select_entries(Playlist(entries), ListsSection(**rules)).entries]


def test_every_rule_leaves_out_what_it_says_and_why_is_counted() -> None:
    """Length, date, title, state: each on its own, and the sum tells where the rest went."""
    entries = [
        entry(0, title="Lecture 1", seconds=600, when=DAY + 10),
        entry(1, title="Trailer", seconds=30, when=DAY + 10),
        entry(2, title="Lecture 2", seconds=9000, when=DAY + 10),
        entry(3, title="Lecture 3", seconds=600, when=DAY - 10),
        entry(4, title="Lecture 4 (members)", seconds=600, availability="subscriber_only"),
        entry(5, title="Lecture 5", live="is_upcoming"),
        entry(6, title="LECTURE 6 [draft]", seconds=600),
        entry(0, title="Lecture 1", seconds=600),
    ]
    assert taken(
        entries, min_seconds=60, max_seconds=7200, since="2026-01-31", include=["lecture"], exclude=["*draft*"]
    ) == ["0"]
    found = select_entries(Playlist(entries), ListsSection(since="2026-01-31", min_seconds=60, exclude=("draft",)))
    assert dict(found.left_out) == {
        "too short": 1,
        "older": 1,
        "not public": 1,
        "not shown yet": 1,
        "title": 1,
        "twice": 1,
    }


def test_the_last_are_counted_after_the_rest_is_left_out() -> None:
    """``last = 2`` means two that are wanted, not two of which one is a trailer."""
    entries = [entry(0, title="trailer"), entry(1), entry(2), entry(3)]
    assert taken(entries, last=2, exclude=["trailer"]) == ["1", "2"]


def test_what_a_list_does_not_tell_counts_for_the_video() -> None:
    """No length and no date are no reason to leave a video out."""
    assert taken([entry(0)], since="2026-01-31", min_seconds=60, max_seconds=90) == ["0"]


def test_signs_of_patterns_in_titles_are_plain_letters() -> None:
    """Only * and ? mean something; a bracket in a title or a rule breaks nothing."""
    assert taken([entry(0, title="C++ (part 1)"), entry(1, title="C")], include=["c++ (part"]) == ["0"]


def test_a_line_overrides_the_configuration_for_its_own_list() -> None:
    """Metadata of the known names are rules; they do not travel on to the videos, and wrong ones are named."""
    rules = merge_rules(ListsSection(last=9, include=("a",)), {"last": "3", "exclude": "x | y", "course": "physics"})
    assert (rules.last, rules.include, rules.exclude) == (3, ("a",), ("x", "y"))
    for wrong in ({"last": "many"}, {"since": "yesterday"}, {"max_items": "0"}):
        with pytest.raises(ConfigError) as caught:
            merge_rules(ListsSection(), wrong)
        assert next(iter(wrong)) in caught.value.trouble.message
    wish = Item(
        "youtube:playlist:L", "youtube_list", "x", ManifestLine("x", metadata={"last": "3", "course": "physics"})
    )
    item = build_item(entry(1), wish, ListsSection(since="2026-01-31", last=3, max_seconds=60))
    assert item.line.metadata == {"course": "physics"}
    assert item.bounds == {"since": "2026-01-31", "max_seconds": 60}
    assert build_bounds(ListsSection(last=3, exclude=("x",))) == {}


@pytest.mark.parametrize(
    ("day", "seconds", "code"),
    [
        ("20260130", 60.0, "skipped_older"), ("20260131", 60.0, ""), ("20260201", None, ""), ("", 60.0, ""),
        ("someday", 60.0, ""), ("20260201", 29.5, "skipped_too_short"), ("20260201", 90.5, "skipped_too_long"),
        ("20260201", 30.0, ""), ("20260201", 90.0, ""),
    ],
)  # fmt: skip
def test_a_look_at_the_video_says_what_the_list_did_not(day: str, seconds: float | None, code: str) -> None:
    """The exact day and length decide in the end; what even the look does not tell is let through."""
    bounds = build_bounds(ListsSection(since="2026-01-31", min_seconds=30, max_seconds=90))
    found = explain_exclusion(bounds, day, seconds)
    assert (found.code if found else "") == code
    if found:
        assert found.message.endswith(".")
        assert "name the video itself" in found.remedy
    assert explain_exclusion({}, day, seconds) is None


def test_gone_is_what_stood_before_something_that_is_still_there() -> None:
    """New ones push old ones over the edge of a window: those are not gone. One from the middle is."""
    assert find_removed(["a", "b", "c", "d"], ["n", "a", "c"]) == ["b"]
    assert find_removed(["a", "b"], []) == []
    assert find_removed([], ["a"]) == []


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True))
def test_nothing_that_is_there_is_gone(before: list[str], now: list[str]) -> None:
    """Whatever two listings look like, only old ids that are missing can be gone."""
    assert set(find_removed(before, now)) <= set(before) - set(now)


def test_entries_are_named_by_our_own_rules() -> None:
    """Shorts by their address, videos by id or address; what is no video is counted, and nothing is guessed."""
    pages: list[dict[str, Any]] = [
        {"id": "dQw4w9WgXcQ", "url": "https://www.youtube.com/shorts/dQw4w9WgXcQ", "title": "A", "duration": 9},
        {"id": "aaaaaaaaaaa"},
        {"id": "UCqECaJ8Gagnn7YCbPEzWH6g", "url": "https://www.youtube.com/channel/UCqECaJ8Gagnn7YCbPEzWH6g"},
        {"id": "too-long-for-an-id", "url": "https://www.youtube.com/watch?v=too-long-for-an-id"},
    ]
    found = parse_playlist(pages, {"title": "T", "channel_id": "UCx"})
    assert [each.key for each in found.entries] == ["youtube:video:dQw4w9WgXcQ", "youtube:video:aaaaaaaaaaa"]
    assert (found.foreign, found.channel, found.entries[0].seconds) == (2, "UCx", 9.0)


def test_a_channel_is_listed_as_its_one_playlist_of_uploads() -> None:
    """Videos, Shorts and streams are one list there; a handle is asked by name until its id is known."""
    channel = "UCqECaJ8Gagnn7YCbPEzWH6g"
    uploads = "https://www.youtube.com/playlist?list=UUqECaJ8Gagnn7YCbPEzWH6g"
    by_id = Item(
        f"youtube:channel:{channel}", "youtube_list", f"https://www.youtube.com/channel/{channel}", ManifestLine("x")
    )
    by_name = Item("youtube:handle:@name", "youtube_list", "https://www.youtube.com/@name", ManifestLine("x"))
    assert choose_list_address(by_id, "") == uploads
    assert choose_list_address(by_name, "") == "https://www.youtube.com/@name"
    assert choose_list_address(by_name, channel) == uploads


def test_a_day_in_any_form_is_the_same_day() -> None:
    """Days are also written without hyphens, or by their week: the look before a download compares them as text."""
    for day in ("2026-01-31", "20260131", "2026-W05-6"):
        bounds = build_bounds(ListsSection(since=day))
        assert explain_exclusion(bounds, "20260201", None) is None
        assert explain_exclusion(bounds, "20260130", None) is not None

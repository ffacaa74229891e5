"""The failure table: every sentence that was seen leads to what must happen next."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import NotYet, Permanent, Transient
from pipeline.source.youtube.client import to_error
from pipeline.source.youtube.failures import (
    BROKEN,
    TABLE,
    UNKNOWN,
    Action,
    Cause,
    DownloadFailure,
    classify,
    find_rule,
    parse_failure,
)
from pipeline.source.youtube.probe import LATER
from tests.support.ytdlp_messages import VERSION, catalogue, installed

SENTENCES = {
    "Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser or --cookies": "bot_check",
    "Something. YouTube is requiring a captcha challenge before playback": "bot_check",
    "Sign in to confirm your age. This video may be inappropriate for some users.": "age_restricted",
    "This content isn't available, try again later. The current session has been rate-limited by YouTube": "rate_limited",
    "Your IP is likely being blocked by Youtube": "ip_blocked",
    "Join this channel to get access to members-only content like this video": "members_only",
    "This video is available to this channel's members on level: X": "members_only",
    "Private video. Sign in if you've been granted access to this video": "private",
    "This video requires payment to watch": "paid",
    "This video is only available to Music Premium members": "paid",
    "This video is DRM protected": "drm",
    "The uploader has not made this video available in your country": "geo",
    "Premieres in 2 hours": "upcoming",
    "This live event will begin in a few moments": "upcoming",
    "We're processing this video. Check back later.": "processing",
    "This live stream recording is not available.": "live_gone",
    "Video unavailable. This video has been removed by the uploader": "removed",
    "This video has been removed for violating YouTube's Terms of Service": "removed",
    "Video unavailable. This video is no longer available because the account has been terminated": "removed",
    "This video is no longer available due to a copyright claim by X": "removed",
    "This video is no longer available because the uploader has closed their YouTube account.": "removed",
    "YouTube said: This account has been terminated for violating Google's Terms of Service.": "removed",
    "YouTube said: This channel was removed because it violated our Community Guidelines.": "removed",
    "This video does not exist.": "removed",
    "Video unavailable. X has blocked it on copyright grounds": "blocked",
    "This video contains content from X, who has blocked it from display on this website or application": "blocked",
    "Video unavailable. Playback on other websites has been disabled by the video owner": "blocked",
    "This video contains content from X, who has blocked it in your country on copyright grounds": "geo",
    "Video unavailable. This video is restricted. Please check the Google Workspace administrator and/or the network "
    "administrator restrictions.": "restricted",
    "This video is restricted. Try signing in with a Google Apps account.": "restricted",
    "Access to this webpage has been blocked by Websense filtering software in your network.": "network_blocked",
    "YouTube said: This playlist type is unviewable.": "list_not_viewable",
    "YouTube said: The playlist does not exist.": "list_missing",
    "YouTube said: This channel does not exist.": "list_missing",
    "YouTube said: This playlist is private.": "list_missing",
    "YouTube said: This channel is not available.": "list_missing",
    "@x: Failed to resolve url (does the playlist exist?)": "list_missing",
    "The channel/playlist does not exist and the URL redirected to youtube.com home page": "list_missing",
    "UCx: This channel does not have a streams tab": "no_tab",
    "The channel does not have a videos tab": "no_tab",
    "Please sign in. Use --cookies-from-browser or --cookies for the authentication": "sign_in",
    "Login details are needed to download this content": "sign_in",
    "The following content has been identified by the YouTube community as inappropriate or offensive": "sign_in",
    "The following content may contain suicide or self-harm topics": "sign_in",
    "This video requires a subscription to watch": "paid",
    "This live event has ended.": "live_offline",
    "This live stream is offline.": "live_offline",
    "Live DASH videos are not supported": "live",
    "This video is still being processed.": "processing",
    "YouTube is no longer supported in this application or device.": "client_blocked",
    "Watch video on YouTube. Error 153. Video player configuration error": "client_blocked",
    "The downloaded file is empty": "fragments",
    "fragment 17 not found, unable to continue": "fragments",
    "YouTube said: Unknown error.": "incomplete",
    "Incomplete data received": "incomplete",
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate": "certificate",
    "Unable to download API page: HTTP Error 400: Bad Request": "api_refused",
    "YouTube said: Precondition check failed.": "api_refused",
    "Unable to download webpage: HTTP Error 302: redirect loop detected": "api_refused",
    "unable to open for writing: [Errno 36] File name too long: 'x.part'": "name_too_long",
    "unable to open for writing: [Errno 13] Permission denied: 'x.part'": "disk",
    'Invalid proxy url "x": y': "proxy",
    "ffmpeg exited with code 1": "tool_failed",
    "Unsupported language code: xx": "bad_option",
    "Video unavailable": "unavailable",
    "Video unavailable. This content isn\u2019t available.": "unavailable",
    "This video isn't available anymore": "unavailable",
    "The following content is not available on this app. Watch on the latest version": "client_blocked",
    "The page needs to be reloaded.": "client_blocked",
    "Requested format is not available. Use --list-formats": "format",
    "No video formats found!": "format",
    "Failed to extract any player response": "format",
    "HTTP Error 416: Requested range not satisfiable": "partial_conflict",
    "'x' does not look like a Netscape format cookies file": "cookies_bad",
    "You have requested merging of multiple formats but ffmpeg is not installed. Aborting": "ffmpeg_missing",
    "Postprocessing: Error opening output files: Invalid argument": "merge_failed",
    "unable to write data: [Errno 28] No space left on device": "disk",
    "Did not get any data blocks": "network",
    "The read operation timed out": "network",
    "IncompleteRead(9 bytes read, 7 more expected)": "network",
    "Incomplete YouTube ID abc. URL https://youtu.be/abc looks truncated.": "bad_ref",
    "[Errno -3] Temporary failure in name resolution": "dns",
    "Unsupported URL: https://example.com": "bad_ref",
    "Something that nobody has ever seen": "unknown",
}


@pytest.mark.parametrize(("text", "code"), SENTENCES.items())
def test_every_sentence_has_its_row(text: str, code: str) -> None:
    """What the site or yt-dlp says is understood, in spite of typographic apostrophes and capital letters."""
    found = classify(
        DownloadFailure(
            (Cause("DownloadError", message=text), Cause("ExtractorError", ("ExtractorError",), text, True))
        )
    )
    assert found.rule.code == code
    assert found.trouble.message
    assert found.trouble.remedy
    assert found.trouble.detail == text


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (Cause("HTTPError", message="HTTP Error 429: Too Many Requests", status=429), "rate_limited"),
        (Cause("HTTPError", message="HTTP Error 403: Forbidden", status=403), "forbidden"),
        (Cause("HTTPError", message="HTTP Error 404: Not Found", status=404), "gone"),
        (Cause("HTTPError", message="HTTP Error 503: Unavailable", status=503), "server"),
        (Cause("HTTPError", message="HTTP Error 416", status=416), "partial_conflict"),
        (Cause("TransportError", ("TransportError", "RequestError"), "x"), "network"),
        (Cause("HTTPError", message="HTTP Error 400: Bad Request", status=400), "api_refused"),
        (Cause("HTTPError", message="HTTP Error 451: Unavailable For Legal Reasons", status=451), "geo"),
        (Cause("CertificateVerifyError", ("CertificateVerifyError", "SSLError", "TransportError"), "x"), "certificate"),
        (Cause("OSError", message="x", errno=errno.ENOSPC), "disk"),
        (Cause("OSError", message="x", errno=errno.ENAMETOOLONG), "name_too_long"),
        (Cause("JsChallengeProviderError", ("JsChallengeProviderError",), "x"), "no_js_runtime"),
        (Cause("UserNotLive", ("UserNotLive", "ExtractorError"), "x", True), "not_live"),
        (Cause("TooLarge", ("TooLarge", "DownloadCancelled"), "x"), "too_large"),
        (
            Cause("RegexNotFoundError", ("RegexNotFoundError", "ExtractorError"), "Unable to extract y", False),
            "extractor_broken",
        ),
    ],
)
def test_types_and_numbers_count_as_well_as_words(cause: Cause, code: str) -> None:
    """Where there is no sentence, the class of the exception, its status or its errno decides."""
    assert classify(DownloadFailure((Cause("DownloadError", message="ERROR"), cause))).rule.code == code


def test_where_a_video_may_be_seen_is_told() -> None:
    """A block by country names the countries in which there is none."""
    cause = Cause("GeoRestrictedError", ("GeoRestrictedError",), "not here", True, countries=("DE", "AT"))
    found = classify(DownloadFailure((cause,)))
    assert found.rule.code == "geo"
    assert "AT, DE" in found.trouble.message


def test_a_warning_about_cookies_explains_what_nothing_else_does() -> None:
    """Worn-out cookies are told in a warning only; a real reason goes before it."""
    warned = ("The provided YouTube account cookies are no longer valid.",)
    assert classify(DownloadFailure((Cause(message="odd"),), warnings=warned)).rule.code == "cookies_bad"
    assert classify(DownloadFailure((Cause(message="Private video"),), warnings=warned)).rule.code == "private"


@pytest.mark.parametrize(
    "warning",
    [
        "No supported JavaScript runtime could be found. Only deno is enabled by default",
        "n challenge solving failed: Some formats may be missing.",
        "Signature solving failed: Some formats may be missing.",
    ],
)
def test_a_warning_about_the_javascript_runtime_explains_missing_formats(warning: str) -> None:
    """Without a runtime the error names formats only; what must be installed is said. A real reason goes before it."""
    for text, code in (
        ("Requested format is not available", "no_js_runtime"),
        ("odd", "unknown"),
        ("Private video", "private"),
    ):
        assert classify(DownloadFailure((Cause(message=text),), warnings=(warning,))).rule.code == code


def test_every_message_that_was_read_has_its_class() -> None:
    """Each literal failure in yt-dlp's sources for YouTube, its downloaders and its network: none is unknown."""
    for message, code in catalogue()[1].items():
        assert message.code == code, message.text
        assert code != "unknown", message.text


def test_the_installed_version_says_nothing_that_was_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    """The version of the catalogue must be in it whole. A newer one is not wrong by being newer: what it adds is reported."""
    version, known = catalogue()
    new = [f"{message.code}: {message.text}" for message in installed() if message not in known]
    if version == VERSION:
        assert new == []
    elif new:
        with capsys.disabled():
            print(f"\nyt-dlp {VERSION} says {len(new)} things that were not read in {version}:", *new, sep="\n  ")
            print("sort them: python -m tests.support.ytdlp_messages --write")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda x: st.lists(x, max_size=3)))
def test_any_event_is_something(value: Any) -> None:
    """Whatever a worker of another version writes, there is a verdict and nothing is raised."""
    for event in ({"chain": value}, {"chain": [{"message": value, "status": value}]}, {"warnings": value}):
        assert classify(parse_failure(event)).rule in (*TABLE, BROKEN, UNKNOWN)


def test_the_table_is_sound() -> None:
    """Codes are there once, each row can be recognised, later ones know when, and what to do is said for the user."""
    codes = [rule.code for rule in (*TABLE, BROKEN, UNKNOWN)]
    assert len(codes) == len(set(codes))
    for rule in TABLE:
        assert rule.words or rule.kinds or rule.statuses or rule.errnos, rule.code
        assert "--cookies-from-browser" not in rule.message + rule.remedy
        assert find_rule(rule.code) is rule
    assert {rule.code for rule in TABLE if rule.action is Action.LATER} <= set(LATER)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("Private video", Permanent), ("Premieres in 2 hours", NotYet), ("HTTP Error 403", Transient), ("odd", Transient)],
)
def test_each_action_has_its_error(text: str, kind: type[Exception]) -> None:
    """The engine sees only our errors, with the code by which the item can be selected later."""
    error = to_error(classify(DownloadFailure((Cause(message=text),))))
    assert isinstance(error, kind)
    if isinstance(error, Transient):
        assert error.waits

"""What answers say about rate limits, form by form."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest

from pipeline.ports.quota import QuotaNote
from pipeline.provider.dialects.protocol import Response
from pipeline.provider.dialects.quota_notes import quota_notes, speaks_of_quota
from pipeline.provider.dialects.retry_after import requested_wait
from tests.support.clock import EPOCH

N = QuotaNote


@pytest.mark.parametrize(
    ("headers", "notes"),
    [
        ({}, []),
        ({"content-type": "application/json"}, []),
        # the vendor's own form, documented for API v1.2 and for search and analyze of v1.3
        (
            {"x-ratelimit-limit": "600", "x-ratelimit-remaining": "2", "x-ratelimit-used": "598",
             "x-ratelimit-reset": str(int(EPOCH) + 40_000)},
            [N("requests", "day", 600, 2, EPOCH + 40_000)],
        ),
        ({"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "x-ratelimit-reset": "30"},
         [N("requests", "", 10, 9, EPOCH + 30)]),
        ({"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "x-ratelimit-reset": str(int(EPOCH * 1000) + 900_000)},
         [N("requests", "hour", 10, 9, EPOCH + 900)]),
        # by what is counted, with spans as words
        (
            {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s",
             "x-ratelimit-limit-tokens": "9000", "x-ratelimit-remaining-tokens": "10", "x-ratelimit-reset-tokens": "6m30s"},
            [N("requests", "", 60, 59, EPOCH + 1), N("tokens", "hour", 9000, 10, EPOCH + 390)],
        ),
        ({"x-ratelimit-limit-minute": "20", "x-ratelimit-remaining-minute": "18", "x-ratelimit-remaining-tokens-day": "7"},
         [N("requests", "minute", 20, 18), N("tokens", "day", None, 7)]),
        # the drafts of the IETF, in the order in which they changed
        ({"ratelimit-limit": "100, 100;w=3600", "ratelimit-remaining": "50", "ratelimit-reset": "120"},
         [N("requests", "hour", 100, 50, EPOCH + 120)]),
        ({"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=60"},
         [N("requests", "minute", 100, 50, EPOCH + 5)]),
        ({"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=86400'},
         [N("requests", "day", 100, 50, EPOCH + 30)]),
        ({"ratelimit": '"a";r=5;t=30, "b, c";r=0;t=9', "ratelimit-policy": '"a";q=10;w=60;qu="requests", "b, c";q=7;w=7'},
         [N("requests", "minute", 10, 5, EPOCH + 30), N("requests", "", 7, 0, EPOCH + 9)]),
        # what nobody can read says nothing
        ({"x-ratelimit-limit": "many", "x-ratelimit-remaining": "-1", "x-ratelimit-reset": "nan"}, []),
        ({"ratelimit": ";;=,", "ratelimit-policy": "w=60", "ratelimit-limit": "0"}, []),
    ],
)  # fmt: skip
def test_headers(headers: Mapping[str, str], notes: list[QuotaNote]) -> None:
    """Each form of a header says what is counted, over how long, the limit, what is left and when it starts again."""
    found = quota_notes(Response(200, headers, b"", EPOCH))
    assert list(found) == notes
    assert speaks_of_quota(headers) == any("ratelimit" in name for name in headers)


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (b"", []),
        (b"<html>Too many requests per day, go away: 5 of you a minute</html>", []),
        ({"code": "too_many_requests", "message": "You exceeded 10 requests per minute. Try again in 25 seconds."},
         [N("requests", "minute", 10, resets=EPOCH + 25, reached=True)]),
        ({"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "x", "details": {
            "retryAfter": "60", "currentLimit": "1,200 requests per hour"}}},
         [N("requests", "hour", 1200, resets=EPOCH + 60, reached=True)]),
        ({"code": "x", "message": "The limit of 600 minutes of video per day is used up."},
         [N("minutes", "day", 600, reached=True)]),
        ({"code": "x", "message": "Limit: 20k tokens / minute"}, [N("tokens", "minute", 20_000, reached=True)]),
        ({"code": "x", "message": "Daily limit reached."}, [N("requests", "day", reached=True)]),
        ({"code": "daily_duration_exceeded", "message": ""}, [N("minutes", "day", reached=True)]),
        ({"code": "x", "message": "Your hourly token quota is used up."}, [N("tokens", "hour", reached=True)]),
        ({"code": "x", "message": "Slow down."}, []),
    ],
)  # fmt: skip
def test_bodies_of_a_refusal(body: object, notes: list[QuotaNote]) -> None:
    """A sentence that names a limit or a quota is understood; of a good answer nothing is."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert list(quota_notes(Response(429, {}, content, EPOCH))) == notes
    assert list(quota_notes(Response(200, {}, content, EPOCH))) == []


ENDLESS = "9" * 5_000
_SPEAKING = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-limit",
    "ratelimit",
    "ratelimit-policy",
)
_WORDS = (ENDLESS, f"{ENDLESS}s", "9" * 400, "1e308", "inf", "nan", f"100;w={ENDLESS}",
          f'"a";q={ENDLESS};w={ENDLESS};r=1;t=1e999', f"limit={ENDLESS}, remaining=1, reset={ENDLESS}")  # fmt: skip


@pytest.mark.parametrize("words", _WORDS, ids=lambda words: words[:20])
@pytest.mark.parametrize("name", _SPEAKING)
def test_a_number_without_end_is_no_number(name: str, words: str) -> None:
    """What no limit can be says nothing: it would neither be stored nor shown, and its answer may be one that is paid."""
    sentences = [
        f"No more than {words} requests per day.",
        f"{words}k tokens per hour",
        f"{words} minutes of video a day",
    ]
    for sentence in sentences:
        body = json.dumps({"code": "x", "message": sentence}).encode()
        for note in quota_notes(Response(429, {name: words, "x-ratelimit-limit-day": "7"}, body, EPOCH)):
            assert all(each is None or each < 1e16 for each in (note.limit, note.left, note.resets))


@pytest.mark.parametrize("words", ["9", "9,", "5 ", "5\u00a0\n", "per ", "24 ", "in 9", "9-"])
def test_no_sentence_takes_long_to_read(words: str) -> None:
    """A refusal is read between the heartbeats of all who work."""
    for message in (words * 5_000, words[:1] + words[1:] * 5_000):
        body = json.dumps({"code": message, "message": message, "details": {"currentLimit": message}}).encode()
        began = time.process_time()
        quota_notes(Response(429, {"retry-after": message}, body, EPOCH))
        assert time.process_time() - began < 0.5


def test_a_limit_in_minutes_is_no_time_to_wait() -> None:
    """ "600 minutes per day" once made a run wait for ten hours."""
    for words in ("The limit of 600 minutes per day is reached.", "No more than 60 minutes of video.", "20 min/day"):
        assert requested_wait(Response(429, {}, json.dumps({"message": words}).encode(), EPOCH)) is None
    named = {"message": "The limit of 600 minutes per day is reached, wait 90 minutes."}
    assert requested_wait(Response(429, {}, json.dumps(named).encode(), EPOCH)) == 5400

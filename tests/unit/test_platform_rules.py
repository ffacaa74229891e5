"""The pure parts of the local platform: schema subset, fault scripts, limits, paging, forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from pipeline.core.errors import ConfigError
from pipeline.local.api.http.bodies import parse
from pipeline.local.api.http.faults import Faults, FaultScript, read_faults
from pipeline.local.api.http.fields import check_metadata
from pipeline.local.api.http.pagination import PageRequest
from pipeline.local.api.http.query import parse_flag
from pipeline.local.api.http.responses import error_body, new_id
from pipeline.local.api.v1_3.requests import SyncRequest, TaskRequest
from pipeline.local.api.v1_3.schema_profile import check_schema
from pipeline.local.errors import ApiError
from pipeline.local.limits import OWN_LIMITS, PlatformLimits
from pipeline.local.state.tables import BEGINS, AssetRow
from pipeline.media.limits import MAX_PIXELS
from pipeline.ports.source import MediaFacts
from pipeline.provider.ceilings import platform_ceilings
from pipeline.source.preflight import check

ASKED = {"video": {"type": "asset_id", "asset_id": "0" * 24}, "prompt": "What?"}

GOOD: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x", "description": "d"}}, "required": ["a"]},
    {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 1}]}},
    {
        "type": "object",
        "properties": {"t": {"$ref": "#/$defs/T"}},
        "$defs": {"T": {"type": "number"}},
    },
    {
        "type": "object",
        "properties": {"start_time": {"type": "number"}, "end_time": {"type": "timestamp", "format": "hh:mm:ss"}},
    },
    {"type": "string", "enum": ["a", "b"]},
    {"const": 3},
]
STAMP = {"type": "timestamp", "format": "seconds"}
MOMENT = {"type": "object", "properties": {"at": STAMP}}
BAD: list[tuple[dict[str, Any], int]] = [
    ({"type": "object", "additionalProperties": False}, 422),
    ({"type": "string", "minLength": 1}, 422),
    ({"type": "string", "maxLength": 1}, 422),
    ({"type": "array", "maxItems": 1}, 422),
    ({"type": "array", "uniqueItems": True}, 422),
    ({"type": "number", "minimum": 1}, 422),
    ({"oneOf": []}, 422),
    ({"allOf": []}, 422),
    ({"not": {}}, 422),
    ({"type": "array", "minItems": 2}, 400),
    ({"type": "integer", "minimum": 1.5}, 400),
    ({"type": "string", "format": "email"}, 400),
    ({"type": "string", "pattern": "("}, 400),
    ({"type": "wave"}, 400),
    ({"type": ["string", "null"]}, 400),
    ({"$ref": "https://example.invalid/x"}, 400),
    ({"type": "object", "properties": {"start_time": {"type": "boolean"}}}, 400),
    ({"type": "object", "properties": {"end_time": {"type": "string", "format": "time"}}}, 400),
    ({"type": "object", "required": ["a"]}, 400),
    ({"type": "object", "properties": []}, 400),
    ({"enum": [{}]}, 400),
    ({"anyOf": [STAMP]}, 400),
    ({"type": "null", "$defs": {"T": MOMENT}}, 400),
    ({"type": "array", "items": {"type": "array", "items": MOMENT}}, 400),
]


GOOD += [STAMP, MOMENT, {"type": "array", "items": MOMENT}]


@pytest.mark.parametrize("schema", GOOD)
def test_the_subset_is_taken(schema: dict[str, Any]) -> None:
    """What the platform supports passes unchanged."""
    assert check_schema(schema) == schema


@pytest.mark.parametrize(("schema", "status"), BAD)
def test_what_is_outside_the_subset_is_refused_at_any_depth(schema: dict[str, Any], status: int) -> None:
    """Unsupported keywords are 422, wrong use is 400: at the top, in a property, in a list, in a definition."""
    for whole in (
        schema,
        {"type": "object", "properties": {"a": schema}},
        {"type": "array", "items": {"anyOf": [schema]}},
        {"type": "null", "$defs": {"D": schema}},
    ):
        with pytest.raises(ApiError) as error:
            check_schema(whole)
        assert error.value.status == status


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_json_makes_the_readers_crash(value: Any) -> None:
    """Whatever a client sends is either read or refused as an ApiError."""
    for attempt in (
        lambda: check_schema(value),
        lambda: parse(
            SyncRequest,
            {"video": value, "prompt": value, "response_format": {"type": "json_schema", "json_schema": value}},
        ),
        lambda: parse(
            TaskRequest, {"video": {"type": "asset_id", "asset_id": "a"}, "prompt": "p", "temperature": value}
        ),
        lambda: check_metadata(value) if isinstance(value, dict) else None,
        lambda: Faults(rules=[value]),
    ):
        assert _refusal(attempt) in (None, 400, 422)


def _refusal(attempt: Callable[[], object]) -> int | None:
    """Return the status a reader refuses with, or None where it reads; anything else it raises is a crash."""
    try:
        attempt()
    except ApiError as error:
        return error.status
    return None


def hits(rule: dict[str, Any], requests: int, seed: int = 0) -> list[int]:
    """Return which of so many equal requests a rule hits, counted from 1."""
    script = FaultScript(Faults(rules=[rule], seed=seed))
    return [number for number in range(1, requests + 1) if script.decide("GET", "/v1.3/assets")]


def test_rules_choose_their_requests() -> None:
    """nth hits once, every hits each nth, times ends it, and no word hits all; other requests are not counted."""
    rule = {"match": "GET /v1.3/assets$", "do": "key"}
    assert hits(rule, 3) == [1, 2, 3]
    assert hits({**rule, "nth": 2}, 5) == [2]
    assert hits({**rule, "every": 2}, 5) == [2, 4]
    assert hits({**rule, "every": 2, "times": 1}, 5) == [2]
    assert hits({**rule, "times": 2}, 5) == [1, 2]
    script = FaultScript(Faults(rules=[{**rule, "nth": 1}]))
    assert script.decide("POST", "/v1.3/assets") == []
    assert len(script.decide("GET", "/v1.3/assets")) == 1


def test_chances_repeat_with_their_seed() -> None:
    """The same seed hits the same requests; about as many as the probability says."""
    rule = {"match": "GET", "do": "key", "probability": 0.3}
    assert hits(rule, 200, 7) == hits(rule, 200, 7)
    assert hits(rule, 200, 7) != hits(rule, 200, 8)
    assert 30 < len(hits(rule, 200, 7)) < 90


def test_a_fault_script_is_read_from_a_file(tmp_path: Path) -> None:
    """Rules and seed as over HTTP; what is no script is a ConfigError that names the file."""
    path = tmp_path / "faults.json"
    path.write_text(
        json.dumps({"rules": [{"match": "GET", "do": "latency", "seconds": 2}], "seed": 3}), encoding="utf-8"
    )
    script = read_faults(path)
    assert (script.rules[0].seconds, script.seed) == (2, 3)
    for text in ("{", "[]", "{}", '{"rules": [{"match": "x", "do": "explode"}]}', '{"rules": [1]}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"faults\.json"):
            read_faults(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_faults(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("size", "code"),
    [
        ((360, 360), None),
        ((5184, 2160), None),
        ((2160, 5184), None),
        ((640, 359), "video_resolution_too_low"),
        ((5186, 2160), "video_resolution_too_high"),
        ((4000, 2200), "video_resolution_too_high"),
        ((1000, 400), "video_resolution_invalid_aspect_ratio"),
    ],
)
def test_picture_sizes_have_their_edges(size: tuple[int, int], code: str | None) -> None:
    """360 to 5184x2160 in either direction, at most 2.4 to 1."""
    fault = PlatformLimits().picture_fault(*size)
    assert (fault[0] if fault else None) == code


@pytest.mark.parametrize(
    ("seconds", "window", "sync", "code"),
    [
        (1.0, None, True, None),
        (0.9, None, True, "video_duration_too_short"),
        (3600.0, None, True, None),
        (3601.0, None, True, "video_duration_too_long"),
        (7200.0, None, False, None),
        (7201.0, None, False, "video_duration_too_long"),
        (14_400.0, 7200.0, False, None),
        (14_400.0, 7201.0, False, "video_duration_too_long"),
        (14_401.0, 60.0, False, "video_duration_too_long"),
    ],
)
def test_durations_have_their_edges(seconds: float, window: float | None, sync: bool, code: str | None) -> None:
    """An hour at once, two hours as a task, four where a window of two is asked for."""
    fault = PlatformLimits().length_fault(seconds, window, sync=sync)
    assert (fault[0] if fault else None) == code


@given(
    seconds=st.floats(0.01, 1e7),
    width=st.integers(1, 60_000),
    height=st.integers(1, 60_000),
    size=st.integers(1, 10**14),
)
def test_what_the_local_platforms_client_lets_pass_its_server_takes(
    seconds: float, width: int, height: int, size: int
) -> None:
    """Two declarations that share no code: neither API refuses what was let through, whatever its length and shape."""
    seen = MediaFacts(Path("a.mp4"), size, seconds, width, height, "mov", "h264", "", "video/mp4")
    for api in ("v1.2", "v1.3"):
        takes = platform_ceilings("local", api)
        trouble = check(seen, takes)
        assert (trouble is None) == (width * height <= MAX_PIXELS), trouble
        assert takes.direct_bytes >= size or takes.multipart_bytes >= size
        assert takes.direct_bytes <= (OWN_LIMITS.task_bytes if api == "v1.2" else OWN_LIMITS.direct_bytes)
        assert takes.multipart_bytes <= OWN_LIMITS.multipart_bytes
    faults = [OWN_LIMITS.length_fault(seconds, None, sync=sync) for sync in (False, True)]
    faults += [OWN_LIMITS.picture_fault(width, height), OWN_LIMITS.indexing_fault(seconds, OWN_LIMITS.indexed_seconds)]
    assert faults == [None] * 4


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [(None, None, 10.0), (36_060.0, None, 9.0), (36_060.0, 36_120.0, 1.0), (36_000.0, 99_999.0, 10.0)],
)
def test_a_window_counts_by_the_clock_inside_the_file(start: float | None, end: float | None, minutes: float) -> None:
    """As at the vendor: a recording whose clock starts at ten hours; only the part inside the video is billed."""
    asset = AssetRow("a", "direct", "ready", "a.ts", "video", 0.0, duration=600.0, technical={BEGINS: 36_000.0})
    body = parse(TaskRequest, {**ASKED, "start_time": start, "end_time": end})
    assert body.minutes(asset) == minutes


def test_pages_and_bodies() -> None:
    """Page arithmetic, the five error shapes, truth values as text, ids of 24 hex characters."""
    page = PageRequest.parse(QueryParams("page=3&page_limit=20"))
    assert (page.offset, page.info(41)["total_page"]) == (40, 3)
    assert PageRequest().info(0)["total_page"] == 0
    assert json.loads(error_body("nested", "c", "m", {"d": 1})) == {
        "error": {"code": "c", "message": "m", "details": {"d": 1}}
    }
    assert json.loads(error_body("flat", "c", "m")) == {"code": "c", "message": "m"}
    assert error_body("empty", "c", "m") == b""
    assert parse_flag(QueryParams("x=TRUE"), "x")
    assert not parse_flag(QueryParams(""), "x")
    assert len({new_id(1.8e9) for _ in range(100)}) == 100
    assert int(new_id(1.8e9), 16) > 0
    assert len(new_id(1.8e9)) == 24

"""What doctor says about YouTube's needs, and that it asks nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.sections import Fetch, YouTube
from pipeline.source.youtube_doctor import look_at_youtube, versions
from pipeline.source.youtube_process import Hello
from tests.media_server import MediaServer, interpreter

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
DENO = {"runtimes": [["deno", "2.9.8", True]], "ffmpeg": "9.0"}


@pytest.mark.parametrize(
    ("hello", "tools", "lacking"),
    [
        (Hello("2026.10.26", "0.8.0", "3.11"), DENO, set()),
        (Hello("2026.07.01", "0.8.0", "3.11"), DENO, {"yt-dlp"}),
        (Hello("nightly", "0.8.0", "3.11"), DENO, {"yt-dlp"}),
        (Hello("2026.10.26", "", "3.11"), DENO, {"yt-dlp-ejs"}),
        (Hello("2026.10.26", "1", "3"), {"runtimes": [["node", "20.1", False]], "ffmpeg": "9"}, {"JavaScript runtime"}),
        (Hello("2026.10.26", "1", "3"), {"runtimes": None, "ffmpeg": None}, {"JavaScript runtime", "ffmpeg"}),
    ],
)
def test_each_lack_is_told_with_what_it_costs(hello: Hello, tools: dict[str, Any], lacking: set[str]) -> None:
    """Old, missing, too old: one line each, and only where something is lacking is there a price."""
    found = {finding.name: finding for finding in versions(hello, tools, NOW)}
    assert {name for name, finding in found.items() if finding.state != "ok"} == lacking
    assert {name for name, finding in found.items() if finding.costs} == lacking


@pytest.mark.asyncio
async def test_the_real_worker_tells_its_versions_without_asking_anybody(tmp_path: Path) -> None:
    """Versions come from the interpreter that will do the work; no request leaves it."""
    with MediaServer() as site:
        rules = YouTube(python=interpreter(tmp_path, site))
        found = {each.name: each for each in await look_at_youtube(rules, tmp_path / "work", Fetch(), NOW)}
        assert site.asked == []
    assert found["yt-dlp"].value.startswith("20")
    assert {"yt-dlp-ejs", "JavaScript runtime", "ffmpeg", "YouTube cookies", "room for downloads"} <= set(found)


@pytest.mark.asyncio
async def test_missing_things_are_bad_and_named(tmp_path: Path) -> None:
    """No such Python, cookies of the wrong kind: doctor says which file and what to do."""
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("{}")
    rules = YouTube(python=tmp_path / "no-python", cookies=cookies)
    found = {each.name: each for each in await look_at_youtube(rules, tmp_path, Fetch(max_bytes=0), NOW)}
    assert (found["yt-dlp"].state, found["YouTube cookies"].state) == ("bad", "bad")
    assert str(cookies) in found["YouTube cookies"].value
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t1700000000\tSID\thunter2\n")
    found = {each.name: each for each in await look_at_youtube(rules, tmp_path, Fetch(), NOW)}
    assert found["YouTube cookies"].state == "warn"
    assert not any("hunter2" in str(each) for each in found.values())

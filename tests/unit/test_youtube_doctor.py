"""What doctor says about YouTube's needs, and that it asks nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.settings import load
from pipeline.config.youtube import FetchSection, YouTubeSection
from pipeline.core.errors import ConfigError
from pipeline.source.youtube import options
from pipeline.source.youtube.client import YouTubeClient
from pipeline.source.youtube.doctor import check_youtube, version_findings
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.worker.pool import Hello, WorkerCommand, WorkerPool
from pipeline.views import Finding
from tests.support.site import MediaServer, interpreter

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
FACTS = {
    "dists": {"yt-dlp-ejs": {"version": "0.8.0", "since": NOW - 27.5 * 86_400}},
    "wants": {"yt-dlp-ejs": "0.8.0"},
    "plugins": {},
    "programs": {
        "deno": {"path": "/d", "since": NOW - 200.5 * 86_400},
        "node": {"path": "/n", "since": None},
        "/opt/ffmpeg": {"path": "/opt/ffmpeg", "since": NOW + 9},
    },
}
DENO = {"runtimes": [["deno", "2.9.8", True]], "ffmpeg": "9.0"}


@pytest.mark.parametrize(
    ("hello", "tools", "lacking"),
    [
        (Hello("2026.10.26", "0.8.0", "3.11"), DENO, set()),
        (Hello("2026.07.01", "0.8.0", "3.11"), DENO, {"yt-dlp"}),
        (Hello("nightly", "0.8.0", "3.11"), DENO, {"yt-dlp"}),
        (Hello("2026.10.26.232901.dev0", "0.8.0", "3.11"), DENO, set()),
        (Hello("2026.10.26", "", "3.11"), DENO, {"yt-dlp-ejs"}),
        (Hello("2026.10.26", "0.7.0", "3.11"), DENO, {"yt-dlp-ejs"}),
        (
            Hello("2026.10.26", "0.8.0", "3"),
            {"runtimes": [["node", "20.1", False]], "ffmpeg": "9"},
            {"JavaScript runtime"},
        ),
        (Hello("2026.10.26", "0.8.0", "3"), {"runtimes": None, "ffmpeg": None}, {"JavaScript runtime", "ffmpeg"}),
    ],
)
def test_each_lack_is_told_with_what_it_costs(hello: Hello, tools: dict[str, Any], lacking: set[str]) -> None:
    """Old, missing, too old, not the one wanted: one line each, and only where something is lacking is there a price."""
    found = {finding.name: finding for finding in version_findings(hello, tools, FACTS, NOW)}
    assert {name for name, finding in found.items() if finding.state != "ok"} == lacking
    assert {name for name, finding in found.items() if finding.costs} == lacking


def test_ages_are_told_as_far_as_they_can_be_known() -> None:
    """A calendar version has its own; of the rest only the time of the files is known, and it is called that."""
    found = {
        finding.name: finding.value for finding in version_findings(Hello("2026.10.26", "0.8.0", "3"), DENO, FACTS, NOW)
    }
    assert found == {
        "yt-dlp": "2026.10.26 (27 days old)",
        "yt-dlp-ejs": "0.8.0 (on this disk for 27 days)",
        "JavaScript runtime": "deno 2.9.8 (on this disk for 200 days)",
        "ffmpeg": "9.0 (on this disk for 0 days)",
    }
    bare = {
        finding.name: finding.value for finding in version_findings(Hello("2026.10.26", "0.8.0", "3"), DENO, {}, NOW)
    }
    assert list(bare.values()) == ["2026.10.26 (27 days old)", "0.8.0", "deno 2.9.8", "9.0"]


def test_what_yt_dlp_wants_and_what_it_would_leave_unused_are_named() -> None:
    """The solver's other version is ignored without a word; a runtime that is not switched on is only lying there."""
    tools = {"runtimes": [], "ffmpeg": "9.0"}
    found = {
        finding.name: finding for finding in version_findings(Hello("2026.10.26", "0.7.0", "3"), tools, FACTS, NOW)
    }
    assert "this yt-dlp wants 0.8.0" in found["yt-dlp-ejs"].value
    assert "js_runtimes = { node = {} }" in found["JavaScript runtime"].costs


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda x: st.dictionaries(
            st.sampled_from(["dists", "wants", "programs", "plugins", "yt-dlp-ejs", "since", "ffmpeg"]), x, max_size=3
        ),
        max_leaves=8,
    )
)
def test_odd_facts_of_another_python_break_nothing(facts: Any) -> None:
    """Whatever that Python prints, doctor has its lines."""
    facts = facts if isinstance(facts, dict) else {}
    assert len(list(version_findings(Hello("2026.10.26", "0.8.0", "3"), DENO, facts, NOW))) == 4


@pytest.mark.asyncio
async def test_the_real_worker_tells_its_versions_without_asking_anybody(tmp_path: Path) -> None:
    """Versions come from the interpreter that will do the work; no request leaves it."""
    with MediaServer() as site:
        rules = YouTubeSection(python=interpreter(tmp_path, site))
        found = {each.name: each for each in await check_youtube(rules, tmp_path / "work", FetchSection(), NOW)}
        assert site.asked == []
    assert found["yt-dlp"].value.startswith("20")
    assert found["PO-token provider"].value == "none"
    assert {"yt-dlp-ejs", "JavaScript runtime", "ffmpeg", "YouTube cookies", "room for downloads"} <= set(found)


@pytest.mark.asyncio
async def test_missing_things_are_bad_and_named(tmp_path: Path) -> None:
    """No such Python, cookies of the wrong kind: doctor says which file and what to do."""
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("{}")
    rules = YouTubeSection(python=tmp_path / "no-python", cookies=cookies)
    found = {each.name: each for each in await check_youtube(rules, tmp_path, FetchSection(max_bytes=0), NOW)}
    assert (found["yt-dlp"].state, found["YouTube cookies"].state) == ("bad", "bad")
    assert str(cookies) in found["YouTube cookies"].value
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t1700000000\tSID\thunter2\n")
    found = {each.name: each for each in await check_youtube(rules, tmp_path, FetchSection(), NOW)}
    assert found["YouTube cookies"].state == "warn"
    assert not any("hunter2" in str(each) for each in found.values())


@pytest.mark.asyncio
async def test_a_po_token_provider_is_tried_on_this_machine_and_its_plugin_looked_for(tmp_path: Path) -> None:
    """No plugin, no answer, an answer: each is told; what is elsewhere is believed."""
    plugin = tmp_path / "site" / "bgutil_ytdlp_pot_provider-2.0.2.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: bgutil-ytdlp-pot-provider\nVersion: 2.0.2\n")
    (plugin / "RECORD").write_text("yt_dlp_plugins/extractor/getpot_bgutil.py,,\n")
    more = f"sys.path.append({str(plugin.parent)!r})"

    async def look(address: str, python: Path) -> Finding:
        rules = YouTubeSection(python=python, pot_provider=address, plugins=True)
        found = {each.name: each for each in await check_youtube(rules, tmp_path / "work", FetchSection(), NOW)}
        return found["PO-token provider"]

    with MediaServer() as site:
        bare = await look(site.base, interpreter(tmp_path, site))
        assert (bare.state, "no plugin" in bare.value) == ("warn", True)
        python = interpreter(tmp_path, site, more)
        there = await look(site.base, python)
        assert there.value == f"{site.base}, bgutil-ytdlp-pot-provider 2.0.2; answers"
        assert there.state == "ok"
    gone = await look(site.base, python)
    assert (gone.state, "does not answer" in gone.value) == ("warn", True)
    assert "not tried" in (await look("https://provider.example", python)).value


@pytest.mark.parametrize(
    ("youtube", "said"),
    [
        ('pot_provider = "127.0.0.1:4416"\nplugins = true', "address of a provider"),
        ('pot_provider = "http://127.0.0.1:4416"', "plugins = true"),
        ('pot_provider = "http://127.0.0.1:abc"\nplugins = true', "address of a provider"),
        ('proxy = "127.0.0.1:1080"', "address of a proxy"),
        ('proxy = "ftp://me:hunter2@p:1"', "address of a proxy"),
        ('proxy = "socks5://127.0.0.1:1080:1"', "address of a proxy"),
        ('proxy = "socks5://me:hunter2/x@127.0.0.1:1080"', "address of a proxy"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(tmp_path: Path, youtube: str, said: str) -> None:
    """Before anything is started; a password is not repeated."""
    file = tmp_path / "reelmill.toml"
    file.write_text(f"[youtube]\n{youtube}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(file) in caught.value.trouble.message
    assert said in caught.value.trouble.message
    assert "hunter2" not in str(caught.value.trouble)


@pytest.mark.parametrize(
    "words",
    [
        "cannot connect to socks5://me:hunter2@127.0.0.1:1080",
        "cannot connect to socks5h://me:hunter2@127.0.0.1:1080/",  # what yt-dlp makes of it
        "login me:hunter2 refused",
        "bad password 'hunter2'",
    ],
)
def test_a_proxys_password_is_kept_out_of_foreign_words(words: str) -> None:
    """However yt-dlp writes the address: nothing of the login reaches a trouble, the database or the log."""
    rules = YouTubeSection.model_validate({"proxy": "socks5://me:hunter2@127.0.0.1:1080"})
    shown = YouTubeClient(rules, WorkerPool(WorkerCommand(), 1), cast("SiteThrottle", None)).sanitize(words)
    assert "***" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"extractor_args": {"youtube": "player_client=web"}}, "youtube should be a table of lists of texts"),
        ({"extractor_args": {"youtube": {"player_client": "web"}}}, "youtube should be a table of lists of texts"),
        ({"extractor_args": {"youtube": {"player_client": [1]}}}, "youtube should be a table of lists of texts"),
        ({"js_runtimes": {"node": "/usr/bin/node"}}, "node should be a table"),
    ],
)
def test_options_of_the_wrong_shape_are_refused_and_not_tried(given: dict[str, Any], said: str) -> None:
    """yt-dlp would fall over them, or read a text as its letters: no video may fail for that."""
    with pytest.raises(ConfigError, match=said):
        options.checked(given)
    good = {"extractor_args": {"youtube": {"player_client": ["web"]}}, "js_runtimes": {"node": {"path": "/n"}}}
    assert options.checked(good) == good


def test_every_request_of_the_worker_carries_the_provider_and_the_proxy() -> None:
    """Look, download, captions, thumbnail and list: none goes another way."""
    rules = YouTubeSection.model_validate(
        {"pot_provider": "http://127.0.0.1:4416/", "plugins": True, "proxy": "socks5://me:hunter2@127.0.0.1:1080"}
    )
    folder = Path("f")
    for params in (
        options.probing(rules, []), options.downloading(rules, [], folder, "b", 0), options.listing(rules, 9),
        options.captioning(rules, folder, "en", automatic=False),
    ):  # fmt: skip
        assert params["extractor_args"]["youtubepot-bgutilhttp"] == {"base_url": ["http://127.0.0.1:4416"]}
        assert params["proxy"] == "socks5://me:hunter2@127.0.0.1:1080"
    assert "hunter2" not in repr(rules)
    assert "YTDLP_NO_PLUGINS" not in WorkerCommand(plugins=rules.plugins).environment({})

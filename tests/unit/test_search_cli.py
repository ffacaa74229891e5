"""``search``, ``classify``, ``indexes``, ``videos`` as they are typed: small languages in, data and exit codes out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.commands.shared import arguments
from pipeline.config.queries import StandingQuery
from pipeline.config.settings import Settings
from pipeline.core import errors
from pipeline.ports.index_api import IndexInfo, IndexSpec, ListFilter
from pipeline.views import ClassifyView, IndexView, SearchView
from tests.unit.test_present_cli import FakeApp, Reelmill, reelmill
from tests.unit.test_search_tables import ASKED, HIT, INDEX, OURS

__all__ = ["reelmill"]  # the fixture


class Searching(FakeApp):
    """An app that remembers what an index was asked."""

    async def search(self, settings: Settings, ask: StandingQuery) -> SearchView:
        self._note("search", settings, ask=ask)
        return SearchView(ASKED, [HIT], {"v1": OURS}, 1, 2, 160.0)

    async def classify(self, settings: Settings, ask: StandingQuery) -> ClassifyView:
        self._note("classify", settings, ask=ask)
        return ClassifyView(ASKED, [])

    async def indexes(self, settings: Settings, which: ListFilter) -> list[IndexInfo]:
        self._note("indexes", settings, which=which)
        return [INDEX]

    async def create_index(self, settings: Settings, spec: IndexSpec) -> IndexInfo:
        self._note("create_index", settings, spec=spec)
        return INDEX

    async def delete_index(
        self, settings: Settings, name: str, agreed: Callable[[IndexInfo], bool]
    ) -> IndexInfo | None:
        self._note("delete_index", settings, index=name)
        return INDEX if agreed(INDEX) else None

    async def videos(self, settings: Settings, name: str, which: ListFilter, *, limit: int) -> IndexView:
        self._note("videos", settings, index=name, which=which, limit=limit)
        return IndexView(INDEX, [])


def test_search_hands_over_every_flag(reelmill: Reelmill) -> None:
    """Options may be repeated or separated by commas; images and filter come as they are meant."""
    ran = reelmill(
        "search", "the queen", "--index", "films", "--option", "visual,audio", "--option", "transcription", "--speech",
        "lexical", "--group-by", "video", "--operator", "and", "--threshold", "high", "--sort", "clip_count", "--filter",
        '{"duration": {"gte": 60}}', "--image", "a.png", "--image", "https://h/b.png", "--limit", "7", "--output", "o",
        app=Searching(),
    )  # fmt: skip
    ask = ran.given["ask"]
    assert ask == StandingQuery(
        name="search", text="the queen", index="films", options=("visual", "audio", "transcription"), speech=("lexical",),
        group_by="video", operator="and", threshold="high", sort="clip_count", filter={"duration": {"gte": 60}},
        images=("a.png", "https://h/b.png"), limit=7,
    )  # fmt: skip
    assert str(ran.settings.run.output) == "o"
    assert (ran.code, "1:05" in ran.out) == (0, True)


def test_a_search_may_be_a_picture_alone_but_not_nothing(reelmill: Reelmill) -> None:
    """Text or images; neither is wrong usage."""
    assert reelmill("search", "--image", "a.png", app=Searching()).given["ask"].images == ("a.png",)
    ran = reelmill("search", app=Searching())
    assert (ran.code, ran.app.calls) == (2, [])
    assert ran.err.startswith("reelmill: search: say what to look for: TEXT or --image")


def test_classify_reads_classes(reelmill: Reelmill) -> None:
    """NAME=prompt,prompt, or a name that is its own prompt; with a share, the threshold is a table."""
    ran = reelmill(
        "classify", "--class", "Ball games=playing basketball, NBA", "--class", "Golf", "--threshold", "80", "--min-ratio",
        "0.5", "--clips", "--detailed", "--video", "v1", "--video", "v2", app=Searching(),
    )  # fmt: skip
    ask = ran.given["ask"]
    assert dict(ask.classes) == {"Ball games": ("playing basketball", "NBA"), "Golf": ("Golf",)}
    assert ask.threshold == {"min_video_score": 80, "min_duration_ratio": 0.5}
    assert (ask.clips, ask.detailed, ask.videos) == (True, True, ("v1", "v2"))
    assert reelmill("classify", "--class", "Golf", "--threshold", "75", app=Searching()).given["ask"].threshold == 75


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("search", "x", "--filter", "{"), "search: --filter: not JSON"),
        (("search", "x", "--filter", "[1]"), "search: --filter: should be a JSON object"),
        (("search", "x", "--threshold", "very"), "search: threshold should be"),
        (("classify",), "classify: name at least one class"),
        (("classify", "--class", "=x"), "--class '=x': should be KEY=VALUE"),
        (("classify", "--class", "A="), "--class 'A=': should be KEY=VALUE"),
        (("classify", "--class", "A", "--threshold", "high"), "--threshold 'high'"),
        (("classify", "--class", "A", "--threshold", "²"), "--threshold '²'"),
        (("classify", "--class", "A", "--threshold", "9" * 5000), "--threshold '999"),
        (("classify", "--class", "A", "--threshold", "101"), "classify: threshold should be"),
        (("indexes", "create"), "indexes create: name the index"),
        (("indexes", "delete"), "indexes delete: name the index"),
        (("indexes", "delete", "films", "--model", "m=visual"), "indexes delete: --model and --addon are for create"),
        (("indexes", "create", "films", "--model", "m"), "--model 'm': should be KEY=VALUE"),
        (("videos", "--seconds", "many"), "--seconds 'many': should be a span"),
        (("videos", "--width", "9..3"), "--width '9..3': should be a span"),
        (("videos", "--since", "yesterday"), "--since 'yesterday': should be a day or a time"),
        (("videos", "--since", "9999-12-31T23:59:59-23:59"), "--since '9999-12-31T23:59:59-23:59': should be a day or"),
        (("videos", "--meta", "x"), "--meta 'x': should be KEY=VALUE"),
    ],
)
def test_wrong_usage_is_told_with_an_example_and_asks_nothing(
    reelmill: Reelmill, args: tuple[str, ...], said: str
) -> None:
    """Exit 2, two lines on stderr, nothing on stdout, no call."""
    ran = reelmill(*args, app=Searching())
    assert (ran.code, ran.out, ran.app.calls) == (2, "", [])
    assert ran.err.startswith(f"reelmill: {said}")


@pytest.mark.parametrize(
    "args",
    [("search", "x"), ("classify", "--class", "A"), ("indexes",), ("indexes", "create", "a"), ("videos",)],
)  # fmt: skip
def test_json_is_all_that_stdout_gets(reelmill: Reelmill, args: tuple[str, ...]) -> None:
    """Every one has ``--json``; hits keep their fields' names, times are RFC 3339."""
    ran = reelmill(*args, "--json", app=Searching())
    assert ran.code == 0
    value = json.loads(ran.out)
    if args[0] == "search":
        assert value["hits"][0]["start"] == 65.5
        assert value["asked"]["at"] == "2027-01-15T08:00:00Z"
        assert value["videos"]["v1"]["link"] == "out/bees--aaaaaaaa/chapters.txt"


def test_indexes_list_and_create(reelmill: Reelmill) -> None:
    """No word is ``list``; models have options; an extra may be added."""
    assert reelmill("indexes", app=Searching()).given["which"] == ListFilter()
    assert reelmill("indexes", "list", "film", app=Searching()).given["which"] == ListFilter(name="film")
    made = reelmill("indexes", "create", "films", "--model", "m=visual,audio", "--addon", "thumbnail", app=Searching())
    assert made.given["spec"] == IndexSpec("films", [("m", ("visual", "audio"))], ["thumbnail"])


def test_deleting_asks_unless_told_not_to(reelmill: Reelmill, monkeypatch: pytest.MonkeyPatch) -> None:
    """--yes deletes; a person is asked and may refuse; without a person nothing is deleted."""
    gone = reelmill("indexes", "delete", "films", "--yes", app=Searching())
    assert (gone.code, gone.out) == (0, "deleted films (i1)\n")

    class Person(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, code in (("y\n", 0), ("n\n", 130), ("", 130)):
        monkeypatch.setattr(sys, "stdin", Person(answer))
        asked = reelmill("indexes", "delete", "films", app=Searching())
        assert (asked.code, "delete 'films' with 2 videos?" in asked.err) == (code, True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    nobody = reelmill("indexes", "delete", "films", app=Searching())
    assert nobody.code == 2
    assert "--yes" in nobody.err


def test_videos_hands_over_every_filter(reelmill: Reelmill) -> None:
    """Spans with both ends or one; metadata as pairs; oldest first turns the order."""
    ran = reelmill(
        "videos", "--index", "films", "--filename", "a.mp4", "--since", "2026-06-01T00:00:00Z", "--seconds", "60..600.5",
        "--width", "640..", "--height", "..1080", "--size", "5", "--meta", "team=a b", "--oldest", "--limit", "3",
        app=Searching(),
    )  # fmt: skip
    assert ran.given == {
        "index": "films",
        "limit": 3,
        "which": ListFilter(
            filename="a.mp4", created_since="2026-06-01T00:00:00Z", seconds=(60.0, 600.5), width=(640, None),
            height=(None, 1080), size=(5, 5), metadata={"team": "a b"}, sort="asc",
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (
            errors.Permanent("no such option", code="search_option_not_supported", remedy="r", detail="HTTP 400 theirs"),
            2,
            ["reelmill: no such option", "  → r", "  raw: search_option_not_supported: HTTP 400 theirs"],
        ),
        (errors.NeedsOperator("key refused", remedy="renew it"), 4, ["reelmill: key refused", "  → renew it"]),
        (
            errors.Throttled("a limit", after=90.0, group="search"),
            6,
            ["reelmill: a limit", "  → the platform takes the next one in 1 min 30 s"],
        ),
        (errors.Transient("busy"), 1, ["reelmill: busy"]),
        (errors.Busy("another uses it", remedy="wait"), 75, ["reelmill: another uses it", "  → wait"]),
    ],
)  # fmt: skip
def test_refusals_have_their_exit_codes_and_the_platforms_words(
    reelmill: Reelmill, error: errors.ReelmillError, code: int, lines: list[str]
) -> None:
    """Our sentence, the remedy, then what the platform said."""
    ran = reelmill("search", "x", app=Searching(raises=error))
    assert (ran.code, ran.out, ran.err.splitlines()) == (code, "", lines)


def test_times_are_read_as_utc() -> None:
    """A day is its midnight, a zone is heeded, nothing is no bound."""
    said = ("", "2026-06-01", "2026-06-01T10:00:00Z", "2026-06-01T10:00:00+02:00", "2026-06-01T10:00:00")
    read = [arguments.parse_time("--x", text) for text in said]
    assert read == ["", *(f"2026-06-01T{hour}:00:00Z" for hour in ("00", "10", "08", "10"))]


def test_spans_are_read_from_both_sides() -> None:
    """A number alone is both ends; nothing is no bound."""
    ends: Any = [arguments.parse_range("--x", text) for text in (None, "", "5", "1.5..", "..2", "0..0")]
    assert ends == [(None, None), (None, None), (5.0, 5.0), (1.5, None), (None, 2.0), (0.0, 0.0)]

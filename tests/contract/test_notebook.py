"""The notebook that the project was asked to serve, cell by cell, in plain HTTP against the platform speaking v1.2.

Its own cells ask for sight and logos too: those get the explicit refusal, and the same cell asked by words must answer.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import pytest_asyncio

from pipeline.core.clock import SystemClock
from pipeline.local.analysis.plugins.model.endpoint import ModelEndpoint
from pipeline.local.demo.videos import make_slides
from tests.contract.platform_double import TOKEN, platform
from tests.support.model_server import ModelServer, looking, said
from tests.support.slide_reader import install_slide_reader

YOUTUBE = "https://www.youtube.com/watch?v=DXB4MApF4Lo"
TITLE = "US Open 2009: Roger Federer's Incredible Between the Legs Shot"
SLIDES = [("The greatest shot", ["US Open 2009"]), ("Usain Bolt", ["100 m final"]), ("Basketball rules", ["NBA"])]
CUES = [
    (0.0, 4.5, "Here is the greatest player in the game of tennis."),
    (4.6, 7.5, "He hits the ball between his legs."),
    (8.0, 12.0, "Now the sprinters are at the start."),
    (12.2, 15.5, "The crowd cheers for the fastest man."),
    (16.0, 20.0, "Playing basketball is next."),
    (20.2, 23.5, "These are the basic basketball rules."),
]
BASKETBALL = {
    "name": "Basketball",
    "prompts": [
        "Playing basketball",
        "How to improve basketball skills",
        "Basic basketball rules",
        "Best basketball shoes",
    ],
}
CLASSES = [
    BASKETBALL,
    {"name": "Baseball", "prompts": ["Playing Baseball", "MLB", "Pitcher"]},
    {"name": "Golf", "prompts": ["Playing Golf"]},
]
WORDS = ["conversation", "text_in_video"]
#: Fields of a ready task that the notebook prints, but for the copy for streaming, which is not made here.
PRINTED = {"_id", "created_at", "estimated_time", "index_id", "metadata", "status", "type", "updated_at", "video_id"}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of videos named by YouTube id."""
    folder = tmp_path_factory.mktemp("youtube")
    make_slides(folder / "DXB4MApF4Lo.mp4", SLIDES, 8.0, CUES)
    (folder / "DXB4MApF4Lo.info.json").write_text(f'{{"title": "{TITLE}"}}', encoding="utf-8")
    return folder


class Notebook:
    """What the notebook's variables hold: two addresses of the API, the header, ids."""

    def __init__(self, http: httpx.AsyncClient, base: str) -> None:
        self.playground, self.api = f"{base}/p/v1.2", f"{base}/v1.2"
        self.headers = {"x-api-key": TOKEN}
        self.http = http
        self.index_id = self.video_id = ""
        self.task: dict[str, Any] = {}

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(f"{self.api}{path}", headers=self.headers, **more)

    async def post(self, path: str, data: dict[str, Any]) -> httpx.Response:
        return await self.http.post(f"{self.api}{path}", headers=self.headers, json=data)

    async def said(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Post, and return the body of an answer that must be a 200."""
        answer = await self.post(path, data)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refused(self, path: str, data: dict[str, Any], *words: str) -> None:
        """Post, and check that the refusal is flat, coded, and names what cannot be told and what would."""
        answer = await self.post(path, data)
        body = answer.json()
        assert (answer.status_code, body["code"]) == (400, "search_option_not_supported")
        assert all(word in body["message"] for word in (*words, "Twelve Labs API"))
        assert "data" not in body


@pytest_asyncio.fixture
async def notebook(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Notebook]:
    """Run sections 1 and 2 of the notebook: setup, create an index, upload a video, wait."""
    reader = install_slide_reader(tmp_path / "bin", media / "DXB4MApF4Lo.mp4", SLIDES)
    monkeypatch.setenv("PATH", str(reader), prepend=os.pathsep)
    async with (
        platform(tmp_path, analyzer=None, clock=SystemClock(), workers=1, media=media) as (served, _),
        httpx.AsyncClient(timeout=30) as http,
    ):
        book = Notebook(http, served.base_url)
        await create_an_index(book)
        await upload_a_video(book)
        yield book


async def create_an_index(book: Notebook) -> None:
    """Cell of 2.1: marengo2.5 and pegasus1 with their options, and thumbnails."""
    data = {
        "engines": [
            {"engine_name": "marengo2.5", "engine_options": ["visual", "conversation", "text_in_video", "logo"]},
            {"engine_name": "pegasus1", "engine_options": ["visual", "conversation"]},
        ],
        "index_name": "Sports Videos",
        "addons": ["thumbnail"],
    }
    answer = await book.http.post(f"{book.playground}/indexes", headers=book.headers, json=data)
    assert answer.status_code == 201
    assert list(answer.json()) == ["_id"]
    book.index_id = answer.json()["_id"]


async def upload_a_video(book: Notebook) -> None:
    """Cells of 2.2: the YouTube address goes in, the task is polled until it is ready."""
    data = {"index_id": book.index_id, "url": YOUTUBE}
    answer = await book.http.post(f"{book.playground}/tasks/external-provider", headers=book.headers, json=data)
    assert answer.status_code == 201
    address = f"{book.playground}/tasks/{answer.json()['_id']}"
    with anyio.fail_after(60):
        while True:
            response = await book.http.get(address, headers=book.headers)
            if response.json()["status"] == "ready":
                break
            assert response.json()["status"] in ("validating", "pending", "queued", "indexing")
    book.task = response.json()
    book.video_id = book.task["video_id"]


@pytest.mark.asyncio
async def test_section_2_index_and_videos(notebook: Notebook) -> None:
    """The ready task has what the notebook prints; indexes and videos are listed with the video in them."""
    assert set(notebook.task) >= PRINTED
    assert notebook.task["metadata"]["filename"] == TITLE
    assert (notebook.task["type"], notebook.task["index_id"]) == ("index_task_info", notebook.index_id)
    query = {"page": 1, "page_limit": 10, "sort_by": "created_at", "sort_option": "asc"}
    listed = (await notebook.get("/indexes", params=query)).json()
    (index,) = listed["data"]
    assert (index["_id"], index["addons"], index["video_count"]) == (notebook.index_id, ["thumbnail"], 1)
    assert [engine["engine_name"] for engine in index["engines"]] == ["marengo2.5", "pegasus1"]
    videos = (await notebook.get(f"/indexes/{notebook.index_id}/videos")).json()
    (video,) = videos["data"]
    assert video["_id"] == notebook.video_id
    assert video["metadata"]["filename"] == TITLE
    assert video["metadata"]["engine_ids"] == ["marengo2.5", "pegasus1"]
    assert abs(video["metadata"]["duration"] - 24) < 0.5


@pytest.mark.asyncio
async def test_section_3_search(notebook: Notebook) -> None:
    """Sight and logos are refused in words; speech and on-screen text are found, with times, score and thumbnail."""
    base = {"index_id": notebook.index_id}
    sight = {**base, "query": "Players celebrating wildly", "search_options": ["visual"]}
    await notebook.refused("/search/", sight, "visual")
    spoken = {**base, "query": "The greatest player in the game", "search_options": ["conversation"]}
    found = await notebook.said("/search/", {**spoken, "conversation_option": "semantic"})
    best = found["data"][0]
    assert best["metadata"] == [{"text": CUES[0][2], "type": "conversation"}]
    assert (best["confidence"], best["video_id"], best["start"], best["end"]) == ("high", notebook.video_id, 0.0, 4.5)
    assert 80 <= best["score"] <= 100
    written = await notebook.said("/search/", {**base, "query": "Usain Bolt", "search_options": ["text_in_video"]})
    first = written["data"][0]
    assert (first["metadata"], first["confidence"]) == ([{"text": "Usain Bolt", "type": "text_in_video"}], "high")
    assert 7.5 <= first["start"] < first["end"] <= 16.5
    for item in (*found["data"], *written["data"]):  # the cells that display the pictures
        picture = await notebook.http.get(item["thumbnail_url"])
        assert (picture.status_code, picture.content[:3]) == (200, b"\xff\xd8\xff")
    await notebook.refused("/search/", {**base, "query": "Olympic", "search_options": ["logo"]}, "logo")


@pytest.mark.asyncio
async def test_with_a_model_the_cells_by_sight_and_of_invention_answer(media: Path, tmp_path: Path) -> None:
    """Every cell that is refused without one: sight, logos, classes by sight, and a song."""
    with ModelServer(
        [looking("Players celebrating wildly. One is playing basketball.", "Olympic rings")] * 2
    ) as server:
        async with (
            platform(
                tmp_path, analyzer=None, clock=SystemClock(), workers=1, media=media,
                model=ModelEndpoint(server.base, "writer"),
            ) as (served, _),
            httpx.AsyncClient(timeout=30) as http,
        ):  # fmt: skip
            book = Notebook(http, served.base_url)
            await create_an_index(book)
            await upload_a_video(book)
            base = {"index_id": book.index_id}
            wild = {**base, "query": "Players celebrating wildly", "search_options": ["visual"]}
            hits = (await book.said("/search/", wild))["data"]
            assert [hit["metadata"][0]["type"] for hit in hits] == ["visual"] * 3
            assert 80 <= hits[0]["score"] <= 100
            assert (await book.said("/search/", {**base, "query": "Olympic", "search_options": ["logo"]}))["data"]
            seen = {**base, "options": ["visual", "conversation"], "classes": CLASSES, "include_clips": True}
            (found,) = (await book.said("/classify/bulk", seen))["data"]
            assert "visual" in {clip["option"] for clip in found["classes"][0]["clips"]}
            server.script([said("Yo, the ball goes through his legs.")])
            song = {"video_id": book.video_id, "prompt": "Write a rap song based on this video."}
            assert (await book.said("/generate", song))["data"] == "Yo, the ball goes through his legs."


@pytest.mark.asyncio
async def test_section_4_classify(notebook: Notebook) -> None:
    """The notebook's cells ask by sight and are refused; by words each answers as the notebook prints it."""
    base = {"index_id": notebook.index_id, "threshold": {"min_video_score": 80, "min_duration_ratio": 0.25}}
    seen = {**base, "options": ["visual", *WORDS], "classes": [BASKETBALL]}
    await notebook.refused("/classify/bulk", seen, "visual")
    one = await notebook.said("/classify/bulk", {**base, "options": WORDS, "classes": [BASKETBALL]})
    (found,) = one["data"]
    assert found["video_id"] == notebook.video_id
    assert set(found["classes"][0]) == {"name", "score", "duration_ratio"}
    assert 80 <= found["classes"][0]["score"] <= 100
    assert one["page_info"]["next_page_token"] == one["page_info"]["prev_page_token"] == ""
    clips = await notebook.said(
        "/classify/bulk", {**base, "options": WORDS, "classes": [BASKETBALL], "include_clips": True}
    )
    clip = clips["data"][0]["classes"][0]["clips"][0]
    assert set(clip) == {"start", "end", "score", "option", "prompt", "thumbnail_url"}
    assert clip["prompt"] in BASKETBALL["prompts"]
    several = await notebook.said("/classify/bulk", {**base, "options": WORDS, "classes": CLASSES})
    assert [entry["name"] for entry in several["data"][0]["classes"]] == ["Basketball"]
    detailed = await notebook.said(
        "/classify/bulk", {**base, "options": WORDS, "classes": CLASSES, "show_detailed_score": True}
    )
    scores = detailed["data"][0]["classes"][0]["detailed_scores"]
    assert scores["max_score"] >= scores["avg_score"] > 0
    assert scores["normalized_score"] == 100


@pytest.mark.asyncio
async def test_section_5_generate(notebook: Notebook) -> None:
    """Gist, the three summaries with and without a prompt, and open texts; a rap song is refused in words."""
    base = {"video_id": notebook.video_id}
    gist = await notebook.said("/gist", {**base, "types": ["title", "topic", "hashtag"]})
    assert gist["title"] == TITLE
    assert gist["topics"]
    assert all(not tag.startswith("#") for tag in gist["hashtags"])
    spoken = [text for _, _, text in CUES]
    summary = await notebook.said("/summarize", {**base, "type": "summary"})
    assert any(text in summary["summary"] for text in spoken)
    prompt = "Generate a summary of this video for a sports commentary segment, up to three sentences."
    short = await notebook.said("/summarize", {**base, "type": "summary", "prompt": prompt})
    assert 1 <= sum(text in short["summary"] for text in spoken) <= 3
    for extra in ({}, {"prompt": "Generate chapters using thrilling and enthusiastic language."}):
        chapters = (await notebook.said("/summarize", {**base, "type": "chapter", **extra}))["chapters"]
        assert [chapter["chapter_number"] for chapter in chapters] == list(range(len(chapters)))
        assert [chapter["start"] for chapter in chapters[1:]] == [chapter["end"] for chapter in chapters[:-1]]
        assert (chapters[0]["start"], chapters[-1]["end"]) == (0, 24)
    for extra in ({}, {"prompt": "Generate highlights that showcase the most emotional parts of the video."}):
        highlights = (await notebook.said("/summarize", {**base, "type": "highlight", **extra}))["highlights"]
        assert highlights
        assert all(isinstance(moment["start"], int) and moment["start"] < moment["end"] for moment in highlights)
    prompt = (
        "I want to generate a description for my video with the following format: Title of the video, followed by a "
        "summary in 2-3 sentences, highlighting the main topic, key events, and concluding remarks."
    )
    text = (await notebook.said("/generate", {**base, "prompt": prompt}))["data"]
    assert text.startswith(TITLE)
    assert any(line in text for line in spoken)
    song = await notebook.post("/generate", {**base, "prompt": "Write a rap song based on this video."})
    assert (song.status_code, song.json()["code"]) == (400, "not_supported_by_local_platform")
    assert "Twelve Labs API" in song.json()["message"]

"""Task type ``publish`` and what a second run does: results come back for nothing, a changed request costs just itself."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs import JOBS
from pipeline.config.settings import JobsSection
from pipeline.core.model import Result, Spend, State, Task
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.payloads import ItemData
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.ingest.tasks.publish import choose_title, current_results, folder_titles, spend_card
from pipeline.ports.source import Item, ManifestLine
from pipeline.sink import layout
from pipeline.sink.disk import DiskSink
from pipeline.source.files import FileSource
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.media import clip
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, priced, results_of


def item(locator: str = "/films/a.mp4", title: str = "", number: int = 1, about: str = "") -> Task:
    """Return an item's task; ``about`` is the title that the file or the site tells."""
    task = unsaved_task(Item(f"file:{locator}", "file", locator, ManifestLine(locator, title=title)))
    return replace(task, id=number, data={**task.data, "about": {"title": about}} if about else task.data)


def request(name: str = "gist") -> JobRequest:
    """Return a request."""
    (made,) = JobPlanner(JOBS, JobsSection(enabled=(name,)), []).requests([item()])
    return made


def answer(body: Any, made: JobRequest | None = None) -> tuple[JobRequest, Result]:
    """Return a request with its result."""
    made = made or request()
    return made, Result("s", made.name, made.fingerprint, body, {"answer": "a"})


# ------------------------------------------------------------------------------------------------------- titles


@pytest.mark.parametrize(
    ("tasks", "current", "title"),
    [
        ([item(title="User's"), item("/b.mp4")], [answer({"title": "Model's"})], "User's"),
        ([item(), item("/b.mp4", "Second line's")], [answer({"title": "Model's"})], "Second line's"),
        ([item()], [answer({"title": " Model's "})], "Model's"),
        ([item()], [answer({"title": "   "})], "a.mp4"),
        ([item()], [answer({"title": 7})], "a.mp4"),
        ([item()], [answer(["no object"])], "a.mp4"),
        ([item()], [], "a.mp4"),
        ([item("https://h/films/b.mp4?signature=secret")], [], "b.mp4"),
        ([item("https://h/films/")], [], "films"),
        ([], [], "video"),
    ],
)
def test_the_users_title_goes_before_the_models_and_that_before_the_files(
    tasks: list[Task], current: list[tuple[JobRequest, Result]], title: str
) -> None:
    """And a signed address never becomes a title."""
    assert choose_title([ItemData.of(task) for task in tasks], current) == title


@pytest.mark.parametrize(
    ("tasks", "titles"),
    [
        ([item(title="User's")], ["User's", "User's", "a"]),
        (
            [item(about="File's"), item("/b.v2.mp4", "Second line's")],
            ["Second line's", "File's", "Second line's", "a", "b.v2"],
        ),
        ([item("https://h/My%20film.mp4?sig=secret")], ["My film"]),
        ([item("https://www.youtube.com/watch?v=DXB4MApF4Lo")], ["DXB4MApF4Lo"]),
        ([item("/films/")], ["films"]),
    ],
)
def test_a_folder_is_named_by_people_and_by_no_answer(tasks: list[Task], titles: list[str]) -> None:
    """The manifest's title, else the file's or site's own, else the file's name: what a person looks for."""
    assert folder_titles([ItemData.of(task) for task in tasks]) == titles


def test_what_the_file_says_of_itself_is_its_title(tmp_path: Path) -> None:
    """The container's title goes before the answer's, and names the folder; a manifest's goes before both."""
    given = [ItemData.of(item(about="File's")), ItemData.of(item("/b.mp4", "User's"))]
    assert choose_title(given[:1], [answer({"title": "Model's"})]) == "File's"
    assert choose_title(given, [answer({"title": "Model's"})]) == "User's"


@pytest.mark.parametrize("earlier", ["", "00-00-05", "144"])
def test_results_of_an_earlier_version_keep_their_folder(tmp_path: Path, earlier: str) -> None:
    """A state folder that was lost makes no second folder for a video, whatever an earlier version named the first."""
    (path,) = clips(tmp_path, 1)
    life = Life.at(tmp_path, run={"output": tmp_path / "out"})
    life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
    tail = layout.key8(f"sha256:{sha256(path.read_bytes()).hexdigest()}")
    if earlier:
        (tmp_path / "out" / f"{earlier}--{tail}").mkdir(parents=True)
    assert run_virtual(life.run(items([path]))).exit_code == 0
    folders = [entry.name for entry in (tmp_path / "out").glob("*--*") if entry.is_dir()]
    assert folders == [f"{earlier or 'clip-0'}--{tail}"]


def test_a_folder_that_is_known_keeps_its_name_when_the_title_changes(tmp_path: Path) -> None:
    """An answer or another line renames nothing: links to a folder stay good."""
    (path,) = clips(tmp_path, 1)
    life = Life.at(tmp_path, run={"output": tmp_path / "out"})
    life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
    for title in ("", "Bees", "Owls"):
        assert run_virtual(life.run(items([path], title=title))).exit_code == 0
        (folder,) = [entry.name for entry in (tmp_path / "out").glob("*--*") if entry.is_dir()]
        assert folder.startswith("clip-0--")


def test_videos_whose_characters_are_the_same_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second gets a longer name; it stays when the state folder is lost, and when one was overwritten."""
    monkeypatch.setattr(layout, "key8", lambda _subject: "aaaaaaaa")
    paths, out = clips(tmp_path, 3), tmp_path / "out"

    def run() -> dict[str, str]:
        life = Life.at(tmp_path, run={"output": out})
        life.sink = DiskSink(out)  # type: ignore[assignment]
        assert run_virtual(life.run(items(paths))).exit_code == 0
        lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
        written = {path.parent.name: json.loads(path.read_text())["key"] for path in out.glob("*--*/video.json")}
        assert written == {line["folder"]: line["key"] for line in lines}
        return written

    folders = run()
    first, *apart = sorted(folders, key=len)
    assert len({*folders.values()}) == 3
    assert first in ("clip-0--aaaaaaaa", "clip-1--aaaaaaaa", "clip-2--aaaaaaaa")
    assert {name.rpartition("--")[2] for name in apart} == {layout.key16(folders[name]) for name in apart}
    assert all(layout.is_video_folder(name) for name in apart)
    assert run() == folders


def test_a_folder_that_an_earlier_release_gave_to_two_videos_is_given_to_one(tmp_path: Path) -> None:
    """The video whose results were overwritten finds another's record there: it goes into a folder of its own."""
    (path,) = clips(tmp_path, 1)
    life = Life.at(tmp_path, run={"output": tmp_path / "out"})
    life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
    assert run_virtual(life.run(items([path]))).exit_code == 0
    (record,) = (tmp_path / "out").glob("*--*/video.json")
    theirs = json.dumps({"key": "sha256:other", "files": []})
    record.write_text(theirs)
    assert run_virtual(life.run(items([path]))).exit_code == 0
    assert record.read_text() == theirs
    (ours,) = {*(tmp_path / "out").glob("*--*/video.json")} - {record}
    assert json.loads(ours.read_text())["key"].startswith("sha256:")
    assert ours.parent.name == f"clip-0--{layout.key16(json.loads(ours.read_text())['key'])}"


HOSTILE = [
    "../../etc/passwd",
    "..",
    "a\nb\rc\x00d",
    "👩‍👩‍👧‍👦 \u202egnp.exe",
    "x" * 10_000,
    "<script>alert(1)</script>",
    "CON",
    "   ",
    "# [x](javascript:alert(1))",
    "lone \ud800 half",
]


@pytest.mark.parametrize("title", HOSTILE)
@pytest.mark.parametrize("whose", ["user", "model"])
def test_a_hostile_title_harms_nobody(tmp_path: Path, title: str, whose: str) -> None:
    """Folder and file names come from our slug; the run ends well, and nothing is written outside the output."""
    (path,) = clips(tmp_path, 1)
    out = tmp_path / "deep" / "out"
    life = Life.at(tmp_path, run={"output": out})
    life.sink = DiskSink(out)  # type: ignore[assignment]
    if whose == "model":
        life.platform.spoil = lambda question, text: json.dumps({**json.loads(text), "title": title})
    before = {entry for entry in tmp_path.rglob("*") if out not in entry.parents}
    report = run_virtual(life.run(items([path], title=title if whose == "user" else "")))
    assert report.exit_code == 0 or (whose == "model" and report.exit_code == 3)
    after = {entry for entry in tmp_path.rglob("*") if out not in entry.parents}
    assert after - before <= {out.parent, out, tmp_path / "state"}
    (folder,) = [entry for entry in out.glob("*--*") if entry.is_dir()]
    assert len(folder.name) < 120
    assert "summary.md" in {entry.name for entry in folder.iterdir()}
    assert json.loads((folder / "video.json").read_text("utf-8"))["key"].startswith("sha256:")


# ------------------------------------------------------------------------------------------------------- what is written


def test_only_answers_to_present_requests_are_current() -> None:
    """A result under an old fingerprint stays in the database and leaves the folder."""
    made = request()
    old = Result("s", made.name, "another print", {}, {"answer": "a"})
    assert current_results([made], [old]) == []
    new = answer({"title": "t"}, made)[1]
    assert current_results([made], [old, new]) == [(made, new)]


def test_the_price_of_a_video_is_the_sum_of_its_entries() -> None:
    """What may have been paid twice is said."""
    entries = [
        Spend("a", "analyze", 0.1, 2.0, estimate=0.08), Spend("b", "analyze", 0.2, 2.0, doubtful=True, estimate=0.1)
    ]  # fmt: skip
    told = {"usd": 0.3, "estimate_usd": 0.18, "minutes": 4.0, "calls": 2, "possibly_paid_twice": 1}
    assert spend_card(entries) == told


def test_the_card_says_which_captions_were_used_and_what_was_guessed(tmp_path: Path) -> None:
    """Beside the source, in video.json and in the index: an encoding that nobody declared is told as a guess."""
    life, path = Life.at(tmp_path), clip(tmp_path / "clip-0.mp4")
    (tmp_path / "clip-0.srt").write_bytes(
        "1\n00:00:01,000 --> 00:00:02,000\nDie Königin heißt Größe.\n".encode("cp1252")
    )
    life.source = FileSource(life.clock)  # type: ignore[assignment]
    run_virtual(life.run(items([path])))
    (files,) = life.sink.folders.values()
    told = {"file": "clip-0.srt", "encoding": "cp1252", "guessed": True}
    assert json.loads(files["video.json"])["sources"][0]["captions"] == told
    assert json.loads(life.sink.index[0])["sources"][0]["captions"] == told


def test_the_card_says_where_everything_came_from(tmp_path: Path) -> None:
    """``video.json``: both sources, hash, ids, model, fingerprints, costs, times; and the list of files is true."""
    life = Life.at(tmp_path, **priced())
    paths = clips(tmp_path, 1)
    run_virtual(life.run(items(paths, title="T", id="7", tags=("x",), metadata={"k": "v"})))
    (files,) = life.sink.folders.values()
    card = json.loads(files["video.json"])
    assert card["sources"] == [
        {
            "source": str(paths[0]),
            "locator": str(paths[0]),
            "id": "7",
            "title": "T",
            "tags": ["x"],
            "metadata": {"k": "v"},
        }
    ]
    assert card["key"] == f"sha256:{card['media']['sha256']}"
    assert card["provider"]["asset_id"] == next(iter(life.platform.uploads))
    assert set(card["results"]) == {"gist", "summary", "chapters", "highlights"}
    assert all(result["model"] == "pegasus1.5" and result["fingerprint"] for result in card["results"].values())
    assert card["cost"]["calls"] == 1
    assert card["cost"]["usd"] > 0
    assert card["files"] == sorted(files)
    assert all(card["results"][name]["answer"] in files for name in card["results"])


def test_two_instances_of_a_job_do_not_overwrite_each_other(tmp_path: Path) -> None:
    """Both write ``gist.json``: the second goes under its own name."""
    life = Life.at(tmp_path, jobs={"enabled": ("gist", "short"), "settings": {"short": {"job": "gist", "topics": 2}}})
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert {"gist.json", "short-gist.json"} <= set(results_of(life))


# ------------------------------------------------------------------------------------------------------- the second run


def test_running_twice_pays_and_does_nothing_new(tmp_path: Path) -> None:
    """The second run makes no call to the platform at all, writes nothing, and ends at once."""
    life = Life.at(tmp_path, **priced())
    paths = clips(tmp_path, 3)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 0
        ledger, looks = list(life.platform.ledger), life.platform.requests
        folders = {name: dict(files) for name, files in life.sink.folders.items()}
        rows = await life.rows()
        life.sink.folders = {name: Untouched(files) for name, files in life.sink.folders.items()}
        before = life.clock.now()
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.usd, report.analyses, report.published) == (0, 0.0, 0, 0)
        assert (life.platform.ledger, life.platform.requests) == (ledger, looks)
        assert all(isinstance(files, Untouched) for files in life.sink.folders.values())
        assert folders == life.sink.folders
        assert await life.rows() == rows
        assert life.clock.now() - before < 0.01

    run_virtual(scenario())


class Untouched(dict[str, "str | bytes"]):
    """A folder that a test can recognise: writing replaces it by an ordinary one."""


def test_deleted_results_come_back_without_a_paid_call(tmp_path: Path) -> None:
    """One file or the whole folder: restored from the database, byte for byte; nobody is asked."""
    life = Life.at(tmp_path)
    paths = clips(tmp_path, 2)

    async def scenario() -> None:
        await life.run(items(paths))
        ledger, looks = list(life.platform.ledger), life.platform.requests
        before = {name: dict(files) for name, files in life.sink.folders.items()}
        first, second = life.sink.folders
        del life.sink.folders[first]
        del life.sink.folders[second]["summary.md"]
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.published) == (0, 2)
        assert life.sink.folders == before
        assert (life.platform.ledger, life.platform.requests) == (ledger, looks)

    run_virtual(scenario())


def test_deleted_results_come_back_beside_a_part_that_failed(tmp_path: Path) -> None:
    """One job was refused for good; the others' files are restored all the same."""
    life = Life.at(tmp_path)
    life.platform.spoil = lambda question, text: json.dumps({**json.loads(text), "chapters": []})
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 3
        before = {name: dict(files) for name, files in life.sink.folders.items()}
        assert before
        ledger = list(life.platform.ledger)
        life.sink.folders.clear()
        assert (await life.run(items(paths), seed=2)).exit_code == 3
        assert life.sink.folders == before
        assert life.platform.ledger == ledger

    run_virtual(scenario())


def test_a_changed_prompt_asks_that_job_alone_and_uploads_nothing(tmp_path: Path) -> None:
    """Its old answer leaves the folder, everything else stays as it was."""
    sponsors = {"job": "ask", "prompt": "Which sponsors are named?"}
    jobs = {"enabled": ("gist", "summary", "sponsors"), "settings": {"sponsors": sponsors}}
    life = Life.at(tmp_path, **priced(jobs=jobs))
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 0
        before = dict(next(iter(life.sink.folders.values())))
        changed = {**jobs, "settings": {"sponsors": {**sponsors, "prompt": "Which brands are shown?"}}}
        life.configure(tmp_path, **priced(jobs=changed))
        report = await life.run(items(paths), seed=2)
        assert (report.exit_code, report.analyses) == (0, 1)
        assert len(life.effects_of("asset")) == 1
        assert set(life.api.questions[-1].schema["properties"]) == {"answer_sponsors"}  # type: ignore[index]
        (files,) = life.sink.folders.values()
        assert files["gist.json"] == before["gist.json"]
        assert files["sponsors.md"] != before["sponsors.md"]
        assert (await life.run(items(paths), seed=3)).analyses == 0

    run_virtual(scenario())


def test_results_of_jobs_that_are_not_asked_for_now_stay(tmp_path: Path) -> None:
    """Fewer jobs remove nothing that was paid for: files, raw answers, record and index keep all; a deleted one comes back."""
    life = Life.at(tmp_path, **priced())
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 0
        (before,) = [dict(files) for files in life.sink.folders.values()]
        index, ledger = list(life.sink.index), list(life.platform.ledger)
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist",)}))
        assert (await life.run(items(paths), seed=2)).exit_code == 0
        (after,) = [dict(files) for files in life.sink.folders.values()]
        cards = [json.loads(files.pop("video.json")) for files in (before, after)]
        assert (after, life.sink.index) == (before, index)
        assert [card.pop("asked") for card in cards] == [["chapters", "gist", "highlights", "summary"], ["gist"]]
        assert cards[0]["results"] == cards[1]["results"]
        assert set(cards[1]["results"]) == {"gist", "summary", "chapters", "highlights"}
        (folder,) = life.sink.folders.values()
        del folder["summary.md"]
        assert (await life.run(items(paths), seed=3)).exit_code == 0
        (folder,) = life.sink.folders.values()
        assert before.items() <= folder.items()
        life.configure(tmp_path, **priced())
        assert (await life.run(items(paths), seed=4)).analyses == 0
        assert life.platform.ledger == ledger

    run_virtual(scenario())


def test_what_a_person_has_changed_is_kept_beside_and_told(tmp_path: Path) -> None:
    """An edited result is not lost when ours is written again; the run's report names where it is."""
    life = Life.at(tmp_path)
    life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).edited == []
        (summary,) = (tmp_path / "out").glob("*/summary.md")
        ours = summary.read_bytes()
        for number, words in enumerate(("mine", "mine again"), 1):
            summary.write_text(words)
            life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
            report = await life.run(items(paths), seed=number)
            aside = "summary.edited.md" if number == 1 else "summary.edited-2.md"
            assert report.edited == [f"{summary.parent.name}/{aside}"]
            assert (summary.with_name(aside).read_text(), summary.read_bytes()) == (words, ours)

    run_virtual(scenario())


def test_a_prompt_changed_back_costs_nothing(tmp_path: Path) -> None:
    """Every answer ever paid for is kept under its fingerprint."""
    paths = clips(tmp_path, 1)
    few: dict[str, Any] = {"enabled": ("gist",), "settings": {"gist": {"topics": 2}}}
    life = Life.at(tmp_path, **priced(jobs={"enabled": ("gist",)}))

    async def scenario() -> None:
        await life.run(items(paths))
        life.configure(tmp_path, **priced(jobs=few))
        assert (await life.run(items(paths))).analyses == 1
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist",)}))
        report = await life.run(items(paths))
        assert (report.exit_code, report.analyses, report.published) == (0, 0, 1)

    run_virtual(scenario())


def test_a_changed_title_is_written_and_nothing_is_asked(tmp_path: Path) -> None:
    """A line's title decides no answer: the folder is written again, the folder's name stays."""
    life = Life.at(tmp_path)
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        await life.run(items(paths, title="Old"))
        ledger = list(life.platform.ledger)
        report = await life.run(items(paths, title="New"), seed=2)
        assert (report.exit_code, report.published) == (0, 1)
        assert life.platform.ledger == ledger
        (files,) = life.sink.folders.values()
        assert json.loads(files["video.json"])["title"] == "New"

    run_virtual(scenario())


def test_a_folder_that_cannot_be_written_is_written_by_the_next_run(tmp_path: Path) -> None:
    """The disk refuses: the answers are safe in the database, the run says so, the next one writes them."""
    from pipeline.core.errors import Permanent

    life = Life.at(tmp_path)
    paths = clips(tmp_path, 1)
    real = life.sink.write

    async def refuse(folder: str, files: Any) -> Any:
        raise Permanent("read-only file system", code="output_unwritable")

    async def scenario() -> None:
        life.sink.write = refuse  # type: ignore[method-assign]
        assert (await life.run(items(paths))).exit_code == 3
        assert {task.state for task in await life.tasks("publish")} == {State.FAILED}
        ledger = list(life.platform.ledger)
        life.sink.write = real  # type: ignore[method-assign]
        assert (await life.run(items(paths))).exit_code == 0
        assert life.platform.ledger == ledger
        assert "summary.md" in results_of(life)

    run_virtual(scenario())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=8),
    st.lists(st.sampled_from(["gist", "summary", "chapters", "highlights"]), min_size=1, unique=True),
    st.booleans(),
    st.integers(0, 100),
)
def test_whatever_is_run_twice_pays_once(
    tmp_path: Path, names: list[int], enabled: list[str], fuse: bool, seed: int
) -> None:
    """For any list of lines (with repetitions and copies), any jobs, fused or not, in any order of chance."""
    life = Life.at(tmp_path, **priced(jobs={"enabled": tuple(enabled), "fuse": fuse}))
    life.database = MemoryDatabase()
    paths = clips(tmp_path, 4)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(paths[0].read_bytes())
    chosen = [[*paths, copy][name] for name in names]
    contents = {path.read_bytes() for path in chosen}

    async def scenario() -> None:
        assert (await life.run(items(chosen), seed=seed)).exit_code == 0
        assert len(life.effects_of("asset")) == len(contents)
        assert len(life.effects_of("analysis")) == len(contents) * (1 if fuse else len(enabled))
        ledger = list(life.platform.ledger)
        assert (await life.run(items(reversed(chosen)), seed=seed + 1)).exit_code == 0
        assert life.platform.ledger == ledger

    run_virtual(scenario())

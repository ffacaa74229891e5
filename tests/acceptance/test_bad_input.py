"""Whatever is wrong with the input: one clear message with place and remedy, the right exit code, no harm to the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from pipeline.sink import layout
from tests.support.cli import Ended, Terminal
from tests.support.media import clip, clips, film


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    """A terminal with one good clip in ``good.mp4``."""
    terminal = Terminal(tmp_path / "here")
    clip(terminal.folder / "good.mp4")
    return terminal


def refused(ended: Ended) -> tuple[str, str]:
    """Return message and remedy of a command that did nothing: one or two lines on stderr, no stdout, exit 2."""
    assert (ended.code, ended.out) == (2, ""), ended
    assert 1 <= len(ended.told) <= 2
    message, remedy = (*ended.told, "")[:2]
    return message.removeprefix("reelmill: "), remedy.removeprefix("  → ")


def troubled(here: Terminal, *sources: str) -> list[dict[str, Any]]:
    """Run good.mp4 with bad company; return the bad lines and troubles. The good one is done, and only it was paid for."""
    ended = here.run("run", "good.mp4", *sources, "--json")
    assert ended.code == 3, ended.err
    report = ended.json
    assert report["items"]["done"] == 1
    assert len(Ledger(here.folder / ".reelmill" / "platform" / "platform.sqlite3").entries("analyze_task_created")) == 1
    assert len(list((here.folder / "out").glob("*/video.json"))) == 1
    logged = [event for event in ended.events if event["event"] == "line.unusable"]
    assert [event["place"] for event in logged] == [line["place"] for line in report["bad_lines"]]
    found = [{"place": line["place"], "source": line["source"], **line["trouble"]} for line in report["bad_lines"]]
    return found + [{"place": entry["item"], **entry["trouble"]} for entry in report["troubles"]]


# ------------------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("[run]\nstat = 'x'\n", "line 2: [run] stat: unknown key", "did you mean 'state'?"),
        ("[rum]\nstate = 'x'\n", "line 1: [rum]: unknown key", "did you mean 'run'?"),
        ("[run]\nstrict = 7\n", "line 2: [run] strict: ", "config.example.toml"),
        ("[lanes]\nfetch = 0\n", "line 2: [lanes] fetch: ", "config.example.toml"),
        ("[provider]\nkind = 'local'\nbase_url = 'ftp://x'\n", "line 3: [provider] base_url: ", "config.example.toml"),
        ("[run\n", "line 1: not valid TOML", "config.example.toml"),
        ("[provider]\napi_key = 'tlk_1'\n", "the API key does not belong", "TWELVELABS_API_KEY"),
        ("[jobs]\nenabled = ['gits']\n", "no job is called 'gits'", "known jobs"),
        ("[provider]\nmodel = 'pegasus9'\n", "[provider] model: 'pegasus9' is no model", "did you mean 'pegasus1.6'?"),
        ("[provider]\nbase_url = 'http://10.0.0.5:80'\n", "would get the key over plain HTTP", "use https://"),
        (
            "[provider]\nbase_url = 'https://me:secret@h/v1'\n",
            "base_url must be https://host/path",
            "write https://host",
        ),
        ("[jobs.summary]\nsentences = 'many'\n", "[jobs.summary] sentences: must be a whole number", "from 1 to 60"),
    ],
)
def test_configuration(here: Terminal, text: str, message: str, remedy: str) -> None:
    """File, line and key are named, and what to write instead; run, plan and config check agree."""
    (here.folder / "reelmill.toml").write_text(text, encoding="utf-8")
    told = {refused(here.run(*words)) for words in (["run", "good.mp4"], ["plan", "good.mp4"], ["config", "check"])}
    assert len(told) == 1
    ((said, advice),) = told
    assert message in said
    assert remedy in f"{said} {advice}"
    assert not (here.folder / ".reelmill").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nmanifests = ['gone.csv']\n", "gone.csv: this manifest, which [run] manifests names, is not there"),
        ("[run]\noutput = 'good.mp4'\n", "good.mp4 is a file, not a folder"),
        ("[run]\noutput = 'good.mp4/out'\n", "good.mp4 is a file, not a folder"),
        ("[run]\noutput = '/proc/out'\n", "/proc/out: the output folder cannot be written"),
        ("[provider]\nbase_url = 'https://127.0.0.1:9/v1.3'\n", "[provider] base_url needs an API key"),
        ("[youtube]\nmin_gap = 20\nmax_gap = 3\n", "[youtube]: min_gap (20) should be at most max_gap (3)"),
    ],
)
def test_config_check_refuses_what_a_run_refuses(here: Terminal, text: str, message: str) -> None:
    """Both say the same, exit 2; the check makes no folder."""
    (here.folder / "reelmill.toml").write_text(text, encoding="utf-8")
    (said, advice) = refused(here.run("config", "check"))
    assert message in said
    assert not (here.folder / ".reelmill").exists()
    assert refused(here.run("run", *([] if "manifests" in text else ["good.mp4"]))) == (said, advice)


def test_a_newer_model_needs_a_word_and_an_unknown_one_costs_nothing(here: Terminal) -> None:
    """With the switch a model that this release does not list is taken; on v1.2, whose models belong to indexes, any is."""
    for text in (
        "model = 'pegasus2'\nunlisted_model = true\n",
        "api = 'v1.2'\nmodel = 'pegasus9'\n",
        "model = 'pegasus1.6'\n",
    ):
        (here.folder / "reelmill.toml").write_text(f"[provider]\n{text}", encoding="utf-8")
        assert here.run("config", "check").code == 0
    (here.folder / "reelmill.toml").write_text("[provider]\nmodel = 'other'\n", encoding="utf-8")
    assert "if the platform has a newer one" in refused(here.run("run", "good.mp4"))[1]
    assert not (here.folder / ".reelmill").exists()


def test_configuration_that_is_not_there(here: Terminal) -> None:
    """A missing file, a folder in its place, bytes that are no text."""
    assert "no such configuration file" in refused(here.run("run", "good.mp4", "--config", "nightly.toml"))[0]
    (here.folder / "folder.toml").mkdir()
    assert "folder.toml" in refused(here.run("run", "good.mp4", "--config", "folder.toml"))[0]
    (here.folder / "bytes.toml").write_bytes(bytes(range(256)))
    assert "not UTF-8 text" in refused(here.run("run", "good.mp4", "--config", "bytes.toml"))[0]


# --------------------------------------------------------------------------------------------------------------- files


def test_missing_empty_broken(here: Terminal) -> None:
    """A path that leads nowhere, no bytes, random bytes, text named .mp4, only sound: each by its name with a remedy."""
    (here.folder / "zero.mp4").write_bytes(b"")
    (here.folder / "random.mp4").write_bytes(bytes(number * 37 % 256 for number in range(20_000)))
    (here.folder / "cut.mp4").write_bytes((here.folder / "good.mp4").read_bytes()[:300])
    found = troubled(here, "nothing.mp4", "zero.mp4", "random.mp4", "cut.mp4")
    by_code: dict[str, list[dict[str, Any]]] = {}
    for entry in found:
        assert entry["message"]
        assert entry["remedy"]
        by_code.setdefault(entry["code"], []).append(entry)
    # To FFmpeg almost any bytes are sound in some format.
    sure = {"file_empty", "file_missing"}
    assert sure < set(by_code) <= sure | {"unreadable_video", "no_video_stream"}
    assert sum(map(len, by_code.values())) == 4
    for name in ("zero.mp4", "random.mp4", "cut.mp4"):
        why = here.run("why", name)
        assert why.code == 0
        assert name in why.out
        assert "→" in why.out
    assert [len(here.run("status", "-n", n, "--json").json["attention"]) for n in ("2", "0")] == [2, 0]


def test_what_the_platform_would_refuse(here: Terminal) -> None:
    """Too short, too small, too wide: known before a byte moves, with the platform's limits in the message."""
    film(here.folder / "short.mp4", 0.5)
    film(here.folder / "small.mp4", 5.0, (320, 240))
    film(here.folder / "wide.mp4", 5.0, (1280, 368))
    nobody = {"TWELVELABS_API_KEY": "tlk_1", "REELMILL_PROVIDER__BASE_URL": "http://127.0.0.1:9"}
    plan = here.run("plan", "short.mp4", "small.mp4", "wide.mp4", "--json", env=nobody).json
    assert [row["action"] for row in plan["rows"]] == ["failed"] * 3
    assert (plan["usd"], plan["refused_elsewhere"]) == (0.0, 0)
    ended = here.run("run", "short.mp4", "small.mp4", "wide.mp4", "--json", env=nobody)
    found = {entry["trouble"]["code"]: entry["trouble"] for entry in ended.json["troubles"]}
    assert set(found) == {"video_too_short", "resolution_too_low", "aspect_ratio"}
    assert "1 s or more" in found["video_too_short"]["message"]


def test_the_local_platform_takes_what_the_vendor_would_refuse(here: Terminal) -> None:
    """Any length, size, shape and container is read; the plan says which of them the vendor refuses, and why."""
    film(here.folder / "short.mp4", 0.5)
    film(here.folder / "small.webm", 2.0, (160, 90), codec="libvpx")
    film(here.folder / "wide.avi", 2.0, (1280, 48))
    names = ("short.mp4", "small.webm", "wide.avi")
    plan = here.run("plan", "good.mp4", *names, "--json").json
    assert plan["refused_elsewhere"] == 3
    told = {Path(row["source"]).name: row["elsewhere"] for row in plan["rows"]}
    assert told["good.mp4"] == ""
    assert "160×90" in told["small.webm"]
    shown = here.run("plan", *names).out
    assert "Twelve Labs would refuse 3 videos of these" in shown
    assert "Twelve Labs would refuse it: The video is 0.5 s long" in shown
    ended = here.run("run", "good.mp4", *names, "--json")
    assert (ended.code, ended.json["items"]["done"]) == (0, 4), ended.err


def test_a_plan_knows_the_limits_of_the_api_that_is_spoken(here: Terminal) -> None:
    """v1.2 takes 2 GB, v1.3 ten: what a run would refuse has no price in its plan."""
    with (here.folder / "good.mp4").open("r+b") as file:
        file.truncate(3_000_000_000)  # a hole, not bytes
    for api, action in (("v1.3", "new"), ("v1.2", "failed")):
        vendor = {"REELMILL_PROVIDER__API": api, "TWELVELABS_API_KEY": "tlk_1"}
        (row,) = here.run("plan", "good.mp4", "--json", env=vendor).json["rows"]
        assert (row["action"], "GB" in row["problem"]) == (action, api == "v1.2"), row


def test_what_the_local_platform_cannot_do_is_told_with_a_way_out(here: Terminal) -> None:
    """Media by address, for one: the report says who tells what to do instead, and that is something one can do."""
    ended = here.run("run", "https://video.example/a.mp4", "--json")
    (trouble,) = (entry["trouble"] for entry in ended.json["troubles"])
    assert (ended.code, trouble["code"]) == (3, "not_supported_by_local_platform")
    assert "`reelmill why ITEM`" in trouble["remedy"]
    assert "Download the file" in here.run("why", "https://video.example/a.mp4").out


# --------------------------------------------------------------------------------------------------------------- lists


def test_a_binary_list(here: Terminal) -> None:
    """A video handed in as a list, or any bytes: said once, not once a line."""
    (here.folder / "list.txt").write_bytes(bytes(range(256)) * 2000)
    (found,) = troubled(here, "list.txt")
    assert found["place"].startswith("list.txt")
    assert "not text" in found["message"]


def test_youtube_is_called_by_its_id(here: Terminal) -> None:
    """Before anything is known of a video, its id tells it from another; the end of its address is the same for all."""
    rows = here.run("plan", "youtu.be/dQw4w9WgXcQ", "https://youtube.com/@NASA/videos", "--json").json["rows"]
    assert [row["title"] for row in rows] == ["dQw4w9WgXcQ", "@nasa"]


def test_without_a_stdin(here: Terminal) -> None:
    """Service managers start programs with nothing there: only a list that is to come from it is a bad line."""
    plan = here.run("plan", "good.mp4", "-", "--json", before=lambda: os.close(0))
    assert plan.code == 3, plan.err
    assert plan.json["counts"] == {"new": 1}
    assert [line["trouble"]["code"] for line in plan.json["bad_lines"]] == ["manifest_unreadable"]


def test_lists_with_all_kinds_of_lines(here: Terminal) -> None:
    """Misspelt columns, unknown jobs, broken JSON, stray quotes: each line by file and number."""
    (here.folder / "list.csv").write_text('source,jobs\nnothing.mp4,\ngood.mp4,gits\n"good.mp4,\n', encoding="utf-8")
    (here.folder / "list.jsonl").write_text('{"source": 7}\nnot json\n{"title": "x"}\n', encoding="utf-8")
    (here.folder / "columns.csv").write_text("path,promt\ngood.mp4,x\n", encoding="utf-8")
    found = troubled(here, "list.csv", "list.jsonl", "columns.csv")
    places = [entry["place"] for entry in found]
    assert places == [
        "list.csv:2",
        "list.csv:3",
        "list.csv:4",
        "list.jsonl:1",
        "list.jsonl:2",
        "list.jsonl:3",
        "columns.csv:1",
    ]
    assert all(entry["message"] and entry["remedy"] for entry in found)


def test_duplicate_lines(here: Terminal) -> None:
    """The same file by three ways of writing it is one item; the report says that lines were doubled."""
    (here.folder / "list.txt").write_text("good.mp4\n./good.mp4\n" + f"{here.folder / 'good.mp4'}\n", encoding="utf-8")
    ended = here.run("run", "list.txt", "good.mp4")
    assert ended.code == 0, ended.err
    assert "in all   1 done" in ended.out
    assert "3 lines named again" in ended.out


TITLES = {
    "upwards": "../../../../etc/passwd",
    "lines": "one\ntwo\r\nthree",
    "emoji": "🐝🐝🐝 à la carte",
    "long": "very " * 2000 + "long",
    "nothing": "///...///",
    "device": "CON",
    "option": "-rf *",
    "html": "<script>alert(1)</script>",
    "escape": "\u001b[31mred\u202egnp.exe",
}


def test_titles_that_can_do_harm(here: Terminal) -> None:
    """Paths, line ends, emoji, ten thousand characters, terminal codes: a safe folder each, and the title kept in the card."""
    paths = clips(here.folder / "films", len(TITLES))
    lines = [
        json.dumps({"source": str(path), "title": title}) for path, title in zip(paths, TITLES.values(), strict=True)
    ]
    (here.folder / "list.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ended = here.run("run", "list.jsonl")
    assert ended.code == 0, ended.err
    out = here.folder / "out"
    assert {path.name for path in here.folder.iterdir()} == {"films", "good.mp4", "list.jsonl", "out", ".reelmill"}
    assert len([path for path in out.glob("*--*") if path.is_dir()]) == len(TITLES)
    titles = set()
    for path in out.iterdir():
        assert path.name.isascii() or layout.is_video_folder(path.name)
        assert len(path.name.encode()) <= 120
        if "--" in path.name:
            titles.add(json.loads((path / "video.json").read_text(encoding="utf-8"))["title"])
    assert {" ".join(title.split())[:50] for title in titles} == {
        " ".join(title.split())[:50] for title in TITLES.values()
    }
    for words in (["status"], ["show", "films/clip-08.mp4"], ["plan", "list.jsonl"]):
        shown = here.run(*words)
        assert shown.code == 0
        assert "\u001b" not in shown.out
        assert "\u202e" not in shown.out
    assert len((out / "results.jsonl").read_text(encoding="utf-8").splitlines()) == len(TITLES)


# ------------------------------------------------------------------------------------------------- folders in the way


def test_an_output_folder_that_is_a_file(here: Terminal) -> None:
    """Known before anything is paid: exit 2, the path and the way out are named, and the file is left alone."""
    (here.folder / "out").write_text("mine", encoding="utf-8")
    message, remedy = refused(here.run("run", "good.mp4"))
    assert "out" in message
    assert "--output" in remedy
    assert (here.folder / "out").read_text(encoding="utf-8") == "mine"
    assert not (here.folder / ".reelmill" / "platform").exists()
    inside = refused(here.run("run", "good.mp4", "--output", "out/deeper"))[0]
    assert "deeper" in inside


def test_a_state_folder_that_is_a_file(here: Terminal) -> None:
    """Exit 2 with path and remedy, from every command that needs it."""
    (here.folder / "st").write_text("mine", encoding="utf-8")
    for words in (["run", "good.mp4"], ["retry", "--failed"], ["cancel", "--all"]):
        message, remedy = refused(here.run(*words, "--state", "st"))
        assert message.startswith("st: ")
        assert "--state" in remedy
    for words in (["status"], ["show", "good.mp4"]):
        assert here.run(*words, "--state", "st/deeper").code == 2
    assert (here.folder / "st").read_text(encoding="utf-8") == "mine"


def test_a_state_folder_that_cannot_be_looked_into(here: Terminal) -> None:
    """Too long a name stands for a folder of somebody else's: exit 2 with path and remedy, no traceback; doctor says so."""
    name = "s" * 300
    for words in (["run"], ["plan", "good.mp4"], ["status"], ["why", "good.mp4"], ["retry", "--failed"]):
        message, remedy = refused(here.run(*words, "--state", name))
        assert message.startswith(f"{name}: the state folder cannot be used")
        assert "--state" in remedy
    ended = here.run("doctor", "--state", name, "--json")
    assert (ended.code, ended.told) == (2, [])
    assert [finding["name"] for finding in ended.json if finding["state"] == "bad"] == ["YouTube's patience"]


def test_a_file_where_a_result_belongs(here: Terminal) -> None:
    """A foreign folder in the place of a result: that video fails with the place named, the others are written."""
    clips(here.folder / "films", 2, first=1)
    assert here.run("run", "good.mp4").code == 0
    (folder,) = (path for path in (here.folder / "out").glob("*--*") if path.is_dir())
    (folder / "gist.json").unlink()
    (folder / "gist.json").mkdir()
    (folder / "gist.json" / "mine").write_text("precious", encoding="utf-8")
    ended = here.run("run", "good.mp4", "films")
    assert ended.code == 3
    assert "in the way" in ended.out
    assert len(list((here.folder / "out").glob("*/gist.json"))) == 3
    assert (folder / "gist.json" / "mine").read_text(encoding="utf-8") == "precious"
    (folder / "gist.json" / "mine").unlink()
    (folder / "gist.json").rmdir()
    assert here.run("run", "good.mp4", "films").code == 0
    assert json.loads((folder / "gist.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "content", ["", "source,title\n", "# later\n\n", "[]\n"], ids=["no bytes", "header", "comment", "array"]
)
def test_an_empty_list_is_not_a_good_night(tmp_path: Path, content: str) -> None:
    """What writes the list may have failed: run and plan say so in a sentence of its own, and end with 3."""
    here = Terminal(tmp_path / "here")
    name = "list.json" if content.startswith("[") else "list.csv" if "," in content else "list.txt"
    (here.folder / name).write_text(content, encoding="utf-8")
    for verb in ("run", "plan"):
        ended = here.run(verb, name)
        assert ended.code == 3, ended.out
        assert f"{name}" in ended.out
        assert "The list is empty: no line of it names a video." in ended.out
    assert here.run("run", "-", stdin=content).code == 3


def test_a_configured_list_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    """Its own sentence and exit code 2, before anything is begun; a glob that finds nothing is another matter."""
    config = {"run": {"manifests": ["nightly.csv", "films/*.mp4"]}, "provider": {"kind": "local"}}
    here = Terminal(tmp_path / "here", config=config)
    for verb in ("run", "plan"):
        ended = here.run(verb)
        assert (ended.code, ended.out) == (2, "")
        assert "nightly.csv: this manifest, which [run] manifests names, is not there" in ended.told[0]
        assert ended.told[1].startswith("  → ")
    assert not (here.folder / "out").exists()
    clips(here.folder / "films", 1)
    (here.folder / "nightly.csv").write_text("source\nfilms/clip-00.mp4\n", encoding="utf-8")
    assert here.run("plan").code == 0


def test_bad_lines_count_in_the_exit_code_of_a_plan(tmp_path: Path) -> None:
    """As in the run's: what cannot be done is no plan that a script may take for good."""
    here = Terminal(tmp_path / "here")
    clips(here.folder / "films", 1)
    (here.folder / "broken.mp4").write_bytes(b"nothing to see" * 50)
    assert here.run("plan", "films").code == 0
    assert here.run("plan", "films", "nowhere.mp4").code == 3
    assert here.run("plan", "films", "broken.mp4").code == 3
    assert here.run("plan", "films", "nowhere.mp4", "--strict").code == 2


#: What libraries say, and we do not.
FOREIGN = (
    "Usage:",
    "Error:",
    "Try '",
    "Input should",
    "Value error",
    "valid integer",
    "valid tuple",
    "unable to",
    "Errno",
)


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (["demo", "good.mp4"], "demo: good.mp4 is a file", "`reelmill run good.mp4` ingests this one"),
        (["history"], "no command is called 'history'", "did you mean `reelmill status`?"),
        (["statsu"], "no command is called 'statsu'", "did you mean `reelmill status`?"),
        (["config", "chekc"], "config: no command is called 'chekc'", "did you mean `reelmill config check`?"),
        (["run", "--force"], "run: there is no option --force", "`reelmill run --help` lists the options"),
        (["run", "--jbos", "gist"], "run: there is no option --jbos", "did you mean --jobs?"),
        (["run", "--provider", "foo"], "run: --provider: 'foo' is not one of 'local', 'twelvelabs'", "--help"),
        (["run", "--max-usd"], "run: --max-usd needs a value", "run --help"),
        (["show"], "show: ITEM is missing", "reelmill show ITEM"),
        (["plan", "--limit", "x"], "plan: --limit or -n: should be a whole number", "--help"),
        (["search", "x", "--limit", "0"], "search: --limit or -n: should be at least 1", "--help"),
        (["status", "a"], "status: too many arguments: a", "--help"),
        (["status", "--json=3"], "--json takes no value", "write --json alone"),
        (["indexes", "foo"], "indexes: ACTION: 'foo' is not one of 'list', 'create', 'delete'", "--help"),
        (["search", "--index", "x"], "search: say what to look for: TEXT or --image", "reelmill search"),
        (["run", "good.mp4", "--max-usd", "-3"], "--max-usd: should be at least 0", "--help"),
    ],
)
def test_a_wrong_command_line_is_told_as_everything_else(
    here: Terminal, words: list[str], message: str, remedy: str
) -> None:
    """One sentence and one remedy, exit 2, in our words; no traceback, no page of usage, nothing begun."""
    ended = here.run(*words)
    said, advice = refused(ended)
    assert message in said
    assert remedy in advice
    assert not any(word in ended.err for word in FOREIGN), ended.err
    assert not (here.folder / ".reelmill").exists()


def test_a_key_file_that_is_gone_says_who_names_it(here: Terminal) -> None:
    """The environment or the configuration: the remedy names the one that is to be corrected."""
    said, advice = refused(here.run("run", "good.mp4", env={"TWELVELABS_API_KEY_FILE": "/nowhere/key"}))
    assert said == "/nowhere/key: the key file cannot be read: No such file or directory"
    assert advice.startswith("TWELVELABS_API_KEY_FILE names it")


def test_a_text_that_is_no_list_is_one_bad_line(here: Terminal) -> None:
    """A file without a list's ending, of which no line names anything, is not taken for a list of paths."""
    (here.folder / "notes").write_text("root:x:0:0:root:/root:/bin/sh\n\nanother thing\n", encoding="utf-8")
    (here.folder / "films").write_text("# tonight\ngood.mp4\n", encoding="utf-8")
    found = here.run("plan", "notes", "films", "--json").json
    assert [line["trouble"]["code"] for line in found["bad_lines"]] == ["not_a_list"]
    assert found["counts"] == {"new": 1}


@pytest.mark.parametrize(
    ("source", "remedy"),
    [("file:///srv/a%20film.mp4", "/srv/a film.mp4"), ("C:\\Users\\me\\clip.mp4", "a path of Windows")],
)
def test_foreign_paths_say_what_to_write(here: Terminal, source: str, remedy: str) -> None:
    """An address of a file and a path of Windows: the remedy is what belongs there."""
    (bad,) = here.run("plan", source, "--json").json["bad_lines"]
    assert remedy in bad["trouble"]["remedy"]

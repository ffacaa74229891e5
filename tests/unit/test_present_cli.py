"""The command line in front of an app that only remembers what it was asked: arguments in, data and exit codes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from rich.text import Text

import pipeline
from pipeline.__main__ import main
from pipeline.app.runs.config_check import check_config
from pipeline.config.settings import Settings
from pipeline.core import errors
from pipeline.core.model import Lane, State, Task, Trouble
from pipeline.money_views import Plan
from pipeline.present.terminal import guard, rendered
from pipeline.views import BadLine, Corrected, CorrectedItem, Finding, ItemView, RunReport, StatusView
from tests.support.cli import own_signals

REPORT = RunReport(
    run_id="r", started=0.0, ended=10.0, exit_code=0, items={"done": 2}, lines=2, bad_lines=(), bad_count=0, analyses=2,
    published=2, usd=0.5, minutes=3.0, doubtful=0, output=Path("out"), provider="local/v1.3",
)  # fmt: skip
PLAN = Plan((), {"new": 2}, 0.5, 3.0, 10, 0, [BadLine("a.txt:1", "x", Trouble("bad", "Bad."))], 1, "local/v1.3")
TASK = Task(
    7,
    "item",
    "file:/a.mp4",
    "fetch",
    {},
    State.FAILED,
    Lane.FETCH,
    0,
    trouble=Trouble("short", "Short.", "", "raw words"),
)
ITEM = ItemView(TASK, "A", "a.mp4", "failed", [TASK], (), (), None, "It is too short.", "Take another.")

OPENED = Corrected("retry", 3, ("download",))
CHANGED = Corrected("retry", 3)


@dataclass
class FakeApp:
    """Stands in for the functions of ``pipeline.app``: keeps the settings and arguments of each call, answers as told."""

    report: RunReport = REPORT
    findings: tuple[Finding, ...] = ()
    reopened: Corrected = OPENED
    corrected: Corrected = CHANGED
    raises: BaseException | None = None
    calls: list[tuple[str, Settings, dict[str, Any]]] = field(default_factory=list)

    def _note(self, name: str, settings: Settings, **given: Any) -> None:
        self.calls.append((name, settings, given))
        if self.raises is not None:
            raise self.raises

    async def run(self, settings: Settings, sources: Sequence[str], *, watch: Any = None) -> RunReport:
        self._note("run", settings, sources=sources, watch=watch)
        return self.report

    async def plan(self, settings: Settings, sources: Sequence[str], *, limit: int = 50, files: bool = False) -> Plan:
        self._note("plan", settings, sources=sources, limit=limit, files=files)
        return PLAN

    async def status(self, settings: Settings, *, limit: int = 20) -> StatusView:
        self._note("status", settings, limit=limit)
        return StatusView({"done": 2}, {}, {}, (), (), "", (), 0.5, 3.0)

    async def show(self, settings: Settings, item: str) -> ItemView:
        self._note("show", settings, item=item)
        return ITEM

    async def retry(
        self, settings: Settings, items: Sequence[str], classes: Sequence[str], *, failed: bool
    ) -> Corrected:
        self._note("retry", settings, items=items, classes=classes, failed=failed)
        return self.corrected

    async def cancel(self, settings: Settings, items: Sequence[str], *, failed: bool = False) -> Corrected:
        self._note("cancel", settings, items=items, failed=failed)
        return self.corrected

    async def retry_parked(self, settings: Settings, classes: list[str]) -> Corrected:
        self._note("retry_parked", settings, classes=classes)
        return self.reopened

    async def doctor(self, settings: Settings) -> list[Finding]:
        self._note("doctor", settings)
        return list(self.findings)

    async def platform(
        self,
        settings: Settings,
        *,
        host: str | None,
        port: int | None,
        faults: Path | None,
        media: Path | None,
        ready: Callable[[str, str], None],
    ) -> None:
        self._note("platform", settings, host=host, port=port, faults=faults, media=media)
        ready("http://127.0.0.1:4000", "token-1")

    def check_config(self, settings: Settings) -> Sequence[str]:
        self._note("check_config", settings)
        return check_config(settings)  # the real one: cheap, and without I/O

    async def demo(
        self, settings: Settings, folder: Path, *, count: int, watch: Any = None
    ) -> tuple[list[Path], RunReport]:
        self._note("demo", settings, folder=folder, count=count)
        return [folder / "a.mp4"], replace(self.report, output=settings.run.output)


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    app: FakeApp

    @property
    def settings(self) -> Settings:
        """The settings that the app was called with."""
        return self.app.calls[-1][1]

    @property
    def given(self) -> dict[str, Any]:
        """The arguments besides."""
        return self.app.calls[-1][2]


Reelmill = Callable[..., Ran]


@pytest.fixture
def reelmill(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Reelmill:
    """Run the command line in an empty folder, with nothing from outside in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("TWELVELABS_API_KEY", "TWELVELABS_API_KEY_FILE", "REELMILL_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str, app: FakeApp | None = None, env: dict[str, str] | None = None) -> Ran:
        app = app or FakeApp()
        for name in pipeline.app.__all__:
            if hasattr(app, name):
                monkeypatch.setitem(vars(pipeline.app), name, getattr(app, name))
        monkeypatch.setattr(sys, "argv", ["reelmill", *args])
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended, own_signals():
            main()
        structlog.reset_defaults()
        out, err = capfd.readouterr()
        return Ran(int(ended.value.code or 0), out, err, app)

    return run


def test_run_hands_over_sources_and_flags(reelmill: Reelmill) -> None:
    """Every flag reaches the setting it is named after; paths stay as they were typed."""
    ran = reelmill(
        "run", "a.mp4", "-", "--state", "s", "--output", "o", "--provider", "twelvelabs", "--jobs", "gist, ask", "--strict",
        "--max-usd", "2.5", "--log-level", "error",
    )  # fmt: skip
    settings = ran.settings
    assert (ran.code, ran.given["sources"]) == (0, ["a.mp4", "-"])
    assert (settings.run.state, settings.run.output, settings.run.strict) == (Path("s"), Path("o"), True)
    assert (settings.provider.kind, settings.jobs.enabled) == ("twelvelabs", ("gist", "ask"))
    assert (settings.budget.max_usd_per_run, settings.log.level) == (2.5, "error")
    assert "2 done" in ran.out


def test_flags_that_are_not_given_change_nothing(reelmill: Reelmill) -> None:
    """Without flags the file's words hold, also for switches."""
    Path("reelmill.toml").write_text('[run]\nstrict = true\noutput = "o"\n[jobs]\nenabled = ["gist"]\n')
    ran = reelmill("run")
    assert ran.settings.run.strict
    assert ran.settings.run.output == Path("o")
    assert ran.settings.jobs.enabled == ("gist",)
    assert ran.given["sources"] == []


def test_the_configuration_is_found_in_three_places(reelmill: Reelmill) -> None:
    """The flag goes before the variable, the variable before the file in this folder."""
    for name in ("reelmill.toml", "env.toml", "flag.toml"):
        Path(name).write_text(f'[provider]\nmodel = "{name}"\n')
    assert reelmill("status").settings.provider.model == "reelmill.toml"
    assert reelmill("status", env={"REELMILL_CONFIG": "env.toml"}).settings.provider.model == "env.toml"
    assert reelmill("status", "--config", "flag.toml").settings.provider.model == "flag.toml"


@pytest.mark.parametrize("code", [0, 3, 4, 5, 6, 130])
def test_the_run_decides_the_exit_code(reelmill: Reelmill, code: int) -> None:
    """What the report says is what the shell sees, for ``run`` and ``demo``, with and without JSON."""
    app = FakeApp(report=replace(REPORT, exit_code=code))
    assert reelmill("run", app=app).code == code
    assert reelmill("run", "--json", app=app).code == code
    assert reelmill("demo", app=app).code == code


@pytest.mark.parametrize(
    "args",
    [
        ("run",), ("plan",), ("status",), ("show", "a"), ("why", "a"), ("retry", "a"), ("cancel", "a"), ("doctor",),
        ("platform",), ("demo",), ("config", "check"),
    ],
)  # fmt: skip
def test_json_is_all_that_stdout_gets(reelmill: Reelmill, args: tuple[str, ...]) -> None:
    """Every command has ``--json``, and its stdout can be piped into a JSON reader."""
    ran = reelmill(*args, "--json")
    assert ran.code == (3 if args == ("plan",) else 0)  # its lines are not all usable
    assert json.loads(ran.out) is not None


def test_a_plan_looks_where_the_run_writes(reelmill: Reelmill) -> None:
    """A run with --output has a plan with the same line: else it would find all results missing."""
    ran = reelmill("plan", "a.mp4", "--output", "results", "--state", "s")
    assert ran.code == 3, ran.err  # its lines are not all usable
    assert (ran.settings.run.output, ran.settings.run.state) == (Path("results"), Path("s"))


@pytest.mark.parametrize("columns", ["0", "wide", ""])
def test_a_width_that_is_none_hides_nothing(reelmill: Reelmill, columns: str) -> None:
    """Some shells and containers export COLUMNS=0, for not known."""
    assert "items    2 done" in reelmill("status", env={"COLUMNS": columns}).out
    assert "a plan" in rendered(Text("a plan"))  # as reconcile shows it before it asks


def test_a_strict_plan_with_bad_lines_is_refused(reelmill: Reelmill) -> None:
    """The plan of a strict run says what the run would: 2; otherwise bad lines are shown, and it ends with 3."""
    assert reelmill("plan", "a.txt").code == 3
    ran = reelmill("plan", "a.txt", "--strict", "--limit", "7", "--files")
    assert (ran.code, ran.given["limit"], ran.given["files"]) == (2, 7, True)
    assert "a.txt:1" in ran.out


def test_why_is_one_sentence_then_the_step_then_the_raw_words(reelmill: Reelmill) -> None:
    """The same three for people and for scripts."""
    assert reelmill("why", "a").out.splitlines() == ["It is too short.", "  → Take another.", "raw: short: raw words"]
    data = json.loads(reelmill("why", "a", "--json").out)
    assert data == {
        "item": "file:/a.mp4", "state": "failed", "explanation": "It is too short.", "next_step": "Take another.",
        "raw": "short: raw words",
    }  # fmt: skip


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_a_good_night_can_be_silent(reelmill: Reelmill, flag: str) -> None:
    """Exit 0: nothing on stdout and stderr, whatever was logged. Anything else: what a person needs, and no log lines."""

    class Talking(FakeApp):
        async def run(self, settings: Settings, sources: Sequence[str], *, watch: Any = None) -> RunReport:
            structlog.get_logger().info("working")
            structlog.get_logger().error("failing")
            return await super().run(settings, sources, watch=watch)

    ran = reelmill("run", flag, app=Talking())
    assert (ran.code, ran.out, ran.err, ran.given["watch"]) == (0, "", "", None)
    bad = replace(REPORT, exit_code=4, note="The platform refuses the key.")
    ran = reelmill("run", flag, app=Talking(report=bad))
    assert (ran.code, ran.err) == (4, "")
    assert "The platform refuses the key." in ran.out
    ran = reelmill("run", flag, app=Talking(raises=errors.ConfigError("no such folder")))
    assert (ran.code, ran.out, ran.err) == (2, "", "reelmill: no such folder\n")
    ran = reelmill("run", flag, app=Talking(raises=RuntimeError("odd")))
    assert "Traceback" in json.loads(ran.err.splitlines()[0])["exception"]
    ran = reelmill("run", flag, "--log-level", "error", app=Talking())
    assert [json.loads(line)["event"] for line in ran.err.splitlines()] == ["failing"]


def test_retry_and_cancel_say_whom(reelmill: Reelmill) -> None:
    """Selection by name, class and state reaches the app; the number of changed tasks comes back."""
    ran = reelmill("retry", "a", "b", "--class", "short", "--class", "late", "--failed")
    assert ran.app.calls[-1][0] == "retry"
    assert ran.given == {"items": ["a", "b"], "classes": ["short", "late"], "failed": True}
    assert ran.out == "3 tasks set to be retried at the next run\n"
    assert reelmill("cancel", "a").given["items"] == ["a"]
    assert reelmill("cancel", "--all").given == {"items": [], "failed": False}
    assert reelmill("cancel", "--failed").given == {"items": [], "failed": True}


def test_what_was_left_alone_is_told_with_its_reason(reelmill: Reelmill) -> None:
    """Item by item; where nothing at all changed, the exit code is 3 and the sentence says why."""
    some = Corrected(
        "cancel", 2, (), [CorrectedItem("a", "file:/a", 2, ""), CorrectedItem("b", "file:/b", 0, "it is done")]
    )
    ran = reelmill("cancel", "a", "b", app=FakeApp(corrected=some))
    assert (ran.code, ran.out) == (0, "2 tasks cancelled\nb: nothing changed; it is done\n")
    none = Corrected("retry", items=[CorrectedItem("b", "file:/b", 0, "it is done")])
    ran = reelmill("retry", "b", app=FakeApp(corrected=none))
    assert (ran.code, ran.out) == (3, "b: nothing changed; it is done\n")
    ran = reelmill("retry", "--failed", app=FakeApp(corrected=Corrected("retry", nothing="nothing has failed")))
    assert (ran.code, ran.out) == (3, "nothing has failed\n")
    woken = Corrected("retry", 1, ("download",), [CorrectedItem("b", "file:/b", 1, "")])
    ran = reelmill("retry", "b", app=FakeApp(corrected=woken))
    assert ran.out == "1 task set to be retried at the next run\ndownload: open again at the next run\n"


def test_parked_lanes_are_opened_by_hand(reelmill: Reelmill) -> None:
    """All of them or those of a class; what was opened is told, and that nothing was parked."""
    ran = reelmill("retry", "--parked", "--class", "bot_check")
    assert (ran.app.calls[-1][0], ran.given) == ("retry_parked", {"classes": ["bot_check"]})
    assert ran.out == "download: open again at the next run; 3 tasks due at once\n"
    assert json.loads(reelmill("retry", "--parked", "--json").out) == {
        "verb": "retry",
        "lanes": ["download"],
        "tasks": 3,
        "items": [],
        "nothing": "",
        "limits": 0,
        "platform": None,
    }
    ran = reelmill("retry", "--parked", app=FakeApp(reopened=Corrected("retry", limits=2)))
    assert (ran.code, ran.out) == (0, "2 limits forgotten that the platform had named\n")
    ran = reelmill("retry", "--parked", app=FakeApp(reopened=Corrected("retry", nothing="nothing is parked")))
    assert (ran.code, ran.out) == (3, "nothing is parked\n")


@pytest.mark.parametrize(
    "args",
    [
        ("retry",),
        ("cancel",),
        ("cancel", "--all", "a"),
        ("cancel", "--failed", "a"),
        ("cancel", "--all", "--failed"),
        ("retry", "--parked", "a"),
        ("retry", "--parked", "--failed"),
    ],
)
def test_an_operators_word_needs_an_object(reelmill: Reelmill, args: tuple[str, ...]) -> None:
    """Nothing selected is a usage error and never everything."""
    ran = reelmill(*args)
    assert (ran.code, ran.out, ran.app.calls) == (2, "", [])
    assert ran.err.startswith(f"reelmill: {args[0]}: ")


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warn", 0), ("bad", 2)])
def test_doctor_fails_only_for_what_is_bad(reelmill: Reelmill, state: Any, code: int) -> None:
    """A warning does not stop a script; a bad finding does."""
    assert reelmill("doctor", app=FakeApp(findings=(Finding("disk", state, "1 GB"),))).code == code


def test_platform_says_where_it_is(reelmill: Reelmill) -> None:
    """Data on stdout, the hint for people on stderr, the flags handed over."""
    ran = reelmill("platform", "--port", "0", "--host", "127.0.0.1", "--faults", "f.toml", "--media", "m")
    assert "export TWELVELABS_API_KEY=token-1" in ran.out
    assert "Ctrl-C" in ran.err
    assert ran.given == {"host": "127.0.0.1", "port": 0, "faults": Path("f.toml"), "media": Path("m")}


def test_the_demo_keeps_to_its_folder_and_needs_no_file(reelmill: Reelmill) -> None:
    """A broken configuration in this folder does not stop it, a key in the environment is not used."""
    Path("reelmill.toml").write_text("not toml")
    ran = reelmill("demo", "d", "--count", "2", env={"TWELVELABS_API_KEY": "tlk_secret"})
    assert (ran.settings.run.state, ran.settings.run.output) == (Path("d/state"), Path("d/out"))
    assert ran.settings.provider_kind == "local"
    assert ran.given["count"] == 2
    assert "look into d/out" in ran.out


def test_config_check_shows_all_but_the_key(reelmill: Reelmill) -> None:
    """Every section as data; the key only as set or not."""
    ran = reelmill("config", "check", "--json", env={"TWELVELABS_API_KEY": "tlk_secret"})
    data = json.loads(ran.out)
    assert (data["api_key_set"], data["platform"], data["file"]) == (True, "twelvelabs", None)
    assert set(data["settings"]) == set(Settings.model_fields) - {
        "api_key",
        "post_header",
        "store_password",
        "model_key",
        "origin",
    }
    assert "tlk_secret" not in ran.out + ran.err


def test_config_check_reads_the_jobs_too(reelmill: Reelmill) -> None:
    """A job that nobody knows is found here, not in the night."""
    ran = reelmill("config", "check", app=FakeApp(raises=errors.ConfigError("no job is called 'gits'")))
    assert (ran.code, ran.out, ran.err) == (2, "", "reelmill: no job is called 'gits'\n")


def test_config_check_reads_the_options_of_yt_dlp_too(reelmill: Reelmill, tmp_path: Path) -> None:
    """What a run would refuse is not called usable."""
    (tmp_path / "reelmill.toml").write_text('[youtube]\noptions = { cookiefile = "x" }\n', encoding="utf-8")
    ran = reelmill("config", "check")
    assert (ran.code, ran.out) == (2, "")
    assert "[youtube.options] cookiefile" in ran.err


def test_config_check_shows_settings_that_hold_a_secret(reelmill: Reelmill) -> None:
    """A proxy may carry a password: that it is set is shown, what it is is not, and --json does not stumble over it."""
    ran = reelmill("config", "check", "--json", env={"REELMILL_YOUTUBE__PROXY": "socks5://me:hunter2@127.0.0.1:1"})
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["settings"]["youtube"]["proxy"] == "**********"
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            errors.ConfigError("no such item", remedy="look at status"),
            2,
            "reelmill: no such item\n  → look at status\n",
        ),
        (errors.Busy("process 12 runs"), 75, "reelmill: process 12 runs\n"),
        (errors.NeedsOperator("no credit"), 4, "reelmill: no credit\n"),
        (errors.StoreError("newer\x1b[31m\ndatabase"), 1, "reelmill: newer database\n"),
        (ExceptionGroup("g", [errors.NeedsOperator("no credit")]), 4, "reelmill: no credit\n"),
    ],
)
def test_errors_are_two_lines_on_stderr(reelmill: Reelmill, error: BaseException, code: int, said: str) -> None:
    """Message and remedy, harmless on a terminal, no traceback, nothing on stdout."""
    ran = reelmill("run", app=FakeApp(raises=error))
    assert (ran.code, ran.err, ran.out) == (code, said, "")


def test_a_crash_is_one_line_and_a_redacted_traceback_in_the_log(reelmill: Reelmill) -> None:
    """The key shows up neither in the sentence nor in the log, wherever the exception had it from."""
    app = FakeApp(raises=RuntimeError("bad answer for tlk_secret at https://h/x?sig=1"))
    ran = reelmill("run", app=app, env={"TWELVELABS_API_KEY": "tlk_secret"})
    logged, *told = ran.err.splitlines()
    assert ran.code == 1
    assert told[0] == "reelmill: unexpected RuntimeError: bad answer for *** at https://h/x?***"
    assert "Traceback" in json.loads(logged)["exception"]
    assert "tlk_secret" not in ran.err


def test_a_crash_before_the_log_is_set_up_keeps_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """A command may fall over its own arguments: stdout is data even then, and no secret is shown."""

    def crash() -> int:
        key = "tlk_secret"
        raise RuntimeError(f"cannot read {key}")

    structlog.reset_defaults()
    assert guard(crash, lambda: ["tlk_secret"]) == 1
    structlog.reset_defaults()
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" in json.loads(err.splitlines()[0])["exception"]
    assert "tlk_secret" not in err


def test_a_key_from_a_file_is_not_shown_either(reelmill: Reelmill) -> None:
    """The secret is known to the error border as soon as the settings are loaded."""
    Path("key").write_text("tlk_from_file\n")
    app = FakeApp(raises=errors.ConfigError("strange tlk_from_file"))
    assert reelmill("run", app=app, env={"TWELVELABS_API_KEY_FILE": "key"}).err == "reelmill: strange ***\n"


def test_a_wrong_configuration_is_refused_before_anything_happens(reelmill: Reelmill) -> None:
    """The message names file, line and key; the app is not entered."""
    Path("reelmill.toml").write_text("[run]\noutptu = 'x'\n")
    ran = reelmill("run")
    assert (ran.code, ran.app.calls) == (2, [])
    assert ran.err == "reelmill: reelmill.toml, line 2: [run] outptu: unknown key\n  → did you mean 'output'?\n"


@pytest.mark.parametrize(
    "args", [("run", "--max-usd", "x"), ("run", "--bogus"), ("bogus",), ("show",), ("demo", "--count", "0")]
)
def test_wrong_usage_is_exit_2(reelmill: Reelmill, args: tuple[str, ...]) -> None:
    """Whatever the parser refuses ends as usage, with nothing on stdout."""
    ran = reelmill(*args)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


def test_ctrl_c_is_130_and_says_that_it_is_safe(reelmill: Reelmill) -> None:
    """Where no run handles the signal itself, the border does."""
    ran = reelmill("status", app=FakeApp(raises=KeyboardInterrupt()))
    assert ran.code == 130
    assert ran.err.startswith("reelmill: interrupted")


def test_the_log_level_of_the_configuration_is_in_force(reelmill: Reelmill) -> None:
    """Flags and file decide how much the app may say; without a terminal each event is one JSON line."""

    class Talking(FakeApp):
        def _note(self, name: str, settings: Settings, **given: Any) -> None:
            super()._note(name, settings, **given)
            structlog.get_logger().info("working")
            structlog.get_logger().error("failing")

    assert [json.loads(line)["event"] for line in reelmill("run", app=Talking()).err.splitlines()] == [
        "working",
        "failing",
    ]
    ran = reelmill("run", "--log-level", "error", app=Talking())
    assert [json.loads(line)["event"] for line in ran.err.splitlines()] == ["failing"]


def test_no_log_lines_in_a_persons_face(reelmill: Reelmill, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a run's log goes into its state folder; other commands speak for themselves; who sets a level sees it."""

    class Talking(FakeApp):
        def _note(self, name: str, settings: Settings, **given: Any) -> None:
            super()._note(name, settings, **given)
            structlog.get_logger().info("working")
            structlog.get_logger().warning("odd")

    monkeypatch.setattr("pipeline.present.terminal.is_terminal", lambda: True)
    assert reelmill("status", app=Talking()).err == ""
    assert reelmill("run", "--progress", "none", "--state", "s", app=Talking()).err == ""
    assert [json.loads(line)["event"] for line in Path("s/run.log").read_text().splitlines()] == ["working", "odd"]
    assert "odd" in reelmill("status", "--log-level", "warning", app=Talking()).err
    assert "odd" in reelmill("platform", app=Talking()).err


def test_the_demo_offers_as_many_videos_as_it_can_make() -> None:
    """The limit in the help is the number of scripts there are."""
    from typer.main import get_command

    from pipeline.cli import app
    from pipeline.local.demo.scripts import load_scripts

    command: Any = get_command(app)
    (count,) = (param for param in command.commands["demo"].params if param.name == "count")
    assert count.max == len(load_scripts())
